"""Responses to accepted requests: the scripted or default reply, encoded whole or as events.

This is the only module that uses the rule-based replies.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sunra_integrations.sandbox.contract.http_rules import JSON_TYPE, rate_limit_headers
from sunra_integrations.sandbox.contract.parameters import unknown_parameters
from sunra_integrations.sandbox.rule_based import replies
from sunra_integrations.sandbox.rule_based.replies import Choice, Reply
from sunra_integrations.sandbox.rule_based.text import split_tokens
from sunra_integrations.sandbox.server.scripting import (
    CallTools,
    CutMode,
    HangUp,
    Http,
    Message,
    Scripted,
    TextReply,
)

DONE = b"data: [DONE]\n\n"

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


def build_response(request: dict[str, Any], scripted: Scripted) -> Response:
    """The response to an accepted request, with the delivery that was scripted."""
    match scripted.answer:
        case HangUp():
            response = Response(None, {}, ())
        case Http() as exact:
            response = Response(exact.status, exact.all_headers(), exact.body_chunks())
        case answer:
            response = _encode(request, _reply(request, answer))
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


# ── encoding ─────────────────────────────────────────────────────────────────


def _encode(request: dict[str, Any], reply: Reply) -> Response:
    headers = response_headers(replies.fingerprint(request))
    unknown = unknown_parameters(request)[:_MAX_NAMES]
    if unknown:
        headers["x-sandbox-ignored"] = json.dumps([name[:_MAX_NAME_LENGTH] for name in unknown])
    if request.get("stream"):
        usage = bool(request.get("stream_options", {}).get("include_usage"))
        headers |= {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        # A list: a scripted reply that cannot be encoded must fail before the headers are sent.
        return Response(200, headers, list(_events(reply, include_usage=usage)))
    body = json.dumps(_completion(reply), ensure_ascii=False).encode()
    return Response(200, {**headers, "content-type": JSON_TYPE}, [body])


def _completion(reply: Reply) -> dict[str, Any]:
    return {
        **_envelope(reply, "chat.completion"),
        "choices": [
            {
                "index": index,
                "message": choice.message,
                "finish_reason": choice.finish_reason,
                "logprobs": _logprobs(choice.logprobs),
            }
            for index, choice in enumerate(reply.choices)
        ],
        "usage": reply.usage,
    }


def _events(reply: Reply, *, include_usage: bool) -> Iterator[bytes]:
    """The reply as server-sent events. The chunks of several choices alternate."""
    base = _envelope(reply, "chat.completion.chunk")
    no_usage = {"usage": None} if include_usage else {}
    by_choice = [_chunks(index, choice) for index, choice in enumerate(reply.choices)]
    for chunk in itertools.chain.from_iterable(itertools.zip_longest(*by_choice)):
        if chunk is not None:
            yield _event({**base, "choices": [chunk], **no_usage})
    if include_usage:
        yield _event({**base, "choices": [], "usage": reply.usage})
    yield DONE


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _envelope(reply: Reply, kind: str) -> dict[str, Any]:
    """The keys of every completion and chunk. They say that the sandbox replied, not a model."""
    return {
        "id": reply.id,
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": "sandbox",
        "provider": "sandbox",
    }


def _logprobs(content: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if content is None else {"content": content, "refusal": None}


def _chunks(index: int, choice: Choice) -> Iterator[dict[str, Any]]:
    logprobs = iter(choice.logprobs or ())
    for delta in _deltas(choice.message):
        scored: dict[str, Any] | None = None
        if choice.logprobs is not None and delta.get("content") and "role" not in delta:
            scored = _logprobs(list(itertools.islice(logprobs, 1)))
        yield _chunk(index, delta, None, scored)
    yield _chunk(index, {}, choice.finish_reason, None)


def _chunk(
    index: int, delta: dict[str, Any], finish_reason: str | None, logprobs: dict[str, Any] | None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The deltas of a message: role, reasoning, content, tool calls, then all other keys."""
    content = message.get("content")
    yield {"role": message.get("role", "assistant"), "content": "" if content else content}
    yield from _reasoning_deltas(message)
    if isinstance(content, str):
        yield from ({"content": token} for token in split_tokens(content))
    elif content:
        yield {"content": content}
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield from ({"tool_calls": [delta]} for delta in _call_deltas(index, call))
    streamed = {"role", "content", "tool_calls", "reasoning", "reasoning_details"}
    others = {key: value for key, value in message.items() if key not in streamed}
    if any(value is not None for value in others.values()):
        yield others


def _reasoning_deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    reasoning, details = message.get("reasoning"), message.get("reasoning_details")
    match details:
        case [{"type": "reasoning.text", "text": str(text), **rest}] if text == reasoning:
            for token in split_tokens(text):
                detail = {"type": "reasoning.text", "text": token, **rest}
                yield {"reasoning": token, "reasoning_details": [detail]}
        case _:
            for token in split_tokens(reasoning) if isinstance(reasoning, str) else ():
                yield {"reasoning": token}
            if details:
                yield {"reasoning_details": details}


def _call_deltas(index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    function = call.get("function", {})
    yield {**call, "index": index, "function": {**function, "arguments": ""}}
    arguments = function.get("arguments")
    for token in split_tokens(arguments) if isinstance(arguments, str) else ():
        yield {"index": index, "function": {"arguments": token}}
