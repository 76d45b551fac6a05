"""How tests wait: for something to happen, within a limit that only a failure reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

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


def growing_limits(check: Callable[[float], None], ran_out: type[Exception]) -> None:
    """For a check of a short limit, which a slow machine reaches before the check begins.

    Args:
        check: It multiplies its limits by the number that it is given.
        ran_out: What it raises then, and then alone: only after this it runs again.
    """
    for scale in (1, 5):
        with suppress(ran_out):
            return check(scale)
    return check(25)
