"""How long things take to arrive. Needs a clock that two processes share, as Linux's is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from statistics import median

from benchmarks.contestants.asked import Call

Figures = dict[str, float]
_NANOSECONDS_IN_MICROSECOND = 1000


def stream(call: Call, times: int) -> Figures:
    """Call until the request is whole at the server; flush of an event until the user holds it."""
    return _medians(_one(call) for _ in range(times))


def astream(call: Call, times: int, loop: asyncio.AbstractEventLoop) -> Figures:
    """The same, async."""
    return _medians([loop.run_until_complete(_one_async(call)) for _ in range(times)])


def _one(call: Call) -> tuple[int, list[tuple[int, int]]]:
    began = time.monotonic_ns()
    held = []
    for piece in call.stream():
        now = time.monotonic_ns()
        text = call.text(piece)
        if text:
            held.append((int(text), now))
    return began, held


async def _one_async(call: Call) -> tuple[int, list[tuple[int, int]]]:
    began = time.monotonic_ns()
    held = []
    async for piece in call.astream():
        now = time.monotonic_ns()
        text = call.text(piece)
        if text:
            held.append((int(text), now))
    return began, held


def _medians(streams: Iterable[tuple[int, list[tuple[int, int]]]]) -> Figures:
    """The first event of a stream tells when the request was whole, the others their flush."""
    whole: list[int] = []
    flushes: list[int] = []
    for began, held in streams:
        whole.append(held[0][0] - began)
        flushes += [arrived - flushed for flushed, arrived in held[1:]]
    return {
        "whole_us": median(whole) / _NANOSECONDS_IN_MICROSECOND,
        "flush_us": median(flushes) / _NANOSECONDS_IN_MICROSECOND,
    }
