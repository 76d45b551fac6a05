"""Sends each request through one of many small pools; waits in line where there is a limit.

A place is taken before a request is sent and given back when its answer is closed. Who waits for
one is served in the order of coming.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial

import httpx

from sunra_integrations.transport.allocation import Allocation, Pool

SyncPool = Pool[httpx.BaseTransport]
AsyncPool = Pool[httpx.AsyncBaseTransport]

_NO_PLACE = "all connections are in use"


class SyncPools:
    """The pools of one process.

    Args:
        allocation: Decides which pool carries a call.
    """

    def __init__(self, allocation: Allocation[httpx.BaseTransport]) -> None:
        self.allocation = allocation
        self.is_closed = False
        self._waiting: deque[_Waiter] = deque()
        # A stream that is dropped gives its place back whenever the garbage collector says so,
        # and that may be while its thread is in here.
        self._lock = threading.RLock()

    def send(self, request: httpx.Request) -> httpx.Response:
        """The answer with its body unread; it holds a place until it is closed.

        Raises:
            httpx.HTTPError: It could not be sent; `PoolTimeout` if no place became free in time.
        """
        self._close_forgotten()
        pool = self._take(request.extensions["timeout"]["pool"])
        try:
            response = pool.carrier.handle_request(request)
        except BaseException:
            self._give_back(pool)
            raise
        response.request = request
        response.stream = _Held(response.stream, partial(self._give_back, pool))
        return response

    def close(self) -> None:
        """Closes all connections."""
        self.is_closed = True
        for pool in self.allocation.pools:
            pool.carrier.close()

    def _close_forgotten(self) -> None:
        with self._lock:
            forgotten = self.allocation.forgotten()
        for carrier in forgotten:
            carrier.close()

    def _take(self, timeout: float | None) -> SyncPool:
        with self._lock:
            pool = None if self._waiting else self.allocation.take()
            if pool is not None:
                return pool
            waiter = _Waiter()
            self._waiting.append(waiter)
        return self._wait(waiter, timeout)

    def _wait(self, waiter: _Waiter, timeout: float | None) -> SyncPool:
        try:
            waiter.served.wait(timeout)
        except BaseException:  # Ctrl-C
            self._leave_line(waiter)
            if waiter.pool is not None:
                self._give_back(waiter.pool)
            raise
        self._leave_line(waiter)
        if waiter.pool is None:
            raise httpx.PoolTimeout(_NO_PLACE)
        return waiter.pool

    def _leave_line(self, waiter: _Waiter) -> None:
        with self._lock, suppress(ValueError):  # not in it once it is served
            self._waiting.remove(waiter)

    def _give_back(self, pool: SyncPool) -> None:
        with self._lock:
            self.allocation.give_back(pool)
            while self._waiting and (place := self.allocation.take()):
                waiter = self._waiting.popleft()
                waiter.pool = place
                waiter.served.set()


class _Waiter:
    """A thread in line."""

    def __init__(self) -> None:
        self.served = threading.Event()
        self.pool: SyncPool | None = None


class AsyncPools:
    """The pools of one event loop.

    Args:
        allocation: Decides which pool carries a call.
        spoiled_by_cancelling: Whether a pool is replaced after a call in it was cancelled.
    """

    def __init__(
        self, allocation: Allocation[httpx.AsyncBaseTransport], *, spoiled_by_cancelling: bool
    ) -> None:
        self.allocation = allocation
        self._spoiled_by_cancelling = spoiled_by_cancelling
        self.is_closed = False
        self._waiting: deque[asyncio.Future[AsyncPool]] = deque()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer with its body unread; see `SyncPools.send`."""
        await self._close_forgotten()
        pool = await self._take(request.extensions["timeout"]["pool"])
        try:
            response = await pool.carrier.handle_async_request(request)
        except asyncio.CancelledError:
            self._give_back(pool, spoiled=self._spoiled_by_cancelling)
            await self._close_forgotten()
            raise
        except BaseException:
            self._give_back(pool)
            raise
        response.request = request
        response.stream = _AsyncHeld(response.stream, partial(self._give_back, pool))
        return response

    async def aclose(self) -> None:
        """Closes all connections."""
        self.is_closed = True
        for pool in self.allocation.pools:
            await pool.carrier.aclose()

    async def _close_forgotten(self) -> None:
        if forgotten := self.allocation.forgotten():
            # Shielded, so that a call that is cancelled here leaves no connection half closed.
            await asyncio.shield(asyncio.gather(*(carrier.aclose() for carrier in forgotten)))

    async def _take(self, timeout: float | None) -> AsyncPool:
        pool = None if self._waiting else self.allocation.take()
        return pool or await self._wait(timeout)

    async def _wait(self, timeout: float | None) -> AsyncPool:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[AsyncPool] = loop.create_future()
        self._waiting.append(place)
        timer = None if timeout is None else loop.call_later(timeout, _expire, place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not (place.cancelled() or place.exception()):  # just now served
                self._give_back(place.result())
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_back(self, pool: AsyncPool, *, spoiled: bool = False) -> None:
        self.allocation.give_back(pool, spoiled=spoiled)
        while self._waiting:
            if self._waiting[0].done():  # who has lost patience is still in line
                self._waiting.popleft()
            elif place := self.allocation.take():
                self._waiting.popleft().set_result(place)
            else:
                return


def _expire(place: asyncio.Future[AsyncPool]) -> None:
    if not place.done():
        place.set_exception(httpx.PoolTimeout(_NO_PLACE))


class _Held(httpx.SyncByteStream):
    """A body that gives its place back when it is closed."""

    def __init__(
        self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, give_back: Callable[[], None]
    ) -> None:
        if not isinstance(stream, httpx.SyncByteStream):
            raise TypeError("a sync transport has sync bodies")
        self._stream = stream
        self._give_back = give_back

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._give_back()


class _AsyncHeld(httpx.AsyncByteStream):
    """A body that gives its place back when it is closed."""

    def __init__(
        self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, give_back: Callable[[], None]
    ) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an async transport has async bodies")
        self._stream = stream
        self._give_back = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._give_back()
