"""ChatSunra's messages as LangChain's standard content blocks (`message.content_blocks`).

Blocks of a streamed chunk get an `index` of their own kind (`lc_text`, `lc_tool_call_0`, …): with
core's plain numbers, the text block 0 and the tool call 0 of one message would melt together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from zlib import crc32

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as standard
from langchain_core.messages.block_translators import register_translator

from sunra_integrations.langchain.from_sunra import MODEL_PROVIDER, REASONING_KEYS
from sunra_integrations.protocol.content import is_plain_thinking, thinking_text

Block = dict[str, Any]

_HAS_REFUSALS = "refusal" in standard.KNOWN_BLOCK_TYPES
_CALL_TYPES = frozenset(("tool_call", "tool_call_chunk"))
CALL_LIKE = frozenset(kind for kind in standard.KNOWN_BLOCK_TYPES if "tool" in kind)
"""Types of blocks that core makes calls of; in a content part they are not calls."""
_OPENAI_CITATION = "url_citation"
_CITATION_FIELDS = {"url": "url", "title": "title", "content": "cited_text"}
_NEEDED: Mapping[str, tuple[str, type]] = {
    "text": ("text", str),
    "reasoning": ("reasoning", str),
    "refusal": ("refusal", str),
    "non_standard": ("value", dict),
    **dict.fromkeys(("tool_call", "tool_call_chunk", "invalid_tool_call"), ("name", str)),
}
_INDICES = {"start_index": "start_index", "end_index": "end_index"}


def content_blocks(message: AIMessage) -> list[standard.ContentBlock]:
    """A finished message in standard blocks: reasoning, text with citations, images, calls."""
    blocks = [*_said(message), *(_call_block(call) for call in message.tool_calls)]
    return cast("list[standard.ContentBlock]", blocks)


def chunk_content_blocks(chunk: AIMessageChunk) -> list[standard.ContentBlock]:
    """A streamed chunk, or a sum of chunks, in standard blocks that add up to the message's."""
    blocks = _said(chunk)
    if chunk.chunk_position == "last":
        blocks += [_call_block(call) for call in chunk.tool_calls]
    else:
        blocks += [_call_piece(dict(piece)) for piece in chunk.tool_call_chunks]
    return cast("list[standard.ContentBlock]", [_indexed(block) for block in blocks])


def register() -> None:
    """Makes langchain-core use these translations for messages whose provider is Sunra."""
    register_translator(MODEL_PROVIDER, content_blocks, chunk_content_blocks)


def citation(annotation: Mapping[str, Any]) -> standard.Annotation:
    """A wire annotation as a standard citation; one of another type is kept whole."""
    found = annotation.get(_OPENAI_CITATION, annotation)
    if annotation.get("type") != _OPENAI_CITATION or not isinstance(found, Mapping):
        return standard.NonStandardAnnotation(
            type="non_standard_annotation", value=dict(annotation)
        )
    named: dict[str, Any] = {"type": "citation"}
    for theirs, ours in {**_CITATION_FIELDS, **_INDICES}.items():
        if found.get(theirs) is not None:
            named[ours] = found[theirs]
    return cast("standard.Citation", named)


def image_block(image: Mapping[str, Any]) -> Block:
    """A generated image (`message.images[]`, or an `image_url` part) as a standard image."""
    url = image.get("image_url")
    url = url.get("url") if isinstance(url, Mapping) else url
    if not isinstance(url, str):
        return {"type": "non_standard", "value": dict(image)}
    if not url.startswith("data:"):
        return {"type": "image", "url": url}
    head, _, data = url.partition(",")
    mime_type = head.removeprefix("data:").partition(";")[0]
    return {"type": "image", "base64": data, "mime_type": mime_type}


def reasoning_block(known: Mapping[str, Any]) -> Block | None:
    """Reasoning kept in `additional_kwargs`, as text; None where there is none to read."""
    for key in REASONING_KEYS:
        text = known.get(key)
        if text and isinstance(text, str):
            return {"type": "reasoning", "reasoning": text}
    return None


def part_block(part: str | Mapping[str, Any]) -> Block | None:
    """A piece of a content list as a standard block; None where it says nothing."""
    if isinstance(part, str):
        return {"type": "text", "text": part} if part else None
    match part:
        case {"type": "text" | "output_text", "text": str()}:
            return _text_block(part)
        case {"type": "image_url"}:
            return image_block(part)
        case {"type": "thinking"}:
            block: Block = {"type": "reasoning", "reasoning": thinking_text(part)}
            # The part itself is kept if it holds more than its text.
            return block if is_plain_thinking(part) else {**block, "extras": {"content_part": part}}
        case {"type": str() as kind} if kind in standard.KNOWN_BLOCK_TYPES and _is_sound(part):
            return dict(part)
        case _:
            return {"type": "non_standard", "value": dict(part)}


def _text_block(part: Mapping[str, Any]) -> Block:
    """A part that is text, with its annotations as standard citations."""
    block: Block = {**part, "type": "text"}
    if "annotations" in part:
        given = part["annotations"] if isinstance(part["annotations"], list) else []
        block["annotations"] = [
            citation(one) if one.get("type") == _OPENAI_CITATION else one
            for one in given
            if isinstance(one, Mapping)
        ]
    return block


def _is_sound(part: Mapping[str, Any]) -> bool:
    """Whether a part of a standard type has the fields that readers of such blocks rely on."""
    needed = _NEEDED.get(part["type"])
    return needed is None or isinstance(part.get(needed[0]), needed[1])


def _said(message: AIMessage) -> list[Block]:
    """All blocks but the tool calls."""
    known = message.additional_kwargs
    content = [message.content] if isinstance(message.content, str) else message.content
    blocks = [block for part in content if (block := part_block(part)) is not None]
    blocks = [block for block in blocks if block["type"] not in _CALL_TYPES]
    reasoning = reasoning_block(known)
    if reasoning is not None and not any(block["type"] == "reasoning" for block in blocks):
        blocks.insert(0, reasoning)
    blocks = _cited(blocks, known.get("annotations") or [])
    blocks += [image_block(image) for image in known.get("images") or []]
    if known.get("refusal"):
        blocks.append(refusal_block(known["refusal"]))
    return blocks


def refusal_block(refusal: str) -> Block:
    """The text of a refusal; langchain-core before 1.7.5 has no block for it."""
    block = {"type": "refusal", "refusal": refusal}
    return block if _HAS_REFUSALS else {"type": "non_standard", "value": block}


def _cited(blocks: list[Block], annotations: list[Mapping[str, Any]]) -> list[Block]:
    """The blocks with the annotations on the last text, or on a text of their own."""
    if not annotations:
        return blocks
    citations = [citation(one) for one in annotations]
    for place in reversed(range(len(blocks))):
        if blocks[place]["type"] == "text":
            return [
                *blocks[:place],
                {**blocks[place], "annotations": citations},
                *blocks[place + 1 :],
            ]
    return [*blocks, {"type": "text", "text": "", "annotations": citations}]


def _call_block(call: Mapping[str, Any]) -> Block:
    return {"type": "tool_call", "name": call["name"], "args": call["args"], "id": call.get("id")}


def _call_piece(piece: Mapping[str, Any]) -> Block:
    made: Block = {
        "type": "tool_call_chunk",
        "id": piece.get("id"),
        "name": piece.get("name"),
        "args": piece.get("args"),
    }
    if piece.get("index") is not None:
        made["index"] = f"lc_tool_call_{piece['index']}"
    return made


def _indexed(block: Block) -> Block:
    """The block with the index under which core joins it to what continues it.

    Text, reasoning and a refusal come in pieces; anything else is whole, so its index is its own.
    """
    kind = block["type"]
    if "index" in block:
        return block
    if kind in {"text", "reasoning", "refusal"}:
        return {**block, "index": f"lc_{kind}"}
    if kind == "non_standard" and block["value"].get("type") == "refusal":
        return {**block, "index": "lc_refusal"}
    return {**block, "index": f"lc_{kind}_{crc32(repr(block).encode()):08x}"}
