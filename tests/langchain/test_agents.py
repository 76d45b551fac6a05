"""Agents and graphs on ChatSunra, against the local sandbox."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import CallTools, Message, Sandbox
from tests.faults.cases import BEGUN, EVENTS, IN_CHUNKS
from tests.faults.server import FaultServer, in_chunk
from tests.waiting import DEADLINE

pytestmark = pytest.mark.network

NEEDS_ASYNC_CONTEXT = pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="LangGraph hands its context to async nodes from Python 3.11 on",
)
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


@NEEDS_ASYNC_CONTEXT
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

    sandbox.next(CallTools(("delete", '{"path": "notes/a'), finish_reason="length"))
    agent = create_agent(model, [delete])
    if streamed:
        list(agent.stream(ASKED, STEPS, stream_mode="messages"))
    else:
        agent.invoke(ASKED, STEPS)
    assert ran == []


@NEEDS_ASYNC_CONTEXT
async def test_tokens_arrive_while_the_answer_is_still_on_its_way():
    first_token, in_time = threading.Event(), []

    def wait_for_the_reader(connection):
        connection.send(IN_CHUNKS % (len(BEGUN), BEGUN))
        in_time.append(first_token.wait(DEADLINE))
        first_token.clear()
        connection.send(in_chunk(b"".join(EVENTS[2:])) + b"0\r\n\r\n")

    def read(part):
        if part.text == "Hel":
            first_token.set()
        return part.text

    with FaultServer(wait_for_the_reader) as server:
        agent = create_agent(ChatSunra(model="a/b", api_key="k", base_url=server.base_url), [])
        seen = [read(part) for part, _ in agent.stream(ASKED, STEPS, stream_mode="messages")]
        streaming = agent.astream(ASKED, STEPS, stream_mode="messages")
        seen_async = [read(part) async for part, _ in streaming]
    assert ("".join(seen), "".join(seen_async)) == ("Hello", "Hello")
    assert in_time == [True, True]


@NEEDS_ASYNC_CONTEXT
async def test_a_graph_of_its_own_streams_a_node_that_only_invokes(model: ChatSunra):
    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    parts = graph.compile().astream(ASKED, stream_mode="messages")
    seen = [part async for part, _ in parts if isinstance(part, AIMessageChunk)]
    assert len([part for part in seen if part.text]) > 2
    assert len({part.id for part in seen}) == 1


DECISIONS: dict[str, tuple[dict[str, Any], str]] = {
    "approve": ({"type": "approve"}, "It is sunny in Paris."),
    "edit": (
        {"type": "edit", "edited_action": {"name": "get_weather", "args": {"city": "Oslo"}}},
        "It is sunny in Oslo.",
    ),
    "reject": ({"type": "reject", "message": "Not now."}, "Not now."),
}


@pytest.mark.parametrize("asynchronous", [False, pytest.param(True, marks=NEEDS_ASYNC_CONTEXT)])
@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_person_decides_about_a_call_and_the_agent_goes_on(
    decision: str, asynchronous: bool, model: ChatSunra, sandbox: Sandbox
):
    given, result = DECISIONS[decision]
    agent = create_agent(
        model,
        [get_weather],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})],
        checkpointer=InMemorySaver(),
    )
    thread: Any = {"configurable": {"thread_id": "1"}, **STEPS}
    sandbox.next(CallTools(("get_weather", {"city": "Paris"})), "Done.")
    resume: Any = Command(resume={"decisions": [given]})
    if asynchronous:
        stopped = await agent.ainvoke(ASKED, thread)
        done = await agent.ainvoke(resume, thread)
    else:
        stopped = agent.invoke(ASKED, thread)
        done = agent.invoke(resume, thread)
    assert stopped["__interrupt__"][0].value["action_requests"][0]["name"] == "get_weather"
    assert done["messages"][-1].text == "Done."
    assert len(sandbox.requests) == 2
    answered = [one for one in sandbox.requests[-1].json["messages"] if one["role"] == "tool"]
    assert result in str(answered)


async def test_a_tool_interrupts_and_the_agent_is_resumed(model: ChatSunra, sandbox: Sandbox):
    def transfer(amount: int) -> str:
        """Transfers money."""
        return f"{amount}: {interrupt('Sure?')}"

    agent = create_agent(model, [transfer], checkpointer=InMemorySaver())
    for number, run in enumerate((agent.ainvoke, None)):
        thread: Any = {"configurable": {"thread_id": str(number)}, **STEPS}
        sandbox.next(CallTools(("transfer", {"amount": 7})), "Done.")
        resume: Any = Command(resume="yes")
        stopped = agent.invoke(ASKED, thread) if run is None else await run(ASKED, thread)
        assert stopped["__interrupt__"][0].value == "Sure?"
        done = agent.invoke(resume, thread) if run is None else await run(resume, thread)
        assert [one.text for one in done["messages"][-2:]] == ["7: yes", "Done."]
    assert len(sandbox.requests) == 4


def test_what_must_be_replayed_survives_a_checkpoint(model: ChatSunra, sandbox: Sandbox):
    detail = {"type": "reasoning.encrypted", "data": "abc", "index": 0}
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
        "extra_content": {"google": {"thought_signature": "sig"}},
    }
    said = {"reasoning": "Hm.", "reasoning_details": [detail], "tool_calls": [call]}
    sandbox.next(Message({"role": "assistant", "content": None, **said}), "Done.")
    middleware = [HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})]
    agent = create_agent(model, [get_weather], middleware=middleware, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}, **STEPS}
    agent.invoke(ASKED, thread)
    agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread)
    replayed = sandbox.requests[-1].json["messages"][1]
    assert replayed["reasoning"] == "Hm."
    assert replayed["reasoning_details"] == [detail]
    assert replayed["tool_calls"][0]["extra_content"] == call["extra_content"]
