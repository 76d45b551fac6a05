"""CPU time of a stretch of code, with the garbage collector's share apart."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # environments of peers may not have it
    from types import TracebackType

    from typing_extensions import Self

_MICROSECONDS = 1e6


class Meter:
    """Measures what runs inside its `with`.

    CPU time is the process's, so that threads count as well. The garbage collector runs as it does
    for a user; what it takes is counted and left out of `cpu`.
    """

    def __init__(self) -> None:
        self._began = self._collecting_since = 0.0
        self._wall_began = 0.0
        self.cpu = self.collector = self.wall = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        gc.callbacks.append(self._collection)
        self._wall_began = time.perf_counter()
        self._began = time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended, wall_ended = time.process_time(), time.perf_counter()
        gc.callbacks.remove(self._collection)
        self.cpu = ended - self._began - self.collector
        self.wall = wall_ended - self._wall_began

    def figures(self, times: int) -> dict[str, float]:
        """Microseconds for each of so many."""
        return {
            "cpu_us": self.cpu / times * _MICROSECONDS,
            "gc_us": self.collector / times * _MICROSECONDS,
            "wall_us": self.wall / times * _MICROSECONDS,
        }

    def _collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            self.collector += time.thread_time() - self._collecting_since
