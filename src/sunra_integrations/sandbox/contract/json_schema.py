"""JSON Schemas in requests: whether one is valid, keeps strict mode, and fits a value.

Every schema is read as draft 2020-12, whatever its ``$schema`` says. The work is bounded: patterns
are matched in linear time, and the steps of a request are counted.
"""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import unquote

from sunra_integrations.requirements import requiring

with requiring("The sandbox", "pydantic", "jsonschema", "referencing", extra="sandbox"):
    import jsonschema  # type: ignore[import-untyped,unused-ignore]
    import jsonschema.validators  # type: ignore[import-untyped,unused-ignore]
    import referencing
    import referencing.exceptions
    from pydantic_core import SchemaError, SchemaValidator, core_schema

from sunra_integrations.sandbox.contract.checks import Problem, broken_rule, wrong_type

MAX_SCHEMA_LENGTH = 500_000
"""The longest schema that is accepted, in characters of JSON."""

MAX_STEPS = 30_000
"""About two seconds. A schema of a thousand required properties takes two thousand steps."""

_CHARACTERS_PER_VALIDATION_STEP = 40
_CHARACTERS_PER_PATTERN_STEP = 500
_ENTRIES_PER_STEP = 32

# ── bounded work ─────────────────────────────────────────────────────────────

_steps_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)


class StepLimitExceeded(Exception):
    """A request takes more than `MAX_STEPS`."""


@contextmanager
def step_limit() -> Generator[None, None, None]:
    """Limits the steps in its block to `MAX_STEPS`.

    Filling a schema, or validating against one, can take exponentially many steps: `anyOf` of two
    references to an `anyOf` of two references, and so on.
    """
    token = _steps_left.set([MAX_STEPS])
    try:
        yield
    finally:
        _steps_left.reset(token)


def count_steps(steps: int = 1) -> None:
    """Counts steps. Does nothing outside `step_limit`.

    Raises:
        StepLimitExceeded: These are more than are left.
    """
    left = _steps_left.get()
    if left is None:
        return
    left[0] -= steps
    if left[0] < 0:
        raise StepLimitExceeded


def is_supported_pattern(pattern: str) -> bool:
    """Whether a pattern can be matched in linear time: no look-around, no back-references."""
    return _linear_pattern(pattern) is not None


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text. An unsupported pattern matches any text."""
    linear = _linear_pattern(pattern)
    return linear is None or linear.isinstance_python(text)


@lru_cache(maxsize=512)
def _linear_pattern(pattern: str) -> SchemaValidator | None:
    # `re` backtracks: thirty letters hold the process for hours with ^(\w+\s?)*$. The Rust engine
    # in pydantic-core does not backtrack.
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


# ── valid schemas ────────────────────────────────────────────────────────────

_SUBSCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SUBSCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains")


def schema_problems(path: str, schema: Any) -> Iterator[Problem]:
    """Why a value is not a JSON Schema that the sandbox accepts."""
    if not isinstance(schema, dict):
        yield wrong_type(path, schema, "an object (a JSON Schema)")
        return
    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_LENGTH:
        yield broken_rule(path, schema, f"a schema of at most {MAX_SCHEMA_LENGTH} characters")
        return
    count_steps(len(text) // _CHARACTERS_PER_VALIDATION_STEP)
    error = _schema_error(text)
    if error:
        yield broken_rule(path, schema, f"a valid JSON Schema ({error})")
        return
    has_patterns = '"patternProperties":' in text
    for inner_path, inner in subschemas(path, schema):
        yield from _subschema_problems(inner_path, inner, schema, has_patterns=has_patterns)


def _subschema_problems(
    path: str, node: dict[str, Any], root: dict[str, Any], *, has_patterns: bool
) -> Iterator[Problem]:
    if "$schema" in node and node is not root:
        yield broken_rule(f"{path}.$schema", node["$schema"], "at the root of the schema only")
    if "unevaluatedProperties" in node and has_patterns:
        # jsonschema 4.26 then matches patterns with `re.search`, which can take exponential time.
        where, found = f"{path}.unevaluatedProperties", node["unevaluatedProperties"]
        yield broken_rule(where, found, "left out in a schema with patternProperties")
    reference = node.get("$ref")
    if reference is not None and resolve(root, reference) is None:
        yield broken_rule(f"{path}.$ref", reference, "a reference within this schema")


@lru_cache(maxsize=128)
def _schema_error(schema_text: str) -> str:
    """Why a schema is invalid, or "". Cached, because agents send their tools with every turn."""
    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(schema_text))
    except jsonschema.SchemaError as error:
        where = "/".join(str(step) for step in error.absolute_path)
        return f"{where}: {error.message}"[:300]
    except RecursionError:
        return "nested too deeply"
    return ""


def subschemas(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and every schema inside it, each with its path."""
    yield path, schema
    for key in _SUBSCHEMAS:
        if isinstance(schema.get(key), dict):
            yield from subschemas(f"{path}.{key}", schema[key])
    for key in _SUBSCHEMA_LISTS:
        for index, inner in enumerate(schema.get(key, ())):
            if isinstance(inner, dict):
                yield from subschemas(f"{path}.{key}[{index}]", inner)
    for key in _SUBSCHEMA_MAPS:
        for name, inner in schema.get(key, {}).items():
            if isinstance(inner, dict):
                yield from subschemas(f"{path}.{key}.{name}", inner)


def resolve(root: Any, reference: str) -> Any:
    """The schema that a ``#/…`` reference points at, or None."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    target = root
    for step in reference[1:].split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        match target:
            case dict() if key in target:
                target = target[key]
            case list() if key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            case _:
                return None
    return target if isinstance(target, dict | bool) else None


# ── strict mode ──────────────────────────────────────────────────────────────

_Node: TypeAlias = dict[str, Any]
_StrictCheck: TypeAlias = Callable[[str, _Node], Iterator[Problem]]

# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_FORBIDDEN_IN_STRICT = (
    "default", "oneOf", "allOf", "not", "if", "then", "else", "dependentRequired",
    "dependentSchemas", "patternProperties", "propertyNames", "unevaluatedProperties",
    "minProperties", "maxProperties", "prefixItems", "unevaluatedItems", "contains", "minContains",
    "maxContains", "uniqueItems",
)  # fmt: skip
_FORMATS_IN_STRICT = (
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
)  # fmt: skip

STRICT_RULES: dict[str, _StrictCheck] = {}
"""The rules of strict mode in OpenAI's structured outputs: a sentence for the OpenAPI document, and
the check of each schema within a strict one."""


def strict_problems(path: str, schema: Any) -> Iterator[Problem]:
    """Violations of strict mode, at a schema's root and in every schema within it."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") != "object":
        yield broken_rule(f"{path}.type", schema.get("type"), "'object' (strict)")
    if "anyOf" in schema:
        yield broken_rule(f"{path}.anyOf", schema["anyOf"], "left out at the root (strict)")
    for inner_path, inner in subschemas(path, schema):
        for check in STRICT_RULES.values():
            yield from check(inner_path, inner)


def _strict_rule(sentence: str) -> Callable[[_StrictCheck], _StrictCheck]:
    def register(check: _StrictCheck) -> _StrictCheck:
        STRICT_RULES[sentence] = check
        return check

    return register


@_strict_rule("Every object has `additionalProperties: false`.")
def _closed(path: str, node: _Node) -> Iterator[Problem]:
    if _is_object(node) and node.get("additionalProperties") is not False:
        found = node.get("additionalProperties")
        yield broken_rule(f"{path}.additionalProperties", found, "false (strict)")


@_strict_rule("Every object lists its properties, and requires all of them and no others.")
def _all_required(path: str, node: _Node) -> Iterator[Problem]:
    if not _is_object(node):
        return
    if "properties" not in node:
        yield broken_rule(f"{path}.properties", None, "an object (strict)")
    named, required = set(node.get("properties", {})), set(node.get("required", []))
    if named - required:
        missing = ", ".join(sorted(named - required))
        rule = f"a list of every property, including {missing} (strict)"
        yield broken_rule(f"{path}.required", node.get("required"), rule)
    if required - named:
        extra = ", ".join(sorted(required - named))
        rule = f"a list of properties only, without {extra} (strict)"
        yield broken_rule(f"{path}.required", node["required"], rule)


@_strict_rule("Every schema has a `type`, an `anyOf` or a `$ref`, so `{}` and `true` are refused.")
def _typed(path: str, node: _Node) -> Iterator[Problem]:
    if not {"type", "anyOf", "$ref"} & node.keys():
        yield broken_rule(path, node, "a schema with a 'type' (strict)")
    within = [(f"properties.{name}", one) for name, one in node.get("properties", {}).items()]
    within += [(f"anyOf[{index}]", one) for index, one in enumerate(node.get("anyOf", ()))]
    for name, one in within:
        if not isinstance(one, dict):
            yield broken_rule(f"{path}.{name}", one, "a schema with a 'type' (strict)")


@_strict_rule("Every array has a schema in `items`.")
def _items(path: str, node: _Node) -> Iterator[Problem]:
    if "array" in _types(node) and not isinstance(node.get("items"), dict):
        yield broken_rule(f"{path}.items", node.get("items"), "a schema (strict)")


@_strict_rule("A `$ref` has no other keyword beside it.")
def _lone_reference(path: str, node: _Node) -> Iterator[Problem]:
    others = sorted(node.keys() - {"$ref", "$defs", "definitions"})
    if "$ref" in node and others:
        rule = f"the only keyword of its schema, without {', '.join(others)} (strict)"
        yield broken_rule(f"{path}.$ref", node["$ref"], rule)


@_strict_rule(f"These keywords are refused: {', '.join(f'`{k}`' for k in _FORBIDDEN_IN_STRICT)}.")
def _keywords(path: str, node: _Node) -> Iterator[Problem]:
    for name in _FORBIDDEN_IN_STRICT:
        if name in node:
            yield broken_rule(f"{path}.{name}", node[name], "left out (strict)")


@_strict_rule(f"A `format` is one of {', '.join(f'`{name}`' for name in _FORMATS_IN_STRICT)}.")
def _formats(path: str, node: _Node) -> Iterator[Problem]:
    if node.get("format", "date") not in _FORMATS_IN_STRICT:
        rule = f"one of {', '.join(_FORMATS_IN_STRICT)} (strict)"
        yield broken_rule(f"{path}.format", node["format"], rule)


@_strict_rule("A `pattern` has no look-around and no back-references.")
def _patterns(path: str, node: _Node) -> Iterator[Problem]:
    if "pattern" in node and not is_supported_pattern(node["pattern"]):
        rule = "a pattern without look-around and back-references (strict)"
        yield broken_rule(f"{path}.pattern", node["pattern"], rule)


def _is_object(node: _Node) -> bool:
    return "object" in _types(node) or "properties" in node


def _types(node: _Node) -> list[Any]:
    found = node.get("type")
    return found if isinstance(found, list) else [found]


SCHEMA_DESCRIPTION = (
    f"A JSON Schema (draft 2020-12) of at most {MAX_SCHEMA_LENGTH} characters. References point "
    "within the schema. With `strict`, the root is an object without `anyOf`. "
    + " ".join(STRICT_RULES)
)
"""Rules for a schema in a request, for the OpenAPI document."""


# ── validation ───────────────────────────────────────────────────────────────

# Without a registry, jsonschema fetches a remote $ref over the network.
_NO_REMOTE_SCHEMAS: referencing.Registry[Any] = referencing.Registry()


def is_valid(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """Whether a value validates against a schema whose references point into ``root``."""
    if not isinstance(schema, dict):
        return schema is not False
    whole = schema if schema is root else {**_definitions(root), **schema}
    # With `$schema`, a reference to the root is validated by that dialect's own unbounded class.
    whole = {key: inner for key, inner in whole.items() if key != "$schema"}
    token = _followed.set(set())
    try:
        return bool(_BoundedValidator(whole, registry=_NO_REMOTE_SCHEMAS).is_valid(value))
    except (referencing.exceptions.Unresolvable, RecursionError, ArithmeticError):
        return False
    finally:
        _followed.reset(token)


def _definitions(root: dict[str, Any]) -> dict[str, Any]:
    return {key: root[key] for key in ("$defs", "definitions") if key in root}


_followed: ContextVar[set[tuple[str, int]]] = ContextVar("references_followed")
"""The references that are being followed, with the identity of the value at each."""


def _without_cycles(rule: Any) -> Any:
    def check(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
        followed, here = _followed.get(), (reference, id(value))
        if here in followed:  # before the stack is exhausted: `referencing` panics then
            raise RecursionError(f"{reference} refers to itself")
        followed.add(here)
        try:
            yield from rule(validator, reference, value, schema) or ()
        finally:
            followed.discard(here)

    return check


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    del schema
    if not validator.is_type(value, "string"):
        return
    count_steps(len(value) // _CHARACTERS_PER_PATTERN_STEP)
    if not matches_pattern(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, by_pattern: dict[str, Any], value: Any, schema: Any
) -> Iterator[Any]:
    del schema
    if not validator.is_type(value, "object"):
        return
    for pattern, inner in by_pattern.items():
        for name, one in value.items():
            if matches_pattern(pattern, name):
                yield from validator.descend(one, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, rest: Any, value: Any, schema: dict[str, Any]
) -> Iterator[Any]:
    if not validator.is_type(value, "object"):
        return
    patterns = schema.get("patternProperties", {})
    for name, one in value.items():
        if name in schema.get("properties", {}) or any(matches_pattern(p, name) for p in patterns):
            continue
        yield from validator.descend(one, rest, path=name)


def _counted(rule: Any) -> Any:
    def check(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[Any]:
        count_steps(1 + len(keyword) // _ENTRIES_PER_STEP if _has_entries(keyword) else 1)
        yield from rule(validator, keyword, value, schema) or ()

    return check


def _has_entries(keyword: Any) -> bool:
    return isinstance(keyword, list | dict)


_KEYWORDS: Any = jsonschema.Draft202012Validator.VALIDATORS
_BoundedValidator: Any = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {
        keyword: _counted(rule)
        for keyword, rule in {
            **_KEYWORDS,
            "$ref": _without_cycles(_KEYWORDS["$ref"]),
            "$dynamicRef": _without_cycles(_KEYWORDS["$dynamicRef"]),
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
        }.items()
    },
)
