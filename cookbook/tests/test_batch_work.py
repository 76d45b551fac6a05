"""The batch that can be killed: what it asks, keeps and asks again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cookbook.batch_work import Journal, key_of, run
from sunra_integrations.errors import AuthenticationFailed
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Http

QUESTIONS = [f"What is {number}?" for number in range(20)]


@pytest.fixture
def model(sunra_sandbox):
    return ChatSunra(
        model="openai/gpt-4o-mini",
        base_url=sunra_sandbox.base_url,
        api_key=sunra_sandbox.api_key,
        max_retries=0,
    )


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path / "journal.db")
    yield journal
    journal.close()


async def test_each_question_is_asked_once_however_often_it_stands_there(
    model, journal, sunra_sandbox
):
    await run(model, QUESTIONS * 2, journal)
    asked = [request.json["messages"][-1]["content"] for request in sunra_sandbox.requests]
    assert sorted(asked) == sorted(QUESTIONS)
    assert journal.counts() == {"answered": 20, "to try again": 0, "failed for good": 0}


async def test_what_is_answered_is_not_asked_again(model, journal, sunra_sandbox):
    await run(model, QUESTIONS[:10], journal)
    sunra_sandbox.clear()
    await run(model, QUESTIONS, journal)
    asked = [request.json["messages"][-1]["content"] for request in sunra_sandbox.requests]
    assert sorted(asked) == sorted(QUESTIONS[10:])


async def test_what_failed_for_now_is_asked_again_and_what_failed_for_good_is_not(
    model, journal, sunra_sandbox
):
    sunra_sandbox.next(Http(503), Http(400))
    await run(model, QUESTIONS[:2], journal, at_once=1)
    assert journal.counts() == {"answered": 0, "to try again": 1, "failed for good": 1}
    await run(model, QUESTIONS[:2], journal)
    assert journal.counts() == {"answered": 1, "to try again": 0, "failed for good": 1}


async def test_an_error_that_all_would_meet_ends_the_batch(model, journal, sunra_sandbox):
    sunra_sandbox.answer_with(lambda _: Http(401))
    with pytest.raises(AuthenticationFailed):
        await run(model, QUESTIONS, journal, at_once=2)
    assert len(sunra_sandbox.requests) <= 2
    assert sum(journal.counts().values()) == 0


def test_a_changed_setting_makes_another_question(model):
    warmer = model.model_copy(update={"temperature": 1.0})
    assert key_of(model, "Why?") != key_of(warmer, "Why?")
    assert key_of(model, "Why?") == key_of(model.model_copy(), "Why?")
