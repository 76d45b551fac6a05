"""The exceptions of `ChatSunra`: each is the package's own and the matching langchain-core one.

`except sunra_integrations.errors.RateLimited` and `except
langchain_core.exceptions.ModelRateLimitError` catch the same error. LangChain's retry middleware
reads `is_retryable`, which equals `retryable`::

    ChatSunraError                   SunraError                ModelError
    ├─ ConfigurationError            ConfigurationError
    │  └─ RequirementNotMet          RequirementNotMet
    ├─ BudgetExceeded                BudgetExceeded
    ├─ BadRequest                    BadRequest                ModelInvalidRequestError
    │  ├─ InvalidParameter           InvalidParameter
    │  ├─ UnsupportedContent         UnsupportedContent
    │  ├─ UnsupportedParameter       UnsupportedParameter
    │  ├─ ContextOverflow            ContextOverflow           ContextOverflowError
    │  └─ ContentRejected            ContentRejected
    ├─ AuthenticationFailed          AuthenticationFailed      ModelAuthenticationError
    ├─ PermissionDenied              PermissionDenied          ModelPermissionDeniedError
    ├─ InsufficientCredit            InsufficientCredit        ModelPermissionDeniedError
    ├─ NotFound                      NotFound                  ModelNotFoundError
    │  └─ ModelNotFound              ModelNotFound
    ├─ RateLimited                   RateLimited               ModelRateLimitError
    ├─ ServerFailed                  ServerFailed              ModelAPIError
    │  └─ Overloaded                 Overloaded
    ├─ ConnectionFailed              ConnectionFailed          ModelConnectionError
    ├─ TimedOut                      TimedOut                  ModelTimeoutError
    ├─ UnreadableResponse            UnreadableResponse        ModelAPIError
    │  ├─ StreamInterrupted          StreamInterrupted
    │  └─ ResponseTruncated          ResponseTruncated
    └─ Refused                       Refused                   ModelRefusalError
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.messages import BaseMessage

from sunra_integrations import errors
from sunra_integrations.langchain import model_errors

__all__ = [
    "AuthenticationFailed",
    "BadRequest",
    "BudgetExceeded",
    "ChatSunraError",
    "ConfigurationError",
    "ConnectionFailed",
    "ContentRejected",
    "ContextOverflow",
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
    "TimedOut",
    "UnreadableResponse",
    "UnsupportedContent",
    "UnsupportedParameter",
    "as_model_error",
    "raised_as_model_errors",
]


class ChatSunraError(errors.SunraError, model_errors.ModelError):
    """Base class of the exceptions of `ChatSunra`, with the arguments of `SunraError`."""

    def __init__(self, message: str, **known: Any) -> None:
        super().__init__(message, **known)
        self.is_retryable: bool = self.retryable


class ConfigurationError(errors.ConfigurationError, ChatSunraError):
    """The key, base URL or HTTP client is missing or invalid."""


class RequirementNotMet(ConfigurationError, errors.RequirementNotMet):
    """A required package is not installed or too old; the message says what to install."""


class BudgetExceeded(errors.BudgetExceeded, ChatSunraError):
    """A `Budget` that applies to the call is spent; no request was sent."""


class BadRequest(errors.BadRequest, ChatSunraError, model_errors.ModelInvalidRequestError):
    """The request is invalid; sending it again will not help."""


class InvalidParameter(BadRequest, errors.InvalidParameter):
    """A parameter is unknown or breaks its documented rule; no request was sent."""


class UnsupportedContent(BadRequest, errors.UnsupportedContent):
    """A message has content that the Sunra API does not support; no request was sent."""


class UnsupportedParameter(BadRequest, errors.UnsupportedParameter):
    """The model does not support `parameter`, at least in this request."""


class ContextOverflow(BadRequest, errors.ContextOverflow, model_errors.ContextOverflowError):
    """The conversation does not fit into the model's context window."""


class ContentRejected(BadRequest, errors.ContentRejected):
    """The safety filter rejected the input."""


class AuthenticationFailed(
    errors.AuthenticationFailed, ChatSunraError, model_errors.ModelAuthenticationError
):
    """The key is missing, wrong or expired."""


class PermissionDenied(
    errors.PermissionDenied, ChatSunraError, model_errors.ModelPermissionDeniedError
):
    """The key is valid but lacks the permission."""


class InsufficientCredit(
    errors.InsufficientCredit, ChatSunraError, model_errors.ModelPermissionDeniedError
):
    """The account has no credit left; retrying does not help."""


class NotFound(errors.NotFound, ChatSunraError, model_errors.ModelNotFoundError):
    """The endpoint or object does not exist."""


class ModelNotFound(NotFound, errors.ModelNotFound):
    """The model does not exist on Sunra."""


class RateLimited(errors.RateLimited, ChatSunraError, model_errors.ModelRateLimitError):
    """Too many requests; `retry_after` is the time to wait in seconds, if the server sent one."""


class ServerFailed(errors.ServerFailed, ChatSunraError, model_errors.ModelAPIError):
    """The gateway or the model behind it failed."""


class Overloaded(ServerFailed, errors.Overloaded):
    """The gateway or the model behind it has no capacity at the moment."""


class ConnectionFailed(errors.ConnectionFailed, ChatSunraError, model_errors.ModelConnectionError):
    """No response: DNS, TCP, TLS, a proxy, or a connection reset before the headers."""


class TimedOut(errors.TimedOut, ChatSunraError, model_errors.ModelTimeoutError):
    """A timeout; `phase` is connect, read, write, pool or total."""


class UnreadableResponse(errors.UnreadableResponse, ChatSunraError, model_errors.ModelAPIError):
    """The response had a success status but no usable content."""


class StreamInterrupted(UnreadableResponse, errors.StreamInterrupted):
    """The stream ended before the response was complete; `partial` is the Reply so far."""


class ResponseTruncated(UnreadableResponse, errors.ResponseTruncated):
    """A structured response was cut off, such as by a limit or a filter."""


class Refused(errors.Refused, ChatSunraError, model_errors.ModelRefusalError):
    """The model declined to answer; `refusal` is its text, `raw_message` its message."""

    def __init__(
        self, message: str, *, raw_message: BaseMessage | None = None, **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.raw_message = raw_message


def as_model_error(error: errors.SunraError) -> ChatSunraError:
    """The matching `ChatSunraError`, with the attributes, cause and traceback of an error.

    Args:
        error: Any error of this package. A `ChatSunraError` is returned unchanged.
    """
    if isinstance(error, ChatSunraError):
        return error
    kind = next(_MATCHING[base] for base in type(error).__mro__ if base in _MATCHING)
    converted = kind(error.message)
    converted.__dict__.update(error.__dict__)
    converted.is_retryable = error.retryable
    converted.__cause__ = error.__cause__
    return converted.with_traceback(error.__traceback__)


@contextmanager
def raised_as_model_errors() -> Generator[None, None, None]:
    """Raise any `SunraError` of the block as the matching `ChatSunraError`."""
    try:
        yield
    except errors.SunraError as error:
        converted = as_model_error(error)
        if converted is error:
            raise
        raise converted from error.__cause__


def _subclasses(kind: type[ChatSunraError]) -> Iterator[type[ChatSunraError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


_MATCHING: dict[type[errors.SunraError], type[ChatSunraError]] = {
    errors.SunraError: ChatSunraError,
    **{getattr(errors, kind.__name__): kind for kind in _subclasses(ChatSunraError)},
}
"""Our exception for each of the package's, which has the same name."""
