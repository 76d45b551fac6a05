"""A module as one other module sees it, its `sleep` replaced; the rest of the process sleeps on."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any


class Sleepless:
    """Stands in for `time` or `asyncio` where a test notes the waits and does not spend them."""

    def __init__(self, module: ModuleType, sleep: Callable[..., Any]) -> None:
        self._module = module
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
