from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from cookbook.ray_batch.asking import Patience
from cookbook.ray_batch.batch import Plan
from cookbook.ray_batch.manifest import OtherBatch
from cookbook.ray_batch.pace import Limits
from cookbook.ray_batch.tests.conftest import CHUNK, KEY, Batch
from cookbook.ray_batch.worker import Summary
from sunra_integrations.sandbox import Http

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("ray")]


def say(count: int) -> list[str]:
    return [f"Say {number}" for number in range(count)]


def test_every_prompt_is_answered_once_and_a_second_run_asks_nothing(prompts: Batch) -> None:
    prompts.of(*say(305))

    outcome = prompts.run()

    assert outcome.is_complete
    assert outcome.calls == 305
    prompts.assert_all_answered_once()
    assert set(prompts.asked().values()) == {1}
    assert prompts.run().calls == 0
    assert len(prompts.sandbox.requests) == 305
    assert KEY not in (prompts.answers / "_batch.json").read_text("utf-8")


def test_a_killed_worker_loses_no_answer_and_doubles_none(prompts: Batch) -> None:
    prompts.of(*say(200))
    killed = threading.Event()
    summaries: list[Summary] = []

    def answer(request: dict[str, list[dict[str, str]]]) -> None:
        chunk, place = divmod(int(request["messages"][-1]["content"].split()[1]), CHUNK)
        if chunk and not place:  # no chunk but the first is done before the worker is killed
            killed.wait(60)

    def heard(summary: Summary) -> None:
        if not killed.is_set():
            os.kill(summary.process, signal.SIGKILL)
            killed.set()
        summaries.append(summary)

    prompts.sandbox.answer_with(answer)
    outcome = prompts.run(heard=heard)

    assert outcome.is_complete
    prompts.assert_all_answered_once()
    assert sorted(summary.chunk for summary in summaries) == list(range(20))
    first, *later = summaries
    assert first.chunk == 0
    assert first.process not in {summary.process for summary in later}
    # Only what the worker was at is asked again: the other chunk that it had, or the next.
    again = {int(prompt.split()[1]) // CHUNK for prompt, n in prompts.asked().items() if n > 1}
    assert 0 < len(again) <= 2
    assert first.chunk not in again


def test_a_wait_that_the_server_asks_one_worker_for_is_kept_by_all(prompts: Batch) -> None:
    prompts.of(*say(120))
    arrivals: list[float] = []
    lock = threading.Lock()

    def answer(_: object) -> Http | None:
        with lock:
            arrivals.append(time.monotonic())
            return (
                Http(429, {"error": "slow down"}, {"Retry-After": "3"}) if is_fortieth() else None
            )

    def is_fortieth() -> bool:
        return len(arrivals) == 40

    prompts.sandbox.answer_with(answer)
    outcome = prompts.run(Plan(workers=2, calls_in_flight=4, limits=Limits(1200)))

    assert outcome.is_complete
    assert outcome.calls == 121
    prompts.assert_all_answered_once()
    refused = arrivals[39]
    during = [moment for moment in arrivals if refused < moment < refused + 3]
    # Sixty would come in three seconds at this rate. What was on its way may still arrive.
    assert len(during) < 30
    assert len([moment for moment in arrivals if moment >= refused + 3]) >= 81 - 30


def test_all_workers_together_keep_the_limit(prompts: Batch) -> None:
    prompts.of(*say(60))
    arrivals: list[float] = []

    prompts.sandbox.answer_with(lambda _: arrivals.append(time.monotonic()))
    prompts.run(Plan(workers=2, calls_in_flight=8, limits=Limits(requests_per_minute=600)))

    # Ten a second, after the ten at most that were saved up: five seconds. Alone, each worker
    # would take half as long.
    assert max(arrivals) - min(arrivals) > 3.5


def test_a_row_that_cannot_be_answered_fails_alone_and_for_good(prompts: Batch) -> None:
    prompts.of(*say(25), "poison", None)

    def answer(request: dict[str, object]) -> Http | None:
        poisoned = "poison" in str(request["messages"])
        return Http(400, {"error": {"message": "no such thing"}}) if poisoned else None

    prompts.sandbox.answer_with(answer)
    outcome = prompts.run()

    assert outcome.is_complete
    assert (outcome.standing.failed, outcome.standing.open) == (2, 0)
    *answered, poison, missing = prompts.rows()
    assert all(row["answer"] and row["error_type"] is None for row in answered)
    assert poison["error_type"] == "BadRequest"
    assert "no such thing" in str(poison["error_message"])
    assert (poison["error_status"], poison["error_retryable"]) == (400, False)
    assert (missing["error_type"], missing["attempts"]) == ("ValueError", 0)
    assert prompts.run().calls == 0


def test_no_credit_stops_the_batch_which_then_goes_on_where_it_was(prompts: Batch) -> None:
    prompts.of(*say(200))
    credit = threading.Semaphore(75)

    def answer(_: object) -> Http | None:
        return None if credit.acquire(blocking=False) else Http(402, {"error": "no credit"})

    prompts.sandbox.answer_with(answer)
    stopped = prompts.run()

    assert not stopped.is_complete
    assert stopped.stopped_by
    assert stopped.stopped_by.startswith("InsufficientCredit")
    assert stopped.calls < 200
    answered = {str(row["prompt"]) for row in prompts.rows() if row["answer"]}
    assert len(answered) == 75

    prompts.sandbox.answer_with(None)
    asked_before = prompts.asked()
    assert prompts.run().is_complete
    prompts.assert_all_answered_once()
    assert answered.isdisjoint(prompts.asked() - asked_before)


def test_rows_whose_failure_may_pass_are_asked_again_by_the_next_run(prompts: Batch) -> None:
    prompts.of(*say(40))
    prompts.sandbox.answer_with(
        lambda request: Http(503, b"") if "Say 7" in str(request["messages"]) else None
    )
    plan = Plan(workers=1, calls_in_flight=8, patience=Patience(tries=2))

    assert prompts.run(plan).standing.open == 1
    [failed] = [row for row in prompts.rows() if row["error_type"]]
    assert (failed["prompt"], failed["error_type"]) == ("Say 7", "Overloaded")
    assert (failed["attempts"], failed["error_retryable"]) == (2, True)

    prompts.sandbox.answer_with(None)
    assert prompts.run(plan).calls == 1
    prompts.assert_all_answered_once()


def test_a_folder_of_another_batch_is_left_alone(prompts: Batch) -> None:
    prompts.of(*say(10)).run()
    with pytest.raises(OtherBatch, match=r"prompts was .* is "):
        prompts.of("Something else").run()
    assert len(prompts.rows()) == 10
