"""Structured replies: the schema that is sent, and the check of the reply against it."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import jsonschema  # type: ignore[import-untyped,unused-ignore]
import jsonschema.validators  # type: ignore[import-untyped,unused-ignore]
import referencing
import referencing.exceptions
import referencing.jsonschema
from pydantic import BaseModel

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.protocol.json_schema import try_strict_schema
from sunra_integrations.protocol.json_text import read_json
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.tools import json_schema_format, split_schema

_CLASS = re.compile(r"([\w.]+):([\w.]+)")
_MAX_PROBLEMS = 5
_WITHOUT_REMOTE: referencing.Registry[Any] = referencing.Registry()
"""Without a registry, jsonschema fetches a remote `$ref` over the network."""


class ReplySchema:
    """A JSON schema for replies.

    Args:
        schema: The schema.
        name: Its name, if it has no title.

    Raises:
        click.UsageError: The schema is invalid.
    """

    def __init__(self, schema: dict[str, Any], name: str) -> None:
        validator = jsonschema.validators.validator_for(
            schema, default=jsonschema.Draft202012Validator
        )
        try:
            validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise click.UsageError(
                f"The schema {name} is invalid at {error.json_path}: {error.message}."
            ) from error
        _check_references(schema, name)
        self._validator = validator(schema, registry=_WITHOUT_REMOTE)
        title, description, rest = split_schema(schema)
        # As LlamaIndex's default: `strict` if the schema fits the subset that servers enforce.
        strict = try_strict_schema(rest) is not None
        self.response_format: dict[str, Any] = json_schema_format(
            title or name, rest, description=description, strict=strict or None
        )

    def value(self, reply: Reply) -> Any:
        """Return the JSON value of a reply.

        Raises:
            UnreadableResponse: The reply is not valid JSON, or does not match the schema.
        """
        try:
            value = read_json(reply.text)
        except ValueError as error:
            raise _mismatch(f"it is not valid JSON ({error})", reply) from error
        try:
            problems = [
                f"{problem.json_path}: {problem.message}"
                for problem in self._validator.iter_errors(value)
            ]
        except (referencing.exceptions.Unresolvable, RecursionError) as error:
            raise _mismatch(
                f"a reference of the schema cannot be followed: {error}", reply
            ) from error
        if problems:
            raise _mismatch("; ".join(problems[:_MAX_PROBLEMS]), reply)
        return value


def _check_references(schema: dict[str, Any], name: str) -> None:
    """Reject references that lead out of the schema, before a reply is paid for."""
    resource = referencing.Resource.from_contents(
        schema, default_specification=referencing.jsonschema.DRAFT202012
    )
    for reference, resolver in _references(resource, _WITHOUT_REMOTE.resolver_with_root(resource)):
        if not _is_within(resolver, reference):
            raise click.UsageError(f"The schema {name} refers to {reference}, which is not in it.")


def _is_within(resolver: Any, reference: str) -> bool:
    try:
        resolver.lookup(reference)
    except (referencing.exceptions.Unresolvable, ValueError):  # ValueError: not a URL
        return False
    return True


def _references(resource: referencing.Resource[Any], resolver: Any) -> Iterator[tuple[str, Any]]:
    """Yield the references, each with its resolver. Examples and constants have none."""
    if isinstance(resource.contents, dict) and "$ref" in resource.contents:
        yield resource.contents["$ref"], resolver
    for inner in resource.subresources():
        yield from _references(inner, resolver.in_subresource(inner))


def load_schema(given: str) -> ReplySchema:
    """Return the schema in a file, or that of a Pydantic class as `module:Class`.

    Raises:
        click.UsageError: There is no such schema, or it is invalid.
    """
    path = Path(given)
    if path.is_file():
        return ReplySchema(_read(path), path.stem)
    if named := _CLASS.fullmatch(given):
        model = _import(named[1], named[2])
        try:
            schema = model.model_json_schema()
        except Exception as error:
            raise click.UsageError(f"--schema {given} has no JSON schema: {error}") from error
        return ReplySchema(schema, model.__name__)
    raise click.UsageError(
        f"--schema must be a file with a JSON schema, or a Pydantic class as module:Class. "
        f"There is no file {given}."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(path.read_bytes())
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise click.UsageError(f"{path} is not a JSON schema: it must be an object.")
    if not isinstance(schema.get("$schema", ""), str):  # jsonschema looks it up before its check
        raise click.UsageError(f"{path} is not a JSON schema: its `$schema` must be a string.")
    return schema


def _import(module: str, name: str) -> type[BaseModel]:
    found: Any
    try:
        with _current_folder_first():
            found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # the module may raise anything
        why = error if isinstance(error, (ImportError, AttributeError)) else repr(error)
        raise click.UsageError(f"--schema {module}:{name} cannot be imported: {why}.") from error
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise click.UsageError(f"--schema {module}:{name} is not a Pydantic class.")
    return found


@contextmanager
def _current_folder_first() -> Generator[None, None, None]:
    """Import from the current folder, as `python -m` does."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        with suppress(ValueError):  # the module may have changed it
            sys.path.remove("")


def _mismatch(why: str, reply: Reply) -> UnreadableResponse:
    return UnreadableResponse(f"The reply does not match the schema: {why}.", partial=reply)
