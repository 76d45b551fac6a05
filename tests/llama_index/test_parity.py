"""The same conversation, with the same parameters, leaves both adapters as the same body.

`ChatSunra` and `Sunra` are told the same in the words of their own frameworks. Bodies are compared
as they were sent, but for these differences, which are meant:

- The description of a tool: LlamaIndex puts the function's signature before its docstring.
- The titles in a schema: LangChain leaves out what pydantic makes of names.
- Where nothing is said of `strict`: LangChain's structured output sends what it is told, LlamaIndex
  has no argument for it everywhere, so there it is strict where the schema can be.
"""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from tests.llama_index.answers import said
from tests.recorded_transport import Recorded, completion, stream
from tests.wire_cases import completion_bytes, stream_bytes

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR").decode()
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)).decode()
MP4 = base64.b64encode(b"\x00\x00\x00\x18ftypmp42" + bytes(24)).decode()
PDF = base64.b64encode(b"%PDF-1.4\n").decode()
DETAILS = [{"type": "reasoning.text", "text": "Hm.", "signature": "s", "index": 0}]
CALL = {"name": "get_weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}
CALL_BLOCK = ToolCallBlock(tool_call_id="c1", tool_name="get_weather", tool_kwargs={"city": "Oslo"})
RESULT = ChatMessage("Sunny.", role="tool", additional_kwargs={"tool_call_id": "c1"})

TALKS: dict[str, tuple[list[Any], list[ChatMessage]]] = {
    "one text": ([HumanMessage("Hi")], [ChatMessage("Hi")]),
    "system, user, assistant, user": (
        [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Ho"), HumanMessage("And?")],
        [
            ChatMessage("Be brief.", role="system"),
            ChatMessage("Hi"),
            ChatMessage("Ho", role="assistant"),
            ChatMessage("And?"),
        ],
    ),
    "a call and its result": (
        [
            HumanMessage("Weather?"),
            AIMessage("", tool_calls=[CALL]),
            ToolMessage("Sunny.", tool_call_id="c1"),
        ],
        [ChatMessage("Weather?"), ChatMessage(role="assistant", blocks=[CALL_BLOCK]), RESULT],
    ),
    "a call with words": (
        [
            HumanMessage("Weather?"),
            AIMessage("Let me look.", tool_calls=[CALL]),
            ToolMessage("Sunny.", tool_call_id="c1"),
        ],
        [
            ChatMessage("Weather?"),
            ChatMessage(role="assistant", blocks=[TextBlock(text="Let me look."), CALL_BLOCK]),
            RESULT,
        ],
    ),
    "every kind of attachment": (
        [
            HumanMessage(
                [
                    {"type": "text", "text": "Look."},
                    {"type": "image", "base64": PNG, "mime_type": "image/png"},
                    {"type": "image", "url": "https://a.b/c.png"},
                    {"type": "audio", "base64": WAV, "mime_type": "audio/wav"},
                    {"type": "video", "base64": MP4, "mime_type": "video/mp4"},
                    {
                        "type": "file",
                        "base64": PDF,
                        "mime_type": "application/pdf",
                        "filename": "a.pdf",
                    },
                ]
            )
        ],
        [
            ChatMessage(
                blocks=[
                    TextBlock(text="Look."),
                    ImageBlock(image=PNG.encode(), image_mimetype="image/png"),
                    ImageBlock(url="https://a.b/c.png"),
                    AudioBlock(audio=WAV.encode(), format="wav"),
                    VideoBlock(video=MP4.encode(), video_mimetype="video/mp4"),
                    DocumentBlock(
                        data=PDF.encode(), title="a.pdf", document_mimetype="application/pdf"
                    ),
                ]
            )
        ],
    ),
    "an image in a tool result": (
        [
            HumanMessage("Draw."),
            AIMessage("", tool_calls=[CALL]),
            ToolMessage(
                [
                    {"type": "text", "text": "Drawn."},
                    {"type": "image", "base64": PNG, "mime_type": "image/png"},
                ],
                tool_call_id="c1",
            ),
        ],
        [
            ChatMessage("Draw."),
            ChatMessage(role="assistant", blocks=[CALL_BLOCK]),
            ChatMessage(
                role="tool",
                blocks=[
                    TextBlock(text="Drawn."),
                    ImageBlock(image=PNG.encode(), image_mimetype="image/png"),
                ],
                additional_kwargs={"tool_call_id": "c1"},
            ),
        ],
    ),
    "texts of many scripts": ([HumanMessage("你好 🦊\u2028ñ")], [ChatMessage("你好 🦊\u2028ñ")]),
}

PARAMETERS: dict[str, dict[str, Any]] = {
    "none": {},
    "sampling": {"temperature": 0, "top_p": 0.9, "seed": 7, "stop": ["END"]},
    "penalties": {"frequency_penalty": -1, "presence_penalty": 1.5},
    "a limit": {"max_completion_tokens": 50},
    "its older name": {"max_tokens": 50},
    "log probabilities": {"logprobs": True, "top_logprobs": 2},
    "several answers": {"n": 2},
    "an end user": {"user": "u-1"},
    "routing": {"provider": {"only": ["google-vertexai"]}},
    "reasoning": {"reasoning": {"effort": "low"}},
    "reasoning effort": {"reasoning_effort": "low"},
    "a format": {"response_format": {"type": "json_object"}},
    "an extra body": {"extra_body": {"top_k": 5}},
}


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}"


class Weather(BaseModel):
    """The weather."""

    city: str
    degrees: float


class Both:
    """Both adapters over one transport that keeps what is sent."""

    def __init__(self, *answers: Any, **parameters: Any) -> None:
        self.wire = Recorded(*(answers or (completion(completion_bytes("plain")),)))
        http = httpx.Client(transport=self.wire)
        given: dict[str, Any] = {"model": "a/b", "api_key": "k", "http_client": http, **parameters}
        self.langchain = ChatSunra(**given)
        self.llama_index = Sunra(**given)

    def bodies(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the first adapter sent last, and then the second."""
        first, second = self.wire.bodies[-2:]
        return first, second


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("streaming", [False, True])
def test_a_conversation_is_sent_alike(name: str, streaming: bool) -> None:
    langchain_talk, llama_index_talk = TALKS[name]
    if streaming:
        both = Both(stream(stream_bytes("plain")))
        list(both.langchain.stream(langchain_talk))
        list(both.llama_index.stream_chat(llama_index_talk))
    else:
        both = Both()
        both.langchain.invoke(langchain_talk)
        both.llama_index.chat(llama_index_talk)
    first, second = both.bodies()
    assert first == second


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("of", ["the instance", "the call"])
def test_parameters_are_sent_alike(name: str, of: str) -> None:
    given = PARAMETERS[name]
    both = Both(**given) if of == "the instance" else Both()
    call = given if of == "the call" else {}
    both.langchain.invoke("Hi", **call)
    both.llama_index.chat([ChatMessage("Hi")], **call)
    first, second = both.bodies()
    assert first == second
    expected = {**given, **given.get("extra_body", {})}
    expected.pop("extra_body", None)
    assert expected.items() <= first.items()


CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "none said": ({}, {}),
    "required": (
        {"tool_choice": "required"},
        {"tool_choice": "required"},
    ),
    "any": ({"tool_choice": "any"}, {"tool_choice": "any"}),
    "by name": (
        {"tool_choice": "get_weather"},
        {"tool_choice": "get_weather"},
    ),
    "one at a time": ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    "strict": ({"strict": True}, {"strict": True}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_tools_are_sent_alike_but_for_the_differences_meant(name: str) -> None:
    langchain_choice, llama_index_choice = CHOICES[name]
    both = Both()
    both.langchain.bind_tools([langchain_tool(get_weather)], **langchain_choice).invoke("Hi")
    both.llama_index.chat_with_tools(
        [FunctionTool.from_defaults(get_weather)], "Hi", **llama_index_choice
    )
    first, second = both.bodies()
    assert [_comparable(tool) for tool in first.pop("tools")] == [
        _comparable(tool) for tool in second.pop("tools")
    ]
    assert first == second


def test_structured_output_is_asked_for_alike() -> None:
    both = Both(said('{"city": "Oslo", "degrees": 7}'))
    prompt = ChatPromptTemplate(message_templates=[ChatMessage("Hi")])
    first_object = both.langchain.with_structured_output(Weather, strict=True).invoke("Hi")
    assert first_object == both.llama_index.structured_predict(Weather, prompt)
    first, second = both.bodies()
    assert first["messages"] == second["messages"]
    assert first["response_format"]["json_schema"]["strict"] is True
    assert _untitled(first["response_format"]) == _untitled(second["response_format"])


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_an_answer_with_thinking_and_a_call_goes_back_alike(field: str) -> None:
    function = {"name": "get_weather", "arguments": '{"city":"Oslo"}'}
    call = {"id": "c1", "type": "function", "function": function}
    answer = said(None, tool_calls=[call], **{field: "Hm.", "reasoning_details": DETAILS})
    both = Both(answer, answer, said("Sunny."))
    first_answer = both.langchain.invoke("Hi")
    second_answer = both.llama_index.chat([ChatMessage("Hi")]).message
    both.langchain.invoke(
        [HumanMessage("Hi"), first_answer, ToolMessage("Sunny.", tool_call_id="c1")]
    )
    both.llama_index.chat([ChatMessage("Hi"), second_answer, RESULT])
    first, second = both.bodies()
    assert first == second
    assert first["messages"][1]["reasoning_details"] == DETAILS


def test_thinking_in_plain_words_of_a_finished_turn_goes_back_in_neither() -> None:
    both = Both(said("Hello.", reasoning="Hm."))
    first_answer = both.langchain.invoke("Hi")
    second_answer = both.llama_index.chat([ChatMessage("Hi")]).message
    assert any(isinstance(block, ThinkingBlock) for block in second_answer.blocks)
    both.langchain.invoke([HumanMessage("Hi"), first_answer, HumanMessage("And?")])
    both.llama_index.chat([ChatMessage("Hi"), second_answer, ChatMessage("And?")])
    first, second = both.bodies()
    assert first == second
    assert "Hm." not in str(first)


def _comparable(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool without the differences that are meant."""
    function = dict(tool["function"])
    assert function.pop("description").endswith("Tell the weather of a city.")
    return {"type": tool["type"], "function": _untitled(function)}


def _untitled(schema: Any) -> Any:
    """A schema without titles; pydantic makes them of names, they say nothing."""
    match schema:
        case dict():
            return {
                name: _untitled(value)
                for name, value in schema.items()
                if name != "title" or not isinstance(value, str)
            }
        case list():
            return [_untitled(one) for one in schema]
        case _:
            return schema
