"""Answers for the endpoint in the wire's own words, oddities included."""

from __future__ import annotations

import json
from typing import Any

from sunra_integrations.sandbox import Http, sse

USAGE = {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}
DONE = b"data: [DONE]\n\n"

Chunk = dict[str, Any]


def chunk(
    delta: dict[str, Any] | str | None = None,
    *,
    finish_reason: str | None = None,
    index: int = 0,
    **more: Any,
) -> Chunk:
    """One event of one choice; a text is a delta of content."""
    added = {"content": delta} if isinstance(delta, str) else delta or {}
    choice = {"index": index, "delta": added, "finish_reason": finish_reason}
    return {**_envelope("chat.completion.chunk"), "choices": [choice], **more}


def usage_chunk() -> Chunk:
    """An event with usage and no choice."""
    return {**_envelope("chat.completion.chunk"), "choices": [], "usage": USAGE}


def streamed(*chunks: Chunk, done: bool = True) -> Http:
    """A stream of exactly these events."""
    events = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks]
    return sse(*events, *([DONE] if done else []))


def whole(*choices: dict[str, Any], **more: Any) -> Http:
    """A completion of exactly these choices."""
    return Http(
        200, {**_envelope("chat.completion"), "choices": list(choices), "usage": USAGE, **more}
    )


def said(message: dict[str, Any], *, finish_reason: str = "stop", index: int = 0) -> dict[str, Any]:
    """A choice of a completion."""
    spoken = {"role": "assistant", **message}
    return {"index": index, "message": spoken, "finish_reason": finish_reason}


def call(
    call_id: str | None, name: str | None, arguments: str | None, index: int | None = None
) -> dict[str, Any]:
    """A tool call, or a piece of one; what is None is left out, but for the arguments."""
    function: dict[str, Any] = {"arguments": arguments}
    piece: dict[str, Any] = {"type": "function", "function": function}
    if name is not None:
        function["name"] = name
    if call_id is not None:
        piece["id"] = call_id
    if index is not None:
        piece["index"] = index
    return piece


def calls(*pieces: dict[str, Any]) -> Chunk:
    """An event that brings pieces of tool calls."""
    return chunk({"tool_calls": list(pieces)})


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "gen-1", "object": kind, "created": 1_750_000_000, "model": "sandbox/echo"}
