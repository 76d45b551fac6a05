"""Sunra's error body and headers, for every request that is not answered."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sunra_integrations.sandbox.checks import Problem
from sunra_integrations.sandbox.work import MOST_STEPS

MOST_PROBLEMS = 50
RATE_LIMIT = {"limit": 1000, "remaining": 999, "reset": 60}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    Args:
        status: The HTTP status.
        type: The family of the error.
        code: Sunra's code for it.
        message: A sentence that says what to change.
        problems: Everything that was found, where more than one thing can be wrong.
        headers: Headers the status calls for.
    """

    status: int
    type: str
    code: str
    message: str
    problems: Sequence[Problem] = ()
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def body(self, path: str, request_id: str) -> bytes:
        """Sunra's error body; its timestamp is the one thing here that tells the real time."""
        listed = [
            {"path": problem.path, "rule": problem.rule, "message": problem.text}
            for problem in self.problems[:MOST_PROBLEMS]
        ]
        error: dict[str, Any] = {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "details": listed,
            "retryable": False,
        }
        return json.dumps(
            {
                "error": error,
                "timestamp": datetime.now(timezone.utc).isoformat(),
                "request_id": request_id,
                "rate_limit": RATE_LIMIT,
                "path": path,
            },
        ).encode()


def of_problems(problems: Sequence[Problem]) -> Refusal:
    """400 where anything is malformed, else 422: the message tells the first problem and how many.

    Args:
        problems: At least one.
    """
    first = next((problem for problem in problems if problem.malformed), problems[0])
    more = f" (and {len(problems) - 1} more, see details)" if len(problems) > 1 else ""
    status = 400 if first.malformed else 422
    return Refusal(status, INVALID, "invalid_input", first.text + more, problems)


INVALID = "invalid_request_error"


def no_such_path(path: str) -> Refusal:
    """404: there is one endpoint."""
    message = f"{path[:200]!r} is not served; the path is /v1/chat/completions"
    return Refusal(404, "not_found_error", "NOT_FOUND", message)


def wrong_method(method: str, served: str) -> Refusal:
    """405: each path has one method."""
    message = f"{method} is not served here; use {served}"
    return Refusal(405, INVALID, "METHOD_NOT_ALLOWED", message, headers={"allow": served})


def no_key(reason: str) -> Refusal:
    """401: no key, or none that is known."""
    return Refusal(
        401,
        "authentication_error",
        "UNAUTHORIZED",
        f"{reason}; send the header Authorization: Bearer <SUNRA_KEY>",
        headers={"www-authenticate": "Bearer"},
    )


def unreadable(status: int, message: str) -> Refusal:
    """A body that is no JSON (400), says to be something else (415), or is too large (413)."""
    return Refusal(status, INVALID, "invalid_input", message)


def too_much_work(doing: str) -> Refusal:
    """400: the schemas of a request take too many steps."""
    return unreadable(
        400,
        f"the request is too complex: its schemas take more than {MOST_STEPS} steps to {doing}; "
        "use fewer or simpler ones",
    )


def two_lengths() -> Refusal:
    """400: the end of the body is ambiguous (request smuggling)."""
    return Refusal(
        400,
        INVALID,
        "invalid_input",
        "a request has a Content-Length or a Transfer-Encoding, not both",
        headers={"connection": "close"},
    )


def failed_script(message: str) -> Refusal:
    """500 that clients do not retry: the test itself is at fault."""
    return Refusal(500, "test_error", "SCRIPT_FAILED", message, headers={"x-should-retry": "false"})


def no_such_model(problem: Problem) -> Refusal:
    """404 with Sunra's code for it."""
    return Refusal(404, "not_found_error", "MODEL_NOT_FOUND", problem.text, [problem])


def quota_headers() -> dict[str, str]:
    """The rate-limit headers, the same on every answer: nothing is limited here."""
    return {f"x-ratelimit-{name}": str(value) for name, value in RATE_LIMIT.items()}


def request_id(method: str, path: str, body: bytes) -> str:
    """An id for a request that has none, from what was received."""
    return hashlib.sha256(b"\0".join([method.encode(), path.encode(), body])).hexdigest()
