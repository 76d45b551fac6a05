# ruff: noqa: RUF001 - marks of other scripts are read here
"""Replies that have to be JSON: an instance of a schema, or an object with the keys asked for."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sunra_integrations.sandbox.answers import answer, nearest
from sunra_integrations.sandbox.conversation import Conversation
from sunra_integrations.sandbox.json_schema import schema_problems
from sunra_integrations.sandbox.schema_values import instance
from sunra_integrations.sandbox.supply import Supply
from sunra_integrations.sandbox.words import question, sentences, without_label

_KEY = re.compile(r"[\"'`“‘]([A-Za-z_]\w{0,39})[\"'`”’]")
_KEY_TALK = re.compile(r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?|json)\b", re.IGNORECASE)
_MOST_TEXT = 50_000
_MOST_BRACES = 100


def is_asked_for(request: dict[str, Any]) -> bool:
    """Whether a request's ``response_format`` wants JSON."""
    return request.get("response_format", {}).get("type") in {"json_schema", "json_object"}


def value(request: dict[str, Any], conversation: Conversation) -> Any:
    """The JSON value that a request's ``response_format`` asks for.

    Args:
        request: A request that keeps the contract.
        conversation: Its messages, read.
    """
    match request["response_format"]:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return instance(schema, _supply(conversation))
        case _:
            return _object(conversation)


def _object(conversation: Conversation) -> Any:
    """An object of a schema shown in the prompt, else of the keys it names, else an answer."""
    prompt = "\n".join([*conversation.earlier, conversation.turn])[-_MOST_TEXT:]
    subject = _without_instructions(conversation)
    for schema in _shown_schemas(prompt):
        return instance(schema, _supply(subject))
    keys = _named_keys(prompt)
    if not keys:
        return {"answer": answer(subject)}
    properties = {key: {"type": "string"} for key in keys}
    return instance(
        {"type": "object", "properties": properties, "required": keys}, _supply(subject)
    )


def _without_instructions(conversation: Conversation) -> Conversation:
    """The conversation without its turn's sentences on what the JSON is to look like."""
    said = [line for line in sentences(conversation.turn) if not _KEY_TALK.search(line)]
    return replace(conversation, turn="\n".join(said)) if said else conversation


def _supply(conversation: Conversation) -> Supply:
    """The words of the turn, with results and the nearest sentences as prose."""
    results = [result.text for result in conversation.results]
    asked = without_label(question(conversation.turn))
    prose = [*results, *nearest(conversation)] or [asked, answer(conversation)]
    text = "\n".join([*results, conversation.turn])
    return Supply(text, prose=[sentence for sentence in prose if sentence])


def _shown_schemas(prompt: str) -> Iterator[dict[str, Any]]:
    """JSON Schemas written out in a prompt, as output parsers do."""
    decoder = json.JSONDecoder()
    for opening in itertools.islice(re.finditer(r"\{", prompt), _MOST_BRACES):
        try:
            shown, _ = decoder.raw_decode(prompt, opening.start())
        except (ValueError, RecursionError):
            continue
        is_schema = isinstance(shown.get("properties"), dict) and (
            shown.get("type") == "object" or "required" in shown
        )
        if is_schema and not any(schema_problems("", shown)):
            yield shown


def _named_keys(prompt: str) -> list[str]:
    """Names in quotes, in sentences that talk of keys, fields or JSON."""
    talk = [sentence for sentence in sentences(prompt) if _KEY_TALK.search(sentence)]
    return list(dict.fromkeys(key for sentence in talk for key in _KEY.findall(sentence)))[:32]
