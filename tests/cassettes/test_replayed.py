"""Whole calls in both frameworks, replayed from cassettes; what is asserted holds live as well."""

from __future__ import annotations

import os

import pytest
import yaml
from langchain.agents import create_agent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from tests.cassettes.conftest import (
    HERE,
    LIVE_NOTE,
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    SANDBOX_NOTE,
)

MODEL = os.environ.get("SUNRA_RECORD_MODEL", "openai/gpt-4o-mini")
FACT = "The ferry to Vlieland leaves Harlingen at 09:40."


class Departure(BaseModel):
    """When and where a ferry leaves."""

    harbour: str
    time: str


def add(first: int, second: int) -> int:
    """Add two whole numbers."""
    return first + second


@pytest.fixture
def chat(endpoint):
    return ChatSunra(
        model=MODEL,
        temperature=0,
        api_key=endpoint.api_key,
        base_url=endpoint.base_url,
        async_transport="httpx",  # which is what a cassette replaces
    )


@pytest.fixture
def llm(endpoint):
    return Sunra(
        model=MODEL,
        temperature=0,
        api_key=endpoint.api_key,
        api_base=endpoint.base_url,
        async_transport="httpx",
    )


def test_langchain_invoke(chat):
    answer = chat.invoke([("system", FACT), ("human", "When does the ferry leave?")])
    assert "09:40" in answer.text
    assert answer.usage_metadata["total_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_langchain_astream(chat):
    chunks = [chunk async for chunk in chat.astream(f"{FACT} When does the ferry leave?")]
    assert len(chunks) > 2
    assert "09:40" in "".join(chunk.text for chunk in chunks)
    assert [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]


def test_langchain_structured_output(chat):
    departure = chat.with_structured_output(Departure).invoke(
        'Extract the departure: harbour "Harlingen", time "09:40".'
    )
    assert departure == Departure(harbour="Harlingen", time="09:40")


def test_langchain_agent(chat):
    agent = create_agent(chat, tools=[add])
    asked = {"messages": [{"role": "user", "content": "Use the tool to add 17 and 25."}]}
    *_, call, result, answer = agent.invoke(asked)["messages"]
    assert call.tool_calls[0]["args"] == {"first": 17, "second": 25}
    assert result.content == "42"
    assert "42" in answer.text


def test_llama_index_chat(llm):
    answer = llm.chat([ChatMessage(f"{FACT} When does the ferry leave?")])
    assert "09:40" in (answer.message.content or "")
    assert answer.additional_kwargs["total_tokens"] > 0


async def test_llama_index_astream_complete(llm):
    stream = await llm.astream_complete(f"{FACT} When does the ferry leave?")
    responses = [response async for response in stream]
    assert len(responses) > 2
    assert "09:40" in responses[-1].text


def test_llama_index_tool_call(llm):
    answer = llm.predict_and_call(
        [FunctionTool.from_defaults(add)], user_msg="Use the tool to add 17 and 25."
    )
    assert str(answer) == "42"


def test_every_cassette_says_where_it_was_recorded_and_holds_only_what_is_allowed(recording):
    if recording:
        pytest.skip("the cassettes are being made just now")
    cassettes = sorted(HERE.glob("*.yaml"))
    assert len(cassettes) == 7
    for path in cassettes:
        text = path.read_text(encoding="utf-8")
        note = text.partition("\n")[0]
        assert note in {f"# Recorded from {LIVE_NOTE}.", f"# Recorded from {SANDBOX_NOTE}."}
        for interaction in yaml.safe_load(text)["interactions"]:
            sent, received = interaction["request"], interaction["response"]
            assert {name.lower() for name in sent["headers"]} <= REQUEST_HEADERS
            assert {name.lower() for name in received["headers"]} <= RESPONSE_HEADERS
            assert sent["uri"] == "https://replayed.invalid/v1/chat/completions"
