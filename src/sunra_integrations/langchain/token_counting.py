"""Estimate the tokens of a conversation. A file has a fixed number, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

TOKENS_PER_IMAGE = 85
"""As in langchain-core; OpenAI counts 85 for an image of low detail."""
TOKENS_PER_FILE = 1000
"""For audio, video and documents. Models differ; this is a page or two of text."""

_IMAGES = frozenset(("image", "image_url", "input_image"))
_FILES = frozenset(
    ("audio", "document", "file", "input_audio", "input_file", "media", "video", "video_url")
)


def count_tokens(
    messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]] | None = None
) -> int:
    """The approximate number of tokens of messages and tools: one for every 4 characters.

    Args:
        messages: The conversation. An image has `TOKENS_PER_IMAGE`, any other file
            `TOKENS_PER_FILE`, because the length of their base64 says little.
        tools: Function tools in the API's form.
    """
    files: list[int] = []
    texts = [
        message.model_copy(update={"content": _without_files(message.content, files)})
        if isinstance(message.content, list)
        else message
        for message in messages
    ]
    return sum(files) + count_tokens_approximately(texts, tools=list(tools) if tools else None)


def _without_files(content: Any, found: list[int]) -> Any:
    """Nested content without its files, whose tokens are appended to `found`."""
    match content:
        case {"type": str() as kind} if kind in _IMAGES:
            found.append(TOKENS_PER_IMAGE)
            return None
        case {"type": str() as kind} if kind in _FILES:
            return _text_of_file(content, found)
        case {"type": "text-plain", "text": str() as text}:
            return {"type": "text", "text": text}
        case {"type": "text-plain"}:
            return _text_of_file(content, found)
        case dict():
            return {name: _without_files(value, found) for name, value in content.items()}
        case list():
            parts = (_without_files(value, found) for value in content)
            return [part for part in parts if part is not None]
        case _:
            return content


def _text_of_file(block: Mapping[str, Any], found: list[int]) -> Any:
    """A document can consist of text or content blocks, which are counted as such."""
    match block:
        case {"source": {"type": "text", "data": str() as text}}:
            return {"type": "text", "text": text}
        case {"source_type": "text", "text": str() as text}:
            return {"type": "text", "text": text}
        case {"source": {"type": "content", "content": inner}}:
            return {"type": "document", "content": _without_files(inner, found)}
        case _:
            found.append(TOKENS_PER_FILE)
            return None
