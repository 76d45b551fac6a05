"""Responses to accepted requests: the scripted or default reply, whole or as events."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sunra_integrations.sandbox.contract.http_rules import JSON_TYPE, rate_limit_headers
from sunra_integrations.sandbox.rule_based import replies
from sunra_integrations.sandbox.rule_based.replies import Reply
from sunra_integrations.sandbox.server.calls import Call
from sunra_integrations.sandbox.server.scripting import (
    CallTools,
    CutMode,
    HangUp,
    Http,
    Message,
    Scripted,
    TextReply,
)

_MAX_NAMES = 20
_MAX_NAME_LENGTH = 64


@dataclass(frozen=True)
class Response:
    """A response and how it is delivered.

    Args:
        status: The status. None closes the connection before the headers.
        headers: The headers.
        chunks: The body, each chunk flushed on its own.
        wait: Seconds before the headers.
        pause: Seconds between chunks.
        cut_after: Bytes of body to send before the cut. None sends all.
        cut: How the cut ends.
    """

    status: int | None
    headers: dict[str, str]
    chunks: Iterable[bytes]
    wait: float = 0.0
    pause: float = 0.0
    cut_after: int | None = None
    cut: CutMode = "close"


def build_response(call: Call, scripted: Scripted) -> Response:
    """The response to an accepted request, with the delivery that was scripted."""
    match scripted.answer:
        case HangUp():
            response = Response(None, {}, ())
        case Http() as exact:
            response = Response(exact.status, exact.all_headers(), exact.body_chunks())
        case answer:
            response = _encode(call, _reply(call.chat, answer))
    return replace(
        _with_length(response, scripted),
        wait=scripted.wait,
        pause=scripted.pause,
        cut_after=scripted.cut_after,
        cut=scripted.cut,
    )


def response_headers(request_id: str) -> dict[str, str]:
    """The headers of every response."""
    return {"x-request-id": request_id, **rate_limit_headers()}


def _with_length(response: Response, scripted: Scripted) -> Response:
    """Adds the length of a body that is sent complete and in one chunk."""
    shortened = scripted.cut_after is not None and scripted.cut == "complete"
    declared = {"content-length", "transfer-encoding"} & set(response.headers)
    if shortened or declared or not isinstance(response.chunks, list):
        return response
    if len(response.chunks) > 1:
        return response
    length = sum(map(len, response.chunks))
    return replace(response, headers={**response.headers, "content-length": str(length)})


def _reply(request: dict[str, Any], answer: str | TextReply | CallTools | Message | None) -> Reply:
    match answer:
        case None:
            return replies.default_reply(request)
        case str(text):
            return replies.scripted_reply(request, TextReply(text).message(), "stop")
        case TextReply():
            return replies.scripted_reply(request, answer.message(), answer.finish_reason)
        case CallTools():
            fingerprint = replies.fingerprint(request)
            message = answer.message(lambda index: replies.call_id(fingerprint, index))
            return replies.scripted_reply(request, message, answer.finish_reason)
        case Message(message, finish_reason):
            default = "tool_calls" if message.get("tool_calls") else "stop"
            return replies.scripted_reply(request, dict(message), finish_reason or default)


def _encode(call: Call, reply: Reply) -> Response:
    headers = response_headers(replies.fingerprint(call.body))
    if call.ignored:
        names = [name[:_MAX_NAME_LENGTH] for name in call.ignored[:_MAX_NAMES]]
        headers["x-sandbox-ignored"] = json.dumps(names)
    # Not lazily: a scripted reply that cannot be encoded must fail before the headers are sent.
    encoded = call.encode(reply)
    if isinstance(encoded, list):
        headers |= {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        return Response(200, headers, encoded)
    body = json.dumps(encoded, ensure_ascii=False).encode()
    return Response(200, {**headers, "content-type": JSON_TYPE}, [body])
