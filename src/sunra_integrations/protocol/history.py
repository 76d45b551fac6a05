"""Messages of earlier turns: the tool calls, results, reasoning and vendor fields to send back.

Both adapters pass the messages they have converted to `prepare_messages`.

Signed data (reasoning details, signatures) is sent back unchanged. Plain reasoning is sent back
within a turn that calls tools, because some vendors require it there
(https://api-docs.deepseek.com/guides/thinking_mode#tool-calls). Others reject it in a finished
turn, so it is removed from those.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pydantic_core import from_json, to_json

from sunra_integrations.protocol.json_text import (
    Json,
    dicts_in,
    parse_arguments,
    to_strict_json,
    well_formed,
    without_keys,
)
from sunra_integrations.protocol.reply import IN_CONTENT

Message = dict[str, Any]

Unpaired = Callable[[int, int | None], Exception]
"""Makes the error for a message without its counterpart.

The arguments are the index of the message, and the index of its call, or None for a result.
"""

_REASONING = ("reasoning", "reasoning_content")
_NOT_CALLED = "The arguments are not a JSON object, so the tool was not called."


def prepare_messages(messages: list[Message], unpaired: Unpaired) -> list[Message]:
    """The conversation as it is sent. Changes its messages in position.

    - Every call gets an id that is unique in the conversation, and its result gets the same id.
      Stored histories contain calls without ids (from Gemini and Ollama) and repeated ids.
    - A legacy `function_call` with a result becomes a tool call.
    - Plain reasoning is removed from turns that do not call tools.
    - A call with invalid arguments and no result gets a result that says so, except in the last
      message. Servers reject calls without results.

    Args:
        messages: Messages in the form of the API, except that ids of calls and results may be None.
        unpaired: Makes the error for a call without a result, or a result without a call.

    Raises:
        Exception: The error made by `unpaired`.
    """
    uses_tools = any(map(_uses_tools, messages))
    if uses_tools:
        _pair(messages, unpaired)
    if any(name in one for one in messages for name in _REASONING):
        for turn in _turns(messages):
            if not any(map(_uses_tools, turn)):
                _remove_reasoning(turn)
    return list(_with_results_for_invalid_calls(messages)) if uses_tools else messages


def _uses_tools(message: Message) -> bool:
    return bool(
        message["role"] == "tool" or message.get("tool_calls") or message.get("function_call")
    )


def _turns(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The turns of a conversation. Each begins with a message of the user."""
    turn: list[Message] = []
    for message in messages:
        if message["role"] == "user" and turn:
            yield turn
            turn = []
        turn.append(message)
    yield turn


def _remove_reasoning(turn: Sequence[Message]) -> None:
    for message in turn:
        for name in _REASONING:
            message.pop(name, None)


def _with_results_for_invalid_calls(messages: Sequence[Message]) -> Iterator[Message]:
    for position, message in enumerate(messages):
        yield message
        broken = [
            call["id"] for call in message.get("tool_calls") or () if has_invalid_arguments(call)
        ]
        if broken and position + 1 < len(messages):
            rest = takewhile(lambda one: one["role"] == "tool", messages[position + 1 :])
            answered = {one["tool_call_id"] for one in rest}
            for call_id in broken:
                if call_id not in answered:
                    yield {"role": "tool", "tool_call_id": call_id, "content": _NOT_CALLED}


# ── calls and their results ──────────────────────────────────────────────────


def _pair(messages: list[Message], unpaired: Unpaired) -> None:
    used_ids: set[str] = set()
    caller: int | None = None
    results: list[int] = []
    for position, message in enumerate(messages):
        if message["role"] == "tool":
            results.append(position)
        elif _uses_tools(message):
            _pair_group(messages, caller, results, used_ids, unpaired)
            caller, results = position, []
    _pair_group(messages, caller, results, used_ids, unpaired)


def _pair_group(
    messages: list[Message],
    caller: int | None,
    results: list[int],
    used_ids: set[str],
    unpaired: Unpaired,
) -> None:
    """Pairs the calls of one message with the results after it."""
    calls = [] if caller is None else _calls(messages[caller], answered=bool(results))
    ids = [call["id"] for call in calls]
    answered = [messages[position]["tool_call_id"] for position in results]
    if all(ids) and all(answered) and len(set(ids)) == len(ids) and used_ids.isdisjoint(ids):
        used_ids.update(ids)
        return
    open_calls = dict(enumerate(calls))
    pairs: dict[int, int] = {}
    for position in results:
        found = _call_of(messages[position], open_calls)
        if found is not None:
            del open_calls[found]
            pairs[found] = position
        elif not messages[position]["tool_call_id"]:
            raise unpaired(position, None)
    for number, call in enumerate(calls):
        result = messages[pairs[number]] if number in pairs else None
        if result is None and not call["id"]:
            raise unpaired(caller or 0, number)
        given = call["id"] or (result or {}).get("tool_call_id")
        if not given or given in used_ids:
            given = _new_id(caller or 0, number, used_ids)
        used_ids.add(given)
        call["id"] = given
        if result is not None:
            result["tool_call_id"] = given


def _calls(message: Message, *, answered: bool) -> list[dict[str, Any]]:
    """The message's calls. A legacy call with a result becomes a tool call."""
    if answered and "function_call" in message:
        call = {"id": None, "type": "function", "function": message.pop("function_call")}
        message["tool_calls"] = [call]
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    return calls


def _call_of(result: Message, open_calls: dict[int, dict[str, Any]]) -> int | None:
    """The call that a result belongs to: by id, otherwise by name, otherwise the next one.

    The adapters of Gemini and Ollama put the name of the tool in the place of the id.
    """
    answered, name = result["tool_call_id"], result.get("name")
    if answered:
        for number, call in open_calls.items():
            if call["id"] == answered:
                return number
    without_id = [number for number, call in open_calls.items() if not call["id"]]
    possible = without_id if without_id or answered else list(open_calls)
    for number in possible:
        if open_calls[number].get("function", {}).get("name") in {
            answered or name,
            name or answered,
        }:
            return number
    return next(iter(possible), None)


def _new_id(caller: int, number: int, used_ids: set[str]) -> str:
    """A new id. Later requests get the same one, so that prompt caches still match."""
    new = f"call_{caller}_{number}"
    while new in used_ids:
        new += "x"
    return new


DEFAULT_FIELD = "reasoning"
VENDOR_FIELDS = "vendor_fields"
"""The key under which a framework's message lists the vendor fields to send back."""

_CALL_FIELDS = frozenset(("id", "type", "function", "custom"))
_ANY_ROLE = ("prefix", "partial", "cache_control")
_BY_THE_ASSISTANT = ("thinking_blocks", "extra_content")
_OWN_WAY = frozenset(("audio", "function_call"))
"""Fields that are sent back in another form."""
INVALID_JSON = "INVALID_JSON"
_UNNAMED = "unnamed"
"""The name sent for a call without one, because servers reject an empty name."""


def reasoning_fields(
    text: str, field: str | None, details: Sequence[Json], *, beside_calls: bool
) -> dict[str, Any]:
    """The fields of an assistant message that send its reasoning back; empty if none do.

    Args:
        text: The text of the reasoning. DeepSeek requires even empty reasoning back.
        field: The field it was received in (`reasoning` or `reasoning_content`), if known.
        details: The `reasoning_details` received.
        beside_calls: Whether its turn calls tools.
    """
    fields: dict[str, Any] = {}
    if field == IN_CONTENT:
        beside_calls = False  # it is sent back with the content
    if beside_calls and (field is not None or (text and not details)):
        fields[field or DEFAULT_FIELD] = text
    if details:
        fields["reasoning_details"] = list(details)
    return fields


def signed_details(text: str, signed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Signed or encrypted reasoning of another class as details; empty if it is neither.

    Args:
        text: The text of the reasoning.
        signed: Its other fields: `signature`, or `data`, `encrypted_content` or
            `redacted_content`. Optionally also `id` and `format`, and the `summary` and `content`
            of an item of OpenAI's Responses API.
    """
    known = {name: signed[name] for name in ("id", "format") if isinstance(signed.get(name), str)}
    for name in ("data", "encrypted_content", "redacted_content", "redactedContent"):
        data = signed.get(name)
        if isinstance(data, bytes):  # from Bedrock
            data = base64.b64encode(data).decode()
        if isinstance(data, str) and data:
            encrypted = {"type": "reasoning.encrypted", "data": data, **known}
            # An item of OpenAI's Responses API goes back whole.
            is_item = name == "encrypted_content" and "id" in known
            return [*(_texts_of_item(text, signed, known) if is_item else ()), encrypted]
    if isinstance(signed.get("signature"), str) and signed["signature"]:
        signature = {"signature": signed["signature"]}
        return [{"type": "reasoning.text", "text": text, **signature, **known}]
    return []


def _texts_of_item(text: str, item: Json, known: Json) -> Iterator[dict[str, Any]]:
    """The texts of a reasoning item as details. A text without its parts is a summary."""
    summary, content = dicts_in(item.get("summary")), dicts_in(item.get("content"))
    if text and not summary and not content:
        summary = ({"text": text},)
    for part in summary:
        yield {"type": "reasoning.summary", "summary": part.get("text"), **known}
    for part in content:
        yield {"type": "reasoning.text", "text": part.get("text"), **known}


def vendor_fields(known: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The fields of a message to send in addition to the standard ones.

    Args:
        known: The fields of the framework's message beside its content.
        role: The role sent.
    """
    named = known.get(VENDOR_FIELDS)
    names: Iterable[Any] = _ANY_ROLE
    if role == "assistant":
        names = (*_ANY_ROLE, *_BY_THE_ASSISTANT, *(named if isinstance(named, list) else ()))
    return {name: known[name] for name in names if known.get(name) is not None}


def replayed_names(extra: Json) -> list[str]:
    """The names of a message's unknown fields that are sent back unchanged."""
    return [name for name, value in extra.items() if value is not None and name not in _OWN_WAY]


def encode_tool_call(
    call_id: str | None, name: str, arguments: str, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """A tool call in the form of the API, including vendor fields.

    Args:
        call_id: The id; None if it has none, which `prepare_messages` adds.
        name: The name of the tool.
        arguments: The arguments as the model wrote them.
        extra: Unknown fields of the call. Under `function` are those of its function, and under
            `type` is a type other than `function`.
    """
    kind = extra.get("type") or "function"
    name = name or _UNNAMED
    if kind == "custom":
        body = {**_mapping(extra.get("custom")), "name": name, "input": arguments}
    else:
        written = sendable_arguments(arguments)
        body = {**_mapping(extra.get("function")), "name": name, "arguments": written}
    position = "custom" if kind == "custom" else "function"
    return {**without_keys(extra, _CALL_FIELDS), "id": call_id, "type": kind, position: body}


def has_invalid_arguments(call: Mapping[str, Any]) -> bool:
    """Whether `sendable_arguments` wrapped the arguments of a call because they were invalid."""
    arguments = _mapping(call.get("function")).get("arguments")
    return isinstance(arguments, str) and arguments.startswith(f'{{"{INVALID_JSON}":')


def sendable_arguments(arguments: str) -> str:
    """Arguments that servers accept: unchanged if they are a JSON object, wrapped otherwise.

    Servers parse the arguments of earlier calls, and reject the whole conversation if one is
    invalid. In the wrapper, the model still sees what it wrote.
    """
    parsed = parse_arguments(arguments)
    if parsed == {}:
        return "{}"  # servers accept only this spelling of no arguments
    if parsed is not None:
        for written in (arguments, to_strict_json(arguments)):
            if _is_strict(written):
                return written
    return to_json({INVALID_JSON: well_formed(arguments)}).decode()


def _is_strict(arguments: str) -> bool:
    try:
        from_json(arguments, allow_inf_nan=False)
    except (ValueError, TypeError):  # TypeError: half a surrogate pair
        return False
    return True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
