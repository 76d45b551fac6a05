"""A reply as server-sent events: folded together they are the reply, key for key."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.reply import Choice, Reply, envelope, wire_logprobs
from sunra_integrations.sandbox.tokens import split

DONE = b"data: [DONE]\n\n"


def events(reply: Reply, *, include_usage: bool) -> Iterator[bytes]:
    """The events of a streamed reply, the last one being ``[DONE]``.

    Args:
        reply: What to stream; with several choices their chunks take turns.
        include_usage: Whether a chunk with usage and no choices comes before the end.
    """
    base = envelope(reply, "chat.completion.chunk")
    silent = {"usage": None} if include_usage else {}
    queues = [_chunks(index, choice) for index, choice in enumerate(reply.choices)]
    for turn in itertools.zip_longest(*queues):
        for chunk in turn:
            if chunk is not None:
                yield event({**base, "choices": [chunk], **silent})
    if include_usage:
        yield event({**base, "choices": [], "usage": reply.usage})
    yield DONE


def event(data: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _chunks(index: int, choice: Choice) -> Iterator[dict[str, Any]]:
    logprobs = iter(choice.logprobs or ())
    for delta in _deltas(choice.message):
        scored: dict[str, Any] | None = None
        if choice.logprobs is not None and delta.get("content") and "role" not in delta:
            scored = wire_logprobs(list(itertools.islice(logprobs, 1)))
        yield _chunk(index, delta, None, scored)
    yield _chunk(index, {}, choice.finish_reason, None)


def _chunk(
    index: int, delta: dict[str, Any], finish_reason: str | None, logprobs: dict[str, Any] | None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message piece by piece: role, reasoning, content, tool calls, and whatever else it has."""
    content = message.get("content")
    yield {"role": message.get("role", "assistant"), "content": "" if content else content}
    yield from _reasoning(message)
    if isinstance(content, str):
        yield from ({"content": token} for token in split(content))
    elif content:
        yield {"content": content}
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield from ({"tool_calls": [delta]} for delta in _call_deltas(index, call))
    streamed = {"role", "content", "tool_calls", "reasoning", "reasoning_details"}
    others = {key: value for key, value in message.items() if key not in streamed}
    if any(value is not None for value in others.values()):
        yield others


def _reasoning(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    reasoning, details = message.get("reasoning"), message.get("reasoning_details")
    match details:
        case [{"type": "reasoning.text", "text": str(text), **rest}] if text == reasoning:
            for token in split(text):
                piece = {"type": "reasoning.text", "text": token, **rest}
                yield {"reasoning": token, "reasoning_details": [piece]}
        case _:
            for token in split(reasoning) if isinstance(reasoning, str) else ():
                yield {"reasoning": token}
            if details:
                yield {"reasoning_details": details}


def _call_deltas(index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    function = call.get("function", {})
    opening = {**call, "index": index, "function": {**function, "arguments": ""}}
    yield opening
    arguments = function.get("arguments")
    for token in split(arguments) if isinstance(arguments, str) else ():
        yield {"index": index, "function": {"arguments": token}}
