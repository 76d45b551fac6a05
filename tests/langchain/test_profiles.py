"""What ChatSunra knows of a model, and what LangChain makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import CallTools, Sandbox
from tests import children

KNOWN = "openai/gpt-4o"
WITHOUT_STRUCTURED_OUTPUT = "anthropic/claude-3-haiku"
UNKNOWN = "nobody/never-heard-of"
FIELDS = ModelProfile.__annotations__.keys()
ASKED: Any = {"messages": [("human", "What is the weather in Paris?")]}


class Report(BaseModel):
    """A weather report."""

    city: str
    sky: str


def chat(model: str = KNOWN, sandbox: Sandbox | None = None, **given: Any) -> ChatSunra:
    endpoint = {} if sandbox is None else {"base_url": sandbox.base_url}
    key = "sk-made-up" if sandbox is None else sandbox.api_key
    return ChatSunra(model=model, api_key=key, **endpoint, **given)


def test_a_known_models_profile_has_its_facts():
    profile = chat().profile
    assert profile is not None
    assert profile["max_input_tokens"] == 128_000
    assert profile["structured_output"] is True
    assert profile["image_inputs"] is True
    assert profile["reasoning_output"] is False


def test_a_profile_has_the_newest_fields_that_are_known_and_this_langchain_core_has():
    known = {
        "reasoning_effort_levels": ["none", "low", "medium", "high", "xhigh"],
        "reasoning_effort_default": "medium",
        "image_url_inputs": True,
        "tool_choice": True,
        "mid_conversation_system_messages": True,
    }
    profile = dict(chat("openai/gpt-5.6-sol").profile or {})
    assert profile.items() >= {k: v for k, v in known.items() if k in FIELDS}.items()
    assert not {"mid_conversation_tools", "image_tool_message"} & profile.keys()
    assert "chat_completions_tools" not in profile


def test_a_profile_has_only_fields_that_this_langchain_core_knows():
    profile = chat().profile
    assert profile is not None
    assert profile.keys() <= FIELDS


@pytest.mark.parametrize("name", [f"{KNOWN}:free", KNOWN.upper()])
def test_a_variant_has_the_models_profile(name: str):
    assert chat(name).profile == chat().profile


def test_an_unknown_model_has_no_profile_and_works_all_the_same(sunra_sandbox: Sandbox):
    model = chat(UNKNOWN, sunra_sandbox)
    assert model.profile is None
    assert model.invoke("Hello").text
    assert sunra_sandbox.requests[-1].json["model"] == UNKNOWN


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
def test_the_users_profile_wins(model: str):
    assert chat(model, profile={"max_input_tokens": 7}).profile == {"max_input_tokens": 7}


def test_langchain_warns_of_what_it_does_not_know_in_a_users_profile():
    with pytest.warns(UserWarning, match="no_such_ability"):
        chat(profile={"no_such_ability": True})


def test_a_profile_follows_the_model_in_copies_and_assignments():
    model = chat()
    assert model.model_copy(update={"model_name": UNKNOWN}).profile is None
    assert model.model_copy(update={"model": UNKNOWN}).model == UNKNOWN
    model.model_name = WITHOUT_STRUCTURED_OUTPUT
    assert model.profile == chat(WITHOUT_STRUCTURED_OUTPUT).profile
    own = chat(profile={"max_input_tokens": 7})
    assert own.model_copy(update={"model_name": UNKNOWN}).profile == {"max_input_tokens": 7}
    own.model_name = UNKNOWN
    assert own.profile == {"max_input_tokens": 7}


def test_importing_reads_no_model_data_and_no_framework_beyond_the_core():
    program = (
        "import sys\nimport sunra_integrations.langchain\n"
        "assert 'sunra_integrations.data._profiles' not in sys.modules\n"
        "heavy = {'langchain', 'langgraph', 'openai', 'llama_index', 'uvicorn'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    ran = children.python("-c", program)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.network
def test_an_agents_response_format_is_native_where_the_profile_has_it(sunra_sandbox: Sandbox):
    agent = create_agent(chat(KNOWN, sunra_sandbox), [], response_format=Report)
    done = agent.invoke(ASKED)
    assert isinstance(done["structured_response"], Report)
    [sent] = sunra_sandbox.requests
    assert sent.json["response_format"]["type"] == "json_schema"
    assert sent.json["response_format"]["json_schema"]["name"] == "Report"
    assert "tools" not in sent.json


NOT_NATIVE: dict[str, dict[str, Any]] = {
    "the profile says no": {"model": WITHOUT_STRUCTURED_OUTPUT},
    "nothing is known": {"model": UNKNOWN},
}


@pytest.mark.network
@pytest.mark.parametrize("case", NOT_NATIVE)
def test_an_agents_response_format_is_a_tool_elsewhere(case: str, sunra_sandbox: Sandbox):
    sunra_sandbox.next(CallTools(("Report", {"city": "Paris", "sky": "sunny"})))
    model = chat(sandbox=sunra_sandbox, **NOT_NATIVE[case])
    done = create_agent(model, [], response_format=Report).invoke(ASKED)
    assert done["structured_response"] == Report(city="Paris", sky="sunny")
    [sent] = sunra_sandbox.requests
    assert "response_format" not in sent.json
    assert [tool["function"]["name"] for tool in sent.json["tools"]] == ["Report"]
    assert sent.json["tool_choice"] == "required"


@pytest.mark.network
def test_the_users_profile_decides_too(sunra_sandbox: Sandbox):
    model = chat(UNKNOWN, sunra_sandbox, profile={"structured_output": True})
    done = create_agent(model, [], response_format=Report).invoke(ASKED)
    assert isinstance(done["structured_response"], Report)
    assert "response_format" in sunra_sandbox.requests[0].json


@pytest.mark.network
def test_summarisation_by_a_fraction_of_the_context_works(sunra_sandbox: Sandbox):
    model = chat(KNOWN, sunra_sandbox)
    summarising = SummarizationMiddleware(
        model, trigger=("fraction", 0.001), keep=("messages", 1), trim_tokens_to_summarize=None
    )
    agent = create_agent(model, [], middleware=[summarising])
    long = [HumanMessage("word " * 300), AIMessage("Yes."), HumanMessage("And now?")]
    done = agent.invoke({"messages": long})
    assert len(sunra_sandbox.requests) == 2
    summary, answer = sunra_sandbox.requests
    assert "word word" in str(summary.json["messages"])
    assert "word word word" not in str(answer.json["messages"][-1])
    assert len(done["messages"]) == 3


def test_summarisation_by_a_fraction_asks_for_a_profile_where_there_is_none():
    with pytest.raises(ValueError, match="profile"):
        SummarizationMiddleware(chat(UNKNOWN), trigger=("fraction", 0.5))
