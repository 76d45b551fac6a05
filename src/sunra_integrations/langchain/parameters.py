"""What a `ChatSunra` is made with: checked at once, and which of it a request carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.arguments import unknown_arguments, with_timeout
from sunra_integrations.protocol.request import (
    check_extra_body,
    check_parameters,
    not_a_dict,
    parameter_rules,
)
from sunra_integrations.transport.http_client import check_http_client

CALL_ONLY = frozenset(("messages", "tools", "tool_choice"))
"""Parameters that belong to a conversation, not to a model object."""

REQUEST_FIELDS = tuple(
    name for name in parameter_rules() if name not in CALL_ONLY | {"model", "extra_body"}
)
"""Request parameters that are fields of the model object under the same name."""

_OWN_NAMES = {"model_name": "model", "stop_sequences": "stop"}


def checked(given: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Constructor arguments, held against the documented rules.

    Args:
        given: The arguments as they came; `request_timeout` is `timeout`, and None is the default.
        fields: The names and aliases the constructor knows.

    Raises:
        InvalidParameter: A value breaks its rule, or a name is unknown or belongs elsewhere.
    """
    known = frozenset(fields)
    arguments = with_timeout(given)
    for name in arguments:
        if name in CALL_ONLY:
            raise InvalidParameter(
                f"`{name}` belongs to a call, not to the model object: use `bind_tools`, or pass "
                f"`{name}` when calling.",
                parameter=name,
                rule="given per call",
            )
    unknown = unknown_arguments(arguments, known, of="ChatSunra", sendable=True)
    if unknown is not None:
        raise unknown
    arguments = {name: value for name, value in arguments.items() if value is not None}
    _check_unnamed(arguments.get("model_kwargs"), known)
    _check_clients(arguments)
    named = {_OWN_NAMES.get(name, name): value for name, value in arguments.items()}
    rules = parameter_rules()
    check_parameters(
        {name: value for name, value in named.items() if name in rules and name != "messages"}
    )
    return arguments


def _check_clients(arguments: Mapping[str, Any]) -> None:
    sync_name, async_name = "http_client", "http_async_client"
    for name, kind, other in (
        (sync_name, httpx.Client, async_name),
        (async_name, httpx.AsyncClient, sync_name),
    ):
        check_http_client(arguments.get(name), kind, name, other_name=other)


def _check_unnamed(model_kwargs: Any, known: frozenset[str]) -> None:
    if model_kwargs is None:
        return
    if not isinstance(model_kwargs, Mapping):
        raise not_a_dict("model_kwargs", model_kwargs)
    check_extra_body(model_kwargs, "model_kwargs")
    for name in model_kwargs:
        if name in known:
            raise InvalidParameter(
                f"`{name}` stands in `model_kwargs`; give it to ChatSunra itself.",
                parameter=name,
                rule="an argument of its own",
            )
