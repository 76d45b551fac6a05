"""Which of a call's keyword arguments are the request's, and whose value wins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sunra_integrations.llama_index.hidden_headers import EXTRA_HEADERS
from sunra_integrations.protocol.arguments import CALL_SETTINGS, unknown_arguments
from sunra_integrations.protocol.parameters import merge_parameters
from sunra_integrations.protocol.request import ChatRequest

PARAMETERS = tuple(name for name in ChatRequest.model_fields if name != "messages")
"""What can be set for all calls and per call; `messages` come with each call."""
_OF_A_CALL = (*PARAMETERS, EXTRA_HEADERS, *sorted(CALL_SETTINGS))


def check_known(names: Collection[str], known: Collection[str], *, of: str) -> None:
    """Raises for names that are not known.

    Raises:
        InvalidParameter: It names the closest known ones.
    """
    unknown = unknown_arguments(names, tuple(known), of=of, sendable=True)
    if unknown is not None:
        raise unknown


def merged(settings: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one call, as `merge_parameters` merges them.

    Headers and settings of the client are not among them.

    Raises:
        InvalidParameter: A name is unknown; it names the closest.
    """
    check_known(call, _OF_A_CALL, of="a call")
    own = {name: value for name, value in call.items() if name in PARAMETERS}
    return merge_parameters(settings, own)
