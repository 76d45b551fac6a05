"""Convert tools, tool choices and response formats, in any form that LangChain users write."""

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
from sunra_integrations.protocol import tools as api
from sunra_integrations.protocol.json_schema import inline_root, is_recursive

Tool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
"""A pydantic or TypedDict class, a function, a LangChain tool, or a dict: a JSON schema with a
title, an OpenAI function tool, or an Anthropic tool."""

_SCHEMA_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))

ToolChoice = str | bool | Mapping[str, Any] | None


def tool(given: Tool, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in the API's form. Tools that the server runs, such as `web_search`, are unchanged.

    Args:
        given: Any form of tool; see `Tool`.
        strict: Whether arguments must follow the schema, which is adapted to the strict rules.
            Defaults to the tool's own `strict`.

    Raises:
        InvalidParameter: It cannot be converted to a function tool, and is not one of the server.
    """
    if strict is None and _is_api_tool(given):
        return api.normalize_tool(given)
    if api.is_server_tool(given):
        return dict(given)
    cache_control = _cache_control(given)
    if cache_control and isinstance(given, Mapping):
        given = {name: value for name, value in given.items() if name != "cache_control"}
    described = _converted_tool(given)
    function = described.get("function")
    if described.get("type") != "function" or not isinstance(function, Mapping):
        raise _not_a_function(given, f"a tool of type {described.get('type')!r}")
    if strict is None:
        made = api.normalize_tool(described)
    else:
        strict_tool = api.function_tool(
            str(function.get("name", "")),
            description=function.get("description"),
            parameters=function.get("parameters"),
            strict=strict,
        )
        made = {**described, "function": {**function, **strict_tool["function"]}}
    return {**made, "cache_control": cache_control} if cache_control else made


def tool_choice(choice: ToolChoice, tools: Sequence[Mapping[str, Any]]) -> Any:
    """A tool choice in the API's form, from OpenAI's, LangChain's or Anthropic's.

    Args:
        choice: `auto`, `none`, `required` or `any`, a tool's name, True (required), False or None
            (not sent), or an object such as `{"type": "tool", "name": …}`.
        tools: The tools to choose from, in the API's form.

    Raises:
        InvalidParameter: It names a tool that is not among them.
    """
    match choice:
        case {"type": "tool", "name": str() as name}:
            return api.tool_choice(name, tools)
        case {"type": "any" | "auto" | "none" as word}:
            return api.tool_choice(str(word), tools)
        case _:
            return api.tool_choice(choice, tools)


def response_format(schema: Tool, *, strict: bool | None = None) -> dict[str, Any]:
    """The `response_format` for a schema.

    Args:
        schema: A pydantic or TypedDict class, or a dict: a JSON schema, an OpenAI function, or a
            `response_format`, which is sent unchanged unless `strict` differs.
        strict: Whether the response must follow the schema, which is adapted to the strict rules.

    Raises:
        InvalidParameter: It cannot be converted to a schema.
    """
    match schema:
        case Mapping() if not _is_function(schema):
            return _format_of_dict(schema, strict)
        case _:
            function = _converted_function(schema)
            return api.json_schema_format(
                function["name"],
                function.get("parameters") or {"type": "object", "properties": {}},
                description=function.get("description") or None,
                strict=function.get("strict") if strict is None else strict,
            )


def traced_schema(schema: Tool) -> Tool:
    """The schema in a form that langchain-core can convert for its traces.

    For a TypedDict class, core's conversion recurses without end if the class refers to itself, and
    raises for `NotRequired` (langchain-ai/langchain#34085).
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
            return dict(schema)  # `json_object`, or a format unknown here
        case _:
            title, description, _ = api.split_schema(schema)
            return api.json_schema_format(
                title or "answer", schema, description=description, strict=strict
            )


def _named_schema(named: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    """A named schema, unchanged unless it must be adapted to the strict rules.

    LangChain's `ProviderStrategy(strict=True)` sets `strict` without closing the schema.
    """
    strict = named.get("strict") if strict is None else strict
    is_closed = named["schema"].get("additionalProperties") is False
    if strict == named.get("strict") and (is_closed or not strict):
        return dict(named)
    made = api.json_schema_format(named["name"], named["schema"], strict=strict)
    return {**named, **made["json_schema"]}


def _is_function(schema: Mapping[str, Any]) -> bool:
    return bool({"parameters", "input_schema", "function", "toolSpec"} & schema.keys())


def _is_api_tool(given: Tool) -> TypeGuard[dict[str, Any]]:
    """Whether it is in the API's form already, as bound tools are."""
    return (
        isinstance(given, dict)
        and given.get("type") == "function"
        and isinstance(given.get("function"), dict)
    )


def _converted_tool(given: Tool) -> dict[str, Any]:
    try:
        return _converted(given)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _not_a_function(given, str(error)) from error


def _converted_function(schema: Tool) -> dict[str, Any]:
    inner = schema.get("function") if isinstance(schema, Mapping) else None
    try:
        function: dict[str, Any] = _converted(inner or schema)["function"]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidParameter(
            f"The schema cannot be converted: {error}",
            parameter="schema",
            value=schema,
            rule="a pydantic or TypedDict class, or a JSON schema",
        ) from error
    return function


def _converted(given: Tool) -> dict[str, Any]:
    """A tool as langchain-core converts it, but with recursive references.

    `convert_to_openai_tool` replaces references and so loses them (langchain-ai/langchain#30797).
    """
    if isinstance(given, Mapping) and given.get("type") == "function" and "name" in given:
        # A tool in the form of OpenAI's Responses API.
        given = {key: value for key, value in given.items() if key != "type"}
    function = _directly_converted(given)
    if function is not None:
        return {"type": "function", "function": function}
    made = convert_to_openai_tool(dict(given) if isinstance(given, Mapping) else given)
    schema = _arguments_schema(given)
    if schema is None or not is_recursive(schema):
        return made
    _, _, parameters = api.split_schema(schema)
    return {**made, "function": {**made["function"], "parameters": parameters}}


def _directly_converted(given: Tool) -> dict[str, Any] | None:
    """The function for a class or JSON schema that can be converted without langchain-core."""
    if isinstance(given, Mapping):
        return _function_of_schema(given) if _is_json_schema(given) else None
    if not isinstance(given, type):
        return None
    if issubclass(given, BaseModel):
        # langchain-core's `PydanticToolsParser` finds the class by this name.
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
    title, description, parameters = api.split_schema(schema)
    function: dict[str, Any] = {"name": title}
    if description:
        function["description"] = description
    return {**function, "parameters": parameters} if parameters else function


def _typed_dict_schema(typed_dict: type) -> dict[str, Any] | None:
    """Pydantic's schema, with LangChain's `Annotated[type, default, "description"]`.

    None if langchain-core converts the class correctly. It does not if the class refers to itself,
    or if keys may be missing: those it requires (langchain-ai/langchain#36490), or raises (#34085).
    """
    try:
        hints = _nested_typed_dicts(typed_dict)
    except NameError:
        return None
    try:
        schema = inline_root(TypeAdapter(typed_dict).json_schema())
    except PydanticUserError as error:  # `typing.TypedDict` before Python 3.12
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


def _nested_typed_dicts(typed_dict: Any) -> dict[Any, dict[str, Any]]:
    """The class and all TypedDicts in its fields, with their type hints."""
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
    """Adds the default and description of an annotated field to the schema of its class."""
    while get_origin(hint) in _QUALIFIERS:
        (hint,) = get_args(hint)
    _, *annotations = get_args(hint) or (hint,)
    if name not in schema.get("properties", {}) or len(annotations) < _WITH_DESCRIPTION:
        return
    default, description, *_ = annotations
    if not isinstance(description, str):
        return
    described = {**schema["properties"][name], "description": description}
    if default is not ...:
        described["default"] = default
        schema["required"] = [one for one in schema.get("required", ()) if one != name]
    schema["properties"][name] = described


_WITH_DESCRIPTION = 2
"""The number of annotations of a field with a default, or `...`, and a description."""


def _arguments_schema(given: Tool) -> Mapping[str, Any] | None:
    """The schema of a tool's arguments, with its references."""
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


def _not_a_function(given: Tool, what: str) -> InvalidParameter:
    return InvalidParameter(
        f"A tool cannot be converted to a function tool: {what.rstrip('.')}.",
        parameter="tools",
        value=given,
        rule="pydantic or TypedDict classes, functions, LangChain tools, or dicts",
    )


def _cache_control(given: Tool) -> Any:
    """Anthropic's prompt caching marker, from a dict tool or a LangChain tool's `extras`."""
    if isinstance(given, Mapping):
        return given.get("cache_control")
    extras = getattr(given, "extras", None) if isinstance(given, BaseTool) else None
    return extras.get("cache_control") if isinstance(extras, Mapping) else None
