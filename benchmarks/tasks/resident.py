"""Memory of this process, as Linux counts it."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


def now_kb() -> float:
    """Resident now, without what was freed and is only kept for later."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
    return _field("VmRSS")


def forget_peak() -> None:
    """Begins a new peak."""
    _CLEAR.write_text(_FORGET_PEAK, encoding="ascii")


def peak_kb() -> float:
    """The most that was resident since the peak was forgotten."""
    return _field("VmHWM")


def _field(name: str) -> float:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    raise LookupError(name)
