"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        check: Its name.
        status: `ok`; `warn` where calls may work all the same; `fail` where they cannot.
        found: What was seen.
        mend: What to do about it; None where nothing is wrong.
    """

    check: str
    status: Status
    found: str
    mend: str | None = None


def ok(check: str, found: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check, "ok", found)


def warn(check: str, found: str, mend: str) -> Finding:
    """Calls may work all the same."""
    return Finding(check, "warn", found, mend)


def fail(check: str, found: str, mend: str) -> Finding:
    """No call can work."""
    return Finding(check, "fail", found, mend)
