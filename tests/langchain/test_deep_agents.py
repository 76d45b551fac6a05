"""deepagents finds Sunra by a model's name, through the installed entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest

pytest.importorskip("deepagents", reason="needs Python 3.11")

from deepagents import create_deep_agent
from deepagents.middleware.summarization import compute_summarization_defaults
from deepagents.profiles.provider import apply_provider_profile, get_provider_profile
from langchain.chat_models import base, init_chat_model
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.sandbox import CallTools, Sandbox
from tests import children

pytestmark = pytest.mark.network

NAME = "sunra:openai/gpt-5"
ASKED: Any = {"messages": [("human", "What is the weather in Paris?")]}
STEPS: Any = {"recursion_limit": 30}
ANSWER = "It is sunny in Paris."


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It is sunny in {city}."


@pytest.fixture(autouse=True)
def sandbox(sunra_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox as a user's environment names it, and LangChain as it is before any call."""
    monkeypatch.setenv("SUNRA_KEY", sunra_sandbox.api_key)
    monkeypatch.setenv("SUNRA_BASE_URL", sunra_sandbox.base_url)
    providers = {name: one for name, one in base._BUILTIN_PROVIDERS.items() if name != "sunra"}
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", providers)
    base._get_chat_model_creator.cache_clear()
    return sunra_sandbox


def models(sandbox: Sandbox) -> list[str]:
    return [one.json["model"] for one in sandbox.requests]


def test_the_entry_point_is_the_one_that_deepagents_looks_for():
    [found] = [
        one for one in entry_points(group="deepagents.provider_profiles") if one.name == "sunra"
    ]
    assert isinstance(found, EntryPoint)
    assert callable(found.load())
    profile = get_provider_profile(NAME)
    assert profile is not None
    assert dict(profile.init_kwargs) == {}


async def test_an_agent_by_name_calls_its_tool_and_answers(sandbox: Sandbox):
    agent = create_deep_agent(model=NAME, tools=[get_weather])
    for begin in (agent.invoke, agent.ainvoke):
        sandbox.next(CallTools(("get_weather", {"city": "Paris"})), ANSWER)
        done = begin(ASKED, STEPS)
        done = done if isinstance(done, dict) else await done
        assert [type(one) for one in done["messages"][1:]] == [AIMessage, ToolMessage, AIMessage]
        assert done["messages"][2].content == ANSWER
        assert done["messages"][-1].text == ANSWER
    assert models(sandbox) == ["openai/gpt-5"] * 4
    names = {one["function"]["name"] for one in sandbox.requests[0].json["tools"]}
    assert {"get_weather", "task", "read_file"} <= names


async def test_its_tokens_are_streamed(sandbox: Sandbox):
    agent = create_deep_agent(model=NAME, tools=[get_weather])
    for asynchronous in (False, True):
        sandbox.next(CallTools(("get_weather", {"city": "Paris"})), ANSWER)
        if asynchronous:
            stream = agent.astream(ASKED, STEPS, stream_mode="messages")
            parts = [part async for part, _ in stream]
        else:
            parts = [part for part, _ in agent.stream(ASKED, STEPS, stream_mode="messages")]
        [result] = [place for place, one in enumerate(parts) if isinstance(one, ToolMessage)]
        tokens = [one.text for one in parts[result:] if isinstance(one, AIMessageChunk)]
        assert "".join(tokens) == ANSWER
        assert len(tokens) > 2
    assert all(one.json["stream"] for one in sandbox.requests)


async def test_subagents_by_name_use_their_own_model(sandbox: Sandbox):
    worker: Any = {
        "name": "weather",
        "description": "Knows the weather.",
        "system_prompt": "Report the weather.",
        "model": "sunra:anthropic/claude-sonnet-4.5",
        "tools": [get_weather],
    }
    agent = create_deep_agent(model=NAME, subagents=[worker])
    delegated = {"description": "Weather in Paris?", "subagent_type": "weather"}
    for begin in (agent.invoke, agent.ainvoke):
        sandbox.next(
            CallTools(("task", delegated)),
            CallTools(("get_weather", {"city": "Paris"})),
            ANSWER,
            "Take sunglasses.",
        )
        done = begin(ASKED, STEPS)
        done = done if isinstance(done, dict) else await done
        assert done["messages"][-2].content == ANSWER
        assert done["messages"][-1].text == "Take sunglasses."
    turns = ["openai/gpt-5", *["anthropic/claude-sonnet-4.5"] * 2, "openai/gpt-5"]
    assert models(sandbox) == turns * 2


def test_a_variant_after_a_second_colon_is_part_of_the_model_s_name(sandbox: Sandbox):
    create_deep_agent(model="sunra:openai/gpt-oss-120b:free").invoke(ASKED, STEPS)
    assert models(sandbox) == ["openai/gpt-oss-120b:free"]


def test_a_user_s_provider_profile_is_merged_with_ours(sandbox: Sandbox):
    program = (
        "from deepagents import ProviderProfile, create_deep_agent, register_provider_profile\n"
        "settings = ProviderProfile(init_kwargs={'temperature': 0.5})\n"
        "register_provider_profile('sunra', settings)\n"
        "settings = ProviderProfile(init_kwargs={'reasoning_effort': 'low'})\n"
        f"register_provider_profile({NAME!r}, settings)\n"
        f"create_deep_agent(model={NAME!r}).invoke({ASKED!r})\n"
    )
    ran = children.python("-c", program)
    assert ran.returncode == 0, ran.stderr
    [sent] = [one.json for one in sandbox.requests]
    assert (sent["temperature"], sent["reasoning_effort"]) == (0.5, "low")


def test_a_model_s_profile_sets_when_the_agent_summarizes(sandbox: Sandbox):
    model = init_chat_model(NAME, **apply_provider_profile(NAME))
    assert model.profile is not None
    defaults = compute_summarization_defaults(model)
    assert defaults["trigger"] == ("fraction", 0.85)
    assert model.profile["max_input_tokens"] == 272_000


def test_without_a_key_the_error_is_ours_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SUNRA_KEY")
    with pytest.raises(ConfigurationError, match="SUNRA_KEY"):
        create_deep_agent(model=NAME).invoke(ASKED, STEPS)


def test_a_langchain_of_another_form_is_named_by_our_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(base, "_BUILTIN_PROVIDERS")
    with pytest.raises(ConfigurationError, match='Use ChatSunra\\(model="vendor/model"\\) instead'):
        create_deep_agent(model=NAME)


def test_a_langchain_core_that_is_too_old_is_named_when_a_model_of_sunra_is_wanted():
    """Not earlier: deepagents turns an error of the entry point itself into a warning."""
    program = (
        "from sunra_integrations import requirements\n"
        "requirements.LOWEST['langchain-core'] = '99'\n"
        "from deepagents import create_deep_agent\n"
        "from deepagents.profiles.provider import get_provider_profile\n"
        "assert get_provider_profile('openai:gpt-5') is not None\n"
        f"create_deep_agent(model={NAME!r})\n"
    )
    ran = children.python("-W", "error", "-c", program)
    assert "ChatSunra needs langchain-core >= 99" in ran.stderr.splitlines()[-1]
    assert "pip install 'sunra-integrations[langchain]'" in ran.stderr


def test_only_a_model_of_sunra_imports_chatsunra():
    program = (
        "import sys\n"
        "from deepagents.profiles.provider import apply_provider_profile\n"
        "apply_provider_profile('openai:gpt-5')\n"
        "assert 'sunra_integrations._deepagents' in sys.modules\n"
        "assert 'sunra_integrations.langchain' not in sys.modules\n"
        f"apply_provider_profile({NAME!r})\n"
        "assert 'sunra_integrations.langchain' in sys.modules\n"
    )
    ran = children.python("-c", program)
    assert ran.returncode == 0, ran.stderr


def test_importing_this_package_does_not_import_deepagents():
    program = (
        "import sys\n"
        "import sunra_integrations.langchain, sunra_integrations.llama_index\n"
        "sunra_integrations.langchain.register()\n"
        "assert 'deepagents' not in sys.modules\n"
    )
    ran = children.python("-c", program)
    assert ran.returncode == 0, ran.stderr
