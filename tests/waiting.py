"""How tests wait: for something to happen, within a limit that only a failure reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from types import TracebackType

DEADLINE = 120.0
"""Seconds to wait for what must happen. A slow machine stays well below it."""

_PAUSE = 0.005


def until(condition: Callable[[], object]) -> None:
    """Returns as soon as the condition is true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        time.sleep(_PAUSE)


async def until_async(condition: Callable[[], object]) -> None:
    """The same, while the event loop goes on."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        await asyncio.sleep(_PAUSE)


class Attempt:
    """One run of a check. A failure counts only if it is the last."""

    def __init__(self, scale: float, *, is_last: bool) -> None:
        self._scale, self._is_last = scale, is_last
        self.passed = False

    def __enter__(self) -> float:
        return self._scale

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.passed = error is None
        return isinstance(error, Exception) and not self._is_last


def growing_limits() -> Iterator[Attempt]:
    """For a check of short limits: if this machine is too slow for them, they grow.

    ```python
    for attempt in growing_limits():
        with attempt as scale:
            …  # limits of seconds, each multiplied by `scale`
    ```
    """
    scales = (1, 5, 25)
    for scale in scales:
        attempt = Attempt(scale, is_last=scale == scales[-1])
        yield attempt
        if attempt.passed:
            return
