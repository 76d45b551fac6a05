"""The work for an event of a stream does not grow with the answer.

Work is counted in calls of functions, which is the same on every machine. Every response holds all
of the answer so far; that copies lists and texts, and calls nothing for what is in them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.llama_index.ways import ASKED
from tests.recorded_transport import stream

Delta = dict[str, Any]


def called(number: int, **more: Any) -> Delta:
    function = {"name": "add", "arguments": '{"a": 1}'}
    return {"tool_calls": [{"id": f"c{number}", "type": "function", "function": function, **more}]}


def cited(number: int, **more: Any) -> Delta:
    citation = {"url": "https://a.example/", "title": "A", **more}
    return {"content": "word ", "annotations": [{"type": "url_citation", "url_citation": citation}]}


def image(number: int) -> Delta:
    return {"type": "image_url", "image_url": {"url": f"https://a.example/{number}.png"}}


TOKEN = {"token": "word ", "logprob": -0.5, "bytes": [1], "top_logprobs": []}

# What the event of a number brings.
EVENTS: dict[str, Callable[[int], Delta]] = {
    "text": lambda number: {"content": "word "},
    "reasoning": lambda number: {"reasoning": "hm "},
    "reasoning details": lambda number: {
        "reasoning_details": [{"type": "reasoning.text", "text": "hm ", "index": 0}]
    },
    "encrypted reasoning details": lambda number: {
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": number}]
    },
    "thinking blocks": lambda number: {
        "thinking_blocks": [{"type": "thinking", "thinking": "hm "}]
    },
    "signed thinking blocks": lambda number: {
        "thinking_blocks": [{"type": "thinking", "thinking": "hm ", "signature": f"s{number}"}]
    },
    "tool calls by index": lambda number: called(number, index=number),
    "tool calls by id": called,
    "tool calls with fields of a vendor": lambda number: called(
        number, index=number, extra_content={"signature": "s"}
    ),
    "arguments of one call": lambda number: {
        "tool_calls": [{"index": 0, "function": {"arguments": "1" if number else '{"a": '}}]
        if number
        else [{"index": 0, "id": "c", "function": {"name": "add", "arguments": '{"a": '}}]
    },
    "parts of text": lambda number: {"content": [{"type": "text", "text": "word "}]},
    "images among the parts": lambda number: {"content": [image(number)]},
    "images beside the text": lambda number: {"images": [image(number)]},
    "parts of another kind": lambda number: {"content": [{"type": "odd", "odd": number}]},
    "citations": lambda number: cited(number, start_index=0, end_index=4),
    "citations that quote": lambda number: cited(number, content="words"),
    "citations of what never comes": lambda number: cited(
        number, start_index=10**8, end_index=10**9
    ),
    "refusals": lambda number: {"refusal": "no "},
    "lists in unknown fields": lambda number: {"odd": [{"a": number}]},
    "texts in unknown fields": lambda number: {"odd": "word"},
}
LOGPROBS = "log probabilities"


def answer(kind: str, length: int) -> Any:
    choices: list[dict[str, Any]] = []
    for number in range(length):
        delta = EVENTS["text" if kind == LOGPROBS else kind](number)
        choices.append({"index": 0, "delta": delta, "finish_reason": None})
        if kind == LOGPROBS:
            choices[-1]["logprobs"] = {"content": [TOKEN]}
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = ({"id": "1", "choices": [choice]} for choice in choices)
    return stream(*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))


def work(action: Callable[[], object]) -> int:
    """How many functions were called, those written in C among them."""
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("kind", [*EVENTS, LOGPROBS])
def test_the_work_for_an_event_is_the_same_in_a_long_answer(line, kind) -> None:
    short, long = 20, 200

    def read(length: int) -> Callable[[], object]:
        llm = line(answer(kind, length)).llm
        return lambda: [None for _ in llm.stream_chat(ASKED)]

    read(short)()  # whatever is done once
    per_event = (work(read(long)) - work(read(short))) / (long - short)
    assert work(read(long * 2)) - work(read(long)) < 1.5 * per_event * long


def test_a_citation_grows_with_the_text_that_it_cites(line) -> None:
    deltas = [cited(0, start_index=0, end_index=9), {"content": "more "}, {"content": "words"}]
    events = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    events[-1]["finish_reason"] = "stop"
    llm = line(
        stream(*(b"data: " + json.dumps({"choices": [e]}).encode() + b"\n\n" for e in events))
    ).llm
    responses = list(llm.stream_chat(ASKED))
    quoted = [response.message.blocks[-1].cited_content.text for response in responses]
    assert quoted == ["word ", "word more", "word more"]
