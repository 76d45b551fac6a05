"""What a `ChatSunra` is made with: checked at once, and which of it a request carries."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.requests import check_parameters, parameter_rules

CALL_ONLY = frozenset(("messages", "tools", "tool_choice"))
"""Parameters that belong to a conversation, not to a model object."""

REQUEST_FIELDS = tuple(
    name for name in parameter_rules() if name not in CALL_ONLY | {"model", "extra_body"}
)
"""Request parameters that are fields of the model object under the same name."""

_OWN_NAMES = {"model_name": "model", "stop_sequences": "stop"}


def checked(given: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Constructor arguments, held against the documented rules, unknown ones moved.

    An argument that is no field goes to `model_kwargs`, which are sent as they are, with a warning
    that names the closest field.

    Args:
        given: The arguments as they came.
        fields: The names and aliases the constructor knows.

    Raises:
        InvalidParameter: A value breaks its rule, or a name belongs elsewhere.
    """
    known = frozenset(fields)
    arguments = {name: value for name, value in given.items() if name in known}
    strays = {name: value for name, value in given.items() if name not in known}
    for name, value in strays.items():
        if name in CALL_ONLY:
            raise InvalidParameter(
                f"`{name}` belongs to a call, not to the model object: use `bind_tools`, or pass "
                f"`{name}` when calling.",
                parameter=name,
                value=value,
                rule="given per call",
            )
        _warn_of_stray(name, known)
    if strays:
        arguments["model_kwargs"] = {**(arguments.get("model_kwargs") or {}), **strays}
    _check_unnamed(arguments.get("model_kwargs"), known)
    named = {_OWN_NAMES.get(name, name): value for name, value in arguments.items()}
    rules = parameter_rules()
    check_parameters(
        {name: value for name, value in named.items() if name in rules and name != "messages"}
    )
    return arguments


def as_invalid_parameter(error: ValidationError) -> InvalidParameter:
    """The first finding of a failed construction, without the value, which may be a secret."""
    finding = error.errors(include_url=False, include_input=False)[0]
    name = str(finding["loc"][0]) if finding["loc"] else ""
    return InvalidParameter(
        f"`{name}` cannot be used: {finding['msg']}.", parameter=name, rule=finding["msg"]
    )


def _warn_of_stray(name: str, known: frozenset[str]) -> None:
    close = difflib.get_close_matches(name, known, n=1)
    mend = f" Did you mean `{close[0]}`?" if close else ""
    warnings.warn(
        f"`{name}` is no argument of ChatSunra and goes to `model_kwargs`, which are sent as they "
        f"are.{mend} Give it in `extra_body` to send it without this warning.",
        UserWarning,
        stacklevel=_CALLER,
    )


_CALLER = 6
"""Frames between the warning and the line that makes the model, pydantic's own included."""


def _check_unnamed(model_kwargs: Any, known: frozenset[str]) -> None:
    if not isinstance(model_kwargs, Mapping):
        return
    for name, value in model_kwargs.items():
        if name in known:
            raise InvalidParameter(
                f"`{name}` stands in `model_kwargs`; give it to ChatSunra itself.",
                parameter=name,
                value=value,
                rule="an argument of its own",
            )
