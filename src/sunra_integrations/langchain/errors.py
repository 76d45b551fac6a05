"""What `ChatSunra` raises: the package's own errors, each also the matching langchain-core one.

`except sunra_integrations.errors.RateLimited` and `except
langchain_core.exceptions.ModelRateLimitError` catch the same error. LangChain's retry middleware
asks `is_retryable`, which here says what `retryable` says::

    ChatSunraError                   SunraError                ModelError
    ├─ ConfigurationError            ConfigurationError
    ├─ BadRequest                    BadRequest                ModelInvalidRequestError
    │  ├─ InvalidParameter           InvalidParameter
    │  ├─ UnsupportedContent         UnsupportedContent
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

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from langchain_core.messages import BaseMessage

from sunra_integrations import errors
from sunra_integrations.langchain import model_errors

__all__ = [
    "AuthenticationFailed",
    "BadRequest",
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
    "ResponseTruncated",
    "ServerFailed",
    "StreamInterrupted",
    "TimedOut",
    "UnreadableResponse",
    "UnsupportedContent",
    "as_model_error",
    "raised_as_model_errors",
]


class ChatSunraError(errors.SunraError, model_errors.ModelError):
    """Base of all that `ChatSunra` raises; takes what every `SunraError` takes."""

    def __init__(self, message: str, **known: Any) -> None:
        super().__init__(message, **known)
        self.is_retryable: bool = self.retryable


class ConfigurationError(errors.ConfigurationError, ChatSunraError):
    """The key, base URL or HTTP client cannot be used; nothing was sent."""


class BadRequest(errors.BadRequest, ChatSunraError, model_errors.ModelInvalidRequestError):
    """The request cannot be answered as it stands; sending it again will not help."""


class InvalidParameter(BadRequest, errors.InvalidParameter):
    """A parameter broke a documented rule; nothing was sent."""


class UnsupportedContent(BadRequest, errors.UnsupportedContent):
    """A message part that Sunra's wire cannot carry; nothing was sent."""


class ContextOverflow(BadRequest, errors.ContextOverflow, model_errors.ContextOverflowError):
    """The conversation is longer than the model's context."""


class ContentRejected(BadRequest, errors.ContentRejected):
    """The platform's safety filter declined the input."""


class AuthenticationFailed(
    errors.AuthenticationFailed, ChatSunraError, model_errors.ModelAuthenticationError
):
    """The key is missing, wrong or expired."""


class PermissionDenied(
    errors.PermissionDenied, ChatSunraError, model_errors.ModelPermissionDeniedError
):
    """The key is valid but may not do this."""


class InsufficientCredit(
    errors.InsufficientCredit, ChatSunraError, model_errors.ModelPermissionDeniedError
):
    """The account has no credit left; waiting does not help."""


class NotFound(errors.NotFound, ChatSunraError, model_errors.ModelNotFoundError):
    """No such endpoint or object."""


class ModelNotFound(NotFound, errors.ModelNotFound):
    """No such model on Sunra."""


class RateLimited(errors.RateLimited, ChatSunraError, model_errors.ModelRateLimitError):
    """Too many requests; `retry_after` says how long to wait, where the server told."""


class ServerFailed(errors.ServerFailed, ChatSunraError, model_errors.ModelAPIError):
    """The gateway, or the model behind it, failed."""


class Overloaded(ServerFailed, errors.Overloaded):
    """The gateway, or the model behind it, has no capacity just now."""


class ConnectionFailed(errors.ConnectionFailed, ChatSunraError, model_errors.ModelConnectionError):
    """No answer came: DNS, TCP, TLS, a proxy, or a reset before the headers."""


class TimedOut(errors.TimedOut, ChatSunraError, model_errors.ModelTimeoutError):
    """No answer came in time; `phase` is connect, read, write, pool or total."""


class UnreadableResponse(errors.UnreadableResponse, ChatSunraError, model_errors.ModelAPIError):
    """A success status came, but what it carried is no answer."""


class StreamInterrupted(UnreadableResponse, errors.StreamInterrupted):
    """An answer began and never finished; `partial` is the Reply of what had arrived."""


class ResponseTruncated(UnreadableResponse, errors.ResponseTruncated):
    """A structured answer was cut off, by a limit or a filter for example."""


class Refused(errors.Refused, ChatSunraError, model_errors.ModelRefusalError):
    """The model declined to answer; `refusal` holds its words, `raw_message` its message."""

    def __init__(
        self, message: str, *, raw_message: BaseMessage | None = None, **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.raw_message = raw_message


_TWINS: dict[type[errors.SunraError], type[ChatSunraError]] = {
    errors.SunraError: ChatSunraError,
    errors.ConfigurationError: ConfigurationError,
    errors.BadRequest: BadRequest,
    errors.InvalidParameter: InvalidParameter,
    errors.UnsupportedContent: UnsupportedContent,
    errors.ContextOverflow: ContextOverflow,
    errors.ContentRejected: ContentRejected,
    errors.AuthenticationFailed: AuthenticationFailed,
    errors.PermissionDenied: PermissionDenied,
    errors.InsufficientCredit: InsufficientCredit,
    errors.NotFound: NotFound,
    errors.ModelNotFound: ModelNotFound,
    errors.RateLimited: RateLimited,
    errors.ServerFailed: ServerFailed,
    errors.Overloaded: Overloaded,
    errors.ConnectionFailed: ConnectionFailed,
    errors.TimedOut: TimedOut,
    errors.UnreadableResponse: UnreadableResponse,
    errors.StreamInterrupted: StreamInterrupted,
    errors.ResponseTruncated: ResponseTruncated,
    errors.Refused: Refused,
}


def as_model_error(error: errors.SunraError) -> ChatSunraError:
    """The same error as LangChain knows it, with every attribute, its cause and its traceback.

    Args:
        error: An error of the core. One that is a `ChatSunraError` already is returned as it is.
    """
    if isinstance(error, ChatSunraError):
        return error
    kind = next(_TWINS[known] for known in type(error).__mro__ if known in _TWINS)
    twin = kind(error.message)
    twin.__dict__.update(error.__dict__)
    twin.is_retryable = error.retryable
    twin.__cause__ = error.__cause__
    return twin.with_traceback(error.__traceback__)


@contextmanager
def raised_as_model_errors() -> Generator[None, None, None]:
    """Whatever `SunraError` is raised within is raised as LangChain knows it."""
    try:
        yield
    except errors.SunraError as error:
        twin = as_model_error(error)
        if twin is error:
            raise
        raise twin from error.__cause__
