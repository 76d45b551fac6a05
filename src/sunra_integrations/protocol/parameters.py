"""Which value wins where an instance and a call both set a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RIVALS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


def merged(settings: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one call: its own over the instance's, `extra_body` joined from both.

    None in a call means that the parameter is not sent. A call's `max_tokens` takes the place of an
    instance's `max_completion_tokens` and the other way round, since only one may be sent, and a
    call that turns `logprobs` off drops the `top_logprobs` that needed them.

    Args:
        settings: Parameters of the instance, by the wire's names, and `extra_body`.
        call: Those of the call.
    """
    parameters = {**settings, **call}
    for given, rival in _RIVALS.items():
        if call.get(given) is not None and rival not in call:
            parameters[rival] = None
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
