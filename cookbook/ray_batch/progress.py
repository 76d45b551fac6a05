"""How a batch is getting on, in one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_EVERY = 10.0
_EVERY_ON_A_TERMINAL = 0.5


@dataclass
class Progress:
    """Counts rows and says, from time to time, how many, how fast, and when all will be done.

    Args:
        total: All rows.
        done: Rows that were there when it began.
        paused: Says how many seconds are left of a pause; asked while the batch runs.
    """

    total: int
    done: int
    paused: Callable[[], float] = lambda: 0.0
    failed: int = 0
    calls: int = 0
    tokens: int = 0
    _began: float = field(default_factory=time.monotonic)
    _first: tuple[float, int] | None = None
    _said: float = 0.0
    _new: int = 0

    def add(self, *, rows: int, failed: int, calls: int, tokens: int) -> None:
        """Counts a chunk that is done and, if it is time, says how things are."""
        self._new += rows
        self.failed += failed
        self.calls += calls
        self.tokens += tokens
        terminal = sys.stderr.isatty()
        now = time.monotonic()
        self._first = self._first or (now, rows)
        if now - self._said >= (_EVERY_ON_A_TERMINAL if terminal else _EVERY):
            self._said = now
            pause = self.paused()
            line = f"{self}, paused for {_clock(pause)}" if pause else str(self)
            sys.stderr.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
            sys.stderr.flush()

    def end(self) -> None:
        """Says how things are, for the last time."""
        sys.stderr.write(f"\r\x1b[K{self}\n" if sys.stderr.isatty() else f"{self}\n")

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Rows a second since the first ones came, as workers take some seconds to start."""
        if self._first is None:
            return 0.0
        moment, rows = self._first
        return (self._new - rows) / max(time.monotonic() - moment, 1e-9)

    def __str__(self) -> str:
        there = self.done + self._new
        told = [f"{there:,} of {self.total:,} rows"]
        if rate := self.rate:
            told.append(f"{rate:,.0f}/s")
            if there < self.total:
                told.append(f"{_clock((self.total - there) / rate)} left")
        if self.failed:
            told.append(f"{self.failed:,} failed")
        told.append(f"{self.calls:,} calls, {self.tokens:,} tokens")
        return ", ".join(told)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
