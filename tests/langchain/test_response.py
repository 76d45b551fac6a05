"""Sunra's answers as LangChain's messages, alike in every way of asking."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage

from sunra_integrations.langchain import (
    ChatSunra,
    request,
    response,
    split_invalid_tool_calls,
)
from sunra_integrations.langchain.content_blocks import image_block, refusal_block
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.reply import Reply, parse_usage
from sunra_integrations.protocol.stream import ChunkStream
from tests.recorded_transport import Recorded, stream
from tests.wire_cases import stream_bytes

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)


def chat(raw: bytes, **given: Any) -> ChatSunra:
    transport = Recorded(stream(raw))
    return ChatSunra(
        model="a/b",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=transport),
        **given,
    )


def folded(raw: bytes) -> Reply:
    events = ChunkStream(request_id="req-1")
    return accumulate([*events.feed(raw), *events.close()])


def unstreamed(raw: bytes) -> AIMessage:
    message = response.chat_result(folded(raw)).generations[0].message
    assert isinstance(message, AIMessage)
    return message


def streamed(raw: bytes) -> AIMessage:
    return split_invalid_tool_calls(reduce(add, chat(raw).stream("Hi")))


def streamed_in_blocks(raw: bytes) -> AIMessage:
    message = chat(raw, output_version="v1").invoke("Hi", stream=True)
    assert isinstance(message.content, list)
    return message


def by_events(raw: bytes) -> AIMessage:
    return chat(raw).stream_events("Hi", version="v3").output


WAYS: list[Callable[[bytes], AIMessage]] = [unstreamed, streamed, streamed_in_blocks, by_events]

THOUGHT = {"type": "reasoning", "reasoning": "Let me think."}
HELLO = {"type": "text", "text": "Hello"}
PICTURE = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}


def call(number: int, name: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "id": f"c{number}", "name": name, "args": args}


BLOCKS: dict[str, list[dict[str, Any]]] = {
    "plain": [HELLO],
    "reasoning": [THOUGHT, HELLO],
    "reasoning_content": [THOUGHT, HELLO],
    "reasoning_details": [THOUGHT, HELLO],
    "reasoning_beside_a_call": [THOUGHT, call(1, "add", {"a": 1})],
    "text_and_call_in_one_chunk": [{"type": "text", "text": "Adding."}, call(1, "add", {"a": 1})],
    "parallel_calls_by_index": [call(1, "add", {"a": 1}), call(2, "sub", {"b": 2})],
    "two_ids_under_one_index": [call(1, "add", {"a": 1}), call(2, "sub", {"b": 2})],
    "annotations_and_images": [
        {
            "type": "text",
            "text": "See",
            "annotations": [
                {
                    "type": "citation",
                    "url": "https://a.example/1",
                    "title": "One",
                    "start_index": 0,
                    "end_index": 3,
                }
            ],
        },
        PICTURE,
    ],
    "refusal": [refusal_block("I cannot.")],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BLOCKS)
def test_content_blocks(name: str, way: Callable[[bytes], AIMessage]):
    blocks = way(stream_bytes(name)).content_blocks
    bare = [
        {k: v for k, v in block.items() if k not in {"index", "id", "extras"}} for block in blocks
    ]
    expected = [{k: v for k, v in block.items() if k != "id"} for block in BLOCKS[name]]
    assert bare == expected
    ids = [block["id"] for block in blocks if block["type"] == "tool_call"]
    assert ids == [block["id"] for block in BLOCKS[name] if block["type"] == "tool_call"]


def images(sent: dict[str, Any]) -> list[str]:
    """Beside the content or, from an older core, among its parts."""
    parts = sent["content"] if isinstance(sent["content"], list) else []
    pictures = [one for one in (*sent.get("images", []), *parts) if one["type"] == "image_url"]
    return [one["image_url"]["url"] for one in pictures]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*BLOCKS, "unknown_fields_of_a_call", "arguments_cut_by_length"])
def test_an_answer_goes_back_as_it_came(name: str, way: Callable[[bytes], AIMessage]):
    """Whichever way it was read; text may go back as a part."""
    raw = stream_bytes(name)
    choice = folded(raw).choice
    sent = request.message(way(raw))
    text = sent["content"]
    if isinstance(text, list):
        text = "".join(part.get("text", "") for part in text)
    assert (text or "") == choice.text
    assert sent.get("refusal", "") == choice.refusal
    assert sent.get("reasoning_details", []) == list(choice.reasoning_details)
    assert images(sent) == [image["image_url"]["url"] for image in choice.images]
    words = {name: sent[name] for name in ("reasoning", "reasoning_content") if name in sent}
    goes_back = choice.tool_calls and choice.reasoning_field is not None
    assert words == ({choice.reasoning_field: choice.reasoning} if goes_back else {})
    sent_calls = sent.get("tool_calls", [])
    assert [(one["id"], one["function"]["name"]) for one in sent_calls] == [
        (one.id, one.name) for one in choice.tool_calls
    ]
    for one, came in zip(sent_calls, choice.tool_calls, strict=True):
        assert one.items() >= dict(came.extra).items()
        if came.parsed() is None:
            assert json.loads(one["function"]["arguments"]) == {"INVALID_JSON": came.arguments}
        else:
            assert json.loads(one["function"]["arguments"]) == came.parsed()


@pytest.mark.parametrize("way", WAYS)
def test_broken_arguments_are_an_invalid_call_and_kept_as_they_came(way):
    message = way(stream_bytes("arguments_cut_by_length"))
    assert message.tool_calls == []
    [broken] = message.invalid_tool_calls
    assert (
        broken["args"]
        == folded(stream_bytes("arguments_cut_by_length")).choice.tool_calls[0].arguments
    )


@pytest.mark.parametrize("way", WAYS)
def test_logprobs_of_every_token(way):
    logprobs = way(stream_bytes("logprobs")).response_metadata["logprobs"]
    assert [one["token"] for one in logprobs["content"]] == ["Hel", "lo"]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_said_once_is_not_doubled(way):
    metadata = way(stream_bytes("unknown_keys_anywhere")).response_metadata
    expected = {
        "model_provider": "sunra",
        "finish_reason": "stop",
        "id": "gen-1",
        "request_id": "req-1",
        "provider": "openai",
        "service_tier": "default",
        "native_finish_reason": "STOP",
    }
    assert metadata.items() >= expected.items()


@pytest.mark.parametrize("way", WAYS)
def test_usage_that_grows_is_not_summed(way):
    usage = way(stream_bytes("usage_cumulative_on_every_chunk")).usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 2, 5)


USAGES: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({}, None),
    ({"cost": 0.5}, None),
    (
        {"prompt_tokens": 1.0, "completion_tokens": 2, "cost": 0.5},
        {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    (
        {"prompt_tokens": 1, "completion_tokens": None, "total_tokens": 1},
        {"input_tokens": 1, "output_tokens": 0, "total_tokens": 1},
    ),
    (
        {"prompt_tokens": 3, "completion_tokens": "4"},
        {"input_tokens": 3, "output_tokens": 0, "total_tokens": 3},
    ),
    (
        {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": None, "image_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1.0, "note": "x"},
        },
        {
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "input_token_details": {"cache_read": 1, "image_tokens": 2},
            "output_token_details": {"reasoning": 1},
        },
    ),
]


@pytest.mark.parametrize(("given", "expected"), USAGES)
def test_usage(given: dict[str, Any], expected: dict[str, Any] | None):
    assert response.usage(parse_usage(given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"image_url": {"url": "https://a.example"}},
            {"type": "image", "url": "https://a.example"},
        ),
        ({"image_url": "data:image/png;base64,AAAA"}, PICTURE),
        ({"x": 1}, {"type": "non_standard", "value": {"x": 1}}),
    ],
)
def test_images(given: dict[str, Any], expected: dict[str, Any]):
    assert image_block(given) == expected
