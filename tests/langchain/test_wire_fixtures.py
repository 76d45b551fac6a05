"""Every wire fixture, read through ChatSunra in each of LangChain's ways."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra, split_invalid_tool_calls
from sunra_integrations.langchain.model_errors import ModelError
from tests.recorded_transport import Recorded, completion, stream
from tests.wire_cases import (
    BOTH_COMPLETIONS,
    BOTH_STREAMS,
    Fails,
    Seen,
    api_of,
    completion_bytes,
    stream_bytes,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)


def chat(transport: Recorded, **given: Any) -> ChatSunra:
    return ChatSunra(
        model="openai/gpt-4o",
        api_key="sk-made-up",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **given,
    )


def added_up(chunks: list[AIMessageChunk]) -> AIMessage:
    return split_invalid_tool_calls(reduce(add, chunks))


async def by_stream(model: ChatSunra) -> AIMessage:
    return added_up(list(model.stream("Hello")))


async def by_astream(model: ChatSunra) -> AIMessage:
    return added_up([chunk async for chunk in model.astream("Hello")])


async def by_streaming_invoke(model: ChatSunra) -> AIMessage:
    return model.invoke("Hello", stream=True)


async def by_streaming_ainvoke(model: ChatSunra) -> AIMessage:
    return await model.ainvoke("Hello", stream=True)


async def by_events(model: ChatSunra) -> AIMessage:
    return model.stream_events("Hello", version="v3").output


async def by_async_events(model: ChatSunra) -> AIMessage:
    events = await model.astream_events("Hello", version="v3")
    return await events.output


async def by_invoke(model: ChatSunra) -> AIMessage:
    return model.invoke("Hello")


async def by_ainvoke(model: ChatSunra) -> AIMessage:
    return await model.ainvoke("Hello")


Reader = Callable[[ChatSunra], Awaitable[AIMessage]]

STREAM_READERS: list[Reader] = [
    by_stream,
    by_astream,
    by_streaming_invoke,
    by_streaming_ainvoke,
    by_events,
    by_async_events,
]


def seen(message: AIMessage) -> Seen:
    usage = message.usage_metadata
    calls = [
        *((call["id"], call["name"], call["args"]) for call in message.tool_calls),
        *((call["id"], call["name"] or "", None) for call in message.invalid_tool_calls),
    ]
    reasoning = [b["reasoning"] for b in message.content_blocks if b["type"] == "reasoning"]
    return Seen(
        text=message.text,
        finish_reason=message.response_metadata.get("finish_reason"),
        usage=usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]),
        reasoning="".join(reasoning),
        calls=tuple(calls),
        refusal="".join(
            block.get("value", block)["refusal"]
            for block in message.content_blocks
            if "refusal" in block.get("value", block)
        ),
    )


async def check(reader: Reader, model: ChatSunra, expected: Seen | Fails) -> None:
    with contextlib.ExitStack() as held:
        if isinstance(expected, Fails):
            failed = held.enter_context(pytest.raises(expected.error))
        message = await reader(model)
    if isinstance(expected, Seen):
        assert seen(message) == expected
        assert message.response_metadata["model_provider"] == "sunra"
        return
    error = failed.value
    assert expected.says in str(error)
    assert isinstance(error, ModelError)
    assert error.is_retryable == error.retryable
    assert (error.partial and error.partial.text) == expected.partial


@pytest.mark.parametrize("reader", STREAM_READERS)
@pytest.mark.parametrize("name", BOTH_STREAMS)
async def test_a_stream_is_read_or_fails_as_expected(name: str, reader: Reader):
    model = chat(Recorded(stream(stream_bytes(name))), api=api_of(name))
    await check(reader, model, BOTH_STREAMS[name])


@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("name", [n for n, case in BOTH_STREAMS.items() if isinstance(case, Seen)])
def test_streamed_chunks_add_up_in_both_content_formats(name: str, output_version: str):
    model = chat(
        Recorded(stream(stream_bytes(name))), api=api_of(name), output_version=output_version
    )
    assert seen(added_up(list(model.stream("Hello")))) == BOTH_STREAMS[name]


@pytest.mark.parametrize("reader", [by_invoke, by_ainvoke])
@pytest.mark.parametrize("name", BOTH_COMPLETIONS)
async def test_a_completion_is_read_or_fails_as_expected(name: str, reader: Reader):
    model = chat(Recorded(completion(completion_bytes(name))), api=api_of(name))
    await check(reader, model, BOTH_COMPLETIONS[name])


def test_a_stream_that_breaks_leaves_its_beginning_with_the_error():
    model = chat(Recorded(stream(stream_bytes("error_alone"))))
    got = []
    with pytest.raises(errors.ServerFailed) as failed:
        got.extend(chunk.text for chunk in model.stream("Hello"))
    assert "".join(got) == "Hel" == failed.value.partial.text
