"""One small Ray actor that all workers ask before they send."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray

from cookbook.ray_batch.pace import Limits, Pace

_CALLERS = 10_000
"""Requests that may wait in the actor at once: one a worker, and pauses that must not queue."""


class Limiter:
    """Lets calls through at a rate, first come, first served, and pauses them all when told to.

    It holds nothing but levels: one that dies is started again, empty, and lets no more through.

    Args:
        limits: What all workers together may send.
    """

    def __init__(self, limits: Limits) -> None:
        self._pace = Pace(limits, time.monotonic())
        self._turn = asyncio.Lock()
        self._end = asyncio.Event()

    async def admit(self, calls: Sequence[float], correction: float = 0.0) -> int:
        """Waits until the first of these calls may be sent; returns how many from the front may be.

        None of them, 0, means that nothing is to be sent any more.

        Args:
            calls: The tokens that each call is expected to take.
            correction: Tokens that earlier calls took beyond what was expected of them.
        """
        self._pace.correct(correction)
        async with self._turn:
            while not self._end.is_set():
                if admitted := self._pace.admit(calls, time.monotonic()):
                    return admitted
                with suppress(asyncio.TimeoutError):
                    wait = self._pace.wait(calls[0], time.monotonic())
                    await asyncio.wait_for(self._end.wait(), wait)
            return 0

    async def pause(self, seconds: float) -> None:
        """Lets no call of any worker through for so long."""
        self._pace.pause(seconds, time.monotonic())

    async def stop(self) -> None:
        """Lets nothing through any more: what is open is finished, the rest waits for a rerun."""
        self._end.set()

    async def paused(self) -> float:
        """Seconds that are left of a pause; 0 if there is none."""
        return self._pace.paused(time.monotonic())


@contextmanager
def limiting(limits: Limits, batch: str) -> Iterator[Any]:
    """The handle of a limiter that lives meanwhile, under a name that tells its batch.

    Args:
        limits: What all workers together may send.
        batch: The name of the batch.

    Raises:
        ValueError: A limit cannot be kept.
    """
    Pace(limits, 0.0)  # told here, not in a worker's log
    actor = ray.remote(Limiter).options(
        name=f"sunra-limiter-{batch}-{uuid.uuid4().hex[:8]}",
        num_cpus=0,
        max_concurrency=_CALLERS,
        max_restarts=-1,
        max_task_retries=-1,
    )
    handle: Any = actor.remote(limits)
    try:
        yield handle
    finally:
        ray.kill(handle)
