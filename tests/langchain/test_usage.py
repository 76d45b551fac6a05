"""`UsageCallback`: calls, tokens and costs by model, each call once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableLambda

from sunra_integrations.budget import Budget
from sunra_integrations.errors import SunraError
from sunra_integrations.langchain import ChatSunra, UsageCallback
from sunra_integrations.usage import ModelUsage
from tests.costs import COST, USAGE, cut_off, said, streamed
from tests.langchain.ways import STREAMED, WAYS
from tests.recorded_transport import Answer, Recorded, completion, status

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

MODEL = "openai/gpt-4o"
ONE = ModelUsage(1, 30, 20, 10, 5, COST)
UNKNOWN = ModelUsage(1, calls_without_cost=1)


def chat(*answers: Answer, **given: Any) -> ChatSunra:
    transport = Recorded(*answers)
    fields: dict[str, Any] = {"model": MODEL, **given}
    return ChatSunra(
        api_key="sk-made-up-0123456789",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **fields,
    )


def answer(way: str) -> Answer:
    return streamed() if way in STREAMED else said()


@pytest.mark.parametrize("way", WAYS)
async def test_each_call_counts_once_in_both_forms(way) -> None:
    passed = UsageCallback()
    with UsageCallback() as outer, UsageCallback() as inner:
        await WAYS[way](chat(answer(way)), {"callbacks": [passed, inner]})
    await WAYS[way](chat(answer(way)), None)
    for usage in (passed, outer, inner):
        assert usage.table == {MODEL: ONE}


def test_models_are_counted_apart_in_the_order_of_first_use() -> None:
    usage = UsageCallback()
    for model in ("a/b", MODEL, "a/b"):
        chat(said(), model=model, callbacks=[usage]).invoke("Hi")
    assert list(usage.table.items()) == [("a/b", ONE + ONE), (MODEL, ONE)]
    assert usage.table.total == ONE + ONE + ONE
    assert "ModelUsage(calls=2" in repr(usage)


def test_a_table_does_not_change_after_it_was_taken() -> None:
    usage = UsageCallback()
    before = usage.table
    chat(said(), callbacks=[usage]).invoke("Hi")
    assert not before


def test_all_choices_of_a_reply_are_one_call() -> None:
    with UsageCallback() as usage:
        chat(said(choices=3), n=3).invoke("Hi")
    assert usage.table == {MODEL: ONE}


def test_the_model_of_the_call_is_counted() -> None:
    with UsageCallback() as usage:
        chat(said()).invoke("Hi", model="c/d")
        chat(said()).bind(model="e/f").invoke("Hi")
    assert list(usage.table) == ["c/d", "e/f"]


def test_a_reply_without_usage_is_a_call_whose_cost_is_unknown() -> None:
    with UsageCallback() as usage:
        chat(said(usage=None)).invoke("Hi")
        list(chat(streamed(usage=None)).stream("Hi"))
    assert usage.table == {MODEL: UNKNOWN + UNKNOWN}


def test_cached_replies_cost_nothing() -> None:
    model = chat(said(), cache=InMemoryCache())
    with UsageCallback() as usage:
        model.invoke("Hi")
        model.invoke("Hi")
    assert usage.table == {MODEL: ONE + ModelUsage(1, 30, 20, 10, 5, 0.0)}


async def test_a_stream_that_ends_early_is_a_call_whose_cost_is_unknown() -> None:
    with UsageCallback() as usage:
        closed = chat(streamed()).stream("Hi")
        next(closed)
        closed.close()
        async_closed = chat(streamed()).astream("Hi")
        await anext(async_closed)
        await async_closed.aclose()
        with pytest.raises(SunraError, match="finish_reason"):
            list(chat(cut_off("Hel")).stream("Hi"))
        with pytest.raises(SunraError, match="finish_reason"):
            chat(cut_off("Hel"), streaming=True).invoke("Hi")
    assert usage.table[MODEL] == ModelUsage(4, calls_without_cost=4)


async def test_failed_calls_do_not_count() -> None:
    with UsageCallback() as usage:
        for failing in (chat(status(401)), chat(status(500)), chat(httpx.ConnectError("no"))):
            with pytest.raises(SunraError):
                failing.invoke("Hi")
            with pytest.raises(SunraError):
                await failing.ainvoke("Hi")
            with pytest.raises(SunraError):
                list(failing.stream("Hi"))
    assert not usage.table
    assert not usage._running


def test_calls_outside_of_the_block_do_not_count() -> None:
    with UsageCallback() as usage:
        stream = chat(streamed()).stream("Hi")
    list(stream)
    chat(said()).invoke("Hi")
    assert not usage.table
    with usage:
        chat(said()).invoke("Hi")
    assert usage.table == {MODEL: ONE}


async def test_blocks_of_concurrent_tasks_and_threads_count_their_own_calls() -> None:
    async def task(calls: int) -> ModelUsage:
        with UsageCallback() as usage:
            for _ in range(calls):
                await chat(said()).ainvoke("Hi")
                await asyncio.sleep(0)
        return usage.table.total

    def thread(calls: int) -> ModelUsage:
        with UsageCallback() as usage:
            chat(said()).batch(["Hi"] * calls)
        return usage.table.total

    numbers = range(1, 6)
    with UsageCallback() as all_calls:
        totals = await asyncio.gather(*map(task, numbers))
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(copy_context().run, thread, calls) for calls in numbers]
            totals += [one.result() for one in running]
    assert [total.calls for total in totals] == [*numbers, *numbers]
    assert all_calls.table.total.calls == 30
    assert all_calls.table.total.cost == pytest.approx(30 * COST)


def test_one_callback_counts_calls_of_many_threads() -> None:
    usage = UsageCallback()
    with ThreadPoolExecutor(8) as pool:
        model = chat(said(), callbacks=[usage])
        list(pool.map(model.invoke, ["Hi"] * 200))
    assert usage.table.total.calls == 200
    assert not usage._running


def get_weather(city: str) -> str:
    """The weather in a city."""
    with UsageCallback() as in_tool:
        chat(said(), model="in/tool").invoke(city)
    assert list(in_tool.table) == ["in/tool"]
    return "Rain"


@pytest.mark.parametrize("form", ["with", "callbacks"])
def test_agents_are_counted_with_their_tools(form) -> None:
    call = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    message = {"tool_calls": [{"id": "1", "type": "function", "function": call}]}
    calls_tool = completion(
        {
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": USAGE,
        }
    )
    agent = create_agent(chat(calls_tool, said()), [get_weather])
    usage, asked = UsageCallback(), {"messages": "Rain?"}
    if form == "with":
        with usage:
            agent.invoke(asked)
    else:
        agent.invoke(asked, {"callbacks": [usage]})
    assert usage.table == {MODEL: ONE + ONE, "in/tool": ONE}


def test_chains_inherit_it() -> None:
    usage = UsageCallback()
    (RunnableLambda(str) | chat(said())).invoke("Hi", {"callbacks": [usage]})
    assert usage.table == {MODEL: ONE}


def test_models_of_other_vendors_count_too() -> None:
    counts = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    replies = [
        AIMessage("Hi", usage_metadata=counts, response_metadata={"model_name": "theirs"}),
        AIMessage(
            "Hi",
            usage_metadata=counts,
            response_metadata={"model_name": "theirs", "token_usage": {"cost": 1}},
        ),
        AIMessage("Hi", usage_metadata={**counts, "total_cost": 0}),
        AIMessage("Hi"),
    ]
    model = GenericFakeChatModel(messages=iter(replies))
    with UsageCallback() as usage:
        for _ in replies:
            model.invoke("Hi")
        list(FakeListChatModel(responses=["Hi"]).stream("Hi"))
    assert usage.table["theirs"] == ModelUsage(2, 6, 4, cost=1.0, calls_without_cost=1)
    assert usage.table.total == ModelUsage(5, 9, 6, cost=1.0, calls_without_cost=3)


def test_chunks_of_a_stream_can_be_added_in_the_block() -> None:
    with UsageCallback() as usage:
        total = AIMessageChunk("")
        for chunk in chat(streamed()).stream("Hi"):
            total += chunk
    assert total.usage_metadata is not None
    assert usage.table == {MODEL: ONE}


async def test_it_counts_as_a_budget_does() -> None:
    budget = Budget(usd=100)
    with UsageCallback() as usage:
        for way in WAYS:
            await WAYS[way](chat(answer(way), budget=budget), None)
        for way in ("stream", "streaming_invoke", "events"):
            with pytest.raises(SunraError, match="finish_reason"):
                await WAYS[way](chat(cut_off("Hel"), budget=budget), None)
    assert usage.table == budget.by_model()
