"""What the sandbox asks of JSON Schema: is this a schema, is it strict, does a value fit it.

Every schema is read as draft 2020-12, whatever its ``$schema`` says.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

try:
    import jsonschema  # type: ignore[import-untyped,unused-ignore]
    import referencing
    import referencing.exceptions
except ImportError as missing:  # pragma: no cover - the message is tested in a bare environment
    raise ImportError(
        "The sandbox needs its extra: pip install 'sunra-integrations[sandbox]'"
    ) from missing

from sunra_integrations.sandbox.checks import Problem, breaks_rule, wrong_type

# Without a registry of its own, jsonschema would fetch a remote $ref over the network.
_LOCAL_ONLY: referencing.Registry[Any] = referencing.Registry()

_SUBSCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SUBSCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains")


def schema_problems(path: str, schema: Any) -> Iterator[Problem]:
    """What keeps a value from being a JSON Schema whose every reference leads somewhere."""
    if not isinstance(schema, dict):
        yield wrong_type(path, schema, "an object (a JSON Schema)")
        return
    fault = _fault(json.dumps(schema))
    if fault:
        yield breaks_rule(path, schema, f"a valid JSON Schema: {fault}")
        return
    for inner_path, inner in subschemas(path, schema):
        reference = inner.get("$ref")
        if reference is not None and resolve(schema, reference) is None:
            yield breaks_rule(f"{inner_path}.$ref", reference, "a reference within this schema")


def strict_problems(path: str, schema: Any) -> Iterator[Problem]:
    """What keeps a schema from strict mode: every object closed, every property required."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") != "object":
        yield breaks_rule(f"{path}.type", schema.get("type"), "'object' (strict)")
    for inner_path, inner in subschemas(path, schema):
        if inner.get("type") != "object" and "properties" not in inner:
            continue
        if inner.get("additionalProperties") is not False:
            found = inner.get("additionalProperties")
            yield breaks_rule(f"{inner_path}.additionalProperties", found, "false (strict)")
        left_out = sorted(set(inner.get("properties", {})) - set(inner.get("required", [])))
        if left_out:
            rule = f"a list of every property (strict); missing: {', '.join(left_out)}"
            yield breaks_rule(f"{inner_path}.required", inner.get("required"), rule)


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
        key = step.replace("~1", "/").replace("~0", "~")
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
    try:
        return bool(_validator(whole).is_valid(value))
    except (referencing.exceptions.Unresolvable, RecursionError, ArithmeticError):
        return False


def _definitions(root: dict[str, Any]) -> dict[str, Any]:
    return {key: root[key] for key in ("$schema", "$defs", "definitions") if key in root}


def _validator(schema: dict[str, Any]) -> Any:
    return jsonschema.Draft202012Validator(schema, registry=_LOCAL_ONLY)


@lru_cache(maxsize=512)
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
