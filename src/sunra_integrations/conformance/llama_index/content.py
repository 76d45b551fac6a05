"""Content blocks: each is sent or raises an error, and every part of a reply is returned."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from sunra_integrations.conformance.llama_index import bodies
from sunra_integrations.conformance.llama_index.suite import (
    CHAT_METHODS,
    METHODS,
    LLMSuite,
    messages,
    sent,
)
from sunra_integrations.sandbox import CallTools, Message, Sandbox

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(24)
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
_WEB = "https://example.com/a.png"
_DETAIL = {"type": "reasoning.text", "text": "Hm.", "signature": "sig-1", "index": 0}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Blocks of a user message, and a text that the request must contain.
_BLOCKS: dict[str, tuple[ContentBlock, str]] = {
    "text": (TextBlock(text="Look at this."), "Look at this."),
    "an image": (ImageBlock(image=PNG, image_mimetype="image/png"), _encoded(PNG)),
    "an image by URL": (ImageBlock(url=_WEB), _WEB),
    "audio": (AudioBlock(audio=WAV, format="wav"), _encoded(WAV)),
    "a document": (DocumentBlock(data=PDF, title="a.pdf"), _encoded(PDF)),
    "citable content": (
        CitableBlock(title="Title-1", source="S", content=[TextBlock(text="cited")]),
        "cited",
    ),
    "a citation": (
        CitationBlock(
            cited_content=TextBlock(text="quoted"),
            source="S",
            title="T",
            additional_location_info={},
        ),
        "quoted",
    ),
}
# Blocks that an API may not support. They may raise an error, but must not be dropped.
_RARE: dict[str, tuple[list[ContentBlock], str]] = {
    "a video": ([VideoBlock(video=MP4, video_mimetype="video/mp4")], _encoded(MP4)),
    "a cache point": (
        [TextBlock(text="Keep."), CachePoint(cache_control=CacheControl(type="ephemeral"))],
        "cache_control",
    ),
}
# A reply with every kind of content.
_RICH_REPLY: dict[str, Any] = {
    "role": "assistant",
    "content": "See this.",
    "annotations": [
        {"type": "url_citation", "url_citation": {"url": "https://a.b/source", "title": "T"}}
    ],
    "images": [{"type": "image_url", "image_url": {"url": _WEB}}],
}


class ContentTests(LLMSuite):
    """Content blocks in requests and replies."""

    @pytest.mark.parametrize("name", _BLOCKS)
    @pytest.mark.parametrize("method", ["chat", "astream_chat"])
    def test_a_block_is_sent(self, endpoint: Sandbox, method: str, name: str) -> None:
        if name == "audio":
            self.needs("takes_audio")
        block, proof = _BLOCKS[name]
        self._send(endpoint, method, ChatMessage(blocks=[TextBlock(text="Here:"), block]))
        assert proof in str(sent(endpoint))

    @pytest.mark.parametrize("name", _RARE)
    def test_a_rare_block_is_sent_or_raises(self, endpoint: Sandbox, name: str) -> None:
        blocks, proof = _RARE[name]
        try:
            self._send(endpoint, "chat", ChatMessage(blocks=blocks))
        except Exception:  # noqa: BLE001 - any error will do: the block was not dropped
            assert name != "a video" or not self.takes_video
        else:
            assert proof in str(sent(endpoint))

    @pytest.mark.parametrize("name", ["an image", "an image by URL"])
    def test_an_image_in_a_tool_result_is_sent(self, endpoint: Sandbox, name: str) -> None:
        block, proof = _BLOCKS[name]
        call = ToolCallBlock(tool_call_id="c1", tool_name="draw", tool_kwargs={})
        result = ChatMessage(
            role=MessageRole.TOOL,
            blocks=[TextBlock(text="Drawn."), block],
            additional_kwargs={"tool_call_id": "c1"},
        )
        history = [*messages(), ChatMessage(role=MessageRole.ASSISTANT, blocks=[call]), result]
        self.make_llm(endpoint).chat(history)
        assert proof in str(sent(endpoint))

    @pytest.mark.parametrize("method", CHAT_METHODS)
    def test_the_text_of_a_reply_is_one_block(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next("One two three.")
        last: Any = METHODS[method](self.make_llm(endpoint))[-1]
        assert last.message.blocks == [TextBlock(text="One two three.")]

    @pytest.mark.parametrize("method", CHAT_METHODS)
    def test_citations_and_images_of_a_reply_are_blocks(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next(Message(_RICH_REPLY))
        last: Any = METHODS[method](self.make_llm(endpoint))[-1]
        kinds = {type(block) for block in last.message.blocks}
        assert TextBlock in kinds
        assert CitationBlock in kinds or not self.gives_citations
        assert ImageBlock in kinds or not self.gives_images

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "reasoning_details"])
    @pytest.mark.parametrize("method", CHAT_METHODS)
    def test_thinking_is_read_from_every_field_name(
        self, endpoint: Sandbox, method: str, field: str
    ) -> None:
        self.needs("gives_thinking")
        value = [_DETAIL] if field == "reasoning_details" else "Hm."
        message = {"role": "assistant", "content": "Hello.", field: value}
        if self.api == "responses":
            endpoint.next(Message(message))
        elif "stream" in method:
            last_chunk = bodies.chunk("Hello.", finish_reason="stop")
            endpoint.next(bodies.stream(bodies.chunk({field: value}), last_chunk))
        else:
            endpoint.next(bodies.completion(bodies.choice(message)))
        last: Any = METHODS[method](self.make_llm(endpoint))[-1]
        (thinking,) = (b for b in last.message.blocks if isinstance(b, ThinkingBlock))
        assert thinking.content == "Hm."

    @pytest.mark.parametrize("method", CHAT_METHODS)
    def test_thinking_is_sent_back_unchanged_with_tool_calls(
        self, endpoint: Sandbox, method: str
    ) -> None:
        self.needs("gives_thinking")
        call = CallTools(("draw", {})).message(lambda _: "c1")
        endpoint.next(Message({**call, "reasoning": "Hm.", "reasoning_details": [_DETAIL]}))
        llm = self.make_llm(endpoint)
        last: Any = METHODS[method](llm)[-1]
        extra = {"tool_call_id": "c1"}
        result = ChatMessage(role=MessageRole.TOOL, content="Drawn.", additional_kwargs=extra)
        llm.chat([*messages(), last.message, result])
        if self.api == "chat":
            assert sent(endpoint)["messages"][1]["reasoning_details"] == [_DETAIL]
        else:  # the sandbox checks the encrypted content of the item
            item = endpoint.requests[-1].json["input"][1]
            assert item["summary"] == [{"type": "summary_text", "text": "Hm."}]
            assert item["encrypted_content"]

    @pytest.mark.parametrize("method", CHAT_METHODS)
    def test_a_reply_can_be_sent_back(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(Message(_RICH_REPLY))
        llm = self.make_llm(endpoint)
        last: Any = METHODS[method](llm)[-1]
        stored = ChatMessage.model_validate_json(last.message.model_dump_json())
        for message in (last.message, stored):
            llm.chat([*messages(), message, ChatMessage("And?")])
            assert sent(endpoint)["messages"][1]["content"] == "See this."

    def _send(self, endpoint: Sandbox, method: str, message: ChatMessage) -> None:
        assert METHODS[method](self.make_llm(endpoint), [message])
