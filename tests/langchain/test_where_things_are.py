"""Where what the wire brings reaches a user, in each of LangChain's ways of asking."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.content_blocks import refusal_block
from sunra_integrations.sandbox import Http, Sandbox

pytestmark = [
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]

Way = Callable[[ChatSunra], Awaitable[AIMessage]]


async def invoke(model: ChatSunra) -> AIMessage:
    return model.invoke("Hi")


async def ainvoke(model: ChatSunra) -> AIMessage:
    return await model.ainvoke("Hi")


async def stream(model: ChatSunra) -> AIMessage:
    return reduce(add, model.stream("Hi"))


async def astream(model: ChatSunra) -> AIMessage:
    return reduce(add, [chunk async for chunk in model.astream("Hi")])


async def v1_blocks(model: ChatSunra) -> AIMessage:
    return model.model_copy(update={"output_version": "v1"}).invoke("Hi", stream=True)


async def v3(model: ChatSunra) -> AIMessage:
    return model.stream_events("Hi", version="v3").output


async def async_v3(model: ChatSunra) -> AIMessage:
    events = await model.astream_events("Hi", version="v3")
    return await events.output


STREAMED: list[Way] = [stream, astream, v1_blocks, v3, async_v3]
WAYS: list[Way] = [invoke, ainvoke, *STREAMED]

CITED = {
    "type": "url_citation",
    "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2},
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SAID: dict[str, Any] = {
    "role": "assistant",
    "content": "Hi.",
    "reasoning": "Hm.",
    "annotations": [CITED],
    "images": [PICTURE],
    "refusal": "No.",
}


def answer(streamed: bool) -> Http:
    """An answer with a little of everything."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "native_finish_reason": "STOP",
        "logprobs": {"content": [{"token": "Hi.", "logprob": -0.5}]},
        "delta" if streamed else "message": SAID,
    }
    body = {
        "id": "gen-1",
        "object": "chat.completion.chunk" if streamed else "chat.completion",
        "created": 7,
        "model": "openai/gpt-4o",
        "provider": "azure",
        "system_fingerprint": "fp",
        "choices": [choice],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "cost": 0.25,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }
    text = json.dumps(body)
    headers = {"x-request-id": "req-1"}
    if streamed:
        kind = {"content-type": "text/event-stream"}
        return Http(200, f"data: {text}\n\ndata: [DONE]\n\n", {**kind, **headers})
    return Http(200, text, {"content-type": "application/json", **headers})


def block(kind: str) -> Callable[[AIMessage], Any]:
    def find(message: AIMessage) -> Any:
        [found] = [one for one in message.content_blocks if one["type"] == kind]
        return {k: v for k, v in found.items() if k not in {"index", "id", "extras"}}

    return find


def metadata(name: str) -> Callable[[AIMessage], Any]:
    return lambda message: message.response_metadata.get(name)


TABLE: dict[str, tuple[Callable[[AIMessage], Any], Any]] = {
    "text": (lambda message: message.text, "Hi."),
    "reasoning": (block("reasoning"), {"type": "reasoning", "reasoning": "Hm."}),
    "citations": (
        lambda message: block("text")(message)["annotations"],
        [
            {
                "type": "citation",
                "url": "https://a.example",
                "title": "A",
                "start_index": 0,
                "end_index": 2,
            }
        ],
    ),
    "images": (block("image"), {"type": "image", "base64": "AAAA", "mime_type": "image/png"}),
    "a refusal": (block(refusal_block("No.")["type"]), refusal_block("No.")),
    "who was asked": (metadata("model_provider"), "sunra"),
    "who answered": (metadata("provider"), "azure"),
    "the model": (metadata("model_name"), "openai/gpt-4o"),
    "the end": (metadata("finish_reason"), "stop"),
    "the end in the vendor's words": (metadata("native_finish_reason"), "STOP"),
    "the fingerprint": (metadata("system_fingerprint"), "fp"),
    "the answer's id": (metadata("id"), "gen-1"),
    "the time": (metadata("created"), 7),
    "the request's id": (metadata("request_id"), "req-1"),
    "the cost": (metadata("cost"), 0.25),
    "logprobs": (metadata("logprobs"), {"content": [{"token": "Hi.", "logprob": -0.5}]}),
    "usage": (
        lambda message: message.usage_metadata,
        {
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "input_token_details": {"cache_read": 1},
            "output_token_details": {"reasoning": 1},
        },
    ),
}


async def asked(way: Way, sandbox: Sandbox) -> AIMessage:
    sandbox.next(answer(streamed=way in STREAMED))
    return await way(
        ChatSunra(model="a/b", api_key=sandbox.api_key, base_url=sandbox.base_url, max_retries=0)
    )


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_wire_brings_is_where_the_table_says(way: Way, sunra_sandbox: Sandbox):
    message = await asked(way, sunra_sandbox)
    found = {thing: where(message) for thing, (where, _) in TABLE.items()}
    assert found == {thing: expected for thing, (_, expected) in TABLE.items()}


@pytest.mark.parametrize("way", WAYS)
async def test_cost_is_no_token_count(way: Way, sunra_sandbox: Sandbox):
    usage = (await asked(way, sunra_sandbox)).usage_metadata
    assert usage is not None
    assert "cost" not in json.dumps(usage)


@pytest.mark.parametrize("way", [invoke, ainvoke, stream, astream])
async def test_a_message_of_text_keeps_the_rest_in_its_additional_kwargs(
    way: Way, sunra_sandbox: Sandbox
):
    message = await asked(way, sunra_sandbox)
    assert message.content == "Hi."
    assert message.additional_kwargs == {
        "reasoning_content": "Hm.",
        "reasoning_field": "reasoning",
        "annotations": [CITED],
        "images": [PICTURE],
        "refusal": "No.",
    }


@pytest.mark.parametrize("spelling", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS)
async def test_reasoning_goes_back_under_the_name_it_came_in(
    way: Way, spelling: str, output_version: str, sunra_sandbox: Sandbox
):
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, spelling: "Hm.", "tool_calls": [call]}
    kind = "delta" if way in STREAMED else "message"
    body = {
        "id": "gen-1",
        "model": "a/b",
        "choices": [{"index": 0, "finish_reason": "tool_calls", kind: said}],
    }
    text = json.dumps(body)
    sunra_sandbox.next(
        Http(200, f"data: {text}\n\n", {"content-type": "text/event-stream"})
        if way in STREAMED
        else Http(200, text, {"content-type": "application/json"})
    )
    model = ChatSunra(
        model="a/b",
        api_key=sunra_sandbox.api_key,
        base_url=sunra_sandbox.base_url,
        output_version=output_version,
    )
    message = await way(model)
    model.invoke([("human", "Hi"), message, {"role": "tool", "tool_call_id": "c1", "content": "7"}])
    sent = sunra_sandbox.requests[-1].json["messages"][1]
    assert {k: v for k, v in sent.items() if k.startswith("reasoning")} == {spelling: "Hm."}
