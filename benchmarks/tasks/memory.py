"""Memory of one call: its peak over what was resident before it."""

from __future__ import annotations

import tracemalloc

from benchmarks.contestants.asked import IMAGE_BYTES, Call
from benchmarks.tasks import resident
from benchmarks.tasks.meter import Meter

Figures = dict[str, float]


def stream(call: Call, events: int) -> Figures:
    """Peak of a stream whose chunks are dropped, and CPU time per event."""
    before = resident.now_kb()
    resident.forget_peak()
    with Meter() as meter:
        for _piece in call.stream():
            pass
    return {**meter.figures(events), "peak_kb": resident.peak_kb() - before}


def invoke(call: Call, _: int = 0) -> Figures:
    """Peak of a call; also in copies of the image, and as Python's own allocator counts them."""
    before = resident.now_kb()
    resident.forget_peak()
    call.invoke()
    peak = resident.peak_kb() - before
    resident.now_kb()
    tracemalloc.start()
    call.invoke()
    _, traced = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    copies = {"copies": peak * 1024 / IMAGE_BYTES, "traced_copies": traced / IMAGE_BYTES}
    return {"peak_kb": peak, **copies}
