"""The model data: its content, and how a model's name finds its entry."""

from __future__ import annotations

import datetime as dt
from importlib import resources

import pytest

from sunra_integrations.data import _profiles, last_updated, model_facts, model_names


def test_the_data_names_its_source_and_licence():
    assert "https://github.com/sst/models.dev\nLicense: MIT License" in (_profiles.__doc__ or "")
    assert (
        "MIT License" in resources.files("sunra_integrations.data").joinpath("LICENSE").read_text()
    )


@pytest.mark.parametrize(
    "vendor",
    ["openai", "anthropic", "google", "mistralai", "deepseek", "qwen", "x-ai", "meta-llama"],
)
def test_the_major_vendors_are_listed(vendor):
    assert [name for name in model_names() if name.startswith(f"{vendor}/")]


def test_every_entry_has_a_context_window_and_says_whether_it_calls_tools():
    faulty = [
        name
        for name in model_names()
        for facts in [model_facts(name)]
        if facts is None
        or not facts["max_input_tokens"] > 0
        or not isinstance(facts["tool_calling"], bool)
        or not isinstance(facts["structured_output"], bool)
    ]
    assert faulty == []


def test_a_known_model_is_found_in_any_case_and_variant():
    assert model_facts("OpenAI/GPT-4o") == model_facts("openai/gpt-4o:free")
    assert model_facts("openai/gpt-4o")["image_inputs"] is True


@pytest.mark.parametrize(
    ("version", "family"),
    [
        ("openai/gpt-5.4-2026-03-05", "openai/gpt-5.4"),
        ("openai/gpt-5.4-latest", "openai/gpt-5.4"),
        ("openai/gpt-5.4-2026-03-05:free", "openai/gpt-5.4"),
        ("openai/gpt-4-0613", "openai/gpt-4"),
        ("anthropic/claude-opus-4@20250514", "anthropic/claude-opus-4"),
        ("anthropic/claude-opus-4@latest", "anthropic/claude-opus-4"),
        ("anthropic/claude-sonnet-4-20250514", "anthropic/claude-sonnet-4"),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("google/gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro-preview"),
        ("google/gemini-2.5-flash-001", "google/gemini-2.5-flash"),
        ("mistralai/mistral-large-2411", "mistralai/mistral-large"),
        ("cohere/command-a-03-2025", "cohere/command-a"),
    ],
)
def test_a_version_of_a_known_model_has_the_facts_of_its_family(version, family):
    assert model_facts(version) == model_facts(family) is not None


def test_a_version_with_its_own_entry_is_found_by_it():
    assert model_facts("openai/gpt-4o-2024-05-13") != model_facts("openai/gpt-4o")


@pytest.mark.parametrize("name", ["openai/gpt-5.4-2026-03-05-x", "openai/gpt-5.4-huge"])
def test_a_longer_name_that_is_not_a_version_is_not_of_the_family(name):
    assert model_facts(name) is None


@pytest.mark.parametrize("name", ["", "gpt-4o", "nobody/nothing", "openai/"])
def test_an_unknown_model_has_no_facts(name):
    assert model_facts(name) is None


def test_a_returned_dict_can_be_changed_without_harm():
    model_facts("openai/gpt-4o")["name"] = "changed"
    assert model_facts("openai/gpt-4o")["name"] != "changed"


def test_the_names_of_the_models_are_in_order_and_all_known():
    names = model_names()
    assert "openai/gpt-4o" in names
    assert names == sorted(names)
    assert all(model_facts(name) is not None for name in names)


def test_the_newest_entry_dates_the_data():
    assert isinstance(last_updated(), dt.date)
    dates = [model_facts(name)["last_updated"] for name in model_names()]
    assert last_updated().isoformat() == max(dates)
