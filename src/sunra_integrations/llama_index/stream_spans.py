"""Spans that last as long as the stream they stand for.

The framework's own end when the method returns its generator, before anything was asked: such a
span lasts no time, and observers that take events of open spans only, as LlamaIndex's OpenTelemetry
package does, never see the answer, its usage or its error.
"""

from __future__ import annotations

import functools
import inspect
import uuid
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing, contextmanager
from contextvars import Token, copy_context
from typing import Any, TypeVar, cast

from llama_index_instrumentation.dispatcher import (
    DISPATCHER_SPAN_DECORATED_ATTR,
    Dispatcher,
    active_instrument_tags,
)
from llama_index_instrumentation.events.span import SpanDropEvent
from llama_index_instrumentation.span import active_span_id

_Method = TypeVar("_Method", bound=Callable[..., Any])

_END = object()


def span_of_stream(dispatcher: Dispatcher, method: _Method) -> _Method:
    """The method, which returns a generator (or is a coroutine that does), under such a span."""
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def under_a_span_async(llm: Any, *args: Any, **kwargs: Any) -> Any:
            span = _StreamSpan(dispatcher, method, llm, args, kwargs)
            with _within(span):
                stream = await method(llm, *args, **kwargs)
            return span.lasting(_aresponses(stream, span))

        setattr(under_a_span_async, DISPATCHER_SPAN_DECORATED_ATTR, True)
        return cast("_Method", under_a_span_async)

    @functools.wraps(method)
    def under_a_span(llm: Any, *args: Any, **kwargs: Any) -> Any:
        span = _StreamSpan(dispatcher, method, llm, args, kwargs)
        with _within(span):
            stream = method(llm, *args, **kwargs)
        return span.lasting(_responses(stream, span))

    setattr(under_a_span, DISPATCHER_SPAN_DECORATED_ATTR, True)
    return cast("_Method", under_a_span)


class _StreamSpan:
    """One span: entered when made, left once, by the end of its stream or by its error."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        method: Callable[..., Any],
        llm: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._dispatcher = dispatcher
        self._llm = llm
        self._bound = inspect.signature(method.__get__(llm)).bind(*args, **kwargs)
        self._id = f"{type(llm).__name__}.{method.__name__}-{uuid.uuid4()}"
        self._open = True
        self._is_read = False
        # Begun and ended in a context of its own: what a handler makes current must not outlast
        # this call, and can be unmade only in the context in which it was made.
        self._context = copy_context()
        self._context.run(
            dispatcher.span_enter,
            id_=self._id,
            bound_args=self._bound,
            instance=llm,
            parent_id=active_span_id.get(),
            tags=active_instrument_tags.get(),
        )

    def made_current(self) -> Token[str | None]:
        """What happens from here on belongs to the span, until `active_span_id` is reset."""
        return active_span_id.set(self._id)

    def exit(self) -> None:
        """Ends the span, unless it has ended."""
        if self._open:
            self._open = False
            self._context.run(
                self._dispatcher.span_exit,
                id_=self._id,
                bound_args=self._bound,
                instance=self._llm,
            )

    def lasting(self, stream: Any) -> Any:
        """The stream; a span whose stream is thrown away unread ends with it."""
        weakref.finalize(stream, self._exit_unread).atexit = False
        return stream

    def begins(self) -> None:
        """From here on the stream itself ends the span, after the last event in it."""
        self._is_read = True

    def _exit_unread(self) -> None:
        if not self._is_read:
            self.exit()

    def drop(self, error: BaseException) -> None:
        """Ends the span by an error."""
        self._open = False
        self._dispatcher.event(SpanDropEvent(span_id=self._id, err_str=str(error)))
        self._context.run(
            self._dispatcher.span_drop,
            id_=self._id,
            bound_args=self._bound,
            instance=self._llm,
            err=error,
        )


@contextmanager
def _within(span: _StreamSpan) -> Generator[None, None, None]:
    token = span.made_current()
    try:
        yield
    except BaseException as error:
        span.drop(error)
        raise
    finally:
        active_span_id.reset(token)


# The loops do what `_within` does in place: it would be a tenth of what an event costs.


def _responses(stream: Generator[Any, None, None], span: _StreamSpan) -> Generator[Any, None, None]:
    span.begins()
    try:
        with closing(stream):
            while True:
                token = span.made_current()
                try:
                    response = next(stream, _END)
                except BaseException as error:
                    span.drop(error)
                    raise
                finally:
                    active_span_id.reset(token)
                if response is _END:
                    return
                yield response
    finally:
        span.exit()


async def _aresponses(
    stream: AsyncGenerator[Any, None], span: _StreamSpan
) -> AsyncGenerator[Any, None]:
    span.begins()
    try:
        async with aclosing(stream):
            while True:
                token = span.made_current()
                try:
                    response = await anext(stream, _END)
                except BaseException as error:
                    span.drop(error)
                    raise
                finally:
                    active_span_id.reset(token)
                if response is _END:
                    return
                yield response
    finally:
        span.exit()
