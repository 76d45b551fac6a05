"""The exception hierarchy.

::

    SunraError
    ├─ ConfigurationError       the key, base URL or HTTP client is missing or invalid
    │  └─ RequirementNotMet      a package is missing or too old; also an ImportError
    ├─ BudgetExceeded           a Budget is spent; found before sending
    ├─ BadRequest               the request is invalid (400, 409, 413, 422)
    │  ├─ InvalidParameter      found before sending; see .parameter, .value and .rule
    │  ├─ UnsupportedContent    the API does not support a message part; found before sending
    │  ├─ UnsupportedParameter  the model does not support .parameter; the message says what helps
    │  ├─ ContextOverflow       the conversation is longer than the model's context
    │  └─ ContentRejected       the platform's safety filter rejected the input
    ├─ AuthenticationFailed     the key is missing, wrong or expired (401)
    ├─ PermissionDenied         the key does not have this permission (403)
    ├─ InsufficientCredit       the account has no credit left (402)
    ├─ NotFound                 no such endpoint or object (404)
    │  └─ ModelNotFound         no such model
    ├─ RateLimited              too many requests (429); see .retry_after
    ├─ ServerFailed             the gateway or the model behind it failed (5xx)
    │  └─ Overloaded            it has no capacity at the moment (503, 529)
    ├─ ConnectionFailed         no response: DNS, TCP, TLS, proxy, or a reset before the headers
    ├─ TimedOut                 no response in time; .phase is connect, read, write, pool or total
    ├─ UnreadableResponse       a success status, but no usable content
    │  ├─ StreamInterrupted     a reply began and did not finish; .partial has it so far
    │  └─ ResponseTruncated     a structured reply was cut off; .text has it so far
    └─ Refused                  the model refused the request; .refusal has its text

Every error has `status`, `code`, `request_id`, `retryable`, `retry_after`, `attempts`, `response`
and `partial`, each None if it is unknown. No error contains the API key.
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
    "BudgetExceeded",
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
    "RequirementNotMet",
    "ResponseTruncated",
    "ServerFailed",
    "StreamInterrupted",
    "SunraError",
    "TimedOut",
    "UnreadableResponse",
    "UnsupportedContent",
    "UnsupportedParameter",
]


@dataclass(frozen=True)
class ErrorResponse:
    """The HTTP response behind an error."""

    status_code: int
    headers: Mapping[str, str]
    """Header names are in lower case. Cookies are left out."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text. Invalid bytes are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: The body is not valid JSON, or is nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("The body is nested too deeply.") from error


class SunraError(Exception):
    """Base class of all errors of this package.

    Args:
        message: The problem, its location, and how to fix it.
        status: HTTP status.
        code: Sunra's error code, such as `MODEL_NOT_FOUND`. New codes may be added.
        type: Sunra's error type, more general than the code.
        reason: Sunra's reason, more specific than the code.
        details: The error body's `details` or `detail`, and its fields that are not attributes
            here, such as `metadata`, `param` and `failed_generation`.
        request_id: Id of the request, for Sunra's support.
        retryable: Whether the same request may succeed later. Defaults to the error body's
            `retryable`, or to that of the class.
        retry_after: Seconds that the server asks clients to wait before a retry.
        attempts: How many times the request was sent.
        response: The HTTP response.
        partial: The `Reply` received before the error, if one had begun.
    """

    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the name in the API
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
        """The problem, its location, and how to fix it."""
        return str(self.args[0])


class ConfigurationError(SunraError):
    """The key, base URL or HTTP client is missing or invalid."""


class RequirementNotMet(ConfigurationError, ImportError):
    """A required package is not installed or too old. The message says what to install.

    Args:
        message: Which package and version is required, and how to install it.
        name: The module that cannot be imported, as in every `ImportError`.
        **known: Arguments of `SunraError`.
    """

    def __init__(self, message: str, *, name: str | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.name = name


class BudgetExceeded(SunraError):
    """A `Budget` that applies to the call is spent. This is raised before the request is sent.

    Args:
        message: Which limit, and what was spent.
        spent: What was spent, in the unit of the limit. Calls in progress are included in `calls`.
        limit: The limit.
        unit: Which limit: `usd`, `tokens` or `calls`.
        **known: Arguments of `SunraError`.
    """

    def __init__(
        self, message: str, *, spent: float = 0, limit: float = 0, unit: str = "", **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.spent = spent
        self.limit = limit
        self.unit = unit


class BadRequest(SunraError):
    """The request is invalid. Retrying it does not help."""


class InvalidParameter(BadRequest):
    """A parameter broke its rule. This is raised before the request is sent.

    Args:
        message: Which parameter, its rule, and the value.
        parameter: Name of the parameter.
        value: Its value.
        rule: The rule for the value.
        **known: Arguments of `SunraError`.
    """

    def __init__(
        self, message: str, *, parameter: str = "", value: Any = None, rule: str = "", **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.parameter = parameter
        self.value = value
        self.rule = rule


class UnsupportedContent(BadRequest):
    """The API does not support a message part. This is raised before the request is sent.

    Args:
        message: Which part, its position, and what to send instead.
        kind: Type of the part in its framework.
        position: Position of the part, such as `messages[2].content[0]`.
        **known: Arguments of `SunraError`.
    """

    def __init__(self, message: str, *, kind: str = "", position: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.kind = kind
        self.position = position


class UnsupportedParameter(BadRequest):
    """The server rejected a parameter that the model does not support, at least in this request.

    For example, OpenAI's gpt-5.4 and later reject function tools together with reasoning. Nothing
    is left out silently: the message names what to change.

    Args:
        message: The server's message, and what to change.
        parameter: The parameter's name in the request body; empty if the server does not name it.
        **known: Arguments of `SunraError`.
    """

    def __init__(self, message: str, *, parameter: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.parameter = parameter


class ContextOverflow(BadRequest):
    """The conversation is longer than the model's context."""


class ContentRejected(BadRequest):
    """The platform's safety filter rejected the input."""


class AuthenticationFailed(SunraError):
    """The key is missing, wrong or expired."""


class PermissionDenied(SunraError):
    """The key is valid but does not have this permission."""


class InsufficientCredit(SunraError):
    """The account has no credit left."""


class NotFound(SunraError):
    """No such endpoint or object."""


class ModelNotFound(NotFound):
    """No such model on Sunra."""


class RateLimited(SunraError):
    """Too many requests. `retry_after` is the time to wait, if the server sent one."""

    default_retryable = True


class ServerFailed(SunraError):
    """The gateway or the model behind it failed."""

    default_retryable = True


class Overloaded(ServerFailed):
    """The gateway or the model behind it has no capacity at the moment."""


class ConnectionFailed(SunraError):
    """There was no response: DNS, TCP, TLS, a proxy, or a reset before the headers."""

    default_retryable = True


class TimedOut(SunraError):
    """There was no response in time.

    Args:
        message: The phase that timed out, and the setting that limits it.
        phase: The phase that timed out: `connect`, `read`, `write`, `pool` or `total`.
        **known: Arguments of `SunraError`.
    """

    default_retryable = True

    def __init__(self, message: str, *, phase: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.phase = phase


class UnreadableResponse(SunraError):
    """The response had a success status but no usable content.

    It is `retryable`, because a new request may succeed. The client itself does not retry it,
    because the response may have been billed.
    """

    default_retryable = True


class StreamInterrupted(UnreadableResponse):
    """A reply began and did not finish. `partial` is the `Reply` received so far.

    It is `retryable`, but the client itself does not retry it; see `UnreadableResponse`.
    """


class ResponseTruncated(UnreadableResponse):
    """A structured reply was cut off, for example by a limit or a filter.

    `retryable` is False for a limit or a filter, because a retry reaches it again.

    Args:
        message: The cause, and how to avoid it.
        finish_reason: The server's reason, if any.
        text: The JSON received, or the arguments of the tool call.
        usage: The usage object of the response, if any.
        **known: Arguments of `SunraError`.
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
    """The model refused the request.

    Args:
        message: The refusal, with the object that was requested.
        refusal: The text of the refusal.
        **known: Arguments of `SunraError`.
    """

    def __init__(self, message: str, *, refusal: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.refusal = refusal
