"""Many calls at once: tasks of an event loop, or threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contestants.asked import Call
from benchmarks.tasks.meter import Meter

Figures = dict[str, float]


def tasks(call: Call, at_once: int, total: int, loop: asyncio.AbstractEventLoop) -> Figures:
    """CPU time per call, calls per second and errors, so many tasks asking over and over."""

    async def one() -> int:
        try:
            await call.ainvoke()
        except Exception:  # noqa: BLE001 - whatever it is, it counts as one
            return 1
        return 0

    async def one_after_another() -> int:
        return sum([await one() for _ in range(total // at_once)])

    async def crowd() -> int:
        return sum(await asyncio.gather(*(one_after_another() for _ in range(at_once))))

    with Meter() as meter:
        errors = loop.run_until_complete(crowd())
    return _result(meter, total, errors)


def threads(
    call: Call, at_once: int, total: int, _: asyncio.AbstractEventLoop | None = None
) -> Figures:
    """CPU time per call, calls per second and errors, so many threads asking over and over."""

    def one() -> int:
        try:
            call.invoke()
        except Exception:  # noqa: BLE001 - whatever it is, it counts as one
            return 1
        return 0

    def one_after_another(_: int) -> int:
        return sum(one() for _ in range(total // at_once))

    with ThreadPoolExecutor(at_once) as pool, Meter() as meter:
        errors = sum(pool.map(one_after_another, range(at_once)))
    return _result(meter, total, errors)


def _result(meter: Meter, total: int, errors: int) -> Figures:
    return {**meter.figures(total), "calls_per_second": total / meter.wall, "errors": errors}
