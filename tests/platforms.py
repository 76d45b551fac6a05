"""Marks for tests of what only some platforms have."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]

_ENOUGH = 4096

_IS_POSIX = hasattr(os, "fork")

signals = pytest.mark.skipif(not _IS_POSIX, reason="Ctrl-C is sent to a program as a POSIX signal")
terminals = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="this platform has no pseudo-terminals"
)
forks = pytest.mark.skipif(not _IS_POSIX, reason="this platform cannot fork a process")
modes = pytest.mark.skipif(not _IS_POSIX, reason="files have no POSIX modes here")
shells = pytest.mark.skipif(not _IS_POSIX, reason="the command is for a POSIX shell")
pipes = pytest.mark.skipif(not _IS_POSIX, reason="`select` watches pipes on POSIX alone")
descriptors = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone behaves like this")


def raise_limit_of_open_files() -> None:
    """macOS begins with 256, of which a thousand connections need more."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < _ENOUGH:
            wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_open_files() -> float:
    """How many files and sockets a process may have open."""
    if resource is None:
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def open_descriptors() -> int:
    """How many files and sockets this process has open; for tests marked `descriptors`."""
    return len(list(Path("/proc/self/fd").iterdir()))
