"""The events of a stream of `/v1/responses`, as OpenAI sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

Item = Literal["text", "tools"]

_ID = "resp_benchmark"


def events(item: Item, deltas: list[str], model: str) -> Iterator[dict[str, Any]]:
    """The events of a response with one message, or with one function call."""
    response = {"id": _ID, "object": "response", "created_at": 1_750_000_000, "model": model}
    response |= {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    opening = {**response, "status": "in_progress", "output": [], "usage": None}
    output = _item(item, "".join(deltas), "completed")
    usage = {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(deltas),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12 + len(deltas),
    }
    closing = {**response, "status": "completed", "output": [output], "usage": usage}
    parts = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
        _of_item("output_item.added", item=_item(item, "", "in_progress")),
        *(_text(deltas) if item == "text" else _arguments(deltas)),
        _of_item("output_item.done", item=output),
        {"type": "response.completed", "response": closing},
    ]
    for number, part in enumerate(parts):
        yield {**part, "sequence_number": number}


def _item(item: Item, text: str, status: str) -> dict[str, Any]:
    if item == "tools":
        call = {"id": "fc_benchmark", "type": "function_call", "call_id": "call_benchmark"}
        return {**call, "name": "write_down", "arguments": text, "status": status}
    message = {"id": "msg_benchmark", "type": "message", "role": "assistant", "status": status}
    return {**message, "content": [_content(text)] if text else []}


def _content(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _text(deltas: list[str]) -> Iterator[dict[str, Any]]:
    place: dict[str, Any] = {"item_id": "msg_benchmark", "content_index": 0}
    text = "".join(deltas)
    yield _of_item("content_part.added", **place, part=_content(""))
    for delta in deltas:
        yield _of_item("output_text.delta", **place, delta=delta, logprobs=[], obfuscation="Zk3")
    yield _of_item("output_text.done", **place, text=text, logprobs=[])
    yield _of_item("content_part.done", **place, part=_content(text))


def _arguments(deltas: list[str]) -> Iterator[dict[str, Any]]:
    place, kind = {"item_id": "fc_benchmark"}, "function_call_arguments"
    for delta in deltas:
        yield _of_item(f"{kind}.delta", **place, delta=delta, obfuscation="Zk3")
    yield _of_item(f"{kind}.done", **place, arguments="".join(deltas))


def _of_item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": 0, **fields}
