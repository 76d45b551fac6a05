"""LangChain's own agent middlewares, those that touch the model, on ChatSunra.

Retries are in `test_traps.py`, summarisation by a fraction of the context in `test_profiles.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import CallTools, Http, Sandbox

pytestmark = pytest.mark.network

ASKED: Any = {"messages": [("human", "What is the weather in Paris?")]}
STEPS: Any = {"recursion_limit": 20}
PARIS = ("get_weather", {"city": "Paris"})

Run = Callable[[Any, Any], Awaitable[dict[str, Any]]]


async def sync(agent: Any, given: Any) -> dict[str, Any]:
    return agent.invoke(given, STEPS)


async def asynchronous(agent: Any, given: Any) -> dict[str, Any]:
    return await agent.ainvoke(given, STEPS)


both_ways = pytest.mark.parametrize("run", [sync, asynchronous])


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


def book_flight(city: str) -> str:
    """Books a flight to a city."""
    return f"Booked to {city}."


def on(sandbox: Sandbox, **given: Any) -> ChatSunra:
    known = {"model": "openai/gpt-4o", "api_key": sandbox.api_key, "base_url": sandbox.base_url}
    return ChatSunra(**{**known, **given})


def sent(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [one.json for one in sandbox.requests]


@both_ways
async def test_a_long_conversation_is_summarised_by_the_model(run: Run, sunra_sandbox: Sandbox):
    model = on(sunra_sandbox)
    sunra_sandbox.next("They spoke of many words.", "It is late.")
    middleware = SummarizationMiddleware(model, trigger=("messages", 3), keep=("messages", 1))
    long = [HumanMessage("Many words."), AIMessage("Yes."), HumanMessage("How late is it?")]
    done = await run(create_agent(model, [], middleware=[middleware]), {"messages": long})
    assert done["messages"][-1].text == "It is late."
    summary, answer = sent(sunra_sandbox)
    assert "Many words." in str(summary["messages"])
    assert "They spoke of many words." in str(answer["messages"][0])
    assert answer["messages"][-1]["content"] == "How late is it?"


@both_ways
async def test_another_model_answers_where_one_fails(run: Run, sunra_sandbox: Sandbox):
    sunra_sandbox.next(Http(503, {"error": {"message": "Later."}}))
    middleware = ModelFallbackMiddleware(on(sunra_sandbox, model="c/d"))
    model = on(sunra_sandbox, max_retries=0)
    done = await run(create_agent(model, [get_weather], middleware=[middleware]), ASKED)
    assert done["messages"][-1].text == "It is sunny in Paris."
    assert [one["model"] for one in sent(sunra_sandbox)[:2]] == ["openai/gpt-4o", "c/d"]


@both_ways
async def test_calls_of_tools_are_limited(run: Run, sunra_sandbox: Sandbox):
    sunra_sandbox.next(CallTools(PARIS, PARIS), "I could ask only once.")
    middleware = ToolCallLimitMiddleware(run_limit=1)
    agent = create_agent(on(sunra_sandbox), [get_weather], middleware=[middleware])
    done = await run(agent, ASKED)
    results = [one for one in done["messages"] if isinstance(one, ToolMessage)]
    assert sorted(one.status for one in results) == ["error", "success"]
    answered = [one for one in sent(sunra_sandbox)[1]["messages"] if one["role"] == "tool"]
    assert len(answered) == 2


@both_ways
async def test_calls_of_the_model_are_limited(run: Run, sunra_sandbox: Sandbox):
    middleware = ModelCallLimitMiddleware(run_limit=1, exit_behavior="end")
    agent = create_agent(on(sunra_sandbox), [get_weather], middleware=[middleware])
    done = await run(agent, ASKED)
    assert len(sunra_sandbox.requests) == 1
    assert "limit" in done["messages"][-1].text


@both_ways
@pytest.mark.parametrize("count", ["approximate", "model"])
async def test_old_results_of_tools_are_cleared(run: Run, count: Any, sunra_sandbox: Sandbox):
    def read(page: int) -> str:
        """Reads a page."""
        return f"Page {page}: " + "word " * 200

    pages = [CallTools(("read", {"page": number})) for number in (1, 2)]
    sunra_sandbox.next(*pages, "Read.")
    edit = ClearToolUsesEdit(trigger=300, keep=1, placeholder="[cleared]")
    middleware = ContextEditingMiddleware(edits=[edit], token_count_method=count)
    agent = create_agent(on(sunra_sandbox), [read], middleware=[middleware])
    await run(agent, ASKED)
    results = [one for one in sent(sunra_sandbox)[-1]["messages"] if one["role"] == "tool"]
    assert results[0]["content"] == "[cleared]"
    assert results[1]["content"].startswith("Page 2: word")


@both_ways
async def test_the_model_selects_its_tools(run: Run, sunra_sandbox: Sandbox):
    selected = '{"tools": ["get_weather"]}'
    sunra_sandbox.next(selected, CallTools(PARIS), selected, "It is sunny.")
    middleware = LLMToolSelectorMiddleware(max_tools=1)
    agent = create_agent(on(sunra_sandbox), [get_weather, book_flight], middleware=[middleware])
    done = await run(agent, ASKED)
    assert done["messages"][-1].text == "It is sunny."
    selection, call = sent(sunra_sandbox)[:2]
    assert selection["response_format"]["type"] == "json_schema"
    assert [tool["function"]["name"] for tool in call["tools"]] == ["get_weather"]
