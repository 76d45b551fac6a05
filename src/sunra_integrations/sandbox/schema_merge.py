"""Folds schemas that apply together (``allOf``, a reference with siblings) into one."""

import json
from collections.abc import Iterable
from typing import Any

from sunra_integrations.sandbox.json_schema import resolve
from sunra_integrations.sandbox.work import spend

# A chain of references that is longer than this leads in a circle.
_MOST_REFERENCES = 12
_PER_STEP = 32


def merged(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Schemas that all apply, as one: maps joined, lists of names united, the tighter bound."""
    whole: dict[str, Any] = {}
    for schema in schemas:
        spend(1 + len(whole.get("properties", ())) // _PER_STEP)
        for key, value in schema.items():
            whole[key] = _both(key, whole[key], value) if key in whole else value
    return whole


def _both(key: str, first: Any, second: Any) -> Any:
    match key, first, second:
        case "properties", dict(), dict():
            shared = {
                name: merged([first[name], second[name]])
                for name in first.keys() & second.keys()
                if isinstance(first[name], dict) and isinstance(second[name], dict)
            }
            return {**first, **second, **shared}
        case (("$defs" | "definitions"), dict(), dict()):
            return {**first, **second}
        case "required", list(), list():
            return [*first, *(name for name in second if name not in first)]
        case "enum", list(), list():
            allowed = set(map(_written, second))
            return [value for value in first if _written(value) in allowed]
        case (("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties"), _, _):
            return max(first, second)
        case (("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems"), _, _):
            return min(first, second)
        case "type", _, _:
            return _shared_type(first, second)
        case _:
            return second


def _written(value: Any) -> str:
    """A value as text that is equal for equal values; comparing all pairs would take too long."""
    return json.dumps(value, sort_keys=True)


def _shared_type(first: Any, second: Any) -> Any:
    firsts = first if isinstance(first, list) else [first]
    seconds = second if isinstance(second, list) else [second]
    if "integer" in firsts and "number" in seconds:
        return "integer"
    shared = [kind for kind in firsts if kind in seconds]
    return shared if len(shared) > 1 else next(iter(shared), second)


def flattened(root: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its reference followed, its ``allOf`` and an ``anyOf`` of one folded in.

    Args:
        root: Where references lead.
        schema: A schema within the root.
    """
    for _ in range(_MOST_REFERENCES):
        if "$ref" in schema:
            schema = _dereferenced(root, schema)
        elif len(schema.get("anyOf", ())) == 1 and isinstance(schema["anyOf"][0], dict):
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            schema = merged([_dereferenced(root, schema["anyOf"][0]), rest])
        elif "allOf" in schema:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = merged([rest, *(_dereferenced(root, part) for part in schema["allOf"])])
        else:
            break
    return schema


def _dereferenced(root: Any, part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {}
    if "$ref" not in part:
        return part
    target = resolve(root, part["$ref"])
    rest = {key: value for key, value in part.items() if key != "$ref"}
    return merged([target if isinstance(target, dict) else {}, rest])
