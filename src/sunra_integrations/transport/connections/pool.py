"""Gives each call a transport of its own, and keeps idle transports for the next calls.

A transport carries one call at a time, so it holds one connection. A single pool of httpcore looks
at all of its connections for each request, and a call cancelled while it connects leaves a
connection that is neither used nor closed (`docs/decisions/connections.md`). With a limit, callers
waiting for a transport are served in order.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent import futures
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

from sunra_integrations.transport.connections.interrupts import steps

KEEPALIVE_EXPIRY = 30.0
"""Seconds after which an idle transport is closed."""

Transport = TypeVar("Transport")
_Place: TypeAlias = "futures.Future[Transport] | asyncio.Future[Transport]"
"""Where a waiting call gets its transport."""


class Pool(Generic[Transport]):
    """Which call uses which transport. Neither sends, waits nor closes.

    A call is known by its `holder`, any object. Releasing is by holder and may be repeated, so a
    call that was interrupted need not know how far it got.

    Args:
        make: Makes a transport for one connection.
        capacity: Transports in use and idle at once. None sets no limit.
        is_shared: `make` returns one transport that carries all calls and closes its own idle
            connections, as aiohttp's does.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        make: Callable[[], Transport],
        *,
        capacity: int | None,
        is_shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._capacity = math.inf if capacity is None else capacity
        self._is_shared = is_shared
        self._clock = clock
        self.is_closed = False
        self.last_used: float = clock()
        self.in_use: dict[object, Transport | None] = {}
        self.idle: list[tuple[Transport, float]] = []
        """Transports and when each became idle, the latest last."""
        self.waiting: deque[tuple[object, _Place[Transport]]] = deque()
        self._discarded: list[Transport] = []

    def acquire(self, holder: object) -> Transport | None:
        """The most recently used idle transport, or a new one. None at capacity."""
        self.last_used = self._clock()
        if len(self.in_use) >= self._capacity and holder not in self.in_use:
            return None
        # Reserve the place first: creating a transport can trigger garbage collection, which may
        # close a dropped stream and so serve a waiting call.
        self.in_use[holder] = None
        self.in_use[holder] = transport = self.idle.pop()[0] if self.idle else self._make()
        return transport

    def release(self, holder: object, *, reusable: bool = True) -> None:
        """Ends a call's use of its transport, if it has one, and serves waiting callers.

        Args:
            holder: The call.
            reusable: False after a failed call, whose transport is closed.
        """
        transport = self.in_use.pop(holder, None)
        if transport is not None and (reusable or self._is_shared):
            self.idle.append((transport, self._clock()))
        elif transport is not None:
            self._discarded.append(transport)
        self._serve_waiting()

    def pop_expired(self) -> list[Transport]:
        """Transports to close: discarded, or idle for too long."""
        expired, self._discarded = self._discarded, []
        oldest = self._clock() - KEEPALIVE_EXPIRY
        while self.idle and self.idle[0][1] <= oldest and not self._is_shared:
            expired.append(self.idle.pop(0)[0])
        return expired

    def is_unused(self) -> bool:
        """Whether no call has used this for as long as an idle transport is kept."""
        return not self.in_use and self._clock() - self.last_used >= KEEPALIVE_EXPIRY

    def all_transports(self) -> set[Transport]:
        """Every transport that is not yet closed."""
        in_use = (transport for transport in self.in_use.values() if transport is not None)
        return {*in_use, *(transport for transport, _ in self.idle), *self._discarded}

    def _serve_waiting(self) -> None:
        while self.waiting:
            entry = holder, place = self.waiting[0]
            if not place.done():
                try:
                    # An earlier, interrupted run of this method may have acquired one already.
                    transport = self.in_use.get(holder) or self.acquire(holder)
                except Exception as error:  # noqa: BLE001 - raised in the waiting call
                    place.set_exception(error)
                else:
                    if transport is None:
                        return
                    place.set_result(transport)
            with suppress(ValueError):
                self.waiting.remove(entry)


class SyncPool(Pool[httpx.BaseTransport]):
    """The transports of one process. Threads may share it.

    A signal handler's exception, such as `KeyboardInterrupt`, may come between any two steps of the
    main thread. So the caller passes itself as the holder, and calls `give_up` after any exception.
    """

    def __init__(
        self,
        make: Callable[[], httpx.BaseTransport],
        *,
        capacity: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(make, capacity=capacity, clock=clock)
        # Reentrant: garbage collection may close a dropped stream while its thread is in here.
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def send(self, request: httpx.Request, holder: object = None) -> httpx.Response:
        """The response with its body unread. It holds a transport until it is closed.

        Args:
            request: What to send.
            holder: The object to `give_up`. Defaults to the request.

        Raises:
            httpx.HTTPError: It could not be sent; `PoolTimeout` if no transport became free.
        """
        holder = holder or request
        try:
            transport = self._acquire(holder, request.extensions["timeout"]["pool"])
            self._close_expired()
            response = transport.handle_request(request)
        except BaseException:
            self.give_up(holder)
            raise
        response.request = request
        response.stream = _Body(response.stream, lambda reusable: self._end(holder, reusable))
        return response

    def give_up(self, holder: object) -> None:
        """Ends a call that raised an exception, and its wait for a transport."""
        if self._pid != os.getpid():  # after a fork, connections and locks belong to the parent
            return
        with self._lock:
            for entry in [entry for entry in self.waiting if entry[0] is holder]:
                self.waiting.remove(entry)
        self._end(holder, reusable=False)

    def close(self) -> None:
        """Closes all connections."""
        self.is_closed = True
        for transport in self.all_transports():
            transport.close()

    def _acquire(self, holder: object, timeout: float | None) -> httpx.BaseTransport:
        with self._lock:
            transport = None if self.waiting else self.acquire(holder)
            if transport is not None:
                return transport
            place: futures.Future[httpx.BaseTransport] = futures.Future()
            self.waiting.append((holder, place))
        for step in steps(timeout):
            with suppress(futures.TimeoutError):
                return place.result(step)
        with self._lock:  # no other thread is serving it now
            if place.cancel():
                raise _pool_timeout()
        return place.result()

    def _end(self, holder: object, reusable: bool) -> None:
        with self._lock:
            self.release(holder, reusable=reusable)
        self._close_expired()

    def _close_expired(self) -> None:
        with self._lock:
            expired = self.pop_expired()
        for transport in expired:
            transport.close()


class AsyncPool(Pool[httpx.AsyncBaseTransport]):
    """The transports of one event loop."""

    def __init__(
        self,
        make: Callable[[], httpx.AsyncBaseTransport],
        *,
        capacity: int | None,
        is_shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(make, capacity=capacity, is_shared=is_shared, clock=clock)
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The response with its body unread; see `SyncPool.send`."""
        try:
            transport = await self._acquire(request, request.extensions["timeout"]["pool"])
            if expired := self.pop_expired():
                await _close_all(expired)
            response = await transport.handle_async_request(request)
        except BaseException:
            await self._end(request, reusable=False)
            raise
        response.request = request
        response.stream = _AsyncBody(
            response, lambda reusable: self._end(request, reusable), self._closing
        )
        return response

    async def aclose(self) -> None:
        """Closes all connections."""
        if self.is_closed:
            return
        self.is_closed = True
        for transport in self.all_transports():
            await transport.aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _acquire(self, holder: object, timeout: float | None) -> httpx.AsyncBaseTransport:
        transport = None if self.waiting else self.acquire(holder)
        if transport is not None:
            return transport
        loop = asyncio.get_running_loop()
        place: asyncio.Future[httpx.AsyncBaseTransport] = loop.create_future()
        self.waiting.append((holder, place))
        timer = None if timeout is None else loop.call_later(timeout, _expire, place)
        try:
            return await place
        finally:
            if timer is not None:
                timer.cancel()
            if place.done() and not place.cancelled():
                place.exception()  # a cancelled call does not raise it, and asyncio would log it

    async def _end(self, holder: object, reusable: bool) -> None:
        self.release(holder, reusable=reusable)
        if isinstance(sys.exc_info()[1], GeneratorExit):
            return  # a coroutine that is being closed may not wait; a later call closes them
        if expired := self.pop_expired():
            await _close_all(expired)


async def _close_all(transports: list[httpx.AsyncBaseTransport]) -> None:
    # Shielded, so that a cancelled call leaves no connection half closed.
    await asyncio.shield(asyncio.gather(*(transport.aclose() for transport in transports)))


def _expire(place: asyncio.Future[httpx.AsyncBaseTransport]) -> None:
    if not place.done():
        place.set_exception(_pool_timeout())


def _pool_timeout() -> httpx.PoolTimeout:
    return httpx.PoolTimeout("all connections are in use")


class _Body(httpx.SyncByteStream):
    """A body that releases its transport when it is closed."""

    def __init__(self, stream: Any, release: Callable[[bool], None]) -> None:
        self._stream = stream
        self._release = release
        self._pid = os.getpid()
        self._reading: Iterator[bytes] | None = None  # kept for `_left_to_the_parent`

    def __iter__(self) -> Iterator[bytes]:
        self._reading = iter(self._stream)
        return self._reading

    def close(self) -> None:
        if self._pid != os.getpid():  # after a fork, the connection and its locks are the parent's
            _left_to_the_parent.append(self)
            return
        reusable = False
        try:
            reusable = not _has_surplus(self._stream)
            self._stream.close()
        finally:
            self._release(reusable)


_left_to_the_parent: list[_Body] = []
"""Keeps what garbage collection would close."""


class _AsyncBody(httpx.AsyncByteStream):
    """A body that releases its transport when it is closed.

    Args:
        response: The response whose body it is.
        release: Releases the transport.
        closing: Keeps references to tasks that close in the background.
    """

    def __init__(
        self,
        response: httpx.Response,
        release: Callable[[bool], Coroutine[Any, Any, None]],
        closing: set[asyncio.Task[None]],
    ) -> None:
        self._stream: Any = response.stream
        self._network: Any = response.extensions.get("network_stream")
        self._release = release
        self._closing = closing

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        """Closes it, in the background if a generator is being closed.

        An event loop that shuts down closes all generators at once, also those that close others.
        A generator that waits in its `aclose` is then "already running" for the other one.
        """
        if not isinstance(sys.exc_info()[1], GeneratorExit):
            await self._close()
            return
        self._shut_down()
        closing = asyncio.create_task(self._close())
        closing._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - a loop may end first
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _shut_down(self) -> None:
        """Ends the request now: the event loop may be slow to run a task, and tokens cost money."""
        with suppress(Exception):  # uvloop's sockets cannot; the task closes them
            self._network.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async def _close(self) -> None:
        reusable = False
        try:
            reusable = not _has_surplus(self._stream)
            await self._stream.aclose()
        finally:
            await self._release(reusable)


def _has_surplus(stream: Any) -> bool:
    """Whether a connection of httpcore holds bytes behind its response.

    The next call would read them as its own response: httpcore 1.0.9 starts its next cycle without
    a look at h11's `trailing_data`.
    """
    try:
        connection = stream._httpcore_stream._stream._connection  # noqa: SLF001
        return bool(connection._h11_state.trailing_data[0])  # noqa: SLF001
    except AttributeError:  # not a connection of httpcore, or HTTP/2
        return False
