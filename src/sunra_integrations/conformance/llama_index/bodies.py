"""Server responses for the sandbox to return, including unusual ones."""

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
    **fields: Any,
) -> Chunk:
    """Return a chunk with one choice; a string is a delta of the content."""
    content = {"content": delta} if isinstance(delta, str) else delta or {}
    choice = {"index": index, "delta": content, "finish_reason": finish_reason}
    return {**_envelope("chat.completion.chunk"), "choices": [choice], **fields}


def usage_chunk() -> Chunk:
    """Return a chunk with usage and without choices."""
    return {**_envelope("chat.completion.chunk"), "choices": [], "usage": USAGE}


def tool_call_chunk(*deltas: dict[str, Any]) -> Chunk:
    """Return a chunk with deltas of tool calls; see `tool_call`."""
    return chunk({"tool_calls": list(deltas)})


def stream(*chunks: Chunk, done: bool = True) -> Http:
    """Return a streamed response of these chunks."""
    events = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks]
    return sse(*events, *([DONE] if done else []))


def completion(*choices: dict[str, Any], **fields: Any) -> Http:
    """Return a response that is not streamed, with these choices."""
    body = {**_envelope("chat.completion"), "choices": list(choices), "usage": USAGE, **fields}
    return Http(200, body)


def choice(
    message: dict[str, Any], *, finish_reason: str = "stop", index: int = 0
) -> dict[str, Any]:
    """Return a choice of a completion."""
    message = {"role": "assistant", **message}
    return {"index": index, "message": message, "finish_reason": finish_reason}


def tool_call(
    call_id: str | None, name: str | None, arguments: str | None, index: int | None = None
) -> dict[str, Any]:
    """Return a tool call, or a delta of one. Arguments may be null; other fields are left out."""
    function: dict[str, Any] = {"arguments": arguments}
    call: dict[str, Any] = {"type": "function", "function": function}
    if name is not None:
        function["name"] = name
    if call_id is not None:
        call["id"] = call_id
    if index is not None:
        call["index"] = index
    return call


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "gen-1", "object": kind, "created": 1_750_000_000, "model": "sandbox/echo"}
