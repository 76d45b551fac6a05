"""Makes values of a JSON Schema from the words of a text, valid wherever that can be had."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from sunra_integrations.sandbox.json_schema import fits
from sunra_integrations.sandbox.pattern_text import matching
from sunra_integrations.sandbox.schema_formats import FORMATS, SPOKEN_FORMATS, is_written_strictly
from sunra_integrations.sandbox.schema_kind import kind_of
from sunra_integrations.sandbox.schema_merge import flattened, merged
from sunra_integrations.sandbox.schema_numbers import in_range, parsed
from sunra_integrations.sandbox.supply import Supply
from sunra_integrations.sandbox.work import spend

_DEEPEST = 100
# From here on, what may end does: null before objects, no item that need not be.
_DEEP_ENOUGH = 6
_MOST_ITEMS = 200
_MOST_VALUES = 5_000
_LONGEST_TEXT = 20_000
_PER_STEP = 1_000  # characters that are looked through for each value
_ABSENT = object()


def instance(schema: Any, supply: Supply) -> Any:
    """A value of a schema, filled with what the supply's text mentions.

    Valid whenever these means can make it so; the nearest try where they cannot, as with a
    schema that nothing satisfies.

    Args:
        schema: A JSON Schema (draft 2020-12), references within itself only.
        supply: Where the words come from; it is used up on the way.
    """
    root = schema if isinstance(schema, dict) else {}
    filled = _Maker(root, supply).value(schema, "", 0)
    if fits(filled, schema, root):
        return filled
    plain = _Maker(root, Supply("")).value(schema, "", 0)
    return plain if fits(plain, schema, root) else filled


class _Maker:
    """Makes values of schemas whose references lead into one root."""

    def __init__(self, root: dict[str, Any], supply: Supply) -> None:
        self._root = root
        self._supply = supply
        self._left = _MOST_VALUES

    def value(self, schema: Any, name: str, depth: int, *, optional: bool = False) -> Any:
        """A value, or `_ABSENT` for an optional property the text says nothing about."""
        self._left -= 1
        spend(1 + len(self._supply.text) // _PER_STEP)
        if self._left < 0:
            return _ABSENT if optional else None
        schema = flattened(self._root, schema if isinstance(schema, dict) else {})
        if "const" in schema:
            return _ABSENT if optional else schema["const"]
        if "enum" in schema:
            return self._option(schema, optional=optional)
        if "anyOf" in schema or "oneOf" in schema:
            return self._alternative(schema, name, depth, optional=optional)
        match kind_of(schema):
            case "object":
                return self._object(schema, depth, optional=optional)
            case "array":
                return self._array(schema, name, depth, optional=optional)
            case "integer" | "number" as kind:
                return self._number(schema, name, whole=kind == "integer", optional=optional)
            case "boolean":
                said = self._supply.flag(name)
                return _fallback(schema, False, optional=optional) if said is None else said
            case "null":
                return _ABSENT if optional else None
            case _:
                return self._string(schema, name, optional=optional)

    def _option(self, schema: dict[str, Any], *, optional: bool) -> Any:
        # Without the enum itself, which each of its own values is in.
        others = {key: value for key, value in schema.items() if key != "enum"}
        options = [value for value in schema["enum"] if fits(value, others, self._root)]
        for value in options:
            if isinstance(value, str) and self._supply.mentioned(value):
                return value
        numbers = {mention.text for mention in self._supply.unused("number")}
        for value in options:
            if isinstance(value, int | float) and str(value) in numbers:
                return value
        first = next((value for value in options if value is not None), None)
        return _fallback(schema, first, optional=optional)

    def _alternative(self, schema: dict[str, Any], name: str, depth: int, *, optional: bool) -> Any:
        """The first alternative whose value fits the whole; null last."""
        key = "anyOf" if "anyOf" in schema else "oneOf"
        rest = {other: value for other, value in schema.items() if other != key}
        options = [flattened(self._root, part) for part in schema[key] if isinstance(part, dict)]
        options.sort(key=lambda part: (part.get("type") == "null", self._is_deep(part, depth)))
        made: Any = None
        for option in options:
            inherits = {k: v for k, v in rest.items() if k != "default" or optional is False}
            made = self.value(merged([option, inherits]), name, depth + 1, optional=optional)
            if made is _ABSENT:
                return _ABSENT
            if fits(made, schema, self._root):
                return made
        return _fallback(schema, made, optional=optional)

    def _is_deep(self, schema: dict[str, Any], depth: int) -> bool:
        """Whether a schema would lead further down where it is time to come to an end."""
        return depth > _DEEP_ENOUGH and kind_of(schema) in {"object", "array"}

    def _object(self, schema: dict[str, Any], depth: int, *, optional: bool) -> Any:
        properties: dict[str, Any] = schema.get("properties", {})
        required = [name for name in schema.get("required", []) if isinstance(name, str)]
        if depth > _DEEPEST:
            return {}
        made: dict[str, Any] = {}
        for name in required:
            made[name] = self.value(self._property(schema, name), name, depth + 1)
        for name, inner in properties.items():
            if name not in made and depth <= _DEEP_ENOUGH:
                value = self.value(inner, name, depth + 1, optional=True)
                if value is not _ABSENT:
                    made[name] = value
        if optional and not any(name in properties for name in made):
            return _ABSENT
        self._fill_up(schema, made, depth)
        return {name: made[name] for name in [*properties, *made] if name in made}

    def _property(self, schema: dict[str, Any], name: str) -> Any:
        if name in schema.get("properties", {}):
            return schema["properties"][name]
        return schema.get("additionalProperties", {})

    def _fill_up(self, schema: dict[str, Any], made: dict[str, Any], depth: int) -> None:
        """Adds properties up to ``minProperties``: named ones first, then made-up names."""
        wanted = min(schema.get("minProperties", 0), _MOST_ITEMS)
        invented = (f"key{number}" for number in itertools.count(1))
        for name in itertools.chain(schema.get("properties", {}), invented):
            if len(made) >= wanted:
                return
            if name not in made:
                made[name] = self.value(self._property(schema, name), name, depth + 1)

    def _array(self, schema: dict[str, Any], name: str, depth: int, *, optional: bool) -> Any:
        if optional and depth > 0 and not self._supply.flag(name):
            return _ABSENT
        least = min(int(schema.get("minItems", 0)), _MOST_ITEMS)
        most = min(int(schema.get("maxItems", _MOST_ITEMS)), _MOST_ITEMS)
        first = [self.value(part, name, depth + 1) for part in schema.get("prefixItems", ())]
        item = schema.get("items", {})
        if depth > _DEEPEST or item is False:
            return first[:most]
        rest = self._items(item, name, depth, max(least - len(first), 0))
        items = [*first, *rest][:most]
        return _distinct(items, least) if schema.get("uniqueItems") else items

    def _items(self, item: Any, name: str, depth: int, least: int) -> list[Any]:
        """As many items as the text mentions, and at least as many as asked for."""
        flat = flattened(self._root, item) if isinstance(item, dict) else {}
        mentioned = self._enumerated(flat)
        if mentioned is not None and len(mentioned) >= least:
            return mentioned
        kind = kind_of(flat)
        too_deep = depth > _DEEP_ENOUGH and bool({"anyOf", "oneOf"} & set(flat))
        said: list[Any] = []
        count = least
        if kind in {"integer", "number"}:
            count = max(least, len(self._supply.unused("number")))
        elif kind == "string" and not {"format", "pattern"} & set(flat) and not too_deep:
            said = [text for text in self._supply.listed() if fits(text, flat, self._root)]
            count = max(least, 1)
        elif depth <= _DEEP_ENOUGH:
            count = max(least, 1)
        missing = range(len(said), min(count, _MOST_ITEMS))
        return [*said, *(self.value(item, name, depth + 1) for _ in missing)]

    def _enumerated(self, item: dict[str, Any]) -> list[Any] | None:
        if "enum" not in item:
            return None
        said = [v for v in item["enum"] if isinstance(v, str) and self._supply.mentioned(v)]
        return said or None

    def _number(self, schema: dict[str, Any], name: str, *, whole: bool, optional: bool) -> Any:
        description = str(schema.get("description", ""))
        for text in self._supply.numbers(name, description, optional=optional):
            value = parsed(text, whole=whole)
            if value is not None and fits(value, schema, self._root):
                self._supply.consume(text)
                return value
        return _fallback(schema, in_range(schema, whole=whole), optional=optional)

    def _string(self, schema: dict[str, Any], name: str, *, optional: bool) -> Any:
        description = f"{schema.get('title', '')} {schema.get('description', '')}"
        for text in self._spoken(schema, name, description, optional=optional):
            if fits(text, schema, self._root):
                self._supply.consume(text)
                return text
        return _fallback(schema, self._shaped(schema, name), optional=optional)

    def _spoken(
        self, schema: dict[str, Any], name: str, description: str, *, optional: bool
    ) -> Iterable[str]:
        """What the text offers for a string; for a format, only what has that format."""
        spoken = SPOKEN_FORMATS.get(schema.get("format", ""))
        if spoken or schema.get("format") in FORMATS:
            asked = [m for m in self._supply.unused("quoted") if spoken is None]
            found = [m.text for m in self._supply.unused(spoken)] if spoken else []
            return (
                text for text in [*found, *(m.text for m in asked)] if is_written_strictly(text)
            )
        offered = self._supply.texts(name, description, optional=optional)
        if "pattern" in schema and not optional:
            return itertools.chain(offered, self._supply.text.split()[:200])
        return offered

    def _shaped(self, schema: dict[str, Any], name: str) -> str:
        """A string made to measure: by format, by pattern, else words cut or filled to length."""
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        written = matching(schema["pattern"]) if "pattern" in schema else None
        text = next(iter(self._supply.texts(name, "", optional=False)), "") or name or "text"
        least = min(int(schema.get("minLength", 0)), _LONGEST_TEXT)
        most = int(schema.get("maxLength", _LONGEST_TEXT))
        if written is not None:
            text = written
        if 0 < len(text) < least:
            text = (text * (least // len(text) + 1))[:least]
        return text[:most]


def _fallback(schema: dict[str, Any], plain: Any, *, optional: bool) -> Any:
    """What stands where the text gave nothing: nothing at all, the default, or a plain value."""
    if optional:
        return _ABSENT
    default = schema.get("default", _ABSENT)
    return plain if default is _ABSENT else default


def _distinct(items: list[Any], least: int) -> list[Any]:
    """Items without repeats; where that leaves too few, numbers or suffixes tell them apart."""
    kept: list[Any] = []
    for item in items:
        if item not in kept:
            kept.append(item)
            continue
        if len(kept) >= least > 0:
            continue
        kept.extend(itertools.islice(_variations(item, kept), 1 if len(kept) < least else 0))
    return kept


def _variations(item: Any, taken: list[Any]) -> Iterator[Any]:
    for number in range(1, _MOST_ITEMS + 1):
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
