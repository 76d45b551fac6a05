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


LEVELS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def test_levels_of_reasoning_effort_are_those_of_reasoning_models_in_order():
    faulty = [
        name
        for name, facts in _profiles._PROFILES.items()
        for levels in [facts.get("reasoning_effort_levels")]
        if ("reasoning_effort_default" in facts and not levels)
        or (levels is not None and not (facts["reasoning_output"] and levels))
        or levels != (levels and [one for one in LEVELS if one in levels])
        or facts.get("reasoning_effort_default") not in (None, *(levels or ()))
    ]
    assert faulty == []


def test_a_restriction_of_tools_agrees_with_the_levels_of_reasoning_effort():
    seen = set()
    for name, facts in _profiles._PROFILES.items():
        restriction = facts.get("chat_completions_tools")
        if restriction is not None:
            seen.add(restriction)
            assert ("none" in facts["reasoning_effort_levels"]) == (restriction != "never"), name
            default = facts.get("reasoning_effort_default")
            assert (default in (None, "none")) == (restriction != "effort_none"), name
    assert seen == {"effort_unset_or_none", "effort_none", "never"}


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("openai/gpt-5-mini-2025-08-07", {"reasoning_effort_default": "medium"}),
        ("openai/gpt-5-pro", {"reasoning_effort_levels": ["high"]}),
        ("openai/gpt-5", {"max_input_tokens": 272_000, "image_url_inputs": True}),
        ("openai/gpt-4o", {"tool_choice": True, "temperature": True}),
        ("openai/gpt-5.4", {"chat_completions_tools": "effort_unset_or_none"}),
        ("openai/gpt-5.6-sol", {"chat_completions_tools": "effort_none", "temperature": False}),
        ("openai/gpt-6-astra", {"chat_completions_tools": "never"}),
        ("openai/gpt-4.1-nano", {"status": "deprecated"}),
        ("anthropic/claude-fable-5.1", {"tool_choice": False}),
        ("anthropic/claude-sonnet-5-5", {"tool_choice": False, "reasoning_effort_default": "high"}),
        ("anthropic/claude-opus-4.8", {"mid_conversation_system_messages": True}),
        ("google/gemini-3.5-flash", {"reasoning_effort_default": "medium", "tool_choice": True}),
        ("x-ai/grok-4.3", {"reasoning_effort_default": "low"}),
    ],
)
def test_facts_that_models_dev_lacks_are_those_of_the_maker(model, facts):
    assert model_facts(model).items() >= facts.items()


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("openai/gpt-5", "image_tool_message"),  # of the Responses API
        ("openai/gpt-5", "mid_conversation_tools"),
        ("openai/gpt-5", "chat_completions_tools"),
        ("openai/gpt-3.5-turbo", "image_url_inputs"),
        ("openai/gpt-5.1-codex", "reasoning_effort_levels"),
        ("deepseek/deepseek-v3.2", "tool_choice"),
        ("anthropic/claude-haiku-4.5", "reasoning_effort_levels"),
    ],
)
def test_a_fact_that_is_not_known_is_left_out(model, field):
    assert field not in model_facts(model)


def test_a_known_model_is_found_in_any_case_and_variant():
    assert model_facts("OpenAI/GPT-4o") == model_facts("openai/gpt-4o:free")
    assert model_facts("openai/gpt-4o")["image_inputs"] is True


FAMILIES = {
    # OpenAI
    "openai/gpt-5-2025-08-07": "openai/gpt-5",
    "openai/gpt-5-mini-2025-08-07": "openai/gpt-5-mini",
    "openai/gpt-5-1-2025-11-13": "openai/gpt-5.1",
    "openai/gpt-5.4-2026-03-05": "openai/gpt-5.4",
    "openai/gpt-5.4-latest": "openai/gpt-5.4",
    "openai/gpt-5.4-2026-03-05:free": "openai/gpt-5.4",
    "openai/gpt-5-4-mini": "openai/gpt-5.4-mini",
    "openai/gpt-5.6-terra-2026-07-09": "openai/gpt-5.6-terra",
    "openai/gpt-5.2-chat-latest": "openai/gpt-5.2-chat",
    "openai/gpt-4-0613": "openai/gpt-4",
    "openai/gpt-4-1-nano": "openai/gpt-4.1-nano",
    "openai/gpt-4-turbo-2024-04-09": "openai/gpt-4-turbo",
    "openai/gpt-3.5-turbo-0125": "openai/gpt-3.5-turbo",
    "openai/gpt-3.5-turbo-16k-0613": "openai/gpt-3.5-turbo-16k",
    "openai/o3-mini-2025-01-31": "openai/o3-mini",
    "OPENAI/O1-2024-12-17": "openai/o1",
    "openai/gpt-4o:nitro": "openai/gpt-4o",
    # Anthropic, as Anthropic, Google Cloud and Bedrock spell it
    "anthropic/claude-opus-4@20250514": "anthropic/claude-opus-4",
    "anthropic/claude-opus-4@latest": "anthropic/claude-opus-4",
    "anthropic/claude-sonnet-4-20250514": "anthropic/claude-sonnet-4",
    "anthropic/claude-sonnet-4-5-20250929": "anthropic/claude-sonnet-4.5",
    "anthropic/claude-sonnet-4-5@20250929": "anthropic/claude-sonnet-4.5",
    "anthropic/claude-sonnet-4-5-20250929-v1:0": "anthropic/claude-sonnet-4.5",
    "anthropic/claude-opus-4-6-v1": "anthropic/claude-opus-4.6",
    "anthropic/claude-opus-4-1": "anthropic/claude-opus-4.1",
    "anthropic/claude-3-haiku-20240307-v1:0:200k": "anthropic/claude-3-haiku",
    "anthropic/claude-sonnet-4.5:beta": "anthropic/claude-sonnet-4.5",
    "Anthropic/Claude-Haiku-5-5": "anthropic/claude-haiku-5.5",
    # Google
    "google/gemini-2.5-pro-preview-05-06": "google/gemini-2.5-pro-preview",
    "google/gemini-2.5-pro-exp-03-25": "google/gemini-2.5-pro",
    "google/gemini-2.5-flash-001": "google/gemini-2.5-flash",
    "google/gemini-2.5-flash-preview-09-2025": "google/gemini-2.5-flash",
    "google/gemini-2.5-flash-lite-preview-06-17": "google/gemini-2.5-flash-lite",
    "google/gemini-2.5-flash-image-preview": "google/gemini-2.5-flash-image",
    "google/gemini-3-1-flash-lite": "google/gemini-3.1-flash-lite",
    # others
    "amazon/nova-pro-v1:0": "amazon/nova-pro-v1",
    "amazon/nova-lite-v1:0:300k": "amazon/nova-lite-v1",
    "bytedance-seed/seed-1-6-250915": "bytedance-seed/seed-1.6",
    "cohere/command-a-03-2025": "cohere/command-a",
    "deepseek/deepseek-r1-250528": "deepseek/deepseek-r1",
    "deepseek/deepseek-v3-2": "deepseek/deepseek-v3.2",
    "meta-llama/Llama-3.3-70B-Instruct:free": "meta-llama/llama-3.3-70b-instruct",
    "meta-llama/llama-3-1-8b-instruct": "meta-llama/llama-3.1-8b-instruct",
    "minimax/MiniMax-M2-5": "minimax/minimax-m2.5",
    "mistralai/mistral-large-2411": "mistralai/mistral-large",
    "mistralai/mistral-large-latest": "mistralai/mistral-large",
    "mistralai/mistral-medium-3.5": "mistralai/mistral-medium-3-5",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistralai/mistral-small-3.2-24b-instruct",
    "mistralai/mistral-nemo-2407": "mistralai/mistral-nemo",
    "moonshotai/kimi-k2-0711-preview": "moonshotai/kimi-k2",
    "moonshotai/kimi-k2-5": "moonshotai/kimi-k2.5",
    "qwen/qwen-plus-2025-01-25": "qwen/qwen-plus",
    "qwen/qwen-plus-latest": "qwen/qwen-plus",
    "qwen/qwen3-max-preview": "qwen/qwen3-max",
    "x-ai/grok-4-3-latest": "x-ai/grok-4.3",
    "x-ai/grok-4.5-beta": "x-ai/grok-4.5",
    "z-ai/GLM-4-5-Air": "z-ai/glm-4.5-air",
}


@pytest.mark.parametrize("version", FAMILIES)
def test_a_version_of_a_known_model_has_the_facts_of_its_family(version):
    assert model_facts(version) == _profiles._PROFILES[FAMILIES[version]]


@pytest.mark.parametrize(
    "version",
    [
        "openai/gpt-4o-2024-05-13",
        "amazon/nova-2-lite-v1",
        "cohere/command-r-plus-08-2024",
        "deepseek/deepseek-chat-v3-0324",
        "deepseek/deepseek-v3.2-exp",
        "google/gemini-3.1-pro-preview",
        "mistralai/mistral-small-2603",
        "moonshotai/kimi-k2-0905",
        "openai/gpt-chat-latest",
        "qwen/qwen3-235b-a22b-2507",
        "sakana/fugu-ultra-v2",
    ],
)
def test_a_version_with_its_own_entry_has_its_own_facts(version):
    assert model_facts(version) == _profiles._PROFILES[version]


@pytest.mark.parametrize(
    "name",
    [
        "openai/gpt-5.4-2026-03-05-x",
        "openai/gpt-5.4-huge",
        "openai/gpt-5-chat-latest",
        "openai/gpt-5-codex",
        "openai/gpt-5.3-2026-02-05",
        "openai/gpt-4-32k-0613",
        "openai/gpt-4-1106-preview",  # gpt-4-turbo, with another context window
        "openai/gpt-4o-audio-preview-2024-12-17",
        "openai/gpt-4o-mini-tts",
        "openai/o1-preview-2024-09-12",  # without tools, unlike o1
        "openai/o1-mini-2024-09-12",
        "openai/ft:gpt-4o-2024-08-06:acme::abc123",
        "anthropic/claude-opus-4-9",
        "anthropic/claude-3-haiku-2",
        "google/gemini-2.5-pro-preview-tts",
        "google/gemini-2.5",
        "mistralai/mistral-medium-2508",
        "qwen/qwen3-235b-a22b-instruct-2507",
        "sakana/fugu-ultra-v3",
        "x-ai/grok-4-0709",
        "x-ai/grok-4-fast",
        "z-ai/glm-4.5-flash",
    ],
)
def test_a_similar_name_that_is_not_a_version_is_not_of_the_family(name):
    assert model_facts(name) is None


def test_names_differ_by_more_than_dots_and_dashes():
    assert len({name.replace(".", "-") for name in model_names()}) == len(model_names())


@pytest.mark.parametrize("name", ["", "gpt-4o", "nobody/nothing", "openai/"])
def test_an_unknown_model_has_no_facts(name):
    assert model_facts(name) is None


def test_a_returned_dict_can_be_changed_without_harm():
    changed = model_facts("openai/gpt-5")
    changed["name"] = "changed"
    changed["reasoning_effort_levels"].append("changed")
    assert model_facts("openai/gpt-5")["name"] == "GPT-5"
    assert "changed" not in model_facts("openai/gpt-5")["reasoning_effort_levels"]


def test_the_names_of_the_models_are_in_order_and_all_known():
    names = model_names()
    assert "openai/gpt-4o" in names
    assert names == sorted(names)
    assert all(model_facts(name) is not None for name in names)


def test_the_newest_entry_dates_the_data():
    assert isinstance(last_updated(), dt.date)
    dates = [model_facts(name)["last_updated"] for name in model_names()]
    assert last_updated().isoformat() == max(dates)
