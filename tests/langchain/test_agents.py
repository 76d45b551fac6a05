"""Agents and graphs on ChatSunra, against the local sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from pydantic import BaseModel

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import CallTools, Sandbox

pytestmark = pytest.mark.network

ASKED: Any = {"messages": [("human", "What is the weather in Paris?")]}
STEPS: Any = {"recursion_limit": 10}


class Report(BaseModel):
    """A weather report."""

    city: str
    sky: str


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def model(sandbox: Sandbox) -> ChatSunra:
    return ChatSunra(model="openai/gpt-4o", api_key=sandbox.api_key, base_url=sandbox.base_url)


def kinds(messages: list[Any]) -> list[type]:
    return [type(one) for one in messages[1:]]


async def test_an_agent_calls_its_tool_and_answers(model: ChatSunra):
    agent = create_agent(model, [get_weather])
    for done in (agent.invoke(ASKED, STEPS), await agent.ainvoke(ASKED, STEPS)):
        assert kinds(done["messages"]) == [AIMessage, ToolMessage, AIMessage]
        assert done["messages"][-1].text == "It is sunny in Paris."


async def test_an_agents_tokens_are_streamed(model: ChatSunra):
    agent = create_agent(model, [get_weather])
    seen = [part for part, _ in agent.stream(ASKED, STEPS, stream_mode="messages")]
    seen_async = [part async for part, _ in agent.astream(ASKED, STEPS, stream_mode="messages")]
    for parts in (seen, seen_async):
        results = [place for place, one in enumerate(parts) if isinstance(one, ToolMessage)]
        said = [one for one in parts[results[0] :] if isinstance(one, AIMessageChunk)]
        assert "".join(one.text for one in said) == "It is sunny in Paris."
        assert len(said) > 2


async def test_an_agent_answers_by_a_response_format(model: ChatSunra, sandbox: Sandbox):
    agent = create_agent(model, [get_weather], response_format=ProviderStrategy(Report))
    done = await agent.ainvoke(ASKED, STEPS)
    assert isinstance(done["structured_response"], Report)
    assert sandbox.requests[-1].json["response_format"]["json_schema"]["name"] == "Report"


def test_an_agent_answers_by_a_tool(model: ChatSunra, sandbox: Sandbox):
    sandbox.next(None, CallTools(("Report", {"city": "Paris", "sky": "sunny"})))
    agent = create_agent(model, [get_weather], response_format=ToolStrategy(Report))
    done = agent.invoke(ASKED, STEPS)
    assert done["structured_response"] == Report(city="Paris", sky="sunny")
    assert sandbox.requests[-1].json["tool_choice"] == "required"


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_does_not_run_a_call_that_was_cut_off(
    model: ChatSunra, sandbox: Sandbox, streamed: bool
):
    ran: list[str] = []

    def delete(path: str) -> str:
        """Deletes a path."""
        ran.append(path)
        return "gone"

    sandbox.next(CallTools(("delete", '{"path": "/tmp/a'), finish_reason="length"))
    agent = create_agent(model, [delete])
    if streamed:
        list(agent.stream(ASKED, STEPS, stream_mode="messages"))
    else:
        agent.invoke(ASKED, STEPS)
    assert ran == []
