"""The rules of ``tools``, ``tool_choice`` and ``response_format``."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANY_OBJECT,
    BOOLEAN,
    FUNCTION_NAME,
    NON_EMPTY,
    TEXT,
    Problem,
    at,
    broken_rule,
    by_json_type,
    list_of,
    object_of,
    one_of,
    tagged_union,
    then,
    with_schema,
)
from sunra_integrations.sandbox.contract.json_schema import (
    SCHEMA_DESCRIPTION,
    schema_problems,
    strict_problems,
)

# ── tools ────────────────────────────────────────────────────────────────────

_NO_PARAMETERS = {
    "type": "object",
    "properties": dict[str, Any](),
    "required": list[str](),
    "additionalProperties": False,
}
_DESCRIBES_PROPERTIES = {
    "required": ["type", "properties"],
    "properties": {"type": {"const": "object"}, "properties": {"type": "object"}},
}


@with_schema(
    {
        "type": "object",
        "anyOf": [{"maxProperties": 0}, _DESCRIBES_PROPERTIES],
        "description": SCHEMA_DESCRIPTION,
    }
)
def _parameters(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)
    if not isinstance(value, dict) or not value:
        return
    if value.get("type") != "object":
        yield broken_rule(f"{path}.type", value.get("type"), "'object'")
    elif "properties" not in value:
        yield broken_rule(f"{path}.properties", None, "an object with a schema for each property")


def _strict_parameters(path: str, tool: dict[str, Any]) -> Iterator[Problem]:
    function = tool["function"]
    if function.get("strict"):
        parameters = function.get("parameters", _NO_PARAMETERS)
        yield from strict_problems(f"{path}.function.parameters", parameters)


_TOOL = then(
    object_of(
        {
            "type": one_of("function"),
            "function": object_of(
                {"name": FUNCTION_NAME},
                {"description": TEXT, "parameters": _parameters, "strict": BOOLEAN},
            ),
        }
    ),
    _strict_parameters,
)


def _duplicate_names(path: str, tools: list[dict[str, Any]]) -> Iterator[Problem]:
    names = Counter(tool["function"]["name"] for tool in tools)
    for name in sorted(name for name, count in names.items() if count > 1):
        yield broken_rule(path, name, "a list of tools with distinct names")


TOOLS = then(list_of(_TOOL, min_items=1), _duplicate_names, "Functions with distinct names.")
"""The rules of ``tools``."""

TOOL_CHOICE = by_json_type(
    "a string or an object that names a function",
    one_of("none", "auto", "required"),
    object_of(
        {"type": one_of("function"), "function": object_of({"name": NON_EMPTY}, closed=True)},
        closed=True,
    ),
    description="A named function must be one of `tools`.",
)
"""The rules of ``tool_choice``. `choice_problems` checks that the named function is there."""


def choice_problems(path: str, request: dict[str, Any]) -> Iterator[Problem]:
    """Finds a ``tool_choice`` whose function is not among ``tools``."""
    match request.get("tool_choice"), request.get("tools"):
        case {"function": {"name": str(name)}}, list(tools) if name not in _names(tools):
            where = at(path, "tool_choice.function.name")
            yield broken_rule(where, name, "the name of one of the tools")
        case _:
            return


def _names(tools: list[Any]) -> set[str]:
    return {
        name
        for tool in tools
        if isinstance(tool, dict) and isinstance(function := tool.get("function"), dict)
        if isinstance(name := function.get("name"), str)
    }


# ── response_format ──────────────────────────────────────────────────────────


@with_schema({"type": "object", "required": ["type"], "description": SCHEMA_DESCRIPTION})
def _response_schema(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)
    if isinstance(value, dict) and "type" not in value:
        yield broken_rule(f"{path}.type", None, "a type such as 'object'")


def _strict_response_schema(path: str, named: dict[str, Any]) -> Iterator[Problem]:
    if named.get("strict"):
        yield from strict_problems(f"{path}.schema", named["schema"])


_NAMED_SCHEMA = then(
    object_of(
        {"name": FUNCTION_NAME, "schema": _response_schema},
        {"description": TEXT, "strict": BOOLEAN},
        closed=True,
    ),
    _strict_response_schema,
)

RESPONSE_FORMAT = tagged_union(
    "type",
    {
        "text": ANY_OBJECT,
        "json_object": ANY_OBJECT,
        "json_schema": object_of({"json_schema": _NAMED_SCHEMA}),
        "grammar": object_of({"grammar": NON_EMPTY}),
    },
)
"""The rules of ``response_format``."""
