"""A module as one other module sees it, some of its functions replaced.

`monkeypatch.setattr("package.module.time.sleep", …)` replaces `sleep` for the whole process: a
server in a thread, an event loop and pytest itself would no longer sleep either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sunra_integrations.transport import client


class ModuleStandIn:
    """Has what `module` has, but for the functions given here."""

    def __init__(self, module: Any, **replaced: Callable[..., Any]) -> None:
        self._module = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def without_waits(monkeypatch) -> list[float]:
    """The waits between attempts, noted and not spent."""
    waited: list[float] = []

    async def note(seconds, *_):
        waited.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(client, "time", ModuleStandIn(client.time, sleep=waited.append))
    monkeypatch.setattr(client, "asyncio", ModuleStandIn(client.asyncio, sleep=note))
    return waited


def with_clock(monkeypatch, now: Callable[[], float]) -> None:
    """The clock that limits are measured by."""
    monkeypatch.setattr(client, "time", ModuleStandIn(client.time, monotonic=now))
