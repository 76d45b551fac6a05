"""The ways to call a chat model, each as one coroutine that returns the whole message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from sunra_integrations.langchain import ChatSunra

Way = Callable[[ChatSunra, Any], Awaitable[AIMessage]]


async def _invoke(model: ChatSunra, config: Any) -> AIMessage:
    return model.invoke("Hi", config)


async def _ainvoke(model: ChatSunra, config: Any) -> AIMessage:
    return await model.ainvoke("Hi", config)


async def _batch(model: ChatSunra, config: Any) -> AIMessage:
    return model.batch(["Hi"], config)[0]


async def _in_a_chain(model: ChatSunra, config: Any) -> AIMessage:
    return (RunnableLambda(str) | model).invoke("Hi", config)


async def _stream(model: ChatSunra, config: Any) -> AIMessage:
    return _sum(list(model.stream("Hi", config)))


async def _astream(model: ChatSunra, config: Any) -> AIMessage:
    return _sum([chunk async for chunk in model.astream("Hi", config)])


async def _stream_in_a_chain(model: ChatSunra, config: Any) -> AIMessage:
    return _sum(list((RunnableLambda(str) | model).stream("Hi", config)))


async def _streaming_invoke(model: ChatSunra, config: Any) -> AIMessage:
    return model.bind(stream=True).invoke("Hi", config)


async def _streaming_ainvoke(model: ChatSunra, config: Any) -> AIMessage:
    return await model.bind(stream=True).ainvoke("Hi", config)


async def _events(model: ChatSunra, config: Any) -> AIMessage:
    return model.stream_events("Hi", config, version="v3").output


async def _aevents(model: ChatSunra, config: Any) -> AIMessage:
    return await (await model.astream_events("Hi", config, version="v3"))


def _sum(chunks: list[Any]) -> AIMessage:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


WHOLE: dict[str, Way] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "batch": _batch,
    "in_a_chain": _in_a_chain,
}
STREAMED: dict[str, Way] = {
    "stream": _stream,
    "astream": _astream,
    "stream_in_a_chain": _stream_in_a_chain,
    "streaming_invoke": _streaming_invoke,
    "streaming_ainvoke": _streaming_ainvoke,
    "events": _events,
    "aevents": _aevents,
}
WAYS = {**WHOLE, **STREAMED}
