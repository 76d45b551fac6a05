"""Small checks of JSON values: each says what is wrong, where, and which rule it breaks.

A check also states its rule as a JSON Schema, which is what the OpenAPI document is made of.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

SHOWN_LENGTH = 80


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request.

    Args:
        path: Where, e.g. ``messages[1].content``.
        value: What was found there.
        rule: What should have been there.
        malformed: True for a wrong type or shape (400), False for a broken rule (422).
    """

    path: str
    value: Any
    rule: str
    malformed: bool

    @property
    def text(self) -> str:
        """One sentence: path, value, rule."""
        return f"{self.path}: {shown(self.value)} is not {self.rule}"


Finder: TypeAlias = Callable[[str, Any], Iterator[Problem]]
Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """Finds what is wrong with a value, and states the same rule as a JSON Schema.

    Args:
        find: Every problem of the value found at a path.
        schema: The rule, as far as JSON Schema can say it.
    """

    find: Finder
    schema: Schema

    def __call__(self, path: str, value: Any) -> Iterator[Problem]:
        """Every problem of the value found at a path."""
        return self.find(path, value)


def stated_as(schema: Schema) -> Callable[[Finder], Check]:
    """Makes a check of a function and the JSON Schema that states the same rule."""
    return lambda find: Check(find, schema)


def shown(value: Any) -> str:
    """A short, printable form of a value, whatever its size."""
    match value:
        case str():
            whole = repr(value[: SHOWN_LENGTH + 1])
        case dict():
            whole = f"an object with keys {sorted(value)[:8]}" if value else "{}"
        case list():
            whole = f"a list of {len(value)}" if value else "[]"
        case int() if not isinstance(value, bool) and abs(value) >= 10**SHOWN_LENGTH:
            whole = "a very large integer"
        case None | bool():
            whole = {None: "null", True: "true", False: "false"}[value]
        case _:
            whole = repr(value)
    return whole if len(whole) <= SHOWN_LENGTH else whole[:SHOWN_LENGTH] + "…"


def wrong_type(path: str, value: Any, expected: str) -> Problem:
    """A problem of type or shape: answered with 400."""
    return Problem(path, value, expected, malformed=True)


def breaks_rule(path: str, value: Any, rule: str) -> Problem:
    """A problem of range or of parameters that contradict each other: answered with 422."""
    return Problem(path, value, rule, malformed=False)


@stated_as({"type": "boolean"})
def boolean(path: str, value: Any) -> Iterator[Problem]:
    """Finds fault with anything but true and false."""
    if not isinstance(value, bool):
        yield wrong_type(path, value, "a boolean")


def integer(low: int | None = None, high: int | None = None, why: str = "") -> Check:
    """A check for whole numbers in a range; true and 1.0 are not integers on this wire.

    Args:
        low: The least; None for no bound.
        high: The most; None for no bound.
        why: Where the bound comes from, if not from Sunra's reference.
    """
    schema: Schema = {"type": "integer"}
    if low is None:
        rule = "an integer"
    elif high is None:
        rule = f"an integer of {low} or more"
        schema["minimum"] = low
    else:
        rule = f"an integer from {low} to {high}"
        schema |= {"minimum": low, "maximum": high}
    if why:
        rule = f"{rule} ({why})"
        schema["description"] = why

    @stated_as(schema)
    def check(path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int):
            yield wrong_type(path, value, rule)
        elif (low is not None and value < low) or (high is not None and value > high):
            yield breaks_rule(path, value, rule)

    return check


def number(low: float, high: float) -> Check:
    """A check for finite numbers in a range."""
    rule = f"a number from {low:g} to {high:g}"

    @stated_as({"type": "number", "minimum": low, "maximum": high})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield wrong_type(path, value, rule)
        elif (isinstance(value, float) and not math.isfinite(value)) or not low <= value <= high:
            yield breaks_rule(path, value, rule)

    return check


def string(pattern: str | None = None, rule: str = "a string") -> Check:
    """A check for strings, optionally of a whole-match pattern described by ``rule``."""
    compiled = re.compile(pattern) if pattern else None
    stated = {"pattern": f"^(?:{pattern})$", "description": rule} if pattern else {}

    @stated_as({"type": "string", **stated})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(path, value, rule)
        elif compiled and not compiled.fullmatch(value):
            yield breaks_rule(path, value, rule)

    return check


NON_EMPTY = Check(string(r"(?s).+", "a non-empty string").find, {"type": "string", "minLength": 1})
TEXT = string()
FUNCTION_NAME = string(r"[a-zA-Z0-9_-]{1,64}", "a name of 1 to 64 letters, digits, _ or -")
SPEAKER_NAME = string(
    r"[^\x00-\x20<|\\/>]{1,64}", "a name of 1 to 64 characters, without spaces and <, |, \\, /, >"
)


def one_of(*allowed: str) -> Check:
    """A check for a closed set of words."""
    rule = "one of " + ", ".join(allowed)

    @stated_as({"type": "string", "enum": list(allowed)})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(path, value, rule)
        elif value not in allowed:
            yield breaks_rule(path, value, rule)

    return check


def list_of(item: Check, least: int = 0, most: int | None = None) -> Check:
    """A check for lists whose every item passes ``item``."""
    bounds = {"minItems": least or None, "maxItems": most}
    stated = {name: bound for name, bound in bounds.items() if bound is not None}

    @stated_as({"type": "array", "items": item.schema, **stated})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield wrong_type(path, value, "a list")
            return
        if len(value) < least:
            yield breaks_rule(path, value, f"a list of at least {least}")
        if most is not None and len(value) > most:
            yield breaks_rule(path, value, f"a list of at most {most}")
        for index, entry in enumerate(value):
            yield from item(f"{path}[{index}]", entry)

    return check


def object_of(
    required: Mapping[str, Check] | None = None,
    optional: Mapping[str, Check] | None = None,
    *,
    closed: bool = False,
) -> Check:
    """A check for objects by key; ``closed`` refuses keys that are not named."""
    needed = required or {}
    known = {**needed, **(optional or {})}
    stated: Schema = {
        "type": "object",
        "properties": {name: inner.schema for name, inner in known.items()},
    }
    if needed:
        stated["required"] = list(needed)
    if closed:
        stated["additionalProperties"] = False

    @stated_as(stated)
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(path, value, "an object")
            return
        for key in needed:
            if key not in value:
                yield wrong_type(path, value, f"an object with the key {key!r}")
        for key, entry in value.items():
            if key in known:
                yield from known[key](f"{path}.{key}", entry)
            elif closed:
                names = ", ".join(known)
                yield breaks_rule(f"{path}.{key}", entry, f"a known key (they are {names})")

    return check


ANY_OBJECT = object_of()


def by_word(key: str, forms: Mapping[str, Check], rule: str = "one of") -> Check:
    """A check for objects whose ``key`` says which of several forms they have.

    Args:
        key: The key that holds the word.
        forms: What to check for each word.
        rule: What the words are, before they are listed.
    """
    listed = f"{rule} {', '.join(forms)}"

    @stated_as({"oneOf": [_with_word(form.schema, key, word) for word, form in forms.items()]})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(path, value, "an object")
            return
        match value.get(key):
            case str(word) if word in forms:
                yield from forms[word](path, value)
            case str(word):
                yield breaks_rule(f"{path}.{key}", word, listed)
            case other:
                yield wrong_type(f"{path}.{key}", other, listed)

    return check


def _with_word(form: Schema, key: str, word: str) -> Schema:
    properties = {key: {"const": word}, **form.get("properties", {})}
    required = [key, *(name for name in form.get("required", ()) if name != key)]
    return {**form, "properties": {**properties, key: {"const": word}}, "required": required}


def nullable(inner: Check) -> Check:
    """The same check, with null let through."""

    @stated_as({"anyOf": [inner.schema, {"type": "null"}]})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if value is not None:
            yield from inner(path, value)

    return check


@stated_as({})
def anything(path: str, value: Any) -> Iterator[Problem]:
    """Finds no fault: for keys whose value Sunra does not document."""
    del path, value
    yield from ()
