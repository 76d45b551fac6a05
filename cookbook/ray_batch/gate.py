"""A worker's side of the limiter: whoever waits is asked for in one message."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class BatchStopped(Exception):
    """Nothing is sent any more; rows that were not asked are asked when the batch is run again."""


class Gate:
    """Where the calls of one worker wait to be let through.

    The limiter is asked once for all that wait, not once for each, so that it costs little.

    Args:
        limiter: The handle of the `Limiter` actor.
    """

    def __init__(self, limiter: Any) -> None:
        self._limiter = limiter
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._correction = 0.0

    async def admit(self, tokens: float) -> None:
        """Returns when a call of so many tokens may be sent.

        Args:
            tokens: What the call is expected to take.

        Raises:
            BatchStopped: It may not be sent at all.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, turn))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await turn

    def correct(self, tokens: float) -> None:
        """Counts tokens that a call took beyond what was expected, or fewer if negative."""
        self._correction += tokens

    async def pause(self, seconds: float) -> None:
        """Returns when no worker is let through any more, for so many seconds."""
        await self._limiter.pause.remote(seconds)

    async def stop(self) -> None:
        """Returns when nothing of any worker is let through any more."""
        await self._limiter.stop.remote()

    async def _ask(self) -> None:
        try:
            while self._waiting:
                correction, self._correction = self._correction, 0.0
                expected = [tokens for tokens, _ in self._waiting]
                admitted = await self._limiter.admit.remote(expected, correction)
                for _ in range(admitted or len(self._waiting)):
                    self._release(None if admitted else BatchStopped())
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            while self._waiting:
                self._release(error)

    def _release(self, error: Exception | None) -> None:
        _, turn = self._waiting.popleft()
        if turn.done():  # cancelled while it waited
            return
        if error is None:
            turn.set_result(None)
        else:
            turn.set_exception(error)
