"""Public methods as LlamaIndex's spans and callbacks observe them, with no header value in sight.

Each decorator stands where the framework's own would: a span outside, the callbacks within. The
framework adds no span to a method that has one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher

from sunra_integrations.llama_index.hidden_headers import hides_headers
from sunra_integrations.llama_index.stream_spans import span_of_stream

_Method = TypeVar("_Method", bound=Callable[..., Any])

dispatcher: Dispatcher = get_dispatcher("sunra_integrations.llama_index")


def observed(method: _Method) -> _Method:
    """A method that spans observe."""
    # A span asks for the signature in every call, and making it is slow.
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]  # `inspect` looks there
    return hides_headers(cast("_Method", dispatcher.span(method)))


def observed_stream(method: _Method) -> _Method:
    """A method that returns a stream, which spans observe to its end."""
    return hides_headers(span_of_stream(dispatcher, method))


def unobserved(method: _Method) -> _Method:
    """A bound method of the framework's without its span, for an override that has one itself."""
    return cast("_Method", getattr(method, "__wrapped__", method))


def observed_chat(method: _Method) -> _Method:
    """A method from messages to a response, that spans and chat callbacks observe."""
    return observed(cast("_Method", llm_chat_callback()(method)))


def observed_completion(method: _Method) -> _Method:
    """A method from a prompt to a response, that spans and completion callbacks observe."""
    return observed(cast("_Method", llm_completion_callback()(method)))
