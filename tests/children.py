"""Programs that tests start: each has a deadline, and none outlives its test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.waiting import DEADLINE

IS_POSIX = hasattr(os, "killpg")


def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[Any]:
    """Runs a program to its end; what it prints is text unless `encoding` is None."""
    known = {"capture_output": True, "encoding": "utf-8", "timeout": DEADLINE, "check": False}
    return subprocess.run(command, **{**known, **more})  # noqa: PLW1510, S603 - the tests' own


def python(*arguments: str, **more: Any) -> subprocess.CompletedProcess[Any]:
    """Runs this Python with these arguments to its end."""
    return run([sys.executable, *arguments], **more)


@contextmanager
def started(
    command: list[str], *, deadline: float = DEADLINE, **more: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A program that runs beside the test; at the end it is killed with all that it started.

    At the deadline it is killed too, which ends a read of its output.
    """
    # A session of its own: what it started is found by its group.
    process = subprocess.Popen(command, start_new_session=IS_POSIX, **more)  # noqa: S603 - the tests' own
    watch = threading.Timer(deadline, _kill, (process,))
    watch.daemon = True
    watch.start()
    try:
        yield process
    finally:
        watch.cancel()
        _kill(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):  # a pipe that nobody reads any more
                    stream.close()
        process.wait(DEADLINE)


def _kill(process: subprocess.Popen[Any]) -> None:
    if not IS_POSIX:
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):  # gone; PermissionError is macOS's word
        os.killpg(process.pid, signal.SIGKILL)
