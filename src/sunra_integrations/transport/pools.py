"""Sends each request through one of many small pools; waits in line where there is a limit.

A place is taken before a request is sent and given back when its answer is closed. Who waits for
one is served in the order of coming.

Ctrl-C, or any exception that a signal handler raises, may come between any two steps of the main
thread. So whoever makes a sync call names itself as the holder of its place, and calls `give_up`
when the call ends in an exception, however far it got.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from sunra_integrations.transport.allocation import Allocation, Pool
from sunra_integrations.transport.connections.interrupts import steps

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
        self.is_closed: bool = False
        self._waiting: deque[_Waiter] = deque()
        # A stream that is dropped gives its place back whenever the garbage collector says so,
        # and that may be while its thread is in here.
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def send(self, request: httpx.Request, holder: object = None) -> httpx.Response:
        """The answer with its body unread; it holds a place until it is closed.

        Args:
            request: What to send.
            holder: The object that may `give_up` the place; by default the request.

        Raises:
            httpx.HTTPError: It could not be sent; `PoolTimeout` if no place became free in time.
        """
        holder = holder or request
        self._close_forgotten()
        pool = self._take(holder, request.extensions["timeout"]["pool"])
        try:
            response = pool.carrier.handle_request(request)
        except BaseException as error:
            self._give_back(pool, holder, spoiled=not isinstance(error, Exception))
            raise
        response.request = request
        response.stream = _Held(response, partial(self._give_back, pool, holder))
        return response

    def give_up(self, holder: object) -> None:
        """Releases the place of a call that ended in an exception, and its wait for one."""
        if self._pid != os.getpid():
            return
        with self._lock:
            for waiter in [one for one in self._waiting if one.holder is holder]:
                self._waiting.remove(waiter)
            while pool := self.allocation.held_by(holder):
                self._give_back(pool, holder, spoiled=True)
        self._close_forgotten()

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

    def _take(self, holder: object, timeout: float | None) -> SyncPool:
        with self._lock:
            pool = None if self._waiting else self.allocation.take(holder)
            if pool is not None:
                return pool
            waiter = _Waiter(holder)
            self._waiting.append(waiter)
        return self._wait(waiter, timeout)

    def _wait(self, waiter: _Waiter, timeout: float | None) -> SyncPool:
        any(waiter.served.wait(step) for step in steps(timeout))
        with self._lock, suppress(ValueError):  # not in it once it is served
            self._waiting.remove(waiter)
        if waiter.fault is not None:
            raise waiter.fault
        if waiter.pool is None:
            raise httpx.PoolTimeout(_NO_PLACE)
        return waiter.pool

    def _give_back(self, pool: SyncPool, holder: object, *, spoiled: bool = False) -> None:
        with self._lock:
            self.allocation.give_back(pool, holder, spoiled=spoiled)
            while self._waiting and self._serve(self._waiting[0]):
                self._waiting.popleft().served.set()

    def _serve(self, waiter: _Waiter) -> bool:
        """Whether a place could be given, or the error of making one."""
        try:
            waiter.pool = self.allocation.held_by(waiter.holder) or self.allocation.take(
                waiter.holder
            )
        except Exception as fault:  # noqa: BLE001 - it is the waiter's to raise
            waiter.fault = fault
        return waiter.pool is not None or waiter.fault is not None


class _Waiter:
    """A thread in line."""

    def __init__(self, holder: object) -> None:
        self.holder = holder
        self.served = threading.Event()
        self.pool: SyncPool | None = None
        self.fault: Exception | None = None


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
        self.is_closed: bool = False
        self._waiting: deque[tuple[asyncio.Future[AsyncPool], object]] = deque()
        self._closings: set[asyncio.Task[None]] = set()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer with its body unread; see `SyncPools.send`."""
        await self._close_forgotten()
        pool = await self._take(request, request.extensions["timeout"]["pool"])
        try:
            response = await pool.carrier.handle_async_request(request)
        except asyncio.CancelledError:
            self._give_back(pool, request, spoiled=self._spoiled_by_cancelling)
            await self._close_forgotten()
            raise
        except BaseException:
            self._give_back(pool, request)
            raise
        response.request = request
        response.stream = _AsyncHeld(
            response, partial(self._give_back, pool, request), self._closings
        )
        return response

    async def aclose(self) -> None:
        """Closes all connections."""
        if self.is_closed:
            return
        self.is_closed = True
        for pool in self.allocation.pools:
            await pool.carrier.aclose()
        await asyncio.gather(*self._closings, return_exceptions=True)

    async def _close_forgotten(self) -> None:
        if forgotten := self.allocation.forgotten():
            # Shielded, so that a call that is cancelled here leaves no connection half closed.
            await asyncio.shield(asyncio.gather(*(carrier.aclose() for carrier in forgotten)))

    async def _take(self, holder: object, timeout: float | None) -> AsyncPool:
        pool = None if self._waiting else self.allocation.take(holder)
        return pool or await self._wait(holder, timeout)

    async def _wait(self, holder: object, timeout: float | None) -> AsyncPool:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[AsyncPool] = loop.create_future()
        self._waiting.append((place, holder))
        timer = None if timeout is None else loop.call_later(timeout, _expire, place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not (place.cancelled() or place.exception()):  # just now served
                self._give_back(place.result(), holder)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_back(self, pool: AsyncPool, holder: object, *, spoiled: bool = False) -> None:
        self.allocation.give_back(pool, holder, spoiled=spoiled)
        while self._waiting:
            place, waiting = self._waiting[0]
            if not place.done() and not self._serve(place, waiting):
                return
            self._waiting.popleft()  # served, or no longer waiting

    def _serve(self, place: asyncio.Future[AsyncPool], holder: object) -> bool:
        try:
            pool = self.allocation.take(holder)
        except Exception as fault:  # noqa: BLE001 - it is the waiter's to raise
            place.set_exception(fault)
            return True
        if pool is not None:
            place.set_result(pool)
        return pool is not None


def _expire(place: asyncio.Future[AsyncPool]) -> None:
    if not place.done():
        place.set_exception(httpx.PoolTimeout(_NO_PLACE))


class _Held(httpx.SyncByteStream):
    """A body that gives its place back when it is closed."""

    def __init__(self, response: httpx.Response, give_back: Callable[[], None]) -> None:
        if not isinstance(response.stream, httpx.SyncByteStream):
            raise TypeError("a sync transport has sync bodies")
        self._stream = response.stream
        self._network = response.extensions.get("network_stream")
        self._give_back = give_back
        self._pid = os.getpid()
        self._reading: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._reading = iter(self._stream)
        return self._reading

    def close(self) -> None:
        if self._pid != os.getpid():  # after a fork the connection, and its locks, are the parent's
            _of_the_parent.append(self)
            return
        try:
            if self._network is not None and has_more_than_its_answer(self._stream):
                self._network.close()
            self._stream.close()
        finally:
            self._give_back()


_of_the_parent: list[_Held] = []


class _AsyncHeld(httpx.AsyncByteStream):
    """A body that gives its place back when it is closed.

    Args:
        response: Whose body it is.
        give_back: Gives the place back.
        closings: Keeps references to tasks that close in the background.
    """

    def __init__(
        self,
        response: httpx.Response,
        give_back: Callable[[], None],
        closings: set[asyncio.Task[None]],
    ) -> None:
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an async transport has async bodies")
        self._closings = closings
        self._stream = response.stream
        self._network: Any = response.extensions.get("network_stream")
        self._give_back = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        """Closes it; without a wait where a generator is being closed.

        An event loop that shuts down closes all generators at once, those that close others too. A
        generator that waits as it is closed would be found "already running" by the other.
        """
        if not isinstance(sys.exc_info()[1], GeneratorExit):
            await self._close()
            return
        self._shut_down()
        closing = asyncio.create_task(self._close())
        closing._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - a loop may end first
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    def _shut_down(self) -> None:
        """Ends the request now: the event loop may be slow to run a task, and tokens cost money."""
        with suppress(Exception):  # uvloop's sockets cannot; the task closes them
            self._network.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async def _close(self) -> None:
        try:
            if self._network is not None and has_more_than_its_answer(self._stream):
                await self._network.aclose()
            await self._stream.aclose()
        finally:
            self._give_back()


def has_more_than_its_answer(stream: Any) -> bool:
    """Whether a connection of httpcore holds bytes behind its answer.

    The next call would read them as its own answer, and neither httpcore nor h11 looks.
    """
    try:
        connection = stream._httpcore_stream._stream._connection  # noqa: SLF001
        return bool(connection._h11_state.trailing_data[0])  # noqa: SLF001
    except AttributeError:  # not a connection of httpcore, or HTTP/2
        return False
