"""Any mixture of the frameworks' blocks converts, or is refused by kind and position."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from sunra_integrations import langchain, llama_index
from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.langchain import request as langchain_request
from sunra_integrations.llama_index import request as llama_index_request
from sunra_integrations.protocol.request import ChatRequest

assert langchain.ChatSunra
assert llama_index.Sunra

BASE64 = "iVBORw0KGgo="
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2)
    ),
    max_leaves=4,
)
TYPES = [
    "text", "image", "image_url", "audio", "input_audio", "video", "video_url", "file", "document",
    "text-plain", "reasoning", "thinking", "redacted_thinking", "tool_call", "tool_use",
    "tool_result", "invalid_tool_call", "non_standard", "refusal", "server_tool_call", "unheard_of",
]  # fmt: skip
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=6) | JSON,
    "url": st.sampled_from(["https://a.example/x.png", "data:image/png;base64," + BASE64]) | JSON,
    "base64": st.just(BASE64) | JSON,
    "data": st.just(BASE64) | JSON,
    "mime_type": st.sampled_from(["image/png", "audio/wav", "application/pdf"]) | JSON,
    "image_url": st.just({"url": "https://a.example/x.png"}) | JSON,
    "input_audio": st.just({"data": BASE64, "format": "wav"}) | JSON,
    "file": st.just({"file_id": "f"}) | JSON,
    "source": st.just({"type": "base64", "media_type": "image/png", "data": BASE64}) | JSON,
    "source_type": st.sampled_from(["url", "base64", "id", "text"]) | JSON,
    "file_id": st.just("f-1") | JSON,
    "id": st.just("c1") | JSON,
    "name": st.just("add") | JSON,
    "input": JSON,
    "args": JSON,
    "value": JSON,
    "content": JSON,
    "tool_use_id": st.just("c1") | JSON,
    "reasoning": JSON,
    "extras": JSON,
    "cache_control": JSON,
}
BLOCK = st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional=FIELDS)
CONTENT = st.lists(BLOCK | st.text(max_size=6), max_size=3)


@st.composite
def langchain_talk(draw):
    made = []
    for content in draw(st.lists(CONTENT, min_size=1, max_size=3)):
        kind = draw(st.sampled_from([HumanMessage, SystemMessage, AIMessage, ToolMessage]))
        more = {"tool_call_id": "c1"} if kind is ToolMessage else {}
        made.append(
            kind.model_construct(
                content=content,
                type=kind.model_fields["type"].default,
                tool_calls=[],
                invalid_tool_calls=[],
                additional_kwargs={},
                response_metadata={},
                name=None,
                **more,
            )
        )
    return made


def converts_or_refuses(convert, talk) -> None:
    before = copy.deepcopy(talk)
    refused: UnsupportedContent | None = None
    messages = []
    try:
        messages = convert(talk)
    except UnsupportedContent as error:
        refused = error
    assert talk == before
    if refused is None:
        ChatRequest(model="a/b", messages=messages or [{"role": "user"}]).encode(stream=False)
    else:
        assert refused.kind
        assert refused.position.startswith("messages[")
        assert refused.position in str(refused)


@given(langchain_talk())
def test_any_langchain_blocks_convert_or_are_refused_with_kind_and_position(talk):
    converts_or_refuses(langchain_request.messages, talk)


ENCODED = st.sampled_from([BASE64.encode(), b"", b"RIFF\x00\x00\x00\x00WAVEfmt "])
URL = st.sampled_from(["https://a.example/x", "data:image/png;base64," + BASE64, "file:///x"])
SOME_TEXT = st.text(max_size=6)


def either(cls, content: str, **more):
    return st.builds(cls, **{content: ENCODED}, **more) | st.builds(cls, url=URL, **more)


TEXT = st.builds(TextBlock, text=SOME_TEXT)
IMAGE = either(ImageBlock, "image", image_mimetype=st.sampled_from([None, "image/png"]))
BLOCKS = st.one_of(
    TEXT,
    IMAGE,
    either(AudioBlock, "audio", format=st.sampled_from([None, "wav", "mp3"])),
    either(VideoBlock, "video", fps=st.sampled_from([None, 2])),
    either(DocumentBlock, "data", document_mimetype=st.sampled_from([None, "application/pdf"])),
    st.builds(CachePoint, cache_control=st.builds(CacheControl, type=st.just("ephemeral"))),
    st.builds(CitableBlock, title=SOME_TEXT, source=SOME_TEXT, content=st.lists(TEXT, max_size=2)),
    st.builds(
        CitationBlock,
        cited_content=TEXT | IMAGE,
        source=SOME_TEXT,
        title=SOME_TEXT,
        additional_location_info=st.just({}),
    ),
    st.builds(ThinkingBlock, content=SOME_TEXT),
    st.builds(
        ToolCallBlock,
        tool_call_id=st.just("c1"),
        tool_name=st.just("add"),
        tool_kwargs=st.just({"a": 1}) | st.just("{}"),
    ),
)
ROLES = st.sampled_from(
    [
        MessageRole.SYSTEM,
        MessageRole.USER,
        MessageRole.ASSISTANT,
        MessageRole.TOOL,
        MessageRole.DEVELOPER,
    ]
)
LLAMA_INDEX_TALK = st.lists(
    st.builds(
        ChatMessage,
        role=ROLES,
        blocks=st.lists(BLOCKS, max_size=3),
        additional_kwargs=st.just({"tool_call_id": "c1"}),
    ),
    min_size=1,
    max_size=3,
)


@given(LLAMA_INDEX_TALK)
def test_any_llama_index_blocks_convert_or_are_refused_with_kind_and_position(talk):
    converts_or_refuses(llama_index_request.messages, talk)
