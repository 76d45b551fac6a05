"""When the next call may be sent, for all workers together; pure, the clock is handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cookbook.ray_batch.bucket import Bucket


@dataclass(frozen=True)
class Limits:
    """What all workers together may send in any 60 seconds.

    Args:
        requests_per_minute: Calls, retries included; None for no limit.
        tokens_per_minute: Tokens of prompts and answers; None for no limit. What a call takes is
            an estimate until its answer is there, so this limit is kept on average.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class Pace:
    """Says how long to wait and counts what was let through.

    Args:
        limits: What may be sent.
        now: What the clock says, in seconds.

    Raises:
        ValueError: A limit is too small to keep.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        def bucket(per_minute: float | None) -> Bucket | None:
            return None if per_minute is None else Bucket(per_minute, now)

        self._requests = bucket(limits.requests_per_minute)
        self._tokens = bucket(limits.tokens_per_minute)
        self._resume = now

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a call of so many tokens may be sent."""
        waits = [self._resume - now, 0.0]
        if self._requests:
            waits.append(self._requests.wait(1, now))
        if self._tokens:
            waits.append(self._tokens.wait(tokens, now))
        return max(waits)

    def admit(self, calls: Sequence[float], now: float) -> int:
        """Lets through as many calls from the front as may be sent now; returns how many.

        Args:
            calls: The tokens that each is expected to take.
            now: What the clock says, in seconds.
        """
        for count, tokens in enumerate(calls):
            if self.wait(tokens, now) > 0:
                return count
            if self._requests:
                self._requests.take(1)
            self.correct(tokens)
        return len(calls)

    def correct(self, tokens: float) -> None:
        """Counts tokens that were spent beyond an estimate, or fewer if negative."""
        if self._tokens:
            self._tokens.take(tokens)

    def pause(self, seconds: float, now: float) -> None:
        """Lets nothing through for so long; a shorter pause does not end a longer one."""
        self._resume = max(self._resume, now + seconds)
        for bucket in (self._requests, self._tokens):
            if bucket:
                bucket.stop_until(self._resume)

    def paused(self, now: float) -> float:
        """Seconds that are left of a pause; 0 if there is none."""
        return max(0.0, self._resume - now)
