"""Asks one model small things, and counts what that costs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.reply import Reply, Usage
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient


class Spending:
    """What was spent, as far as the server told."""

    def __init__(self) -> None:
        self.calls = 0
        self.prompt_tokens: int = 0
        self.completion_tokens: int = 0
        self.cost: float | None = None

    def add(self, usage: Usage | None) -> None:
        """Takes in one answer's."""
        if usage is None:
            return
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        if usage.cost is not None:
            self.cost = (self.cost or 0) + usage.cost


class Asker:
    """Asks one model.

    Args:
        client: Who asks.
        model: The model.
        turnstile: Lets so many requests through at once.
        spending: What was spent is added to it.
    """

    def __init__(
        self,
        client: AsyncSunraClient,
        model: str,
        turnstile: asyncio.Semaphore,
        spending: Spending,
    ) -> None:
        self.model = model
        self._client = client
        self._turnstile = turnstile
        self._spending = spending

    async def create(self, content: str | list[dict[str, Any]], **parameters: Any) -> Reply:
        """The answer to one user message, whole."""
        async with self._turnstile:
            self._spending.calls += 1
            reply = await self._client.create(self._request(content, parameters))
        self._spending.add(reply.usage)
        return reply

    async def stream(self, content: str, **parameters: Any) -> tuple[Reply, int]:
        """The answer as a stream, added up, and in how many pieces its words came."""
        fold = ReplyAccumulator()
        pieces = 0
        async with self._turnstile:
            self._spending.calls += 1
            request = self._request(content, parameters)
            async with aclosing(self._client.stream(request, so_far=fold)) as chunks:
                async for chunk in chunks:
                    pieces += any(delta.text or delta.reasoning for delta in chunk.choices)
        reply = fold.reply()
        self._spending.add(reply.usage)
        return reply, pieces

    def _request(
        self, content: str | list[dict[str, Any]], parameters: dict[str, Any]
    ) -> ChatRequest:
        messages = [{"role": "user", "content": content}]
        return ChatRequest(model=self.model, messages=messages, **parameters)
