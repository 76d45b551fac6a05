"""The rules of ``tools``, ``tool_choice`` and ``response_format``."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.checks import (
    ANY_OBJECT,
    NON_EMPTY,
    TEXT,
    Check,
    Problem,
    boolean,
    breaks_rule,
    by_word,
    list_of,
    object_of,
    one_of,
    stated_as,
    string,
    wrong_type,
)
from sunra_integrations.sandbox.json_schema import schema_problems, strict_problems

_NAME = string(r"[a-zA-Z0-9_-]{1,64}", "a name of 1 to 64 letters, digits, _ or -")
_A_SCHEMA = (
    "A JSON Schema (draft 2020-12) whose references lead within itself. With `strict`, every "
    "object in it lists all its properties as required and allows no others."
)


@stated_as(
    {"type": "object", "properties": {"type": {"const": "object"}}, "description": _A_SCHEMA}
)
def _parameters_schema(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)
    if isinstance(value, dict) and value.get("type", "object") != "object":
        yield breaks_rule(f"{path}.type", value["type"], "'object'")


_FUNCTION_TOOL = object_of(
    {
        "type": one_of("function"),
        "function": object_of(
            {"name": _NAME},
            {"description": TEXT, "parameters": _parameters_schema, "strict": boolean},
        ),
    }
)


@stated_as(_FUNCTION_TOOL.schema)
def _tool(path: str, value: Any) -> Iterator[Problem]:
    found = list(_FUNCTION_TOOL(path, value))
    yield from found
    if not found and value["function"].get("strict"):
        parameters = value["function"].get("parameters", {"type": "object"})
        yield from strict_problems(f"{path}.function.parameters", parameters)


_TOOL_LIST = list_of(_tool, least=1)


@stated_as({**_TOOL_LIST.schema, "description": "Functions, each with a name of its own."})
def tools(path: str, value: Any) -> Iterator[Problem]:
    """Every problem of a list of tools."""
    found = list(_TOOL_LIST(path, value))
    yield from found
    if not found:
        names = Counter(tool["function"]["name"] for tool in value)
        for name in sorted(name for name, count in names.items() if count > 1):
            yield breaks_rule(path, name, "the name of one tool only")


_CHOICE_WORD = one_of("none", "auto", "required")
_CHOICE_OF_ONE = object_of(
    {"type": one_of("function"), "function": object_of({"name": NON_EMPTY}, closed=True)},
    closed=True,
)


@stated_as(
    {
        "anyOf": [_CHOICE_WORD.schema, _CHOICE_OF_ONE.schema],
        "description": "A function that is named must be one of `tools`.",
    }
)
def tool_choice(path: str, value: Any) -> Iterator[Problem]:
    """Every problem of a choice among tools, but for whether the tool exists."""
    match value:
        case str():
            yield from _CHOICE_WORD(path, value)
        case dict():
            yield from _CHOICE_OF_ONE(path, value)
        case _:
            yield wrong_type(path, value, "a string or an object naming a function")


@stated_as({"type": "object", "description": _A_SCHEMA})
def _any_schema(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)


_NAMED_SCHEMA = object_of(
    {"name": _NAME, "schema": _any_schema}, {"description": TEXT, "strict": boolean}, closed=True
)


@stated_as(_NAMED_SCHEMA.schema)
def _named_schema(path: str, value: Any) -> Iterator[Problem]:
    found = list(_NAMED_SCHEMA(path, value))
    yield from found
    if not found and value.get("strict"):
        yield from strict_problems(f"{path}.schema", value["schema"])


response_format: Check = by_word(
    "type",
    {
        "text": ANY_OBJECT,
        "json_object": ANY_OBJECT,
        "json_schema": object_of({"json_schema": _named_schema}),
        "grammar": object_of({"grammar": NON_EMPTY}),
    },
)
