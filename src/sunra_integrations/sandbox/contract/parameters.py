"""Every request parameter, in one table. To add a parameter, add a row.

The checks and the request schema of the OpenAPI document are both built from the table. A wrong
type gives status 400, a broken rule 422, an unknown model 404.
"""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANY_OBJECT,
    ANYTHING,
    BOOLEAN,
    NON_EMPTY,
    TEXT,
    Check,
    KeyRule,
    Problem,
    Schema,
    at,
    broken_rule,
    by_json_type,
    integer,
    list_of,
    not_both,
    number,
    object_of,
    requires,
    requires_true,
    string,
)
from sunra_integrations.sandbox.contract.messages import MESSAGES
from sunra_integrations.sandbox.contract.tools import (
    RESPONSE_FORMAT,
    TOOL_CHOICE,
    TOOLS,
    choice_problems,
)


@dataclass(frozen=True)
class Parameter:
    """A request parameter.

    Args:
        check: Its type and range.
        required: Whether every request has it.
        needs: A parameter that must be sent with it.
        needs_true: A parameter that must be true if it is sent.
        excludes: A parameter that must not be sent with it.
    """

    check: Check
    required: bool = False
    needs: str = ""
    needs_true: str = ""
    excludes: str = ""


# Readers of the OpenAPI document disagree on what \s matches, so the characters are spelled out.
_MODEL_NAME = string(r"[^/\x00-\x20\x7F]+/[^\x00-\x20\x7F]+", "a model name like vendor/name")
_STRINGS = list_of(NON_EMPTY)
_STOP = by_json_type(
    "a string or a list of at most 4 strings", NON_EMPTY, list_of(NON_EMPTY, max_items=4)
)
_PROVIDER = object_of(
    optional={
        "only": _STRINGS,
        "order": _STRINGS,
        "ignore": _STRINGS,
        "sort": ANYTHING,
        "allow_fallbacks": BOOLEAN,
    }
)

PARAMETERS: dict[str, Parameter] = {
    # Sunra's reference documents these.
    #
    # The schema also demands vendor/name. The check does not, because such a model gives a 404.
    "model": Parameter(Check(TEXT.find, _MODEL_NAME.schema), required=True),
    "messages": Parameter(MESSAGES, required=True),
    "stream": Parameter(BOOLEAN),
    "max_tokens": Parameter(integer(1)),
    "max_completion_tokens": Parameter(integer(1), excludes="max_tokens"),
    "temperature": Parameter(number(0, 2)),
    "top_p": Parameter(number(0, 1)),
    "frequency_penalty": Parameter(number(-2, 2)),
    "presence_penalty": Parameter(number(-2, 2)),
    "stop": Parameter(_STOP),
    # Sunra states no limit. Each choice takes memory here.
    "n": Parameter(integer(1, 128, "a limit of the sandbox, not of Sunra")),
    "logprobs": Parameter(BOOLEAN),
    "top_logprobs": Parameter(integer(0, 20), needs_true="logprobs"),
    "response_format": Parameter(RESPONSE_FORMAT),
    "seed": Parameter(integer()),
    "tools": Parameter(TOOLS),
    "tool_choice": Parameter(TOOL_CHOICE, needs="tools"),
    "parallel_tool_calls": Parameter(BOOLEAN, needs="tools"),
    "user": Parameter(TEXT),
    # Other gateways with the same API document these.
    "provider": Parameter(_PROVIDER),
    "reasoning": Parameter(ANY_OBJECT),
    "reasoning_effort": Parameter(NON_EMPTY),
    "stream_options": Parameter(
        object_of(optional={"include_usage": BOOLEAN}), needs_true="stream"
    ),
    "metadata": Parameter(ANY_OBJECT),
    "logit_bias": Parameter(ANY_OBJECT),
    "modalities": Parameter(_STRINGS),
    "top_k": Parameter(integer(-1)),
    "min_p": Parameter(number(0, 1)),
    "top_a": Parameter(number(0, 1)),
    "repetition_penalty": Parameter(number(0, 2)),
    "models": Parameter(ANYTHING),
    "route": Parameter(ANYTHING),
    "transforms": Parameter(ANYTHING),
    "plugins": Parameter(ANYTHING),
    "usage": Parameter(ANYTHING),
    "store": Parameter(ANYTHING),
    "prediction": Parameter(ANYTHING),
    "audio": Parameter(ANYTHING),
    "verbosity": Parameter(ANYTHING),
    "service_tier": Parameter(ANYTHING),
    "safety_identifier": Parameter(ANYTHING),
    "prompt_cache_key": Parameter(ANYTHING),
    "web_search_options": Parameter(ANYTHING),
    "thinking": Parameter(ANYTHING),
    "enable_thinking": Parameter(ANYTHING),
    "include_reasoning": Parameter(ANYTHING),
    "min_tokens": Parameter(ANYTHING),
    "min_completion_tokens": Parameter(ANYTHING),
    "structured_outputs": Parameter(ANYTHING),
    "cache_control": Parameter(ANYTHING),
    "best_of": Parameter(ANYTHING),
}

UNKNOWN_PARAMETERS = (
    "Unknown parameters are accepted without effect and named in the header `x-sandbox-ignored`, "
    "unless the name looks like a misspelling of a known one."
)
"""The rule for unknown parameters, for the OpenAPI document."""

# A misspelling is at least this similar to a known name. Longer names, and names after the first
# ones, are not compared.
_MIN_SIMILARITY = 0.8
_MAX_NAME_LENGTH = 40
_MAX_NAMES = 64


def unknown_parameters(request: dict[str, Any]) -> list[str]:
    """The names that are not in the table."""
    return [name for name in request if name not in PARAMETERS]


def request_problems(request: Any) -> list[Problem]:
    """Every problem of a request body, in the order of its keys."""
    return list(_REQUEST("", request))


def model_problem(model: str, served: Collection[str] | None) -> Problem | None:
    """Why a model is not served, or None."""
    for problem in _MODEL_NAME("model", model):
        return problem
    if served is not None and model not in served:
        return broken_rule("model", model, f"one of the models served: {', '.join(sorted(served))}")
    return None


def request_schema(models: Collection[str] | None = None) -> Schema:
    """The JSON Schema of a request body.

    Args:
        models: The models served. Defaults to any name like ``vendor/name``.
    """
    if models is None:
        return _REQUEST.schema
    served = {"type": "string", "enum": sorted(models)}
    return {**_REQUEST.schema, "properties": {**_REQUEST.schema["properties"], "model": served}}


def _misspellings(path: str, request: dict[str, Any]) -> Iterator[Problem]:
    for name in unknown_parameters(request)[:_MAX_NAMES]:
        close = _closest(name) if len(name) <= _MAX_NAME_LENGTH else None
        if close:
            rule = f"a known parameter (did you mean {close!r}?)"
            yield broken_rule(at(path, name), request[name], rule)


def _closest(name: str) -> str | None:
    found = difflib.get_close_matches(name.lower(), PARAMETERS, n=1, cutoff=_MIN_SIMILARITY)
    return found[0] if found else None


def _key_rules() -> Iterator[KeyRule]:
    yield KeyRule(_misspellings, {})
    for name, parameter in PARAMETERS.items():
        if parameter.excludes:
            yield not_both(name, parameter.excludes)
        if parameter.needs_true:
            yield requires_true(name, parameter.needs_true)
        if parameter.needs:
            yield requires(name, parameter.needs)
    yield KeyRule(choice_problems, {})


_REQUEST = object_of(
    {name: parameter.check for name, parameter in PARAMETERS.items() if parameter.required},
    {name: parameter.check for name, parameter in PARAMETERS.items() if not parameter.required},
    rules=_key_rules(),
)
