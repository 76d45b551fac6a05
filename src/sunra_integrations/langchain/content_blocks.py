"""Translate ChatSunra's messages to LangChain's standard content blocks (`content_blocks`).

Blocks of a streamed chunk get an `index` with their type (`lc_text`, `lc_tool_call_0`, …). With
plain numbers, langchain-core would merge text block 0 and tool call 0; see
langchain-ai/langchain#35984.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from zlib import crc32

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as standard
from langchain_core.messages.block_translators import register_translator

from sunra_integrations.langchain.messages import MODEL_PROVIDER, REASONING_KEYS
from sunra_integrations.protocol.content import is_plain_thinking, thinking_text

Block = dict[str, Any]

CALL_LIKE = frozenset(kind for kind in standard.KNOWN_BLOCK_TYPES if "tool" in kind)
"""Block types that langchain-core makes tool calls of; a content part never is one."""
PHASE_INDEX = "lc_text_phase_"
"""The start of the index of a streamed text that has a phase, which is the rest of the index."""
_HAS_REFUSALS = "refusal" in standard.KNOWN_BLOCK_TYPES
_CALL_TYPES = frozenset(("tool_call", "tool_call_chunk"))
_URL_CITATION = "url_citation"
_CITATION_FIELDS = {
    "url": "url",
    "title": "title",
    "content": "cited_text",
    "start_index": "start_index",
    "end_index": "end_index",
}
_REQUIRED_FIELDS: Mapping[str, tuple[str, type]] = {
    "text": ("text", str),
    "reasoning": ("reasoning", str),
    "refusal": ("refusal", str),
    "non_standard": ("value", dict),
    **dict.fromkeys(("tool_call", "tool_call_chunk", "invalid_tool_call"), ("name", str)),
}


def register() -> None:
    """Lets langchain-core use these translations for messages whose provider is Sunra."""
    register_translator(MODEL_PROVIDER, content_blocks, chunk_content_blocks)


def content_blocks(message: AIMessage) -> list[standard.ContentBlock]:
    """The blocks of a message: reasoning, text with citations, images, refusal, tool calls."""
    blocks = [*_content(message), *(_call_block(call) for call in message.tool_calls)]
    return cast("list[standard.ContentBlock]", blocks)


def chunk_content_blocks(chunk: AIMessageChunk) -> list[standard.ContentBlock]:
    """The blocks of a chunk or a sum of chunks, which add up to the message's blocks."""
    blocks = _content(chunk)
    if chunk.chunk_position == "last":
        blocks += [_call_block(call) for call in chunk.tool_calls]
    else:
        blocks += [_call_chunk_block(dict(call)) for call in chunk.tool_call_chunks]
    return cast("list[standard.ContentBlock]", [_with_index(block) for block in blocks])


def _content(message: AIMessage) -> list[Block]:
    """All blocks except tool calls."""
    extra = message.additional_kwargs
    content = [message.content] if isinstance(message.content, str) else message.content
    blocks = [block for part in content if (block := part_block(part)) is not None]
    blocks = [block for block in blocks if block["type"] not in _CALL_TYPES]
    reasoning = _reasoning_block(extra)
    if reasoning is not None and not any(block["type"] == "reasoning" for block in blocks):
        blocks.insert(0, reasoning)
    blocks = _with_citations(blocks, extra.get("annotations") or [])
    blocks += [image_block(image) for image in extra.get("images") or []]
    if extra.get("refusal"):
        blocks.append(refusal_block(extra["refusal"]))
    return blocks


def part_block(part: str | Mapping[str, Any]) -> Block | None:
    """A content part as a standard block; None for an empty string."""
    if isinstance(part, str):
        return {"type": "text", "text": part} if part else None
    match part:
        case {"type": "text" | "output_text", "text": str()}:
            return _text_block(part)
        case {"type": "image_url"}:
            return image_block(part)
        case {"type": "thinking"}:
            block: Block = {"type": "reasoning", "reasoning": thinking_text(part)}
            # The part itself is kept if it has more than its text.
            return block if is_plain_thinking(part) else {**block, "extras": {"content_part": part}}
        case {"type": str() as kind} if kind in standard.KNOWN_BLOCK_TYPES and _is_valid(part):
            return dict(part)
        case _:
            return {"type": "non_standard", "value": dict(part)}


def _text_block(part: Mapping[str, Any]) -> Block:
    """A text part, with its annotations as standard citations."""
    block: Block = {**part, "type": "text"}
    if "annotations" in part:
        given = part["annotations"] if isinstance(part["annotations"], list) else []
        block["annotations"] = [
            citation(one) if one.get("type") == _URL_CITATION else one
            for one in given
            if isinstance(one, Mapping)
        ]
    return block


def _is_valid(part: Mapping[str, Any]) -> bool:
    """Whether a part of a standard type has the field that readers of such blocks expect."""
    required = _REQUIRED_FIELDS.get(part["type"])
    return required is None or isinstance(part.get(required[0]), required[1])


def _reasoning_block(extra: Mapping[str, Any]) -> Block | None:
    """The reasoning text in `additional_kwargs`; None if there is none."""
    for key in REASONING_KEYS:
        text = extra.get(key)
        if text and isinstance(text, str):
            return {"type": "reasoning", "reasoning": text}
    return None


def _with_citations(blocks: list[Block], annotations: list[Mapping[str, Any]]) -> list[Block]:
    """The blocks with the citations in the last text block, or in an empty one at the end."""
    if not annotations:
        return blocks
    citations = [citation(one) for one in annotations]
    for index in reversed(range(len(blocks))):
        if blocks[index]["type"] == "text":
            cited = {**blocks[index], "annotations": citations}
            return [*blocks[:index], cited, *blocks[index + 1 :]]
    return [*blocks, {"type": "text", "text": "", "annotations": citations}]


def citation(annotation: Mapping[str, Any]) -> standard.Annotation:
    """An annotation of the API as a standard citation; other types stay whole."""
    found = annotation.get(_URL_CITATION, annotation)
    if annotation.get("type") != _URL_CITATION or not isinstance(found, Mapping):
        return standard.NonStandardAnnotation(
            type="non_standard_annotation", value=dict(annotation)
        )
    fields = {
        name: found[key] for key, name in _CITATION_FIELDS.items() if found.get(key) is not None
    }
    return cast("standard.Citation", {"type": "citation", **fields})


def image_block(image: Mapping[str, Any]) -> Block:
    """A generated image (`message.images[]`, or an `image_url` part) as a standard block."""
    url = image.get("image_url")
    url = url.get("url") if isinstance(url, Mapping) else url
    if not isinstance(url, str):
        return {"type": "non_standard", "value": dict(image)}
    if not url.startswith("data:"):
        return {"type": "image", "url": url}
    head, _, data = url.partition(",")
    mime_type = head.removeprefix("data:").partition(";")[0]
    return {"type": "image", "base64": data, "mime_type": mime_type}


def refusal_block(refusal: str) -> Block:
    """A refusal's text; langchain-core before 1.7.5 has no block for it."""
    block = {"type": "refusal", "refusal": refusal}
    return block if _HAS_REFUSALS else {"type": "non_standard", "value": block}


def _call_block(call: Mapping[str, Any]) -> Block:
    return {"type": "tool_call", "name": call["name"], "args": call["args"], "id": call.get("id")}


def _call_chunk_block(call: Mapping[str, Any]) -> Block:
    block: Block = {
        "type": "tool_call_chunk",
        "id": call.get("id"),
        "name": call.get("name"),
        "args": call.get("args"),
    }
    if call.get("index") is not None:
        block["index"] = f"lc_tool_call_{call['index']}"
    return block


def _with_index(block: Block) -> Block:
    """The block with the index by which langchain-core joins it to later ones.

    Text, reasoning and refusals arrive in parts. Other blocks are whole, so each has its own index.
    """
    kind = block["type"]
    if "index" in block:
        return block
    if kind == "text" and "phase" in block:
        # langchain-core would join the phases of all its parts, as it joins all strings.
        phase = block["phase"]
        block = {name: value for name, value in block.items() if name != "phase"}
        return {**block, "index": f"{PHASE_INDEX}{phase}"}
    if kind in {"text", "reasoning", "refusal"}:
        return {**block, "index": f"lc_{kind}"}
    if kind == "non_standard" and block["value"].get("type") == "refusal":
        return {**block, "index": "lc_refusal"}
    return {**block, "index": f"lc_{kind}_{crc32(repr(block).encode()):08x}"}
