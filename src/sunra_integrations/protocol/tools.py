"""Function tools, tool choice and JSON-schema formats in the form of the API."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeGuard

from pydantic import SecretStr

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.json_schema import (
    inline_root,
    strict_schema,
    valid_name,
    with_object_root,
)

__all__ = [
    "function_tool",
    "json_schema_format",
    "tool_choice",
]

_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


def function_tool(
    name: str,
    *,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    strict: bool | None = None,
) -> dict[str, Any]:
    """A function tool: `{"type": "function", "function": {…}}`.

    Args:
        name: The function's name.
        description: Description for the model.
        parameters: JSON schema of the arguments. Defaults to no arguments.
        strict: Whether arguments must follow the schema. True makes the schema strict first; see
            `strict_schema`.
    """
    schema = parameters or _NO_PARAMETERS
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    function["parameters"] = _strict_schema(schema, name) if strict else with_object_root(schema)
    if strict is not None:
        function["strict"] = strict
    return {"type": "function", "function": function}


def split_schema(schema: Mapping[str, Any]) -> tuple[str | None, str | None, dict[str, Any]]:
    """A schema's title, its description, and the rest, because each is sent only once."""
    rest = inline_root(schema)
    title, description = rest.pop("title", None), rest.pop("description", None)
    return (
        title if isinstance(title, str) else None,
        description if isinstance(description, str) else None,
        rest,
    )


def normalize_tool(given: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in the form of the API, with an object at the root of its parameters."""
    function = given.get("function")
    parameters = function.get("parameters") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(parameters, Mapping):
        return dict(given)
    return {**given, "function": {**function, "parameters": with_object_root(parameters)}}


def is_server_tool(given: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is a tool that the server runs, such as `{"type": "web_search"}`."""
    if not isinstance(given, Mapping) or "input_schema" in given:  # Anthropic's `custom` tools
        return False
    kind = given.get("type")
    return isinstance(kind, str) and kind not in _TYPES_OF_FUNCTIONS


_TYPES_OF_FUNCTIONS = frozenset(
    ("function", "object", "array", "string", "number", "integer", "boolean", "null")
)
"""The types of function tools, and of JSON schemas, which frameworks accept as tools."""


def check_chat_tools(tools: Sequence[Mapping[str, Any]]) -> None:
    """Rejects tools that chat completions do not have.

    Raises:
        InvalidParameter: A tool is not defined by a `function` or, in OpenAI's form, `custom`.
    """
    for index, tool in enumerate(tools):
        defined = tool.get("function", tool.get("custom"))
        if is_server_tool(tool) and not isinstance(defined, Mapping):
            raise InvalidParameter(
                f"`tools[{index}]` is a tool of type {tool['type']!r}, which api='chat' does not "
                "accept. Use api='responses', or function tools.",
                parameter="tools",
                value=tool["type"],  # the tool itself can contain the token of an MCP server
                rule="function tools, unless api='responses'",
            )


def tool_name(tool: Mapping[str, Any]) -> str:
    """The name of a function tool in the form of the API."""
    function = tool.get("function")
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def tool_choice(
    choice: str | bool | Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]]
) -> Literal["auto", "none", "required"] | dict[str, Any] | None:
    """A tool choice in the form of the API, from any form that a framework uses.

    Args:
        choice: `"auto"`, `"none"` or `"required"`. `"any"` and True mean required, False and None
            mean no choice. Otherwise the name of a tool or the type of one that the server runs, or
            a dict, which is passed unchanged.
        tools: The tools, in the form of the API.

    Raises:
        InvalidParameter: The named tool is not one of them.
    """
    match choice:
        case None | False:
            return None
        case True | "any" | "required":
            return "required"
        case "auto" | "none":
            return choice
        case str() if any(is_server_tool(tool) and tool["type"] == choice for tool in tools):
            return {"type": choice}
        case str():
            named: dict[str, Any] = {"type": "function", "function": {"name": choice}}
        case Mapping():
            named = dict(choice)
    _check_named(named, tools)
    return named


def json_schema_format(
    name: str,
    schema: Mapping[str, Any],
    *,
    description: str | None = None,
    strict: bool | None = None,
) -> dict[str, Any]:
    """A `response_format` for JSON of this schema.

    Args:
        name: The name of the format.
        schema: The JSON schema.
        description: Description for the model.
        strict: Whether the reply must follow the schema. True makes the schema strict first; see
            `strict_schema`.
    """
    json_schema: dict[str, Any] = {"name": name}
    if description:
        json_schema["description"] = description
    json_schema["schema"] = _strict_schema(schema, name) if strict else with_object_root(schema)
    if strict is not None:
        json_schema["strict"] = strict
    return {"type": "json_schema", "json_schema": json_schema}


def _strict_schema(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The schema made strict. The error names the tool, because there may be several."""
    try:
        return strict_schema(schema)
    except InvalidParameter as error:
        raise InvalidParameter(
            f"In {name!r}, {error}", parameter=error.parameter, value=error.value, rule=error.rule
        ) from None


def _check_named(choice: Mapping[str, Any], tools: Iterable[Mapping[str, Any]]) -> None:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    names = [tool_name(tool) for tool in tools]
    if isinstance(name, str) and name not in names:
        raise InvalidParameter(
            f"`tool_choice` names {name!r}, which is not one of the tools "
            f"({', '.join(names) or 'there are none'}).",
            parameter="tool_choice",
            value=name,
            rule="'none', 'auto', 'required', or the name of a bound tool",
        )


# ── secrets in tools that the server runs ────────────────────────────────────

Read = Callable[[SecretStr], str]


def with_secrets(tools: Any, read: Read) -> Any:
    """A list of tools with their secrets as text. Function tools have none.

    Args:
        tools: The tools. Anything else is returned as it is.
        read: `SecretStr.get_secret_value`, or `str` for the text that hides them.
    """
    if not may_have_secrets(tools):
        return tools
    return [_as_text(tool, read) if _is_not_function(tool) else tool for tool in tools]


def may_have_secrets(tools: Any) -> TypeGuard[Sequence[Any]]:
    """Whether a list of tools has others than functions. This is fast, because all calls ask."""
    return isinstance(tools, (list, tuple)) and any(map(_is_not_function, tools))


def _is_not_function(tool: Any) -> bool:
    return tool.get("type") != "function" if isinstance(tool, dict) else isinstance(tool, Mapping)


def _as_text(value: Any, read: Read) -> Any:
    match value:
        case SecretStr():
            return read(value)
        case Mapping():
            return {name: _as_text(one, read) for name, one in value.items()}
        case list() | tuple():
            return [_as_text(one, read) for one in value]
        case _:
            return value


def tool_secrets(tools: Any) -> list[SecretStr]:
    """The secrets of a list of tools, as `with_secrets` finds them."""
    if not may_have_secrets(tools):
        return []
    return [secret for tool in tools if _is_not_function(tool) for secret in secrets_in(tool)]


def secrets_in(value: Any) -> Iterator[SecretStr]:
    """The secrets anywhere in dicts and lists, in their order."""
    match value:
        case SecretStr():
            yield value
        case Mapping():
            for one in value.values():
                yield from secrets_in(one)
        case list() | tuple():
            for one in value:
                yield from secrets_in(one)
        case _:
            pass


# ── valid names ──────────────────────────────────────────────────────────────


def with_valid_names(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a request with valid names of tools, formats, calls and participants.

    Only what needs another name is copied. `own_tool_names` maps back to the original names. A
    format's schema that is a bare `$ref`, as that of a recursive class is, gets an inlined root.
    """
    changed: dict[str, Any] = {
        "messages": _map_changed(body["messages"], _message_with_valid_names)
    }
    if body.get("tools"):
        changed["tools"] = _map_changed(body["tools"], _function_with_valid_name)
    if "tool_choice" in body:
        changed["tool_choice"] = _function_with_valid_name(body["tool_choice"])
    match body.get("response_format"):
        case {"json_schema": {"name": str()} as named, **rest}:
            changed["response_format"] = {
                **rest,
                "json_schema": _with_inlined_root(_with_valid_name(named)),
            }
        case _:
            pass
    return {**body, **changed}


def own_tool_names(tools: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The original name of each tool by the name it is sent under. Empty if no name changes."""
    names = {valid_name(name): name for name in map(tool_name, tools) if name}
    return names if any(sent != own for sent, own in names.items()) else {}


def _map_changed(given: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    made = [convert(one) for one in given]
    return given if all(map(operator.is_, made, given)) else made


def _message_with_valid_names(message: dict[str, Any]) -> dict[str, Any]:
    if "tool_calls" not in message and "name" not in message:
        return message
    named: dict[str, Any] = _with_valid_name(message)
    calls = named.get("tool_calls")
    if not isinstance(calls, list):
        return named
    made = _map_changed(calls, _function_with_valid_name)
    return named if made is calls else {**named, "tool_calls": made}


def _function_with_valid_name(given: Any) -> Any:
    """A tool, a tool call or a tool choice, with a valid function name."""
    function = given.get("function") if isinstance(given, Mapping) else None
    if not isinstance(function, Mapping) or given.get("type", "function") != "function":
        return given  # names of Moonshot's `builtin_function`s contain a `$`
    made = _with_valid_name(function)
    return given if made is function else {**given, "function": made}


def _with_inlined_root(named: dict[str, Any]) -> dict[str, Any]:
    schema = named.get("schema")
    if not isinstance(schema, Mapping) or "$ref" not in schema:
        return named
    return {**named, "schema": inline_root(schema)}


def _with_valid_name(named: Any) -> Any:
    name = named.get("name")
    if not name or not isinstance(name, str) or valid_name(name) == name:
        return named
    return {**named, "name": valid_name(name)}
