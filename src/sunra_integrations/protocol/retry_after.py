"""How long a server asks to wait, in every form it may say it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The seconds a server asks to wait; None where it does not say or says nonsense.

    Reads `retry-after-ms`, then `Retry-After` in seconds or as an HTTP date. A date is measured
    from the answer's own `Date`, so a client's wrong clock does no harm.

    Args:
        headers: The answer's headers, names in lower case.
        now: Seconds since the epoch, used where the answer has no `Date`.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    until = _epoch(value)
    if until is None:
        return None
    sent = _epoch(headers.get("date"))
    return max(0.0, until - (now if sent is None else sent))


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return max(0.0, seconds) if seconds is not None and math.isfinite(seconds) else None


def _epoch(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
