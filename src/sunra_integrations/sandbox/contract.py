"""The request contract, strictly: every parameter Sunra documents, its type, range and company.

Wrong types and shapes are answered with 400, well-formed requests that break a rule with 422, a
model that is none with 404. All problems are told at once, each with its path, value and rule.
"""

import difflib
from collections.abc import Collection, Iterator
from typing import Any

from sunra_integrations.sandbox.checks import (
    ANY_OBJECT,
    NON_EMPTY,
    TEXT,
    Check,
    Problem,
    Schema,
    anything,
    boolean,
    breaks_rule,
    integer,
    list_of,
    number,
    object_of,
    stated_as,
    string,
    wrong_type,
)
from sunra_integrations.sandbox.message_rules import check_messages
from sunra_integrations.sandbox.tool_rules import response_format, tool_choice, tools

# Spelled out, because what \s stands for differs between the dialects of readers of the document.
MODEL_NAME = string(r"[^/\x00-\x20\x7F]+/[^\x00-\x20\x7F]+", "a model name of the form vendor/name")

# How alike an unknown name must be to a known one to be taken for its misspelling, and up to
# which length and how many names are compared at all.
_CLOSE_SPELLING = 0.8
_LONGEST_NAME = 40
_MOST_NAMES = 64

# A choice costs memory here as it costs money at Sunra, which states no limit.
MOST_CHOICES = 128

_FEW_STRINGS = list_of(NON_EMPTY, most=4)


@stated_as({"anyOf": [NON_EMPTY.schema, _FEW_STRINGS.schema]})
def _stop(path: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, list):
        yield from _FEW_STRINGS(path, value)
    elif not isinstance(value, str):
        yield wrong_type(path, value, "a string or a list of at most 4 strings")
    else:
        yield from NON_EMPTY(path, value)


_STRINGS = list_of(NON_EMPTY)
_PENALTY = number(-2, 2)

# Stated by Sunra's reference.
DOCUMENTED: dict[str, Check] = {
    "messages": check_messages,
    "model": TEXT,
    "stream": boolean,
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "frequency_penalty": _PENALTY,
    "presence_penalty": _PENALTY,
    "stop": _stop,
    "n": integer(1, MOST_CHOICES, "the sandbox's own limit: Sunra states none"),
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "response_format": response_format,
    "seed": integer(),
    "tools": tools,
    "tool_choice": tool_choice,
    "parallel_tool_calls": boolean,
    "user": TEXT,
}

# Said by other gateways on the same wire; typed where their type is common knowledge.
FAMILY: dict[str, Check] = {
    "provider": object_of(
        optional={
            "only": _STRINGS,
            "order": _STRINGS,
            "ignore": _STRINGS,
            "sort": anything,
            "allow_fallbacks": boolean,
        }
    ),
    "reasoning": ANY_OBJECT,
    "reasoning_effort": NON_EMPTY,
    "stream_options": object_of(optional={"include_usage": boolean}),
    "metadata": ANY_OBJECT,
    "logit_bias": ANY_OBJECT,
    "modalities": _STRINGS,
    "top_k": integer(-1),
    "min_p": number(0, 1),
    "top_a": number(0, 1),
    "repetition_penalty": number(0, 2),
    **dict.fromkeys(
        (
            "models",
            "route",
            "transforms",
            "plugins",
            "usage",
            "store",
            "prediction",
            "audio",
            "verbosity",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
            "web_search_options",
            "thinking",
            "enable_thinking",
            "include_reasoning",
            "min_tokens",
            "min_completion_tokens",
            "structured_outputs",
            "cache_control",
            "best_of",
        ),
        anything,
    ),
}

_KNOWN: dict[str, Check] = {**DOCUMENTED, **FAMILY}

_NEED_TRUE = {"top_logprobs": "logprobs", "stream_options": "stream"}
_NEED_TOOLS = ("tool_choice", "parallel_tool_calls")

REQUEST_SCHEMA: Schema = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        **{name: check.schema for name, check in _KNOWN.items()},
        "model": MODEL_NAME.schema,
    },
    "not": {"required": ["max_tokens", "max_completion_tokens"]},
    "dependentRequired": {name: ["tools"] for name in _NEED_TOOLS},
    "dependentSchemas": {
        name: {"required": [other], "properties": {other: {"const": True}}}
        for name, other in _NEED_TRUE.items()
    },
}
"""The contract as a JSON Schema, as far as JSON Schema can say it."""


def request_problems(request: Any) -> list[Problem]:
    """Everything wrong with a request body, in the order of its keys."""
    if not isinstance(request, dict):
        return [wrong_type("body", request, "an object")]
    return [*_missing(request), *_parameters(request), *_company(request)]


def unknown_parameters(request: dict[str, Any]) -> list[str]:
    """The names this contract does not know, let through as ``extra_body`` and without effect."""
    return [name for name in request if name not in _KNOWN]


def model_problem(model: str, served: Collection[str] | None) -> Problem | None:
    """Why no such model is served here, if so."""
    for problem in MODEL_NAME("model", model):
        return problem
    if served is not None and model not in served:
        return breaks_rule("model", model, "one of the models served: " + ", ".join(sorted(served)))
    return None


def _missing(request: dict[str, Any]) -> Iterator[Problem]:
    for name in ("model", "messages"):
        if name not in request:
            yield wrong_type("body", request, f"an object with the key {name!r}")


def _parameters(request: dict[str, Any]) -> Iterator[Problem]:
    for name, value in request.items():
        if name in _KNOWN:
            yield from _KNOWN[name](name, value)
    for name in unknown_parameters(request)[:_MOST_NAMES]:
        meant = _meant(name)
        if meant:
            yield breaks_rule(name, request[name], f"a parameter: did you mean {meant!r}?")


def _meant(name: str) -> str | None:
    """The known parameter an unknown name seems to misspell."""
    if len(name) > _LONGEST_NAME:
        return None
    close = difflib.get_close_matches(name.lower(), _KNOWN, n=1, cutoff=_CLOSE_SPELLING)
    return close[0] if close else None


def _company(request: dict[str, Any]) -> Iterator[Problem]:
    """Parameters that need or forbid one another."""
    offered = request.get("tools")
    if "max_tokens" in request and "max_completion_tokens" in request:
        limit = request["max_completion_tokens"]
        yield breaks_rule("max_completion_tokens", limit, "allowed together with max_tokens")
    for name, other in _NEED_TRUE.items():
        if name in request and request.get(other) is not True:
            yield breaks_rule(name, request[name], f"allowed without {other}: true")
    for name in _NEED_TOOLS:
        if name in request and offered is None:
            yield breaks_rule(name, request[name], "allowed without tools")
    match request.get("tool_choice"), offered:
        case {"function": {"name": str(name)}}, list():
            if name not in _tool_names(offered):
                path = "tool_choice.function.name"
                yield breaks_rule(path, name, "the name of one of the tools")
        case _:
            return


def _tool_names(offered: list[Any]) -> set[str]:
    return {
        name
        for tool in offered
        if isinstance(tool, dict) and isinstance(function := tool.get("function"), dict)
        if isinstance(name := function.get("name"), str)
    }
