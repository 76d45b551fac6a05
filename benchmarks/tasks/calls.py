"""Calls one after another: whole answers, streams, native events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from benchmarks.contestants.asked import Call
from benchmarks.tasks.meter import Meter

Figures = dict[str, float]


def invoke(call: Call, times: int) -> Figures:
    """CPU time per call."""
    with Meter() as meter:
        for _ in range(times):
            call.invoke()
    return meter.figures(times)


def ainvoke(call: Call, times: int, loop: asyncio.AbstractEventLoop) -> Figures:
    """CPU time per call, async."""

    async def calls() -> None:
        for _ in range(times):
            await call.ainvoke()

    with Meter() as meter:
        loop.run_until_complete(calls())
    return meter.figures(times)


def stream(make: Callable[[], Iterable[Any]], times: int, events: int) -> Figures:
    """CPU time per event of the wire; what comes is dropped at once."""
    with Meter() as meter:
        for _ in range(times):
            for _piece in make():
                pass
    return meter.figures(times * events)


def astream(
    make: Callable[[], AsyncIterable[Any]],
    times: int,
    events: int,
    loop: asyncio.AbstractEventLoop,
) -> Figures:
    """CPU time per event of the wire, async."""

    async def streams() -> None:
        for _ in range(times):
            async for _piece in make():
                pass

    with Meter() as meter:
        loop.run_until_complete(streams())
    return meter.figures(times * events)
