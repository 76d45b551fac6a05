"""When to try again, and after how long. Pure: jitter is handed in, and nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass

from sunra_integrations.errors import InvalidParameter, SunraError

_JITTER_SHARE = 0.25


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently to try again, all waits in seconds.

    Args:
        max_retries: Tries after the first one; 0 turns retries off.
        first_wait: The wait before the first retry; each later one is twice as long.
        longest_backoff: No wait of our own choosing is longer than this.
        longest_wait: If a server asks for a longer wait, the error is raised immediately, with the
            wait in `retry_after`.

    Raises:
        InvalidParameter: A number is negative.
    """

    max_retries: int = 2
    first_wait: float = 0.5
    longest_backoff: float = 8.0
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, (int, float)) or not value >= 0:
                raise InvalidParameter(
                    f"`{name}` was {value!r}; the rule is: a number from 0.",
                    parameter=name,
                    value=value,
                    rule="a number from 0",
                )

    def wait(self, attempt: int, error: SunraError, *, jitter: float) -> float | None:
        """Seconds until the next try; None when there should be none.

        Args:
            attempt: The try that failed, counted from 1.
            error: How it failed; its `retryable` already honours the server's own word.
            jitter: A random number from 0 to 1; up to a quarter of a backoff is cut by it, so
                that clients which failed together do not come back together.
        """
        if attempt > self.max_retries or not error.retryable:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_wait else None
        # The exponent is bounded so that a large attempt number cannot overflow a float.
        backoff = min(self.first_wait * 2.0 ** min(attempt - 1, 64), self.longest_backoff)
        return backoff * (1 - _JITTER_SHARE * jitter)
