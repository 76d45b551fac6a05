"""Makes values of a JSON Schema from the words of a text, valid if possible."""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from sunra_integrations.sandbox.contract.json_schema import count_steps, is_valid, resolve
from sunra_integrations.sandbox.rule_based.scalar_values import (
    ENTITY_BY_FORMAT,
    EXAMPLE_BY_FORMAT,
    is_in_format,
    number_in_range,
    parse_number,
    string_matching,
)
from sunra_integrations.sandbox.rule_based.value_candidates import ValueCandidates

_MAX_DEPTH = 100
# From this depth on, values are kept short: null before objects, no optional items.
_SHORT_FROM_DEPTH = 6
_MAX_ITEMS = 200
_MAX_VALUES = 5_000
_MAX_STRING = 20_000
_MAX_WORDS = 200
_CHARACTERS_PER_STEP = 1_000
_PROPERTIES_PER_STEP = 32
_ABSENT = object()


def make_value(schema: Any, candidates: ValueCandidates) -> Any:
    """A value of a schema, made of what a text mentions.

    It is valid if this module can make a valid value. Otherwise it is the closest attempt, for
    example for a schema that has no valid value.

    Args:
        schema: A JSON Schema (draft 2020-12) whose references point within it.
        candidates: Where values come from. They are marked as used.
    """
    root = schema if isinstance(schema, dict) else {}
    value = _ValueMaker(root, candidates).value(schema, "", 0)
    if is_valid(value, schema, root):
        return value
    plain = _ValueMaker(root, ValueCandidates("")).value(schema, "", 0)
    return plain if is_valid(plain, schema, root) else value


class _ValueMaker:
    """Makes values of schemas whose references point into one root."""

    def __init__(self, root: dict[str, Any], candidates: ValueCandidates) -> None:
        self._root = root
        self._candidates = candidates
        self._values_left = _MAX_VALUES

    def value(self, schema: Any, name: str, depth: int, *, optional: bool = False) -> Any:
        """A value, or `_ABSENT` for an optional property that the text does not mention."""
        self._values_left -= 1
        count_steps(1 + len(self._candidates.text) // _CHARACTERS_PER_STEP)
        if self._values_left < 0:
            return _ABSENT if optional else None
        schema = _flattened(self._root, schema if isinstance(schema, dict) else {})
        if "const" in schema:
            return _ABSENT if optional else schema["const"]
        if "enum" in schema:
            return self._option(schema, optional=optional)
        if "anyOf" in schema or "oneOf" in schema:
            return self._alternative(schema, name, depth, optional=optional)
        match _type_of(schema):
            case "object":
                return self._object(schema, depth, optional=optional)
            case "array":
                return self._array(schema, name, depth, optional=optional)
            case "integer" | "number" as kind:
                return self._number(schema, name, whole=kind == "integer", optional=optional)
            case "boolean":
                found = self._candidates.boolean(name)
                return _default(schema, False, optional=optional) if found is None else found
            case "null":
                return _ABSENT if optional else None
            case _:
                return self._string(schema, name, optional=optional)

    def _option(self, schema: dict[str, Any], *, optional: bool) -> Any:
        # Without the enum, which allows each of its own values.
        others = {key: value for key, value in schema.items() if key != "enum"}
        options = [value for value in schema["enum"] if is_valid(value, others, self._root)]
        for value in options:
            if isinstance(value, str) and self._candidates.mentions(value):
                return value
        numbers = {entity.text for entity in self._candidates.unused("number")}
        for value in options:
            if isinstance(value, int | float) and str(value) in numbers:
                return value
        first = next((value for value in options if value is not None), None)
        return _default(schema, first, optional=optional)

    def _alternative(self, schema: dict[str, Any], name: str, depth: int, *, optional: bool) -> Any:
        """The first alternative with a valid value. Null comes last."""
        key = "anyOf" if "anyOf" in schema else "oneOf"
        rest = {other: value for other, value in schema.items() if other != key}
        options = [_flattened(self._root, part) for part in schema[key] if isinstance(part, dict)]
        options.sort(key=lambda part: (part.get("type") == "null", self._nests(part, depth)))
        made: Any = None
        for option in options:
            inherited = {k: v for k, v in rest.items() if k != "default" or optional is False}
            merged = _merged([option, inherited])
            made = self.value(merged, name, depth + 1, optional=optional)
            if made is _ABSENT:
                return _ABSENT
            if is_valid(made, schema, self._root):
                return made
        return _default(schema, made, optional=optional)

    def _nests(self, schema: dict[str, Any], depth: int) -> bool:
        """Whether a schema goes deeper at a depth where values are kept short."""
        return depth > _SHORT_FROM_DEPTH and _type_of(schema) in {"object", "array"}

    # ── objects ──────────────────────────────────────────────────────────────

    def _object(self, schema: dict[str, Any], depth: int, *, optional: bool) -> Any:
        properties: dict[str, Any] = schema.get("properties", {})
        required = [name for name in schema.get("required", []) if isinstance(name, str)]
        if depth > _MAX_DEPTH:
            return {}
        made: dict[str, Any] = {}
        for name in required:
            made[name] = self.value(self._property(schema, name), name, depth + 1)
        for name, inner in properties.items():
            if name not in made and depth <= _SHORT_FROM_DEPTH:
                value = self.value(inner, name, depth + 1, optional=True)
                if value is not _ABSENT:
                    made[name] = value
        if optional and not any(name in properties for name in made):
            return _ABSENT
        self._add_properties(schema, made, depth)
        return {name: made[name] for name in [*properties, *made] if name in made}

    def _property(self, schema: dict[str, Any], name: str) -> Any:
        if name in schema.get("properties", {}):
            return schema["properties"][name]
        return schema.get("additionalProperties", {})

    def _add_properties(self, schema: dict[str, Any], made: dict[str, Any], depth: int) -> None:
        """Adds properties up to ``minProperties``, first named ones, then invented ones."""
        wanted = min(schema.get("minProperties", 0), _MAX_ITEMS)
        invented = (f"key{number}" for number in itertools.count(1))
        for name in itertools.chain(schema.get("properties", {}), invented):
            if len(made) >= wanted:
                return
            if name not in made:
                made[name] = self.value(self._property(schema, name), name, depth + 1)

    # ── arrays ───────────────────────────────────────────────────────────────

    def _array(self, schema: dict[str, Any], name: str, depth: int, *, optional: bool) -> Any:
        if optional and depth > 0 and not self._candidates.boolean(name):
            return _ABSENT
        min_items = min(int(schema.get("minItems", 0)), _MAX_ITEMS)
        max_items = min(int(schema.get("maxItems", _MAX_ITEMS)), _MAX_ITEMS)
        first = [self.value(part, name, depth + 1) for part in schema.get("prefixItems", ())]
        item = schema.get("items", {})
        if depth > _MAX_DEPTH or item is False:
            return first[:max_items]
        rest = self._items(item, name, depth, max(min_items - len(first), 0))
        items = [*first, *rest][:max_items]
        return _distinct(items, min_items) if schema.get("uniqueItems") else items

    def _items(self, item: Any, name: str, depth: int, min_items: int) -> list[Any]:
        """As many items as the text mentions, and at least ``min_items``."""
        flat = _flattened(self._root, item) if isinstance(item, dict) else {}
        options = self._mentioned_options(flat)
        if options and len(options) >= min_items:
            return options
        kind = _type_of(flat)
        too_deep = depth > _SHORT_FROM_DEPTH and bool({"anyOf", "oneOf"} & set(flat))
        found: list[Any] = []
        count = min_items
        if kind in {"integer", "number"}:
            count = max(min_items, len(self._candidates.unused("number")))
        elif kind == "string" and not {"format", "pattern"} & set(flat) and not too_deep:
            texts = self._candidates.list_items()
            found = [text for text in texts if is_valid(text, flat, self._root)]
            count = max(min_items, 1)
        elif depth <= _SHORT_FROM_DEPTH:
            count = max(min_items, 1)
        missing = range(len(found), min(count, _MAX_ITEMS))
        return [*found, *(self.value(item, name, depth + 1) for _ in missing)]

    def _mentioned_options(self, item: dict[str, Any]) -> list[Any]:
        options = item.get("enum", ())
        return [v for v in options if isinstance(v, str) and self._candidates.mentions(v)]

    # ── numbers and strings ──────────────────────────────────────────────────

    def _number(self, schema: dict[str, Any], name: str, *, whole: bool, optional: bool) -> Any:
        description = str(schema.get("description", ""))
        for text in self._candidates.numbers(name, description, optional=optional):
            value = parse_number(text, whole=whole)
            if value is not None and is_valid(value, schema, self._root):
                self._candidates.mark_used(text)
                return value
        return _default(schema, number_in_range(schema, whole=whole), optional=optional)

    def _string(self, schema: dict[str, Any], name: str, *, optional: bool) -> Any:
        description = f"{schema.get('title', '')} {schema.get('description', '')}"
        for text in self._strings(schema, name, description, optional=optional):
            if is_valid(text, schema, self._root):
                self._candidates.mark_used(text)
                return text
        return _default(schema, self._invented_string(schema, name), optional=optional)

    def _strings(
        self, schema: dict[str, Any], name: str, description: str, *, optional: bool
    ) -> Iterable[str]:
        """Candidates from the text for a string. A format takes only entities of its kind."""
        kind = ENTITY_BY_FORMAT.get(schema.get("format", ""))
        if kind or schema.get("format") in EXAMPLE_BY_FORMAT:
            found = self._candidates.unused(kind or "quoted")
            return (entity.text for entity in found if is_in_format(entity.text))
        offered = self._candidates.strings(name, description, optional=optional)
        if "pattern" in schema and not optional:
            return itertools.chain(offered, self._candidates.text.split()[:_MAX_WORDS])
        return offered

    def _invented_string(self, schema: dict[str, Any], name: str) -> str:
        """A string by format, by pattern, or of words cut or repeated to length."""
        if schema.get("format") in EXAMPLE_BY_FORMAT:
            return EXAMPLE_BY_FORMAT[schema["format"]]
        matching = string_matching(schema["pattern"]) if "pattern" in schema else None
        offered = next(iter(self._candidates.strings(name, "", optional=False)), "")
        text = (offered or name or "text") if matching is None else matching
        min_length = min(int(schema.get("minLength", 0)), _MAX_STRING)
        max_length = int(schema.get("maxLength", _MAX_STRING))
        if 0 < len(text) < min_length:
            text = (text * (min_length // len(text) + 1))[:min_length]
        return text[:max_length]


def _default(schema: dict[str, Any], plain: Any, *, optional: bool) -> Any:
    """The value if the text offers none: absent if optional, the default, or a plain value."""
    if optional:
        return _ABSENT
    default = schema.get("default", _ABSENT)
    return plain if default is _ABSENT else default


def _distinct(items: list[Any], min_items: int) -> list[Any]:
    """Items without duplicates. If too few are left, variations of the duplicates are added."""
    kept: list[Any] = []
    for item in items:
        if item not in kept:
            kept.append(item)
        elif len(kept) < min_items:
            kept.extend(itertools.islice(_variations(item, kept), 1))
    return kept


def _variations(item: Any, taken: list[Any]) -> Iterator[Any]:
    for number in range(1, _MAX_ITEMS + 1):
        match item:
            case bool():
                other: Any = not item
            case int() | float():
                other = item + number
            case str():
                other = f"{item} {number}"
            case _:
                return
        if other not in taken:
            yield other


# ── reading schemas ──────────────────────────────────────────────────────────

# A longer chain of references is a cycle.
_MAX_REFERENCES = 12

_TYPE_BY_KEYWORD = {
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


def _type_of(schema: dict[str, Any]) -> str:
    """The first type other than null, or the type that the keywords imply, or string."""
    match schema.get("type"):
        case str(kind):
            return kind
        case [*kinds]:
            return next((kind for kind in kinds if kind != "null"), "null")
        case _:
            implied = (kind for keyword, kind in _TYPE_BY_KEYWORD.items() if keyword in schema)
            return next(implied, "string")


def _flattened(root: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference, its ``allOf`` and an ``anyOf`` of one merged into it."""
    for _ in range(_MAX_REFERENCES):
        if "$ref" in schema:
            schema = _dereferenced(root, schema)
        elif len(schema.get("anyOf", ())) == 1 and isinstance(schema["anyOf"][0], dict):
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            schema = _merged([_dereferenced(root, schema["anyOf"][0]), rest])
        elif "allOf" in schema:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = _merged([rest, *(_dereferenced(root, part) for part in schema["allOf"])])
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
    return _merged([target if isinstance(target, dict) else {}, rest])


def _merged(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One schema for several that all apply."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        count_steps(1 + len(merged.get("properties", ())) // _PROPERTIES_PER_STEP)
        for key, value in schema.items():
            merged[key] = _merged_keyword(key, merged[key], value) if key in merged else value
    return merged


def _merged_keyword(key: str, first: Any, second: Any) -> Any:
    match key, first, second:
        case "properties", dict(), dict():
            shared = {
                name: _merged([first[name], second[name]])
                for name in first.keys() & second.keys()
                if isinstance(first[name], dict) and isinstance(second[name], dict)
            }
            return {**first, **second, **shared}
        case (("$defs" | "definitions"), dict(), dict()):
            return {**first, **second}
        case "required", list(), list():
            return [*first, *(name for name in second if name not in first)]
        case "enum", list(), list():
            allowed = set(map(_canonical, second))
            return [value for value in first if _canonical(value) in allowed]
        case (("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties"), _, _):
            return max(first, second)
        case (("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems"), _, _):
            return min(first, second)
        case "type", _, _:
            return _shared_type(first, second)
        case _:
            return second


def _canonical(value: Any) -> str:
    """The same text for equal values: hashing it is faster than comparing all pairs."""
    return json.dumps(value, sort_keys=True)


def _shared_type(first: Any, second: Any) -> Any:
    firsts = first if isinstance(first, list) else [first]
    seconds = second if isinstance(second, list) else [second]
    if "integer" in firsts and "number" in seconds:
        return "integer"
    shared = [kind for kind in firsts if kind in seconds]
    return shared if len(shared) > 1 else next(iter(shared), second)
