"""What users write with LangChain; read by type checkers, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

import httpx
from langchain.agents import create_agent  # pyright: ignore[reportUnknownVariableType] - its own
from langchain.chat_models import init_chat_model
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import StdOutCallbackHandler
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict, assert_type

from sunra_integrations.langchain import (
    ChatSunra,
    UsageCallback,
    register,
    split_invalid_tool_calls,
)
from sunra_integrations.langchain.errors import (
    ChatSunraError,
    RateLimited,
    Refused,
    ResponseTruncated,
    StreamInterrupted,
)
from sunra_integrations.langchain.middleware import InvalidToolCallRepair
from sunra_integrations.langchain.structured_output import WithRaw
from sunra_integrations.transport import Timeouts
from sunra_integrations.transport.api_key import KeyFunction
from sunra_integrations.usage import ModelUsage, UsageTable


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


class Place(TypedDict):
    """A place."""

    city: str


SCHEMA: dict[str, Any] = {"title": "Place", "type": "object", "properties": {}}


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return city


def makes_models() -> None:
    model = ChatSunra(model="openai/gpt-4o")
    assert_type(model, ChatSunra)
    assert_type(model.model, str)
    assert_type(model.api_key, SecretStr | KeyFunction | None)
    assert_type(model.temperature, float | None)
    ChatSunra(model="openai/gpt-4o", api_key="made-up", temperature=0, stop=["END"])
    ChatSunra(model="openai/gpt-4o", api_key=SecretStr("made-up"), stop_sequences="END")
    ChatSunra(model="openai/gpt-4o", api_key=lambda: "made-up")
    ChatSunra(model="a/b", provider={"only": ["openai"]}, reasoning={"effort": "low"}, timeout=5)
    ChatSunra(model="a/b", top_p=1, max_tokens=5, n=2, seed=1, user="ada", logprobs=True)
    ChatSunra(model="a/b", max_completion_tokens=5, frequency_penalty=1, presence_penalty=0.5)
    ChatSunra(
        model="a/b", top_logprobs=3, reasoning_effort="low", stream_options={}, streaming=True
    )
    ChatSunra(model="a/b", response_format={"type": "json_object"}, parallel_tool_calls=False)
    ChatSunra(model="a/b", api="responses").bind_tools([{"type": "web_search"}, get_weather])
    ChatSunra(model="a/b", extra_body={"top_k": 3}, model_kwargs={"top_k": 3}, stream_usage=False)
    ChatSunra(model="a/b", base_url="http://10.0.0.1/v1", allow_http=True, max_retries=0)
    ChatSunra(model="a/b", timeout=Timeouts(read=5), stall_timeout=2, total_timeout=10.5)
    ChatSunra(model="a/b", request_timeout=(5, 10), max_connections=10, max_response_bytes=1000)
    ChatSunra(model="a/b", timeout=httpx.Timeout(5), async_transport="aiohttp")
    ChatSunra(model="a/b", http_client=httpx.Client(), http_async_client=httpx.AsyncClient())
    ChatSunra(model="a/b", default_headers={"x-team": "a"}, metadata={"team": "a"}, verbose=False)
    ChatSunra(model="a/b", profile={"max_input_tokens": 1000}, tags=["mine"], cache=False)
    ChatSunra(model="a/b", cache=InMemoryCache(), callbacks=[StdOutCallbackHandler()], name="a")
    ChatSunra(model="a/b", rate_limiter=InMemoryRateLimiter(requests_per_second=1))
    ChatSunra(model="a/b", custom_get_token_ids=lambda text: [len(text)], output_version="v1")
    ChatSunra(model="a/b", disable_streaming="tool_calling", streaming=True)
    chat_model: BaseChatModel = model
    assert_type(chat_model.invoke("Hello"), AIMessage)
    assert_type(model.get_num_tokens_from_messages([HumanMessage("Hello")]), int)
    assert_type(model.model_copy(update={"temperature": 1.0}), ChatSunra)
    register()
    assert_type(init_chat_model("sunra:openai/gpt-4o", temperature=0), BaseChatModel)


def asks(model: ChatSunra) -> None:
    answer = model.invoke("Hello")
    assert_type(answer, AIMessage)
    assert_type(answer.text.upper(), str)
    assert_type(answer.tool_calls, list[ToolCall])
    assert_type(answer.usage_metadata, UsageMetadata | None)
    model.invoke([("system", "Be brief."), ("human", "Hello")], temperature=0.5, stop=["END"])
    model.invoke([HumanMessage([{"type": "text", "text": "Hello"}])], api="responses")
    assert_type(model.batch(["1", "2"]), list[AIMessage])
    questions = ["1", "2"]
    model.batch(questions, config={"max_concurrency": 1})


def streams(model: ChatSunra) -> None:
    chunks = model.stream("Hello")
    assert_type(chunks, Generator[AIMessageChunk, None, None])
    total: AIMessageChunk | None = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
    with closing(model.stream("Hello")) as closed:
        next(closed)
    if total is not None:
        assert_type(split_invalid_tool_calls(total), AIMessageChunk)


async def asks_and_streams_async(model: ChatSunra) -> None:
    assert_type(await model.ainvoke("Hello"), AIMessage)
    assert_type(model.astream("Hello"), AsyncGenerator[AIMessageChunk, None])
    async for chunk in model.astream("Hello"):
        assert_type(chunk, AIMessageChunk)
    async with aclosing(model.astream("Hello")) as chunks:
        assert_type(await anext(chunks), AIMessageChunk)
    questions = ["1", "2"]
    assert_type(await model.abatch(questions), list[AIMessage])


def binds_tools(model: ChatSunra) -> None:
    bound = model.bind_tools([get_weather, Joke, SCHEMA], tool_choice="any", strict=True)
    assert_type(bound, Runnable[LanguageModelInput, AIMessage])
    for call in bound.invoke("Hello").tool_calls:
        assert_type(call["args"], dict[str, Any])


def gets_structured_answers(model: ChatSunra) -> None:
    assert_type(model.with_structured_output(Joke).invoke("Hello"), Joke)
    assert_type(model.with_structured_output(Place, method="json_mode").invoke("Hello"), Place)
    assert_type(model.with_structured_output(SCHEMA, strict=True).invoke("Hello"), dict[str, Any])
    assert_type(model.with_structured_output(Joke, repair=1).invoke("Hello"), Joke)
    raw = model.with_structured_output(Joke, include_raw=True).invoke("Hello")
    assert_type(raw, WithRaw[Joke])
    assert_type(raw["parsed"], Joke | None)
    assert_type(raw["raw"], AIMessage)


def composes(model: ChatSunra) -> None:
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | model
    assert_type(chain.invoke({"question": "Hello"}), AIMessage)
    jokes = ChatPromptTemplate.from_messages([("human", "{topic}")]) | model.with_structured_output(
        Joke
    )
    assert_type(jokes.invoke({"topic": "cats"}), Joke)
    create_agent(model, [get_weather], response_format=Joke)
    create_agent(model, [get_weather], middleware=[InvalidToolCallRepair(max_attempts=1)])
    model.with_fallbacks([ChatSunra(model="c/d")])
    model.with_retry(retry_if_exception_type=(RateLimited,))


def catches_as_langchain_does(model: ChatSunra) -> None:
    try:
        model.invoke("Hello")
    except ModelRateLimitError as limited:
        assert_type(limited.is_retryable, bool)


def catches(model: ChatSunra) -> None:
    try:
        model.invoke("Hello")
    except RateLimited as limited:
        assert_type(limited.retry_after, float | None)
        assert_type(limited.is_retryable, bool)
    except Refused as refused:
        assert_type(refused.refusal, str)
        assert_type(refused.raw_message, BaseMessage | None)
    except ResponseTruncated as truncated:
        assert_type(truncated.text, str)
    except StreamInterrupted as broken_off:
        print(broken_off.partial)
    except ChatSunraError as error:
        assert_type(error.status, int | None)


def counts_usage(model: ChatSunra) -> None:
    with UsageCallback() as usage:
        model.invoke("Hello")
    model.invoke("Hello", {"callbacks": [usage]})
    assert_type(usage, UsageCallback)
    assert_type(usage.table, UsageTable)
    assert_type(usage.table["openai/gpt-4o"], ModelUsage)
    assert_type(usage.table.total.cost, float)
