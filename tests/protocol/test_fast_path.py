"""What is read in few steps, because nearly every event is so, is what the long way reads."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol import completion, fast_path
from sunra_integrations.protocol.completion import _MESSAGE_FIELDS, parse_choice, parse_rich_choice
from sunra_integrations.protocol.fast_path import RepeatedEvent
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


PIECES = st.one_of(st.sampled_from(["", "{", '"a":', "1}", "null"]), TEXT)
LOGPROBS = st.sampled_from(
    [None, {}, {"content": [{"token": '},"logprobs":'}]}, {"content": None}, {"refusal": []}, [], 1]
)


@st.composite
def other_pieces(draw: st.DrawFn, event: dict[str, Any]) -> dict[str, Any]:
    """The event with other text, reasoning, arguments and logprobs where it has some."""
    event = deepcopy(event)
    for choice in event["choices"]:
        delta = choice["delta"] or {}
        for field in ("content", "reasoning", "reasoning_content"):
            if isinstance(delta.get(field), str):
                delta[field] = draw(TEXT)
        for call in delta.get("tool_calls") or ():
            if isinstance((call.get("function") or {}).get("arguments"), str):
                call["function"]["arguments"] = draw(PIECES)
        if choice.get("logprobs"):
            choice["logprobs"] = draw(LOGPROBS)
    return event


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A stream in which one event comes again and again with other pieces, and others between."""
    like = draw(EVENT)
    events = []
    for _ in range(draw(st.integers(1, 6))):
        event = draw(st.one_of(st.just(like), EVENT))
        events.append(draw(other_pieces(event)))
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


def read_the_long_way(body: bytes) -> tuple[list[Chunk], Reply, str]:
    with (
        patch.object(RepeatedEvent, "read", lambda *_: None),
        patch.object(ToolCallTracker, "_append_arguments", lambda *_: None),
        patch.object(completion, "parse_text_choice", lambda *_: None),
    ):
        return read(body)


@given(bodies())
def test_shortcuts_read_what_the_long_way_reads(body):
    assert read(body) == read_the_long_way(body)


@given(bodies())
def test_shortcuts_keep_the_event_as_it_came(body):
    # Compared as JSON, because to `==` True, 1 and 1.0 are one value.
    short, long = read(body)[0], read_the_long_way(body)[0]
    as_json = partial(json.dumps, sort_keys=True)
    assert [as_json(chunk.raw) for chunk in short] == [as_json(chunk.raw) for chunk in long]


@given(bodies())
def test_chunks_that_were_read_by_repetition_share_nothing_that_could_change(body):
    chunks, _, _ = read(body)
    before = [json.dumps([chunk.raw, chunk.extra]) for chunk in chunks]
    for number, chunk in enumerate(chunks):
        spoil(chunk.raw)
        spoil(chunk.extra)
        after = [json.dumps([later.raw, later.extra]) for later in chunks[number + 1 :]]
        assert after == before[number + 1 :]


def spoil(value: object) -> None:
    """Changes all that can be changed within a JSON value."""
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


def learnt_from(data: bytes) -> RepeatedEvent:
    stream = ChunkStream()
    (chunk,) = stream.feed(b"data: " + data + b"\n\n")
    repeated = RepeatedEvent(stream._reader.calls_of)
    repeated.learn(data, chunk)
    return repeated


MESSAGE = st.dictionaries(
    st.sampled_from([*_MESSAGE_FIELDS, "odd"]),
    st.one_of(st.none(), st.just(""), st.just([]), TEXT, st.just([{"type": "text", "text": "a"}])),
)


@given(choice=CHOICE, message=MESSAGE)
@example(choice={"index": 0}, message={"reasoning": "", "content": "text"})
def test_a_plain_choice_is_read_as_a_rich_one_would_be(choice, message):
    read_in_short = parse_choice(choice, 0, message, ())
    assert read_in_short == parse_rich_choice(choice, 0, message, ())


BEGUN = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}
REPEATING: dict[str, list[dict[str, Any]]] = {
    "text": [{"delta": {"content": "a"}}, {"delta": {"content": 'b "\u2028\U0001f600'}}],
    "text with logprobs": [
        {"delta": {"content": t}, "logprobs": {"content": [{"token": t}], "refusal": None}}
        for t in ("a", '},"logprobs":')
    ],
    "reasoning": [{"delta": {"content": "", "reasoning": text}} for text in ("a", "b")],
    "reasoning by its other name": [{"delta": {"reasoning_content": t}} for t in ("a", "b")],
    "arguments": [
        {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}}
        for text in ('{"a":', '"}')
    ],
}


@pytest.mark.parametrize("choices", REPEATING.values(), ids=REPEATING)
def test_an_event_that_repeats_another_is_read_without_being_decoded_whole(choices):
    begun = {"choices": [{"delta": {"tool_calls": [BEGUN]}}]}
    first, second = ({"id": "c", "choices": [{"index": 0, **choice}]} for choice in choices)
    stream = ChunkStream()
    feed = partial(as_event, stream)
    feed(begun), feed(first)
    with patch.object(ChunkStream, "_chunk", side_effect=AssertionError("decoded whole")):
        (chunk,) = feed(second)
    assert chunk.raw == second


def as_event(stream: ChunkStream, event: object) -> list[Chunk]:
    return list(stream.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))


def test_arguments_go_to_the_call_that_came_last_under_their_index():
    piece = {"index": 0, "function": {"arguments": "{}"}}
    another = {"index": 0, "id": "c2", "function": {"name": "g", "arguments": ""}}
    stream = ChunkStream()
    placed = [
        as_event(stream, {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})[0]
        for call in (BEGUN, piece, piece, another, piece)
    ]
    assert [chunk.choices[0].tool_calls[0].call_index for chunk in placed] == [0, 0, 0, 1, 1]


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
    with patch("sunra_integrations.protocol.fast_path._frame", return_value=None) as frame:
        for number in range(100):
            list(stream.feed(b"data: " + event("a", nonce=str(number)) + b"\n\n"))
    assert frame.call_count == 4


def test_a_stream_that_changes_its_kind_at_each_turn_is_not_studied_for_ever():
    stream = ChunkStream()
    kinds = [{"delta": {"content": "a"}}, {"delta": {"reasoning": "b"}}]
    with patch("sunra_integrations.protocol.fast_path._frame", wraps=fast_path._frame) as frame:
        for number in range(100):  # two of a kind, then two of the other
            as_event(stream, {"choices": [{"index": 0, **kinds[number // 2 % 2]}]})
    assert frame.call_count <= 4 + 100 // 8  # the rest is paid for by what it saved
