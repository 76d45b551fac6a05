"""Tables of request parameters: the checks of a request body, and its JSON Schema.

A wrong type gives status 400, a broken rule 422, an unknown model 404.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANYTHING,
    BOOLEAN,
    NON_EMPTY,
    TEXT,
    Check,
    KeyRule,
    Problem,
    Schema,
    at,
    broken_rule,
    list_of,
    not_both,
    object_of,
    requires,
    requires_true,
    string,
)


@dataclass(frozen=True)
class Parameter:
    """A request parameter.

    Args:
        check: Its type and range.
        required: Whether every request has it.
        needs: A parameter that must be sent with it.
        needs_true: A parameter that must be true if it is sent.
        excludes: A parameter that must not be sent with it.
    """

    check: Check
    required: bool = False
    needs: str = ""
    needs_true: str = ""
    excludes: str = ""


# Readers of the OpenAPI document disagree on what \s matches, so the characters are spelled out.
_MODEL_NAME = string(r"[^/\x00-\x20\x7F]+/[^\x00-\x20\x7F]+", "a model name like vendor/name")

# The schema also demands vendor/name. The check does not, because such a model gives a 404.
MODEL = Parameter(Check(TEXT.find, _MODEL_NAME.schema), required=True)
"""The parameter ``model`` of every request."""

STRINGS = list_of(NON_EMPTY)
PROVIDER = object_of(
    optional={
        "only": STRINGS,
        "order": STRINGS,
        "ignore": STRINGS,
        "sort": ANYTHING,
        "allow_fallbacks": BOOLEAN,
    }
)
"""The parameter ``provider``, which other gateways document."""

UNKNOWN_PARAMETERS = (
    "Unknown parameters are accepted without effect and named in the header `x-sandbox-ignored`, "
    "unless the name looks like a misspelling of a known one."
)
"""The rule for unknown parameters, for the OpenAPI document."""

# A misspelling is at least this similar to a known name. Longer names, and names after the first
# ones, are not compared.
_MIN_SIMILARITY = 0.8
_MAX_NAME_LENGTH = 40
_MAX_NAMES = 64


class ParameterTable:
    """The parameters of one kind of request.

    Args:
        parameters: The parameters by name.
        rules: Rules about parameters that go together.
        refused: Names of other APIs, each with the parameter to use instead, or "".
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        rules: Iterable[KeyRule] = (),
        refused: Mapping[str, str] | None = None,
    ) -> None:
        self._names = parameters.keys()
        self._refused = refused or {}
        self._request = object_of(
            {name: one.check for name, one in parameters.items() if one.required},
            {name: one.check for name, one in parameters.items() if not one.required},
            rules=[KeyRule(self._name_problems, {}), *_key_rules(parameters), *rules],
        )

    def unknown(self, request: dict[str, Any]) -> list[str]:
        """The names that are not in the table."""
        return [name for name in request if name not in self._names]

    def problems(self, request: Any) -> list[Problem]:
        """Every problem of a request body, in the order of its keys."""
        return list(self._request("", request))

    def schema(self, models: Collection[str] | None = None) -> Schema:
        """The JSON Schema of a request body.

        Args:
            models: The models served. Defaults to any name like ``vendor/name``.
        """
        whole = self._request.schema
        if models is None:
            return whole
        served = {"type": "string", "enum": sorted(models)}
        return {**whole, "properties": {**whole["properties"], "model": served}}

    def _name_problems(self, path: str, request: dict[str, Any]) -> Iterator[Problem]:
        for name in self.unknown(request)[:_MAX_NAMES]:
            rule = self._name_rule(name)
            if rule:
                yield broken_rule(at(path, name), request[name], rule)

    def _name_rule(self, name: str) -> str:
        if name in self._refused:
            instead = self._refused[name]
            why = f"use `{instead}` instead" if instead else "it is not part of this endpoint"
            return f"left out ({why})"
        if len(name) > _MAX_NAME_LENGTH:
            return ""
        found = difflib.get_close_matches(name.lower(), self._names, n=1, cutoff=_MIN_SIMILARITY)
        return f"a known parameter (did you mean {found[0]!r}?)" if found else ""


def model_problem(model: str, served: Collection[str] | None) -> Problem | None:
    """Why a model is not served, or None."""
    for problem in _MODEL_NAME("model", model):
        return problem
    if served is not None and model not in served:
        return broken_rule("model", model, f"one of the models served: {', '.join(sorted(served))}")
    return None


def _key_rules(parameters: Mapping[str, Parameter]) -> Iterator[KeyRule]:
    for name, parameter in parameters.items():
        if parameter.excludes:
            yield not_both(name, parameter.excludes)
        if parameter.needs_true:
            yield requires_true(name, parameter.needs_true)
        if parameter.needs:
            yield requires(name, parameter.needs)
