"""Tools and answer formats, as LangChain users write them, in the wire's form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool
from pydantic import BaseModel

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol import tools as wire

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
        return dict(given)
    described = _described(given)
    function = described.get("function")
    if described.get("type") != "function" or not isinstance(function, Mapping):
        raise _no_function(given, f"a tool of type {described.get('type')!r}")
    if strict is None:
        made = dict(described)
    else:
        made = {
            **described,
            **wire.function_tool(
                str(function.get("name", "")),
                description=function.get("description"),
                parameters=function.get("parameters"),
                strict=strict,
            ),
        }
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
            `response_format` already, which is passed on (made strict-valid where `strict`).
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
                strict=strict,
            )


def _format_of_dict(schema: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    match schema:
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": Mapping()}}:
            return _named_format(schema["json_schema"], strict)
        case {"name": str(), "schema": Mapping()}:
            return _named_format(schema, strict)
        case {"type": str() as kind} if kind not in _SCHEMA_TYPES:
            return dict(schema)  # `json_object`, or a format this package has not heard of
        case _:
            name = str(schema.get("title") or "answer")
            return wire.json_schema_format(
                name, schema, description=schema.get("description"), strict=strict
            )


def _named_format(named: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    strict = named.get("strict") if strict is None else strict
    made = wire.json_schema_format(
        named["name"], named["schema"], description=named.get("description"), strict=strict
    )
    rest = {k: v for k, v in named.items() if k not in made["json_schema"]}
    return {**made, "json_schema": {**made["json_schema"], **rest}}


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
    if isinstance(given, type) and issubclass(given, BaseModel):
        return {"type": "function", "function": _model_function(given)}
    try:
        return convert_to_openai_tool(given)
    except (ValueError, TypeError) as error:
        raise _no_function(given, str(error)) from error


def _model_function(model: type[BaseModel]) -> dict[str, Any]:
    """A pydantic class by pydantic's own schema; core writes `$defs` out, which ends recursion."""
    schema = model.model_json_schema()
    function: dict[str, Any] = {"name": schema.pop("title", model.__name__)}
    description = schema.pop("description", None)
    if description:
        function["description"] = description
    return {**function, "parameters": schema}


def _function(schema: Tool) -> dict[str, Any]:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return _model_function(schema)
    try:
        if isinstance(schema, Mapping) and isinstance(schema.get("function"), Mapping):
            return convert_to_openai_function(dict(schema["function"]))
        return convert_to_openai_function(schema)
    except (ValueError, TypeError) as error:
        raise InvalidParameter(
            f"The schema cannot be read: {error}",
            parameter="schema",
            value=schema,
            rule="a pydantic or TypedDict class, or a JSON schema",
        ) from error


def _no_function(given: Tool, what: str) -> InvalidParameter:
    return InvalidParameter(
        f"A tool cannot be read as a function: {what}. Sunra takes function tools only.",
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
