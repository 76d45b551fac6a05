"""The flow of one call as a plain generator: it decides, and a client performs.

It yields what to do ("attempt 2 after 0.5 s"), is sent the outcome, and returns the successful
response or raises the error that ended the call. A 2xx ends it: a body that fails later is never
requested again, so no response is paid for twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.error_parsing import error_from_response
from sunra_integrations.transport.retry import RetryPolicy


@dataclass(frozen=True)
class Attempt:
    """Send the request, after waiting this many seconds."""

    number: int
    wait: float = 0.0
    cause: SunraError | None = field(default=None, compare=False)
    """The error of the previous attempt."""


class Outcome(NamedTuple):
    """The status of a response, with headers and body unless it is a success."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    note: str = ""
    """Why the body could not be read, if it could not."""

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the HTTP class


def call_flow(
    policy: RetryPolicy,
    *,
    jitter: Callable[[], float],
    now: Callable[[], float],
    time_left: Callable[[], float],
    url: str = "",
) -> Generator[Attempt, Outcome | SunraError, Outcome]:
    """The attempts of one call.

    Args:
        policy: When to retry.
        jitter: Returns a random number from 0 to 1.
        now: Returns seconds since the epoch, for a `Retry-After` that is a date.
        time_left: Returns the seconds that the whole call may still take. A retry that would not
            start within them is not made.
        url: The URL of the request, for errors.

    Yields:
        The next attempt. Send back its `Outcome`, or the SunraError that ended it.

    Returns:
        The successful outcome.

    Raises:
        SunraError: The last attempt's error, with `attempts` set.
    """
    attempt = Attempt(1)
    while True:
        outcome = yield attempt
        if isinstance(outcome, Outcome):
            if outcome.is_success:
                return outcome
            error = error_from_response(
                outcome.status, outcome.headers, outcome.body, now=now(), url=url
            )
            if outcome.note:
                error.args = (f"{error.message} {outcome.note}",)
        else:
            error = outcome
        wait = policy.wait(attempt.number, error, jitter=jitter())
        if wait is None or wait >= time_left():
            error.attempts = attempt.number
            raise error
        attempt = Attempt(attempt.number + 1, wait, error)
