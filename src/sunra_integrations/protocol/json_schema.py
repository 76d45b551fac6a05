"""JSON schemas that servers accept: valid names, objects at the root, the strict subset.

The strict subset is that of OpenAI's structured outputs
(https://platform.openai.com/docs/guides/structured-outputs#supported-schemas). `strict` is sent
only with schemas that it can express. No schema is narrowed to make it strict.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from pydantic_core import SchemaError, SchemaValidator, core_schema

from sunra_integrations.errors import InvalidParameter

Schema = dict[str, Any]

_VALID_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_INVALID_CHARACTER = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME = 64
_HASH_DIGITS = 8

_ROOT = "#"
_DEFINITIONS = ("$defs", "definitions")
_DROPPED = frozenset(("default", "discriminator", *_DEFINITIONS))
"""A strict reply has every property, so defaults have no effect. `$defs` is collected again."""
_NOT_STRICT = (
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "$dynamicRef",
    "$recursiveRef",
)
_LENGTHS = ("minLength", "maxLength")
"""OpenAI enforces them in strict mode. Other servers and its fine-tuned models reject them."""
_STRICT_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)
_STRUCTURE = frozenset(("type", "properties", "additionalProperties", "required", "items", "anyOf"))
"""Keywords not allowed beside a `$ref`: they would have to be merged into the target schema."""
_WORDS = frozenset(("title", "description"))
_JSON_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),  # before int, its base class
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (dict, "object"),
    (list, "array"),
    (type(None), "null"),
)


# ── names ────────────────────────────────────────────────────────────────────


def valid_name(name: str) -> str:
    """A name that servers accept: up to 64 letters, digits, `_` and `-`.

    A valid name is unchanged. Any other gets a hash of itself at the end, so that different names
    stay different, and the result is the same every time.
    """
    if _VALID_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{_INVALID_CHARACTER.sub('_', name)[: _MAX_NAME - _HASH_DIGITS - 1]}_{digest}"


# ── references and roots ─────────────────────────────────────────────────────


def with_object_root(schema: Mapping[str, Any]) -> Schema:
    """The schema with `type` and `properties` at its root, as servers require it.

    It allows the same values.
    """
    root = inline_root(schema)
    if "type" not in root and "properties" in root:
        root = {"type": "object", **root}
    if root.get("type") == "object":
        root.setdefault("properties", {})
    return root


def inline_root(schema: Mapping[str, Any]) -> Schema:
    """The schema with a `$ref` at its root replaced by the target of the reference.

    Pydantic describes a class that refers to itself by a bare `$ref`. Its title and description are
    then also at the root.
    """
    root, followed = dict(schema), set[str]()
    while True:
        match root:
            case {"$ref": str(reference)} if reference not in followed:
                followed.add(reference)
                target = _resolve(reference, schema)
            case {"allOf": [dict(target)]}:
                pass
            case _:
                return root
        if not isinstance(target, dict):
            return root
        own = {key: value for key, value in root.items() if key not in {"$ref", "allOf"}}
        root = {**target, **own}


def is_recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a schema within it refers back to itself."""
    leads = {
        reference: set(_references(_resolve(reference, schema)))
        for reference in set(_references(schema))
    }
    while leads:
        ends = {reference for reference, further in leads.items() if not further & leads.keys()}
        if not ends:
            return True
        leads = {
            reference: further for reference, further in leads.items() if reference not in ends
        }
    return False


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """The target of a reference; None if the schema does not contain it."""
    if reference != _ROOT and not reference.startswith("#/"):
        return None
    target: Any = root
    for name in _steps(reference):
        if isinstance(target, Mapping):
            target = target.get(name)
        elif isinstance(target, list) and name.isdecimal() and int(name) < len(target):
            target = target[int(name)]
        else:
            return None
    return target


def _steps(reference: str) -> list[str]:
    return [
        unquote(step).replace("~1", "/").replace("~0", "~") for step in reference.split("/")[1:]
    ]


def _references(node: Any) -> Iterator[str]:
    """Every `$ref` in a schema, including those in definitions."""
    left = [node]
    while left:
        one = left.pop()
        if isinstance(one, Mapping):
            reference = one.get("$ref")
            if isinstance(reference, str):
                yield reference
            left += one.values()
        elif isinstance(one, list):
            left += one


# ── the strict subset ────────────────────────────────────────────────────────


def strict_schema(schema: Mapping[str, Any]) -> Schema:
    """A copy of a schema that servers accept with `strict`.

    Every object forbids further properties and requires its own. `oneOf` becomes `anyOf`, and
    defaults are removed. Keywords beside a `$ref` move into its target, or around the `$ref` if the
    target contains references.

    Raises:
        InvalidParameter: The strict subset cannot express the schema. The message says where.
    """
    return _make_strict(schema, _NOT_STRICT)


def try_strict_schema(schema: Mapping[str, Any]) -> Schema | None:
    """As `strict_schema`, but None if it fails or no finite value satisfies the result.

    An example without finite values is a class with an optional field of its own type that is
    never null. In a strict schema the field is required, at every level without end. Schemas with
    lengths of strings also give None, because not every server accepts them with `strict`.
    """
    try:
        strict = _make_strict(schema, (*_NOT_STRICT, *_LENGTHS))
    except InvalidParameter:
        return None
    return strict if _has_finite_value(strict) else None


def _make_strict(schema: Mapping[str, Any], refused: Sequence[str]) -> Schema:
    try:
        return _Strict(inline_root(schema), refused).schema()
    except RecursionError:
        raise _inexpressible("schema", "is nested too deeply", None) from None


class _Strict:
    """Makes one schema strict. Definitions are converted when a reference to them is found."""

    def __init__(self, root: Schema, refused: Sequence[str]) -> None:
        self._root = root
        self._refused = refused
        self._names: dict[str, str] = {}

    def schema(self) -> Schema:
        if self._root.get("type", "object") != "object" or self._root.keys() & {"anyOf", "oneOf"}:
            raise _inexpressible("schema", "is not an object", self._root.get("type"))
        made = self._strict(self._root, "schema")
        definitions: Schema = {}
        while len(definitions) < len(self._names):
            reference, name = list(self._names.items())[len(definitions)]
            target = _resolve(reference, self._root)
            definitions[name] = self._strict(target, f"schema.$defs.{name}")
        return {**made, "$defs": definitions} if definitions else made

    def _strict(self, node: Any, place: str) -> Schema:
        if not isinstance(node, Mapping):
            raise _accepts_anything(place, node)
        made = {key: value for key, value in node.items() if key not in _DROPPED}
        match made.get("allOf"):
            case [dict(only)] if only.keys() & made.keys() <= _WORDS:
                del made["allOf"]
                return self._strict({**only, **made}, place)
            case _:
                pass
        if "oneOf" in made and "anyOf" not in made:
            made["anyOf"] = made.pop("oneOf")
        _check_keywords(made, place, self._refused)
        if "$ref" in made:
            return self._reference(made, place)
        if "anyOf" in made:
            members = made["anyOf"] if isinstance(made["anyOf"], list) else [made["anyOf"]]
            made["anyOf"] = [
                self._strict(one, f"{place}.anyOf[{index}]") for index, one in enumerate(members)
            ]
        types = _types(made, place)
        if "object" in types:
            self._close(made, place)
        if "array" in types:
            if not isinstance(made.get("items"), Mapping):
                raise _inexpressible(place, "is a list without a type for its items", made)
            made["items"] = self._strict(made["items"], f"{place}[]")
        return made

    def _close(self, node: Schema, place: str) -> None:
        rest, properties = node.get("additionalProperties"), node.get("properties")
        if (rest is not None or properties is None) and rest is not False:
            raise _open(place, rest)
        properties = properties if isinstance(properties, Mapping) else {}
        unknown = [name for name in node.get("required") or () if name not in properties]
        if unknown:
            raise _inexpressible(
                place, f"requires {unknown[0]!r} and does not describe it", unknown
            )
        node["properties"] = {
            name: self._strict(one, f"{place}.{name}") for name, one in properties.items()
        }
        node["additionalProperties"] = False
        node["required"] = list(properties)

    def _reference(self, node: Schema, place: str) -> Schema:
        reference, target = self._followed(node["$ref"], place)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        if not beside:
            return {"$ref": self._pointer(reference)}
        structure = sorted(beside.keys() & _STRUCTURE)
        if structure:
            raise _inexpressible(place, f"has `{structure[0]}` beside its `$ref`", beside)
        if next(_references(target), None) is None:
            return self._strict({**target, **beside}, place)
        return {"anyOf": [{"$ref": self._pointer(reference)}], **beside}

    def _followed(self, reference: Any, place: str) -> tuple[str, Mapping[str, Any]]:
        """The last reference of a chain of bare references, and its target."""
        followed: list[Any] = []
        while reference not in followed:
            followed.append(reference)
            target = _resolve(reference, self._root) if isinstance(reference, str) else None
            if not isinstance(target, Mapping):
                raise InvalidParameter(
                    f"`{place}` refers to {reference}, which is not in the schema.",
                    parameter=place,
                    value=reference,
                    rule="a `$ref` points into the schema itself",
                )
            if set(target) != {"$ref"}:
                return reference, target
            reference = target["$ref"]
        raise _inexpressible(place, "refers to itself and to nothing else", reference)

    def _pointer(self, reference: str) -> str:
        """The reference to a definition in the strict schema, which has all of them in `$defs`."""
        if reference == _ROOT:
            return _ROOT
        name = self._names.get(reference)
        if name is None:
            name = last = valid_name(_steps(reference)[-1])
            while name in self._names.values():
                name = f"{last}_{len(self._names)}"
            self._names[reference] = name
        return f"#/$defs/{name}"


def _check_keywords(node: Schema, place: str, refused: Sequence[str]) -> None:
    for keyword in refused:
        if keyword in node:
            raise _inexpressible(place, f"has `{keyword}`", node[keyword])
    shape = node.get("format")
    if shape is not None and shape not in _STRICT_FORMATS:
        raise _inexpressible(place, f"has the format {shape!r}", shape)
    pattern = node.get("pattern")
    if isinstance(pattern, str) and not _is_plain_pattern(pattern):
        raise _inexpressible(
            place, f"has a pattern with look-around or a back-reference ({pattern})", pattern
        )


@lru_cache(maxsize=256)
def _is_plain_pattern(pattern: str) -> bool:
    """Whether the pattern is valid for Rust's regular expressions, which strict servers use."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return False
    return True


def _types(node: Schema, place: str) -> list[str]:
    """The types of a schema. If only its values imply them, they are added to the schema."""
    given = node.get("type")
    if isinstance(given, str):
        return [given]
    if isinstance(given, list):
        return given
    if "anyOf" in node:
        return []
    if "properties" in node:
        node["type"] = "object"
        return ["object"]
    values = [node["const"]] if "const" in node else node.get("enum")
    if not isinstance(values, list) or not values:
        raise _accepts_anything(place, node)
    found = list(dict.fromkeys(map(_type_of, values)))
    node["type"] = found[0] if len(found) == 1 else found
    return []


def _type_of(value: Any) -> str:
    return next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "string")


def _has_finite_value(strict: Schema) -> bool:
    """Whether a value of finite depth satisfies a strict schema."""
    schemas = {f"#/$defs/{name}": one for name, one in strict.get("$defs", {}).items()}
    schemas[_ROOT] = strict
    finite: set[str] = set()
    while True:
        more = {
            name for name, one in schemas.items() if name not in finite and _is_finite(one, finite)
        }
        if not more:
            return _ROOT in finite
        finite |= more


def _is_finite(node: Schema, finite: set[str]) -> bool:
    """Whether a schema has a value that needs only schemas known to have finite values."""
    if "$ref" in node:
        return node["$ref"] in finite
    if "anyOf" in node:
        return any(_is_finite(one, finite) for one in node["anyOf"])
    match node.get("type"):
        case "object" if "enum" not in node and "const" not in node:
            return all(_is_finite(one, finite) for one in node["properties"].values())
        case "array" if node.get("minItems"):
            return _is_finite(node["items"], finite)
        case _:
            return True


def _inexpressible(place: str, why: str, value: Any) -> InvalidParameter:
    return InvalidParameter(
        f"`{place}` {why}, which strict mode cannot express. Change the schema there, or leave "
        "out `strict`.",
        parameter=place,
        value=value,
        rule="a schema of the strict subset",
    )


def _accepts_anything(place: str, value: Any) -> InvalidParameter:
    return _inexpressible(place, "accepts any value", value)


def _open(place: str, rest: Any) -> InvalidParameter:
    return InvalidParameter(
        f"`{place}` is a free-form object, which strict mode cannot express. "
        "Name its properties, or leave out `strict`.",
        parameter=place,
        value=rest,
        rule="with strict=True every object names all its properties",
    )
