"""Tools and answer formats, as LangChain users write them, in the wire's form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard, get_args, get_origin

from langchain_core.tools import BaseTool
from langchain_core.tools.base import create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import NotRequired, ReadOnly, Required, get_type_hints, is_typeddict

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol import tools as wire
from sunra_integrations.protocol.json_schema import inline_root, is_recursive

Tool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
"""A pydantic or TypedDict class, a function, a LangChain tool, or a dict: a JSON schema with a
title, a function tool in the wire's form, or Anthropic's form."""

_SCHEMA_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))

ToolChoice = str | bool | Mapping[str, Any] | None


def tool(given: Tool, *, strict: bool | None = None) -> dict[str, Any]:
    """A function tool in the wire's form.

    Args:
        given: Any form of tool; see `Tool`.
        strict: Ask that arguments keep to the schema, which is made strict-valid for it; None
            leaves what the tool itself says.

    Raises:
        InvalidParameter: It cannot be read as a function; Sunra has no other kind of tool.
    """
    if strict is None and _is_wire_tool(given):
        return wire.normalize_tool(given)
    described = _described(given)
    function = described.get("function")
    if described.get("type") != "function" or not isinstance(function, Mapping):
        raise _no_function(given, f"a tool of type {described.get('type')!r}")
    if strict is None:
        made = wire.normalize_tool(described)
    else:
        strictly = wire.function_tool(
            str(function.get("name", "")),
            description=function.get("description"),
            parameters=function.get("parameters"),
            strict=strict,
        )
        made = {**described, "function": {**function, **strictly["function"]}}
    cache_control = _cache_control(given)
    return {**made, "cache_control": cache_control} if cache_control else made


def tool_choice(choice: ToolChoice, tools: Sequence[Mapping[str, Any]]) -> Any:
    """The wire's tool choice, from OpenAI's, LangChain's or Anthropic's way of saying it.

    Args:
        choice: `auto`, `none`, `required` or `any`, a tool's name, True (required), False or None
            (nothing said), or an object such as `{"type": "tool", "name": …}`.
        tools: The tools to choose among, in the wire's form.

    Raises:
        InvalidParameter: It names a tool that is not among them.
    """
    match choice:
        case {"type": "tool", "name": str() as name}:
            return wire.tool_choice(name, tools)
        case {"type": "any" | "auto" | "none" as word}:
            return wire.tool_choice(str(word), tools)
        case _:
            return wire.tool_choice(choice, tools)


def answer_format(schema: Tool, *, strict: bool | None = None) -> dict[str, Any]:
    """A `response_format` for answers of this schema.

    Args:
        schema: A pydantic or TypedDict class, or a dict: a JSON schema, an OpenAI function, or a
            `response_format` already, which is sent as given unless `strict` asks for a change.
        strict: Ask that the answer keep to the schema, which is made strict-valid for it.

    Raises:
        InvalidParameter: It cannot be read as a schema.
    """
    match schema:
        case Mapping() if not _is_function(schema):
            return _format_of_dict(schema, strict)
        case _:
            function = _function(schema)
            return wire.json_schema_format(
                function["name"],
                function.get("parameters") or {"type": "object", "properties": {}},
                description=function.get("description") or None,
                strict=function.get("strict") if strict is None else strict,
            )


def traced_schema(schema: Tool) -> Tool:
    """The schema as langchain-core can read it for its traces.

    Its own reading does not end for a TypedDict that refers to itself, and fails at `NotRequired`.
    """
    if not (isinstance(schema, type) and is_typeddict(schema)):
        return schema
    try:
        return _typed_dict_schema(schema) or schema
    except TypeError:
        return {"title": schema.__name__, "type": "object", "properties": {}}


def _format_of_dict(schema: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    match schema:
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": Mapping()} as named}:
            return {**schema, "json_schema": _named_schema(named, strict)}
        case {"name": str(), "schema": Mapping()}:
            return {"type": "json_schema", "json_schema": _named_schema(schema, strict)}
        case {"type": str() as kind} if kind not in _SCHEMA_TYPES:
            return dict(schema)  # `json_object`, or a format this package has not heard of
        case _:
            title, description, _ = wire.split_schema(schema)
            return wire.json_schema_format(
                title or "answer", schema, description=description, strict=strict
            )


def _named_schema(named: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    """A schema that the user named: as given, unless it must be made strict.

    LangChain's `ProviderStrategy(strict=True)` says `strict` of schemas that are not closed.
    """
    strict = named.get("strict") if strict is None else strict
    is_closed = named["schema"].get("additionalProperties") is False
    if strict == named.get("strict") and (is_closed or not strict):
        return dict(named)
    made = wire.json_schema_format(named["name"], named["schema"], strict=strict)
    return {**named, **made["json_schema"]}


def _is_function(schema: Mapping[str, Any]) -> bool:
    return bool({"parameters", "input_schema", "function", "toolSpec"} & schema.keys())


def _is_wire_tool(given: Tool) -> TypeGuard[dict[str, Any]]:
    """Whether it is in the wire's form, as all bound tools are by the time they are sent."""
    return (
        isinstance(given, dict)
        and given.get("type") == "function"
        and isinstance(given.get("function"), dict)
    )


def _described(given: Tool) -> dict[str, Any]:
    try:
        return _converted(given)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _no_function(given, str(error)) from error


def _function(schema: Tool) -> dict[str, Any]:
    inner = schema.get("function") if isinstance(schema, Mapping) else None
    try:
        function: dict[str, Any] = _converted(inner or schema)["function"]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidParameter(
            f"The schema cannot be read: {error}",
            parameter="schema",
            value=schema,
            rule="a pydantic or TypedDict class, or a JSON schema",
        ) from error
    return function


def _converted(given: Tool) -> dict[str, Any]:
    """What langchain-core makes of a tool, with recursion kept, which it takes out."""
    if isinstance(given, Mapping) and given.get("type") == "function" and "name" in given:
        given = {
            key: value for key, value in given.items() if key != "type"
        }  # of the Responses API
    function = _own_function(given)
    if function is not None:
        return {"type": "function", "function": function}
    made = convert_to_openai_tool(dict(given) if isinstance(given, Mapping) else given)
    schema = _schema_of(given)
    if schema is None or not is_recursive(schema):
        return made
    _, _, parameters = wire.split_schema(schema)
    return {**made, "function": {**made["function"], "parameters": parameters}}


def _own_function(given: Tool) -> dict[str, Any] | None:
    """The function of a pydantic class, JSON schema or TypedDict that is read without core."""
    if isinstance(given, Mapping):
        return _function_of_schema(given) if _is_json_schema(given) else None
    if not isinstance(given, type):
        return None
    if issubclass(given, BaseModel):
        # By the name that langchain-core's parser of calls knows the class by.
        name = given.model_config.get("title") or given.__name__
        return _function_of_schema({**inline_root(given.model_json_schema()), "title": name})
    schema = _typed_dict_schema(given) if is_typeddict(given) else None
    return None if schema is None else _function_of_schema(schema)


def _is_json_schema(given: Mapping[str, Any]) -> bool:
    return (
        not {"name", "function", "toolSpec"} & given.keys()
        and given.get("type", "object") in _SCHEMA_TYPES
        and "title" in inline_root(given)
    )


def _function_of_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    title, description, parameters = wire.split_schema(schema)
    function: dict[str, Any] = {"name": title}
    if description:
        function["description"] = description
    return {**function, "parameters": parameters} if parameters else function


def _typed_dict_schema(typed_dict: type) -> dict[str, Any] | None:
    """By pydantic, with what LangChain reads from `Annotated[type, default, "description"]`.

    None where langchain-core reads the class as well: it does not if the class refers to itself,
    and where keys may be missing it requires them, or fails.
    """
    try:
        hints = _typed_dicts_within(typed_dict)
    except NameError:
        return None
    try:
        schema = inline_root(TypeAdapter(typed_dict).json_schema())
    except PydanticUserError as error:  # of `typing` before Python 3.12, which pydantic refuses
        if any(map(_is_qualified, hints.values())):
            raise TypeError(error.message) from error
        return None
    may_lack_keys = any(not one.__total__ or _is_qualified(hints[one]) for one in hints)
    if not may_lack_keys and not is_recursive(schema):
        return None
    for one, fields in hints.items():
        found = schema if one is typed_dict else schema.get("$defs", {}).get(one.__name__, {})
        for name, hint in fields.items():
            _annotate(found, name, hint)
    return {**schema, "title": typed_dict.__name__}


def _typed_dicts_within(typed_dict: Any) -> dict[Any, dict[str, Any]]:
    """The class and all TypedDicts that its fields name, with their hints."""
    found: dict[Any, dict[str, Any]] = {}
    left: list[Any] = [typed_dict]
    while left:
        hint = left.pop()
        if is_typeddict(hint) and hint not in found:
            found[hint] = get_type_hints(hint, include_extras=True)
            left += found[hint].values()
        left += get_args(hint)
    return found


def _is_qualified(hints: Mapping[str, Any]) -> bool:
    return any(get_origin(hint) in _QUALIFIERS for hint in hints.values())


_QUALIFIERS = (Required, NotRequired, ReadOnly)


def _annotate(schema: dict[str, Any], name: str, hint: Any) -> None:
    """Puts the default and the description of an annotated field into the schema of its class."""
    while get_origin(hint) in _QUALIFIERS:
        (hint,) = get_args(hint)
    _, *annotations = get_args(hint) or (hint,)
    if name not in schema.get("properties", {}) or len(annotations) < _DESCRIBED:
        return
    default, description, *_ = annotations
    if not isinstance(description, str):
        return
    described = {**schema["properties"][name], "description": description}
    if default is not ...:
        described["default"] = default
        schema["required"] = [one for one in schema.get("required", ()) if one != name]
    schema["properties"][name] = described


_DESCRIBED = 2
"""Annotations of a field that has a default, or `...`, and a description."""


def _schema_of(given: Tool) -> Mapping[str, Any] | None:
    """The schema of a tool's arguments before langchain-core replaces its references."""
    if isinstance(given, BaseTool):
        schema: Any = given.tool_call_schema
    elif isinstance(given, Mapping):
        return None
    elif isinstance(given, type):
        schema = given
    else:
        schema = create_schema_from_function(
            given.__name__,
            given,
            filter_args=(),
            parse_docstring=True,
            error_on_invalid_docstring=False,
            include_injected=False,
        )
    if isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] | None = None
    if issubclass(schema, BaseModel):
        made = schema.model_json_schema()
    elif issubclass(schema, BaseModelV1):
        made = schema.schema()
    return made


def _no_function(given: Tool, what: str) -> InvalidParameter:
    return InvalidParameter(
        f"A tool cannot be read as a function: {what.rstrip('.')}. Sunra takes function tools "
        "only.",
        parameter="tools",
        value=given,
        rule="pydantic or TypedDict classes, functions, LangChain tools, or dicts",
    )


def _cache_control(given: Tool) -> Any:
    """Anthropic's mark for prompt caching, on a dict tool or in a LangChain tool's `extras`."""
    if isinstance(given, Mapping):
        return given.get("cache_control")
    extras = getattr(given, "extras", None) if isinstance(given, BaseTool) else None
    return extras.get("cache_control") if isinstance(extras, Mapping) else None
