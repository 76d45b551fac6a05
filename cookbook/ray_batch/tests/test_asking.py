from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from cookbook.ray_batch.asking import Asking, Patience
from cookbook.ray_batch.gate import BatchStopped, Gate
from cookbook.ray_batch.parts import Row
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Http, Sandbox

pytestmark = pytest.mark.network


@dataclass
class OpenGate:
    """Lets everything through and notes what it is told."""

    pauses: list[float] = field(default_factory=list)
    stopped: bool = False
    tokens: float = 0.0

    async def admit(self, tokens: float) -> None:
        self.tokens += tokens

    def correct(self, tokens: float) -> None:
        self.tokens += tokens

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


async def ask(sandbox: Sandbox, gate: OpenGate, patience: Patience | None = None) -> Row:
    model = ChatSunra(model="sandbox/echo", base_url=sandbox.base_url, max_retries=0)
    return await Asking(model, gate, patience or Patience()).row(3, "id", "Hello")


async def test_an_answer_is_kept_whole(sandbox: Sandbox, gate: OpenGate) -> None:
    row = await ask(sandbox, gate)
    assert (row.position, row.row_id, row.prompt, row.attempts) == (3, "id", "Hello", 1)
    assert (row.answer, row.finish_reason) == ("You said: Hello", "stop")
    assert row.message
    assert '"provider": "sandbox"' in row.message
    assert row.is_final


async def test_tokens_are_counted_as_the_server_counts_them(
    sandbox: Sandbox, gate: OpenGate
) -> None:
    row = await ask(sandbox, gate)
    assert row.input_tokens
    assert row.output_tokens
    assert gate.tokens == row.input_tokens + row.output_tokens


async def test_the_wait_that_a_server_asks_for_is_told_to_all(
    sandbox: Sandbox, gate: OpenGate
) -> None:
    sandbox.next(Http(429, b"", {"Retry-After": "7"}), Http(503, b"", {"Retry-After": "4000"}))
    row = await ask(sandbox, gate)
    assert gate.pauses == [7, 4000]
    assert (row.answer, row.attempts) == ("You said: Hello", 3)


async def test_a_server_that_does_not_say_how_long_is_given_more_time_each_time(
    sandbox: Sandbox, gate: OpenGate
) -> None:
    sandbox.next(*[Http(429, b"")] * 8)
    row = await ask(sandbox, gate)
    assert gate.pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert row.attempts == 9


async def test_a_row_that_is_given_up_still_tells_the_others_to_wait(
    sandbox: Sandbox, gate: OpenGate
) -> None:
    sandbox.next(Http(429, b"", {"Retry-After": "7"}))
    row = await ask(sandbox, gate, Patience(refusals=1))
    assert gate.pauses == [7]
    assert (row.error_type, row.error_status, row.error_retryable) == ("RateLimited", 429, True)
    assert not row.is_final


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "AuthenticationFailed"), (402, "InsufficientCredit"), (404, "NotFound")],
)
async def test_what_fails_every_row_stops_the_batch(
    sandbox: Sandbox, gate: OpenGate, status: int, kind: str
) -> None:
    sandbox.next(Http(status, {"error": "no"}))
    row = await ask(sandbox, gate)
    assert gate.stopped
    assert row.error_type == kind
    assert row.is_hopeless
    assert not row.is_final


class Remote:
    """A method of a Ray actor, as it is called."""

    def __init__(self, answers: list[int | Exception]) -> None:
        self.answers = answers
        self.calls: list[tuple[object, ...]] = []

    async def remote(self, *arguments: object) -> int:
        self.calls.append(arguments)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class FakeLimiter:
    admit: Remote


async def test_all_that_wait_are_asked_for_in_one_message() -> None:
    limiter = FakeLimiter(Remote([2, 1]))
    gate = Gate(limiter)
    gate.correct(-40)
    await asyncio.gather(gate.admit(1), gate.admit(2), gate.admit(3))
    assert limiter.admit.calls == [([1, 2, 3], -40), ([3], 0)]


async def test_whoever_waits_is_told_that_the_batch_is_stopped() -> None:
    gate = Gate(FakeLimiter(Remote([1, 0])))
    results = await asyncio.gather(*(gate.admit(1) for _ in range(3)), return_exceptions=True)
    assert results[0] is None
    assert [type(result) for result in results[1:]] == [BatchStopped] * 2


async def test_a_limiter_that_cannot_be_reached_fails_whoever_waits() -> None:
    gate = Gate(FakeLimiter(Remote([OSError("gone")])))
    results = await asyncio.gather(gate.admit(1), gate.admit(1), return_exceptions=True)
    assert [str(result) for result in results] == ["gone", "gone"]


async def test_a_call_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    gate = Gate(FakeLimiter(Remote([1, 1])))
    cancelled = asyncio.create_task(gate.admit(1))
    waiting = asyncio.create_task(gate.admit(1))
    await asyncio.sleep(0)
    cancelled.cancel()
    await waiting
    assert cancelled.cancelled()
