"""A tool call that was cut off stays invalid, however the chunks of its stream are added up."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langgraph.graph import START, MessagesState, StateGraph

from sunra_integrations.langchain import ChatSunra
from tests.recorded_transport import Recorded, stream

CUT = '{"to": "Ada", "amount": 1'


def pay(to: str, amount: int) -> str:
    """Pays."""
    return f"{to} {amount}"


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"id": "g", "choices": [choice]}).encode() + b"\n\n"


def call(arguments: str, **begin: str) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": "pay"} if begin else {})}
    return {"tool_calls": [{"index": 0, **begin, "function": function}]}


EVENTS = [
    event({"content": "So:"}),
    event(call("", id="c1")),
    event(call(CUT[:20])),
    event(call(CUT[20:])),
]


def model(finish_reason: str = "length", **fields: Any) -> ChatSunra:
    transport = Recorded(stream(*EVENTS, event({}, finish_reason)))
    return ChatSunra(
        model="a/b",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **fields,
    )


def tail(chunks: Iterator[AIMessageChunk]) -> Iterator[AIMessageChunk]:
    next(chunks)
    yield from chunks


def by_step(around: Callable[[Runnable[Any, Any]], Runnable[Any, Any]]) -> Callable[..., Any]:
    """What a step behind the model is handed while the chain is streamed."""

    def way(chat: ChatSunra) -> Any:
        handed: list[Any] = []
        chain = around(chat.bind_tools([pay])) | RunnableLambda(lambda got: handed.append(got) or 1)
        list(chain.stream("Hi"))
        (got,) = handed
        return got["message"] if isinstance(got, dict) else got

    return way


def by_graph(chat: ChatSunra) -> Any:
    def node(_: Any) -> dict[str, Any]:
        return {"messages": [reduce(add, chat.stream("Hi"))]}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph.compile().invoke({"messages": [("user", "Hi")]})["messages"][-1]


class Ends(BaseCallbackHandler):
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.messages.append(response.generations[0][0].message)


def by_callback(chat: ChatSunra) -> Any:
    ends = Ends()
    list(chat.stream("Hi", config={"callbacks": [ends]}))
    (message,) = ends.messages
    return message


def as_list(chunks: list[AIMessageChunk]) -> Any:
    return chunks[0] + chunks[1:]


WAYS: dict[str, Callable[[ChatSunra], Any]] = {
    "one by one": lambda chat: reduce(add, chat.stream("Hi")),
    "as a list": lambda chat: as_list(list(chat.stream("Hi"))),
    "onto an empty chunk": lambda chat: reduce(
        add, chat.stream("Hi"), AIMessageChunk([] if chat.output_version else "")
    ),
    "as generations": lambda chat: (
        merge_chat_generation_chunks(
            [ChatGenerationChunk(message=chunk) for chunk in chat.stream("Hi")]
        ).message
    ),
    "as a message": lambda chat: message_chunk_to_message(reduce(add, chat.stream("Hi"))),
    "by a step": by_step(lambda bound: bound),
    "by a step behind one that drops the first": by_step(
        lambda bound: bound | RunnableGenerator(tail)
    ),
    "by a step behind a branch": by_step(
        lambda bound: RunnableBranch((lambda _: True, bound), bound)
    ),
    "by a step behind a map": by_step(lambda bound: RunnableParallel(message=bound)),
    "by a step behind an assignment": by_step(
        lambda bound: (
            RunnableParallel(x=RunnablePassthrough())
            | RunnablePassthrough.assign(message=RunnableLambda(lambda _: "Hi") | bound)
        )
    ),
    "by a graph": by_graph,
    "by a callback": by_callback,
    "by invoke": lambda chat: chat.model_copy(update={"streaming": True}).invoke("Hi"),
    "by v3 events": lambda chat: chat.stream_events("Hi", version="v3").output,
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)


def invalid(message: AIMessage) -> list[tuple[Any, ...]]:
    calls: list[InvalidToolCall] = message.invalid_tool_calls
    return [(one["id"], one["name"], one["args"]) for one in calls]


@pytest.mark.parametrize("output_version", [None, "v1"])
@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "tool_calls", "odd"])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_was_cut_off_is_invalid(way: str, finish_reason: str, output_version: Any):
    version = {} if output_version is None else {"output_version": output_version}
    message = WAYS[way](model(finish_reason, **version))
    assert message.tool_calls == []
    assert invalid(message) == [("c1", "pay", CUT)]
    assert not isinstance(message, AIMessageChunk) or type(message) is AIMessageChunk
    blocks = [block["type"] for block in message.content_blocks]
    assert "tool_call" not in blocks


async def test_an_async_step_is_handed_no_completed_call():
    handed: list[AIMessage] = []

    async def step(message: AIMessage) -> AIMessage:
        handed.append(message)
        return message

    chain = model().bind_tools([pay]) | RunnableLambda(step)
    _ = [one async for one in chain.astream("Hi")]
    (message,) = handed
    assert (message.tool_calls, invalid(message)) == ([], [("c1", "pay", CUT)])


def pickled(chunk: AIMessageChunk) -> AIMessageChunk:
    return pickle.loads(pickle.dumps(chunk))  # noqa: S301 - its own


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_copies_of_chunks_add_up_alike(copied: Callable[[Any], Any]):
    total = reduce(add, map(copied, model().stream("Hi")))
    assert (total.tool_calls, invalid(total)) == ([], [("c1", "pay", CUT)])


def test_a_chunk_is_stored_as_langchain_cores():
    for chunk in model().stream("Hi"):
        assert json.loads(dumps(chunk))["id"][-1] == "AIMessageChunk"


def test_a_whole_call_is_a_call():
    transport = Recorded(
        stream(event(call('{"to": "Ada", "amount": 1}', id="c1")), event({}, "length"))
    )
    chat = ChatSunra(model="a/b", api_key="k", http_client=httpx.Client(transport=transport))
    total = as_list(list(chat.stream("Hi")))
    assert [one["args"] for one in total.tool_calls] == [{"to": "Ada", "amount": 1}]
    assert total.invalid_tool_calls == []


def test_a_call_that_was_cut_off_before_its_arguments_is_invalid():
    transport = Recorded(stream(*EVENTS[:2], event({}, "length")))
    chat = ChatSunra(model="a/b", api_key="k", http_client=httpx.Client(transport=transport))
    total = reduce(add, chat.stream("Hi"))
    assert (total.tool_calls, invalid(total)) == ([], [("c1", "pay", "")])


def test_chunks_add_up_only_to_chunks():
    (first, *_) = model().stream("Hi")
    with pytest.raises(TypeError):
        _ = 1 + first


async def achunks(chat: ChatSunra) -> AsyncIterator[AIMessageChunk]:
    async for chunk in chat.astream("Hi"):
        yield chunk


async def test_async_chunks_add_up_alike():
    total = as_list([chunk async for chunk in achunks(model())])
    assert (total.tool_calls, invalid(total)) == ([], [("c1", "pay", CUT)])
