"""How many examples a property is tried on: `make properties` asks for many times the usual."""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """The usual number, times the environment's `EXAMPLES_TIMES`."""
    return usual * int(os.environ.get("EXAMPLES_TIMES") or 1)
