"""What both adapters send, judged by the official SDK's own types and by each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import openai.types.chat
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.tools import FunctionTool
from openai.types.chat import completion_create_params
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from tests.recorded_transport import Recorded, completion, stream
from tests.wire_cases import completion_bytes, stream_bytes

PNG = "iVBORw0KGgo="
WAV = "UklGRiQAAABXQVZF"
PDF = "JVBERi0xLjcK"
PARAMETERS: dict[str, Any] = {
    "max_completion_tokens": 50,
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "stop": ["END"],
    "logprobs": True,
    "top_logprobs": 2,
    "seed": 7,
    "user": "u-1",
    "parallel_tool_calls": True,
}
CALL = {"name": "get_weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}"


LANGCHAIN_TALK = [
    SystemMessage("Be brief."),
    HumanMessage("Weather in Oslo?"),
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("Sunny in Oslo", tool_call_id="c1"),
    HumanMessage(
        [
            {"type": "text", "text": "And these?"},
            {"type": "image", "base64": PNG, "mime_type": "image/png"},
            {"type": "audio", "base64": WAV, "mime_type": "audio/wav"},
            {"type": "file", "base64": PDF, "mime_type": "application/pdf", "filename": "a.pdf"},
        ]
    ),
]
LLAMA_INDEX_TALK = [
    ChatMessage("Be brief.", role=MessageRole.SYSTEM),
    ChatMessage("Weather in Oslo?", role=MessageRole.USER),
    ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=[
            ToolCallBlock(tool_call_id="c1", tool_name="get_weather", tool_kwargs={"city": "Oslo"})
        ],
    ),
    ChatMessage("Sunny in Oslo", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "c1"}),
    ChatMessage(
        role=MessageRole.USER,
        blocks=[
            TextBlock(text="And these?"),
            ImageBlock(image=PNG.encode(), image_mimetype="image/png"),
            AudioBlock(audio=WAV.encode(), format="wav"),
            DocumentBlock(data=PDF.encode(), title="a.pdf", document_mimetype="application/pdf"),
        ],
    ),
]


def langchain_body(*, streamed: bool) -> dict[str, Any]:
    transport = Recorded(stream(stream_bytes("plain")) if streamed else _answer())
    model = ChatSunra(
        model="openai/gpt-4o",
        api_key="k",
        http_client=httpx.Client(transport=transport),
        **{name: value for name, value in PARAMETERS.items() if name != "parallel_tool_calls"},
    ).bind_tools([get_weather], tool_choice="auto", parallel_tool_calls=True)
    list(model.stream(LANGCHAIN_TALK)) if streamed else model.invoke(LANGCHAIN_TALK)
    return transport.bodies[0]


def llama_index_body(*, streamed: bool) -> dict[str, Any]:
    transport = Recorded(stream(stream_bytes("plain")) if streamed else _answer())
    llm = Sunra(
        model="openai/gpt-4o",
        api_key="k",
        http_client=httpx.Client(transport=transport),
        **PARAMETERS,
    )
    tools = [FunctionTool.from_defaults(get_weather)]
    asked: dict[str, Any] = {
        "tools": tools,
        "chat_history": LLAMA_INDEX_TALK,
        "tool_choice": "auto",
        "allow_parallel_tool_calls": True,
    }
    list(llm.stream_chat_with_tools(**asked)) if streamed else llm.chat_with_tools(**asked)
    return transport.bodies[0]


def _answer():
    return completion(completion_bytes("plain"))


@pytest.fixture(scope="module")
def sdk_types() -> Iterator[dict[bool, TypeAdapter[Any]]]:
    """Checkers of the SDK's own parameter types that refuse keys they do not know, at any depth."""
    known = [one for one in vars(openai.types.chat).values() if is_typeddict(one)]
    known += [one for one in vars(completion_create_params).values() if is_typeddict(one)]
    for one in known:
        one.__pydantic_config__ = ConfigDict(extra="forbid")
    yield {
        False: TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming),
        True: TypeAdapter(completion_create_params.CompletionCreateParamsStreaming),
    }
    for one in known:
        if "__pydantic_config__" in vars(one):
            del one.__pydantic_config__


def walked(value: Any) -> Any:
    """The value with its lazily checked iterables walked to their ends."""
    if isinstance(value, dict):
        return {name: walked(one) for name, one in value.items()}
    return (
        value
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable)
        else [walked(one) for one in value]
    )


@pytest.mark.parametrize("body_of", [langchain_body, llama_index_body])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_is_what_the_official_sdk_would_have_sent(body_of, streamed, sdk_types):
    body = body_of(streamed=streamed)
    assert walked(sdk_types[streamed].validate_python(body)) == body
    assert body.items() >= PARAMETERS.items()


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": "warm"},
        {"messages": [{"role": "user", "content": "Hi", "colour": "red"}]},
        {"messages": [{"role": "tool", "content": "no id"}]},
        {"tools": [{"type": "function"}]},
    ],
)
def test_the_judge_does_refuse_what_is_wrong(wrong, sdk_types):
    with pytest.raises(ValidationError):
        walked(sdk_types[False].validate_python({**langchain_body(streamed=False), **wrong}))


@pytest.mark.parametrize("streamed", [False, True])
def test_the_same_conversation_leaves_both_adapters_as_the_same_body(streamed):
    ours, theirs = langchain_body(streamed=streamed), llama_index_body(streamed=streamed)
    assert set(ours) == set(theirs)
    for name in sorted(set(ours) - {"messages", "tools"}):
        assert ours[name] == theirs[name], name
    assert [_comparable(m) for m in ours["messages"]] == [
        _comparable(m) for m in theirs["messages"]
    ]
    assert ours["tools"][0]["function"]["name"] == theirs["tools"][0]["function"]["name"]


def _comparable(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its tool arguments decoded: the two frameworks space JSON differently."""
    return {
        name: value
        for name, value in message.items()
        if name != "content" or value not in (None, "")
    }
