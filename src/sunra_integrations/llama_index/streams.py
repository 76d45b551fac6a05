"""Streams that the framework's callbacks watch, and that close the moment their reader leaves.

The callback decorators wrap a method's generator in one of their own, which does not close the
inner one: an async stream left early would keep its connection until the garbage collector and
the event loop find time for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from typing import Any, TypeVar

from sunra_integrations.llama_index.untold import AsyncUntold, Untold

_T = TypeVar("_T")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def watched(
    llm: object,
    callback: Decorator,
    open_stream: Callable[..., Generator[_T, None, None]],
    *args: Any,
    **kwargs: Any,
) -> Generator[_T, None, None]:
    """Opens a stream under a callback decorator; closing the generator given closes both.

    Args:
        llm: Whose callbacks watch.
        callback: What `llm_chat_callback()` or `llm_completion_callback()` returns.
        open_stream: Returns the stream, for the arguments that follow.
        *args: Its arguments.
        **kwargs: Its keyword arguments.
    """
    opened: list[tuple[Untold[_T], Generator[_T, None, None]]] = []

    def keep(_: object, *args: Any, **kwargs: Any) -> Generator[_T, None, None]:
        untold = Untold(open_stream(*args, **kwargs))
        opened.append((untold, told := untold.told()))
        return told

    seen: Generator[_T, None, None] = callback(keep)(llm, *args, **kwargs)
    ((untold, told),) = opened
    return untold.each(told, seen)


async def awatched(
    llm: object,
    callback: Decorator,
    open_stream: Callable[..., AsyncGenerator[_T, None]],
    *args: Any,
    **kwargs: Any,
) -> AsyncGenerator[_T, None]:
    """As `watched`, for an async generator."""
    opened: list[tuple[AsyncUntold[_T], AsyncGenerator[_T, None]]] = []

    async def keep(_: object, *args: Any, **kwargs: Any) -> AsyncGenerator[_T, None]:
        untold = AsyncUntold(open_stream(*args, **kwargs))
        opened.append((untold, told := untold.told()))
        return told

    seen: AsyncGenerator[_T, None] = await callback(keep)(llm, *args, **kwargs)
    ((untold, told),) = opened
    return untold.each(told, seen)


def mapped(
    function: Callable[[Any], _T], stream: Generator[Any, None, None]
) -> Generator[_T, None, None]:
    """The stream with a function applied to each element, closed when its reader leaves."""
    with closing(stream):
        yield from map(function, stream)


async def amapped(
    function: Callable[[Any], _T], stream: AsyncGenerator[Any, None]
) -> AsyncGenerator[_T, None]:
    """As `mapped`, for an async generator."""
    async with aclosing(stream):
        async for element in stream:
            yield function(element)
