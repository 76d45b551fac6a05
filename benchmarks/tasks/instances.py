"""What it takes to make and to keep many instances."""

from __future__ import annotations

import gc
import ssl
import sys
from collections.abc import Sequence

from benchmarks.contestants.asked import Connect, Wanted
from benchmarks.scenarios import Scenario
from benchmarks.tasks import resident
from benchmarks.tasks.meter import Meter

Figures = dict[str, float]


def equal(connect: Connect, server: str, count: int) -> Figures:
    """So many instances set alike: time of making one, of its first call, memory, clients."""
    wanted = Wanted(Scenario("completion"))
    connect(server, wanted).invoke()
    return _figures(connect, server, [wanted] * count)


def distinct(connect: Connect, server: str, count: int) -> Figures:
    """So many instances, each with a base URL of its own."""
    wanted = [Wanted(Scenario("completion", variant=number + 1)) for number in range(count)]
    connect(server, Wanted(Scenario("completion"))).invoke()
    return _figures(connect, server, wanted)


def _figures(connect: Connect, server: str, wanted: Sequence[Wanted]) -> Figures:
    before, alive_before = resident.now_kb(), _alive()
    with Meter() as making:
        calls = [connect(server, one) for one in wanted]
    with Meter() as asking:
        for call in calls:
            call.invoke()
    grown, alive = resident.now_kb() - before, _alive()
    return {
        "construct_us": making.figures(len(calls))["cpu_us"],
        "first_call_us": asking.figures(len(calls))["cpu_us"],
        "kb": grown / len(calls),
        "clients_added": alive["clients"] - alive_before["clients"],
        "tls_added": alive["tls_contexts"] - alive_before["tls_contexts"],
    }


def _alive() -> Figures:
    found = gc.get_objects()
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    clients = tuple(kind for one in libraries for kind in (one.Client, one.AsyncClient))
    return {
        "clients": sum(isinstance(one, clients) for one in found),
        "tls_contexts": sum(isinstance(one, ssl.SSLContext) for one in found),
    }
