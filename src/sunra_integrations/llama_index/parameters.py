"""Which of a call's keyword arguments are the request's, and whose value wins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sunra_integrations.llama_index.hidden_headers import EXTRA_HEADERS
from sunra_integrations.protocol.requests import ChatRequest, unknown_parameter

PARAMETERS = tuple(name for name in ChatRequest.model_fields if name != "messages")
"""What can be set for all calls and per call; `messages` come with each call."""

_TWINS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


def check_known(names: Collection[str], known: Collection[str], *, where: str) -> None:
    """Raises for the first name that is not known.

    Raises:
        InvalidParameter: It names the closest known one.
    """
    for name in names:
        if name not in known:
            raise unknown_parameter(name, tuple(known), where=where)


def merged(settings: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one call: its own over the settings; `extra_body` is merged, not replaced.

    None in a call means that the parameter is not sent. A call's `max_tokens` replaces a
    `max_completion_tokens` of the settings and the other way round, since only one may be sent,
    and a call that turns `logprobs` off drops the `top_logprobs` that needed them.

    Raises:
        InvalidParameter: A name is unknown; it names the closest.
    """
    check_known(call, (*PARAMETERS, EXTRA_HEADERS), where=" of a call")
    parameters = {**settings, **call}
    parameters.pop(EXTRA_HEADERS, None)
    for given, twin in _TWINS.items():
        if call.get(given) is not None and twin not in call:
            parameters[twin] = None
    if "logprobs" in call and not call["logprobs"] and "top_logprobs" not in call:
        parameters["top_logprobs"] = None
    parameters["extra_body"] = _joined(settings.get("extra_body"), call.get("extra_body"))
    return parameters


def _joined(settings: Any, call: Any) -> Any:
    """Both bodies in one; what is no mapping is given back, for the request to refuse."""
    for body in (call, settings):
        if body is not None and not isinstance(body, Mapping):
            return body
    return {**(settings or {}), **(call or {})}
