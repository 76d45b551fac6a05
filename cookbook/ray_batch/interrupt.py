"""Ctrl-C that loses nothing: what is open is finished and written before the batch ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) calls `stop`, a second one acts as it would have before.

    In a thread other than the main one, where signals cannot be handled, it does nothing.

    Args:
        stop: Called from a thread of its own, as what the signal interrupts may hold locks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def first(_number: int, _frame: FrameType | None) -> None:
        restore()
        sys.stderr.write(
            "\nNothing more is sent; what is open is finished. Once more to give up.\n"
        )
        threading.Thread(target=stop, name="stop-the-batch", daemon=True).start()

    for number in _SIGNALS:
        signal.signal(number, first)
    try:
        yield
    finally:
        restore()
