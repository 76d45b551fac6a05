"""What is read in few steps, because nearly every event is so, is what the long way reads."""

from __future__ import annotations

import json
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol import answer
from sunra_integrations.protocol.chunk_stream import ChunkStream
from sunra_integrations.protocol.repeated_event import RepeatedEvent
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.responses import Chunk
from sunra_integrations.protocol.tool_call_order import ToolCallOrder

TEXT = st.one_of(
    st.text(max_size=6), st.sampled_from(['"', "\\", "\u2028", "\x00", '"content":"x"'])
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
        "refusal": st.none(),
        "odd": SCALAR,
    },
)
CHOICE = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1, None, "0"]), "delta": st.one_of(DELTA, st.none())},
    optional={
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
def bodies(draw: st.DrawFn) -> bytes:
    """A stream in which one event comes again and again with other texts, and others between."""
    like = draw(EVENT)
    events = []
    for _ in range(draw(st.integers(1, 6))):
        event = draw(st.one_of(st.just(like), EVENT))
        match event["choices"]:
            case [{"delta": {"content": str()} as delta} as choice]:
                again = {**choice, "delta": {**delta, "content": draw(TEXT)}}
                event = {**event, "choices": [again]}
        events.append(event)
    separators = draw(SPACING)
    ascii_only = draw(st.booleans())
    lines = [json.dumps(e, separators=separators, ensure_ascii=ascii_only) for e in events]
    if draw(st.booleans()):  # a JSON string may spell its letters in several ways
        lines = [line.replace("a", "\\u0061") for line in lines]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def read(body: bytes) -> tuple[list[Chunk], Reply, str]:
    stream = ChunkStream()
    chunks: list[Chunk] = []
    failure = ""
    try:
        chunks.extend(stream.feed(body))
    except SunraError as error:
        failure = f"{type(error).__name__} {error} {error.partial!r}"
    return chunks, stream.so_far(), failure


def read_the_long_way(body: bytes) -> tuple[list[Chunk], Reply, str]:
    with (
        patch.object(RepeatedEvent, "read", lambda *_: None),
        patch.object(ToolCallOrder, "_go_on", lambda *_: None),
        patch.object(answer, "read_text", lambda *_: None),
    ):
        return read(body)


@given(bodies())
def test_shortcuts_read_what_the_long_way_reads(body):
    assert read(body) == read_the_long_way(body)


@given(bodies())
def test_chunks_that_were_read_by_repetition_share_nothing_that_could_change(body):
    chunks, _, _ = read(body)
    before = json.dumps([chunk.raw for chunk in chunks])
    for chunk in chunks:
        for choice in chunk.raw["choices"]:
            choice["changed"] = True
            if isinstance(choice.get("delta"), dict):
                choice["delta"]["changed"] = True
        chunk.raw["changed"] = True
    for chunk in chunks:
        del chunk.raw["changed"]
        for choice in chunk.raw["choices"]:
            del choice["changed"]
            if isinstance(choice.get("delta"), dict):
                del choice["delta"]["changed"]
    assert json.dumps([chunk.raw for chunk in chunks]) == before


def event(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return json.dumps({"id": "c", "choices": [choice], **more}).encode()


def learnt_from(data: bytes) -> RepeatedEvent:
    stream = ChunkStream()
    (chunk,) = stream.feed(b"data: " + data + b"\n\n")
    repeated = RepeatedEvent()
    repeated.learn(data, chunk)
    return repeated


def test_an_event_that_repeats_another_is_read_without_being_decoded_whole():
    again = learnt_from(event("a")).read(event('b "\u2028\U0001f600'))
    assert again is not None
    assert again.choices[0].text == 'b "\u2028\U0001f600'


def test_an_event_with_a_changeable_part_is_always_decoded_whole():
    assert learnt_from(event("a", odd={"x": 1})).read(event("b", odd={"x": 1})) is None


def test_a_key_that_only_ends_like_content_is_not_taken_for_it():
    data = b'{"a\\"content":"x","choices":[{"index":0,"delta":{"content" : "hi"}}]}'
    assert learnt_from(data).read(data.replace(b'"x"', b'"y"')) is None


def test_what_stands_in_the_place_of_the_text_must_be_one_string():
    for between in (b'"a","content":"b"', b"null", b'"a" "b"', b'"\\ud800"', b'"a', b""):
        data = event("a").replace(b'"a"', between)
        assert learnt_from(event("a")).read(data) is None, between


def test_a_stream_whose_events_never_repeat_is_not_studied_for_ever():
    stream = ChunkStream()
    with patch("sunra_integrations.protocol.repeated_event._frame", return_value=None) as frame:
        for number in range(100):
            list(stream.feed(b"data: " + event("a", nonce=str(number)) + b"\n\n"))
    assert frame.call_count == 4
