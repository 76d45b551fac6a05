"""``/v1/chat/completions``: replies as completions, whole or as chunks."""

import itertools
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from sunra_integrations.sandbox.contract.parameters import COMPLETION_REQUEST
from sunra_integrations.sandbox.rule_based.replies import Choice, Reply
from sunra_integrations.sandbox.rule_based.text import split_tokens
from sunra_integrations.sandbox.server.calls import Call, Encoded

DONE = b"data: [DONE]\n\n"


class CompletionApi:
    """Chat completions."""

    request = COMPLETION_REQUEST

    def accept(self, body: dict[str, Any]) -> Call:
        """The call for a body that keeps the rules."""
        return Call(body, body, partial(_encode, body), self.request.unknown(body))


def _encode(body: dict[str, Any], reply: Reply) -> Encoded:
    if not body.get("stream"):
        return _completion(reply)
    usage = bool(body.get("stream_options", {}).get("include_usage"))
    return list(_events(reply, include_usage=usage))


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
