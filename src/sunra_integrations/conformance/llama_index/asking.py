"""All the ways to ask an LLM, as plain functions, so that a test can be held to each of them.

An async way runs in an event loop of its own, as it does in a script.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

_T = TypeVar("_T")

Response = ChatResponse | CompletionResponse
Way = Callable[..., list[Response]]
ToolWay = Callable[..., list[ChatResponse]]

PROMPT = "Hi"


def run(waited: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine, in an event loop of its own."""
    return asyncio.run(waited)


async def drained(stream: AsyncIterable[_T]) -> list[_T]:
    """All that an async stream gives."""
    return [one async for one in stream]


def asked() -> list[ChatMessage]:
    """A conversation of one message."""
    return [ChatMessage(PROMPT)]


def _chat(llm: LLM, **kwargs: Any) -> list[Response]:
    return [llm.chat(asked(), **kwargs)]


async def _achat(llm: LLM, **kwargs: Any) -> list[Response]:
    return [await llm.achat(asked(), **kwargs)]


def _stream_chat(llm: LLM, **kwargs: Any) -> list[Response]:
    return list(llm.stream_chat(asked(), **kwargs))


async def _astream_chat(llm: LLM, **kwargs: Any) -> list[Response]:
    return [one async for one in await llm.astream_chat(asked(), **kwargs)]


def _complete(llm: LLM, **kwargs: Any) -> list[Response]:
    return [llm.complete(PROMPT, **kwargs)]


async def _acomplete(llm: LLM, **kwargs: Any) -> list[Response]:
    return [await llm.acomplete(PROMPT, **kwargs)]


def _stream_complete(llm: LLM, **kwargs: Any) -> list[Response]:
    return list(llm.stream_complete(PROMPT, **kwargs))


async def _astream_complete(llm: LLM, **kwargs: Any) -> list[Response]:
    return [one async for one in await llm.astream_complete(PROMPT, **kwargs)]


def _in_a_loop(way: Callable[..., Coroutine[Any, Any, list[_T]]]) -> Callable[..., list[_T]]:
    """An async way as a plain one."""

    def way_in_a_loop(*args: Any, **kwargs: Any) -> list[_T]:
        return run(way(*args, **kwargs))

    return way_in_a_loop


WHOLE: Mapping[str, Way] = {
    "chat": _chat,
    "achat": _in_a_loop(_achat),
    "complete": _complete,
    "acomplete": _in_a_loop(_acomplete),
}
STREAMED: Mapping[str, Way] = {
    "stream_chat": _stream_chat,
    "astream_chat": _in_a_loop(_astream_chat),
    "stream_complete": _stream_complete,
    "astream_complete": _in_a_loop(_astream_complete),
}
WAYS: Mapping[str, Way] = {**WHOLE, **STREAMED}
"""Each gives every response of the call: one, or as many as were streamed."""

CHATS = tuple(name for name in WAYS if "chat" in name)
STREAMED_CHATS = tuple(name for name in STREAMED if "chat" in name)

Tools = Sequence[FunctionTool]


def _chat_with_tools(llm: FunctionCallingLLM, tools: Tools, **kwargs: Any) -> list[ChatResponse]:
    return [llm.chat_with_tools(tools, **kwargs)]


async def _achat_with_tools(
    llm: FunctionCallingLLM, tools: Tools, **kwargs: Any
) -> list[ChatResponse]:
    return [await llm.achat_with_tools(tools, **kwargs)]


def _stream_chat_with_tools(
    llm: FunctionCallingLLM, tools: Tools, **kwargs: Any
) -> list[ChatResponse]:
    return list(llm.stream_chat_with_tools(tools, **kwargs))


async def _astream_chat_with_tools(
    llm: FunctionCallingLLM, tools: Tools, **kwargs: Any
) -> list[ChatResponse]:
    return [one async for one in await llm.astream_chat_with_tools(tools, **kwargs)]


WITH_TOOLS: Mapping[str, ToolWay] = {
    "chat_with_tools": _chat_with_tools,
    "achat_with_tools": _in_a_loop(_achat_with_tools),
    "stream_chat_with_tools": _stream_chat_with_tools,
    "astream_chat_with_tools": _in_a_loop(_astream_chat_with_tools),
}
STREAMED_WITH_TOOLS = tuple(name for name in WITH_TOOLS if "stream" in name)


def _predict(llm: LLM, output_cls: type[BaseModel], prompt: PromptTemplate) -> list[Any]:
    return [llm.structured_predict(output_cls, prompt)]


async def _apredict(llm: LLM, output_cls: type[BaseModel], prompt: PromptTemplate) -> list[Any]:
    return [await llm.astructured_predict(output_cls, prompt)]


def _stream_predict(llm: LLM, output_cls: type[BaseModel], prompt: PromptTemplate) -> list[Any]:
    return list(llm.stream_structured_predict(output_cls, prompt))


async def _astream_predict(
    llm: LLM, output_cls: type[BaseModel], prompt: PromptTemplate
) -> list[Any]:
    return [one async for one in await llm.astream_structured_predict(output_cls, prompt)]


PREDICTIONS: Mapping[str, Callable[..., list[Any]]] = {
    "structured_predict": _predict,
    "astructured_predict": _in_a_loop(_apredict),
    "stream_structured_predict": _stream_predict,
    "astream_structured_predict": _in_a_loop(_astream_predict),
}


def text_of(response: Response) -> str:
    """What a response says."""
    if isinstance(response, CompletionResponse):
        return response.text
    return response.message.content or ""


def usage_of(response: Response) -> Mapping[str, Any]:
    """The usage in a response's `raw`, where token counters look for it; empty where it is not."""
    raw = response.raw
    usage = raw.get("usage") if isinstance(raw, Mapping) else getattr(raw, "usage", None)
    if usage is None:
        return {}
    return usage if isinstance(usage, Mapping) else dict(vars(usage))
