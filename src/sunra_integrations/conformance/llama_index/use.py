"""The LLM where LlamaIndex uses it: agents, query engines, chat engines."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import MockEmbedding, SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from sunra_integrations.conformance.llama_index.asking import run
from sunra_integrations.conformance.llama_index.suite import LLMSuite
from sunra_integrations.conformance.llama_index.tool_calling import TOOLS, add
from sunra_integrations.sandbox import CallTools, Sandbox

_DOCUMENTS = [Document(text="Rain falls in spring."), Document(text="Snow falls in winter.")]


class Season(BaseModel):
    """A season."""

    name: str


# The framework's own workflows look at deprecated attributes of their agents and contexts.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class UseTests(LLMSuite):
    """Agents and retrieval, as their users run them."""

    @pytest.mark.parametrize("streaming", [True, False])
    def test_an_agent_calls_tools_in_parallel_and_answers(
        self, endpoint: Sandbox, streaming: bool
    ) -> None:
        endpoint.next(CallTools(("add", {"a": 2, "b": 3}), ("sub", {"a": 4})), "5 and -4.")
        agent = FunctionAgent(tools=TOOLS, llm=self.make_llm(endpoint), streaming=streaming)
        output, streamed = run(_run(agent))
        assert str(output) == "5 and -4."
        assert streamed == "5 and -4." or not streaming
        results = endpoint.requests[-1].json["messages"][-2:]
        assert {one["content"] for one in results} == {"5", "-4"}

    @pytest.mark.parametrize("streaming", [True, False])
    @pytest.mark.parametrize("written", ['{"a": 2, "b": 3', "{'a': 2}", '{"a": 2}}', "[2, 3]"])
    def test_an_agent_survives_broken_arguments(
        self, endpoint: Sandbox, written: str, streaming: bool
    ) -> None:
        ran: list[Any] = []

        def note(a: int = 0, b: int = 0) -> str:
            """Note two numbers."""
            ran.append((a, b))
            return "Noted."

        endpoint.next(CallTools(("note", written), ("note", {"a": 1})), "Done.")
        agent = FunctionAgent(tools=[note], llm=self.make_llm(endpoint), streaming=streaming)
        output, _ = run(_run(agent))
        assert str(output) == "Done."
        assert ran == [(1, 0)]
        results = [one for one in endpoint.requests[-1].json["messages"] if one["role"] == "tool"]
        told = [one["content"] for one in results if one["content"] != "Noted."]
        assert len(results) == len(told) + 1 == len({one["tool_call_id"] for one in results})
        assert written in told[0]

    def test_agents_hand_over(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        names = ("first", "second")
        agents = [FunctionAgent(name=n, description=n, tools=TOOLS, llm=llm) for n in names]
        handoff = CallTools(("handoff", {"to_agent": "second", "reason": "why not"}))
        endpoint.next(handoff, "Done by the second.")
        output, _ = run(_run(AgentWorkflow(agents=list(agents), root_agent="first")))
        assert str(output) == "Done by the second."

    def test_an_agent_goes_on_after_a_tool_that_returns_directly(self, endpoint: Sandbox) -> None:
        tool = FunctionTool.from_defaults(fn=add, return_direct=True)
        agent = FunctionAgent(tools=[tool], llm=self.make_llm(endpoint))
        memory = ChatMemoryBuffer.from_defaults(token_limit=1000, tokenizer_fn=str.split)
        endpoint.next(CallTools(("add", {"a": 2, "b": 3})), "And more.")
        assert [str(one) for one in run(_run_twice(agent, memory))] == ["5", "And more."]

    def test_a_reasoning_agent_acts_in_text(self, endpoint: Sandbox) -> None:
        endpoint.next(
            'Thought: I must add.\nAction: add\nAction Input: {"a": 2, "b": 3}\n',
            "Thought: I can answer without using any more tools.\nAnswer: 5",
        )
        output, _ = run(_run(ReActAgent(tools=TOOLS, llm=self.make_llm(endpoint))))
        assert str(output) == "5"

    def test_a_query_engine_answers_and_streams(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        embedding = MockEmbedding(embed_dim=4)
        index = VectorStoreIndex.from_documents(_DOCUMENTS, embed_model=embedding)
        endpoint.next(*["In spring."] * 3)
        assert str(index.as_query_engine(llm=llm).query("When?")) == "In spring."
        flowing: Any = index.as_query_engine(llm=llm, streaming=True).query("When?")
        assert "".join(flowing.response_gen) == "In spring."
        assert run(_queried(index.as_query_engine(llm=llm))) == "In spring."

    @pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize"])
    def test_a_query_engine_answers_with_an_object(self, endpoint: Sandbox, mode: str) -> None:
        index = SummaryIndex.from_documents([Document(text="The name is Spring.")])
        engine = index.as_query_engine(
            llm=self.make_llm(endpoint), output_cls=Season, response_mode=mode
        )
        answered: Any = engine.query("What is the name?")
        assert isinstance(answered.response, Season)

    def test_a_chat_engine_remembers(self, endpoint: Sandbox) -> None:
        engine = SimpleChatEngine.from_defaults(
            llm=self.make_llm(endpoint),
            memory=ChatMemoryBuffer.from_defaults(token_limit=1000, tokenizer_fn=str.split),
        )
        endpoint.next("One.", "Two.", "Three.")
        assert str(engine.chat("a")) == "One."
        assert "".join(engine.stream_chat("b").response_gen) == "Two."
        engine.chat("c")
        said = [message["content"] for message in endpoint.requests[-1].json["messages"]]
        assert said == ["a", "One.", "b", "Two.", "c"]


async def _run(agent: Any) -> tuple[AgentOutput, str]:
    """What an agent answers, and the text that it streamed."""
    handler = agent.run(user_msg="Go on.")
    events = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    return await handler, "".join(event.delta for event in events)


async def _run_twice(agent: Any, memory: ChatMemoryBuffer) -> list[Any]:
    return [await agent.run(user_msg=words, memory=memory) for words in ("Add.", "And then?")]


async def _queried(engine: Any) -> str:
    return str(await engine.aquery("When?"))
