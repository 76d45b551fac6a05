"""The eight ways to ask, each as one coroutine, so that a test can be held to all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from sunra_integrations.llama_index import Sunra

Response = ChatResponse | CompletionResponse
Way = Callable[..., Awaitable[Response]]

ASKED = [ChatMessage("Hi")]


async def _chat(llm: Sunra, **kwargs: Any) -> Response:
    return llm.chat(ASKED, **kwargs)


async def _achat(llm: Sunra, **kwargs: Any) -> Response:
    return await llm.achat(ASKED, **kwargs)


async def _stream_chat(llm: Sunra, **kwargs: Any) -> Response:
    return list(llm.stream_chat(ASKED, **kwargs))[-1]


async def _astream_chat(llm: Sunra, **kwargs: Any) -> Response:
    return [response async for response in await llm.astream_chat(ASKED, **kwargs)][-1]


async def _complete(llm: Sunra, **kwargs: Any) -> Response:
    return llm.complete("Hi", **kwargs)


async def _acomplete(llm: Sunra, **kwargs: Any) -> Response:
    return await llm.acomplete("Hi", **kwargs)


async def _stream_complete(llm: Sunra, **kwargs: Any) -> Response:
    return list(llm.stream_complete("Hi", **kwargs))[-1]


async def _astream_complete(llm: Sunra, **kwargs: Any) -> Response:
    return [response async for response in await llm.astream_complete("Hi", **kwargs)][-1]


WHOLE: dict[str, Way] = {
    "chat": _chat,
    "achat": _achat,
    "complete": _complete,
    "acomplete": _acomplete,
}
STREAMED: dict[str, Way] = {
    "stream_chat": _stream_chat,
    "astream_chat": _astream_chat,
    "stream_complete": _stream_complete,
    "astream_complete": _astream_complete,
}
WAYS: dict[str, Way] = {**WHOLE, **STREAMED}


def text_of(response: Response) -> str | None:
    return response.text if isinstance(response, CompletionResponse) else response.message.content
