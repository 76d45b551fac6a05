"""Every await of a call ends with the call's time, also while a server sends a byte at a time.

The HTTP libraries bound one read of a socket, and a server that drips an endless head, chunk size
or trailer keeps such reads short for ever. `httpx_transport` does the same for sync calls.
"""

from __future__ import annotations

import asyncio
import math
import sys
from types import TracebackType
from typing import Any

from typing_extensions import Self

from sunra_integrations.transport.patience import Patience


class Bounded:
    """Ends what a task awaits within it when the call's time is up; then raises `TimedOut`.

    It is `asyncio.timeout` for a deadline that moves, and for Python 3.10.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("an await is part of a task")
        self._task = task
        self._cancelled_before = _cancelling(task)
        self._set_timer()
        return self

    async def trace(self, event: str, _: object) -> None:
        """The `trace` extension of httpcore: once the request is sent, the response must begin."""
        if event.endswith("receive_response_headers.started"):
            self._patience.request_is_sent()
            self._set_timer()

    def _set_timer(self) -> None:
        self._stop()
        left = self._patience.left_to_read()
        if not math.isinf(left):
            self._timer = self._loop.call_later(left, self._end)

    def _end(self) -> None:
        self._is_late = True
        self._task.cancel()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if not self._is_late:
            return
        if sys.version_info >= (3, 11):
            self._task.uncancel()
        if kind is asyncio.CancelledError and _cancelling(self._task) <= self._cancelled_before:
            raise self._patience.timed_out()


def _cancelling(task: asyncio.Task[Any]) -> int:
    return task.cancelling() if sys.version_info >= (3, 11) else 0
