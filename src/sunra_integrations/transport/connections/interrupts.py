"""Waits that Ctrl-C can interrupt.

On Windows, Ctrl-C does not interrupt a wait for a socket, nor before Python 3.14 one for a lock
(https://github.com/python/cpython/issues/80116, https://github.com/python/cpython/issues/125541).
So both wait in short steps there.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator

STEP: float | None = 0.2 if sys.platform == "win32" else None
"""Seconds between checks for an interrupt. None if interrupts end any wait."""


def steps(timeout: float | None) -> Iterator[float | None]:
    """Yields consecutive waits that add up to a timeout.

    Args:
        timeout: Seconds. None waits without a limit.
    """
    if STEP is None or (timeout is not None and timeout <= STEP):
        yield timeout
        return
    end = math.inf if timeout is None else time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        yield min(STEP, left)
