"""LlamaIndex's messages, blocks and tools as the wire has them."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.llama_index import request

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(24)
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


CACHE = CachePoint(cache_control=CacheControl(type="ephemeral"))

CALL_BLOCK = ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs="{}")
CALL_SENT = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}

MESSAGES: dict[str, tuple[ChatMessage, dict[str, Any]]] = {
    "a user's text": (ChatMessage("Hi"), {"role": "user", "content": "Hi"}),
    "a system message": (
        ChatMessage(role="system", content="Be brief."),
        {"role": "system", "content": "Be brief."},
    ),
    "a developer message": (
        ChatMessage(role="developer", content="Be brief."),
        {"role": "developer", "content": "Be brief."},
    ),
    "an assistant's text": (
        ChatMessage(role="assistant", content="Hi"),
        {"role": "assistant", "content": "Hi"},
    ),
    "other names of the assistant": (
        ChatMessage(role="chatbot", content="Hi"),
        {"role": "assistant", "content": "Hi"},
    ),
    "the model's name for itself": (
        ChatMessage(role="model", content="Hi"),
        {"role": "assistant", "content": "Hi"},
    ),
    "nothing said": (ChatMessage(role="user"), {"role": "user", "content": ""}),
    "a speaker's name": (
        ChatMessage("Hi", additional_kwargs={"name": "ada", "seen_at": 3}),
        {"role": "user", "content": "Hi", "name": "ada"},
    ),
    "several texts stay apart": (
        ChatMessage(blocks=[TextBlock(text="a"), TextBlock(text="b")]),
        {"role": "user", "content": [text("a"), text("b")]},
    ),
    "a tool's result": (
        ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ),
    "a function's result, in the older role": (
        ChatMessage(role="function", content="3", additional_kwargs={"tool_call_id": "c1"}),
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ),
    "an image in a tool's result": (
        ChatMessage(
            role="tool",
            blocks=[TextBlock(text="plot"), ImageBlock(image=PNG)],
            additional_kwargs={"tool_call_id": "c1"},
        ),
        {
            "role": "tool",
            "content": [text("plot"), image(f"data:image/png;base64,{b64(PNG)}")],
            "tool_call_id": "c1",
        },
    ),
    "an answer returned directly": (
        ChatMessage(role="assistant", content="3", additional_kwargs={"tool_call_id": "c1"}),
        {"role": "assistant", "content": "3"},
    ),
    "a cache point marks the part before it": (
        ChatMessage(blocks=[TextBlock(text="long"), CACHE, TextBlock(text="short")]),
        {
            "role": "user",
            "content": [text("long", cache_control={"type": "ephemeral"}), text("short")],
        },
    ),
    "a cache point with its time to live": (
        ChatMessage(
            role="system",
            blocks=[
                TextBlock(text="long"),
                CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h")),
            ],
        ),
        {
            "role": "system",
            "content": [text("long", cache_control={"type": "ephemeral", "ttl": "1h"})],
        },
    ),
    "citable content, with its title and source": (
        ChatMessage(blocks=[CitableBlock(title="T", source="S", content="words")]),
        {"role": "user", "content": [text("Title: T\nSource: S"), text("words")]},
    ),
    "a citation by the user": (
        ChatMessage(
            blocks=[
                CitationBlock(
                    cited_content="words", source="S", title="T", additional_location_info={}
                )
            ]
        ),
        {"role": "user", "content": [text("Title: T\nSource: S"), text("words")]},
    ),
    "a citation by the assistant": (
        ChatMessage(
            role="assistant",
            blocks=[
                TextBlock(text="said"),
                CitationBlock(
                    cited_content="words",
                    source="https://a.b",
                    title="T",
                    additional_location_info={"start_index": 0, "end_index": 4},
                ),
            ],
        ),
        {
            "role": "assistant",
            "content": "said",
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": "https://a.b",
                        "title": "T",
                        "content": "words",
                        "start_index": 0,
                        "end_index": 4,
                    },
                }
            ],
        },
    ),
    "thinking of a finished turn, which others refuse": (
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="said")]),
        {"role": "assistant", "content": "said"},
    ),
    "thinking beside a call, under the name it came in": (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(
                    content="hm", additional_information={"reasoning_field": "reasoning_content"}
                ),
                CALL_BLOCK,
            ],
        ),
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [CALL_SENT],
        },
    ),
    "thinking of another LLM beside a call": (
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), CALL_BLOCK]),
        {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [CALL_SENT]},
    ),
    "a sound that the model made, by its id": (
        ChatMessage(
            role="assistant",
            blocks=[AudioBlock(audio=WAV)],
            additional_kwargs={"audio": {"id": "audio_1", "transcript": "La."}},
        ),
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
    ),
    "thinking as the details that came": (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(
                    content="hm",
                    additional_information={
                        "reasoning_details": [
                            {"type": "reasoning.text", "text": "hm", "signature": "s"}
                        ]
                    },
                ),
                TextBlock(text="said"),
            ],
        ),
        {
            "role": "assistant",
            "content": "said",
            "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}],
        },
    ),
    "thinking with details and without": (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="a"),
                ThinkingBlock(
                    content="b",
                    additional_information={
                        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]
                    },
                ),
            ],
        ),
        {
            "role": "assistant",
            "content": "",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
        },
    ),
    "an image made by the assistant": (
        ChatMessage(role="assistant", blocks=[ImageBlock(url="https://a.b/c.png")]),
        {"role": "assistant", "content": "", "images": [image("https://a.b/c.png")]},
    ),
    "a refusal": (
        ChatMessage(role="assistant", additional_kwargs={"refusal": "No."}),
        {"role": "assistant", "content": None, "refusal": "No."},
    ),
    "tool calls without text": (
        ChatMessage(
            role="assistant",
            blocks=[
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
                ToolCallBlock(tool_call_id="c2", tool_name="sub", tool_kwargs='{"b": 2 }'),
            ],
        ),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a":1}'},
                },
                {
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "sub", "arguments": '{"b": 2 }'},
                },
            ],
        },
    ),
    "a tool call beside text": (
        ChatMessage(
            role="assistant",
            blocks=[
                TextBlock(text="Adding."),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs=""),
            ],
        ),
        {
            "role": "assistant",
            "content": "Adding.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
            ],
        },
    ),
    "tool calls kept only in additional_kwargs, with a vendor's own field": (
        ChatMessage(
            role="assistant",
            additional_kwargs={
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "index": 0,
                        "function": {"name": "add", "arguments": "null"},
                        "signature": "s",
                    }
                ]
            },
        ),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "add", "arguments": "{}"},
                    "signature": "s",
                }
            ],
        },
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_sent_as(name: str) -> None:
    message, wire = MESSAGES[name]
    before = message.model_dump()
    assert request.message(message) == wire
    assert message.model_dump() == before


BLOCKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "an image by URL": (ImageBlock(url="https://a.b/c"), image("https://a.b/c")),
    "an image with detail": (
        ImageBlock(url="https://a.b/c", detail="low"),
        image("https://a.b/c", detail="low"),
    ),
    "an image in bytes": (ImageBlock(image=PNG), image(f"data:image/png;base64,{b64(PNG)}")),
    "an image in base64": (
        ImageBlock(image=b64(PNG).encode()),
        image(f"data:image/png;base64,{b64(PNG)}"),
    ),
    "an image in an open file": (
        ImageBlock(image=io.BytesIO(PNG)),
        image(f"data:image/png;base64,{b64(PNG)}"),
    ),
    "an image by data URL": (
        ImageBlock(url=f"data:image/png;base64,{b64(PNG)}"),
        image(f"data:image/png;base64,{b64(PNG)}"),
    ),
    "a sound in bytes": (
        AudioBlock(audio=WAV),
        {"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}},
    ),
    "a sound whose format has another name on the wire": (
        AudioBlock(audio=b"ID3" + bytes(9), format="mpeg"),
        {"type": "input_audio", "input_audio": {"data": b64(b"ID3" + bytes(9)), "format": "mp3"}},
    ),
    "a sound by data URL": (
        AudioBlock(url=f"data:audio/x-wav;base64,{b64(WAV)}"),
        {"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}},
    ),
    "a video by URL": (
        VideoBlock(url="https://a.b/c.mp4"),
        {"type": "video_url", "video_url": {"url": "https://a.b/c.mp4"}},
    ),
    "a video in bytes": (
        VideoBlock(video=MP4),
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{b64(MP4)}"}},
    ),
    "a document in bytes": (
        DocumentBlock(data=PDF, title="a.pdf"),
        {
            "type": "file",
            "file": {
                "filename": "a.pdf",
                "file_data": f"data:application/pdf;base64,{b64(PDF)}",
            },
        },
    ),
    "a document whose type its title tells": (
        DocumentBlock(data=b"a,b", title="a.csv"),
        {
            "type": "file",
            "file": {
                "filename": "a.csv",
                "file_data": f"data:text/csv;base64,{b64(b'a,b')}",
            },
        },
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_sent_as(name: str) -> None:
    block, part = BLOCKS[name]
    assert request.content([block]) == [part]


def test_files_are_read_from_their_paths_and_named_after_them(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("words")
    parts = request.content(
        [ImageBlock(path=tmp_path / "a.png"), DocumentBlock(path=tmp_path / "notes.txt")]
    )
    assert parts == [
        image(f"data:image/png;base64,{b64(PNG)}"),
        {
            "type": "file",
            "file": {
                "filename": "notes.txt",
                "file_data": f"data:text/plain;base64,{b64(b'words')}",
            },
        },
    ]


def test_an_open_file_is_left_where_it_stood() -> None:
    opened = io.BytesIO(PNG)
    opened.seek(5)
    request.content([ImageBlock(image=opened, image_mimetype="image/png")])
    assert opened.tell() == 5


def assistant(*blocks: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks))


REFUSED: dict[str, tuple[ChatMessage, str, str]] = {
    "a sound by URL": (
        ChatMessage(blocks=[AudioBlock(url="https://a.b/c.mp3")]),
        "audio",
        "messages[1].blocks[0]",
    ),
    "a document by URL": (
        ChatMessage(blocks=[TextBlock(text="a"), DocumentBlock(url="https://a.b/c.pdf")]),
        "document",
        "messages[1].blocks[1]",
    ),
    "an image of nothing": (ChatMessage(blocks=[ImageBlock()]), "image", "messages[1].blocks[0]"),
    "an image on this machine by URL": (
        ChatMessage(blocks=[ImageBlock(url="file:///etc/passwd")]),
        "image",
        "messages[1].blocks[0]",
    ),
    "bytes of no known kind": (
        ChatMessage(blocks=[ImageBlock(image=b"no image at all")]),
        "unknown",
        "messages[1].blocks[0]",
    ),
    "zero bytes": (
        ChatMessage(blocks=[VideoBlock(video=b"", video_mimetype="video/mp4")]),
        "empty",
        "messages[1].blocks[0]",
    ),
    "frames per second, which the wire cannot say": (
        ChatMessage(blocks=[VideoBlock(url="https://a.b/c.mp4", fps=1)]),
        "video",
        "messages[1].blocks[0]",
    ),
    "thinking of a user": (
        ChatMessage(blocks=[ThinkingBlock(content="hm")]),
        "thinking",
        "messages[1].blocks[0]",
    ),
    "a tool call of a user": (
        ChatMessage(blocks=[ToolCallBlock(tool_name="add")]),
        "tool_call",
        "messages[1].blocks[0]",
    ),
    "a sound of the assistant": (
        assistant(AudioBlock(audio=WAV)),
        "audio",
        "messages[1].blocks[0]",
    ),
    "a cache point with nothing before it": (
        ChatMessage(blocks=[CACHE, TextBlock(text="a")]),
        "cache",
        "messages[1].blocks[0]",
    ),
    "a sound within citable content": (
        ChatMessage(
            blocks=[
                CitableBlock(
                    title="T", source="S", content=[DocumentBlock(url="https://a.b/c.pdf")]
                )
            ]
        ),
        "document",
        "messages[1].blocks[0].blocks[0]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_wire_cannot_carry_is_named_with_its_place(name: str) -> None:
    message, kind, position = REFUSED[name]
    with pytest.raises(UnsupportedContent) as refused:
        request.messages([ChatMessage("before"), message])
    assert (refused.value.kind, refused.value.position) == (kind, position)
    assert position in str(refused.value)


UNANSWERABLE = {
    "a tool message that answers no call": (
        ChatMessage(role="tool", content="3"),
        "messages[0]",
    ),
    "a tool call without an id": (
        assistant(ToolCallBlock(tool_name="add")),
        "messages[0].blocks[0]",
    ),
}


@pytest.mark.parametrize("name", UNANSWERABLE)
def test_what_cannot_be_answered_is_told_before_sending(name: str) -> None:
    message, position = UNANSWERABLE[name]
    with pytest.raises(InvalidParameter) as wrong:
        request.messages([message])
    assert wrong.value.parameter == position


class Sum(BaseModel):
    """Adds."""

    a: int
    b: int = 0


def add(a: int, b: int = 0) -> int:
    """Adds."""
    return a + b


def test_a_tool_goes_with_its_name_description_and_schema() -> None:
    tool = FunctionTool.from_defaults(fn=add, name="add[int]", fn_schema=Sum)
    sent = request.tool(tool)
    assert sent["type"] == "function"
    assert sent["function"]["name"] == "add[int]"  # made to fit by the request; see test_schemas
    assert sent["function"]["description"].endswith("Adds.")
    assert sent["function"]["parameters"]["required"] == ["a"]
    assert "strict" not in sent["function"]


def test_a_strict_tool_gets_a_strict_schema() -> None:
    sent = request.tool(FunctionTool.from_defaults(fn=add, fn_schema=Sum), strict=True)
    assert sent["function"]["strict"] is True
    assert sent["function"]["parameters"]["required"] == ["a", "b"]
    assert sent["function"]["parameters"]["additionalProperties"] is False


def test_a_tool_in_the_wires_form_is_sent_as_it_is() -> None:
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}
    assert request.tool(tool) == tool
