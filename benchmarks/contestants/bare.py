"""Below the frameworks: the openai SDK, and HTTP libraries that read a body and discard it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.contestants.asked import (
    HISTORY_MESSAGES,
    KEY,
    PROMPT,
    Call,
    Input,
    NotOffered,
    Wanted,
    base_url,
    image_text,
)
from benchmarks.scenarios import MODEL


@dataclass
class OpenAICall:
    """A call of the openai SDK."""

    client: Any
    async_client: Any
    request: dict[str, Any]

    def invoke(self) -> Any:
        """A `ChatCompletion`."""
        return self.client.chat.completions.create(**self.request)

    async def ainvoke(self) -> Any:
        """A `ChatCompletion`."""
        return await self.async_client.chat.completions.create(**self.request)

    def stream(self) -> Iterator[Any]:
        """`ChatCompletionChunk`s."""
        yield from self.client.chat.completions.create(**self.request, **_STREAMED)

    async def astream(self) -> AsyncIterator[Any]:
        """`ChatCompletionChunk`s."""
        completions = self.async_client.chat.completions
        async for chunk in await completions.create(**self.request, **_STREAMED):
            yield chunk

    def events(self) -> Iterator[Any]:
        """It has none."""
        raise NotOffered

    def aevents(self) -> AsyncIterator[Any]:
        """It has none."""
        raise NotOffered

    def text(self, piece: Any) -> str:
        """The text of a chunk."""
        return (piece.choices[0].delta.content or "") if piece.choices else ""


@dataclass
class HttpxCall:
    """A call of httpx or httpx2."""

    client: Any
    async_client: Any
    url: str
    request: dict[str, Any]

    def invoke(self) -> Any:
        """The body."""
        return self.client.post(self.url, json=self.request).content

    async def ainvoke(self) -> Any:
        """The body."""
        return (await self.async_client.post(self.url, json=self.request)).content

    def stream(self) -> Iterator[Any]:
        """Pieces of the body."""
        body = {**self.request, **_STREAMED}
        with self.client.stream("POST", self.url, json=body) as response:
            yield from response.iter_bytes()

    async def astream(self) -> AsyncIterator[Any]:
        """Pieces of the body."""
        body = {**self.request, **_STREAMED}
        async with self.async_client.stream("POST", self.url, json=body) as response:
            async for piece in response.aiter_bytes():
                yield piece

    def events(self) -> Iterator[Any]:
        """It has none."""
        raise NotOffered

    def aevents(self) -> AsyncIterator[Any]:
        """It has none."""
        raise NotOffered

    def text(self, piece: Any) -> str:
        """The content of an event, cut out of its bytes."""
        _, found, rest = piece.rpartition(b'"content":"')
        return rest.partition(b'"')[0].decode() if found else ""


_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def openai(server: str, wanted: Wanted) -> Call:
    """The openai SDK."""
    from openai import AsyncOpenAI, OpenAI

    url = base_url(server, wanted.scenario)
    clients = (OpenAI(api_key=KEY, base_url=url), AsyncOpenAI(api_key=KEY, base_url=url))
    return OpenAICall(*clients, _request(wanted))


def httpx(server: str, wanted: Wanted) -> Call:
    """The client of httpx."""
    return _httpx_call(server, wanted, "httpx")


def httpx2(server: str, wanted: Wanted) -> Call:
    """The client of httpx2."""
    return _httpx_call(server, wanted, "httpx2")


def httpx_on_aiohttp(server: str, wanted: Wanted) -> Call:
    """The client of httpx, with the transport of httpx-aiohttp."""
    from httpx_aiohttp import AiohttpTransport

    return _httpx_call(server, wanted, "httpx", AiohttpTransport)


def _httpx_call(server: str, wanted: Wanted, library: str, transport: Any = None) -> Call:
    if wanted.tools:
        raise NotOffered
    module = import_module(library)
    limits = module.Limits(max_connections=1000, max_keepalive_connections=100)
    settings = {"headers": {"authorization": f"Bearer {KEY}"}, "timeout": 600.0}
    carrier = {"transport": transport(limits=limits)} if transport else {"limits": limits}
    url = f"{base_url(server, wanted.scenario)}/chat/completions"
    return HttpxCall(
        module.Client(limits=limits, **settings),
        module.AsyncClient(**carrier, **settings),
        url,
        _request(wanted),
    )


def _request(wanted: Wanted) -> dict[str, Any]:
    if wanted.tools:
        raise NotOffered
    request: dict[str, Any] = {"model": MODEL, "messages": _messages(wanted.prompt)}
    if wanted.scenario.kind == "logprobs":
        request.update(logprobs=True, top_logprobs=5)
    return request


def _messages(prompt: Input) -> list[dict[str, Any]]:
    last: dict[str, Any] = {"role": "user", "content": PROMPT}
    match prompt:
        case "short":
            return [last]
        case "history":
            roles = ("user", "assistant")
            earlier = (
                {"role": roles[n % 2], "content": f"{PROMPT} ({n})"}
                for n in range(HISTORY_MESSAGES - 1)
            )
            return [*earlier, last]
        case "image":
            url = "data:image/png;base64," + image_text()
            image = {"type": "image_url", "image_url": {"url": url}}
            return [{"role": "user", "content": [{"type": "text", "text": PROMPT}, image]}]
