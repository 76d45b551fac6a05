"""A limit on the work of one request: exponential schemas are refused before they hang a test.

Filling a schema and validating against it can take exponentially many steps (`anyOf` of two
references to an `anyOf` of two references, and so on), so the steps are counted.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

MOST_STEPS = 30_000
"""Some two seconds. A schema of a thousand required properties takes two thousand steps."""

_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)


class TooMuchWork(Exception):
    """A request takes more than `MOST_STEPS`."""


@contextmanager
def bounded() -> Generator[None, None, None]:
    """Counts the steps taken within; `spend` raises `TooMuchWork` after the last one."""
    token = _left.set([MOST_STEPS])
    try:
        yield
    finally:
        _left.reset(token)


def spend(steps: int = 1) -> None:
    """Counts steps, if a count is active."""
    left = _left.get()
    if left is None:
        return
    left[0] -= steps
    if left[0] < 0:
        raise TooMuchWork
