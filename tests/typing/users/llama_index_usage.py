"""What users write with LlamaIndex; read by type checkers, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

import httpx
from llama_index.core import Settings as LlamaIndexSettings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms import LLM, ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, SecretStr
from typing_extensions import assert_type

from sunra_integrations.errors import SunraError
from sunra_integrations.llama_index import Sunra, UsageHandler
from sunra_integrations.transport import Timeouts
from sunra_integrations.transport.api_key import KeyFunction
from sunra_integrations.usage import UsageTable


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return city


def to_prompt(messages: Sequence[ChatMessage]) -> str:
    """Joins messages."""
    return "\n".join(str(message.content) for message in messages)


def makes_llms(api_key: str | None, manager: CallbackManager) -> None:
    llm = Sunra(model="openai/gpt-4o", api_key=api_key)
    assert_type(llm, Sunra)
    assert_type(llm.model, str)
    assert_type(llm.api_key, SecretStr | KeyFunction | None)
    Sunra(model="a/b", api_key=lambda: "made-up")
    assert_type(llm.temperature, float | None)
    assert_type(llm.metadata, LLMMetadata)
    assert_type(Sunra.class_name(), str)
    Sunra(model="a/b", api_key=SecretStr("made-up"), api_base="https://example.com/v1")
    Sunra(model="a/b", temperature=0, top_p=1, max_tokens=5, stop=["END"], seed=1, n=2)
    Sunra(model="a/b", max_completion_tokens=5, stop="END", frequency_penalty=1, user="ada")
    Sunra(model="a/b", presence_penalty=0.5, logprobs=True, top_logprobs=3)
    Sunra(model="a/b", provider={"only": ["openai"]}, reasoning={"effort": "low"})
    Sunra(model="a/b", reasoning_effort="low", stream_options={}, extra_body={"top_k": 3})
    Sunra(model="a/b", api="responses").chat([], api="chat", tools=[{"type": "web_search"}])
    Sunra(model="a/b", response_format={"type": "json_object"}, additional_kwargs={"seed": 1})
    Sunra(model="a/b", tools=[{"type": "function"}], tool_choice="auto", parallel_tool_calls=False)
    Sunra(model="a/b", strict=True, context_window=1000, num_output=10, tokenizer=list)
    Sunra(model="a/b", is_function_calling_model=False, timeout=5, max_retries=0, allow_http=True)
    Sunra(model="a/b", request_timeout=Timeouts(read=5), stall_timeout=2, total_timeout=10.5)
    Sunra(model="a/b", timeout=(5, 10), max_connections=10, max_response_bytes=1000)
    Sunra(model="a/b", timeout=httpx.Timeout(5), async_transport="httpx")
    Sunra(model="a/b", http_client=httpx.Client(), async_http_client=httpx.AsyncClient())
    Sunra(model="a/b", callback_manager=manager, default_headers={"x-team": "a"})
    Sunra(model="a/b", system_prompt="Be brief.", completion_to_prompt=lambda prompt: prompt)
    Sunra(model="a/b", messages_to_prompt=to_prompt)
    Sunra(model="a/b", query_wrapper_prompt=PromptTemplate("{query_str}"))
    Sunra(model="a/b", pydantic_program_mode=PydanticProgramMode.LLM, output_parser=None)
    any_llm: LLM = llm
    function_calling: FunctionCallingLLM = llm
    LlamaIndexSettings.llm = any_llm
    assert_type(function_calling.metadata.model_name, str)


def asks(llm: Sunra) -> None:
    answer = llm.chat([ChatMessage("Hello")], temperature=0, extra_headers={"x-team": "a"})
    assert_type(answer, ChatResponse)
    assert_type(answer.message.content, str | None)
    assert_type(llm.complete("Hello"), CompletionResponse)
    assert_type(llm.complete("Hello", formatted=True, timeout=5).text, str)
    assert_type(llm.predict(PromptTemplate("{it}"), it="cats"), str)


def streams(llm: Sunra) -> None:
    chunks = llm.stream_chat([ChatMessage("Hello")])
    assert_type(chunks, Generator[ChatResponse, None, None])
    for chunk in chunks:
        assert_type(chunk.delta, str | None)
    assert_type(llm.stream_complete("Hello"), Generator[CompletionResponse, None, None])
    assert_type(llm.stream(PromptTemplate("{it}"), it="cats"), Generator[str, None, None])


async def asks_and_streams_async(llm: Sunra) -> None:
    assert_type(await llm.achat([ChatMessage("Hello")]), ChatResponse)
    assert_type(await llm.acomplete("Hello"), CompletionResponse)
    chunks = await llm.astream_chat([ChatMessage("Hello")])
    assert_type(chunks, AsyncGenerator[ChatResponse, None])
    async for chunk in chunks:
        assert_type(chunk, ChatResponse)
    async for piece in await llm.astream_complete("Hello"):
        assert_type(piece, CompletionResponse)


def calls_tools(llm: Sunra) -> None:
    weather = FunctionTool.from_defaults(get_weather)
    answer = llm.chat_with_tools([weather], user_msg="Hello", tool_required=True, strict=True)
    assert_type(answer, ChatResponse)
    for call in llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False):
        assert_type(call, ToolSelection)
    assert_type(llm.predict_and_call([weather], "Hello"), AgentChatResponse)


async def runs_agents(llm: Sunra) -> None:
    agent = FunctionAgent(llm=llm, tools=[get_weather], system_prompt="Be brief.")
    # Upstream: the deprecated overload also takes the keyword that its own message recommends.
    handler = agent.run(user_msg="Hello")  # pyright: ignore[reportDeprecated]
    print(str(await handler))  # pyright: ignore[reportUnknownArgumentType] - WorkflowHandler's own


async def gets_structured_answers(llm: Sunra) -> None:
    prompt = PromptTemplate("A joke about {topic}.")
    assert_type(llm.structured_predict(Joke, prompt, topic="cats"), Joke)
    assert_type(await llm.astructured_predict(Joke, prompt, topic="cats"), Joke)
    for joke in llm.stream_structured_predict(Joke, prompt, topic="cats"):
        print(joke)
    assert_type(llm.structured_predict(Joke, prompt, {"repair": 1}, topic="cats"), Joke)
    jokes = llm.as_structured_llm(Joke, repair=1)
    assert_type(jokes.chat([ChatMessage("A joke")]), ChatResponse)
    assert_type(jokes.complete("A joke").text, str)


def sees_what_is_shown(llm: Sunra) -> None:
    assert_type(llm.to_payload(), dict[str, Any])


def catches(llm: Sunra) -> None:
    try:
        llm.complete("Hello")
    except SunraError as error:
        assert_type(error.status, int | None)


def counts_usage(llm: Sunra) -> None:
    with UsageHandler() as usage:
        llm.complete("Hello")
    get_dispatcher().add_event_handler(usage)
    assert_type(usage, UsageHandler)
    assert_type(usage.table, UsageTable)
    assert_type(usage.table.total.calls, int)
