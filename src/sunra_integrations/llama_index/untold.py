"""Responses that a callback decorator is not told of, while nobody would hear.

For each response the framework's decorators make an event, which costs more than the response
itself, and mostly nobody listens. So while there is no event handler, responses go straight from
the stream to the reader. The decorator is handed the first one, and in the end the last one or
the error, which is all that it tells callbacks. As soon as there is a handler, it is handed each
response again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing, closing
from typing import Any, Generic, TypeVar

from llama_index.core.llms import callbacks
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher
from llama_index_instrumentation.event_handlers import NullEventHandler

_T = TypeVar("_T")

_NONE: Any = object()
_dispatcher = get_dispatcher(callbacks.__name__)


def dispatchers() -> tuple[Dispatcher, ...]:
    """Those that get the events of the framework's callback decorators."""
    asked = [_dispatcher]
    while asked[-1].propagate:
        asked.append(asked[-1].parent)
    return tuple(asked)


def heard(asked: Iterable[Dispatcher]) -> bool:
    """Whether any of these dispatchers has a handler that does something."""
    for dispatcher in asked:
        for handler in dispatcher.event_handlers:
            if type(handler) is not NullEventHandler:
                return True
    return False


class Untold(Generic[_T]):
    """A stream between the decorator, which watches `told`, and the reader, who gets `each`.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: Generator[_T, None, None]) -> None:
        self._stream = stream
        self._latest: _T = _NONE
        self._error: BaseException | None = None

    def told(self) -> Generator[_T, None, None]:
        """What the decorator is to watch in place of the stream."""
        while True:
            if self._error is not None:
                error, self._error = self._error, None
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame
            response: _T = self._latest
            self._latest = _NONE
            if response is _NONE:
                response = next(self._stream, _NONE)
            if response is _NONE:
                return
            yield response

    def each(
        self, told: Generator[_T, None, None], seen: Generator[_T, None, None]
    ) -> Generator[_T, None, None]:
        """Every response once, told or not; when its reader leaves, all that is below is closed.

        Args:
            told: What `told` gave.
            seen: What the decorator made of it.
        """
        asked = dispatchers()
        with closing(self._stream), closing(told), closing(seen):
            while True:
                given = self._latest is not _NONE
                response = next(seen, _NONE)
                if response is _NONE:
                    return
                if not given:
                    yield response
                while not heard(asked):
                    try:
                        response = next(self._stream, _NONE)
                    except BaseException as error:  # noqa: BLE001 - for the decorator to raise
                        self._error = error
                        break
                    if response is _NONE:
                        break
                    self._latest = response
                    yield response


class AsyncUntold(Generic[_T]):
    """As `Untold`, for an async generator."""

    def __init__(self, stream: AsyncGenerator[_T, None]) -> None:
        self._stream = stream
        self._latest: _T = _NONE
        self._error: BaseException | None = None

    async def told(self) -> AsyncGenerator[_T, None]:
        """What the decorator is to watch in place of the stream."""
        while True:
            if self._error is not None:
                error, self._error = self._error, None
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame
            response: _T = self._latest
            self._latest = _NONE
            if response is _NONE:
                response = await anext(self._stream, _NONE)
            if response is _NONE:
                return
            yield response

    async def each(
        self, told: AsyncGenerator[_T, None], seen: AsyncGenerator[_T, None]
    ) -> AsyncGenerator[_T, None]:
        """Every response once, told or not; when its reader leaves, all that is below is closed."""
        asked = dispatchers()
        async with aclosing(self._stream), aclosing(told), aclosing(seen):
            while True:
                given = self._latest is not _NONE
                response = await anext(seen, _NONE)
                if response is _NONE:
                    return
                if not given:
                    yield response
                while not heard(asked):
                    try:
                        response = await anext(self._stream, _NONE)
                    except BaseException as error:  # noqa: BLE001 - for the decorator to raise
                        self._error = error
                        break
                    if response is _NONE:
                        break
                    self._latest = response
                    yield response
