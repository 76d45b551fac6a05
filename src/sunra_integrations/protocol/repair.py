"""Repairs: a reply that does not match its schema is requested again, with its error.

Every repair is another paid call, so each is requested explicitly and their number is limited. A
truncated reply is not repaired: the same limit would cut the next one.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import ValidationError

from sunra_integrations.errors import InvalidParameter, UnreadableResponse

MAX_REPAIRS = 10

NOT_CALLED = "Not called, because another call of the same reply was invalid."
"""The result of a valid call beside an invalid one; servers reject calls without results."""

_MAX_FLAWS = 20
_MAX_EXCERPT = 500


def check_repairs(value: Any, name: str = "repair") -> int:
    """The number of repairs.

    Args:
        value: The number of repairs; 0 for none.
        name: Name of the parameter, for the error.

    Raises:
        InvalidParameter: It is not an int from 0 to 10.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_REPAIRS:
        return value
    rule = f"an int from 0 to {MAX_REPAIRS}"
    raise InvalidParameter(
        f"`{name}` must be {rule}, got {value!r}. Each repair is another paid call.",
        parameter=name,
        value=value,
        rule=rule,
    )


def describe_error(error: BaseException) -> str:
    """Describe the error of a reply for the model.

    Args:
        error: A parsing error, caused by a `ValidationError` or a `JSONDecodeError` if possible.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ValidationError):
            return _describe_flaws(found)
        if isinstance(found, json.JSONDecodeError):
            return f"It is not valid JSON: {found}"
        found = found.__cause__
    return str(error)[:_MAX_EXCERPT]


def _describe_flaws(error: ValidationError) -> str:
    flaws = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [
        f"- {'.'.join(map(str, flaw['loc']))}: {flaw['msg']}" if flaw["loc"] else f"- {flaw['msg']}"
        for flaw in flaws[:_MAX_FLAWS]
    ]
    return "\n".join(lines)


def reply_repair(problem: str) -> str:
    """The user message that requests a reply again."""
    return (
        f"Your reply does not match the requested format:\n{problem}\n"
        "Reply again with the complete, corrected output only."
    )


def call_repair(problem: str) -> str:
    """The tool message that requests a tool call again."""
    return f"The call is invalid:\n{problem}\n{_CALL_AGAIN}"


_CALL_AGAIN = "Call the tool again with corrected arguments."


def not_repaired(what: str, number: int, problem: str, *, setting: str) -> UnreadableResponse:
    """The error for replies that are still invalid.

    Args:
        what: What is invalid, such as "replies".
        number: How many were invalid in a row.
        problem: The last error, or the message that requested the call again.
        setting: The setting that limits the number, with its value.
    """
    times = "once" if number == 1 else f"{number} times in a row"
    reason = problem.replace(_CALL_AGAIN, "").strip()[:_MAX_EXCERPT]
    return UnreadableResponse(
        f"The model's {what} were invalid {times}. The last error: {reason} ({setting})",
        retryable=False,
    )


def add_context(error: BaseException, earlier: BaseException | None) -> None:
    """Adds an earlier error to the end of the chain of this one, where tracebacks show it."""
    last = error
    while following := last.__cause__ or last.__context__:
        last = following
    if earlier is not None and earlier is not error:
        last.__context__ = earlier
