"""Budgets in what both frameworks build from calls: batches, chains, agents, workflows."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel

from sunra_integrations import errors
from sunra_integrations.budget import Budget
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import CallTools, Http
from sunra_integrations.sandbox import Sandbox as SandboxServer

# The frameworks' own: LlamaIndex's workflows look at every attribute of an agent, and LangChain's
# `load` is in beta.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*attribute.*is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*is in beta"),
]


class City(BaseModel):
    """A city."""

    name: str


def weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}."


@pytest.fixture
def chat(sunra_sandbox: SandboxServer) -> ChatSunra:
    return ChatSunra(model="a/chat", api_key=sunra_sandbox.api_key, base_url=sunra_sandbox.base_url)


@pytest.fixture
def llm(sunra_sandbox: SandboxServer) -> Sunra:
    return Sunra(model="a/llm", api_key=sunra_sandbox.api_key, api_base=sunra_sandbox.base_url)


def agrees(budget: Budget, sandbox: SandboxServer, calls: int) -> None:
    """The budget counted each request that the sandbox received, with a cost."""
    spent = budget.spent
    assert spent.calls == len(sandbox.requests) == calls
    assert spent.cost > 0
    assert spent.calls_without_cost == 0
    assert spent.total_tokens > 0


# ── LangChain ────────────────────────────────────────────────────────────────


def chain_of(chat: ChatSunra) -> Any:
    return RunnableParallel(one=chat, two=chat, three=RunnableLambda(lambda _: chat.invoke("c")))


def asynchronously(work: Any) -> Any:
    async def go() -> Any:
        return await work

    return asyncio.run(go())


LANGCHAIN: dict[str, tuple[int, Any]] = {
    "batch": (3, lambda chat: chat.batch(["a", "b", "c"])),
    "abatch": (3, lambda chat: asynchronously(chat.abatch(["a", "b", "c"]))),
    "batch_as_completed": (2, lambda chat: list(chat.batch_as_completed(["a", "b"]))),
    "generate": (2, lambda chat: chat.generate([[HumanMessage("a")], [HumanMessage("b")]])),
    "agenerate": (
        2,
        lambda chat: asynchronously(chat.agenerate([[HumanMessage("a")], [HumanMessage("b")]])),
    ),
    "several choices": (1, lambda chat: chat.generate([[HumanMessage("a")]], n=3)),
    "parallel": (3, lambda chat: chain_of(chat).invoke("a")),
    "parallel, async": (3, lambda chat: asynchronously(chain_of(chat).ainvoke("a"))),
    "structured": (1, lambda chat: chat.with_structured_output(City).invoke("Oslo")),
    "structured, with raw": (
        1,
        lambda chat: chat.with_structured_output(City, include_raw=True).invoke("Oslo"),
    ),
    "bound": (1, lambda chat: chat.bind(temperature=0).invoke("a")),
    "with tools": (1, lambda chat: chat.bind_tools([weather]).invoke("a")),
    "streaming": (1, lambda chat: chat.model_copy(update={"streaming": True}).invoke("a")),
    "agent": (2, lambda chat: _ask(create_agent(chat, tools=[weather]))),
    "agent, async": (2, lambda chat: asynchronously(_aask(create_agent(chat, tools=[weather])))),
    "agent, streamed": (2, lambda chat: list(_stream(create_agent(chat, tools=[weather])))),
}
ASKED = {"messages": [("user", "What is the weather in Oslo? Use the tool.")]}


def _ask(agent: Any) -> Any:
    return agent.invoke(ASKED)


async def _aask(agent: Any) -> Any:
    return await agent.ainvoke(ASKED)


def _stream(agent: Any) -> Any:
    return agent.stream(ASKED, stream_mode="messages")


@pytest.mark.parametrize("own", [True, False], ids=["own", "block"])
@pytest.mark.parametrize("way", LANGCHAIN)
def test_each_call_of_langchain_counts_once(way, own, chat, sunra_sandbox):
    calls, work = LANGCHAIN[way]
    if "agent" in way:
        sunra_sandbox.next(CallTools(("weather", {"city": "Oslo"})))
    budget = Budget()
    if own:
        work(chat.model_copy(update={"budget": budget}))
    else:
        with budget:
            work(chat)
    agrees(budget, sunra_sandbox, calls)


def test_a_batch_stops_at_the_limit_and_returns_what_is_paid(chat, sunra_sandbox):
    budget = Budget(calls=3)
    chat.budget = budget
    replies = chat.batch(["a"] * 8, return_exceptions=True)
    refused = [one for one in replies if isinstance(one, errors.BudgetExceeded)]
    assert len(replies) - len(refused) == 3
    agrees(budget, sunra_sandbox, 3)


def test_replies_from_langchains_cache_do_not_count(chat, sunra_sandbox):
    budget = Budget(calls=1)
    cached = chat.model_copy(update={"cache": InMemoryCache(), "budget": budget})
    assert cached.invoke("a").text == cached.invoke("a").text
    agrees(budget, sunra_sandbox, 1)


def test_the_cache_key_does_not_depend_on_the_budget(chat, sunra_sandbox):
    cache = InMemoryCache()
    for budget in (None, Budget(calls=1), Budget(usd=1)):
        chat.model_copy(update={"cache": cache, "budget": budget}).invoke("a")
    assert len(sunra_sandbox.requests) == 1


def test_a_budget_is_neither_serialized_nor_shown(chat, monkeypatch, sunra_sandbox):
    monkeypatch.setenv("SUNRA_KEY", sunra_sandbox.api_key)
    chat.budget = Budget(usd=1)
    assert "udget" not in dumps(chat) + repr(chat) + str(chat._identifying_params)
    assert "budget" not in chat.model_dump()
    loaded = load(dumpd(chat), allowed_objects=[ChatSunra], valid_namespaces=["sunra_integrations"])
    assert loaded.budget is None


def test_a_fallback_is_refused_by_the_same_budget_and_allowed_by_another(chat, sunra_sandbox):
    spent = Budget(calls=0)
    same = chat.model_copy(update={"budget": spent})
    other = chat.model_copy(update={"budget": Budget(calls=1)})
    with pytest.raises(errors.BudgetExceeded):
        same.with_fallbacks([same]).invoke("a")
    same.with_fallbacks([other]).invoke("a")
    assert len(sunra_sandbox.requests) == 1


def test_with_retry_sends_nothing_for_a_spent_budget(chat, sunra_sandbox):
    chat.budget = Budget(calls=0)
    by_default = chat.with_retry(wait_exponential_jitter=False, stop_after_attempt=3)
    with pytest.raises(errors.BudgetExceeded):
        by_default.invoke("a")
    assert not sunra_sandbox.requests


def test_langchains_retry_middleware_does_not_repeat_a_refused_call(chat, sunra_sandbox):
    chat.budget = Budget(calls=0)
    attempts = []

    def retries(error: Exception) -> bool:
        attempts.append(error)
        return error.is_retryable  # type: ignore[attr-defined]

    middleware = ModelRetryMiddleware(max_retries=3, retry_on=retries, on_failure="error")
    with pytest.raises(errors.BudgetExceeded):
        create_agent(chat, middleware=[middleware]).invoke({"messages": [("user", "a")]})
    assert len(attempts) == 1
    assert not sunra_sandbox.requests


def test_fallbacks_after_a_failure_count_the_calls_that_were_answered(chat, sunra_sandbox):
    budget = Budget()
    sunra_sandbox.next(Http(404, {"error": {"message": "no such model"}}))
    first = chat.model_copy(update={"model": "a/first", "budget": budget})
    second = chat.model_copy(update={"model": "a/second", "budget": budget})
    first.with_fallbacks([second]).invoke("a")
    assert list(budget.by_model()) == ["a/second"]
    assert budget.spent.calls == 1


def test_an_agent_in_a_loop_is_stopped(chat, sunra_sandbox):
    for _ in range(20):
        sunra_sandbox.next(CallTools(("weather", {"city": "Oslo"})))
    with Budget(calls=5) as budget, pytest.raises(errors.BudgetExceeded):
        create_agent(chat, tools=[weather]).invoke(ASKED, {"recursion_limit": 100})
    agrees(budget, sunra_sandbox, 5)


# ── LlamaIndex ───────────────────────────────────────────────────────────────


def _engine_text(llm: Sunra) -> str:
    memory = ChatMemoryBuffer.from_defaults()  # the default one leaves a database open
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
    return "".join(engine.stream_chat("a").response_gen)


PROMPT = PromptTemplate("Which city? Oslo.")
LLAMA_INDEX: dict[str, tuple[int, Any]] = {
    "chat": (1, lambda llm: llm.chat([ChatMessage("a")])),
    "achat": (1, lambda llm: asynchronously(llm.achat([ChatMessage("a")]))),
    "complete": (1, lambda llm: llm.complete("a")),
    "stream_chat": (1, lambda llm: list(llm.stream_chat([ChatMessage("a")]))),
    "several choices": (1, lambda llm: llm.chat([ChatMessage("a")], n=3)),
    "predict": (1, lambda llm: llm.predict(PROMPT)),
    "structured_predict": (1, lambda llm: llm.structured_predict(City, PROMPT)),
    "stream_structured_predict": (1, lambda llm: list(llm.stream_structured_predict(City, PROMPT))),
    "as_structured_llm": (1, lambda llm: llm.as_structured_llm(City).complete("Oslo")),
    "chat engine, streamed by a thread": (1, _engine_text),
    "gather": (3, lambda llm: asynchronously(_gathered(llm))),
    "agent": (2, lambda llm: asynchronously(_agent_run(llm))),
    "workflow": (4, lambda llm: asynchronously(_workflow_run(llm))),
}


async def _gathered(llm: Sunra) -> Any:
    return await asyncio.gather(*(llm.acomplete("a") for _ in range(3)))


async def _agent_run(llm: Sunra) -> Any:
    return await FunctionAgent(tools=[weather], llm=llm).run(
        user_msg="What is the weather in Oslo?"
    )


class Part(Event):
    number: int


class Answered(Event):
    pass


class Several(Workflow):
    """Three steps that run at once, and one that waits for them."""

    def __init__(self, llm: Sunra) -> None:
        super().__init__(timeout=60)
        self.llm = llm

    @step
    async def start(self, ctx: Context, _: StartEvent) -> Part | None:
        for number in range(3):
            ctx.send_event(Part(number=number))
        return None

    @step(num_workers=3)
    async def ask(self, part: Part) -> Answered:
        await self.llm.acomplete(str(part.number))
        return Answered()

    @step
    async def end(self, ctx: Context, answered: Answered) -> StopEvent | None:
        if ctx.collect_events(answered, [Answered] * 3) is None:
            return None
        await self.llm.acomplete("the end")
        return StopEvent()


async def _workflow_run(llm: Sunra) -> Any:
    return await Several(llm).run()


@pytest.mark.parametrize("own", [True, False], ids=["own", "block"])
@pytest.mark.parametrize("way", LLAMA_INDEX)
def test_each_call_of_llama_index_counts_once(way, own, llm, sunra_sandbox):
    calls, work = LLAMA_INDEX[way]
    if way == "agent":
        sunra_sandbox.next(CallTools(("weather", {"city": "Oslo"})))
    budget = Budget()
    if own:
        llm.budget = budget
        work(llm)
    else:
        with budget:
            work(llm)
    agrees(budget, sunra_sandbox, calls)


def test_a_budget_is_not_in_llama_indexs_dicts(llm):
    llm.budget = Budget(usd=1)
    assert "udget" not in str(llm.to_dict()) + llm.to_json() + repr(llm)
    assert "budget" not in llm.to_payload()
    assert Sunra.from_dict(llm.to_dict(), api_key="k").budget is None


async def test_a_function_agent_is_stopped(llm, sunra_sandbox):
    for _ in range(20):
        sunra_sandbox.next(CallTools(("weather", {"city": "Oslo"})))
    llm.budget = Budget(calls=4)
    with pytest.raises(errors.BudgetExceeded):
        await _agent_run(llm)
    agrees(llm.budget, sunra_sandbox, 4)


# ── both ─────────────────────────────────────────────────────────────────────


def test_one_budget_is_shared_by_both_frameworks(chat, llm, sunra_sandbox):
    budget = Budget(calls=2)
    chat.budget = llm.budget = budget
    chat.invoke("a")
    llm.complete("b")
    with pytest.raises(errors.BudgetExceeded):
        chat.invoke("c")
    assert list(budget.by_model()) == ["a/chat", "a/llm"]
    agrees(budget, sunra_sandbox, 2)


def test_blocks_in_several_threads_and_tasks_count_their_own_calls(chat, sunra_sandbox):
    def in_thread(calls: int) -> int:
        with Budget() as budget:
            for _ in range(calls):
                chat.invoke("a")
        return budget.spent.calls

    async def in_task(calls: int) -> int:
        with Budget() as budget:
            for _ in range(calls):
                await chat.ainvoke("a")
        return budget.spent.calls

    async def in_tasks() -> list[int]:
        return list(await asyncio.gather(*map(in_task, (1, 2, 3))))

    with Budget() as around:
        with ThreadPoolExecutor(3) as threads:
            assert list(threads.map(in_thread, (1, 2, 3))) == [1, 2, 3]
        assert asyncio.run(in_tasks()) == [1, 2, 3]
    assert around.spent.calls == 6  # the plain threads do not know the block around them
    assert len(sunra_sandbox.requests) == 12


def test_a_plain_thread_is_not_in_the_block(chat):
    with Budget(calls=0):
        thread = threading.Thread(target=chat.invoke, args=("a",))
        thread.start()
        thread.join()
        with pytest.raises(errors.BudgetExceeded):
            chat.invoke("a")
