"""What the sandbox asks of JSON Schema: is this a schema, is it strict, does a value fit it.

Every schema is read as draft 2020-12, whatever its ``$schema`` says.
"""

import json
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

try:
    import jsonschema  # type: ignore[import-untyped,unused-ignore]
    import jsonschema.validators  # type: ignore[import-untyped,unused-ignore]
    import referencing
    import referencing.exceptions
except ImportError as _missing:  # pragma: no cover - the message is tested in a bare environment
    raise ImportError(
        "The sandbox needs its extra: pip install 'sunra-integrations[sandbox]'"
    ) from _missing

from sunra_integrations.sandbox import strict_rules
from sunra_integrations.sandbox.checks import Problem, breaks_rule, wrong_type
from sunra_integrations.sandbox.patterns import is_found
from sunra_integrations.sandbox.work import spend

# Without a registry of its own, jsonschema would fetch a remote $ref over the network.
_LOCAL_ONLY: referencing.Registry[Any] = referencing.Registry()

MOST_SCHEMA = 500_000
"""The longest schema that is read, in characters of JSON."""

_PATTERN_PROPERTIES = '"patternProperties":'
_PER_STEP = 32
_LETTERS_PER_STEP = 500
_LETTERS_PER_CHECK = 40

_SUBSCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SUBSCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains")


def schema_problems(path: str, schema: Any) -> Iterator[Problem]:
    """What keeps a value from being a JSON Schema whose every reference leads somewhere."""
    if not isinstance(schema, dict):
        yield wrong_type(path, schema, "an object (a JSON Schema)")
        return
    text = json.dumps(schema)
    if len(text) > MOST_SCHEMA:
        yield breaks_rule(path, schema, f"a schema of at most {MOST_SCHEMA} characters")
        return
    spend(len(text) // _LETTERS_PER_CHECK)
    fault = _fault(text)
    if fault:
        yield breaks_rule(path, schema, f"a valid JSON Schema: {fault}")
        return
    for inner_path, inner in subschemas(path, schema):
        if "$schema" in inner and inner is not schema:
            yield breaks_rule(f"{inner_path}.$schema", inner["$schema"], "allowed below the root")
        if "unevaluatedProperties" in inner and _PATTERN_PROPERTIES in text:
            where, found = f"{inner_path}.unevaluatedProperties", inner["unevaluatedProperties"]
            yield breaks_rule(where, found, "read by the sandbox together with patternProperties")
        reference = inner.get("$ref")
        if reference is not None and resolve(schema, reference) is None:
            yield breaks_rule(f"{inner_path}.$ref", reference, "a reference within this schema")


def strict_problems(path: str, schema: Any) -> Iterator[Problem]:
    """Violations of strict mode, at a schema's root and in every schema within it."""
    if not isinstance(schema, dict):
        return
    yield from strict_rules.root_problems(path, schema)
    for inner_path, inner in subschemas(path, schema):
        yield from strict_rules.problems(inner_path, inner)


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
    """The schema a ``#/…`` reference points at, or None where it points nowhere."""
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


def fits(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """Whether a value validates against a schema whose references lead into ``root``."""
    if not isinstance(schema, dict):
        return schema is not False
    whole = schema if schema is root else {**_definitions(root), **schema}
    token = _followed.set(set())
    try:
        return bool(_validator(whole).is_valid(value))
    except (referencing.exceptions.Unresolvable, RecursionError, ArithmeticError):
        return False
    finally:
        _followed.reset(token)


def _definitions(root: dict[str, Any]) -> dict[str, Any]:
    return {key: root[key] for key in ("$schema", "$defs", "definitions") if key in root}


def _validator(schema: dict[str, Any]) -> Any:
    # With `$schema`, a reference to the root would lead to that dialect's own, unbounded class.
    undeclared = {key: value for key, value in schema.items() if key != "$schema"}
    return _Bounded(undeclared, registry=_LOCAL_ONLY)


_followed: ContextVar[set[tuple[str, int]]] = ContextVar("references_followed")
"""References that are being followed, with the value that each is judging."""


def _acyclic(rule: Any) -> Any:
    def check(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
        followed, here = _followed.get(), (reference, id(value))
        if here in followed:  # ends it before the stack does: `referencing` panics there
            raise RecursionError(f"{reference} leads back to itself")
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
    spend(len(value) // _LETTERS_PER_STEP)
    if not is_found(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, by_pattern: dict[str, Any], value: Any, schema: Any
) -> Iterator[Any]:
    del schema
    if not validator.is_type(value, "object"):
        return
    for pattern, inner in by_pattern.items():
        for name, one in value.items():
            if is_found(pattern, name):
                yield from validator.descend(one, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, rest: Any, value: Any, schema: dict[str, Any]
) -> Iterator[Any]:
    if not validator.is_type(value, "object"):
        return
    patterns = schema.get("patternProperties", {})
    for name, one in value.items():
        if name in schema.get("properties", {}) or any(is_found(p, name) for p in patterns):
            continue
        yield from validator.descend(one, rest, path=name)


def _counted(rule: Any) -> Any:
    def check(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[Any]:
        spend(1 + len(keyword) // _PER_STEP if isinstance(keyword, list | dict) else 1)
        yield from rule(validator, keyword, value, schema) or ()

    return check


_RULES: Any = jsonschema.Draft202012Validator.VALIDATORS

# Patterns are matched in linear time, and every step is counted; see `patterns` and `work`.
_Bounded: Any = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {
        keyword: _counted(rule)
        for keyword, rule in {
            **_RULES,
            "$ref": _acyclic(_RULES["$ref"]),
            "$dynamicRef": _acyclic(_RULES["$dynamicRef"]),
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
        }.items()
    },
)


@lru_cache(maxsize=128)
def _fault(schema_text: str) -> str:
    """Why a schema is none, or ""; remembered, since an agent sends its tools every turn."""
    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(schema_text))
    except jsonschema.SchemaError as error:
        where = "/".join(str(step) for step in error.absolute_path)
        return f"{where}: {error.message}"[:300]
    except RecursionError:
        return "nested too deeply"
    return ""
