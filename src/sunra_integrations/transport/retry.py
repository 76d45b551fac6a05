"""When to retry, and after how long. Pure: jitter is an argument, and nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass

from sunra_integrations.errors import InvalidParameter, SunraError

_JITTER_SHARE = 0.25


@dataclass(frozen=True)
class RetryPolicy:
    """Number of retries and waits between them, in seconds.

    Args:
        max_retries: Retries after the first attempt. 0 disables retries. Defaults to 2.
        first_wait: Wait before the first retry. Each later wait is twice as long. Defaults to 0.5.
        longest_backoff: Maximum of these waits. Defaults to 8.
        longest_wait: Maximum `Retry-After` of a server to wait for. If the server requests more,
            the error is raised at once, with the wait in its `retry_after`. Defaults to 60.

    Raises:
        InvalidParameter: A value is not a number of at least 0.
    """

    max_retries: int = 2
    first_wait: float = 0.5
    longest_backoff: float = 8.0
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, (int, float)) or not value >= 0:
                raise InvalidParameter(
                    f"`{name}` must be a number of at least 0, got {value!r}.",
                    parameter=name,
                    value=value,
                    rule="a number of at least 0",
                )

    def wait(self, attempt: int, error: SunraError, *, jitter: float) -> float | None:
        """Seconds until the next attempt, or None for no retry.

        Args:
            attempt: The number of the failed attempt, from 1.
            error: Its error. A server that states whether to retry decides `retryable`.
            jitter: A random number from 0 to 1. It cuts up to a quarter of a backoff, so that
                clients that failed together do not retry together.
        """
        if attempt > self.max_retries or not error.retryable:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_wait else None
        # The exponent is limited, because a large attempt number would overflow a float.
        backoff = min(self.first_wait * 2.0 ** min(attempt - 1, 64), self.longest_backoff)
        return backoff * (1 - _JITTER_SHARE * jitter)
