"""Parts of the schemas that describe what the sandbox sends."""

from collections.abc import Sequence

from sunra_integrations.sandbox.contract.checks import Schema


def object_schema(optional: Sequence[str] = (), /, **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def list_schema(item: Schema) -> Schema:
    """A list of these items."""
    return {"type": "array", "items": item}


def nullable_schema(schema: Schema) -> Schema:
    """Null, or a value of this schema."""
    return {"anyOf": [schema, NULL]}


NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SANDBOX: Schema = {"const": "sandbox"}

TOKEN: dict[str, Schema] = {
    "token": TEXT,
    "logprob": {"type": "number", "maximum": 0},
    "bytes": list_schema({"type": "integer", "minimum": 0, "maximum": 255}),
}
"""The keys of a token with its log probability."""
