"""Places are given back in every way a call can end, and waited for in the order of coming."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from contextlib import suppress

import httpx
import pytest

from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.allocation import Allocation
from sunra_integrations.transport.connections.pool import AsyncPools, SyncPools
from tests.recorded_transport import Body
from tests.waiting import until
from tests.wire_cases import completion_bytes, stream_bytes


class Carrier(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers at once, or as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.closed = False

    def handle_request(self, request):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return httpx.Response(200, stream=answer or Body([b"ok"]))

    async def handle_async_request(self, request):
        await asyncio.sleep(0)
        return self.handle_request(request)

    def close(self):
        self.closed = True

    async def aclose(self):
        await asyncio.sleep(0)
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def pools(cls, limit=1, *answers, clock=None):
    allocation = Allocation(
        lambda _: Carrier(*answers),
        limit=limit,
        places_per_pool=2,
        expiry=30,
        clock=clock or Clock(),
    )
    return cls(allocation) if cls is SyncPools else cls(allocation, spoiled_by_cancelling=True)


def request(patience=5.0):
    timeout = {"pool": patience}
    return httpx.Request("POST", "http://a/", content=b"", extensions={"timeout": timeout})


def in_flight(pools):
    return sum(pool.in_flight for pool in pools.allocation.pools)


def test_a_place_is_held_until_the_answer_is_closed():
    sending = pools(SyncPools)
    response = sending.send(request())
    assert in_flight(sending) == 1
    response.close()
    response.close()
    assert in_flight(sending) == 0


async def test_and_so_it_is_in_async():
    sending = pools(AsyncPools)
    response = await sending.send(request())
    assert in_flight(sending) == 1
    await response.aclose()
    await response.aclose()
    assert in_flight(sending) == 0


class Unclosable(Body):
    def close(self):
        raise httpx.ReadError("gone")

    async def aclose(self):
        raise httpx.ReadError("gone")


@pytest.mark.parametrize("fault", [httpx.ConnectError("no"), KeyboardInterrupt()])
async def test_a_call_that_fails_gives_its_place_back(fault):
    sending, sending_async = pools(SyncPools, 1, fault), pools(AsyncPools, 1, fault)
    with pytest.raises(type(fault)):
        sending.send(request())
    with pytest.raises(type(fault)):
        await sending_async.send(request())
    assert (in_flight(sending), in_flight(sending_async)) == (0, 0)


async def test_and_so_does_one_whose_connection_cannot_even_be_closed():
    sending = pools(SyncPools, 1, Unclosable([]))
    with pytest.raises(httpx.ReadError):
        sending.send(request()).close()
    sending_async = pools(AsyncPools, 1, Unclosable([]))
    response = await sending_async.send(request())
    with pytest.raises(httpx.ReadError):
        await response.aclose()
    assert (in_flight(sending), in_flight(sending_async)) == (0, 0)


async def test_who_waits_too_long_for_a_place_is_told_so_and_no_longer_stands_in_line():
    sending = pools(SyncPools)
    held = sending.send(request())
    with pytest.raises(httpx.PoolTimeout):
        sending.send(request(0.01))
    held.close()
    sending.send(request(0.01)).close()
    sending_async = pools(AsyncPools)
    held = await sending_async.send(request())
    with pytest.raises(httpx.PoolTimeout):
        await sending_async.send(request(0.01))
    await held.aclose()
    await (await sending_async.send(request(0.01))).aclose()
    assert (in_flight(sending), in_flight(sending_async)) == (0, 0)


def test_threads_are_served_in_the_order_they_came():
    sending = pools(SyncPools)
    held = sending.send(request())
    served: list[int] = []

    def call(number):
        response = sending.send(request())
        served.append(number)
        response.close()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=call, args=(number,)))
        threads[-1].start()
        until(lambda: len(sending._waiting) == len(threads))
    held.close()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]
    assert in_flight(sending) == 0


async def test_tasks_are_served_in_the_order_they_came_and_none_pushes_in():
    sending = pools(AsyncPools)
    held = await sending.send(request())
    served: list[int] = []

    async def call(number):
        response = await sending.send(request())
        served.append(number)
        await response.aclose()

    tasks = [asyncio.create_task(call(number)) for number in range(4)]
    await asyncio.sleep(0)
    await held.aclose()
    tasks.append(asyncio.create_task(call(4)))
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3, 4]
    assert in_flight(sending) == 0


@pytest.mark.parametrize("served_first", [True, False])
async def test_a_task_that_is_cancelled_in_line_takes_no_place_along(served_first):
    sending = pools(AsyncPools)
    held = await sending.send(request())
    waiting = asyncio.create_task(sending.send(request()))
    await asyncio.sleep(0)
    if served_first:
        await held.aclose()
        waiting.cancel()
    else:
        waiting.cancel()
        await held.aclose()
    with suppress(asyncio.CancelledError):
        await waiting
    assert in_flight(sending) == 0
    await (await sending.send(request(0.01))).aclose()


async def test_a_task_that_is_cancelled_as_its_patience_ends_is_only_cancelled():
    sending = pools(AsyncPools)
    held = await sending.send(request())
    waiting = asyncio.create_task(sending.send(request()))
    await asyncio.sleep(0)
    sending._waiting[0][0].set_exception(httpx.PoolTimeout("late"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await held.aclose()
    assert in_flight(sending) == 0


@pytest.mark.parametrize("spoiled", [True, False])
async def test_a_pool_whose_call_was_cancelled_may_be_spoiled_and_is_then_closed(spoiled):
    sending = pools(AsyncPools, 1)
    sending._spoiled_by_cancelling = spoiled
    await (await sending.send(request())).aclose()
    carrier = sending.allocation.pools[0].carrier
    call = asyncio.create_task(sending.send(request()))
    waiting = asyncio.create_task(sending.send(request()))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert carrier.closed is spoiled
    await (await waiting).aclose()
    assert (sending.allocation.pools[0].carrier is carrier) is not spoiled
    assert in_flight(sending) == 0


async def test_pools_that_were_left_idle_are_closed_by_a_later_call():
    clock = Clock()
    sending = pools(SyncPools, None, clock=clock)
    crowd = [sending.send(request()) for _ in range(6)]
    first, *others = [pool.carrier for pool in sending.allocation.pools]
    for response in crowd:
        response.close()
    clock.now = 31
    sending.send(request()).close()
    assert [carrier.closed for carrier in (first, *others)] == [False, True, True]

    sending_async = pools(AsyncPools, None, clock=clock)
    crowd = [await sending_async.send(request()) for _ in range(6)]
    first, *others = [pool.carrier for pool in sending_async.allocation.pools]
    for response in crowd:
        await response.aclose()
    clock.now = 62
    await (await sending_async.send(request())).aclose()
    assert [carrier.closed for carrier in (first, *others)] == [False, True, True]


async def test_a_call_that_is_cancelled_while_it_closes_idle_pools_leaves_none_open():
    clock = Clock()
    sending = pools(AsyncPools, None, clock=clock)
    crowd = [await sending.send(request()) for _ in range(4)]
    idle = sending.allocation.pools[1].carrier
    for response in crowd:
        await response.aclose()
    clock.now = 31
    call = asyncio.create_task(sending.send(request()))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0)
    assert idle.closed
    assert in_flight(sending) == 0


def test_a_thousand_calls_of_many_threads_lose_no_place():
    sending = pools(SyncPools, 7)

    def call():
        for _ in range(20):
            sending.send(request()).close()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_flight(sending) == 0
    assert not sending._waiting
    assert sum(pool.places for pool in sending.allocation.pools) <= 7


def failing_to_make(cls, *, fails_at):
    """Pools with one place, whose carriers cannot always be made."""
    made = itertools.count(1)

    def make(_):
        if next(made) == fails_at:
            raise MemoryError("no more")
        return Carrier(KeyboardInterrupt())

    allocation = Allocation(make, limit=1, places_per_pool=1, expiry=30, clock=Clock())
    return cls(allocation) if cls is SyncPools else cls(allocation, spoiled_by_cancelling=True)


async def test_who_waits_for_a_carrier_that_cannot_be_made_is_told_at_once():
    sending = failing_to_make(AsyncPools, fails_at=2)
    first = asyncio.create_task(sending.send(request(None)))
    second = asyncio.create_task(sending.send(request(None)))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(MemoryError):
        await second
    assert in_flight(sending) == 0


def test_and_so_is_a_thread_that_waits_for_one():
    sending = failing_to_make(SyncPools, fails_at=2)
    holder, caught = object(), []
    pool = sending._take(holder, None)

    def call():
        with pytest.raises(MemoryError) as raised:
            sending.send(request(None))
        caught.append(raised.value)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: sending._waiting)
    sending._give_back(pool, holder, spoiled=True)
    thread.join()
    assert len(caught) == 1
    assert in_flight(sending) == 0


def test_a_thread_that_gives_up_in_line_leaves_it():
    sending = pools(SyncPools)
    held, holder = sending.send(request()), object()

    def wait():
        with pytest.raises(httpx.PoolTimeout):
            sending._take(holder, None)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: sending._waiting)
    (waiter,) = sending._waiting
    sending.give_up(holder)
    assert not sending._waiting
    held.close()
    assert waiter.pool is None
    waiter.served.set()  # ends the thread
    thread.join()
    assert in_flight(sending) == 0


def test_an_interrupt_at_any_step_of_a_call_loses_no_place(monkeypatch):
    monkeypatch.setattr(registry, "_shared", registry._Shared())
    monkeypatch.setattr(registry, "_make_sync", lambda _: answering_pools())
    client = SunraClient(Settings.resolve("k", "http://localhost/v1", max_connections=1))
    asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
    for call in (lambda: client.create(asked), lambda: list(client.stream(asked))):
        call()
        for step in itertools.count(1):
            if not interrupted(call, step):
                break
            for sending in registry._shared.sync.values():
                assert (in_flight(sending), len(sending._waiting)) == (0, 0), step
        assert step > 100
        call()


class Answering(Carrier):
    def handle_request(self, request):
        kind = stream_bytes if b'"stream":true' in request.content else completion_bytes
        return httpx.Response(200, stream=Body([kind("plain")]))


def answering_pools():
    return SyncPools(
        Allocation(lambda _: Answering(), limit=1, places_per_pool=1, expiry=30, clock=Clock())
    )


def interrupted(call, step):
    """Whether a Ctrl-C was pressed at that line of our own code, counted from the call's first."""
    lines = itertools.count(1)

    def trace(frame, event, _):
        if "sunra_integrations" not in frame.f_code.co_filename:
            return None
        if event == "line" and next(lines) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
