"""Prompt caching: every `cache_control` is sent, and cached tokens are counted."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    SummarizationMiddleware,
)
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.load import dumps, load
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    merge_message_runs,
    messages_from_dict,
    messages_to_dict,
    trim_messages,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import StructuredTool, tool

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.request import messages as sent_messages
from tests.recorded_transport import Answer, Recorded, completion, status, stream

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def marked(text: str, mark: dict[str, str] = MARK) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": mark}


def whole(text: str = "Hi") -> Answer:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return completion({"id": "x", "model": "m", "choices": [choice]})


def chat(*answers: Answer, **given: Any) -> tuple[ChatSunra, Recorded]:
    wire = Recorded(*answers or (whole(),))
    model = ChatSunra(
        model="anthropic/claude-sonnet-4.5",
        api_key="sk-made-up",
        max_retries=0,
        http_client=httpx.Client(transport=wire),
        http_async_client=httpx.AsyncClient(transport=wire),
        **given,
    )
    return model, wire


def marks(body: Any) -> list[str]:
    """The position of each `cache_control` in what was sent."""

    def found(value: Any, path: str) -> list[str]:
        if isinstance(value, list):
            return [one for i, item in enumerate(value) for one in found(item, f"{path}[{i}]")]
        if not isinstance(value, dict):
            return []
        own = [path] if "cache_control" in value else []
        return own + [one for k, v in value.items() for one in found(v, f"{path}.{k}".strip("."))]

    return found(body, "")


CALL = {"name": "look_up", "args": {"word": "x"}, "id": "c1", "type": "tool_call"}
CONVERSATION: list[BaseMessage] = [
    SystemMessage([{"type": "text", "text": "Rules."}, marked("A long manual.", HOUR)]),
    HumanMessage([marked("A long book."), {"type": "text", "text": "Summarize it."}]),
    AIMessage([marked("Let me see.")], tool_calls=[CALL]),
    ToolMessage([marked("A long result.")], tool_call_id="c1"),
    HumanMessage("And now?", additional_kwargs={"cache_control": MARK}),
]
MARKED = [
    "messages[0].content[1]",
    "messages[1].content[0]",
    "messages[2].content[0]",
    "messages[3].content[0]",
    "messages[4]",
]


EVENT = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n'
)


async def send(given: Any, **settings: Any) -> list[dict[str, Any]]:
    """Send the same in each way; return what was sent."""
    model, wire = chat(**settings)
    model.invoke(given)
    await model.ainvoke(given)
    model.batch([given])
    await model.abatch([given])
    streaming, streamed = chat(stream(EVENT), **settings)
    list(streaming.stream(given))
    _ = [one async for one in streaming.astream(given)]
    return [*wire.bodies, *streamed.bodies]


# ── messages ─────────────────────────────────────────────────────────────────


async def test_marks_of_every_role_are_sent():
    for body in await send(CONVERSATION):
        assert marks(body) == MARKED
        assert body["messages"][0]["content"][1]["cache_control"] == HOUR


IMAGE = {"type": "image", "url": "https://x.test/a.png"}
BLOCKS: dict[str, tuple[BaseMessage, str]] = {
    "an image": (HumanMessage([{**IMAGE, "cache_control": MARK}]), "[0].content[0]"),
    "OpenAI's image": (
        HumanMessage(
            [{"type": "image_url", "image_url": {"url": IMAGE["url"]}, "cache_control": MARK}]
        ),
        "[0].content[0]",
    ),
    "Anthropic's document": (
        HumanMessage(
            [
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    "cache_control": MARK,
                }
            ]
        ),
        "[0].content[0]",
    ),
    "plain text": (
        HumanMessage([{"type": "text-plain", "text": "Long", "cache_control": MARK}]),
        "[0].content[0]",
    ),
    "extras of a standard block": (
        HumanMessage([{"type": "text", "text": "Hi", "extras": {"cache_control": MARK}}]),
        "[0].content[0]",
    ),
    "a non-standard block": (
        HumanMessage([{"type": "non_standard", "value": marked("Hi")}]),
        "[0].content[0]",
    ),
    "text of another class": (AIMessage([marked("Hi")]), "[0].content[0]"),
    "own text": (
        AIMessage([marked("Hi")], response_metadata={"model_provider": "sunra"}),
        "[0].content[0]",
    ),
    "extras of own text": (
        AIMessage(
            [{"type": "text", "text": "Hi", "extras": {"cache_control": MARK}}],
            response_metadata={"model_provider": "sunra"},
        ),
        "[0].content[0]",
    ),
    "a developer message": (
        SystemMessage([marked("Hi")], additional_kwargs={"__openai_role__": "developer"}),
        "[0].content[0]",
    ),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_marks_of_every_kind_of_block_are_sent(case: str):
    message, place = BLOCKS[case]
    assert marks(sent_messages([message])) == [place]
    (stored,) = messages_from_dict(messages_to_dict([message]))
    assert marks(sent_messages([stored])) == [place]


@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_an_answer_that_is_marked_and_sent_back_keeps_its_mark(version: str):
    model, wire = chat(output_version=version)
    answer = model.invoke("Hi")
    block = {"type": "text", "text": answer.text, "cache_control": MARK}
    again = answer.model_copy(update={"content": [block]})
    model.invoke([HumanMessage("Hi"), again, HumanMessage("Go on.")])
    assert marks(wire.bodies[-1]) == ["messages[1].content[0]"]


CALLED = {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"word": "x"}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "A long result."}


def test_marks_of_anthropics_calls_and_results_are_sent():
    conversation = [
        HumanMessage("Look it up."),
        AIMessage([{**CALLED, "cache_control": MARK}], tool_calls=[CALL]),
        HumanMessage([{**RESULT, "cache_control": HOUR}, {"type": "text", "text": "Well?"}]),
    ]
    sent = sent_messages(conversation)
    assert marks(sent) == ["[1].tool_calls[0]", "[2].content[0]"]
    assert sent[2]["content"] == [marked("A long result.", HOUR)]


def test_an_invalid_call_keeps_its_mark():
    invalid = {"name": "look_up", "args": "{", "id": "c1", "error": None}
    call = AIMessage(
        [{**CALLED, "input": {}, "cache_control": MARK}],
        invalid_tool_calls=[{**invalid, "type": "invalid_tool_call"}],
    )
    conversation = [call, ToolMessage("x", tool_call_id="c1")]
    assert marks(sent_messages(conversation)) == ["[0].tool_calls[0]"]


def test_a_call_that_is_only_in_the_content_keeps_its_mark():
    conversation = [
        AIMessage([{**CALLED, "cache_control": MARK}]),
        ToolMessage("x", tool_call_id="c1"),
    ]
    assert marks(sent_messages(conversation)) == ["[0].tool_calls[0]"]


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "[1].content[1]"),
        ([{**IMAGE}], "[1].content[0]"),
        ([marked("a", HOUR), {"type": "text", "text": "b"}], "[1].content[1]"),
        ("", "[1]"),
        ([], "[1]"),
    ],
)
def test_the_mark_of_a_result_is_on_its_last_part(content: Any, sent: str):
    result = {**RESULT, "content": content, "cache_control": MARK}
    made = sent_messages([AIMessage("", tool_calls=[CALL]), HumanMessage([result])])
    assert marks(made)[-1] == sent


def test_a_link_in_a_result_keeps_its_mark():
    link = {"type": "resource_link", "uri": "file:///a.txt", "cache_control": MARK}
    conversation = [AIMessage("", tool_calls=[CALL]), ToolMessage([link], tool_call_id="c1")]
    assert marks(sent_messages(conversation)) == ["[1].content[0]"]


# ── tools and settings ───────────────────────────────────────────────────────


def look_up(word: str) -> str:
    """Look up a word."""
    return f"{word} is a word."


def marked_tool(**extras: Any) -> StructuredTool:
    return StructuredTool.from_function(look_up, extras={"cache_control": MARK, **extras})


SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}
TOOLS: dict[str, Any] = {
    "a LangChain tool": marked_tool(),
    "the decorator's": tool(extras={"cache_control": MARK})(look_up),
    "OpenAI's": {
        "type": "function",
        "function": {"name": "look_up", "parameters": SCHEMA},
        "cache_control": MARK,
    },
    "Anthropic's": {"name": "look_up", "input_schema": SCHEMA, "cache_control": MARK},
    "a schema": {"title": "look_up", "description": "d", **SCHEMA, "cache_control": MARK},
    "the Responses API's": {
        "type": "function",
        "name": "look_up",
        "parameters": SCHEMA,
        "cache_control": MARK,
    },
}


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("case", TOOLS)
def test_marks_of_every_form_of_tool_are_sent(case: str, strict: bool | None):
    model, wire = chat()
    model.bind_tools([TOOLS[case]], strict=strict).invoke("Hi")
    (sent,) = wire.bodies[0]["tools"]
    assert sent["cache_control"] == MARK
    assert marks(wire.bodies[0]) == ["tools[0]"]


def test_other_extras_of_a_tool_are_not_sent():
    model, wire = chat()
    model.bind_tools([marked_tool(defer_loading=True)]).invoke("Hi")
    (sent,) = wire.bodies[0]["tools"]
    assert sorted(sent) == ["cache_control", "function", "type"]


async def test_the_requests_own_mark_and_key_are_sent():
    extra = {"cache_control": MARK, "prompt_cache_key": "manual-1"}
    for body in await send("Hi", extra_body=extra):
        assert {name: body[name] for name in extra} == extra
    model, wire = chat(extra_body=extra)
    model.bind(extra_body={"prompt_cache_retention": "24h"}).invoke("Hi")
    assert wire.bodies[0].items() >= {**extra, "prompt_cache_retention": "24h"}.items()


# ── histories ────────────────────────────────────────────────────────────────


def trimmed(conversation: list[BaseMessage]) -> list[BaseMessage]:
    return trim_messages(
        conversation, max_tokens=100, token_counter=len, include_system=True, strategy="last"
    )


HISTORIES: dict[str, Any] = {
    "dicts": lambda given: messages_from_dict(messages_to_dict(given)),
    "dumps": lambda given: [load(json.loads(dumps(one)), allowed_objects="core") for one in given],
    "JSON": lambda given: [type(one).model_validate_json(one.model_dump_json()) for one in given],
    "trim_messages": trimmed,
    "merge_message_runs": merge_message_runs,
    "copies": lambda given: [one.model_copy(deep=True) for one in given],
    "a prompt": lambda given: ChatPromptTemplate.from_messages(given).invoke({}),
    "a placeholder": lambda given: ChatPromptTemplate.from_messages(
        [MessagesPlaceholder("history")]
    ).invoke({"history": given}),
}


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("case", HISTORIES)
def test_marks_survive_a_history(case: str):
    model, wire = chat()
    model.invoke(HISTORIES[case](CONVERSATION))
    assert marks(wire.bodies[0]) == MARKED


def test_merged_messages_keep_the_marks_of_both():
    model, wire = chat()
    model.invoke(merge_message_runs([HumanMessage([marked("a")]), HumanMessage([marked("b")])]))
    assert marks(wire.bodies[0]) == ["messages[0].content[0]", "messages[0].content[1]"]


def test_trimming_within_a_message_keeps_the_marks_of_the_rest():
    model, wire = chat()
    long = HumanMessage([marked("a"), marked("b", HOUR), {"type": "text", "text": "c"}])
    kept = trim_messages(
        [long],
        max_tokens=2,
        token_counter=lambda given: sum(len(one.content) for one in given),
        strategy="first",
        allow_partial=True,
    )
    model.invoke(kept)
    assert wire.bodies[0]["messages"][0]["content"] == [marked("a"), marked("b", HOUR)]


@pytest.mark.filterwarnings("ignore:.*MessageHistory.* deprecated")
def test_marks_in_a_stored_conversation_are_sent_in_every_turn():
    model, wire = chat()
    history = InMemoryChatMessageHistory()
    chain = RunnableWithMessageHistory(model, lambda session_id: history)
    config: Any = {"configurable": {"session_id": "a"}}
    chain.invoke(CONVERSATION[:2], config)
    chain.invoke([HumanMessage("And then?")], config)
    assert marks(wire.bodies[1]) == MARKED[:2]


# ── fallbacks and agents ─────────────────────────────────────────────────────

FAILED = status(503, b'{"error": {"message": "busy"}}')


async def test_a_fallback_gets_the_same_marks():
    first, wire = chat(FAILED)
    second, other = chat()
    with_fallback = first.bind_tools([marked_tool()]).with_fallbacks(
        [second.bind_tools([marked_tool()])]
    )
    with_fallback.invoke(CONVERSATION)
    await with_fallback.ainvoke(CONVERSATION)
    for body in (*wire.bodies, *other.bodies):
        assert marks(body) == [*MARKED, "tools[0]"]


def test_an_agent_sends_marks_of_its_prompt_its_tools_and_its_messages():
    function = {"name": "look_up", "arguments": '{"word": "x"}'}
    call = {"id": "c9", "type": "function", "function": function}
    choice = {"message": {"role": "assistant", "content": None, "tool_calls": [call]}}
    asks = completion({"choices": [{"index": 0, "finish_reason": "tool_calls", **choice}]})
    model, wire = chat(asks, whole())
    agent = create_agent(
        model, tools=[marked_tool()], system_prompt=SystemMessage([marked("Rules.", HOUR)])
    )
    agent.invoke({"messages": [HumanMessage([marked("A long book.")])]})
    places = ["messages[0].content[0]", "messages[1].content[0]", "tools[0]"]
    assert [marks(body) for body in wire.bodies] == [places, places]


def test_a_summary_leaves_the_marks_of_the_kept_messages():
    model, wire = chat(whole("They spoke."), whole())
    summarize = SummarizationMiddleware(model, trigger=("messages", 4), keep=("messages", 1))
    agent = create_agent(model, tools=[], middleware=[summarize])
    said = [HumanMessage("a"), AIMessage("b"), HumanMessage("c"), AIMessage("d")]
    agent.invoke({"messages": [*said, HumanMessage([marked("A long book.")])]})
    assert marks(wire.bodies[-1]) == ["messages[1].content[0]"]
    assert "They spoke." in json.dumps(wire.bodies[-1]["messages"][0])


def marked_system(request: Any) -> Any:
    system = SystemMessage([marked(request.system_prompt)])
    return request.override(system_message=system)


class MarkSystemPrompt(AgentMiddleware[Any, Any]):
    """As in docs/guides/prompt-caching.md."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(marked_system(request))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(marked_system(request))


# `ModelFallbackMiddleware` removes marks from blocks, tools and settings for models that it does
# not know; see docs/upstream/langchain.md. Each of these ways keeps one.
AROUND: dict[str, tuple[dict[str, Any], list[Any], list[BaseMessage], list[str]]] = {
    "removed": ({}, [], [HumanMessage([marked("A long book.")])], []),
    "a setting of the model": (
        {"extra_body": {"cache_control": MARK}},
        [],
        [HumanMessage("Hi")],
        [""],
    ),
    "a middleware after it": (
        {},
        [MarkSystemPrompt()],
        [HumanMessage("Hi")],
        ["messages[0].content[0]"],
    ),
    "a mark of the whole message": (
        {},
        [],
        [HumanMessage("A long book.", additional_kwargs={"cache_control": MARK})],
        ["messages[1]"],
    ),
}


@pytest.mark.parametrize("case", AROUND)
async def test_ways_around_langchains_fallback_middleware(case: str):
    given, after, said, places = AROUND[case]
    first, wire = chat(FAILED, **given)
    second, other = chat(**given)
    agent = create_agent(
        first,
        tools=[look_up],
        system_prompt="Rules.",
        middleware=[ModelFallbackMiddleware(second), *after],
    )
    agent.invoke({"messages": said})
    await agent.ainvoke({"messages": said})
    assert [marks(body) for body in other.bodies] == [places, places]
    assert marks(wire.bodies[0]) == (places or ["messages[1].content[0]"])
