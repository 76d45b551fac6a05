"""Checks of JSON values. Each check carries its rule as a JSON Schema as well.

The OpenAPI document is built from these schemas, so that a rule is written once.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_SHOWN = 80

Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request.

    Args:
        path: Where it is, e.g. ``messages[1].content``.
        value: The value found there.
        rule: What the value must be.
        malformed: True for a wrong type or shape (400), False for a broken rule (422).
    """

    path: str
    value: Any
    rule: str
    malformed: bool

    @property
    def message(self) -> str:
        """The problem as a sentence."""
        return f"`{self.path}` must be {self.rule}, got {short_repr(self.value)}."


FindProblems: TypeAlias = Callable[[str, Any], Iterator[Problem]]


@dataclass(frozen=True)
class Check:
    """A rule for a value: as a function that finds problems, and as a JSON Schema.

    Args:
        find: Yields every problem of the value at a path.
        schema: The same rule, as far as JSON Schema can express it.
    """

    find: FindProblems
    schema: Schema

    def __call__(self, path: str, value: Any) -> Iterator[Problem]:
        """Yields every problem of the value at a path."""
        return self.find(path, value)


def with_schema(schema: Schema) -> Callable[[FindProblems], Check]:
    """Decorator: turns a function into a check that has this schema."""
    return lambda find: Check(find, schema)


def wrong_type(path: str, value: Any, expected: str) -> Problem:
    """A problem of type or shape (400)."""
    return Problem(path, value, expected, malformed=True)


def broken_rule(path: str, value: Any, rule: str) -> Problem:
    """A problem of range, or of parameters that contradict each other (422)."""
    return Problem(path, value, rule, malformed=False)


def short_repr(value: Any) -> str:
    """A short printable form of a value of any size."""
    match value:
        case str():
            text = repr(value[: MAX_SHOWN + 1])
        case dict():
            text = f"an object with the keys {sorted(value)[:8]}" if value else "{}"
        case list():
            text = f"a list of {len(value)} items" if value else "[]"
        case int() if not isinstance(value, bool) and abs(value) >= 10**MAX_SHOWN:
            text = "a very large integer"
        case None | bool():
            text = {None: "null", True: "true", False: "false"}[value]
        case _:
            text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


# ── scalars ──────────────────────────────────────────────────────────────────


def scalar(
    kind: type | tuple[type, ...],
    schema: Schema,
    rule: str,
    accepts: Callable[[Any], bool] = lambda _: True,
) -> Check:
    """Accepts values of a type that pass a test. A bool is not taken for a number.

    Args:
        kind: The Python type.
        schema: The rule as a JSON Schema.
        rule: The rule in words.
        accepts: The test.
    """

    @with_schema(schema)
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, (int, float))):
            yield wrong_type(path, value, rule)
        elif not accepts(value):
            yield broken_rule(path, value, rule)

    return check


def integer(minimum: int | None = None, maximum: int | None = None, source: str = "") -> Check:
    """Accepts integers in a range. ``1.0`` is not an integer here.

    Args:
        minimum: The smallest value. Defaults to no bound.
        maximum: The largest value. Defaults to no bound.
        source: Where the bound comes from, if not from Sunra's reference.
    """
    rule = "an integer" + _range(minimum, maximum) + (f" ({source})" if source else "")
    bounds = _given(minimum=minimum, maximum=maximum, description=source or None)
    low, high = _bound(minimum, -math.inf), _bound(maximum, math.inf)
    return scalar(int, {"type": "integer", **bounds}, rule, lambda value: low <= value <= high)


def number(minimum: float, maximum: float) -> Check:
    """Accepts numbers in a range. NaN is in no range."""
    schema = {"type": "number", "minimum": minimum, "maximum": maximum}
    rule = "a number" + _range(minimum, maximum)
    return scalar((int, float), schema, rule, lambda value: minimum <= value <= maximum)


def string(pattern: str, rule: str) -> Check:
    """Accepts strings that a pattern matches as a whole.

    Args:
        pattern: A regular expression that Python and ECMAScript read alike.
        rule: The pattern in words.
    """
    schema = {"type": "string", "pattern": f"^(?:{pattern})$", "description": rule}
    compiled = re.compile(pattern)
    return scalar(str, schema, rule, lambda value: compiled.fullmatch(value) is not None)


def one_of(*allowed: str) -> Check:
    """Accepts these strings only."""
    schema = {"type": "string", "enum": list(allowed)}
    rule = repr(allowed[0]) if len(allowed) == 1 else f"one of {', '.join(allowed)}"
    return scalar(str, schema, rule, lambda value: value in allowed)


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return ""
    return f", at least {minimum:g}" if maximum is None else f" between {minimum:g} and {maximum:g}"


def _bound(bound: float | None, default: float) -> float:
    return default if bound is None else bound


def _given(**keywords: Any) -> Schema:
    return {name: value for name, value in keywords.items() if value is not None}


ANYTHING = scalar(object, {}, "anything")
"""For keys whose value Sunra does not document."""

BOOLEAN = scalar(bool, {"type": "boolean"}, "a boolean")
TEXT = scalar(str, {"type": "string"}, "a string")
NON_EMPTY = scalar(str, {"type": "string", "minLength": 1}, "a non-empty string", bool)
FUNCTION_NAME = string(r"[a-zA-Z0-9_-]{1,64}", "a name of 1 to 64 letters, digits, _ or -")
SPEAKER_NAME = string(
    r"[^\x00-\x20<|\\/>]{1,64}", "a name of 1 to 64 characters other than spaces, <, |, \\, / and >"
)


def left_out(reason: str) -> Check:
    """Accepts null only, for a key that another API has.

    Args:
        reason: Why the key is not part of this API, or the key to use.
    """
    return scalar(type(None), {"type": "null"}, f"left out ({reason})")


# ── lists and objects ────────────────────────────────────────────────────────


def list_of(item: Check, min_items: int | None = None, max_items: int | None = None) -> Check:
    """Accepts lists whose items all pass a check."""

    @with_schema(
        {
            "type": "array",
            "items": item.schema,
            **_given(minItems=min_items, maxItems=max_items),
        }
    )
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield wrong_type(path, value, "a list")
            return
        if min_items is not None and len(value) < min_items:
            yield broken_rule(path, value, f"a list of {min_items} or more items")
        if max_items is not None and len(value) > max_items:
            yield broken_rule(path, value, f"a list of at most {max_items} items")
        for index, entry in enumerate(value):
            yield from item(f"{path}[{index}]", entry)

    return check


@dataclass(frozen=True)
class KeyRule:
    """A rule about which keys of an object go together.

    Args:
        find: Yields every problem of the object at a path.
        schema: The same rule, as keywords of the object's schema.
    """

    find: Callable[[str, dict[str, Any]], Iterator[Problem]]
    schema: Schema


def object_of(
    required: Mapping[str, Check] | None = None,
    optional: Mapping[str, Check] | None = None,
    *,
    closed: bool = False,
    rules: Iterable[KeyRule] = (),
) -> Check:
    """Accepts objects by key.

    Args:
        required: Checks of the keys that must be there.
        optional: Checks of the keys that may be there.
        closed: Whether other keys are refused.
        rules: Rules about keys that go together, applied after the other checks.
    """
    needed = required or {}
    known = {**needed, **(optional or {})}
    rules = tuple(rules)
    stated: Schema = {
        "type": "object",
        "properties": {name: inner.schema for name, inner in known.items()},
        **({"required": list(needed)} if needed else {}),
        **({"additionalProperties": False} if closed else {}),
    }
    for rule in rules:
        stated = _merged(stated, rule.schema)

    @with_schema(stated)
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(path or "body", value, "an object")
            return
        for key in needed:
            if key not in value:
                yield wrong_type(path or "body", value, f"an object with the key {key!r}")
        for key, entry in value.items():
            if key in known:
                yield from known[key](at(path, key), entry)
            elif closed:
                yield broken_rule(at(path, key), entry, f"a known key ({', '.join(known)})")
        for rule in rules:
            yield from rule.find(path, value)

    return check


def _merged(first: Schema, second: Schema) -> Schema:
    merged = dict(first)
    for key, value in second.items():
        both_maps = isinstance(value, dict) and key in merged
        merged[key] = _merged(merged[key], value) if both_maps else value
    return merged


ANY_OBJECT = object_of()


def at(path: str, key: str) -> str:
    """The path of a key. The path of the request itself is empty."""
    return f"{path}.{key}" if path else key


def requires(name: str, other: str) -> KeyRule:
    """One key needs another."""

    def find(path: str, value: dict[str, Any]) -> Iterator[Problem]:
        if name in value and other not in value:
            yield broken_rule(at(path, name), value[name], f"sent together with `{other}`")

    return KeyRule(find, {"dependentRequired": {name: [other]}})


def requires_true(name: str, other: str) -> KeyRule:
    """One key needs another to be true."""

    def find(path: str, value: dict[str, Any]) -> Iterator[Problem]:
        if name in value and value.get(other) is not True:
            yield broken_rule(at(path, name), value[name], f"sent together with `{other}: true`")

    condition = {"required": [other], "properties": {other: {"const": True}}}
    return KeyRule(find, {"dependentSchemas": {name: condition}})


def not_both(name: str, other: str) -> KeyRule:
    """One key excludes another."""

    def find(path: str, value: dict[str, Any]) -> Iterator[Problem]:
        if name in value and other in value:
            yield broken_rule(at(path, name), value[name], f"left out if `{other}` is sent")

    return KeyRule(find, {"dependentSchemas": {name: {"not": {"required": [other]}}}})


def exactly_one(*names: str) -> KeyRule:
    """Exactly one of several keys is there."""
    listed = ", ".join(names[:-1]) + f" or {names[-1]}"

    def find(path: str, value: dict[str, Any]) -> Iterator[Problem]:
        if sum(name in value for name in names) != 1:
            yield broken_rule(path, value, f"an object with either {listed}")

    return KeyRule(find, {"oneOf": [{"required": [name]} for name in names]})


# ── combinations ─────────────────────────────────────────────────────────────


def tagged_union(key: str, forms: Mapping[str, Check], rule: str = "one of") -> Check:
    """Accepts objects in one of several forms, named by the value of a key.

    Args:
        key: The key that names the form.
        forms: The check of each form.
        rule: What comes before the list of names in a message.
    """
    listed = f"{rule} {', '.join(forms)}"

    tagged = [_with_tag(form.schema, key, tag) for tag, form in forms.items()]

    @with_schema({"type": "object", "oneOf": tagged})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(path, value, "an object")
            return
        match value.get(key):
            case str(tag) if tag in forms:
                yield from forms[tag](path, value)
            case str(tag):
                yield broken_rule(at(path, key), tag, listed)
            case other:
                yield wrong_type(at(path, key), other, listed)

    return check


def _with_tag(form: Schema, key: str, tag: str) -> Schema:
    properties = {**form.get("properties", {}), key: {"const": tag}}
    required = [key, *(name for name in form.get("required", ()) if name != key)]
    return {**form, "properties": properties, "required": required}


_PYTHON_TYPES = {"string": str, "array": list, "object": dict}


def by_json_type(expected: str, *forms: Check, description: str = "") -> Check:
    """Accepts a value in one of several forms of different JSON types.

    Args:
        expected: The types in words, for a value of another type.
        forms: The checks, each with its own ``type``.
        description: What the schema says besides.
    """
    by_type = [(_PYTHON_TYPES[form.schema["type"]], form) for form in forms]

    @with_schema(
        {
            "anyOf": [form.schema for form in forms],
            **({"description": description} if description else {}),
        }
    )
    def check(path: str, value: Any) -> Iterator[Problem]:
        for python_type, form in by_type:
            if isinstance(value, python_type):
                yield from form(path, value)
                return
        yield wrong_type(path, value, expected)

    return check


def nullable(inner: Check) -> Check:
    """Accepts null, and what another check accepts."""

    @with_schema({"anyOf": [inner.schema, {"type": "null"}]})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if value is not None:
            yield from inner(path, value)

    return check


def then(first: Check, second: FindProblems, description: str = "") -> Check:
    """Applies a second check if the first one finds no problem.

    Args:
        first: The check that states the schema.
        second: What JSON Schema cannot express.
        description: The second check in words, for the schema.
    """

    @with_schema({**first.schema, **({"description": description} if description else {})})
    def check(path: str, value: Any) -> Iterator[Problem]:
        found = list(first(path, value))
        yield from found or second(path, value)

    return check
