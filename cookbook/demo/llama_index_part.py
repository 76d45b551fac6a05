"""Parts (c) and (d): a query engine and an agent, in LlamaIndex."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCall, ToolCallResult
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

from cookbook.bm25_retriever import BM25Retriever
from cookbook.demo import terminal
from cookbook.demo.passages import Passage
from cookbook.demo.tools import search_with, years_between
from sunra_integrations.llama_index import Sunra


class UsageHandler(BaseEventHandler):
    """Adds up what LlamaIndex's own events tell of every call of the model."""

    tally: Any

    def handle(self, event: Any, **_: Any) -> None:
        """Counts a finished call."""
        if isinstance(event, LLMChatEndEvent) and event.response is not None:
            usage = event.response.additional_kwargs
            self.tally.add(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


def query_engine(llm: Sunra, passages: list[Passage], question: str) -> None:
    """(c) A query engine, streamed, with its sources."""
    engine = RetrieverQueryEngine.from_args(_retriever(passages), llm=llm, streaming=True)
    with _counted("c", "LlamaIndex: query engine, streamed, with sources", question):
        response = engine.query(question)
        terminal.answer_begins()
        for text in response.response_gen:
            terminal.stream(text)
        terminal.answer_ends()
        for source in response.source_nodes:
            place = source.node.metadata["place"]
            terminal.note("source", f"[{place}] {source.score:.2f} {source.text}")


async def agent(llm: Sunra, passages: list[Passage], question: str) -> None:
    """(d) A FunctionAgent with two tools, its steps and tokens as they come."""
    retriever = _retriever(passages)
    search = search_with(lambda query: [_pair(found) for found in retriever.retrieve(query)])
    worker = FunctionAgent(tools=[search, years_between], llm=llm, streaming=True)
    with _counted("d", "LlamaIndex: FunctionAgent with two tools", question):
        run = worker.run(user_msg=question)
        answering = False
        async for event in run.stream_events():
            if isinstance(event, ToolCallResult):
                terminal.note("gets", f"{event.tool_name}: {event.tool_output.content}")
            elif isinstance(event, ToolCall):
                terminal.note("calls", f"{event.tool_name}({event.tool_kwargs})")
            elif isinstance(event, AgentStream) and event.delta:
                if not answering:
                    terminal.answer_begins()
                answering = True
                terminal.stream(event.delta)
        await run
        terminal.answer_ends()


@contextmanager
def _counted(letter: str, title: str, question: str) -> Iterator[None]:
    """A part of the demo whose calls are counted while it lasts."""
    dispatcher = get_dispatcher()
    with terminal.part(letter, title, question) as tally:
        handler = UsageHandler(tally=tally)
        dispatcher.add_event_handler(handler)
        try:
            yield
        finally:
            dispatcher.event_handlers.remove(handler)


def _retriever(passages: list[Passage]) -> BM25Retriever:
    nodes = [TextNode(text=text, metadata={"place": place}) for place, text in passages]
    return BM25Retriever(nodes=nodes, similarity_top_k=3)


def _pair(found: NodeWithScore) -> tuple[str, str]:
    return found.node.metadata["place"], found.node.get_content(metadata_mode=MetadataMode.NONE)
