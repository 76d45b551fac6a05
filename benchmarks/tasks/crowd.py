"""Many calls at once: tasks of an event loop, or threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contestants.asked import Call
from benchmarks.tasks.meter import Meter

Figures = dict[str, float]


def tasks(call: Call, at_once: int, total: int, loop: asyncio.AbstractEventLoop) -> Figures:
    """CPU time per call, calls per second and errors, so many tasks asking over and over."""
    errors = 0

    async def one_after_another() -> None:
        nonlocal errors
        for _ in range(total // at_once):
            try:
                await call.ainvoke()
            except Exception:  # noqa: BLE001 - whatever it is, it counts as one
                errors += 1

    async def crowd() -> None:
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))

    with Meter() as meter:
        loop.run_until_complete(crowd())
    return _figures(meter, total, errors)


def threads(
    call: Call, at_once: int, total: int, _: asyncio.AbstractEventLoop | None = None
) -> Figures:
    """CPU time per call, calls per second and errors, so many threads asking over and over."""

    def one_after_another(_: int) -> int:
        errors = 0
        for _call in range(total // at_once):
            try:
                call.invoke()
            except Exception:  # noqa: BLE001 - whatever it is, it counts as one
                errors += 1
        return errors

    with ThreadPoolExecutor(at_once) as pool, Meter() as meter:
        errors = sum(pool.map(one_after_another, range(at_once)))
    return _figures(meter, total, errors)


def _figures(meter: Meter, total: int, errors: int) -> Figures:
    return {**meter.figures(total), "calls_per_second": total / meter.wall, "errors": errors}
