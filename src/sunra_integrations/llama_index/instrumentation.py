"""Spans, events and callbacks of `Sunra`'s public methods, without the values of headers.

From the outside in, a public method is wrapped in: hidden headers, a span, LlamaIndex's callbacks.
LlamaIndex adds no span to a method that already has one. Two things differ from its own decorators:

- The span of a stream lasts until the stream ends. LlamaIndex's ends when the method returns the
  generator, so some handlers never see the response, its usage or its error; see
  docs/upstream/llama-index-core.md.
- Closing a stream closes the connection at once. LlamaIndex's callback decorators wrap a generator
  without closing it (llama-index-core 0.14.25), so an async stream would stay open until it is
  garbage collected.
"""

from __future__ import annotations

import functools
import inspect
import uuid
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, closing
from contextvars import Token, copy_context
from typing import Any, TypeVar, cast

from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import (
    DISPATCHER_SPAN_DECORATED_ATTR,
    Dispatcher,
    active_instrument_tags,
)
from llama_index_instrumentation.events.span import SpanDropEvent
from llama_index_instrumentation.span import active_span_id
from pydantic import RootModel, SecretStr, ValidationError

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.llama_index.fast_path import AsyncEventGate, EventGate, event_dispatchers
from sunra_integrations.protocol.arguments import EXTRA_HEADERS, check_call
from sunra_integrations.protocol.reply import Usage
from sunra_integrations.usage import COST_ATTRIBUTES

_T = TypeVar("_T")
_Method = TypeVar("_Method", bound=Callable[..., Any])

dispatcher: Dispatcher = get_dispatcher("sunra_integrations.llama_index")

# ── decorators ───────────────────────────────────────────────────────────────


def instrumented(method: _Method) -> _Method:
    """Adds a span to a method."""
    # LlamaIndex's span decorator computes the signature on every call, which is slow.
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return _hide_headers(cast("_Method", dispatcher.span(method)))


def instrumented_chat(method: _Method) -> _Method:
    """Adds a span and chat callbacks to a method that returns a response."""
    return instrumented(cast("_Method", llm_chat_callback()(method)))


def instrumented_completion(method: _Method) -> _Method:
    """Adds a span and completion callbacks to a method that returns a response."""
    return instrumented(cast("_Method", llm_completion_callback()(method)))


def instrumented_stream(method: _Method) -> _Method:
    """Adds a span that lasts as long as the stream that a method returns."""
    return _hide_headers(_with_stream_span(method))


def without_span(method: _Method) -> _Method:
    """A bound method of LlamaIndex's without its span, for an override that has its own."""
    return cast("_Method", getattr(method, "__wrapped__", method))


# ── streams with callbacks ───────────────────────────────────────────────────

CallbackDecorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def with_callbacks(
    llm: object,
    callback: CallbackDecorator,
    open_stream: Callable[..., Generator[_T, None, None]],
    *args: Any,
    **kwargs: Any,
) -> Generator[_T, None, None]:
    """Opens a stream under a callback decorator. Closing the result closes both.

    Args:
        llm: The LLM whose callbacks are called.
        callback: The result of `llm_chat_callback()` or `llm_completion_callback()`.
        open_stream: Returns the stream, given the arguments that follow.
        *args: Its arguments.
        **kwargs: Its keyword arguments.
    """
    opened: list[tuple[EventGate[_T], Generator[_T, None, None]]] = []

    def open_gate(_: object, *args: Any, **kwargs: Any) -> Generator[_T, None, None]:
        gate = EventGate(open_stream(*args, **kwargs))
        stream = gate.decorated_stream()
        opened.append((gate, stream))
        return stream

    observed: Generator[_T, None, None] = callback(open_gate)(llm, *args, **kwargs)
    ((gate, stream),) = opened
    return gate.responses(stream, observed)


async def awith_callbacks(
    llm: object,
    callback: CallbackDecorator,
    open_stream: Callable[..., AsyncGenerator[_T, None]],
    *args: Any,
    **kwargs: Any,
) -> AsyncGenerator[_T, None]:
    """`with_callbacks` for an async generator."""
    opened: list[tuple[AsyncEventGate[_T], AsyncGenerator[_T, None]]] = []

    async def open_gate(_: object, *args: Any, **kwargs: Any) -> AsyncGenerator[_T, None]:
        gate = AsyncEventGate(open_stream(*args, **kwargs))
        stream = gate.decorated_stream()
        opened.append((gate, stream))
        return stream

    observed: AsyncGenerator[_T, None] = await callback(open_gate)(llm, *args, **kwargs)
    ((gate, stream),) = opened
    return gate.responses(stream, observed)


def map_stream(
    function: Callable[[Any], _T], stream: Generator[Any, None, None]
) -> Generator[_T, None, None]:
    """Applies a function to each element. Closing the result closes the stream."""
    with closing(stream):
        yield from map(function, stream)


async def amap_stream(
    function: Callable[[Any], _T], stream: AsyncGenerator[Any, None]
) -> AsyncGenerator[_T, None]:
    """`map_stream` for an async generator."""
    async with aclosing(stream):
        async for element in stream:
            yield function(element)


# ── spans of streams ─────────────────────────────────────────────────────────

_END = object()


def _with_stream_span(method: _Method) -> _Method:
    """The method, which returns a generator or is a coroutine that does, under such a span."""
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def with_span_async(llm: Any, *args: Any, **kwargs: Any) -> Any:
            span = _StreamSpan(method, llm, args, kwargs)
            with span:
                stream = await method(llm, *args, **kwargs)
            return span.until_end_of(_aresponses(stream, span))

        setattr(with_span_async, DISPATCHER_SPAN_DECORATED_ATTR, True)
        return cast("_Method", with_span_async)

    @functools.wraps(method)
    def with_span(llm: Any, *args: Any, **kwargs: Any) -> Any:
        span = _StreamSpan(method, llm, args, kwargs)
        with span:
            stream = method(llm, *args, **kwargs)
        return span.until_end_of(_responses(stream, span))

    setattr(with_span, DISPATCHER_SPAN_DECORATED_ATTR, True)
    return cast("_Method", with_span)


def _responses(stream: Generator[Any, None, None], span: _StreamSpan) -> Generator[Any, None, None]:
    span.is_read = True
    try:
        with closing(stream):
            while True:
                with span:
                    response = next(stream, _END)
                if response is _END:
                    return
                yield response
    finally:
        span.exit()


async def _aresponses(
    stream: AsyncGenerator[Any, None], span: _StreamSpan
) -> AsyncGenerator[Any, None]:
    span.is_read = True
    try:
        async with aclosing(stream):
            while True:
                with span:
                    response = await anext(stream, _END)
                if response is _END:
                    return
                yield response
    finally:
        span.exit()


class _StreamSpan:
    """A span that opens when created and closes once: with its stream, or with an error.

    Inside `with span:` the span is the active one. An error raised there closes it.
    """

    def __init__(
        self,
        method: Callable[..., Any],
        llm: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._llm = llm
        self._bound = inspect.signature(method.__get__(llm)).bind(*args, **kwargs)
        self._id = f"{type(llm).__name__}.{method.__name__}-{uuid.uuid4()}"
        self._token: Token[str | None] | None = None
        self._open = True
        self.is_read = False
        # Span handlers may set context variables, as OpenTelemetry's do. These must not outlast
        # this call and can only be reset in the same context, so the span has one of its own.
        self._context = copy_context()
        self._context.run(
            dispatcher.span_enter,
            id_=self._id,
            bound_args=self._bound,
            instance=llm,
            parent_id=active_span_id.get(),
            tags=active_instrument_tags.get(),
        )

    def __enter__(self) -> None:
        self._token = active_span_id.set(self._id)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            if error is not None:
                self._drop(error)
        finally:
            if self._token is not None:
                active_span_id.reset(self._token)

    def until_end_of(self, stream: _T) -> _T:
        """The stream. If it is discarded unread, the span closes then."""
        weakref.finalize(stream, self._exit_unread).atexit = False
        return stream

    def exit(self) -> None:
        """Closes the span, unless it is closed."""
        if self._open:
            self._open = False
            self._context.run(
                dispatcher.span_exit, id_=self._id, bound_args=self._bound, instance=self._llm
            )

    def _exit_unread(self) -> None:
        if not self.is_read:
            self.exit()

    def _drop(self, error: BaseException) -> None:
        self._open = False
        dispatcher.event(SpanDropEvent(span_id=self._id, err_str=str(error)))
        self._context.run(
            dispatcher.span_drop,
            id_=self._id,
            bound_args=self._bound,
            instance=self._llm,
            err=error,
        )


# ── cost ─────────────────────────────────────────────────────────────────────


def report_cost(usage: Usage | None) -> None:
    """Adds the billed cost to the current call's OpenTelemetry span.

    The handlers of llama-index-observability-otel 0.7 and OpenInference 4.6 only export events and
    token counts.
    """
    span_id = active_span_id.get()
    if usage is None or usage.cost is None or span_id is None:
        return
    for one in event_dispatchers(dispatcher):
        for handler in one.span_handlers:
            span: Any = getattr(handler, "all_spans", handler.open_spans).get(span_id)
            if hasattr(span, "set_attributes"):  # OpenTelemetry's
                span.set_attributes(dict.fromkeys(COST_ATTRIBUTES, usage.cost))
            elif hasattr(span, "__setitem__"):  # OpenInference's, which sets them at its end
                for name in COST_ATTRIBUTES:
                    span[name] = usage.cost


# ── headers ──────────────────────────────────────────────────────────────────


class SecretHeaders(RootModel[dict[str, SecretStr]]):
    """The headers of one call. Their values are in no repr and in no serialized event.

    LlamaIndex passes a call's keyword arguments to every callback, event and span handler.
    """

    def get_secret_value(self) -> dict[str, str]:
        """The headers as they are sent."""
        return {name: value.get_secret_value() for name, value in self.root.items()}


def secret_headers(headers: Any) -> SecretHeaders:
    """The headers as `SecretHeaders`.

    Raises:
        InvalidParameter: They are not a mapping of names to strings.
    """
    if isinstance(headers, SecretHeaders):
        return headers
    try:
        return SecretHeaders.model_validate(headers or {})
    except ValidationError:
        raise InvalidParameter(
            f"`{EXTRA_HEADERS}` must be a dict of header names to strings.",
            parameter=EXTRA_HEADERS,
            rule="a dict of header names to strings",
        ) from None


def _hide_headers(method: _Method) -> _Method:
    """Wraps a public method so that its span and callbacks only see `SecretHeaders`.

    The method is called as a bound method, because only then does a span get the instance.
    """
    _, *names = inspect.signature(method).parameters
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def without_headers_async(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = _checked_arguments(names, args, kwargs)
            return await method.__get__(llm)(*args, **kwargs)

        return cast("_Method", without_headers_async)

    @functools.wraps(method)
    def without_headers(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _checked_arguments(names, args, kwargs)
        return method.__get__(llm)(*args, **kwargs)

    return cast("_Method", without_headers)


def _checked_arguments(
    names: list[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with secret headers, checked for credentials before a handler sees them."""
    checked = dict(kwargs)
    if EXTRA_HEADERS in checked:
        checked[EXTRA_HEADERS] = secret_headers(checked[EXTRA_HEADERS])
    if "prompt_args" not in names:  # those are a prompt's variables, which may have any name
        check_call(checked)
    if "llm_kwargs" not in names:
        return args, checked
    position = names.index("llm_kwargs")
    if len(args) > position:
        args = (*args[:position], _checked_kwargs(args[position]), *args[position + 1 :])
    elif "llm_kwargs" in checked:
        checked["llm_kwargs"] = _checked_kwargs(checked["llm_kwargs"])
    return args, checked


def _checked_kwargs(llm_kwargs: Any) -> Any:
    if not llm_kwargs:
        return llm_kwargs
    check_call(llm_kwargs)
    if EXTRA_HEADERS not in llm_kwargs:
        return llm_kwargs
    return {**llm_kwargs, EXTRA_HEADERS: secret_headers(llm_kwargs[EXTRA_HEADERS])}
