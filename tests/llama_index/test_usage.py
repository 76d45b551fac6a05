"""`UsageHandler`: calls, tokens and costs by model, each call once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from sunra_integrations.budget import Budget
from sunra_integrations.errors import StreamInterrupted, SunraError
from sunra_integrations.llama_index import Sunra, UsageHandler
from sunra_integrations.llama_index.fast_path import event_dispatchers, has_event_handlers
from sunra_integrations.usage import ModelUsage
from tests.costs import COST, USAGE, cut_off, said, streamed
from tests.llama_index.ways import ASKED, STREAMED, WAYS
from tests.recorded_transport import Answer, completion, status, stream

MODEL = "openai/gpt-4o"
ONE = ModelUsage(1, 30, 20, 10, 5, COST)
UNKNOWN = ModelUsage(1, calls_without_cost=1)


class Song(BaseModel):
    """A song."""

    title: str


def answer(way: str) -> Answer:
    return streamed() if way in STREAMED else said()


@pytest.fixture
def registered() -> Iterator[UsageHandler]:
    handler, root = UsageHandler(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.mark.parametrize("way", WAYS)
async def test_each_call_counts_once_in_both_forms(line, registered, way) -> None:
    with UsageHandler() as outer, UsageHandler() as inner:
        await WAYS[way](line(answer(way)).llm)
    for usage in (registered, outer, inner):
        assert usage.table == {MODEL: ONE}
    await WAYS[way](line(answer(way)).llm)
    assert outer.table == {MODEL: ONE}
    assert registered.table == {MODEL: ONE + ONE}


def test_models_are_counted_apart(line) -> None:
    with UsageHandler() as usage:
        for model in ("a/b", MODEL, "a/b"):
            line(said(), model=model).llm.complete("Hi")
    assert list(usage.table.items()) == [("a/b", ONE + ONE), (MODEL, ONE)]
    assert usage.table.total.cost == pytest.approx(3 * COST)


async def test_a_call_counts_under_its_own_model(line) -> None:
    with UsageHandler() as usage:
        line(said()).llm.chat(ASKED, model="a/b")
        await line(said()).llm.acomplete("Hi", model="a/b")
        list(line(streamed()).llm.stream_complete("Hi", model="a/b"))
        line(said()).llm.chat(ASKED)
    assert usage.table == {"a/b": ONE + ONE + ONE, MODEL: ONE}


def test_a_block_registers_its_handler_and_removes_it() -> None:
    root = get_dispatcher()
    before = list(root.event_handlers)
    usage = UsageHandler()
    with usage:
        with usage:
            assert [one for one in root.event_handlers if one is usage] == [usage]
        assert any(one is usage for one in root.event_handlers)
    assert root.event_handlers == before


def test_in_progress_events_are_still_skipped() -> None:
    with UsageHandler():
        assert not has_event_handlers(event_dispatchers())


def test_all_choices_of_a_reply_are_one_call(line) -> None:
    with UsageHandler() as usage:
        line(said(choices=3), n=3).llm.chat(ASKED)
    assert usage.table == {MODEL: ONE}


def test_a_reply_without_usage_is_a_call_whose_cost_is_unknown(line) -> None:
    with UsageHandler() as usage:
        line(said(usage=None)).llm.chat(ASKED)
        list(line(streamed(usage=None)).llm.stream_chat(ASKED))
    assert usage.table == {MODEL: UNKNOWN + UNKNOWN}


async def test_a_stream_that_ends_early_is_a_call_whose_cost_is_unknown(line) -> None:
    with UsageHandler() as usage:
        closed = line(streamed()).llm.stream_chat(ASKED)
        next(closed)
        closed.close()
        async_closed = await line(streamed()).llm.astream_complete("Hi")
        await anext(async_closed)
        await async_closed.aclose()
        with pytest.raises(SunraError, match="finish_reason"):
            list(line(cut_off("Hel")).llm.stream_chat(ASKED))
    assert usage.table == {MODEL: UNKNOWN + UNKNOWN + UNKNOWN}


async def test_a_stream_that_breaks_off_counts_with_the_usage_received(line) -> None:
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
        {"choices": [], "usage": USAGE},
    ]
    events = [b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts]
    broken = stream(*events, httpx.ReadError("broken"))
    with UsageHandler() as usage, Budget() as budget:
        with pytest.raises(StreamInterrupted):
            list(line(broken).llm.stream_chat(ASKED))
        with pytest.raises(StreamInterrupted):
            _ = [part async for part in await line(broken).llm.astream_complete("Hi")]
    assert usage.table == budget.by_model() == {MODEL: ONE + ONE}


async def test_failed_calls_and_unread_streams_do_not_count(line) -> None:
    with UsageHandler() as usage:
        for failure in (status(401), status(500), httpx.ConnectError("no")):
            llm = line(failure).llm
            with pytest.raises(SunraError):
                llm.chat(ASKED)
            with pytest.raises(SunraError):
                await llm.acomplete("Hi")
            with pytest.raises(SunraError):
                list(llm.stream_chat(ASKED))
        line(streamed()).llm.stream_chat(ASKED).close()
    assert not usage.table


async def test_structured_calls_count_once(line) -> None:
    reply, stream = said('{"title": "a"}'), streamed('{"tit', 'le": "a"}')
    with UsageHandler() as usage:
        line(reply).llm.structured_predict(Song, PromptTemplate("A song."))
        line(reply).llm.as_structured_llm(Song).chat(ASKED)
        await line(reply).llm.as_structured_llm(Song).acomplete("A song.")
        list(line(stream).llm.as_structured_llm(Song).stream_chat(ASKED))
        list(line(stream).llm.stream_structured_predict(Song, PromptTemplate("A song.")))
    assert usage.table[MODEL].calls == 5
    assert usage.table.total.cost == pytest.approx(5 * COST)
    assert list(usage.table) == [MODEL]


@pytest.mark.filterwarnings("ignore:.*attribute.*is deprecated:DeprecationWarning")
async def test_agents_are_counted(line) -> None:
    call = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    message = {"tool_calls": [{"id": "1", "type": "function", "function": call}]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": USAGE}
    tool = FunctionTool.from_defaults(get_weather)
    llm = line(completion(body), said()).llm
    with UsageHandler() as usage:
        await FunctionAgent(tools=[tool], llm=llm, streaming=False).run(user_msg="Rain?")
    assert usage.table == {MODEL: ONE + ONE}


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


async def test_blocks_of_concurrent_tasks_and_threads_count_their_own_calls(line) -> None:
    llm: Sunra = line(said()).llm

    async def task(calls: int) -> int:
        with UsageHandler() as usage:
            for _ in range(calls):
                await llm.achat(ASKED)
        return usage.table.total.calls

    def thread(calls: int) -> int:
        with UsageHandler() as usage:
            for _ in range(calls):
                llm.chat(ASKED)
        return usage.table.total.calls

    numbers = list(range(1, 6))
    with UsageHandler() as all_tasks:
        assert await asyncio.gather(*map(task, numbers)) == numbers
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(thread, numbers)) == numbers
    assert all_tasks.table.total.calls == 15


def test_one_handler_counts_calls_of_many_threads(line, registered) -> None:
    llm: Sunra = line(said()).llm
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(llm.complete, ["Hi"] * 200))
    assert registered.table == {MODEL: ModelUsage(200, 6000, 4000, 2000, 1000, 2.5)}
    assert not registered._running


class Theirs(CustomLLM):
    """An LLM of another vendor, whose raw response is an object."""

    raw: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="theirs")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=prompt, raw=self.raw)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class Counts(BaseModel):
    prompt_tokens: int = 3
    completion_tokens: int = 2


class Body(BaseModel):
    usage: Counts = Counts()


def test_models_of_other_vendors_count_too() -> None:
    with UsageHandler() as usage:
        Theirs(raw=Body()).complete("Hi")
        Theirs(raw={"usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 1}}).complete(
            "Hi"
        )
        Theirs().complete("Hi")
    assert usage.table == {"theirs": ModelUsage(3, 6, 4, cost=1.0, calls_without_cost=2)}


async def test_an_llm_whose_chat_calls_its_completion_counts_once() -> None:
    raw = {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 1}}
    llm = Theirs(raw=raw)
    with UsageHandler() as usage:
        llm.chat(ASKED)
        await llm.achat(ASKED)
        llm.complete("Hi")
    assert usage.table == {"theirs": ModelUsage(3, 9, 6, cost=3.0)}


async def test_it_counts_as_a_budget_does(line) -> None:
    budget = Budget(usd=100)
    with UsageHandler() as usage:
        for way in WAYS:
            await WAYS[way](line(answer(way), budget=budget).llm)
        with pytest.raises(SunraError, match="finish_reason"):
            list(line(cut_off("Hel"), budget=budget).llm.stream_chat(ASKED))
    assert usage.table == budget.by_model()
