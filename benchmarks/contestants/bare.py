"""What stands below the frameworks: the openai SDK, and httpx alone.

httpx reads the body's bytes and makes nothing of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

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
    """A call of httpx."""

    client: httpx.Client
    async_client: httpx.AsyncClient
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


def httpx_alone(server: str, wanted: Wanted) -> Call:
    """Httpx, on its own transport."""
    return _httpx_call(server, wanted, httpx.AsyncClient(limits=_LIMITS))


def httpx_on_aiohttp(server: str, wanted: Wanted) -> Call:
    """Httpx, on httpx-aiohttp's transport."""
    from httpx_aiohttp import AiohttpTransport

    return _httpx_call(
        server, wanted, httpx.AsyncClient(transport=AiohttpTransport(limits=_LIMITS))
    )


_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


def _httpx_call(server: str, wanted: Wanted, async_client: httpx.AsyncClient) -> Call:
    if wanted.tools:
        raise NotOffered
    headers = {"authorization": f"Bearer {KEY}"}
    async_client.headers.update(headers)
    async_client.timeout = httpx.Timeout(600.0)
    client = httpx.Client(limits=_LIMITS, headers=headers, timeout=600.0)
    url = f"{base_url(server, wanted.scenario)}/chat/completions"
    return HttpxCall(client, async_client, url, _request(wanted))


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
