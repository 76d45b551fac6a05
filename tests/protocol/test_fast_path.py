"""Shortcuts give what the full parser gives."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.fast_path import (
    EventTemplate,
    RepeatedText,
    constructor,
    validating_constructor,
)
from sunra_integrations.protocol.json_text import EMPTY
from sunra_integrations.protocol.reply import Chunk, Reply
from sunra_integrations.protocol.stream import ChunkStream
from sunra_integrations.protocol.tool_call_tracker import ToolCallTracker

TEXT = st.one_of(
    st.text(max_size=6),
    st.sampled_from(['"', "\\", "\u2028", "\x00", '"content":"x"', "a\ud83e", "\udd8ab", "\ud83e"]),
)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), TEXT)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, 0.0, True, None, "0"]),
        "id": st.sampled_from([None, "", "a", "b"]),
        "type": st.just("function"),
        "function": st.one_of(
            st.none(),
            st.fixed_dictionaries({"arguments": st.sampled_from(["", "{", '{"a":1}', "1}"])}),
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from([None, "f", "g"]),
                    "arguments": st.sampled_from(["", "{}"]),
                }
            ),
            st.just({"arguments": {"a": 1}}),
        ),
        "signature": st.just("s"),
    },
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.one_of(TEXT, st.none(), st.just([{"type": "text", "text": "part"}])),
        "tool_calls": st.one_of(st.none(), st.lists(CALL, max_size=2)),
        "reasoning": st.one_of(st.none(), TEXT),
        "reasoning_content": st.one_of(st.none(), TEXT),
        "refusal": st.none(),
        "odd": SCALAR,
    },
)
CHOICE = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1, None, "0"])},
    optional={
        "delta": st.one_of(DELTA, st.none()),
        "message": DELTA,
        "finish_reason": st.sampled_from([None, None, "stop", "error", ""]),
        "logprobs": st.sampled_from([None, {"content": [{"token": "a"}]}]),
        "error": st.sampled_from([None, {"message": "no"}]),
        "odd": SCALAR,
    },
)
EVENT = st.fixed_dictionaries(
    {"id": st.just("c1"), "choices": st.lists(CHOICE, max_size=2)},
    optional={
        "model": st.sampled_from(["m", None]),
        "created": st.sampled_from([1, 2.0, None]),
        "usage": st.sampled_from([None, {"prompt_tokens": 1}]),
        "odd": SCALAR,
        'an"content': TEXT,
    },
)
SPACING = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])


@st.composite
def with_other_text(draw: st.DrawFn, event: dict[str, Any]) -> dict[str, Any]:
    """The event with other text and reasoning, if it has any."""
    event = deepcopy(event)
    for choice in event["choices"]:
        delta = choice.get("delta") or choice.get("message") or {}
        for field in ("content", "reasoning", "reasoning_content"):
            if isinstance(delta.get(field), str):
                delta[field] = draw(TEXT)
    return event


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A stream that repeats an event with other text, between other events."""
    like = draw(EVENT)
    events = []
    for _ in range(draw(st.integers(1, 6))):
        event = draw(st.one_of(st.just(like), EVENT))
        events.append(draw(with_other_text(event)))
    separators = draw(SPACING)
    ascii_only = draw(st.booleans())
    lines = [json.dumps(e, separators=separators, ensure_ascii=ascii_only) for e in events]
    if draw(st.booleans()):  # a JSON string may spell its letters in several ways
        lines = [line.replace("a", "\\u0061") for line in lines]
    if draw(st.booleans()):  # a string may hold its control characters as they are
        lines = [line.replace("\\u0000", "\0") for line in lines]
    return "".join(f"data: {line}\n\n" for line in lines).encode("utf-8", "surrogatepass")


def read(body: bytes) -> tuple[list[Chunk], Reply, str]:
    stream = ChunkStream()
    chunks: list[Chunk] = []
    failure = ""
    try:
        chunks.extend(stream.feed(body))
    except SunraError as error:
        failure = f"{type(error).__name__} {error} {error.partial!r}"
    return chunks, stream.so_far(), failure


def read_in_full(body: bytes) -> tuple[list[Chunk], Reply, str]:
    with (
        patch.object(RepeatedText, "read", lambda *_: None),
        patch.object(ToolCallTracker, "_append_arguments", lambda *_: None),
    ):
        return read(body)


@given(bodies())
def test_shortcuts_give_the_same_chunks(body):
    assert read(body) == read_in_full(body)


@given(bodies())
def test_shortcuts_keep_the_raw_event(body):
    # Compared as JSON, because to `==` True, 1 and 1.0 are one value.
    short, long = read(body)[0], read_in_full(body)[0]
    as_json = partial(json.dumps, sort_keys=True)
    assert [as_json(chunk.raw) for chunk in short] == [as_json(chunk.raw) for chunk in long]


@given(bodies())
def test_chunks_share_nothing_mutable(body):
    chunks, _, _ = read(body)
    before = [json.dumps([chunk.raw, chunk.extra]) for chunk in chunks]
    for number, chunk in enumerate(chunks):
        spoil(chunk.raw)
        spoil(chunk.extra)
        after = [json.dumps([later.raw, later.extra]) for later in chunks[number + 1 :]]
        assert after == before[number + 1 :]


def spoil(value: object) -> None:
    """Changes everything mutable in a JSON value."""
    match value:
        case dict() if value is not EMPTY:
            for inner in value.values():
                spoil(inner)
            value["changed"] = True
        case list():
            for inner in value:
                spoil(inner)
            value.append("changed")


def event(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return json.dumps({"id": "c", "choices": [choice], **more}).encode()


def template_of(data: bytes) -> EventTemplate | None:
    (chunk,) = ChunkStream().feed(b"data: " + data + b"\n\n")
    return EventTemplate.from_event(data, chunk)


REPEATED: dict[str, list[dict[str, Any]]] = {
    "text": [{"content": "a"}, {"content": 'b "\u2028\U0001f600'}],
    "with nulls": [{"content": text, "reasoning": None} for text in ("a", "b")],
    "with empty reasoning": [{"content": text, "reasoning": ""} for text in ("a", "b")],
    "with its other name": [{"content": text, "reasoning_content": ""} for text in ("a", "b")],
}


@pytest.mark.parametrize("deltas", REPEATED.values(), ids=REPEATED)
def test_an_event_that_repeats_another_is_not_decoded_whole(deltas):
    first, second = ({"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas)
    stream = ChunkStream()
    (expected,) = read_event(ChunkStream(), second)
    read_event(stream, first)
    with patch.object(ChunkStream, "_parse", side_effect=AssertionError("decoded whole")):
        (chunk,) = read_event(stream, second)
    assert chunk == expected
    assert chunk.raw == second


def read_event(stream: ChunkStream, event: object) -> list[Chunk]:
    return list(stream.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))


NO_TEMPLATE: dict[str, bytes] = {
    "another mutable value": event("a", odd={"x": 1}),
    "no choice but the first has text": b'{"choices":[{"delta":{"content":"a"}},1]}',
    "a message in place of a delta": b'{"choices":[{"message":{"content":"a"}}]}',
    "a message beside an empty delta": b'{"choices":[{"delta":null,"message":{"content":"a"}}]}',
    "content in parts": b'{"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]}',
    "an escaped name": b'{"choices":[{"delta":{"cont\\u0065nt":"a"}}]}',
}


@pytest.mark.parametrize("data", NO_TEMPLATE.values(), ids=NO_TEMPLATE)
def test_an_event_with_more_than_one_text_is_no_template(data):
    assert template_of(data) is None


def test_a_key_that_ends_with_content_is_not_the_content():
    data = b'{"a\\"content":"x","choices":[{"index":0,"delta":{"content" : "hi"}}]}'
    template = template_of(data)
    assert template is not None
    assert template.read(data.replace(b'"x"', b'"y"')) is None
    assert template.read(data.replace(b'"hi"', b'"ho"')) is not None


def test_the_replaced_value_must_be_one_string():
    template = template_of(event("a"))
    assert template is not None
    for between in (b'"a","content":"b"', b"null", b'"a" "b"', b'"\\ud800"', b'"a', b""):
        assert template.read(event("a").replace(b'"a"', between)) is None, between


def test_a_stream_whose_events_never_repeat_stops_learning():
    stream = ChunkStream()
    with patch.object(EventTemplate, "from_event", return_value=None) as learn:
        for number in range(100):
            read_event(stream, {"choices": [{"delta": {"content": "a"}}], "nonce": number})
    assert learn.call_count == 4


def test_a_stream_that_alternates_stops_learning():
    stream = ChunkStream()
    with patch.object(EventTemplate, "from_event", wraps=EventTemplate.from_event) as learn:
        for number in range(100):  # two events of a kind, then two of another
            event = {"choices": [{"delta": {"content": "a"}}], "nonce": number // 2 % 2}
            read_event(stream, event)
    assert learn.call_count <= 4 + 100 // 8  # each further attempt was earned


class WithoutBraces(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def _remove_braces(cls, text: str) -> str:
        return text.strip("{}")


def test_a_known_validator_is_trusted_only_if_the_examples_agree():
    validating = validating_constructor(WithoutBraces).__qualname__
    known = {"known_validators": ("_remove_braces",)}
    assert constructor(WithoutBraces, {"text": "a"}).__qualname__ == validating
    assert constructor(WithoutBraces, {"text": "a"}, **known).__qualname__ != validating
    compared = constructor(WithoutBraces, {"text": "a"}, {"text": "{"}, **known)
    assert compared.__qualname__ == validating
