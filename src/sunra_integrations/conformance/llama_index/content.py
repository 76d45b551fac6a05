"""Blocks out and blocks in: each is on the wire or an error, and nothing of an answer is lost."""

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
from llama_index.core.llms.function_calling import FunctionCallingLLM

from sunra_integrations.conformance.llama_index import wire
from sunra_integrations.conformance.llama_index.asking import CHATS, WAYS, asked, run
from sunra_integrations.conformance.llama_index.suite import LLMSuite, sent
from sunra_integrations.sandbox import CallTools, Message, Sandbox

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(24)
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
_WEB = "https://example.com/a.png"
_DETAIL = {"type": "reasoning.text", "text": "Hm.", "signature": "sig-1", "index": 0}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# What a user may say, and the words of the request that prove it was sent.
_SAID: dict[str, tuple[ContentBlock, str]] = {
    "text": (TextBlock(text="Look at this."), "Look at this."),
    "an image": (ImageBlock(image=PNG, image_mimetype="image/png"), _encoded(PNG)),
    "an image by URL": (ImageBlock(url=_WEB), _WEB),
    "a sound": (AudioBlock(audio=WAV, format="wav"), _encoded(WAV)),
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
# What may be an error instead, since not every wire has a place for it; silence is none.
_RARE: dict[str, tuple[list[ContentBlock], str]] = {
    "a video": ([VideoBlock(video=MP4, video_mimetype="video/mp4")], _encoded(MP4)),
    "a cache point": (
        [TextBlock(text="Keep."), CachePoint(cache_control=CacheControl(type="ephemeral"))],
        "cache_control",
    ),
}
# An answer with all that a model can give.
_RICH: dict[str, Any] = {
    "role": "assistant",
    "content": "See this.",
    "annotations": [
        {"type": "url_citation", "url_citation": {"url": "https://a.b/source", "title": "T"}}
    ],
    "images": [{"type": "image_url", "image_url": {"url": _WEB}}],
}


class ContentTests(LLMSuite):
    """What goes over the wire of each block, and what comes back."""

    @pytest.mark.parametrize("name", _SAID)
    @pytest.mark.parametrize("way", ["chat", "astream_chat"])
    def test_a_block_is_sent(self, endpoint: Sandbox, way: str, name: str) -> None:
        block, proof = _SAID[name]
        self._say(endpoint, way, ChatMessage(blocks=[TextBlock(text="Here:"), block]))
        assert proof in str(sent(endpoint))

    @pytest.mark.parametrize("name", _RARE)
    def test_a_rare_block_is_sent_or_is_an_error(self, endpoint: Sandbox, name: str) -> None:
        blocks, proof = _RARE[name]
        try:
            self._say(endpoint, "chat", ChatMessage(blocks=blocks))
        except Exception:  # noqa: BLE001 - whatever it is called, it is not silence
            assert name != "a video" or not self.takes_video
        else:
            assert proof in str(sent(endpoint))

    @pytest.mark.parametrize("name", ["an image", "an image by URL"])
    def test_an_image_in_a_tool_result_is_sent(self, endpoint: Sandbox, name: str) -> None:
        block, proof = _SAID[name]
        call = ToolCallBlock(tool_call_id="c1", tool_name="draw", tool_kwargs={})
        result = ChatMessage(
            role=MessageRole.TOOL,
            blocks=[TextBlock(text="Drawn."), block],
            additional_kwargs={"tool_call_id": "c1"},
        )
        history = [*asked(), ChatMessage(role=MessageRole.ASSISTANT, blocks=[call]), result]
        self.make_llm(endpoint).chat(history)
        assert proof in str(sent(endpoint))

    @pytest.mark.parametrize("way", CHATS)
    def test_an_answers_text_is_one_block(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next("One two three.")
        last: Any = WAYS[way](self.make_llm(endpoint))[-1]
        assert last.message.blocks == [TextBlock(text="One two three.")]

    @pytest.mark.parametrize("way", CHATS)
    def test_citations_and_images_of_an_answer_are_blocks(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(Message(_RICH))
        last: Any = WAYS[way](self.make_llm(endpoint))[-1]
        kinds = {type(block) for block in last.message.blocks}
        assert TextBlock in kinds
        assert CitationBlock in kinds or not self.gives_citations
        assert ImageBlock in kinds or not self.gives_images

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "reasoning_details"])
    @pytest.mark.parametrize("way", CHATS)
    def test_thinking_is_read_in_every_spelling(
        self, endpoint: Sandbox, way: str, field: str
    ) -> None:
        self.needs("gives_thinking")
        thought = [_DETAIL] if field == "reasoning_details" else "Hm."
        message = {"role": "assistant", "content": "Hello.", field: thought}
        if "stream" in way:
            last_chunk = wire.chunk("Hello.", finish_reason="stop")
            endpoint.next(wire.streamed(wire.chunk({field: thought}), last_chunk))
        else:
            endpoint.next(wire.whole(wire.said(message)))
        last: Any = WAYS[way](self.make_llm(endpoint))[-1]
        (thinking,) = (b for b in last.message.blocks if isinstance(b, ThinkingBlock))
        assert thinking.content == "Hm."

    @pytest.mark.parametrize("way", CHATS)
    def test_thinking_goes_back_as_it_came_beside_calls(self, endpoint: Sandbox, way: str) -> None:
        self.needs("gives_thinking")
        call = CallTools(("draw", {})).message(lambda _: "c1")
        endpoint.next(Message({**call, "reasoning": "Hm.", "reasoning_details": [_DETAIL]}))
        llm = self.make_llm(endpoint)
        last: Any = WAYS[way](llm)[-1]
        extra = {"tool_call_id": "c1"}
        result = ChatMessage(role=MessageRole.TOOL, content="Drawn.", additional_kwargs=extra)
        llm.chat([*asked(), last.message, result])
        assert sent(endpoint)["messages"][1]["reasoning_details"] == [_DETAIL]

    @pytest.mark.parametrize("way", CHATS)
    def test_an_answer_can_be_sent_back(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(Message(_RICH))
        llm = self.make_llm(endpoint)
        last: Any = WAYS[way](llm)[-1]
        stored = ChatMessage.model_validate_json(last.message.model_dump_json())
        for message in (last.message, stored):
            llm.chat([*asked(), message, ChatMessage("And?")])
            assert sent(endpoint)["messages"][1]["content"] == "See this."

    def _say(self, endpoint: Sandbox, way: str, message: ChatMessage) -> None:
        llm = self.make_llm(endpoint)
        if way == "chat":
            llm.chat([message])
        else:
            run(_streamed(llm, message))


async def _streamed(llm: FunctionCallingLLM, message: ChatMessage) -> None:
    assert [response async for response in await llm.astream_chat([message])]
