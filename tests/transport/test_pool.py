"""Places are given back in every way a call can end, and waited for in the order of coming."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.connections.pool import AsyncPool, Pool, SyncPool
from tests.recorded_transport import Body
from tests.waiting import DEADLINE, until
from tests.wire_cases import completion_bytes, stream_bytes


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
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


def pool_of(cls, capacity=1, *answers, clock=None, **options):
    make = partial(Transport, *answers)
    return cls(make, capacity=capacity, clock=clock or Clock(), **options)


def request(patience=5.0):
    timeout = {"pool": patience}
    return httpx.Request("POST", "http://a/", content=b"", extensions={"timeout": timeout})


def in_use(pool):
    return len(pool.in_use)


def test_a_place_is_held_until_the_answer_is_closed():
    sending = pool_of(SyncPool)
    response = sending.send(request())
    assert in_use(sending) == 1
    response.close()
    response.close()
    assert in_use(sending) == 0


async def test_and_so_it_is_in_async():
    sending = pool_of(AsyncPool)
    response = await sending.send(request())
    assert in_use(sending) == 1
    await response.aclose()
    await response.aclose()
    assert in_use(sending) == 0


class Unclosable(Body):
    def close(self):
        raise httpx.ReadError("gone")

    async def aclose(self):
        raise httpx.ReadError("gone")


@pytest.mark.parametrize("fault", [httpx.ConnectError("no"), KeyboardInterrupt()])
async def test_a_call_that_fails_gives_its_place_back(fault):
    sending, sending_async = pool_of(SyncPool, 1, fault), pool_of(AsyncPool, 1, fault)
    with pytest.raises(type(fault)):
        sending.send(request())
    with pytest.raises(type(fault)):
        await sending_async.send(request())
    assert (in_use(sending), in_use(sending_async)) == (0, 0)


async def test_and_so_does_one_whose_connection_cannot_even_be_closed():
    sending = pool_of(SyncPool, 1, Unclosable([]))
    with pytest.raises(httpx.ReadError):
        sending.send(request()).close()
    sending_async = pool_of(AsyncPool, 1, Unclosable([]))
    response = await sending_async.send(request())
    with pytest.raises(httpx.ReadError):
        await response.aclose()
    assert (in_use(sending), in_use(sending_async)) == (0, 0)


async def test_who_waits_too_long_for_a_place_is_told_so_and_no_longer_stands_in_line():
    sending = pool_of(SyncPool)
    held = sending.send(request())
    with pytest.raises(httpx.PoolTimeout):
        sending.send(request(0.01))
    held.close()
    sending.send(request(0.01)).close()
    sending_async = pool_of(AsyncPool)
    held = await sending_async.send(request())
    with pytest.raises(httpx.PoolTimeout):
        await sending_async.send(request(0.01))
    await held.aclose()
    await (await sending_async.send(request(0.01))).aclose()
    assert (in_use(sending), in_use(sending_async)) == (0, 0)


def test_threads_are_served_in_the_order_they_came():
    sending = pool_of(SyncPool)
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
        until(lambda: len(sending.waiting) == len(threads))
    held.close()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]
    assert in_use(sending) == 0


async def test_tasks_are_served_in_the_order_they_came_and_none_pushes_in():
    sending = pool_of(AsyncPool)
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
    assert in_use(sending) == 0


@pytest.mark.parametrize("served_first", [True, False])
async def test_a_task_that_is_cancelled_in_line_takes_no_place_along(served_first):
    sending = pool_of(AsyncPool)
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
    assert in_use(sending) == 0
    await (await sending.send(request(0.01))).aclose()


async def test_a_task_that_is_cancelled_as_its_patience_ends_is_only_cancelled(caplog):
    sending = pool_of(AsyncPool)
    held = await sending.send(request())
    waiting = asyncio.create_task(sending.send(request()))
    await asyncio.sleep(0)
    sending.waiting[0][1].set_exception(httpx.PoolTimeout("late"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await held.aclose()
    assert in_use(sending) == 0
    gc.collect()
    assert caplog.records == []


def test_a_thread_that_is_served_as_its_patience_ends_gets_its_place(monkeypatch):
    sending = pool_of(SyncPool)
    held = sending.send(request())
    waits, goes_on, got = threading.Event(), threading.Event(), []

    def steps(_):
        waits.set()
        goes_on.wait(DEADLINE)
        yield 0

    def call():
        got.append(sending.send(request()))

    monkeypatch.setattr("sunra_integrations.transport.connections.pool.steps", steps)
    thread = threading.Thread(target=call)
    thread.start()
    waits.wait(DEADLINE)
    with sending._lock:
        goes_on.set()
        time.sleep(0.05)
        held.close()
    thread.join()
    got[0].close()
    assert in_use(sending) == 0


@pytest.mark.parametrize("is_shared", [True, False])
async def test_the_transport_of_a_cancelled_call_is_replaced_and_closed_unless_it_is_shared(
    is_shared,
):
    only = Transport()
    make = (lambda: only) if is_shared else Transport
    sending = AsyncPool(make, capacity=1, is_shared=is_shared)
    await (await sending.send(request())).aclose()
    (transport,) = sending.all_transports()
    call = asyncio.create_task(sending.send(request()))
    waiting = asyncio.create_task(sending.send(request()))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert transport.closed is not is_shared
    await (await waiting).aclose()
    assert (sending.all_transports() == {transport}) is is_shared
    assert in_use(sending) == 0
    await sending.aclose()
    assert only.closed is is_shared


async def test_transports_that_were_left_idle_are_closed_by_a_later_call():
    clock = Clock()
    sending = pool_of(SyncPool, None, clock=clock)
    crowd = [sending.send(request()) for _ in range(3)]
    transports = list(sending.in_use.values())
    for response in crowd:
        response.close()
    clock.now = 31
    sending.send(request()).close()
    assert [transport.closed for transport in transports] == [True, True, False]

    sending_async = pool_of(AsyncPool, None, clock=clock)
    crowd = [await sending_async.send(request()) for _ in range(3)]
    transports = list(sending_async.in_use.values())
    for response in crowd:
        await response.aclose()
    clock.now = 62
    await (await sending_async.send(request())).aclose()
    assert [transport.closed for transport in transports] == [True, True, False]


async def test_a_call_that_is_cancelled_while_it_closes_idle_pools_leaves_none_open():
    clock = Clock()
    sending = pool_of(AsyncPool, None, clock=clock)
    crowd = [await sending.send(request()) for _ in range(4)]
    idle = next(iter(sending.in_use.values()))
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
    assert in_use(sending) == 0


def test_a_thousand_calls_of_many_threads_lose_no_place():
    sending = pool_of(SyncPool, 7)

    def call():
        for _ in range(20):
            sending.send(request()).close()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_use(sending) == 0
    assert not sending.waiting
    assert len(sending.all_transports()) <= 7


def failing_to_make(cls, *, fails_at):
    """A pool for one call, whose transports cannot always be made."""
    made = itertools.count(1)

    def make():
        if next(made) == fails_at:
            raise MemoryError("no more")
        return Transport(KeyboardInterrupt())

    return cls(make, capacity=1, clock=Clock())


async def test_who_waits_for_a_carrier_that_cannot_be_made_is_told_at_once():
    sending = failing_to_make(AsyncPool, fails_at=2)
    first = asyncio.create_task(sending.send(request(None)))
    second = asyncio.create_task(sending.send(request(None)))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(MemoryError):
        await second
    assert in_use(sending) == 0


def test_and_so_is_a_thread_that_waits_for_one():
    sending = failing_to_make(SyncPool, fails_at=2)
    holder, caught = object(), []
    sending._acquire(holder, None)

    def call():
        with pytest.raises(MemoryError) as raised:
            sending.send(request(None))
        caught.append(raised.value)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: sending.waiting)
    sending.give_up(holder)
    thread.join()
    assert len(caught) == 1
    assert in_use(sending) == 0


def test_a_thread_that_gives_up_in_line_leaves_it():
    sending = pool_of(SyncPool)
    held, holder = sending.send(request()), object()

    def wait():
        with pytest.raises(CancelledError):
            sending._acquire(holder, None)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: sending.waiting)
    ((_, place),) = sending.waiting
    sending.give_up(holder)
    assert not sending.waiting
    held.close()
    assert not place.done()
    place.cancel()  # ends the thread
    thread.join()
    assert in_use(sending) == 0


def test_an_interrupt_at_any_step_of_a_call_loses_no_place(monkeypatch):
    # In a thread of its own: if a trace function raises in the first line of an `except` block,
    # CPython 3.11 makes the exception the context of all later ones of the thread.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(interrupt_every_step, monkeypatch).result(DEADLINE)


def interrupt_every_step(monkeypatch):
    monkeypatch.setattr(registry, "_shared", registry._Shared())
    monkeypatch.setattr(registry, "_make_sync", lambda _: SyncPool(Answering, capacity=1))
    client = SunraClient(Settings.resolve("k", "http://localhost/v1", max_connections=1))
    asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
    for call in (lambda: client.create(asked), lambda: list(client.stream(asked))):
        call()
        for step in itertools.count(1):
            if not interrupted(call, step):
                break
            for sending in registry._shared.sync.values():
                assert (in_use(sending), len(sending.waiting)) == (0, 0), step
        assert step > 100
        call()


class Answering(Transport):
    def handle_request(self, request):
        kind = stream_bytes if b'"stream":true' in request.content else completion_bytes
        return httpx.Response(200, stream=Body([kind("plain")]))


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


# ── which call uses which transport ──────────────────────────────────────────


@pytest.fixture
def clock():
    return Clock()


def numbered(capacity=None, clock=None, **options):
    """A pool whose transports are numbers."""
    numbers = itertools.count(1)
    return Pool(lambda: next(numbers), capacity=capacity, clock=clock or Clock(), **options)


def test_calls_one_after_another_use_one_transport():
    pool = numbered()
    for _ in range(10):
        assert pool.acquire("call") == 1
        pool.release("call")
    assert pool.all_transports() == {1}


def test_calls_at_once_have_a_transport_each_and_the_latest_idle_one_is_used_first():
    pool = numbered()
    assert [pool.acquire(call) for call in range(3)] == [1, 2, 3]
    pool.release(2)
    pool.release(0)
    assert [pool.acquire(call) for call in range(4, 7)] == [1, 3, 4]


@pytest.mark.parametrize("capacity", [1, 4, None])
def test_transports_in_use_and_idle_keep_to_the_capacity(capacity):
    pool = numbered(capacity)
    taken = [pool.acquire(call) for call in range(6)]
    assert taken.count(None) == 6 - (capacity or 6)
    for call in range(6):
        pool.release(call)
    assert len(pool.all_transports()) == (capacity or 6)


def test_transports_expire_when_they_were_idle_for_long_but_not_in_use(clock):
    pool = numbered(clock=clock)
    for call in range(3):
        pool.acquire(call)
    pool.release(0)
    clock.now = 29.0
    pool.release(1)
    assert pool.pop_expired() == []
    clock.now = 30.0
    assert pool.pop_expired() == [1]
    clock.now = 1000.0
    assert pool.pop_expired() == [2]
    assert pool.all_transports() == {3}


def test_a_transport_that_is_not_reusable_is_handed_out_for_closing_once():
    pool = numbered(1)
    pool.acquire("call")
    for _ in range(2):
        pool.release("call", reusable=False)
    assert (pool.pop_expired(), pool.pop_expired()) == ([1], [])
    assert pool.acquire("next") == 2


def test_a_call_that_is_released_twice_frees_no_other_call_s_place():
    pool = numbered(2)
    pool.acquire(1)
    pool.acquire(2)
    for _ in range(2):
        pool.release(1)
    assert list(pool.in_use) == [2]


def test_a_shared_transport_carries_all_calls_and_never_expires(clock):
    pool = Pool(lambda: "shared", capacity=None, is_shared=True, clock=clock)
    assert [pool.acquire(call) for call in range(100)] == ["shared"] * 100
    for call in range(100):
        pool.release(call, reusable=call % 2 == 0)
    clock.now = 1000.0
    assert pool.pop_expired() == []
    assert pool.all_transports() == {"shared"}


def test_a_pool_is_unused_after_as_long_as_an_idle_transport_is_kept(clock):
    pool = numbered(clock=clock)
    pool.acquire("call")
    clock.now = 31.0
    assert not pool.is_unused()
    pool.release("call")
    assert pool.is_unused()
    pool.acquire("call")
    pool.release("call")
    assert not pool.is_unused()


@given(
    capacity=st.one_of(st.none(), st.integers(1, 12)),
    steps=st.lists(st.one_of(st.just("acquire"), st.integers(0, 20), st.floats(0.1, 100))),
)
def test_whatever_happens_no_place_is_lost_and_no_transport_is_used_twice(capacity, steps):
    clock, held, closed = Clock(), [], set()
    pool = numbered(capacity, clock)
    for call, step in enumerate(steps):
        if step == "acquire":
            is_full = len(held) == capacity
            transport = pool.acquire(call)
            assert (transport is None) == is_full
            assert transport not in closed
            if transport is not None:
                held.append(call)
        elif isinstance(step, int):
            if held:
                pool.release(held.pop(step % len(held)), reusable=step % 5 != 0)
        else:
            clock.now += step
            closed.update(pool.pop_expired())
        in_use = list(pool.in_use.values())
        assert list(pool.in_use) == held
        assert len({*in_use}) == len(in_use)
        assert len(in_use) + len(pool.idle) <= (capacity or len(steps))
        assert not closed & pool.all_transports()
