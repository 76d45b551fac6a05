"""A refusal is LangChain's standard `refusal` block in every way of asking, so its tools see it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRefusalMiddleware
from langchain_core.messages import AIMessage, content
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel
from typing_extensions import TypedDict

from sunra_integrations.errors import Refused
from sunra_integrations.langchain import ChatSunra, content_blocks, request
from sunra_integrations.langchain.content_blocks import refusal_block
from sunra_integrations.langchain.model_errors import ModelRefusalError
from tests.recorded_transport import Answer, Recorded, completion, stream

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

Way = Callable[[ChatSunra], Awaitable[AIMessage]]

ASKED: Any = {"messages": [("human", "Hi")]}
REFUSAL = {"type": "refusal", "refusal": "I will not."}


def chat(*answers: Answer, **given: Any) -> ChatSunra:
    transport = Recorded(*answers)
    return ChatSunra(
        model="a/b",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **given,
    )


def whole(**message: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return completion({"choices": [choice]})


def pieces(*deltas: dict[str, Any]) -> Answer:
    events: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return stream(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))


WHOLE = whole(content=None, reasoning="Hm.", refusal="I will not.")
PIECES = pieces({"reasoning": "Hm."}, {"refusal": "I "}, {"refusal": "will not."})


async def invoke(model: ChatSunra) -> AIMessage:
    return model.invoke("Hi")


async def ainvoke(model: ChatSunra) -> AIMessage:
    return await model.ainvoke("Hi")


async def streamed(model: ChatSunra) -> AIMessage:
    return reduce(add, model.stream("Hi"))


async def astreamed(model: ChatSunra) -> AIMessage:
    return reduce(add, [chunk async for chunk in model.astream("Hi")])


async def v1(model: ChatSunra) -> AIMessage:
    return model.model_copy(update={"output_version": "v1"}).invoke("Hi", stream=True)


async def v1_streamed(model: ChatSunra) -> AIMessage:
    return reduce(add, model.model_copy(update={"output_version": "v1"}).stream("Hi"))


async def v2(model: ChatSunra) -> AIMessage:
    events = [one async for one in model.astream_events("Hi", version="v2")]
    return events[-1]["data"]["output"]


async def v3(model: ChatSunra) -> AIMessage:
    return model.stream_events("Hi", version="v3").output


async def async_v3(model: ChatSunra) -> AIMessage:
    return await (await model.astream_events("Hi", version="v3")).output


STREAMED: list[Way] = [streamed, astreamed, v1, v1_streamed, v2, v3, async_v3]


def bare(message: AIMessage) -> list[dict[str, Any]]:
    kept = ("type", "refusal", "reasoning")
    return [
        {name: block[name] for name in kept if name in block} for block in message.content_blocks
    ]


@pytest.mark.parametrize("way", [invoke, ainvoke, *STREAMED])
async def test_it_is_a_standard_block_beside_what_else_was_said(way: Way):
    message = await way(chat(PIECES if way in STREAMED else WHOLE))
    assert bare(message) == [{"type": "reasoning", "reasoning": "Hm."}, REFUSAL]
    assert message.additional_kwargs["refusal"] == "I will not."
    assert request.message(message)["refusal"] == "I will not."


@pytest.mark.parametrize("way", [invoke, ainvoke, *STREAMED])
async def test_a_refusal_among_the_parts_of_the_content_is_one_too(way: Way):
    parts = [dict(REFUSAL)]
    message = await way(
        chat(pieces({"content": parts}) if way in STREAMED else whole(content=parts))
    )
    assert bare(message) == [REFUSAL]
    assert request.message(message)["refusal"] == "I will not."


async def test_events_of_a_stream_bring_it_whole():
    events = list(chat(PIECES).stream_events("Hi", version="v3"))
    blocks = [one for one in events if one.get("content", {}).get("type") == "refusal"]
    assert [one["event"] for one in blocks] == ["content-block-start", "content-block-finish"]
    assert [one["content"]["refusal"] for one in blocks] == ["", "I will not."]


def test_a_core_without_such_a_block_gets_one_that_is_not_standard(monkeypatch):
    assert ("refusal" in content.KNOWN_BLOCK_TYPES) == (refusal_block("No.")["type"] == "refusal")
    monkeypatch.setattr(content_blocks, "_HAS_REFUSALS", False)
    [block] = chat(whole(content=None, refusal="No.")).invoke("Hi").content_blocks
    assert block == {"type": "non_standard", "value": {"type": "refusal", "refusal": "No."}}


@pytest.mark.parametrize("given", [{}, {"streaming": True}, {"output_version": "v1"}])
async def test_the_middleware_sees_it_and_a_fallback_answers(given: Any):
    refusing = chat(PIECES if "streaming" in given else WHOLE, **given)
    agent = create_agent(refusing, tools=[], middleware=[ModelRefusalMiddleware()])
    with pytest.raises(ModelRefusalError, match=r"I will not\.") as refused:
        agent.invoke(ASKED)
    assert refused.value.raw_message.additional_kwargs["refusal"] == "I will not."
    with pytest.raises(ModelRefusalError):
        await agent.ainvoke(ASKED)
    second = chat(whole(content="Gladly."))
    falling_back = [ModelFallbackMiddleware(second), ModelRefusalMiddleware()]
    answered = create_agent(refusing, tools=[], middleware=falling_back).invoke(ASKED)
    assert answered["messages"][-1].text == "Gladly."


async def test_the_middleware_sees_it_in_an_agent_whose_events_are_streamed():
    # Without `streaming`, async graphs do not stream on Python 3.10, which passes no context on.
    model = chat(PIECES, streaming=True)
    agent = create_agent(model, tools=[], middleware=[ModelRefusalMiddleware()])
    with pytest.raises(ModelRefusalError):
        list(agent.stream(ASKED, stream_mode="messages"))
    with pytest.raises(ModelRefusalError):
        _ = [one async for one in agent.astream_events(ASKED, version="v2")]


class Answered(BaseModel):
    """An answer."""

    number: int


class AnsweredDict(TypedDict):
    """An answer."""

    number: int


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("schema", [Answered, AnsweredDict])
async def test_structured_output_raises_it_with_the_message(schema: Any, method: Any):
    model = chat(WHOLE).with_structured_output(schema, method=method)
    streaming = chat(PIECES).with_structured_output(schema, method=method)
    parts = chat(whole(content=[REFUSAL])).with_structured_output(schema, method=method)
    raised: list[Refused] = []
    for ask in (model, parts):
        with pytest.raises(Refused) as refused:
            ask.invoke("Hi")
        raised.append(refused.value)
        with pytest.raises(Refused) as refused:
            await ask.ainvoke("Hi")
        raised.append(refused.value)
    with pytest.raises(Refused) as refused:
        list(streaming.stream("Hi"))
    raised.append(refused.value)
    with pytest.raises(Refused) as refused:
        _ = [one async for one in streaming.astream("Hi")]
    raised.append(refused.value)
    for error in raised:
        assert isinstance(error, ModelRefusalError)
        assert error.refusal == "I will not."
        assert REFUSAL in bare(error.raw_message)
        assert error.is_retryable is False


async def test_structured_output_falls_back_where_it_is_asked_to():
    second = RunnableLambda(lambda _: "from the second")
    refusing = chat(WHOLE).with_structured_output(Answered)
    falling_back = refusing.with_fallbacks([second], exceptions_to_handle=(ModelRefusalError,))
    assert falling_back.invoke("Hi") == "from the second"
    assert await falling_back.ainvoke("Hi") == "from the second"
