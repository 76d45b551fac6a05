from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.accumulator import ReplyAccumulator, accumulate
from sunra_integrations.protocol.completion import CompletionParser, parse_completion
from sunra_integrations.protocol.json_text import EMPTY
from sunra_integrations.protocol.stream import ChunkStream
from tests.pieces import chunks
from tests.wire_cases import stream_bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELD = st.sampled_from(
    [
        "content",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "tool_calls",
        "annotations",
        "images",
        "audio",
        "role",
        "anything",
    ]
)
DELTA = JSON | st.dictionaries(FIELD, JSON, max_size=4)
CHOICE = JSON | st.fixed_dictionaries(
    {}, optional={"index": JSON, "delta": DELTA, "finish_reason": JSON, "logprobs": JSON}
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON | st.lists(CHOICE, max_size=3),
        "usage": JSON,
        "id": JSON,
        "model": JSON,
        "created": JSON,
        "error": JSON,
        "provider": JSON,
    },
)


def read(events):
    reader = CompletionParser()
    return reader, [reader.parse(event) for event in events]


@given(st.lists(EVENT, max_size=4))
def test_any_event_is_parsed_or_raises_a_sunra_error(events):
    try:
        reader, chunks = read(events)
    except SunraError:
        return
    assert reader.accumulator.reply() == accumulate(chunks)


@given(st.lists(EVENT, max_size=4))
def test_parsing_does_not_change_the_event(events):
    before = copy.deepcopy(events)
    try:
        reader, _ = read(events)
        reader.accumulator.reply()
    except SunraError:
        pass
    assert repr(events) == repr(before)


@given(st.lists(chunks(), max_size=8))
def test_the_reply_after_every_chunk_equals_that_of_all_chunks_at_once(pieces):
    total = ReplyAccumulator()
    asked = []
    for piece in pieces:
        total.add(piece)
        asked.append(total.reply())
    assert asked == [accumulate(pieces[:number]) for number in range(1, len(pieces) + 1)]


@given(st.lists(chunks(), max_size=8))
def test_later_chunks_do_not_change_an_earlier_reply(pieces):
    total = ReplyAccumulator()
    for piece in pieces:
        total.add(piece)
        given_out = total.reply()
        before = copy.deepcopy(given_out)
        total.add(piece)
        total.reply()
        assert given_out == before


@pytest.mark.parametrize("name", ["logprobs", "parallel_calls_by_index"])
def test_the_accumulator_of_a_stream_has_only_the_chunks_returned_so_far(name):
    total = ReplyAccumulator()
    stream = ChunkStream(accumulator=total)
    given_out = []
    for chunk in stream.feed(stream_bytes(name)):
        given_out.append(chunk)
        assert total.reply() == accumulate(given_out)
    assert len(given_out) > 1


@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=6))
def test_text_and_reasoning_are_concatenated_in_order(texts, thoughts):
    events = [{"choices": [{"delta": {"reasoning": t}}]} for t in thoughts]
    events += [{"choices": [{"delta": {"content": t}}]} for t in texts]
    reader, _ = read(events)
    choice = reader.accumulator.reply().choice
    assert (choice.text, choice.reasoning) == ("".join(texts), "".join(thoughts))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_the_last_usage_counts(counts):
    events = [
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": n}} for n in counts
    ]
    usage = read(events)[0].accumulator.reply().usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (1, counts[-1])
    assert usage.total_tokens == 1 + counts[-1]


def reply_of(name):
    stream = ChunkStream(request_id="req-1")
    list(stream.feed(stream_bytes(name)))
    return stream.so_far()


def test_logprobs_are_concatenated():
    assert [t["token"] for t in reply_of("logprobs").choice.logprobs["content"]] == ["Hel", "lo"]


def test_the_parts_of_a_reasoning_detail_are_joined():
    assert reply_of("reasoning_details").choice.reasoning_details == (
        {
            "type": "reasoning.text",
            "text": "Let me think.",
            "index": 0,
            "format": "anthropic-claude-v1",
            "signature": "c2ln",
        },
    )


TEXT = {"type": "reasoning.text"}
SUMMARY = {"type": "reasoning.summary"}
ENCRYPTED = {"type": "reasoning.encrypted"}

STREAMED_DETAILS = {
    "text goes on": (
        [{**TEXT, "text": "a"}, {**TEXT, "text": "b"}],
        [{**TEXT, "text": "ab"}],
    ),
    "a signature ends a detail": (
        [
            {**TEXT, "text": "a", "signature": None},
            {**TEXT, "text": "", "signature": "s1"},
            {**TEXT, "text": "b"},
            {**TEXT, "signature": "s2"},
        ],
        [
            {**TEXT, "text": "a", "signature": "s1"},
            {**TEXT, "text": "b", "signature": "s2"},
        ],
    ),
    "a signature repeated with each piece": (
        [{**TEXT, "text": "a", "signature": "s"}, {**TEXT, "text": "b", "signature": "s"}],
        [{**TEXT, "text": "ab", "signature": "s"}],
    ),
    "two signatures of one index": (
        [
            {**TEXT, "text": "a", "signature": "s1", "index": 0},
            {**TEXT, "text": "b", "signature": "s2", "index": 0},
        ],
        [
            {**TEXT, "text": "a", "signature": "s1", "index": 0},
            {**TEXT, "text": "b", "signature": "s2", "index": 0},
        ],
    ),
    "encrypted data is never joined": (
        [{**ENCRYPTED, "data": "AA"}, {**ENCRYPTED, "data": "BB"}],
        [{**ENCRYPTED, "data": "AA"}, {**ENCRYPTED, "data": "BB"}],
    ),
    "another type": (
        [{**TEXT, "text": "a"}, {**SUMMARY, "summary": "b"}, {**SUMMARY, "summary": "c"}],
        [{**TEXT, "text": "a"}, {**SUMMARY, "summary": "bc"}],
    ),
    "another id": (
        [{**SUMMARY, "summary": "a", "id": "1"}, {**SUMMARY, "summary": "b", "id": "2"}],
        [{**SUMMARY, "summary": "a", "id": "1"}, {**SUMMARY, "summary": "b", "id": "2"}],
    ),
    "another index": (
        [{**TEXT, "text": "a", "index": 0}, {**TEXT, "text": "b", "index": 1}],
        [{**TEXT, "text": "a", "index": 0}, {**TEXT, "text": "b", "index": 1}],
    ),
    "another format": (
        [{**TEXT, "text": "a", "format": "x"}, {**TEXT, "text": "b", "format": "y"}],
        [{**TEXT, "text": "a", "format": "x"}, {**TEXT, "text": "b", "format": "y"}],
    ),
    "a field of the vendor's own that differs": (
        [{**TEXT, "text": "a", "x": 1}, {**TEXT, "text": "b", "x": 2}],
        [{**TEXT, "text": "a", "x": 1}, {**TEXT, "text": "b", "x": 2}],
    ),
}


@pytest.mark.parametrize("case", STREAMED_DETAILS)
def test_streamed_details_are_joined_up_to_their_signature(case):
    pieces, joined = STREAMED_DETAILS[case]
    events = [{"choices": [{"delta": {"reasoning_details": [piece]}}]} for piece in pieces]
    assert list(read(events)[0].accumulator.reply().choice.reasoning_details) == joined


@pytest.mark.parametrize("case", STREAMED_DETAILS)
def test_details_of_a_completion_are_not_joined(case):
    pieces, _ = STREAMED_DETAILS[case]
    body = {"choices": [{"message": {"reasoning_details": pieces}, "finish_reason": "stop"}]}
    reply = parse_completion(json.dumps(body).encode())
    assert list(reply.choice.reasoning_details) == pieces


def test_streamed_thinking_blocks_are_joined_up_to_their_signature():
    pieces = [{"thinking": "h"}, {"thinking": "m"}, {"signature": "s1"}, {"thinking": "so"}]
    blocks = [{"type": "thinking", **piece} for piece in pieces]
    events = [{"choices": [{"delta": {"thinking_blocks": [block]}}]} for block in blocks]
    assert read(events)[0].accumulator.reply().choice.message_extra == {
        "thinking_blocks": [
            {"type": "thinking", "thinking": "hm", "signature": "s1"},
            {"type": "thinking", "thinking": "so"},
        ]
    }


def test_a_repeated_signature_is_not_concatenated():
    signed = [{"extra_content": {"google": {"thought_signature": s}}} for s in ("T1", "T2")]
    events = [{"choices": [{"delta": delta}]} for delta in signed]
    assert read(events)[0].accumulator.reply().choice.message_extra == signed[1]


def test_text_and_image_parts_keep_their_order():
    assert [part["type"] for part in reply_of("content_parts_with_an_image").choice.parts] == [
        "text",
        "image_url",
        "text",
    ]


def test_plain_text_has_no_parts():
    assert reply_of("plain").choice.parts == ()


def test_annotations_and_images_are_kept():
    choice = reply_of("annotations_and_images").choice
    assert choice.annotations[0]["url_citation"]["title"] == "One"
    assert choice.images[0]["image_url"]["url"].startswith("data:image/png")


def test_unknown_fields_are_kept():
    reply = reply_of("unknown_keys_anywhere")
    assert reply.extra["provider"] == "openai"
    assert reply.choice.extra == {"x": 1, "native_finish_reason": "STOP"}
    assert reply.choice.message_extra == {"mood": "calm"}


def test_unknown_fields_of_a_tool_call_are_kept():
    (call,) = reply_of("unknown_fields_of_a_call").choice.tool_calls
    assert call.extra == {"extra_content": {"google": {"thought_signature": "sig"}}}


def test_unknown_fields_of_deltas_are_accumulated():
    events = [
        {"choices": [{"delta": {"audio": {"id": "a1", "data": "AA", "transcript": "Hel"}}}]},
        {"choices": [{"delta": {"audio": {"id": "a1", "data": "BB", "transcript": "lo"}}}]},
    ]
    audio = read(events)[0].accumulator.reply().choice.message_extra["audio"]
    assert audio == {"id": "a1", "data": "AABB", "transcript": "Hello"}


def test_every_choice_has_its_own_text():
    assert [choice.text for choice in reply_of("choices_interleaved").choices] == ["a1a2", "b1b2"]


def test_cost_and_details_are_read():
    usage = reply_of("usage_beside_the_last_choice").usage
    assert usage.cost == 0.0012
    assert usage.prompt_details == {"cached_tokens": 1}
    assert usage.completion_details == {"reasoning_tokens": 1}


def test_a_reply_and_its_chunks_can_be_pickled():
    reply = reply_of("plain")
    assert pickle.loads(pickle.dumps(reply)) == reply  # noqa: S301 - our own bytes


def test_the_shared_empty_mapping_is_immutable():
    with pytest.raises(TypeError):
        EMPTY["x"] = 1  # type: ignore[index]
    assert copy.deepcopy(EMPTY) is EMPTY
    assert json.dumps(EMPTY) == "{}"


def event_with(**fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": "a"}, **fields.pop("choice", {})}
    return b"data: " + json.dumps({"id": "g", "choices": [choice], **fields}).encode() + b"\n\n"


def test_unknown_dicts_are_merged_and_other_values_replaced():
    stream = ChunkStream()
    first, second = (
        next(stream.feed(event_with(x_groq=x, citations=c, provider=p, choice={"filter": x})))
        for x, c, p in [
            ({"id": "r", "seed": 7, "deep": {"a": 1}}, ["u"], "p"),
            ({"id": "r", "usage": {}, "deep": {"b": None, "c": 2}}, ["u", "v"], None),
        ]
    )
    reply = stream.so_far()
    merged = {"id": "r", "seed": 7, "deep": {"a": 1, "c": 2}, "usage": {}}
    assert reply.extra == {"x_groq": merged, "citations": ["u", "v"], "provider": "p"}
    assert reply.choice.extra == {"filter": merged}
    assert first.extra["x_groq"] == {"id": "r", "seed": 7, "deep": {"a": 1}}
    assert second.extra["x_groq"]["deep"] == {"b": None, "c": 2}


@pytest.mark.parametrize(("named", "model"), [("a/b-2024", "a/b-2024"), (None, "a/b"), ("", "a/b")])
def test_a_response_without_a_model_gets_the_requested_model(named, model):
    stream = ChunkStream(requested_model="a/b")
    list(stream.feed(event_with(model=named)))
    assert stream.so_far().model == model
    body = {"choices": [{"message": {"content": "a"}}], "model": named}
    assert parse_completion(json.dumps(body).encode(), requested_model="a/b").model == model
