"""The type of value a schema asks for, where it says so and where it only implies it."""

from typing import Any

_BY_KEYWORD = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}


def kind_of(schema: dict[str, Any]) -> str:
    """The first type named that is not null, else the one its keywords imply, else a string."""
    match schema.get("type"):
        case str(kind):
            return kind
        case [*kinds]:
            return next((kind for kind in kinds if kind != "null"), "null")
        case _:
            found = (kind for keyword, kind in _BY_KEYWORD.items() if keyword in schema)
            return next(found, "string")
