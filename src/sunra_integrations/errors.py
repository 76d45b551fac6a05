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
    """HTTP status."""
    headers: Mapping[str, str]
    """Header names are in lower case. Cookies are left out."""
    body: bytes
    """The body, as far as it was read."""

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

    Attributes:
        message: The problem, its location, and how to fix it.
        status: HTTP status of the response, if there was one.
        code: Sunra's error code, such as `MODEL_NOT_FOUND`. New codes may be added.
        type: Sunra's error type, more general than the code.
        reason: Sunra's reason, more specific than the code.
        details: The error body's `details` or `detail`, and its fields that are not attributes
            here, such as `metadata`, `param` and `failed_generation`.
        request_id: Id of the request, for Sunra's support.
        retryable: Whether the same request may succeed later: the error body's `retryable`, or
            that of the class.
        retry_after: Seconds that the server asks clients to wait before a retry.
        attempts: How many times the request was sent.
        response: The HTTP response.
        partial: The `Reply` received before the error, if one had begun.
        fix: What to do about errors of this class. The message can be more specific.
        http_statuses: Statuses that raise this class, unless the body has a more specific code.
        default_retryable: The value of `retryable` if the error body does not have one.
    """

    fix: ClassVar[str] = "Read the message: it names the problem and its location."
    http_statuses: ClassVar[tuple[int, ...]] = ()
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

    fix = (
        "Correct the setting that the message names. `sunra doctor` checks the key, base URL, "
        "proxy and certificates."
    )


class RequirementNotMet(ConfigurationError, ImportError):
    """A required package is not installed or too old. This is also an `ImportError`.

    Attributes:
        name: The module that cannot be imported, as in every `ImportError`.
    """

    fix = "Run the `pip install` command of the message, in the environment of your program."

    def __init__(self, message: str, *, name: str | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.name = name


class BudgetExceeded(SunraError):
    """A `Budget` that applies to the call is spent. This is raised before the request is sent.

    Attributes:
        spent: What was spent, in the unit of the limit. Calls in progress are included in `calls`.
        limit: The limit.
        unit: Which limit: `usd`, `tokens` or `calls`.
    """

    fix = "Raise the limit of the budget, such as `budget.usd += 5`, or create a new one."

    def __init__(
        self, message: str, *, spent: float = 0, limit: float = 0, unit: str = "", **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.spent = spent
        self.limit = limit
        self.unit = unit


class BadRequest(SunraError):
    """The server rejected the request as invalid. Retrying it does not help."""

    fix = "Change what the message names. `details` has the rest of the server's error."
    http_statuses: ClassVar[tuple[int, ...]] = (400, 409, 413, 422)


class InvalidParameter(BadRequest):
    """A parameter is unknown or broke its rule. This is raised before the request is sent.

    Attributes:
        parameter: Name of the parameter.
        value: Its value.
        rule: The rule for the value.
    """

    fix = "Correct the parameter. The message has its rule, or the closest known name."
    http_statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self, message: str, *, parameter: str = "", value: Any = None, rule: str = "", **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.parameter = parameter
        self.value = value
        self.rule = rule


class UnsupportedContent(BadRequest):
    """The API does not support a message part. This is raised before the request is sent.

    Attributes:
        kind: Type of the part in its framework.
        position: Position of the part, such as `messages[2].content[0]`.
    """

    fix = "Convert or remove the part at `position`. The message says what the API accepts."
    http_statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(self, message: str, *, kind: str = "", position: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.kind = kind
        self.position = position


class UnsupportedParameter(BadRequest):
    """The server rejected a parameter that the model does not support, at least in this request.

    For example, OpenAI's gpt-5.4 and later reject function tools together with reasoning. Nothing
    is left out silently.

    Attributes:
        parameter: The parameter's name in the request body; empty if the server does not name it.
    """

    fix = "Change what the message names. `sunra probe MODEL` shows what a model supports."

    def __init__(self, message: str, *, parameter: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.parameter = parameter


class ContextOverflow(BadRequest):
    """The conversation is longer than the model's context."""

    fix = "Send fewer or shorter messages, or use a model with a larger context."


class ContentRejected(BadRequest):
    """The platform's safety filter rejected the input."""

    fix = "Change the input; the same input will be rejected again."


class AuthenticationFailed(SunraError):
    """The server rejected the key: it is missing, wrong or expired."""

    fix = (
        "Check the key in SUNRA_KEY or `api_key`. Create keys at "
        "https://sunra.ai/dashboard/api-tokens."
    )
    http_statuses: ClassVar[tuple[int, ...]] = (401,)


class PermissionDenied(SunraError):
    """The key is valid but does not have this permission."""

    fix = "Check what the key's account may use, or use another model."
    http_statuses: ClassVar[tuple[int, ...]] = (403,)


class InsufficientCredit(SunraError):
    """The account has no credit left."""

    fix = "Add credit to the Sunra account, or use a key of another account."
    http_statuses: ClassVar[tuple[int, ...]] = (402,)


class NotFound(SunraError):
    """There is no such endpoint or object."""

    fix = "Check the base URL, and the ids in the request."
    http_statuses: ClassVar[tuple[int, ...]] = (404,)


class ModelNotFound(NotFound):
    """There is no such model on Sunra."""

    fix = (
        "Model names have the form `vendor/name`, such as `openai/gpt-4o`; "
        "see https://sunra.ai/models."
    )


class RateLimited(SunraError):
    """There were too many requests, and the client's retries did not help."""

    fix = (
        "Wait for `retry_after` seconds if the server sent them. Send fewer requests at once, or "
        "raise `max_retries`."
    )
    http_statuses: ClassVar[tuple[int, ...]] = (429,)
    default_retryable = True


class ServerFailed(SunraError):
    """The gateway or the model behind it failed."""

    fix = "Try again, or use another model."
    http_statuses: ClassVar[tuple[int, ...]] = (500, 502)
    default_retryable = True


class Overloaded(ServerFailed):
    """The gateway or the model behind it has no capacity at the moment."""

    fix = "Try again later, or use another model."
    http_statuses: ClassVar[tuple[int, ...]] = (503, 529)


class ConnectionFailed(SunraError):
    """There was no response: DNS, TCP, TLS, a proxy, or a reset before the headers."""

    fix = "Run `sunra doctor` to diagnose the connection."
    default_retryable = True


class TimedOut(SunraError):
    """There was no response in time.

    Attributes:
        phase: The phase that timed out: `connect`, `read`, `write`, `pool` or `total`; empty if
            the server reported the timeout.
    """

    fix = "Try again, or raise the setting that the message names."
    http_statuses: ClassVar[tuple[int, ...]] = (408, 504)
    default_retryable = True

    def __init__(self, message: str, *, phase: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.phase = phase


class UnreadableResponse(SunraError):
    """The response had a success status but no usable content.

    It is `retryable`, because a new request may succeed. The client itself does not retry it,
    because the response may have been billed.
    """

    fix = "Try again. If it happens every time, check that the base URL is that of the Sunra API."
    default_retryable = True


class StreamInterrupted(UnreadableResponse):
    """A reply began and did not finish. `partial` is the `Reply` received so far.

    It is `retryable`, but the client itself does not retry it; see `UnreadableResponse`.
    """

    fix = "Try again to get the complete reply. The text so far is in `error.partial.text`."


class ResponseTruncated(UnreadableResponse):
    """A structured reply was cut off, for example by a limit or a filter.

    `retryable` is False for a limit or a filter, because a retry reaches it again.

    Attributes:
        finish_reason: The server's reason, if any.
        text: The JSON received, or the arguments of the tool call.
        usage: The usage object of the response, if any.
    """

    fix = "Raise `max_tokens`, or request a smaller object."
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

    Attributes:
        refusal: The text of the refusal.
    """

    fix = "Change the request, or use another model."

    def __init__(self, message: str, *, refusal: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.refusal = refusal
