"""Waits that Ctrl-C can interrupt.

On Windows it interrupts no wait for a socket, and before Python 3.14 none for a lock
(https://github.com/python/cpython/issues/80116), so both wait in short steps there.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator

STEP: float | None = 0.2 if sys.platform == "win32" else None
"""Seconds after which Python looks for an interrupt; None where interrupts end any wait."""


def steps(timeout: float | None) -> Iterator[float | None]:
    """The waits, one after the other, that add up to a timeout.

    Args:
        timeout: Seconds; None waits without a limit.
    """
    if STEP is None or (timeout is not None and timeout <= STEP):
        yield timeout
        return
    end = math.inf if timeout is None else time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        yield min(STEP, left)
