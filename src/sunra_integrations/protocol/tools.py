"""Function tools, tool choice and JSON-schema formats, as the wire wants them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sunra_integrations.errors import InvalidParameter

Schema = dict[str, Any]

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
        description: What it does, for the model; left out where there is none.
        parameters: JSON schema of its arguments; None means it takes none.
        strict: Ask that arguments keep to the schema, which is made strict-valid for it.
    """
    schema = dict(parameters or _NO_PARAMETERS)
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    function["parameters"] = strict_schema(schema) if strict else schema
    if strict is not None:
        function["strict"] = strict
    return {"type": "function", "function": function}


def tool_name(tool: Mapping[str, Any]) -> str:
    """The name of a function tool in the wire's form."""
    function = tool.get("function")
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def tool_choice(
    choice: str | bool | Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]]
) -> str | dict[str, Any] | None:
    """A tool choice, however a framework spells it, as the wire wants it.

    Args:
        choice: `"auto"`, `"none"`, `"required"`; `"any"` or True for required; False or None for
            nothing said; a tool's name; or an object, passed on as it is.
        tools: The tools it chooses among, in the wire's form.

    Raises:
        InvalidParameter: It names a tool that is not among them.
    """
    match choice:
        case None | False:
            return None
        case True | "any" | "required":
            return "required"
        case "auto" | "none":
            return choice
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
    """A `response_format` that asks for JSON of this schema, made strict-valid where `strict`."""
    json_schema: dict[str, Any] = {"name": name}
    if description:
        json_schema["description"] = description
    json_schema["schema"] = strict_schema(schema) if strict else dict(schema)
    if strict is not None:
        json_schema["strict"] = strict
    return {"type": "json_schema", "json_schema": json_schema}


def strict_schema(schema: Mapping[str, Any]) -> Schema:
    """A copy of a schema that a strict server accepts.

    Every object closes (`additionalProperties: false`) and requires all its properties, nested
    ones and `$defs` included; `oneOf` becomes `anyOf`, a `$ref` with siblings is written out, and
    defaults go, since a strict answer leaves nothing out.

    Raises:
        InvalidParameter: An object is open by design (a free-form dict), which strict mode cannot
            express; the message names its place.
    """
    root = copy.deepcopy(dict(schema))
    strict: Schema = _strict(root, root, "schema")
    return strict


def _strict(node: Any, root: Schema, place: str) -> Any:
    if not isinstance(node, dict):
        return node
    if "$ref" in node and len(node) > 1:
        target = copy.deepcopy(_resolve(node.pop("$ref"), root, place))
        return _strict({**target, **node}, root, place)
    node.pop("default", None)
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")
        node.pop("discriminator", None)
    if node.get("type") == "object" or "properties" in node:
        _close(node, place)
    for key, value in node.items():
        node[key] = _strict_below(key, value, root, place)
    return node


def _strict_below(key: str, value: Any, root: Schema, place: str) -> Any:
    """The value of a schema keyword, with the schemas it holds made strict."""
    match key, value:
        case ("properties" | "$defs" | "definitions", dict()):
            return {name: _strict(one, root, f"{place}.{name}") for name, one in value.items()}
        case ("anyOf" | "allOf" | "prefixItems", list()):
            return [_strict(one, root, f"{place}.{key}[{i}]") for i, one in enumerate(value)]
        case ("items", dict()):
            return _strict(value, root, f"{place}[]")
        case _:
            return value


def _close(node: Schema, place: str) -> None:
    rest = node.get("additionalProperties")
    if isinstance(rest, dict) or (rest is True and not node.get("properties")):
        raise InvalidParameter(
            f"`{place}` is a free-form object, which strict mode cannot express. "
            "Give its properties names, or leave strict off.",
            parameter=place,
            value=rest,
            rule="with strict=True every object names all its properties",
        )
    node["additionalProperties"] = False
    node["required"] = list(node.setdefault("properties", {}))


def _resolve(reference: str, root: Schema, place: str) -> Schema:
    target: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise InvalidParameter(
            f"`{place}` refers to {reference}, which the schema does not hold.",
            parameter=place,
            value=reference,
            rule="a `$ref` points into the schema itself",
        )
    return target


def _check_named(choice: Mapping[str, Any], tools: Iterable[Mapping[str, Any]]) -> None:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    names = [tool_name(tool) for tool in tools]
    if isinstance(name, str) and name not in names:
        raise InvalidParameter(
            f"`tool_choice` names {name!r}, which is not among the tools "
            f"({', '.join(names) or 'there are none'}).",
            parameter="tool_choice",
            value=name,
            rule="'none', 'auto', 'required', or the name of a bound tool",
        )
