"""How long a call may still take, and a context that ends its awaits in time.

The HTTP libraries bound one read of a socket. A server that sends an endless head, chunk size or
trailer byte by byte keeps such reads short for ever, so each wait is bounded by the call's deadline
as well: here for async calls, in `connections.httpx_transport` for sync ones.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from typing_extensions import Self

from sunra_integrations.errors import TimedOut
from sunra_integrations.transport.timeouts import Timeouts

_ROUNDING = 0.02  # timers may fire a little early


class Deadline:
    """One call's total time, its wait for the response, and the silences within the response.

    Args:
        timeouts: The limits, in seconds.
        clock: A monotonic clock, in seconds.
        url: Where the request is sent, for error messages.
    """

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float], url: str = "") -> None:
        self.timeouts = timeouts
        self.url = url
        self._clock = clock
        self._end = _after(clock(), timeouts.total)
        self._silence_ends = math.inf
        self._phase = "read"
        self._received = 0

    def attempt_started(self) -> None:
        """Until the request is sent, only the total time counts."""
        self._phase, self._silence_ends = "read", math.inf

    def request_sent(self) -> None:
        """Starts the wait for the response. An incomplete head does not end it."""
        if self._phase == "read" and math.isinf(self._silence_ends):
            self._silence_ends = _after(self._clock(), self.timeouts.read)

    def response_started(self) -> None:
        """From here on, silences within the body count."""
        self._phase = "stall"
        self._silence_ends = _after(self._clock(), self.timeouts.stall)

    def time_left(self) -> float:
        """Seconds until the total time is over; infinite without a limit."""
        return self._end - self._clock()

    def time_left_to_read(self) -> float:
        """Seconds left for the current wait; infinite without a limit."""
        return min(self._end, self._silence_ends) - self._clock()

    def time_left_for_head(self) -> float:
        """Seconds left to read the head. The first read comes after the request was sent."""
        self.request_sent()
        return self.time_left_to_read()

    def time_left_to_write(self) -> float:
        """Seconds left to write a part of the request; infinite without a limit."""
        limit = self.timeouts.write
        return self.time_left() if limit is None else min(limit, self.time_left())

    def expired(self, received: int) -> TimedOut | None:
        """The error of the timeout that was reached, if any.

        Args:
            received: Data received so far. Comments do not count as data, so a server that only
                sends keep-alive comments makes no progress.
        """
        if received != self._received:
            self._received = received
            self._silence_ends = _after(self._clock(), self.timeouts.stall)
        return self.timed_out() if self.time_left_to_read() < 0 else None

    def timed_out(self, phase: str | None = None, why: str = "") -> TimedOut:
        """The error for a wait that was too long.

        Args:
            phase: The wait: connect, write or pool. Defaults to the current one.
            why: The HTTP library's message.
        """
        phase = "total" if self.time_left() <= _ROUNDING else phase or self._phase
        seconds: float | None = getattr(self.timeouts, phase)
        message = _MESSAGES[phase].format(
            within="" if seconds is None else f" within {seconds:g} s ({self._setting(phase)})",
            url=f" {self.url}" if self.url else "",
        )
        return TimedOut(f"{message}: {why}." if why else f"{message}.", phase=phase)

    def _setting(self, phase: str) -> str:
        # `timeout` bounds these waits too, unless another setting overrides it.
        if phase in {"connect", "write", "stall"}:
            phase = "read" if getattr(self.timeouts, phase) == self.timeouts.read else phase
        return _SETTINGS.get(phase, f"`Timeouts.{phase}`")


_SETTINGS = {"read": "`timeout`", "stall": "`stall_timeout`", "total": "`total_timeout`"}
_MESSAGES = {
    "connect": "Timed out connecting to{url}{within}",
    "read": "Timed out waiting for a response from{url}{within}",
    "write": "Timed out sending the request to{url}{within}",
    "pool": "Timed out waiting for a free connection to{url}{within}",
    "stall": "Timed out waiting for more data from{url}{within}; the connection stayed open",
    "total": "The call did not finish{within}",
}


class LiveTimeout(float):
    """A timeout for HTTP libraries, with a function for the seconds that are left later."""

    left: Callable[[], float]

    def __new__(cls, seconds: float, left: Callable[[], float]) -> Self:
        """The seconds at the start, and a function for those that are left later."""
        made = super().__new__(cls, seconds)
        made.left = left
        return made


def _after(now: float, seconds: float | None) -> float:
    return math.inf if seconds is None else now + seconds


class AsyncTimeout:
    """Cancels what a task awaits within it when the deadline is reached; then raises `TimedOut`.

    It is `asyncio.timeout` for a deadline that moves, and for Python 3.10.

    Args:
        deadline: The call's deadline.
        reentered: Whether it is entered many times, such as for each block of a body. The timer
            then keeps running in between, which is cheaper, until `stop`.
    """

    def __init__(self, deadline: Deadline, *, reentered: bool = False) -> None:
        self._deadline = deadline
        self._reentered = reentered
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._cancelled_before = 0
        self._is_late = False

    def __enter__(self) -> Self:
        self._waiting = asyncio.current_task()
        if self._waiting is None:
            raise AssertionError("AsyncTimeout must be entered in a task")
        self._cancelled_before = _cancelling(self._waiting)
        if self._timer is None:
            self._set_timer()
        return self

    async def trace(self, event: str, _: object) -> None:
        """The `trace` extension of httpcore: starts the wait for the response."""
        if event.endswith("receive_response_headers.started"):
            self._deadline.request_sent()
            self._set_timer()

    def stop(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self.stop()
        left = self._deadline.time_left_to_read()
        if not math.isinf(left):
            self._timer = self._loop.call_later(left, self._end)

    def _end(self) -> None:
        self._timer = None
        if self._deadline.time_left_to_read() > 0:  # data arrived after the timer was set
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
        if not self._reentered:
            self.stop()
        task, self._waiting = self._waiting, None
        if task is None or not self._is_late:
            return
        self._is_late = False
        if sys.version_info >= (3, 11):
            task.uncancel()
        if kind is asyncio.CancelledError and _cancelling(task) <= self._cancelled_before:
            raise self._deadline.timed_out()


def _cancelling(task: asyncio.Task[Any]) -> int:
    if sys.version_info >= (3, 11):
        return task.cancelling()
    return 0
