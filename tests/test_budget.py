"""Budgets: what counts, exactly once in every way to make a call, and what a spent one refuses."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import os
import pickle
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sunra_integrations import budget as budget_module
from sunra_integrations import errors
from sunra_integrations.budget import Budget, Price
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.errors import BudgetExceeded as LangChainBudgetExceeded
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import AsyncSunraClient, SunraClient
from sunra_integrations.usage import ModelUsage
from tests.children import python
from tests.recorded_transport import Answer, Recorded, completion, status, stream

MODEL = "openai/gpt-4o"
USAGE = {
    "prompt_tokens": 8,
    "completion_tokens": 2,
    "total_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 4},
    "cost": 0.01,
}
WITHOUT_COST = {name: value for name, value in USAGE.items() if name != "cost"}
ONE_CALL = ModelUsage(1, 8, 2, 4, 0, 0.01)
UNKNOWN = ModelUsage(calls=1, calls_without_cost=1)
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


def event(delta: Any = None, finish: str | None = None, usage: Any = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "gen-1", "model": "gpt-4o-2024", "choices": choices}
    return b"data: " + json.dumps(body if usage is None else {**body, "usage": usage}).encode()


def events(*parts: bytes) -> list[bytes]:
    return [part + b"\n\n" for part in parts]


TEXT = [event({"content": word}) for word in ("Hel", "lo")]
END, DONE = event({}, "stop"), b"data: [DONE]"


def whole(usage: Any = USAGE, **more: Any) -> Answer:
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
    body = {"id": "gen-1", "model": "gpt-4o-2024", "choices": [choice], **more}
    return completion(body if usage is None else {**body, "usage": usage})


def streamed(usage: Any = USAGE) -> Answer:
    last = [] if usage is None else [event(usage=usage)]
    return stream(*events(*TEXT, END, *last, DONE))


async def _collected(chunks: Any) -> list[Any]:
    return [one async for one in chunks]


async def _collected_later(chunks: Any) -> list[Any]:
    return await _collected(await chunks)


def model(kind: str, *answers: Answer, **fields: Any) -> tuple[Any, Recorded]:
    wire = Recorded(*answers)
    sync, asynchronous = httpx.Client(transport=wire), httpx.AsyncClient(transport=wire)
    given: dict[str, Any] = {"api_key": "k", "max_retries": 0, **fields}
    match kind:
        case "client":
            return SunraClient(http_client=sync, **given), wire
        case "async client":
            return AsyncSunraClient(http_client=asynchronous, **given), wire
        case "langchain":
            own = {"http_client": sync, "http_async_client": asynchronous}
            return ChatSunra(**{"model": MODEL, **own, **given}), wire
        case _:
            own = {"http_client": sync, "async_http_client": asynchronous}
            return Sunra(**{"model": MODEL, **own, **given}), wire


WHOLE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "create": ("client", lambda client: client.create(ASKED)),
    "async create": ("async client", lambda client: asyncio.run(client.create(ASKED))),
    "invoke": ("langchain", lambda chat: chat.invoke("Hi")),
    "ainvoke": ("langchain", lambda chat: asyncio.run(chat.ainvoke("Hi"))),
    "complete": ("llama_index", lambda llm: llm.complete("Hi")),
    "acomplete": ("llama_index", lambda llm: asyncio.run(llm.acomplete("Hi"))),
}
STREAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "stream": ("client", lambda client: list(client.stream(ASKED))),
    "async stream": (
        "async client",
        lambda client: asyncio.run(_collected(client.stream(ASKED))),
    ),
    "langchain stream": ("langchain", lambda chat: list(chat.stream("Hi"))),
    "astream": ("langchain", lambda chat: asyncio.run(_collected(chat.astream("Hi")))),
    "stream_complete": ("llama_index", lambda llm: list(llm.stream_complete("Hi"))),
    "astream_complete": (
        "llama_index",
        lambda llm: asyncio.run(_collected_later(llm.astream_complete("Hi"))),
    ),
}
WAYS = {**WHOLE, **STREAMED}
ways = pytest.mark.parametrize("way", WAYS)


def answer_of(way: str, usage: Any = USAGE) -> Answer:
    return whole(usage) if way in WHOLE else streamed(usage)


def made(way: str, *answers: Answer, **fields: Any) -> tuple[Callable[[], Any], Recorded]:
    """A call in this way, and what it sends."""
    kind, call = WAYS[way]
    made_model, wire = model(kind, *answers, **fields)
    return lambda: call(made_model), wire


# ── counting and refusing ────────────────────────────────────────────────────


@ways
def test_a_call_counts_once_with_its_tokens_and_cost(way):
    budget = Budget(usd=1)
    call, _ = made(way, answer_of(way), budget=budget)
    call()
    assert budget.spent == ONE_CALL
    assert dict(budget.by_model()) == {MODEL: ONE_CALL}


@ways
@pytest.mark.parametrize(
    ("limits", "spent", "unit"),
    [({"usd": 0.02}, 0.02, "usd"), ({"tokens": 11}, 20, "tokens"), ({"calls": 2}, 2, "calls")],
)
def test_a_spent_budget_refuses_the_next_call_before_it_is_sent(way, limits, spent, unit):
    call, wire = made(way, answer_of(way), budget=Budget(**limits))
    call()
    call()
    with pytest.raises(errors.BudgetExceeded) as refused:
        call()
    assert len(wire.sent) == 2
    assert (refused.value.spent, refused.value.limit) == (spent, limits[unit])
    assert refused.value.unit == unit
    assert not refused.value.retryable
    is_langchain = WAYS[way][0] == "langchain"
    assert isinstance(refused.value, LangChainBudgetExceeded) == is_langchain


def test_nothing_is_resolved_or_connected_for_a_refused_call(monkeypatch):
    looked_up = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *asked, **_: looked_up.append(asked))
    client = SunraClient(api_key="k", base_url="https://example.invalid", budget=Budget(calls=0))
    with pytest.raises(errors.BudgetExceeded):
        client.create(ASKED)
    assert not looked_up


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(usd=0), r"^The budget of \$0.00 is spent: \$0.00\. Raise .*`budget.usd = …`"),
        (Budget(tokens=0), r"^The budget of 0 tokens is spent: 0\."),
        (Budget(calls=0), r"^The budget of 0 calls is spent: 0\."),
    ],
)
def test_the_error_says_which_limit_and_how_to_go_on(budget, message):
    with pytest.raises(errors.BudgetExceeded, match=message):
        model("client", whole(), budget=budget)[0].create(ASKED)


def test_a_raised_limit_lets_calls_continue():
    budget = Budget(calls=1)
    client, wire = model("client", whole(), budget=budget)
    client.create(ASKED)
    budget.calls = 2
    client.create(ASKED)
    assert len(wire.sent) == 2


def test_costs_add_up_as_decimal_numbers():
    budget = Budget(usd=0.3)
    client, wire = model("client", whole({**USAGE, "cost": 0.1}), budget=budget)
    for _ in range(3):
        client.create(ASKED)
    with pytest.raises(errors.BudgetExceeded):
        client.create(ASKED)
    assert budget.spent.cost == 0.3
    assert len(wire.sent) == 3


# ── what is billed ───────────────────────────────────────────────────────────


@ways
@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (status(400, b'{"error": "no"}'), errors.BadRequest),
        (status(503), errors.ServerFailed),
        (httpx.ConnectError("refused"), errors.ConnectionFailed),
        (httpx.ReadTimeout("late"), errors.TimedOut),
    ],
    ids=["400", "503", "connection", "timeout"],
)
def test_a_call_without_a_response_that_is_billed_does_not_count(way, failure, error):
    budget = Budget(calls=1)
    call, wire = made(way, failure, answer_of(way), budget=budget)
    with pytest.raises(error):
        call()
    assert budget.spent == ModelUsage()
    call()  # the place that was reserved is free again
    assert budget.spent == ONE_CALL
    assert len(wire.sent) == 2


def test_an_invalid_request_does_not_count():
    budget = Budget(calls=1)
    client, _ = model("client", whole(), budget=budget)
    with pytest.raises(errors.InvalidParameter):
        client.create({**ASKED, "messages": [{"role": "user", "content": float("nan")}]})
    client.create(ASKED)
    assert budget.spent == ONE_CALL


@ways
def test_a_retry_belongs_to_its_call(way):
    budget = Budget(calls=1)
    busy = status(503, retry_after="0")
    call, wire = made(way, busy, busy, answer_of(way), budget=budget, max_retries=2)
    call()
    assert len(wire.sent) == 3
    assert budget.spent == ONE_CALL


BROKEN = httpx.ReadError("reset")


@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (events(*TEXT), UNKNOWN),
        ([*events(*TEXT), BROKEN], UNKNOWN),
        ([*events(event({"content": "Hel"}, usage=USAGE), *TEXT), BROKEN], ONE_CALL),
        (events(*TEXT, event({"content": "!"}, usage=USAGE), event(usage=WITHOUT_COST)), None),
        ([b'data: {"error": {"message": "overloaded"}}\n\n'], UNKNOWN),
        ([b"data: {damaged\n\n"], UNKNOWN),
        ([], UNKNOWN),
    ],
    ids=["cut", "broken", "cumulative", "latest", "error", "damaged", "empty"],
)
def test_an_interrupted_stream_counts_with_the_usage_received(way, pieces, expected):
    budget = Budget(usd=1)
    call, _ = made(way, stream(*pieces), answer_of(way), budget=budget)
    with pytest.raises(errors.SunraError):
        call()
    first = expected or ModelUsage(1, 8, 2, 4, calls_without_cost=1)
    assert budget.spent == first
    call()  # what an interrupted stream did not report refuses nothing
    assert budget.spent == first + ONE_CALL


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (stream(b'{"id": "gen-1", "choices": [', BROKEN), UNKNOWN),
        (completion(b"<html>"), UNKNOWN),
        (completion({"choices": [], "usage": USAGE}), ONE_CALL),
        (whole(error={"message": "overloaded"}), ONE_CALL),
    ],
    ids=["broken", "page", "no choices", "error beside a choice"],
)
def test_an_unusable_completion_counts_with_the_usage_received(way, answer, expected):
    budget = Budget(usd=1)
    call, _ = made(way, answer, answer_of(way), budget=budget)
    with pytest.raises(errors.SunraError):
        call()
    assert budget.spent == expected
    call()
    assert budget.spent == expected + ONE_CALL


@pytest.mark.parametrize("way", STREAMED)
def test_a_connection_that_breaks_before_the_usage_refuses_nothing(way):
    budget = Budget(usd=1)
    whole_but_usage = stream(*events(*TEXT, END), BROKEN)
    call, _ = made(way, whole_but_usage, answer_of(way), budget=budget)
    call()
    assert budget.spent == UNKNOWN
    call()
    assert budget.spent == UNKNOWN + ONE_CALL


def test_a_completion_in_place_of_a_stream_counts_with_its_usage():
    budget = Budget()
    client, _ = model("client", whole(), budget=budget)
    with pytest.raises(errors.UnreadableResponse):
        list(client.stream(ASKED))
    assert budget.spent == ONE_CALL


CUMULATIVE = events(*(event({"content": "a"}, usage=USAGE) for _ in range(3)), END, DONE)


def _close(chunks: Any) -> None:
    chunks.close()


def _drop(chunks: Any) -> None:
    del chunks
    gc.collect()


def _interrupt(chunks: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        chunks.throw(KeyboardInterrupt)


@pytest.mark.parametrize("leave", [_close, _drop, _interrupt])
@pytest.mark.parametrize(
    ("pieces", "expected"), [(CUMULATIVE, ONE_CALL), (events(*TEXT, END), UNKNOWN)]
)
def test_an_abandoned_stream_counts_once_as_far_as_known(leave, pieces, expected):
    budget = Budget(usd=1, calls=2)
    client, _ = model("client", stream(*pieces), streamed(), budget=budget)
    chunks = client.stream(ASKED)
    next(chunks)
    assert budget.spent.calls == 0
    leaving = [chunks]
    del chunks
    leave(leaving.pop())
    assert budget.spent == expected
    list(client.stream(ASKED))
    assert budget.spent == expected + ONE_CALL
    with pytest.raises(errors.BudgetExceeded):
        next(client.stream(ASKED))


async def test_an_abandoned_or_cancelled_async_call_counts_once_as_far_as_known():
    budget = Budget()
    client, _ = model("async client", stream(*CUMULATIVE), budget=budget)
    chunks = client.stream(ASKED)
    await anext(chunks)
    await chunks.aclose()
    assert budget.spent == ONE_CALL

    began = asyncio.Event()

    async def read() -> None:
        async for _ in client.stream(ASKED):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(read())
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)  # the event loop closes the generator
    gc.collect()
    await asyncio.sleep(0)
    assert budget.spent == ONE_CALL + ONE_CALL


def test_a_stream_left_open_when_its_event_loop_ends_counts():
    budget = Budget(calls=1)
    client, _ = model("async client", stream(*CUMULATIVE), budget=budget)
    streams = [client.stream(ASKED)]

    async def begin() -> None:
        await anext(streams[0])  # in the event loop, which will close the generator

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    streams.clear()
    gc.collect()
    assert budget.spent == ONE_CALL


def test_a_call_that_is_interrupted_at_its_end_counts(monkeypatch):
    interrupts: list[type[BaseException]] = [KeyboardInterrupt]
    counted_model = budget_module._counted_model

    def interrupted(*given: Any) -> str:
        if interrupts:
            raise interrupts.pop()
        return counted_model(*given)

    monkeypatch.setattr(budget_module, "_counted_model", interrupted)
    budget = Budget()
    client, _ = model("client", whole(), budget=budget)
    try:
        client.create(ASKED)
    except KeyboardInterrupt as error:
        error.__traceback__ = None
    gc.collect()
    assert not interrupts
    assert budget.spent == ONE_CALL
    assert not budget.ledger.in_progress


def test_a_stream_that_never_began_does_not_count():
    budget = Budget(calls=1)
    client, wire = model("client", streamed(), budget=budget)
    client.stream(ASKED).close()
    list(client.stream(ASKED))
    assert budget.spent.calls == len(wire.sent) == 1


# ── replies without cost or usage ────────────────────────────────────────────


@ways
def test_tokens_count_without_a_cost(way):
    budget = Budget(tokens=20)
    call, wire = made(way, answer_of(way, WITHOUT_COST), budget=budget)
    call()
    call()
    with pytest.raises(errors.BudgetExceeded):
        call()
    assert len(wire.sent) == 2
    assert budget.spent == ModelUsage(2, 16, 4, 8, calls_without_cost=2)


@ways
def test_with_a_limit_in_dollars_a_reply_without_cost_refuses_the_next_call(way):
    budget = Budget(usd=1)
    call, wire = made(way, answer_of(way, WITHOUT_COST), budget=budget)
    assert call()  # this reply is paid for
    with pytest.raises(errors.ConfigurationError, match=f"{MODEL} reported no cost.*prices="):
        call()
    assert len(wire.sent) == 1
    budget.prices[MODEL] = Price(input=1, output=1)
    call()
    assert budget.spent.cost == 0.00001


def test_each_model_without_cost_needs_its_own_price():
    budget = Budget(usd=1)
    client, wire = model("client", whole(WITHOUT_COST), budget=budget)
    for name in ("a/a", "b/b"):
        client.create({**ASKED, "model": name})
        with pytest.raises(errors.ConfigurationError, match=f"{name} reported no cost"):
            client.create({**ASKED, "model": "c/c"})
        budget.prices[name] = Price(input=1, output=1)
    assert len(wire.sent) == 2


def test_negative_numbers_give_nothing_back():
    negative = {"prompt_tokens": -8, "completion_tokens": -2, "cost": -0.01}
    budget = Budget(calls=2)
    client, _ = model("client", whole(), whole(negative), budget=budget)
    client.create(ASKED)
    client.create(ASKED)
    assert budget.spent == ONE_CALL + UNKNOWN


@pytest.mark.parametrize("limits", [{"usd": 1}, {"tokens": 100}, {"usd": 1, "tokens": 100}])
@ways
def test_a_complete_reply_without_usage_refuses_the_next_call(way, limits):
    prices = {MODEL: Price(input=1, output=1)}
    call, wire = made(way, answer_of(way, None), budget=Budget(**limits, prices=prices))
    call()
    with pytest.raises(errors.ConfigurationError, match=f"{MODEL} reported no token usage.*calls"):
        call()
    assert len(wire.sent) == 1


@ways
def test_without_a_limit_that_needs_them_usage_and_cost_may_be_missing(way):
    budget = Budget(calls=2)
    call, _ = made(way, answer_of(way, None), answer_of(way, WITHOUT_COST), budget=budget)
    call()
    call()
    assert budget.spent == ModelUsage(2, 8, 2, 4, calls_without_cost=2)


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (Price(input=2.5, output=10), 8 * 2.5 + 2 * 10),
        (Price(input=2.5, output=10, cached_input=1.25), 4 * 2.5 + 4 * 1.25 + 2 * 10),
        (Price(input=0, output=0), 0),
    ],
)
def test_a_price_makes_the_cost_of_a_reply_that_reports_none(price, cost):
    budget = Budget(usd=1, prices={MODEL: price})
    client, _ = model("client", whole(WITHOUT_COST), whole(), budget=budget)
    client.create(ASKED)
    assert budget.spent.cost == cost / 1_000_000
    assert budget.spent.calls_without_cost == 0
    client.create(ASKED)  # a reported cost comes first
    assert budget.spent.cost == pytest.approx(cost / 1_000_000 + 0.01)


# ── models ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, MODEL),
        ({"provider": {"only": ["azure"]}}, MODEL),
        ({"extra_body": {"model": "a/other"}}, "a/other"),
        ({"extra_body": {"models": [MODEL, "a/other"]}}, "gpt-4o-2024"),
    ],
)
def test_a_call_counts_under_the_model_of_the_request_unless_the_gateway_chooses(body, expected):
    budget = Budget()
    client, _ = model("client", whole(), budget=budget)
    client.create({**ASKED, **body})
    assert list(budget.by_model()) == [expected]
    client, _ = model("client", streamed(), budget=budget)
    list(client.stream({**ASKED, **body}))
    assert budget.by_model()[expected].calls == 2


# ── several budgets ──────────────────────────────────────────────────────────


@ways
def test_a_with_block_counts_every_call_inside_it(way):
    call, wire = made(way, answer_of(way))
    with Budget(calls=2) as budget:
        call()
        with Budget() as inner:
            call()
        with pytest.raises(errors.BudgetExceeded):
            call()
    call()
    assert (budget.spent.calls, inner.spent.calls, len(wire.sent)) == (2, 1, 3)


def test_all_budgets_that_apply_are_checked_first_and_count_once_each():
    company = Budget(calls=10)
    team = Budget(calls=1, parent=company)
    client, wire = model("client", whole(), budget=team)
    with Budget() as block, team:  # the same budget twice
        client.create(ASKED)
        with pytest.raises(errors.BudgetExceeded):
            client.create(ASKED)
        team.calls = 2
        client.create(ASKED)
    assert [one.spent.calls for one in (company, team, block)] == [2, 2, 2]
    assert len(wire.sent) == 2


def test_a_parent_refuses_for_all_its_children():
    company = Budget(calls=1)
    clients = [
        model("client", whole(), budget=Budget(calls=5, parent=company))[0] for _ in range(2)
    ]
    clients[0].create(ASKED)
    with pytest.raises(errors.BudgetExceeded):
        clients[1].create(ASKED)


def test_a_block_in_an_abandoned_generator_counts_no_later_calls():
    async def go() -> int:
        budget = Budget(calls=5)

        async def words() -> Any:
            with budget:
                yield

        generator = words()
        await anext(generator)
        del generator  # the event loop closes it in a task, which has a context of its own
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        client, _ = model("async client", whole())
        await client.create(ASKED)
        return budget.spent.calls

    assert asyncio.run(go()) == 0


def test_a_task_that_outlives_the_block_is_not_counted_any_more():
    async def go() -> int:
        client, _ = model("async client", whole(), whole())
        left = asyncio.Event()

        async def call_later() -> None:
            await left.wait()
            await client.create(ASKED)

        with Budget() as budget:
            task = asyncio.create_task(call_later())
        left.set()
        await task
        return budget.spent.calls

    assert asyncio.run(go()) == 0


def test_a_block_may_be_left_in_another_context():
    async def go() -> int:
        budget = Budget()

        async def block() -> Any:
            with budget:
                yield

        generator = block()
        await asyncio.create_task(anext(generator, None))  # entered in the context of a task
        await generator.aclose()
        client, _ = model("async client", whole())
        await client.create(ASKED)
        return budget.spent.calls

    assert asyncio.run(go()) == 0


# ── concurrency ──────────────────────────────────────────────────────────────


class Gate(Recorded):
    """Holds back each response until the given number of requests have arrived."""

    def __init__(self, answer: Answer, requests: int) -> None:
        super().__init__(answer)
        self.barrier = threading.Barrier(requests)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        response = super()._answer(request)
        self.barrier.wait(60)
        return response


def test_the_limit_of_calls_is_exact_in_threads():
    budget = Budget(calls=10)
    wire = Recorded(whole())
    http = httpx.Client(transport=wire)

    def call(_: int) -> bool:
        try:
            SunraClient(api_key="k", http_client=http, budget=budget).create(ASKED)
        except errors.BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        allowed = list(threads.map(call, range(100)))
    assert sum(allowed) == len(wire.sent) == budget.spent.calls == 10


def test_calls_in_progress_are_reserved():
    budget = Budget(calls=2)
    client, wire = model("client", stream(*CUMULATIVE), budget=budget)
    first, second = client.stream(ASKED), client.stream(ASKED)
    next(first)
    next(second)
    with pytest.raises(errors.BudgetExceeded) as refused:
        next(client.stream(ASKED))
    assert refused.value.spent == 2
    first.close()
    second.close()
    assert len(wire.sent) == budget.spent.calls == 2


def test_dollars_and_tokens_are_exceeded_by_the_calls_in_progress_at_most():
    together = 4
    budget = Budget(usd=0.03)  # three calls
    wire = Gate(whole(), together)
    client = SunraClient(
        api_key="k", http_client=httpx.Client(transport=wire), budget=budget, max_retries=0
    )
    with ThreadPoolExecutor(together) as threads:
        list(threads.map(lambda _: client.create(ASKED), range(together)))
    with pytest.raises(errors.BudgetExceeded):
        client.create(ASKED)
    assert budget.spent.cost == 0.04  # one more than the limit: those that were in progress


def test_one_budget_counts_in_several_event_loops_at_once():
    budget = Budget()

    async def many() -> None:
        client, _ = model("async client", whole(), budget=budget)
        await asyncio.gather(*(client.create(ASKED) for _ in range(20)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: asyncio.run(many()), range(4)))
    assert budget.spent.calls == 80
    assert budget.spent.cost == 0.8


def test_the_end_of_a_call_waits_for_no_lock():
    """The garbage collector may end a stream while its thread holds the lock."""
    budget = Budget()
    client, _ = model("client", stream(*CUMULATIVE), budget=budget)
    chunks = client.stream(ASKED)
    next(chunks)
    with budget_module._lock:
        in_thread = threading.Thread(target=chunks.close)
        in_thread.start()
        in_thread.join(60)
        assert not in_thread.is_alive()
    assert budget.spent == ONE_CALL


def test_a_budget_can_be_read_while_it_is_being_counted():
    """As a signal handler does."""
    budget = Budget()
    seen = []

    class Reading(dict[str, ModelUsage]):
        def get(self, *given: Any) -> Any:
            found = super().get(*given)
            seen.append(budget.spent.calls)
            return found

    client, _ = model("client", stream(*CUMULATIVE), budget=budget)
    both = [client.stream(ASKED) for _ in range(2)]
    for chunks in both:
        next(chunks)
    for chunks in both:
        chunks.close()
    budget.ledger.usages = Reading(budget.ledger.usages)
    assert budget.spent == ONE_CALL + ONE_CALL
    assert seen == [0, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_inherit_a_lock_that_is_held():
    done = python(
        "-W",
        "ignore::DeprecationWarning",  # Python 3.12 warns of threads at a fork
        "-c",
        """
import os, threading
from sunra_integrations import budget
held, leave = threading.Event(), threading.Event()
def hold():
    with budget._lock:
        held.set()
        leave.wait()
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if not child:
    budget.Budget().spent
    os._exit(7)
leave.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    )
    assert done.stdout.strip() == "7", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_forked_while_calls_are_counted_counts_its_own():
    done = python(
        "-W",
        "ignore::DeprecationWarning",  # Python 3.12 warns of threads at a fork
        "-c",
        """
import os, threading
import httpx
from sunra_integrations.budget import Budget
from sunra_integrations.transport import SunraClient
counting, leave, main = threading.Event(), threading.Event(), threading.get_ident()
class Slow(dict):
    def get(self, *given):
        if threading.get_ident() != main:
            counting.set()
            leave.wait()
        return super().get(*given)
budget = Budget()
budget.ledger.usages = Slow()
body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"cost": 1}}
wire = httpx.MockTransport(lambda request: httpx.Response(200, json=body))
client = SunraClient(api_key="k", http_client=httpx.Client(transport=wire), budget=budget)
asked = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
client.create(asked)
threading.Thread(target=lambda: budget.spent).start()
counting.wait()
child = os.fork()
if not child:
    client.create(asked)
    os._exit(budget.spent.calls)
leave.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    )
    assert done.stdout.strip() == "1", done.stderr


# ── values ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"usd": -1}, "`usd` must be a number of at least 0, got -1"),
        ({"usd": "5"}, "`usd` must be a number of at least 0, got '5'"),
        ({"usd": float("nan")}, "`usd` must be a number"),
        ({"usd": float("inf")}, "`usd` must be a number"),
        ({"usd": True}, "`usd` must be a number"),
        ({"tokens": 1.5}, "`tokens` must be an integer of at least 0, got 1.5"),
        ({"calls": -1}, "`calls` must be an integer of at least 0"),
        ({"prices": {"a/b": 3}}, "`prices` must be a dict of a Price by model"),
        ({"prices": [Price(1, 1)]}, "`prices` must be a dict of a Price by model"),
        ({"parent": 5}, "`parent` must be a Budget, such as .*, got int"),
    ],
)
def test_an_invalid_limit_is_refused(given, message):
    with pytest.raises(errors.InvalidParameter, match=message):
        Budget(**given)


@pytest.mark.parametrize("given", [{"input": -1}, {"output": None}, {"cached_input": "1"}])
def test_an_invalid_price_is_refused(given):
    with pytest.raises(errors.InvalidParameter, match=f"`{next(iter(given))}` must be a number"):
        Price(**{"input": 1, "output": 1, **given})


@pytest.mark.parametrize(
    ("name", "value"),
    [("usd", "5"), ("tokens", 1.5), ("calls", -1), ("prices", None), ("prices", {MODEL: 3})],
)
def test_an_invalid_limit_is_refused_later_too(name, value):
    budget = Budget(usd=1)
    with pytest.raises(errors.InvalidParameter, match=f"`{name}` must be"):
        setattr(budget, name, value)
    assert budget.to_dict() == Budget(usd=1).to_dict()


def test_a_price_that_raises_loses_no_call():
    budget = Budget(prices={MODEL: Price(input=1, output=1)})
    client, _ = model("client", whole(WITHOUT_COST), budget=budget)
    client.create(ASKED)
    budget.prices[MODEL] = 3  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        _ = budget.spent
    budget.prices[MODEL] = Price(input=1, output=1)
    assert budget.spent.calls == 1
    assert not budget.ledger.in_progress


def test_a_limit_can_be_a_number_of_numpy():
    class Float64(float):
        def __repr__(self) -> str:
            return f"np.float64({self})"

        __str__ = float.__repr__

    budget = Budget(usd=Float64(0.01))
    client, _ = model("client", whole(), budget=budget)
    client.create(ASKED)
    with pytest.raises(errors.BudgetExceeded, match=r"The budget of \$0\.01 is spent"):
        client.create(ASKED)
    assert "of $0.01" in repr(budget)


@pytest.mark.parametrize("kind", ["client", "async client", "langchain", "llama_index"])
def test_something_else_is_not_taken_for_a_budget(kind):
    with pytest.raises(errors.InvalidParameter, match="`budget`") as refused:
        model(kind, whole(), budget=5)
    ours = [one for one in traceback.walk_tb(refused.tb) if "sunra" in one[0].f_code.co_filename]
    assert ours
    assert not [frame for frame, _ in ours if "'api_key'" in str(frame.f_locals)]


def test_a_budget_continues_after_a_restart():
    budget = Budget(usd=0.02, calls=5, prices={"a/b": Price(1, 2, 0.5)})
    client, _ = model("client", whole(), budget=budget)
    client.create(ASKED)
    stored = json.dumps(budget.to_dict())
    again = Budget.from_dict(json.loads(stored))
    assert again.to_dict() == budget.to_dict()
    assert again.spent == budget.spent == ONE_CALL
    client, wire = model("client", whole(), budget=again)
    client.create(ASKED)
    with pytest.raises(errors.BudgetExceeded):
        client.create(ASKED)
    assert len(wire.sent) == 1


def test_a_restart_does_not_forget_that_a_cost_is_unknown():
    budget = Budget(usd=1)
    model("client", whole(WITHOUT_COST), budget=budget)[0].create(ASKED)
    stored = budget.to_dict()
    with pytest.raises(errors.ConfigurationError):
        model("client", whole(), budget=Budget.from_dict(stored))[0].create(ASKED)
    priced = Budget.from_dict({**stored, "prices": {MODEL: {"input": 1, "output": 2}}})
    model("client", whole(), budget=priced)[0].create(ASKED)


def test_a_loaded_budget_can_have_a_parent():
    parent = Budget()
    again = Budget.from_dict(Budget(calls=1).to_dict(), parent=parent)
    model("client", whole(), budget=again)[0].create(ASKED)
    assert parent.spent == ONE_CALL


@pytest.mark.parametrize(
    "data", [{}, [], {"usd": 1}, {**Budget().to_dict(), "spent": {"a/b": {"call": 1}}}]
)
def test_a_dict_that_is_not_a_budget_is_refused(data):
    with pytest.raises(errors.InvalidParameter, match="not a budget from `to_dict`"):
        Budget.from_dict(data)


@pytest.mark.parametrize("kind", ["budget", "client", "async client", "langchain", "llama_index"])
def test_pickling_says_why_it_is_refused_and_what_to_do(kind):
    budget = Budget(usd=1)
    given: Any = budget
    if "client" in kind:
        cls = SunraClient if kind == "client" else AsyncSunraClient
        given = cls(api_key="k", budget=budget)
    elif kind != "budget":
        cls = ChatSunra if kind == "langchain" else Sunra
        given = cls(model=MODEL, api_key="k", budget=budget)
    with pytest.raises(pickle.PicklingError, match=r"each process would spend all of it.*to_dict"):
        pickle.dumps(given)


COPIES: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy}
MODEL_COPIES: dict[str, Callable[[Any], Any]] = {
    **COPIES,
    "model_copy": lambda one: one.model_copy(update={"temperature": 0}),
    "deep model_copy": lambda one: one.model_copy(deep=True),
}


@pytest.mark.parametrize("way", MODEL_COPIES)
@pytest.mark.parametrize("kind", ["client", "async client", "langchain", "llama_index"])
def test_copies_share_the_budget(kind, way):
    budget = Budget()
    if "client" in kind:
        client, _ = model(kind, whole(), budget=budget)
        again = COPIES.get(way, copy.copy)(client)
        assert again._budget is budget
    else:
        again = MODEL_COPIES[way](model(kind, whole(), budget=budget)[0])
        assert again.budget is budget


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), "<Budget: $0.00, 0 tokens, 0 calls>"),
        (
            Budget(usd=5, tokens=1_000_000, calls=20),
            "<Budget: $0.00 of $5.00, 0 of 1,000,000 tokens, 0 of 20 calls>",
        ),
    ],
)
def test_the_repr_shows_what_is_spent_of_which_limits(budget, expected):
    assert repr(budget) == expected


def test_the_package_of_the_budget_needs_no_framework():
    done = python(
        "-c",
        "import sys; from sunra_integrations.budget import Budget; Budget(usd=1)\n"
        "print({'langchain_core', 'llama_index', 'httpx'} & set(sys.modules))",
    )
    assert done.stdout.strip() == "set()", done.stderr
