"""The same code on chat completions and on `/v1/responses`, in both frameworks.

On `/v1/responses`, the sandbox refuses reasoning that comes back changed or in another place.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import CitationBlock, ImageBlock, TextBlock, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.budget import Budget
from sunra_integrations.errors import (
    BadRequest,
    InvalidParameter,
    NotFound,
    Refused,
    SunraError,
    UnsupportedContent,
)
from sunra_integrations.langchain import ChatSunra, UsageCallback
from sunra_integrations.llama_index import Sunra, UsageHandler
from sunra_integrations.llama_index.tools import message_calls
from sunra_integrations.protocol.json_text import parse_arguments
from sunra_integrations.sandbox import CallTools, Http, Message, TextReply, sse
from sunra_integrations.sandbox import Sandbox as SandboxServer
from tests.responses_events import events, message, response

pytestmark = [
    pytest.mark.network,
    # The frameworks' own: LlamaIndex's workflows look at every attribute of an agent, and
    # LangChain's `loads` is in beta.
    pytest.mark.filterwarnings("ignore:.*attribute.*is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*is in beta"),
]

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
QUESTIONS = ["Weather in Paris?", "Compare the weather in Oslo and Rome", "Weather in Lima?"]
STEPS: Any = {"recursion_limit": 10}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class Person(BaseModel):
    """A person."""

    name: str
    years: int


ADA = Person(name="Ada", years=36)


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Rain in {city}."


@pytest.fixture(params=PATHS)
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def chat(sunra_sandbox: SandboxServer, api: str) -> ChatSunra:
    return chat_on(sunra_sandbox, api)


@pytest.fixture
def llm(sunra_sandbox: SandboxServer, api: str) -> Sunra:
    return llm_on(sunra_sandbox, api)


def chat_on(sandbox: SandboxServer, api: Any, **given: Any) -> ChatSunra:
    fields: dict[str, Any] = {"model": "a/reasoner", "api": api, **given}
    return ChatSunra(api_key=sandbox.api_key, base_url=sandbox.base_url, **fields)


def llm_on(sandbox: SandboxServer, api: Any, **given: Any) -> Sunra:
    fields: dict[str, Any] = {"model": "a/reasoner", "api": api, **given}
    return Sunra(api_key=sandbox.api_key, api_base=sandbox.base_url, **fields)


def paths(sandbox: SandboxServer) -> list[str]:
    return [request.path for request in sandbox.requests]


def replayed_reasoning(sandbox: SandboxServer) -> int:
    """The number of pieces of reasoning in the last request."""
    sent = sandbox.requests[-1].json
    if "input" in sent:
        return sum(item["type"] == "reasoning" for item in sent["input"])
    return sum("reasoning_details" in message for message in sent["messages"])


# ── agents ───────────────────────────────────────────────────────────────────


async def run_invoke(agent: Any, messages: list[BaseMessage]) -> list[BaseMessage]:
    return agent.invoke({"messages": messages}, STEPS)["messages"]


async def run_ainvoke(agent: Any, messages: list[BaseMessage]) -> list[BaseMessage]:
    return (await agent.ainvoke({"messages": messages}, STEPS))["messages"]


async def run_stream(agent: Any, messages: list[BaseMessage]) -> list[BaseMessage]:
    modes = ["messages", "values"]
    parts = list(agent.stream({"messages": messages}, STEPS, stream_mode=modes))
    assert sum(mode == "messages" for mode, _ in parts) > len(modes)
    return parts[-1][1]["messages"]


async def run_astream(agent: Any, messages: list[BaseMessage]) -> list[BaseMessage]:
    modes = ["messages", "values"]
    given = {"messages": messages}
    parts = [part async for part in agent.astream(given, STEPS, stream_mode=modes)]
    return parts[-1][1]["messages"]


@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("run", [run_invoke, run_ainvoke, run_stream, run_astream])
async def test_create_agent_replays_reasoning_over_three_turns(
    sunra_sandbox, api, run, output_version
):
    model = chat_on(sunra_sandbox, api, output_version=output_version)
    agent = create_agent(model, [get_weather])
    messages: list[BaseMessage] = []
    for question in QUESTIONS:
        messages = await run(agent, [*messages, HumanMessage(question)])
        assert messages[-1].text.count("Rain") == question.count(" and ") + 1
    assert set(paths(sunra_sandbox)) == {PATHS[api]}
    assert replayed_reasoning(sunra_sandbox) == 5


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_function_agent_replays_reasoning_over_three_turns(
    sunra_sandbox, api, llm, streaming
):
    agent = FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming)
    memory = ChatMemoryBuffer.from_defaults(token_limit=100_000, tokenizer_fn=str.split)
    for question in QUESTIONS:
        reply = str(await agent.run(user_msg=question, memory=memory))
        assert reply.count("Rain") == question.count(" and ") + 1
    assert set(paths(sunra_sandbox)) == {PATHS[api]}
    assert replayed_reasoning(sunra_sandbox) == 5


async def turn_by_chat(llm: Sunra, history: list[ChatMessage]) -> ChatMessage:
    return llm.chat_with_tools(TOOLS, None, history, allow_parallel_tool_calls=True).message


async def turn_by_achat(llm: Sunra, history: list[ChatMessage]) -> ChatMessage:
    reply = await llm.achat_with_tools(TOOLS, None, history, allow_parallel_tool_calls=True)
    return reply.message


async def turn_by_stream(llm: Sunra, history: list[ChatMessage]) -> ChatMessage:
    parts = llm.stream_chat_with_tools(TOOLS, None, history, allow_parallel_tool_calls=True)
    return list(parts)[-1].message


async def turn_by_astream(llm: Sunra, history: list[ChatMessage]) -> ChatMessage:
    parts = await llm.astream_chat_with_tools(TOOLS, None, history, allow_parallel_tool_calls=True)
    return [part async for part in parts][-1].message


TOOLS = [FunctionTool.from_defaults(fn=get_weather)]
TURNS = [turn_by_chat, turn_by_achat, turn_by_stream, turn_by_astream]
Turn = Callable[[Sunra, list[ChatMessage]], Awaitable[ChatMessage]]


async def converse(turn: Turn, llms: list[Sunra]) -> list[ChatMessage]:
    """Three questions with tool calls. The calls alternate between the LLMs."""
    history: list[ChatMessage] = []
    for question in QUESTIONS:
        history.append(ChatMessage(question))
        for llm in llms[:2] if len(llms) > 1 else llms * 2:
            reply = await turn(llm, history)
            history += [reply, *map(result, message_calls(reply))]
        assert (reply.content or "").count("Rain") == question.count(" and ") + 1
    return history


def result(call: Any) -> ChatMessage:
    call_id, _, arguments = call
    content = get_weather(**parse_arguments(arguments))
    return ChatMessage(role="tool", content=content, additional_kwargs={"tool_call_id": call_id})


@pytest.mark.parametrize("turn", TURNS)
async def test_llama_index_replays_reasoning_over_three_turns(sunra_sandbox, api, llm, turn):
    await converse(turn, [llm])
    assert paths(sunra_sandbox) == [PATHS[api]] * 6
    assert replayed_reasoning(sunra_sandbox) == 5


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("first", PATHS)
async def test_llama_index_can_switch_in_the_middle(sunra_sandbox, first, turn):
    second = next(name for name in PATHS if name != first)
    await converse(turn, [llm_on(sunra_sandbox, first), llm_on(sunra_sandbox, second)])
    assert paths(sunra_sandbox) == [PATHS[first], PATHS[second]] * 3
    assert replayed_reasoning(sunra_sandbox) == 5


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("first", PATHS)
async def test_langchain_can_switch_in_the_middle(sunra_sandbox, first, streamed):
    second: Any = next(name for name in PATHS if name != first)
    model = chat_on(sunra_sandbox, None).bind_tools([get_weather])
    messages: list[BaseMessage] = []
    for question in QUESTIONS:
        messages.append(HumanMessage(question))
        for api in (first, second):
            call: Any = {"api": api, "stream": streamed}
            reply = await model.ainvoke(messages, **call)
            messages.append(reply)
            messages += [
                ToolMessage(get_weather(**one["args"]), tool_call_id=one["id"])
                for one in reply.tool_calls
            ]
        assert reply.text.count("Rain") == question.count(" and ") + 1
    assert paths(sunra_sandbox) == [PATHS[first], PATHS[second]] * 3
    assert replayed_reasoning(sunra_sandbox) == 5


def test_the_sandbox_refuses_reasoning_that_was_changed_or_moved(sunra_sandbox):
    model = chat_on(sunra_sandbox, "responses").bind_tools([get_weather])
    question = HumanMessage(QUESTIONS[1])
    reply = model.invoke([question])
    results = [ToolMessage("Rain", tool_call_id=one["id"]) for one in reply.tool_calls]
    changed, moved = copy.deepcopy(reply), copy.deepcopy(reply)
    changed.additional_kwargs["reasoning_details"][0]["summary"] += "!"
    moved.tool_calls.reverse()
    for wrong in (changed, moved):
        with pytest.raises(BadRequest, match="input"):
            model.invoke([question, wrong, *results])
    assert model.invoke([question, reply, *results]).text


OF_OPENAI = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}


SUMMARY = [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}]


@pytest.mark.parametrize(
    ("item", "sent"),
    [
        (OF_OPENAI, [OF_OPENAI]),
        ({**OF_OPENAI, "summary": SUMMARY}, [{**OF_OPENAI, "summary": SUMMARY}]),
        ({**OF_OPENAI, "summary": SUMMARY, "encrypted_content": None}, []),
    ],
)
def test_encrypted_reasoning_of_other_classes_is_replayed(sunra_sandbox, item, sent):
    stored = AIMessage([item, {"type": "text", "text": "Yes."}])
    chat_on(sunra_sandbox, "responses").invoke(["Hi", stored, "Sure?"])
    thinking = ThinkingBlock(content="", additional_information=item)
    message = ChatMessage(role="assistant", blocks=[thinking, TextBlock(text="Yes.")])
    llm_on(sunra_sandbox, "responses").chat([ChatMessage("Hi"), message, ChatMessage("Sure?")])
    for request in sunra_sandbox.requests:
        assert [one for one in request.json["input"] if one["type"] == "reasoning"] == sent


# ── structured output ────────────────────────────────────────────────────────


async def object_by_invoke(runnable: Any) -> Any:
    return runnable.invoke("Ada is 36.")


async def object_by_ainvoke(runnable: Any) -> Any:
    return await runnable.ainvoke("Ada is 36.")


async def object_by_stream(runnable: Any) -> Any:
    return list(runnable.stream("Ada is 36."))[-1]


async def object_by_astream(runnable: Any) -> Any:
    return [part async for part in runnable.astream("Ada is 36.")][-1]


JSON = TextReply(ADA.model_dump_json())
CALL = CallTools(("Person", ADA.model_dump()))


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize(
    "run", [object_by_invoke, object_by_ainvoke, object_by_stream, object_by_astream]
)
@pytest.mark.parametrize(
    ("method", "strict"),
    [
        *(
            (method, strict)
            for method in ("json_schema", "function_calling")
            for strict in (None, True, False)
        ),
        ("json_mode", None),
    ],
)
async def test_structured_output(  # noqa: PLR0917
    sunra_sandbox, api, chat, method, strict, run, include_raw
):
    sunra_sandbox.next(CALL if method == "function_calling" else JSON)
    runnable = chat.with_structured_output(
        Person, method=method, strict=strict, include_raw=include_raw
    )
    made = await run(runnable)
    assert (made["parsed"] if include_raw else made) == ADA
    assert paths(sunra_sandbox) == [PATHS[api]]


@pytest.mark.parametrize(
    ("strategy", "answers"),
    [(ProviderStrategy, [JSON]), (ToolStrategy, [CALL])],
)
async def test_an_agent_returns_an_object(sunra_sandbox, api, chat, strategy, answers):
    sunra_sandbox.next(*answers)
    agent = create_agent(chat, [get_weather], response_format=strategy(Person))
    done = await agent.ainvoke({"messages": [HumanMessage("Who?")]}, STEPS)
    assert done["structured_response"] == ADA
    assert set(paths(sunra_sandbox)) == {PATHS[api]}


PROMPT = PromptTemplate("Who is {name}?")
NAMED: Any = {"name": "Ada"}


async def predict(llm: Sunra) -> Any:
    return llm.structured_predict(Person, PROMPT, **NAMED)


async def apredict(llm: Sunra) -> Any:
    return await llm.astructured_predict(Person, PROMPT, **NAMED)


async def stream_predict(llm: Sunra) -> Any:
    return list(llm.stream_structured_predict(Person, PROMPT, **NAMED))[-1]


async def astream_predict(llm: Sunra) -> Any:
    parts = await llm.astream_structured_predict(Person, PROMPT, **NAMED)
    return [part async for part in parts][-1]


async def structured_llm(llm: Sunra) -> Any:
    return (await llm.as_structured_llm(Person).achat([ChatMessage("Who?")])).raw


MODES = {
    PydanticProgramMode.DEFAULT: JSON,
    PydanticProgramMode.LLM: JSON,
    PydanticProgramMode.FUNCTION: CALL,
}


@pytest.mark.parametrize(
    "run", [predict, apredict, stream_predict, astream_predict, structured_llm]
)
@pytest.mark.parametrize("mode", MODES)
async def test_structured_prediction(sunra_sandbox, api, mode, run):
    sunra_sandbox.next(MODES[mode])
    llm = llm_on(sunra_sandbox, api, pydantic_program_mode=mode)
    assert Person.model_validate((await run(llm)).model_dump()) == ADA
    assert paths(sunra_sandbox) == [PATHS[api]]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_refusal_is_an_error_of_structured_output(sunra_sandbox, chat, method):
    sunra_sandbox.next(Message({"role": "assistant", "content": None, "refusal": "No."}))
    with pytest.raises(Refused, match="No"):
        chat.with_structured_output(Person, method=method).invoke("Who?")


def test_a_cut_off_object_is_an_error(sunra_sandbox, llm, chat):
    cut = TextReply('{"name": "A', finish_reason="length")
    sunra_sandbox.next(cut, cut)
    with pytest.raises(SunraError, match="max_tokens"):
        chat.with_structured_output(Person).invoke("Who?")
    with pytest.raises(SunraError, match="max_tokens"):
        llm.structured_predict(Person, PROMPT, **NAMED)


# ── choosing the API ─────────────────────────────────────────────────────────


async def test_a_call_chooses_the_api_in_langchain(sunra_sandbox):
    model = chat_on(sunra_sandbox, None)
    call: Any = {"api": "responses"}
    model.invoke("Hi", **call)
    await model.ainvoke("Hi", **call)
    list(model.stream("Hi", **call))
    model.bind(**call).batch(["Hi"])
    model.bind_tools([get_weather], **call).invoke("Hi")
    model.with_structured_output(Person, **call).invoke("Ada is 36.")
    assert set(paths(sunra_sandbox)) == {PATHS["responses"]}
    sunra_sandbox.clear()
    chat_on(sunra_sandbox, "responses").invoke("Hi", api="chat")
    model.invoke("Hi")
    assert set(paths(sunra_sandbox)) == {PATHS["chat"]}


async def test_a_call_chooses_the_api_in_llama_index(sunra_sandbox):
    llm = llm_on(sunra_sandbox, None)
    call: Any = {"api": "responses"}
    messages = [ChatMessage("Hi")]
    llm.chat(messages, **call)
    await llm.acomplete("Hi", **call)
    list(llm.stream_chat(messages, **call))
    llm.chat_with_tools(TOOLS, "Hi", **call)
    llm.structured_predict(Person, PROMPT, llm_kwargs=call, **NAMED)
    assert set(paths(sunra_sandbox)) == {PATHS["responses"]}
    sunra_sandbox.clear()
    llm_on(sunra_sandbox, "responses").chat(messages, api="chat")
    llm.chat(messages)
    assert set(paths(sunra_sandbox)) == {PATHS["chat"]}


@pytest.mark.parametrize(
    ("name", "value"), [("stop", ["x"]), ("seed", 7), ("n", 2), ("presence_penalty", 0.5)]
)
def test_a_parameter_that_responses_does_not_have_is_refused_before_sending(
    sunra_sandbox, name, value
):
    given: Any = {name: value}
    attempts: list[Callable[[], Any]] = [
        lambda: chat_on(sunra_sandbox, "responses", **given),
        lambda: llm_on(sunra_sandbox, "responses", **given),
        lambda: chat_on(sunra_sandbox, "responses").invoke("Hi", **given),
        lambda: llm_on(sunra_sandbox, "responses").chat([ChatMessage("Hi")], **given),
        lambda: chat_on(sunra_sandbox, None, **given).invoke("Hi", api="responses"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidParameter, match=f"`{name}` cannot be sent") as caught:
            attempt()
        assert caught.value.parameter == name
    assert sunra_sandbox.requests == []


def test_an_unknown_api_is_refused(sunra_sandbox):
    for make in (chat_on, llm_on):
        with pytest.raises(InvalidParameter, match="`api` must be 'chat' or 'responses'"):
            make(sunra_sandbox, "completions")


# ── tools that the server runs ───────────────────────────────────────────────

SEARCH: Any = {"type": "web_search"}
SEARCHED = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "Oslo"},
}


def test_built_in_tools_are_sent_unchanged(sunra_sandbox):
    model, llm = chat_on(sunra_sandbox, "responses"), llm_on(sunra_sandbox, "responses")
    model.bind_tools([SEARCH, get_weather], tool_choice="web_search").invoke("Hi")
    assert sunra_sandbox.requests[-1].json["tool_choice"] == SEARCH
    llm.chat_with_tools([SEARCH, *TOOLS], "Hi", tool_choice=SEARCH)
    assert sunra_sandbox.requests[-1].json["tool_choice"] == SEARCH
    llm.chat([ChatMessage("Hi")], tools=[SEARCH, *TOOLS])
    done = llm.predict_and_call([SEARCH, *TOOLS], QUESTIONS[0])
    assert str(done) == get_weather("Paris")
    for request in sunra_sandbox.requests:
        assert request.json["tools"][0] == SEARCH
        assert request.json["tools"][1]["name"] == "get_weather"


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_function_agent_has_the_built_in_tools_of_its_llm(sunra_sandbox, streaming):
    replaced = {"type": "function", "function": {"name": "replaced"}}
    llm = llm_on(sunra_sandbox, "responses", tools=[SEARCH, replaced])
    await FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming).run(user_msg="Hi")
    sent = sunra_sandbox.requests[-1].json["tools"]
    assert [tool.get("name", tool["type"]) for tool in sent] == ["get_weather", "web_search"]


def test_chat_completions_have_function_tools_only(sunra_sandbox):
    attempts: list[Callable[[], Any]] = [
        lambda: chat_on(sunra_sandbox, None).bind_tools([SEARCH]).invoke("Hi"),
        lambda: llm_on(sunra_sandbox, None).chat_with_tools([SEARCH], "Hi"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidParameter, match="Use api='responses'"):
            attempt()
    assert sunra_sandbox.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_calls_of_built_in_tools_go_back_unchanged(sunra_sandbox, streamed):
    content = [SEARCHED, {"type": "text", "text": "It rains."}]
    answer = Message({"role": "assistant", "content": content})
    sunra_sandbox.next(answer, "Yes.", answer, "Yes.")
    model = chat_on(sunra_sandbox, "responses").bind(stream=streamed)
    first = model.invoke("Rain in Oslo?")
    assert first.text == "It rains."
    model.invoke(["Rain in Oslo?", first, "Sure?"])
    assert SEARCHED in sunra_sandbox.requests[-1].json["input"]
    llm, asked = llm_on(sunra_sandbox, "responses"), ChatMessage("Rain in Oslo?")
    reply = list(llm.stream_chat([asked]))[-1] if streamed else llm.chat([asked])
    assert reply.message.content == "It rains."
    llm.chat([asked, reply.message, ChatMessage("Sure?")])
    assert SEARCHED in sunra_sandbox.requests[-1].json["input"]


async def test_chat_completions_have_no_calls_of_built_in_tools(sunra_sandbox):
    answer = Message(
        {"role": "assistant", "content": [SEARCHED, {"type": "text", "text": "Rain."}]}
    )
    sunra_sandbox.next(answer, answer)
    model, llm = chat_on(sunra_sandbox, "responses"), llm_on(sunra_sandbox, "responses")
    message, asked = model.invoke("Rain?"), ChatMessage("Rain?")
    reply = llm.chat([asked]).message
    attempts: list[Callable[[], Any]] = [
        lambda: model.invoke(["Rain?", message, "Sure?"], api="chat"),
        lambda: llm.chat([asked, reply, ChatMessage("Sure?")], api="chat"),
    ]
    for attempt in attempts:
        with pytest.raises(UnsupportedContent, match="Remove it, or use api='responses'") as caught:
            attempt()
        assert caught.value.kind == "web_search_call"
        assert caught.value.position == "messages[1].content[0]"
    assert len(sunra_sandbox.requests) == 2


# ── stored responses ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stored_response_is_continued_by_its_id(sunra_sandbox, streamed):
    stored: Any = {"extra_body": {"store": True}}
    model = chat_on(sunra_sandbox, "responses", **stored)
    first = total(model.stream("My name is Ada.")) if streamed else model.invoke("My name is Ada.")
    more = {"extra_body": {"previous_response_id": first.response_metadata["id"]}}
    assert first.response_metadata["id"].startswith("resp_")
    assert model.invoke("Hi", **more).text
    llm, asked = llm_on(sunra_sandbox, "responses", **stored), [ChatMessage("My name is Ada.")]
    reply = list(llm.stream_chat(asked))[-1] if streamed else llm.chat(asked)
    more = {"extra_body": {"previous_response_id": reply.raw["id"]}}
    assert llm.chat([ChatMessage("Hi")], **more).message.content
    *_, last = sunra_sandbox.requests
    assert last.json["previous_response_id"] == reply.raw["id"]
    assert last.json["store"] is True
    assert len(last.json["input"]) == 1


def total(chunks: Any) -> Any:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


# ── caches and copies ────────────────────────────────────────────────────────


def test_a_cached_response_belongs_to_one_api(sunra_sandbox):
    cache = InMemoryCache()
    model = chat_on(sunra_sandbox, None, cache=cache)
    for api in ("chat", "responses", "responses"):
        model.invoke("Hi", api=api)
    chat_on(sunra_sandbox, "responses", cache=cache).invoke("Hi")
    chat_on(sunra_sandbox, "responses", cache=cache).invoke("Hi")
    assert paths(sunra_sandbox)[:2] == [PATHS["chat"], PATHS["responses"]]
    assert set(paths(sunra_sandbox)[2:]) == {PATHS["responses"]}
    assert len(sunra_sandbox.requests) == 3


def test_copies_keep_the_api(sunra_sandbox, api, monkeypatch):
    monkeypatch.setenv("SUNRA_KEY", sunra_sandbox.api_key)
    model, llm = chat_on(sunra_sandbox, api), llm_on(sunra_sandbox, api)
    allowed: Any = {"valid_namespaces": ["sunra_integrations"], "allowed_objects": [ChatSunra]}
    models = [
        loads(dumps(model), secrets_map={"SUNRA_KEY": sunra_sandbox.api_key}, **allowed),
        pickle.loads(pickle.dumps(model)),  # noqa: S301
        model.model_copy(),
    ]
    pickled = pickle.loads(pickle.dumps(llm))  # noqa: S301
    llms = [Sunra.from_dict(llm.to_dict()), pickled, llm.model_copy()]
    for one in models:
        one.invoke("Hi")
    for other in llms:
        other.complete("Hi")
    assert paths(sunra_sandbox) == [PATHS[api]] * 6


# ── content ──────────────────────────────────────────────────────────────────


async def message_by_invoke(model: ChatSunra, content: Any) -> AIMessage:
    return model.invoke([HumanMessage(content)])


async def message_by_stream(model: ChatSunra, content: Any) -> AIMessage:
    return total([part async for part in model.astream([HumanMessage(content)])])


async def message_by_events(model: ChatSunra, content: Any) -> AIMessage:
    return await (await model.astream_events([HumanMessage(content)], version="v3"))


MESSAGES = [message_by_invoke, message_by_stream, message_by_events]
CITATION = {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 3}
CITING = Message(
    {
        "role": "assistant",
        "content": "See A.",
        "reasoning": "Hm.",
        "annotations": [{"type": "url_citation", "url_citation": CITATION}],
    }
)
REFUSING = Message({"role": "assistant", "content": None, "refusal": "No."})


@pytest.mark.parametrize("ask", MESSAGES)
async def test_content_blocks_are_the_same(sunra_sandbox, chat, ask):
    sunra_sandbox.next(CITING)
    message = await ask(chat, "Hi")
    reasoning, text = message.content_blocks
    assert (reasoning["type"], reasoning.get("reasoning")) == ("reasoning", "Hm.")
    assert text["text"] == message.text == "See A."
    assert text["annotations"] == [{"type": "citation", **CITATION}]
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "a/reasoner"
    assert message.response_metadata["model_provider"] == "sunra"


@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("ask", MESSAGES)
async def test_texts_go_back_with_their_phases(sunra_sandbox, ask, output_version):
    commentary = message("I look it up.", phase="commentary")
    whole = response(commentary, message("It is so.", id="msg_2", phase="final_answer"))
    given = Http(200, whole) if ask is message_by_invoke else sse(*map(json_event, events(whole)))
    sunra_sandbox.next(given, "Yes.")
    model = chat_on(sunra_sandbox, "responses", output_version=output_version)
    reply = await ask(model, "Hi")
    assert reply.text == "I look it up.It is so."
    model.invoke(["Hi", reply, "Sure?"])
    sent = [one for one in sunra_sandbox.requests[-1].json["input"] if one["role"] == "assistant"]
    assert [(one["phase"], one["content"]) for one in sent] == [
        ("commentary", "I look it up."),
        ("final_answer", "It is so."),
    ]


def json_event(event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


@pytest.mark.parametrize("ask", MESSAGES)
async def test_refusals_are_the_same(sunra_sandbox, chat, ask):
    sunra_sandbox.next(REFUSING)
    message = await ask(chat, "Hi")
    assert message.text == ""
    assert message.additional_kwargs["refusal"] == "No."
    sunra_sandbox.next("Fine.")
    assert chat.invoke(["Hi", message, "Please."]).text == "Fine."


@pytest.mark.parametrize("ask", MESSAGES)
async def test_images_are_the_same(sunra_sandbox, chat, ask):
    image = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    message = await ask(chat, [{"type": "text", "text": "What is it?"}, image])
    assert "image/png" in message.text
    assert PNG in str(sunra_sandbox.requests[-1].json)


@pytest.mark.parametrize("streamed", [False, True])
async def test_blocks_of_llama_index_are_the_same(sunra_sandbox, llm, streamed):
    async def ask(*blocks: Any) -> ChatMessage:
        asked = [ChatMessage(role="user", blocks=list(blocks))]
        if streamed:
            return [part async for part in await llm.astream_chat(asked)][-1].message
        return llm.chat(asked).message

    sunra_sandbox.next(CITING, REFUSING)
    thinking, text, citation = (await ask(TextBlock(text="Hi"))).blocks
    assert isinstance(thinking, ThinkingBlock)
    assert thinking.content == "Hm."
    assert text == TextBlock(text="See A.")
    assert isinstance(citation, CitationBlock)
    assert (citation.source, citation.title) == (CITATION["url"], CITATION["title"])
    refusal = await ask(TextBlock(text="Hi"))
    assert refusal.additional_kwargs["refusal"] == "No."
    image = ImageBlock(image=PNG.encode(), image_mimetype="image/png")
    seen = await ask(TextBlock(text="What is it?"), image)
    assert "image/png" in (seen.content or "")


# ── usage ────────────────────────────────────────────────────────────────────


async def chunks(given: Any) -> list[Any]:
    assert isinstance(given, AsyncIterator)
    return [one async for one in given]


@pytest.mark.parametrize("streamed", [False, True])
async def test_budgets_and_usage_tables_count_the_same(sunra_sandbox, api, streamed):
    budget = Budget(calls=10, tokens=10_000)
    chat, llm = (make(sunra_sandbox, api, budget=budget) for make in (chat_on, llm_on))
    counter = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([counter])
    with UsageCallback() as of_chat, UsageHandler() as of_llm:
        if streamed:
            message = total(await chunks(chat.astream("Hi")))
            await chunks(await llm.astream_chat([ChatMessage("Hi")]))
        else:
            message = await chat.ainvoke("Hi")
            await llm.achat([ChatMessage("Hi")])
    used = message.usage_metadata
    assert (used["input_tokens"], used["output_tokens"]) == (5, 22)
    assert used["output_token_details"]["reasoning"] == 18
    (row,), (other,) = of_chat.table.values(), of_llm.table.values()
    assert row == other
    assert (row.calls, row.input_tokens, row.output_tokens, row.reasoning_tokens) == (1, 5, 22, 18)
    assert row.cost == message.response_metadata["cost"] > 0
    spent = budget.spent
    assert (spent.calls, spent.total_tokens, spent.calls_without_cost) == (2, 54, 0)
    assert spent.cost == pytest.approx(2 * row.cost)
    assert counter.total_llm_token_count == 27


NO_ENDPOINT = {
    "nginx": Http(404, "<html><head><title>404 Not Found</title></head></html>"),
    "FastAPI": Http(404, {"detail": "Not Found"}),
}


@pytest.mark.parametrize("server", NO_ENDPOINT)
def test_a_server_that_may_not_have_the_endpoint_is_told_by_the_error(server, api, sunra_sandbox):
    model = chat_on(sunra_sandbox, api)
    for call in (model.invoke, lambda text: list(model.stream(text))):
        sunra_sandbox.next(NO_ENDPOINT[server])
        with pytest.raises(NotFound) as caught:
            call("Hi")
        assert ('use `api="chat"`' in str(caught.value)) is (api == "responses")


def test_an_item_that_the_server_does_not_have_is_not_a_missing_endpoint(sunra_sandbox):
    error = {"message": "Item with id 'rs_1' not found.", "param": "input", "code": None}
    sunra_sandbox.next(Http(404, {"error": error}))
    with pytest.raises(NotFound, match="rs_1") as caught:
        chat_on(sunra_sandbox, "responses").invoke("Hi")
    assert "may not have" not in str(caught.value)
