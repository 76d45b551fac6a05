"""A program without the catalogue's data file, as freezers make them: no facts, and no error."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sunra_integrations import catalogue
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra


@pytest.fixture(params=["no file", "no folder", "not a folder"])
def folder(request: pytest.FixtureRequest, tmp_path: Path):
    file = tmp_path / "a file"
    file.touch()
    return {"no file": tmp_path, "no folder": tmp_path / "none", "not a folder": file}[
        request.param
    ]


@pytest.fixture(autouse=True)
def _missing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalogue, "files", lambda _: folder)
    catalogue._models.cache_clear()
    yield
    catalogue._models.cache_clear()


def test_a_missing_catalogue_is_empty_and_the_log_says_why(caplog):
    with caplog.at_level(logging.INFO, "sunra_integrations"):
        assert catalogue.model_names() == []
        assert catalogue.model_facts("openai/gpt-4o") is None
    assert [record.message[:48] for record in caplog.records] == [
        "The model catalogue is not in this program, so n"
    ]


def test_models_are_made_without_a_catalogue():
    chat = ChatSunra(model="openai/gpt-4o", api_key="k")
    assert not (chat.profile or {}).get("max_input_tokens")
    llm = Sunra(model="openai/gpt-4o", api_key="k")
    assert llm.metadata.is_function_calling_model
    assert llm.metadata.context_window > 0
