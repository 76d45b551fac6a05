"""The LLM on a strict endpoint: what it sends is taken, what it reads is what was said."""

from __future__ import annotations

from enum import Enum

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.errors import BadRequest
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Message
from tests.llama_index.test_request import MP4, PDF, PNG, WAV
from tests.llama_index.ways import WAYS, text_of


@pytest.mark.parametrize("way", WAYS)
async def test_the_same_is_said_in_every_way(llm, way) -> None:
    response = await WAYS[way](llm)
    assert text_of(response) == llm.complete("Hi").text
    assert response.raw["usage"]["total_tokens"] > 0
    assert response.additional_kwargs["finish_reason"] == "stop"


@pytest.mark.parametrize("way", WAYS)
async def test_log_probabilities_come_in_every_way(llm, way) -> None:
    response = await WAYS[way](llm, logprobs=True, top_logprobs=2)
    tokens = "".join(considered[0].token for considered in response.logprobs)
    assert tokens == text_of(response)


def test_every_block_is_taken(llm, sandbox) -> None:
    blocks = [
        TextBlock(text="Look at all of this."),
        ImageBlock(image=PNG, detail="low"),
        ImageBlock(url="https://example.com/a.png"),
        AudioBlock(audio=WAV),
        VideoBlock(video=MP4),
        VideoBlock(url="https://example.com/a.mp4"),
        DocumentBlock(data=PDF, title="a.pdf"),
        CitableBlock(title="T", source="S", content="words"),
        CachePoint(cache_control=CacheControl(type="ephemeral")),
    ]
    assert llm.chat([ChatMessage(blocks=blocks)]).message.content
    assert len(sandbox.requests[-1].json["messages"][0]["content"]) == 9


def test_an_answer_of_every_kind_of_block_goes_back(llm, sandbox) -> None:
    message = {
        "role": "assistant",
        "content": "See this.",
        "reasoning": "Let me think.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Let me think.", "signature": "s", "index": 0}
        ],
        "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.b"}}],
        "images": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}],
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
        ],
    }
    asked = [ChatMessage("Hi")]
    sandbox.next(Message(message), Message(message), "Thanks.", "Thanks.")
    *_, streamed = llm.stream_chat(asked)
    for answer in (llm.chat(asked), streamed):
        result = ChatMessage(role="tool", content="1", additional_kwargs={"tool_call_id": "c1"})
        llm.chat([*asked, answer.message, result])
        sent = sandbox.requests[-1].json["messages"][1]
        calls = [{**message["tool_calls"][0], "function": {"name": "f", "arguments": "{}"}}]
        assert sent == {**message, "tool_calls": calls}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("strict", [None, True])
def test_a_tool_is_called_with_words_of_the_turn(llm, strict) -> None:
    tool = FunctionTool.from_defaults(fn=add)
    llm.strict = strict
    response = llm.chat_with_tools([tool], "Please add 2 and 3.", tool_required=True)
    (read,) = llm.get_tool_calls_from_response(response)
    assert (read.tool_name, read.tool_kwargs) == ("add", {"a": 2, "b": 3})


class Mood(str, Enum):
    """How it feels."""

    GAY = "gay"
    SAD = "sad"


class Verse(BaseModel):
    """A verse."""

    words: str
    mood: Mood = Mood.SAD


class Song(BaseModel):
    """A song."""

    title: str
    year: int | None = None
    verses: list[Verse]


@pytest.mark.parametrize(
    "mode", [PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM]
)
async def test_an_object_of_any_shape_comes_back(llm: Sunra, sandbox, mode) -> None:
    llm.pydantic_program_mode = mode
    if mode is PydanticProgramMode.LLM:
        sandbox.next(*['{"title": "a", "verses": []}'] * 3)
    prompt = PromptTemplate("A song about {topic}.")
    whole = llm.structured_predict(Song, prompt, topic="rain")
    awaited = await llm.astructured_predict(Song, prompt, topic="rain")
    *_, streamed = llm.stream_structured_predict(Song, prompt, topic="rain")
    assert isinstance(whole, Song)
    assert whole == awaited == streamed


def test_what_the_server_refuses_is_typed(llm) -> None:
    with pytest.raises(BadRequest):
        llm.complete("Hi", extra_body={"top_p": "wide"})
