from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.answer import AnswerReader, read_completion
from sunra_integrations.protocol.chunk_stream import ChunkStream
from sunra_integrations.protocol.json_values import NOTHING
from sunra_integrations.protocol.reply import Fold, fold
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
    reader = AnswerReader()
    return reader, [reader.read(event) for event in events]


@given(st.lists(EVENT, max_size=4))
def test_events_of_any_shape_are_read_or_raise_a_typed_error(events):
    try:
        reader, chunks = read(events)
    except SunraError:
        return
    assert reader.so_far.reply() == fold(chunks)


@given(st.lists(EVENT, max_size=4))
def test_reading_changes_nothing_it_was_handed(events):
    before = copy.deepcopy(events)
    try:
        reader, _ = read(events)
        reader.so_far.reply()
    except SunraError:
        pass
    assert repr(events) == repr(before)


@given(st.lists(chunks(), max_size=8))
def test_a_sum_that_is_asked_after_every_chunk_is_that_of_all_chunks_at_once(pieces):
    total = Fold()
    asked = []
    for piece in pieces:
        total.add(piece)
        asked.append(total.reply())
    assert asked == [fold(pieces[:number]) for number in range(1, len(pieces) + 1)]


@given(st.lists(chunks(), max_size=8))
def test_a_reply_that_was_given_out_is_not_changed_by_later_chunks(pieces):
    total = Fold()
    for piece in pieces:
        total.add(piece)
        given_out = total.reply()
        before = copy.deepcopy(given_out)
        total.add(piece)
        total.reply()
        assert given_out == before


@pytest.mark.parametrize("name", ["logprobs", "parallel_calls_by_index"])
def test_the_sum_handed_to_a_stream_holds_what_was_given_out_and_no_more(name):
    total = Fold()
    stream = ChunkStream(so_far=total)
    given_out = []
    for chunk in stream.feed(stream_bytes(name)):
        given_out.append(chunk)
        assert total.reply() == fold(given_out)
    assert len(given_out) > 1


@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=6))
def test_text_and_reasoning_add_up_in_order(texts, thoughts):
    events = [{"choices": [{"delta": {"reasoning": t}}]} for t in thoughts]
    events += [{"choices": [{"delta": {"content": t}}]} for t in texts]
    reader, _ = read(events)
    choice = reader.so_far.reply().choice
    assert (choice.text, choice.reasoning) == ("".join(texts), "".join(thoughts))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_usage_on_many_chunks_is_the_last_one_and_not_a_sum(counts):
    events = [
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": n}} for n in counts
    ]
    usage = read(events)[0].so_far.reply().usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (1, counts[-1])
    assert usage.total_tokens == 1 + counts[-1]


def reply_of(name):
    stream = ChunkStream(request_id="req-1")
    list(stream.feed(stream_bytes(name)))
    return stream.so_far()


def test_logprobs_of_all_pieces_are_joined():
    assert [t["token"] for t in reply_of("logprobs").choice.logprobs["content"]] == ["Hel", "lo"]


def test_pieces_of_one_reasoning_detail_become_one_that_can_be_replayed():
    assert reply_of("reasoning_details").choice.reasoning_details == (
        {
            "type": "reasoning.text",
            "text": "Let me think.",
            "index": 0,
            "format": "anthropic-claude-v1",
            "signature": "c2ln",
        },
    )


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


def test_unknown_fields_survive_where_they_stood():
    reply = reply_of("unknown_keys_anywhere")
    assert reply.extra["provider"] == "openai"
    assert reply.choice.extra == {"x": 1, "native_finish_reason": "STOP"}
    assert reply.choice.message_extra == {"mood": "calm"}


def test_unknown_fields_of_a_tool_call_survive():
    (call,) = reply_of("unknown_fields_of_a_call").choice.tool_calls
    assert call.extra == {"extra_content": {"google": {"thought_signature": "sig"}}}


def test_unknown_pieces_add_up_as_deltas_do():
    events = [
        {"choices": [{"delta": {"audio": {"id": "a1", "data": "AA", "transcript": "Hel"}}}]},
        {"choices": [{"delta": {"audio": {"id": "a1", "data": "BB", "transcript": "lo"}}}]},
    ]
    audio = read(events)[0].so_far.reply().choice.message_extra["audio"]
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


def test_the_shared_empty_mapping_cannot_be_filled_by_accident():
    with pytest.raises(TypeError):
        NOTHING["x"] = 1  # type: ignore[index]
    assert copy.deepcopy(NOTHING) is NOTHING
    assert json.dumps(NOTHING) == "{}"


def event_with(**fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": "a"}, **fields.pop("choice", {})}
    return b"data: " + json.dumps({"id": "g", "choices": [choice], **fields}).encode() + b"\n\n"


def test_unknown_objects_of_a_stream_are_merged_and_other_values_replaced():
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
def test_the_models_name_that_was_asked_for_stands_in_where_the_answer_names_none(named, model):
    stream = ChunkStream(model_asked="a/b")
    list(stream.feed(event_with(model=named)))
    assert stream.so_far().model == model
    body = {"choices": [{"message": {"content": "a"}}], "model": named}
    assert read_completion(json.dumps(body).encode(), model_asked="a/b").model == model
