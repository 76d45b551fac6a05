"""`Call`: an accepted request of either API, between its check and its reply."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sunra_integrations.sandbox.contract.http_rules import ErrorResponse
from sunra_integrations.sandbox.contract.parameter_table import ParameterTable
from sunra_integrations.sandbox.rule_based.replies import Reply

Encoded: TypeAlias = dict[str, Any] | list[bytes]
"""A body as a JSON value, or the events of a stream."""


@dataclass(frozen=True)
class Call:
    """An accepted request.

    Args:
        body: The request as it was sent.
        chat: The same request in the form of chat completions, from which the reply is made.
        encode: Encodes a reply in the form of the request's API.
        ignored: The parameters without effect.
    """

    body: dict[str, Any]
    chat: dict[str, Any]
    encode: Callable[[Reply], Encoded]
    ignored: list[str]


class Api(Protocol):
    """An API that the sandbox serves."""

    @property
    def request(self) -> ParameterTable:
        """The rules of its requests."""
        ...

    def accept(self, body: dict[str, Any]) -> Call | ErrorResponse:
        """The call for a body that keeps the rules, or the error if it refers to unknown things."""
        ...
