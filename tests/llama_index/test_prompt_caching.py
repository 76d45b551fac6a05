"""Prompt caching: every cache point and `cache_control` is sent, and cached tokens are counted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.storage.chat_store import SimpleChatStore
from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import create_async_engine

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.llama_index import Sunra
from sunra_integrations.llama_index.request import messages as sent_messages
from tests.recorded_transport import Answer, Recorded, completion, stream

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
POINT = CachePoint(cache_control=CacheControl(type="ephemeral"))
HOUR_POINT = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))


def completed(**message: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return completion({"id": "x", "model": "m", "choices": [choice]})


EVENT = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n'
)


def llm(*answers: Answer, **given: Any) -> tuple[Sunra, Recorded]:
    wire = Recorded(*answers or (completed(content="Hi"),))
    model = Sunra(
        model="anthropic/claude-sonnet-4.5",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=wire),
        async_http_client=httpx.AsyncClient(transport=wire),
        **given,
    )
    return model, wire


def marks(value: Any, path: str = "") -> list[str]:
    """The position of each `cache_control` in what was sent."""
    if isinstance(value, list):
        return [one for i, item in enumerate(value) for one in marks(item, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    own = [path] if "cache_control" in value else []
    return own + [one for k, v in value.items() for one in marks(v, f"{path}.{k}".strip("."))]


def said(role: str, *blocks: Any, **extra: Any) -> ChatMessage:
    return ChatMessage(role=MessageRole(role), blocks=list(blocks), additional_kwargs=extra)


CALL = ToolCallBlock(tool_call_id="c1", tool_name="look_up", tool_kwargs={"word": "x"})
CONVERSATION = [
    said("system", TextBlock(text="Rules."), TextBlock(text="A long manual."), HOUR_POINT),
    said("user", TextBlock(text="A long book."), POINT, TextBlock(text="Summarize it.")),
    said("assistant", TextBlock(text="Let me see."), POINT, CALL),
    said("tool", TextBlock(text="A long result."), POINT, tool_call_id="c1"),
    said("user", TextBlock(text="And now?"), cache_control=MARK),
]
MARKED = [
    "messages[0].content[1]",
    "messages[1].content[0]",
    "messages[2].content[0]",
    "messages[3].content[0]",
    "messages[4]",
]


async def test_marks_of_every_role_are_sent():
    model, wire = llm()
    model.chat(CONVERSATION)
    await model.achat(CONVERSATION)
    model.chat_with_tools([], chat_history=CONVERSATION)
    for body in wire.bodies:
        assert marks(body) == MARKED
        assert body["messages"][0]["content"][1]["cache_control"] == HOUR


async def test_marks_of_every_role_are_sent_in_streams():
    model, wire = llm(stream(EVENT))
    list(model.stream_chat(CONVERSATION))
    _ = [one async for one in await model.astream_chat(CONVERSATION)]
    assert [marks(body) for body in wire.bodies] == [MARKED, MARKED]


BLOCKS: dict[str, tuple[ChatMessage, str]] = {
    "an image": (said("user", ImageBlock(url="https://x.test/a.png"), POINT), "[0].content[0]"),
    "several points": (
        said("user", TextBlock(text="a"), POINT, TextBlock(text="b"), POINT),
        "[0].content[0] [0].content[1]",
    ),
    "a message of one text": (said("system", TextBlock(text="a"), cache_control=MARK), "[0]"),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_a_point_marks_the_block_before_it(case: str):
    message, places = BLOCKS[case]
    assert marks(sent_messages([message])) == places.split()


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_point_without_content_before_it_is_an_error(role: str):
    with pytest.raises(UnsupportedContent, match="no content before it") as caught:
        sent_messages([said(role, POINT, TextBlock(text="a"))])
    assert caught.value.position == "messages[0].blocks[0]"


# ── histories ────────────────────────────────────────────────────────────────


def remembered(conversation: list[ChatMessage]) -> list[ChatMessage]:
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000)
    memory.put_messages(conversation)
    return memory.get()


def stored(conversation: list[ChatMessage]) -> list[ChatMessage]:
    store = SimpleChatStore()
    store.set_messages("a", conversation)
    return store.get_messages("a")


HISTORIES: dict[str, Any] = {
    "JSON": lambda given: [ChatMessage.model_validate_json(one.model_dump_json()) for one in given],
    "dicts": lambda given: [ChatMessage.model_validate(one.model_dump()) for one in given],
    "copies": lambda given: [one.model_copy(deep=True) for one in given],
    "a memory buffer": remembered,
    "a chat store": stored,
    "a prompt": lambda given: ChatPromptTemplate(message_templates=given).format_messages(),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_marks_survive_a_history(case: str):
    model, wire = llm()
    model.chat(HISTORIES[case](CONVERSATION))
    assert marks(wire.bodies[0]) == MARKED


async def test_marks_survive_a_memory():
    engine = create_async_engine("sqlite+aiosqlite:///:memory:", poolclass=StaticPool)
    memory = Memory.from_defaults(session_id="a", token_limit=10_000, async_engine=engine)
    await memory.aput_messages(CONVERSATION)
    model, wire = llm()
    model.chat(await memory.aget())
    await engine.dispose()
    assert marks(wire.bodies[0]) == MARKED


def test_a_chat_engine_sends_the_marks_in_every_turn():
    model, wire = llm()
    memory = ChatMemoryBuffer.from_defaults(chat_history=CONVERSATION[1:2], token_limit=10_000)
    engine = SimpleChatEngine.from_defaults(
        llm=model, prefix_messages=CONVERSATION[:1], memory=memory
    )
    engine.chat("a")
    engine.chat("b")
    for body in wire.bodies:
        assert marks(body) == MARKED[:2]


# ── tools, settings and agents ───────────────────────────────────────────────


def look_up(word: str) -> str:
    """Look up a word."""
    return f"{word} is a word."


TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
    "cache_control": MARK,
}


async def test_the_mark_of_a_tool_is_sent():
    model, wire = llm()
    model.chat([ChatMessage("Hi")], tools=[TOOL])
    await model.achat([ChatMessage("Hi")], tools=[TOOL])
    assert [marks(body) for body in wire.bodies] == [["tools[0]"], ["tools[0]"]]


async def test_the_requests_own_mark_and_key_are_sent():
    extra = {"cache_control": MARK, "prompt_cache_key": "manual-1"}
    model, wire = llm(extra_body=extra)
    model.chat([ChatMessage("Hi")])
    await model.acomplete("Hi")
    for body in wire.bodies:
        assert {name: body[name] for name in extra} == extra


@pytest.mark.filterwarnings("ignore:.*attribute.*is deprecated:DeprecationWarning")  # workflows
@pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning")
async def test_an_agent_sends_the_marks_of_its_history_in_every_step():
    call = {"id": "c9", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}
    asks = completed(content=None, tool_calls=[{**call, "type": "function"}])
    model, wire = llm(asks, completed(content="Done."))
    agent = FunctionAgent(tools=[look_up], llm=model, system_prompt="Rules.", streaming=False)
    history = [said("user", TextBlock(text="A long book."), POINT)]
    memory = ChatMemoryBuffer.from_defaults(chat_history=history, token_limit=10_000)
    await agent.run(user_msg="Look it up.", memory=memory)
    assert [marks(body) for body in wire.bodies] == [["messages[1].content[0]"]] * 2
