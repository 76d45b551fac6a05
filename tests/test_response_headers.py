"""Headers of responses: in the plain clients and both adapters, whole, streamed, sync and async."""

from __future__ import annotations

import asyncio
import json
import pickle
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage

from sunra_integrations.errors import InvalidParameter, StreamInterrupted, SunraError
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.accumulator import ReplyAccumulator, accumulate
from sunra_integrations.transport import AsyncSunraClient, SunraClient
from tests.wire_cases import completion_bytes, stream_bytes

KEY = "sk-look-for-me-0123456789"
REQUEST: dict[str, Any] = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
HI = [ChatMessage("Hi")]

RATE_LIMITS = {
    "x-ratelimit-limit": "60",
    "x-ratelimit-remaining-tokens": "149984",
    "ratelimit": '"default";r=50;t=30',
    "ratelimit-policy": '"default";q=100;w=60',
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
    "x-rate-limit-reset": "12",
    "retry-after": "3",
    "retry-after-ms": "3000",
}
HARMLESS = {"x-request-id": "req-1", "cf-ray": "8f2", "x-served-by": "eu-1"}
UNSAFE = {
    "set-cookie": "session=look-for-me",
    "authorization": "Bearer look-for-me",
    "proxy-authorization": "Basic look-for-me",
    "x-api-key": "look-for-me",
    "x-amz-security-token": "look-for-me",
}


async def collected(chunks):
    return [one async for one in chunks]


async def collected_later(chunks):
    return await collected(await chunks)


def streamed_message(chunks):
    for chunk in chunks:
        assert chunk.chunk_position == "last" or "headers" not in chunk.response_metadata
    return reduce(add, chunks).response_metadata.get("headers", {})


def last_response(responses):
    return responses[-1].additional_kwargs.get("headers", {})


def chat(given, **more):
    return ChatSunra(model="a/b", **given, **more)


def llm(given):
    return Sunra(model="a/b", **given)


# How to call, and where the headers are.
SYNC = {
    "create": lambda given: SunraClient(**given).create(REQUEST).headers,
    "stream": lambda given: accumulate(SunraClient(**given).stream(REQUEST)).headers,
    "invoke": lambda given: chat(given).invoke("Hi").response_metadata.get("headers", {}),
    "invoke, streaming": lambda given: (
        chat(given, streaming=True).invoke("Hi").response_metadata.get("headers", {})
    ),
    "langchain's stream": lambda given: streamed_message(list(chat(given).stream("Hi"))),
    "chat": lambda given: last_response([llm(given).chat(HI)]),
    "complete": lambda given: last_response([llm(given).complete("Hi")]),
    "stream_chat": lambda given: last_response(list(llm(given).stream_chat(HI))),
    "stream_complete": lambda given: last_response(list(llm(given).stream_complete("Hi"))),
}
ASYNC = {
    "async create": ("http_client", lambda given: AsyncSunraClient(**given).create(REQUEST)),
    "async stream": (
        "http_client",
        lambda given: collected(AsyncSunraClient(**given).stream(REQUEST)),
    ),
    "ainvoke": ("http_async_client", lambda given: chat(given).ainvoke("Hi")),
    "astream": ("http_async_client", lambda given: collected(chat(given).astream("Hi"))),
    "achat": ("async_http_client", lambda given: llm(given).achat(HI)),
    "astream_chat": (
        "async_http_client",
        lambda given: collected_later(llm(given).astream_chat(HI)),
    ),
}
READ = {
    "async create": lambda reply: reply.headers,
    "async stream": lambda chunks: accumulate(chunks).headers,
    "ainvoke": lambda message: message.response_metadata.get("headers", {}),
    "astream": streamed_message,
    "achat": lambda response: last_response([response]),
    "astream_chat": last_response,
}


def transport_of(headers, *, status=200, body=None):
    def handle(request: httpx.Request) -> httpx.Response:
        streamed = json.loads(request.content).get("stream")
        content = body or (stream_bytes("plain") if streamed else completion_bytes("plain"))
        kind = "text/event-stream" if streamed else "application/json"
        return httpx.Response(status, headers={"content-type": kind} | headers, content=content)

    return httpx.MockTransport(handle)


def headers_of(name, sent, **given) -> dict[str, str]:
    """The headers of a reply, for one way to call."""
    transport, given = transport_of(sent), {"api_key": KEY, **given}
    if name in SYNC:
        return dict(SYNC[name]({**given, "http_client": httpx.Client(transport=transport)}))
    argument, call = ASYNC[name]

    async def run():
        async with httpx.AsyncClient(transport=transport) as client:
            return await call({**given, argument: client})

    return dict(READ[name](asyncio.run(run())))


WAYS = [*SYNC, *ASYNC]


@pytest.mark.parametrize("way", WAYS)
def test_headers_about_rate_limits_are_there_by_default_and_no_others(way):
    assert headers_of(way, {**HARMLESS, **RATE_LIMITS, **UNSAFE}) == RATE_LIMITS


@pytest.mark.parametrize("way", WAYS)
def test_all_harmless_headers_are_there_on_request(way):
    sent = {**HARMLESS, **RATE_LIMITS, **UNSAFE}
    found = headers_of(way, sent, include_response_headers=True)
    assert found.items() >= {**HARMLESS, **RATE_LIMITS}.items()
    assert found.keys() - HARMLESS.keys() - RATE_LIMITS.keys() == {"content-type", "content-length"}


@pytest.mark.parametrize("way", WAYS)
def test_without_such_headers_nothing_is_added(way):
    assert headers_of(way, HARMLESS) == {}


@pytest.mark.parametrize("key", [KEY, lambda: KEY], ids=["a string", "a function"])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_header_that_quotes_the_key_does_not_bring_it_out(way, include, key):
    sent = {"x-ratelimit-policy": f"10 per key {KEY}", "cf-ray": KEY}
    found = headers_of(way, sent, include_response_headers=include, api_key=key)
    assert found["x-ratelimit-policy"] == "10 per key [the key]"
    assert KEY not in repr(found)


CALLS = {
    "invoke": lambda model, llm, given: model.invoke("Hi", **given).response_metadata,
    "stream": lambda model, llm, given: reduce(add, model.stream("Hi", **given)).response_metadata,
    "bind": lambda model, llm, given: model.bind(**given).invoke("Hi").response_metadata,
    "chat": lambda model, llm, given: llm.chat(HI, **given).additional_kwargs,
    "stream_chat": lambda model, llm, given: (
        list(llm.stream_chat(HI, **given))[-1].additional_kwargs
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_can_ask_for_the_headers(call):
    given: dict[str, Any] = {"model": "a/b", "api_key": KEY}
    given["http_client"] = httpx.Client(transport=transport_of(HARMLESS))
    model, one_llm = ChatSunra(**given), Sunra(**given)
    asked = CALLS[call](model, one_llm, {"include_response_headers": True})
    assert asked["headers"].items() >= HARMLESS.items()
    assert "headers" not in CALLS[call](model, one_llm, {})
    assert asked["request_id"] == "req-1"


@pytest.mark.parametrize("wrong", ["yes", 1])
def test_the_setting_is_true_or_false(wrong):
    with pytest.raises(SunraError, match="include_response_headers"):
        SunraClient(api_key=KEY, include_response_headers=wrong)


def test_the_sandbox_sends_rate_limits_as_sunra_documents_them(sunra_sandbox):
    where = {"base_url": sunra_sandbox.base_url, "api_key": sunra_sandbox.api_key}
    metadata = ChatSunra(model="a/b", **where).invoke("Hi").response_metadata
    assert metadata["request_id"]
    assert metadata["headers"].keys() == {
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    }


def test_every_choice_has_its_own_headers():
    choice = {"message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"}
    body = {"choices": [{"index": place, **choice} for place in range(2)]}
    transport = transport_of(RATE_LIMITS, body=json.dumps(body).encode())
    model = ChatSunra(model="a/b", api_key=KEY, n=2, http_client=httpx.Client(transport=transport))
    first, second = model.generate([[HumanMessage("Hi")]]).generations[0]
    first.message.response_metadata["headers"].clear()
    assert second.message.response_metadata["headers"] == RATE_LIMITS


def test_a_field_of_the_body_with_the_same_name_is_kept():
    body = json.loads(completion_bytes("plain")) | {"headers": {"of": "the server"}}
    transport = transport_of(RATE_LIMITS, body=json.dumps(body).encode())
    model = ChatSunra(model="a/b", api_key=KEY, http_client=httpx.Client(transport=transport))
    metadata = model.invoke("Hi").response_metadata
    assert metadata["headers"] == RATE_LIMITS
    assert metadata["extra"] == {"headers": {"of": "the server"}}


def test_a_response_from_a_cache_has_no_rate_limits_of_the_past():
    model = ChatSunra(
        model="a/b",
        api_key=KEY,
        cache=InMemoryCache(),
        http_client=httpx.Client(transport=transport_of(RATE_LIMITS)),
    )
    assert "headers" in model.invoke("Hi").response_metadata
    cached = model.invoke("Hi").response_metadata
    assert cached["cached"]
    assert "headers" not in cached


def test_the_partial_reply_of_an_error_has_them_and_is_pickled_with_them():
    content = stream_bytes("plain")
    transport = transport_of(RATE_LIMITS, body=content[: content.index(b"lo")])
    client = SunraClient(api_key=KEY, http_client=httpx.Client(transport=transport))
    with pytest.raises(StreamInterrupted) as caught:
        list(client.stream(REQUEST))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert again.partial.headers == RATE_LIMITS


def test_the_accumulator_of_a_stream_has_them_from_the_first_chunk_on():
    so_far = ReplyAccumulator()
    client = SunraClient(api_key=KEY, http_client=httpx.Client(transport=transport_of(RATE_LIMITS)))
    chunks = client.stream(REQUEST, so_far=so_far)
    assert next(chunks).headers == so_far.reply().headers == RATE_LIMITS
    chunks.close()


def test_the_error_of_a_misspelt_name_suggests_it():
    with pytest.raises(InvalidParameter, match="include_response_headers"):
        ChatSunra(model="a/b", api_key=KEY, include_response_header=True)
