"""A token bucket, with the clock handed in: permits that refill steadily."""

from __future__ import annotations

_MINUTE = 60.0


class Bucket:
    """Permits that refill steadily; costs of one never exceed `per_minute` in any 60 seconds.

    Up to one second's worth can be saved up, and is taken off the refill, so that the saved ones
    come out of the same minute. It starts empty: a run that is killed and started again within
    the minute keeps the limit too.

    Args:
        per_minute: How many in any 60 seconds, from 2.
        now: What the clock says, in seconds.

    Raises:
        ValueError: `per_minute` is less than 2.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        if not per_minute >= 2:  # noqa: PLR2004 - one is saved up, so one must be left to refill
            raise ValueError(f"A limit of {per_minute!r} a minute; the rule is: a number from 2.")
        self._capacity = max(1.0, per_minute / _MINUTE)
        self._per_second = (per_minute - self._capacity) / _MINUTE
        self._level = 0.0
        self._at = now

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken; what is larger than the bucket waits until it is full.

        Args:
            cost: How many permits.
            now: What the clock says, in seconds.
        """
        self._refill(now)
        lacking = min(cost, self._capacity) - self._level
        return max(0.0, lacking / self._per_second + max(0.0, self._at - now))

    def take(self, cost: float) -> None:
        """Takes permits, into debt if need be; a negative cost gives some back."""
        self._level = min(self._level - cost, self._capacity)

    def stop_until(self, moment: float) -> None:
        """Empties the bucket and lets nothing flow in until then, so that no burst follows."""
        self._level = min(self._level, 0.0)
        self._at = max(self._at, moment)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._capacity, self._level + (now - self._at) * self._per_second)
            self._at = now
