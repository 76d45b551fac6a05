"""The request contract, strictly: every parameter Sunra documents, its type, range and company.

Wrong types and shapes are answered with 400, well-formed requests that break a rule with 422, a
model that is none with 404. All problems are told at once, each with its path, value and rule.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from .checks import (
    ANY_OBJECT,
    NON_EMPTY,
    TEXT,
    Check,
    Problem,
    anything,
    boolean,
    breaks_rule,
    integer,
    list_of,
    number,
    object_of,
    one_of,
    string,
    wrong_type,
)
from .json_schema import schema_problems, strict_problems
from .message_rules import check_messages

MODEL_NAME = string(r"[^/\s]+/\S+", "a model name of the form vendor/name")
_TOOL_NAME = string(r"[a-zA-Z0-9_-]{1,64}", "a name of 1 to 64 letters, digits, _ or -")

# How alike an unknown name must be to a known one to be taken for its misspelling, and up to
# which length and how many names are compared at all.
_CLOSE_SPELLING = 0.8
_LONGEST_NAME = 40
_MOST_NAMES = 64


def _stop(path: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, list):
        yield from list_of(NON_EMPTY, most=4)(path, value)
    elif not isinstance(value, str):
        yield wrong_type(path, value, "a string or a list of at most 4 strings")
    else:
        yield from NON_EMPTY(path, value)


def _parameters_schema(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)
    if isinstance(value, dict) and value.get("type", "object") != "object":
        yield breaks_rule(f"{path}.type", value["type"], "'object'")


def _tool(path: str, value: Any) -> Iterator[Problem]:
    function = object_of(
        {"name": _TOOL_NAME},
        {"description": TEXT, "parameters": _parameters_schema, "strict": boolean},
    )
    found = list(object_of({"type": one_of("function"), "function": function})(path, value))
    yield from found
    if not found and value["function"].get("strict"):
        parameters = value["function"].get("parameters", {"type": "object"})
        yield from strict_problems(f"{path}.function.parameters", parameters)


def _tools(path: str, value: Any) -> Iterator[Problem]:
    found = list(list_of(_tool, least=1)(path, value))
    yield from found
    if not found:
        names = Counter(tool["function"]["name"] for tool in value)
        for name in sorted(name for name, count in names.items() if count > 1):
            yield breaks_rule(path, name, "the name of one tool only")


def _tool_choice(path: str, value: Any) -> Iterator[Problem]:
    match value:
        case str():
            yield from one_of("none", "auto", "required")(path, value)
        case dict():
            named = object_of({"name": NON_EMPTY}, closed=True)
            choice = object_of({"type": one_of("function"), "function": named}, closed=True)
            yield from choice(path, value)
        case _:
            yield wrong_type(path, value, "a string or an object naming a function")


def _response_format(path: str, value: Any) -> Iterator[Problem]:
    kinds = one_of("text", "json_object", "json_schema", "grammar")
    found = list(object_of({"type": kinds})(path, value))
    yield from found
    if found:
        return
    match value["type"]:
        case "json_schema":
            yield from object_of({"json_schema": _named_schema})(path, value)
        case "grammar":
            yield from object_of({"grammar": NON_EMPTY})(path, value)
        case _:
            return


def _named_schema(path: str, value: Any) -> Iterator[Problem]:
    found = list(
        object_of(
            {"name": _TOOL_NAME, "schema": schema_problems},
            {"description": TEXT, "strict": boolean},
            closed=True,
        )(path, value)
    )
    yield from found
    if not found and value.get("strict"):
        yield from strict_problems(f"{path}.schema", value["schema"])


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
    "n": integer(1, 128),
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "response_format": _response_format,
    "seed": integer(-(2**63), 2**63 - 1),
    "tools": _tools,
    "tool_choice": _tool_choice,
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
    tools = request.get("tools")
    if "max_tokens" in request and "max_completion_tokens" in request:
        limit = request["max_completion_tokens"]
        yield breaks_rule("max_completion_tokens", limit, "allowed together with max_tokens")
    if "top_logprobs" in request and request.get("logprobs") is not True:
        yield breaks_rule("top_logprobs", request["top_logprobs"], "allowed without logprobs: true")
    if "stream_options" in request and request.get("stream") is not True:
        options = request["stream_options"]
        yield breaks_rule("stream_options", options, "allowed without stream: true")
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in request and tools is None:
            yield breaks_rule(name, request[name], "allowed without tools")
    match request.get("tool_choice"), tools:
        case {"function": {"name": str(name)}}, list():
            if name not in _tool_names(tools):
                path = "tool_choice.function.name"
                yield breaks_rule(path, name, "the name of one of the tools")
        case _:
            return


def _tool_names(tools: list[Any]) -> set[str]:
    return {
        name
        for tool in tools
        if isinstance(tool, dict) and isinstance(function := tool.get("function"), dict)
        if isinstance(name := function.get("name"), str)
    }
