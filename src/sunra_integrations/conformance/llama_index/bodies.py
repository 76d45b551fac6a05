"""Server responses for the sandbox to return, including unusual ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def response_stream(*chunks: Chunk, done: bool = True) -> Http:
    """Return a stream of `/v1/responses` with the content of these chunks.

    Only the first choice is used. Objects without choices are sent unchanged.
    """
    events: list[Chunk] = [{"type": "response.created", "response": _response("in_progress")}]
    items: dict[str, dict[str, Any]] = {}
    for one in chunks:
        if "choices" not in one:
            events.append(one)
        for given in one.get("choices") or ():
            events += _item_events(items, given["delta"])
            if given["finish_reason"]:
                events += [
                    {"type": "response.output_item.done", "output_index": index, "item": item}
                    for index, item in enumerate(items.values())
                ]
                response = {**_response("completed"), "output": list(items.values())}
                events.append({"type": "response.completed", "response": response})
    named = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return sse(*named, *([DONE] if done else []))


def _response(status: str) -> dict[str, Any]:
    usage = {f"{name}_tokens": USAGE[f"{old}_tokens"] for name, old in _TOKENS.items()}
    return {**_envelope("response"), "status": status, "output": [], "usage": usage}


_TOKENS = {"input": "prompt", "output": "completion", "total": "total"}


def _item_events(items: dict[str, dict[str, Any]], delta: dict[str, Any]) -> Iterator[Chunk]:
    """Yield the events of a delta, and add its content to the items, which have keys."""
    if reasoning := delta.get("reasoning"):
        new: dict[str, Any] = {"type": "reasoning", "summary": [{"type": "summary_text"}]}
        yield from _delta(items, "reasoning", new, "reasoning_summary_text", reasoning)
    if content := delta.get("content"):
        new = {"type": "message", "role": "assistant", "content": [{"type": "output_text"}]}
        yield from _delta(items, "message", new, "output_text", content)
    for call in delta.get("tool_calls") or ():
        function = call["function"]
        new = {"type": "function_call", "call_id": call.get("id"), "name": function.get("name")}
        key = f"call {call['index']}"
        yield from _delta(items, key, new, "function_call_arguments", function["arguments"])


def _delta(
    items: dict[str, dict[str, Any]], key: str, new: dict[str, Any], kind: str, text: str
) -> Iterator[Chunk]:
    place = {"output_index": list(items).index(key) if key in items else len(items)}
    if key not in items:
        items[key] = new
        yield {"type": "response.output_item.added", **place, "item": {**new, **_EMPTY}}
    item = items[key]
    holder, field = item, "arguments"
    if item["type"] != "function_call":
        holder, field = item["summary" if key == "reasoning" else "content"][0], "text"
    holder[field] = holder.get(field, "") + text
    yield {"type": f"response.{kind}.delta", **place, "delta": text}


_EMPTY: dict[str, Any] = {"content": [], "summary": [], "arguments": ""}


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
