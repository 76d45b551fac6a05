from __future__ import annotations

import json
from importlib.resources import files

import pytest

from sunra_integrations.catalogue import model_facts, model_names

CATALOGUE = json.loads(
    files("sunra_integrations.catalogue").joinpath("models.json").read_text("utf-8")
)


def test_the_catalogue_names_its_source_and_licence():
    assert CATALOGUE["source"]["name"] == "models.dev"
    assert CATALOGUE["source"]["licence"] == "MIT"


@pytest.mark.parametrize(
    "vendor",
    ["openai", "anthropic", "google", "mistralai", "deepseek", "qwen", "x-ai", "meta-llama"],
)
def test_the_major_vendors_are_in_it(vendor):
    assert [name for name in CATALOGUE["models"] if name.startswith(f"{vendor}/")]


@pytest.mark.parametrize("name", CATALOGUE["models"])
def test_every_entry_has_a_context_window_and_says_whether_it_calls_tools(name):
    facts = model_facts(name)
    assert facts["max_input_tokens"] > 0
    assert isinstance(facts["tool_calling"], bool)
    assert isinstance(facts["structured_output"], bool)


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
def test_a_version_of_a_known_model_is_known_as_its_family(version, family):
    assert model_facts(version) == model_facts(family) is not None


def test_a_version_with_an_entry_of_its_own_is_found_by_it():
    assert model_facts("openai/gpt-4o-2024-05-13") != model_facts("openai/gpt-4o")


@pytest.mark.parametrize("name", ["openai/gpt-5.4-2026-03-05-x", "openai/gpt-5.4-huge"])
def test_what_is_no_version_is_no_member_of_the_family(name):
    assert model_facts(name) is None


@pytest.mark.parametrize("name", ["", "gpt-4o", "nobody/nothing", "openai/"])
def test_an_unknown_model_is_simply_unknown(name):
    assert model_facts(name) is None


def test_what_is_given_out_can_be_changed_without_harm():
    model_facts("openai/gpt-4o")["name"] = "changed"
    assert model_facts("openai/gpt-4o")["name"] != "changed"


def test_the_names_of_the_models_are_listed_in_order():
    names = model_names()
    assert "openai/gpt-4o" in names
    assert names == sorted(names)
    assert all(model_facts(name) is not None for name in names)
