"""The rules of ``tools``, ``tool_choice`` and ``response_format``."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox import strict_rules
from sunra_integrations.sandbox.checks import (
    ANY_OBJECT,
    FUNCTION_NAME,
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
    wrong_type,
)
from sunra_integrations.sandbox.json_schema import (
    MOST_SCHEMA,
    schema_problems,
    strict_problems,
)

_NO_PARAMETERS = {
    "type": "object",
    "properties": dict[str, Any](),
    "required": list[str](),
    "additionalProperties": False,
}
_A_SCHEMA = (
    f"A JSON Schema (draft 2020-12) of at most {MOST_SCHEMA} characters, whose references lead "
    "within itself. With `strict`, its root is not an `anyOf`, and: " + strict_rules.document()
)


# What describes arguments is an object that says so and names its properties, or `{}`.
_DESCRIBING = {
    "required": ["type", "properties"],
    "properties": {"type": {"const": "object"}, "properties": {"type": "object"}},
}


@stated_as(
    {"type": "object", "anyOf": [{"maxProperties": 0}, _DESCRIBING], "description": _A_SCHEMA}
)
def _parameters_schema(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)
    if not isinstance(value, dict) or not value:
        return
    if value.get("type") != "object":
        yield breaks_rule(f"{path}.type", value.get("type"), "'object'")
    elif "properties" not in value:
        yield breaks_rule(f"{path}.properties", None, "an object: a schema for each property")


_FUNCTION_TOOL = object_of(
    {
        "type": one_of("function"),
        "function": object_of(
            {"name": FUNCTION_NAME},
            {"description": TEXT, "parameters": _parameters_schema, "strict": boolean},
        ),
    }
)


@stated_as(_FUNCTION_TOOL.schema)
def _tool(path: str, value: Any) -> Iterator[Problem]:
    found = list(_FUNCTION_TOOL(path, value))
    yield from found
    if not found and value["function"].get("strict"):
        parameters = value["function"].get("parameters", _NO_PARAMETERS)
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


@stated_as({"type": "object", "required": ["type"], "description": _A_SCHEMA})
def _answer_schema(path: str, value: Any) -> Iterator[Problem]:
    yield from schema_problems(path, value)
    if isinstance(value, dict) and "type" not in value:
        yield breaks_rule(f"{path}.type", None, "a type, such as 'object'")


_NAMED_SCHEMA = object_of(
    {"name": FUNCTION_NAME, "schema": _answer_schema},
    {"description": TEXT, "strict": boolean},
    closed=True,
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
