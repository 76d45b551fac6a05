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

from sunra_integrations.transport.deadline import Patience


class Bounded:
    """Ends what a task awaits within it when the call's time is up; then raises `TimedOut`.

    It is `asyncio.timeout` for a deadline that moves, and for Python 3.10.

    Args:
        patience: The call's time.
        again: Whether it is entered again and again, as for each piece of a body. Then its timer
            goes on in between, which is cheaper, and `stop` ends it.
    """

    def __init__(self, patience: Patience, *, again: bool = False) -> None:
        self._patience = patience
        self._again = again
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._cancelled_before = 0
        self._is_late = False

    def __enter__(self) -> Self:
        self._waiting = asyncio.current_task()
        if self._waiting is None:
            raise AssertionError("an await is part of a task")
        self._cancelled_before = _cancelling(self._waiting)
        if self._timer is None:
            self._set_timer()
        return self

    async def trace(self, event: str, _: object) -> None:
        """The `trace` extension of httpcore: once the request is sent, the response must begin."""
        if event.endswith("receive_response_headers.started"):
            self._patience.request_is_sent()
            self._set_timer()

    def stop(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self.stop()
        left = self._patience.left_to_read()
        if not math.isinf(left):
            self._timer = self._loop.call_later(left, self._end)

    def _end(self) -> None:
        self._timer = None
        if self._patience.left_to_read() > 0:  # data has come since the timer was set
            self._set_timer()
        elif self._waiting is not None:
            self._is_late = True
            self._waiting.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._again:
            self.stop()
        task, self._waiting = self._waiting, None
        if task is None or not self._is_late:
            return
        self._is_late = False
        if sys.version_info >= (3, 11):
            task.uncancel()
        if kind is asyncio.CancelledError and _cancelling(task) <= self._cancelled_before:
            raise self._patience.timed_out()


def _cancelling(task: asyncio.Task[Any]) -> int:
    if sys.version_info >= (3, 11):
        return task.cancelling()
    return 0
