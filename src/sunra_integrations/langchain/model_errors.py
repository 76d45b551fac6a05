"""The exceptions of langchain-core that ours derive from, for all supported versions.

langchain-core 1.7 added `ModelError` and its subclasses, 1.7.5 added `ModelRefusalError`. For older
versions this module defines classes of the same names, so the exception hierarchy is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core import exceptions

__all__ = [
    "ContextOverflowError",
    "ModelAPIError",
    "ModelAuthenticationError",
    "ModelConnectionError",
    "ModelError",
    "ModelInvalidRequestError",
    "ModelNotFoundError",
    "ModelPermissionDeniedError",
    "ModelRateLimitError",
    "ModelRefusalError",
    "ModelTimeoutError",
]

if TYPE_CHECKING:
    from langchain_core.exceptions import (
        ContextOverflowError,
        ModelAPIError,
        ModelAuthenticationError,
        ModelConnectionError,
        ModelError,
        ModelInvalidRequestError,
        ModelNotFoundError,
        ModelPermissionDeniedError,
        ModelRateLimitError,
        ModelTimeoutError,
    )
    from langchain_core.messages import BaseMessage

    class ModelRefusalError(ModelError):
        """The model declined to answer."""

        raw_message: BaseMessage | None

else:

    class _ModelError(exceptions.LangChainException):
        """Replaces the class of this name, which this langchain-core lacks."""

        is_retryable = False

    ModelError = getattr(exceptions, "ModelError", _ModelError)

    def _named(name: str, *, retryable: bool = False) -> type[Exception]:
        """langchain-core's class of this name, or a replacement."""
        found = getattr(exceptions, name, None)
        if found is not None:
            return found
        body = {"is_retryable": retryable, "__doc__": _ModelError.__doc__, "__module__": __name__}
        return type(name, (ModelError,), body)

    ContextOverflowError = _named("ContextOverflowError")
    ModelAPIError = _named("ModelAPIError", retryable=True)
    ModelAuthenticationError = _named("ModelAuthenticationError")
    ModelConnectionError = _named("ModelConnectionError", retryable=True)
    ModelInvalidRequestError = _named("ModelInvalidRequestError")
    ModelNotFoundError = _named("ModelNotFoundError")
    ModelPermissionDeniedError = _named("ModelPermissionDeniedError")
    ModelRateLimitError = _named("ModelRateLimitError", retryable=True)
    ModelRefusalError = _named("ModelRefusalError")
    ModelTimeoutError = _named("ModelTimeoutError", retryable=True)
