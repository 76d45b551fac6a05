"""A response as the events of its stream, in OpenAI's order."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from sunra_integrations.sandbox.rule_based.text import split_tokens

Event: TypeAlias = dict[str, Any]
Item: TypeAlias = Mapping[str, Any]


def encode_events(response: Mapping[str, Any]) -> list[bytes]:
    """The server-sent events of a response. The last one has all of it."""
    return [
        b"event: "
        + event["type"].encode()
        + b"\ndata: "
        + json.dumps({**event, "sequence_number": number}, ensure_ascii=False).encode()
        + b"\n\n"
        for number, event in enumerate(_events(response))
    ]


def _events(response: Mapping[str, Any]) -> Iterator[Event]:
    empty = {"output": list[Any](), "usage": None, "error": None, "incomplete_details": None}
    begun = {**response, **empty, "status": "in_progress"}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        place = {"output_index": index}
        yield {"type": "response.output_item.added", **place, "item": _begun(item)}
        for event in _item_events(item):
            yield {**event, **place, "item_id": item["id"]}
        yield {"type": "response.output_item.done", **place, "item": item}
    yield {"type": f"response.{response['status']}", "response": response}


_EMPTY: dict[str, dict[str, Any]] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}


def _begun(item: Item) -> dict[str, Any]:
    """An item before its content."""
    begun = {**item, **_EMPTY.get(item["type"], {})}
    begun.pop("encrypted_content", None)
    return {**begun, "status": "in_progress"} if "status" in item else begun


def _item_events(item: Item) -> Iterator[Event]:
    match item["type"]:
        case "message":
            for index, part in enumerate(item["content"]):
                for event in _part_events(part):
                    yield {**event, "content_index": index}
        case "reasoning":
            for index, part in enumerate(item["summary"]):
                for event in _summary_events(part):
                    yield {**event, "summary_index": index}
        case "function_call":
            yield from _text_events("function_call_arguments", "arguments", item["arguments"])
        case "custom_tool_call":
            yield from _text_events("custom_tool_call_input", "input", item["input"])
        case _:  # an item of a tool that the vendor runs: it is added and done
            return


def _text_events(kind: str, key: str, text: str) -> Iterator[Event]:
    """The deltas of a text, and the event with all of it."""
    for token in split_tokens(text):
        yield {"type": f"response.{kind}.delta", "delta": token}
    yield {"type": f"response.{kind}.done", key: text}


def _summary_events(part: Mapping[str, Any]) -> Iterator[Event]:
    kind = "response.reasoning_summary_part"
    yield {"type": f"{kind}.added", "part": {**part, "text": ""}}
    yield from _text_events("reasoning_summary_text", "text", part["text"])
    yield {"type": f"{kind}.done", "part": part}


def _part_events(part: Mapping[str, Any]) -> Iterator[Event]:
    if part["type"] == "refusal":
        yield {"type": "response.content_part.added", "part": {**part, "refusal": ""}}
        yield from _text_events("refusal", "refusal", part["refusal"])
    else:
        empty = {**part, "text": "", "annotations": [], "logprobs": []}
        yield {"type": "response.content_part.added", "part": empty}
        yield from _output_text_events(part)
    yield {"type": "response.content_part.done", "part": part}


def _output_text_events(part: Mapping[str, Any]) -> Iterator[Event]:
    logprobs = iter(part["logprobs"])
    kind = "response.output_text"
    for token in split_tokens(part["text"]):
        scored = list(itertools.islice(logprobs, 1))
        yield {"type": f"{kind}.delta", "delta": token, "logprobs": scored}
    for index, annotation in enumerate(part["annotations"]):
        place = {"annotation_index": index, "annotation": annotation}
        yield {"type": f"{kind}.annotation.added", **place}
    yield {"type": f"{kind}.done", "text": part["text"], "logprobs": part["logprobs"]}
