"""The rules of ``tools``, ``tool_choice`` and ``response_format``."""

from collections import Counter
from collections.abc import Iterable, Iterator
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
def function_parameters(path: str, value: Any) -> Iterator[Problem]:
    """The schema of a function's arguments."""
    yield from schema_problems(path, value)
    if not isinstance(value, dict) or not value:
        return
    if value.get("type") != "object":
        yield broken_rule(f"{path}.type", value.get("type"), "'object'")
    elif "properties" not in value:
        yield broken_rule(f"{path}.properties", None, "an object with a schema for each property")


def strict_parameters(path: str, function: dict[str, Any]) -> Iterator[Problem]:
    """Finds parameters of a strict function that break strict mode."""
    if function.get("strict"):
        parameters = function.get("parameters", _NO_PARAMETERS)
        yield from strict_problems(f"{path}.parameters", parameters)


def _strict_function(path: str, tool: dict[str, Any]) -> Iterator[Problem]:
    yield from strict_parameters(f"{path}.function", tool["function"])


_TOOL = then(
    object_of(
        {
            "type": one_of("function"),
            "function": object_of(
                {"name": FUNCTION_NAME},
                {"description": TEXT, "parameters": function_parameters, "strict": BOOLEAN},
            ),
        }
    ),
    _strict_function,
)


def duplicate_names(path: str, names: Iterable[str]) -> Iterator[Problem]:
    """Finds names that several tools have."""
    counts = Counter(names)
    for name in sorted(name for name, count in counts.items() if count > 1):
        yield broken_rule(path, name, "a list of tools with distinct names")


def _duplicate_functions(path: str, tools: list[dict[str, Any]]) -> Iterator[Problem]:
    yield from duplicate_names(path, (tool["function"]["name"] for tool in tools))


TOOLS = then(list_of(_TOOL, min_items=1), _duplicate_functions, "Functions with distinct names.")
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
def output_schema(path: str, value: Any) -> Iterator[Problem]:
    """The schema of a structured reply."""
    yield from schema_problems(path, value)
    if isinstance(value, dict) and "type" not in value:
        yield broken_rule(f"{path}.type", None, "a type such as 'object'")


def strict_output_schema(path: str, named: dict[str, Any]) -> Iterator[Problem]:
    """Finds a strict schema of a reply that breaks strict mode."""
    if named.get("strict"):
        yield from strict_problems(f"{path}.schema", named["schema"])


_NAMED_SCHEMA = then(
    object_of(
        {"name": FUNCTION_NAME, "schema": output_schema},
        {"description": TEXT, "strict": BOOLEAN},
        closed=True,
    ),
    strict_output_schema,
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
