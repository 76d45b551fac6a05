"""How long one call may still take. The clock is handed in."""

from __future__ import annotations

import math
from collections.abc import Callable

from typing_extensions import Self

from sunra_integrations.errors import TimedOut
from sunra_integrations.transport.timeouts import Timeouts

_ROUNDING = 0.02  # timers may fire a little early


class Patience:
    """Watches one call's total time, the wait for its answer, and the silences within it.

    Args:
        timeouts: The limits, in seconds.
        clock: Gives seconds that only ever grow.
        url: Where the request is sent, for the errors.
    """

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float], url: str = "") -> None:
        self.timeouts = timeouts
        self._url = url
        self._clock = clock
        self._end = _after(clock(), timeouts.total)
        self._silence_ends = math.inf
        self._phase = "read"
        self._received = 0

    def attempt_begins(self) -> None:
        """Before the request is sent, only the total counts."""
        self._phase, self._silence_ends = "read", math.inf

    def request_is_sent(self) -> None:
        """Starts the wait for the response; an incomplete head does not end it."""
        if self._phase == "read" and math.isinf(self._silence_ends):
            self._silence_ends = _after(self._clock(), self.timeouts.read)

    def answer_begins(self) -> None:
        """From now on silence counts."""
        self._phase = "stall"
        self._silence_ends = _after(self._clock(), self.timeouts.stall)

    def time_left(self) -> float:
        """Seconds until the total runs out; infinite where there is none."""
        return self._end - self._clock()

    def left_to_read(self) -> float:
        """Seconds left for the current wait; infinite if there is no limit."""
        return min(self._end, self._silence_ends) - self._clock()

    def left_to_begin(self) -> float:
        """The same for a read, before which the whole request has been sent."""
        self.request_is_sent()
        return self.left_to_read()

    def left_to_write(self) -> float:
        """Seconds for writing a piece of the request; infinite if there is no limit."""
        limit = self.timeouts.write
        return self.time_left() if limit is None else min(limit, self.time_left())

    def run_out(self, received: int) -> TimedOut | None:
        """The timeout that has come, if one has.

        Args:
            received: How much data has come so far; comments are none, so a server that only
                keeps the connection open makes no progress.
        """
        if received != self._received:
            self._received = received
            self._silence_ends = _after(self._clock(), self.timeouts.stall)
        return self.timed_out() if self.left_to_read() < 0 else None

    def timed_out(self, phase: str | None = None, why: str = "") -> TimedOut:
        """The error for a wait that was too long.

        Args:
            phase: Which wait it was: connect, write or pool. By default the one that is under way.
            why: The HTTP library's message.
        """
        phase = "total" if self.time_left() <= _ROUNDING else phase or self._phase
        seconds: float | None = getattr(self.timeouts, phase)
        words = _WORDS[phase].format(
            within="" if seconds is None else f" within {seconds:g} s ({self._setting(phase)})",
            url=f" {self._url}" if self._url else "",
        )
        return TimedOut(f"{words}: {why}." if why else f"{words}.", phase=phase)

    def _setting(self, phase: str) -> str:
        # A `timeout` bounds these waits too, unless another setting says otherwise.
        if phase in {"connect", "write", "stall"}:
            phase = "read" if getattr(self.timeouts, phase) == self.timeouts.read else phase
        return _SETTINGS.get(phase, f"`Timeouts.{phase}`")


_SETTINGS = {"read": "`timeout`", "stall": "`stall_timeout`", "total": "`total_timeout`"}
_WORDS = {
    "connect": "Timed out connecting to{url}{within}",
    "read": "There was no answer from{url}{within}",
    "write": "The request was not taken in by{url}{within}",
    "pool": "There was no free connection to{url}{within}",
    "stall": "There was no more data from{url}{within}, though the connection stayed open",
    "total": "The call did not end{within}",
}


class TimeLeft(float):
    """A timeout for HTTP libraries, with the seconds left at any moment."""

    left: Callable[[], float]

    def __new__(cls, seconds: float, left: Callable[[], float]) -> Self:
        """The seconds at the start, and a function for those that are left later."""
        made = super().__new__(cls, seconds)
        made.left = left
        return made


def _after(now: float, seconds: float | None) -> float:
    return math.inf if seconds is None else now + seconds
