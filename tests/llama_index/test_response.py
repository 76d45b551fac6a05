"""Answers of every kind as LlamaIndex's responses, streamed and whole."""

from __future__ import annotations

import base64
import copy
from itertools import chain
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    CitationBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
)

from sunra_integrations.llama_index import request
from sunra_integrations.llama_index import response as converters
from sunra_integrations.llama_index.response import StreamState
from sunra_integrations.protocol.completion import CompletionParser, parse_completion
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.stream import ChunkStream
from tests.llama_index.seen import seen
from tests.wire_cases import (
    COMPLETIONS,
    STREAMS,
    Fails,
    Seen,
    completion_bytes,
    stream_bytes,
)


def read_stream(raw: bytes, latest: list[ChatResponse] | None = None) -> ChatResponse:
    """The last response of a stream; the list, if given, keeps all, also when an error comes."""
    so_far = StreamState()
    stream = ChunkStream(request_id="req-1", accumulator=so_far)
    responses = [] if latest is None else latest
    responses.extend(converters.chunk(chunk, so_far) for chunk in stream.feed(raw))
    responses.extend(converters.chunk(chunk, so_far) for chunk in stream.close())
    return responses[-1]


def read_events(*events: dict[str, Any]) -> list[ChatResponse]:
    so_far = StreamState()
    reader = CompletionParser(accumulator=so_far)
    return [converters.chunk(reader.parse(event), so_far) for event in events]


def delta(finish_reason: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": fields, "finish_reason": finish_reason}
    return {"id": "gen-1", "choices": [choice]}


WHOLE_STREAMS = [name for name, case in STREAMS.items() if isinstance(case, Seen)]
WHOLE_COMPLETIONS = [name for name, case in COMPLETIONS.items() if isinstance(case, Seen)]


@pytest.mark.parametrize("name", WHOLE_STREAMS)
def test_the_last_response_of_a_stream_is_the_whole_answer(name: str) -> None:
    assert seen(read_stream(stream_bytes(name))) == STREAMS[name]


def test_a_null_in_a_later_chunk_hides_nothing_that_an_earlier_one_said() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{"}}
    first, later = (
        delta(tool_calls=[{**call, "seal": "s"}]),
        delta(tool_calls=[{**call, "seal": None}]),
    )
    first["provider"], later["provider"] = "Acme", None
    first["choices"][0]["native"], later["choices"][0]["native"] = "n", None
    response = read_events(first, later)[-1]
    assert response.additional_kwargs["provider"] == "Acme"
    assert response.additional_kwargs["native"] == "n"
    assert response.message.additional_kwargs["tool_calls"][0].seal == "s"


@pytest.mark.parametrize("name", WHOLE_STREAMS)
def test_deltas_add_up_to_the_messages_and_no_response_changes_later(name: str) -> None:
    so_far = StreamState()
    reader = ChunkStream(accumulator=so_far)
    text, thinking, given, then = "", "", [], []
    for chunk in chain(reader.feed(stream_bytes(name)), reader.close()):
        response = converters.chunk(chunk, so_far)
        text += response.delta or ""
        thinking += response.additional_kwargs.get("thinking_delta", "")
        assert (response.message.content or "") == text
        assert seen(response).reasoning == thinking
        given.append(response)
        then.append(copy.deepcopy(response))
    assert given == then


@pytest.mark.parametrize("name", WHOLE_COMPLETIONS)
def test_a_whole_answer_is_read(name: str) -> None:
    assert (
        seen(converters.chat_response(parse_completion(completion_bytes(name))))
        == COMPLETIONS[name]
    )


@pytest.mark.parametrize("name", [n for n, c in STREAMS.items() if isinstance(c, Fails)])
def test_an_answer_that_fails_is_read_up_to_there(name: str) -> None:
    case = STREAMS[name]
    assert isinstance(case, Fails)
    responses: list[ChatResponse] = []
    with pytest.raises(case.error, match=case.says):
        read_stream(stream_bytes(name), responses)
    if case.partial is not None and responses:
        assert case.partial.startswith(responses[-1].message.content or "")


def test_the_first_thinking_delta_is_given_too() -> None:
    first, second, third = read_events(
        delta(reasoning="a"), delta(reasoning_content="b"), delta("stop", content="c")
    )
    assert [r.additional_kwargs.get("thinking_delta") for r in (first, second, third)] == [
        "a",
        "b",
        None,
    ]
    assert third.message.blocks == [
        ThinkingBlock(content="ab", additional_information={"reasoning_field": "reasoning"}),
        TextBlock(text="c"),
    ]


def test_reasoning_details_are_joined_and_go_back_as_they_came() -> None:
    *_, last = read_events(
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "a"}]),
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "b"}]),
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "signature": "s"}]),
        delta("stop", content="c"),
    )
    details = [{"type": "reasoning.text", "index": 0, "text": "ab", "signature": "s"}]
    assert last.message.blocks[0] == ThinkingBlock(
        content="ab", additional_information={"reasoning_details": details}
    )
    assert request.message(last.message) == {
        "role": "assistant",
        "content": "c",
        "reasoning_details": details,
    }


def test_thinking_tokens_are_counted_on_the_block() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 9}}
    *_, last = read_events(
        delta(reasoning="a"), delta("stop", content="b"), {"choices": [], "usage": usage}
    )
    assert last.message.blocks[0].num_tokens == 9


def test_a_usage_only_chunk_comes_with_the_whole_message_and_an_empty_delta() -> None:
    *_, before, last = read_events(
        delta(content="Hel"),
        delta("stop", content="lo"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
    assert (last.delta, last.message.content) == ("", "Hello")
    assert last.additional_kwargs["finish_reason"] == "stop"
    assert "usage" not in before.raw
    assert last.raw["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_usage_before_the_end_is_still_in_the_raw_of_the_last_response() -> None:
    *_, last = read_events(
        delta(content="Hello"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": None}},
        delta("stop"),
    )
    assert last.raw["usage"] == {"prompt_tokens": 3}


def test_the_cost_and_unknown_fields_are_kept_beside_the_counts() -> None:
    *_, last = read_events(
        {**delta("stop", content="a"), "provider": "openai"},
        {"choices": [], "usage": {"prompt_tokens": 3, "cost": 0.25}},
    )
    assert last.additional_kwargs == {
        "provider": "openai",
        "prompt_tokens": 3,
        "cost": 0.25,
        "finish_reason": "stop",
    }


def test_two_choices_are_never_mixed_and_the_second_comes_once_it_is_whole() -> None:
    responses = read_events(
        delta(content="a1"),
        delta(content="b1", index=1),
        delta("stop", content="a2"),
        delta("length", content="b2", index=1),
    )
    assert [response.delta for response in responses] == ["a1", "", "a2", ""]
    assert [response.message.content for response in responses] == ["a1", "a1", "a1a2", "a1a2"]
    assert "choices" not in responses[2].additional_kwargs
    (other,) = responses[3].additional_kwargs["choices"]
    assert (other["index"], other["message"].content, other["finish_reason"]) == (
        1,
        "b1b2",
        "length",
    )


def test_the_other_choices_of_a_whole_answer_stand_beside_it() -> None:
    response = converters.chat_response(parse_completion(completion_bytes("two_choices")))
    (other,) = response.additional_kwargs["choices"]
    assert other["message"] == ChatMessage(role="assistant", content="B")
    assert len(response.raw["choices"]) == 2


def token(text: str, *others: str) -> dict[str, Any]:
    alternatives = [{"token": one, "logprob": -1.0, "bytes": None} for one in others]
    return {"token": text, "logprob": -0.5, "bytes": [1], "top_logprobs": alternatives}


def test_log_probabilities_add_up_the_chosen_token_first() -> None:
    first, second = read_events(
        {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [token("a", "b", "a")]}}]},
        {
            "choices": [
                {
                    "delta": {"content": "c"},
                    "logprobs": {"content": [token("c")]},
                    "finish_reason": "stop",
                }
            ]
        },
    )
    assert [[p.token for p in tokens] for tokens in first.logprobs] == [["a", "b"]]
    assert [[p.token for p in tokens] for tokens in second.logprobs] == [["a", "b"], ["c"]]
    assert second.logprobs[0][0].logprob == -0.5
    assert converters.completion(second).logprobs == second.logprobs


def test_citations_and_images_become_blocks() -> None:
    citation = {"url": "https://a.b", "title": "T", "start_index": 0, "end_index": 3}
    message = {
        "content": "See this.",
        "annotations": [
            {"type": "url_citation", "url_citation": citation},
            {"type": "file", "file": {"name": "f"}},
        ],
        "images": [
            {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    }
    reader = CompletionParser("message")
    reader.parse({"choices": [{"message": message, "finish_reason": "stop"}]})
    response = converters.chat_response(reader.accumulator.reply())
    assert response.message.blocks == [
        TextBlock(text="See this."),
        ImageBlock(url="https://a.b/c.png"),
        ImageBlock(image=b"AAAA", image_mimetype="image/png"),
        CitationBlock(
            cited_content=TextBlock(text="See"),
            source="https://a.b",
            title="T",
            additional_location_info={"start_index": 0, "end_index": 3},
        ),
    ]
    assert response.message.additional_kwargs["annotations"] == message["annotations"]


def test_a_sound_becomes_a_block_once_its_base64_is_whole() -> None:
    sound = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
    first, second, last = read_events(
        delta(audio={"id": "audio_1", "data": sound[:5]}),
        delta(audio={"data": sound[5:], "transcript": "La."}),
        delta("stop"),
    )
    assert first.message.additional_kwargs["audio"]["data"] == sound[:5]
    assert not any(isinstance(block, AudioBlock) for block in first.message.blocks)
    for response in (second, last):
        assert response.message.blocks == [AudioBlock(audio=sound.encode(), format="wav")]
        assert response.message.additional_kwargs == {
            "audio": {"id": "audio_1", "transcript": "La."}
        }
    sent = {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    assert request.message(last.message) == sent


def test_parts_of_no_known_kind_are_kept() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "hologram", "data": 1}]
    *_, last = read_events(delta(content=parts), delta("stop", content="b", odd=1))
    assert last.message.content == "ab"
    assert last.message.additional_kwargs == {
        "content_parts": [{"type": "hologram", "data": 1}],
        "content_places": [1],
        "odd": 1,
        "vendor_fields": ["odd"],
    }


def test_an_empty_answer_has_one_empty_text() -> None:
    (only,) = read_events(delta("stop"))
    assert only.message.blocks == [TextBlock(text="")]


def test_an_answer_survives_a_store_and_goes_back_as_it_came() -> None:
    call = {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": 1}'},
        "extra_content": {"signature": "s"},
    }
    *_, last = read_events(delta(tool_calls=[call]), delta("tool_calls"))
    stored = ChatMessage.model_validate_json(last.message.model_dump_json())
    sent = {name: value for name, value in call.items() if name != "index"}
    for message in (last.message, stored):
        assert request.message(message)["tool_calls"] == [sent]


def test_a_completion_keeps_thinking_and_does_not_touch_the_response() -> None:
    *_, last = read_events(delta(reasoning="hm"), delta("stop", content="a"))
    before = copy.deepcopy(last)
    completion = converters.completion(last)
    assert completion.additional_kwargs == {"thinking": "hm", "finish_reason": "stop"}
    assert last == before


def test_a_reply_without_choices_is_an_empty_answer() -> None:
    assert converters.chat_response(Reply(())).message.content == ""
