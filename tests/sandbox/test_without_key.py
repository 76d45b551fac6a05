"""`stand_in`, with a key and without."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Sandbox, stand_in
from sunra_integrations.sandbox.server import without_key


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(without_key, "_started", [])
    for name in ("SUNRA_KEY", "SUNRA_BASE_URL"):
        monkeypatch.setenv(name, "")
    yield
    for sandbox in without_key._started:
        sandbox.stop()


def test_without_a_key_a_sandbox_answers_and_says_what_it_is(capsys):
    sandbox = stand_in()
    assert isinstance(sandbox, Sandbox)
    assert ChatSunra(model="openai/gpt-4o").invoke("Hello").text
    assert len(sandbox.requests) == 1
    assert "not from a model" in capsys.readouterr().out


def test_asked_again_it_is_the_same_sandbox():
    assert stand_in() is stand_in()


def test_with_a_key_nothing_stands_in(monkeypatch, capsys):
    monkeypatch.setenv("SUNRA_KEY", "a-real-key")
    assert stand_in() is None
    assert os.environ["SUNRA_KEY"] == "a-real-key"
    assert os.environ["SUNRA_BASE_URL"] == ""
    said = capsys.readouterr().out
    assert "Sunra" in said
    assert "a-real-key" not in said


def test_a_key_that_is_set_later_is_used(monkeypatch):
    stand_in()
    monkeypatch.setenv("SUNRA_KEY", "a-real-key")
    monkeypatch.setenv("SUNRA_BASE_URL", "https://api-llm.sunra.ai/v1")
    assert stand_in() is None
