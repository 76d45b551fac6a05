"""How long one call may still take. The clock is handed in."""

from __future__ import annotations

import math
from collections.abc import Callable

from sunra_integrations.errors import TimedOut
from sunra_integrations.transport.settings import Timeouts


class Patience:
    """Watches one call's total time and, once its answer has begun, its silences.

    Args:
        timeouts: The limits, in seconds.
        clock: Gives seconds that only ever grow.
    """

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float]) -> None:
        self._timeouts = timeouts
        self._clock = clock
        now = clock()
        self._end = math.inf if timeouts.total is None else now + timeouts.total
        self._stall = math.inf if timeouts.stall is None else timeouts.stall
        self._received = 0
        self._last_progress = now

    def time_left(self) -> float:
        """Seconds until the total runs out; infinite where there is none."""
        return self._end - self._clock()

    def answer_begins(self) -> None:
        """From now on silence counts."""
        self._last_progress = self._clock()

    def run_out(self, received: int) -> TimedOut | None:
        """The timeout that has come, if one has.

        Args:
            received: How much data has come so far; comments are none, so a server that only
                keeps the connection open makes no progress.
        """
        now = self._clock()
        if now > self._end:
            return TimedOut(
                f"The call took longer than its {self._timeouts.total} s in all.", phase="total"
            )
        if received != self._received:
            self._received = received
            self._last_progress = now
        elif now - self._last_progress > self._stall:
            return TimedOut(
                f"No data came for {self._timeouts.stall} s, though the connection stayed open.",
                phase="stall",
            )
        return None
