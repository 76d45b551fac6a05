"""The events with which `/v1/responses` streams a response, in OpenAI's order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A whole response with this output."""
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    }
    known = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "gpt-5.6",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "usage": usage,
    }
    return {**known, **fields, "output": list(output)}


def message(text: str, *, id: str = "msg_1", **fields: Any) -> dict[str, Any]:  # noqa: A002
    part = {"type": "output_text", "text": text, "annotations": []}
    part.update({name: fields.pop(name) for name in ("annotations", "logprobs") if name in fields})
    return {
        "type": "message", "id": id, "role": "assistant", "status": "completed",
        "content": [part], **fields,
    }  # fmt: skip


def function_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {
        "type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name,
        "arguments": arguments, "status": "completed",
    }  # fmt: skip


def reasoning(*summary: str, id: str = "rs_1", encrypted: str | None = "E") -> dict[str, Any]:  # noqa: A002
    texts = [{"type": "summary_text", "text": text} for text in summary]
    secret = {} if encrypted is None else {"encrypted_content": encrypted}
    return {"type": "reasoning", "id": id, "summary": texts, **secret}


def events(whole: dict[str, Any]) -> Iterator[Event]:
    """The events that stream a whole response, with texts cut into pieces of three characters."""
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    begun["incomplete_details"] = None
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(whole["output"]):
        place = {"output_index": index}
        yield {"type": "response.output_item.added", **place, "item": _empty(item)}
        for event in _of_item(item):
            yield {**event, **place, "item_id": item.get("id")}
        yield {"type": "response.output_item.done", **place, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def sse(*given: Event) -> bytes:
    """Events as the body of a stream."""
    lines = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(given)
    ]
    return "".join(lines).encode()


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    empty = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {**item, **{name: value for name, value in empty.items() if name in item}}
    begun.pop("encrypted_content", None)
    return {**begun, "status": "in_progress"} if "status" in item else begun


def _of_item(item: dict[str, Any]) -> Iterator[Event]:
    match item["type"]:
        case "message":
            for index, part in enumerate(item["content"]):
                for event in _of_part(part):
                    yield {"content_index": index, **event}
        case "reasoning":
            for index, part in enumerate(item["summary"]):
                kind = "response.reasoning_summary_text"
                yield {"type": "response.reasoning_summary_part.added", "summary_index": index}
                for piece in _pieces(part["text"]):
                    yield {"type": f"{kind}.delta", "summary_index": index, "delta": piece}
                yield {"type": f"{kind}.done", "summary_index": index, "text": part["text"]}
        case "function_call":
            yield from _of_call("function_call_arguments", "arguments", item["arguments"])
        case "custom_tool_call":
            yield from _of_call("custom_tool_call_input", "input", item["input"])
        case kind:
            yield {"type": f"response.{kind}.in_progress"}
            yield {"type": f"response.{kind}.completed"}


def _of_call(kind: str, field: str, written: str) -> Iterator[Event]:
    for piece in _pieces(written):
        yield {"type": f"response.{kind}.delta", "delta": piece}
    yield {"type": f"response.{kind}.done", field: written}


def _of_part(part: dict[str, Any]) -> Iterator[Event]:
    yield {"type": "response.content_part.added", "part": {"type": part["type"]}}
    if part["type"] == "refusal":
        for piece in _pieces(part["refusal"]):
            yield {"type": "response.refusal.delta", "delta": piece}
        yield {"type": "response.refusal.done", "refusal": part["refusal"]}
    else:
        logprobs = list(part.get("logprobs", []))
        for piece in _pieces(part["text"]):
            yield {"type": "response.output_text.delta", "delta": piece, "logprobs": logprobs}
            logprobs = []
        for index, annotation in enumerate(part["annotations"]):
            yield {
                "type": "response.output_text.annotation.added",
                "annotation_index": index,
                "annotation": annotation,
            }
        yield {"type": "response.output_text.done", "text": part["text"]}
    yield {"type": "response.content_part.done", "part": part}


def _pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]
