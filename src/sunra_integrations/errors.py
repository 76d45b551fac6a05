"""Everything that can go wrong, as one tree of exceptions.

::

    SunraError
    ├─ ConfigurationError       key, base URL or HTTP client cannot be used; nothing was sent
    ├─ BadRequest               the request cannot be answered as it stands (400, 409, 413, 422)
    │  ├─ InvalidParameter      found before sending: .parameter, .value and .rule say what
    │  ├─ UnsupportedContent    a message part that Sunra's wire cannot carry; nothing was sent
    │  ├─ ContextOverflow       the conversation is longer than the model's context
    │  └─ ContentRejected       the platform's safety filter declined the input
    ├─ AuthenticationFailed     the key is missing, wrong or expired (401)
    ├─ PermissionDenied         the key may not do this (403)
    ├─ InsufficientCredit       the account has no credit left (402)
    ├─ NotFound                 no such endpoint or object (404)
    │  └─ ModelNotFound         no such model
    ├─ RateLimited              too many requests (429); .retry_after says how long to wait
    ├─ ServerFailed             the gateway or the model behind it failed (5xx)
    │  └─ Overloaded            it has no capacity just now (503, 529)
    ├─ ConnectionFailed         no answer: DNS, TCP, TLS, proxy, or a reset before the headers
    ├─ TimedOut                 no answer in time; .phase is connect, read, write, pool or total
    ├─ UnreadableResponse       a success status without a usable answer
    │  ├─ StreamInterrupted     an answer began and never finished; .partial is what was received
    │  └─ ResponseTruncated     a structured answer was cut off; .text is what was received
    └─ Refused                  the model declined to answer; .refusal holds its words

Each carries what is known of `status`, `code`, `request_id`, `retryable`, `retry_after`,
`attempts`, `response` and `partial`; what is not known is None. No error holds the API key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuthenticationFailed",
    "BadRequest",
    "ConfigurationError",
    "ConnectionFailed",
    "ContentRejected",
    "ContextOverflow",
    "ErrorResponse",
    "InsufficientCredit",
    "InvalidParameter",
    "ModelNotFound",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "RateLimited",
    "Refused",
    "ResponseTruncated",
    "ServerFailed",
    "StreamInterrupted",
    "SunraError",
    "TimedOut",
    "UnreadableResponse",
    "UnsupportedContent",
]


@dataclass(frozen=True)
class ErrorResponse:
    """The HTTP answer behind an error, as it came."""

    status_code: int
    headers: Mapping[str, str]
    """Lower-case names; cookies are left out."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, undecodable bytes replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body read as JSON.

        Raises:
            ValueError: The body is not valid JSON, or it is nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("The body is nested too deeply to be read.") from error


class SunraError(Exception):
    """Base of all errors of this package.

    Args:
        message: What happened, where, and what to do about it.
        status: HTTP status, where there was one.
        code: Sunra's error code (an open set), such as `MODEL_NOT_FOUND`.
        type: Sunra's error type, coarser than the code.
        reason: Finer than the code, where Sunra says it.
        details: The error body's `details` (or `detail`), with every field of it that has no place
            of its own here, such as `metadata`, `param` or `failed_generation`, unchanged.
        request_id: The id to quote to Sunra's support.
        retryable: Whether the same request may succeed later. The error body's own word
            where it has one, else the default of the class.
        retry_after: Seconds the server asked to wait.
        attempts: How many times the request was sent before giving up.
        response: The HTTP answer behind the error.
        partial: The `Reply` that had arrived before the error, where one had begun.
    """

    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the wire's own name
        reason: str | None = None,
        details: Any = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        attempts: int | None = None,
        response: ErrorResponse | None = None,
        partial: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.type = type
        self.reason = reason
        self.details = details
        self.request_id = request_id
        self.retryable: bool = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after
        self.attempts = attempts
        self.response = response
        self.partial = partial

    @property
    def message(self) -> str:
        """What happened, where, and what to do about it."""
        return str(self.args[0])


class ConfigurationError(SunraError):
    """The key, base URL or HTTP client cannot be used; nothing was sent."""


class BadRequest(SunraError):
    """The request cannot be answered as it stands; sending it again will not help."""


class InvalidParameter(BadRequest):
    """A parameter broke a documented rule; found here, before anything was sent."""

    def __init__(
        self, message: str, *, parameter: str = "", value: Any = None, rule: str = "", **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.parameter = parameter
        self.value = value
        self.rule = rule


class UnsupportedContent(BadRequest):
    """A message part that Sunra's wire cannot carry; found here, before anything was sent.

    Args:
        message: Which part, where, and what can be sent instead.
        kind: The part's type, as its framework names it.
        position: Where it stands, as in `messages[2].content[0]`.
        **known: What every `SunraError` takes.
    """

    def __init__(self, message: str, *, kind: str = "", position: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.kind = kind
        self.position = position


class ContextOverflow(BadRequest):
    """The conversation is longer than the model's context."""


class ContentRejected(BadRequest):
    """The platform's safety filter declined the input."""


class AuthenticationFailed(SunraError):
    """The key is missing, wrong or expired."""


class PermissionDenied(SunraError):
    """The key is valid but may not do this."""


class InsufficientCredit(SunraError):
    """The account has no credit left."""


class NotFound(SunraError):
    """No such endpoint or object."""


class ModelNotFound(NotFound):
    """No such model on Sunra."""


class RateLimited(SunraError):
    """Too many requests; `retry_after` says how long to wait, where the server told."""

    default_retryable = True


class ServerFailed(SunraError):
    """The gateway, or the model behind it, failed."""

    default_retryable = True


class Overloaded(ServerFailed):
    """The gateway, or the model behind it, has no capacity just now."""


class ConnectionFailed(SunraError):
    """No answer came: DNS, TCP, TLS, a proxy, or a reset before the headers."""

    default_retryable = True


class TimedOut(SunraError):
    """No answer came in time; `phase` is connect, read, write, pool or total."""

    default_retryable = True

    def __init__(self, message: str, *, phase: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.phase = phase


class UnreadableResponse(SunraError):
    """The response had a success status but no usable content.

    It is `retryable`, because a new request may succeed. The client itself never
    retries it, because the response may have been billed.
    """

    default_retryable = True


class StreamInterrupted(UnreadableResponse):
    """An answer began and never finished; `partial` is the Reply received so far.

    It is `retryable`, and as every `UnreadableResponse` it is not retried by the client itself.
    """


class ResponseTruncated(UnreadableResponse):
    """A structured answer was cut off, by a limit or a filter for example.

    `retryable` is False for a limit or a filter, because the same request meets it again.

    Args:
        message: What cut the answer off, and how to get all of it.
        finish_reason: The reason as the server sent it; None if it sent none.
        text: The JSON as far as it was received, or the arguments of the tool call.
        usage: The token counts as the server sent them, if it did.
        **known: What every `SunraError` takes.
    """

    default_retryable = False

    def __init__(
        self,
        message: str,
        *,
        finish_reason: str | None = None,
        text: str = "",
        usage: Mapping[str, Any] | None = None,
        **known: Any,
    ) -> None:
        super().__init__(message, **known)
        self.finish_reason = finish_reason
        self.text = text
        self.usage = usage


class Refused(SunraError):
    """The model declined to answer; `refusal` holds its words."""

    def __init__(self, message: str, *, refusal: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.refusal = refusal
