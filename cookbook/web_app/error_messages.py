"""Errors as the user of the page sees them: the problem, and what to do."""

from __future__ import annotations

from typing import TypedDict

from sunra_integrations import errors

# The first class that matches. The user can do something about the first half, the operator of the
# page about the second.
_WORDS: list[tuple[type[errors.SunraError] | tuple[type[errors.SunraError], ...], str, str]] = [
    (errors.Overloaded, "The model is overloaded.", "Try again in {wait}."),
    (errors.RateLimited, "There are too many questions at the moment.", "Try again in {wait}."),
    (errors.StreamInterrupted, "The answer was interrupted and is incomplete.", "Ask again."),
    (errors.TimedOut, "The model did not respond in time.", "Try again, or ask for less."),
    (
        (errors.ConnectionFailed, errors.ServerFailed, errors.UnreadableResponse),
        "The model cannot be reached.",
        "Try again in {wait}.",
    ),
    (errors.ContextOverflow, "The conversation is too long.", "Start a new conversation."),
    (
        (errors.ContentRejected, errors.Refused),
        "This question was declined.",
        "Ask it in other words.",
    ),
    (
        (errors.ConfigurationError, errors.AuthenticationFailed, errors.PermissionDenied),
        "This page cannot log in to Sunra.",
        "Its operator must set a valid SUNRA_KEY.",
    ),
    (
        (errors.InsufficientCredit, errors.BudgetExceeded),
        "This page has no credit left.",
        "Its operator must add credit.",
    ),
    (
        errors.ModelNotFound,
        "This page uses a model that does not exist.",
        "Its operator must change SUNRA_MODEL.",
    ),
    (
        errors.SunraError,
        "Something went wrong on our side.",
        "If it happens again, report the reference.",
    ),
]


class PublicError(TypedDict):
    """An error without the gateway's own message, which may contain internal details."""

    kind: str
    message: str
    fix: str
    try_again: bool
    reference: str | None


def public_error(error: errors.SunraError) -> PublicError:
    """The part of an error that the user sees."""
    wait = f"{error.retry_after:.0f} seconds" if error.retry_after else "a minute"
    message, fix = next(words for kinds, *words in _WORDS if isinstance(error, kinds))
    return {
        "kind": type(error).__name__,
        "message": message,
        "fix": fix.format(wait=wait),
        "try_again": error.retryable,
        "reference": error.request_id,
    }
