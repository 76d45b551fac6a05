"""Answers for `Recorded`, streamed or not, with what a model would say."""

from __future__ import annotations

import json
from typing import Any

from tests.recorded_transport import Answer, Body, completion, stream

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def said(content: str | None, *, finish_reason: str | None = None, **message: Any) -> Answer:
    """A whole answer with this message."""
    reason = finish_reason or ("tool_calls" if "tool_calls" in message else "stop")
    body = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "message": body, "finish_reason": reason}
    return completion({"id": "gen-1", "model": "a/b", "choices": [choice], "usage": USAGE})


def streamed(*deltas: dict[str, Any] | str, finish_reason: str = "stop") -> Answer:
    """A streamed answer of these deltas (a text is one of content), usage on a last chunk."""
    return stream(*events(*deltas, finish_reason=finish_reason))


def streamed_into(body_of: list[Body], *deltas: dict[str, Any] | str) -> Answer:
    """As `streamed`; the body is kept in the list, so that a test can see whether it was closed."""
    body_of.append(Body(events(*deltas)))
    return stream(body=body_of[-1])


def events(*deltas: dict[str, Any] | str, finish_reason: str = "stop") -> list[bytes]:
    chunks = [
        _choice({"content": delta} if isinstance(delta, str) else delta, None) for delta in deltas
    ]
    chunks += [_choice({}, finish_reason), {"id": "gen-1", "choices": [], "usage": USAGE}]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]


def call(call_id: str, name: str, arguments: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """A tool call as the wire has it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": text}
    return {"id": call_id, "type": "function", "function": function, **more}


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "gen-1", "model": "a/b", "choices": [choice]}
