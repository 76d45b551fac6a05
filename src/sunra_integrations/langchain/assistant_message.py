"""Convert an `AIMessage` to an assistant message: text, tool calls and reasoning to replay.

Stored histories hold messages of many classes, so blocks of other providers are understood too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from pydantic_core import to_json

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.langchain.content_blocks import PHASE_INDEX
from sunra_integrations.langchain.content_parts import (
    LANGCHAIN_KEYS,
    Block,
    cache_mark,
    content_part,
    unsupported,
)
from sunra_integrations.langchain.messages import (
    INVALID_CALLS,
    MODEL_PROVIDER,
    REASONING_FIELD,
    REASONING_KEYS,
    split_invalid_tool_calls,
)
from sunra_integrations.protocol.content import is_plain_thinking, thinking_text
from sunra_integrations.protocol.history import (
    encode_tool_call,
    reasoning_fields,
    signed_details,
    vendor_fields,
)
from sunra_integrations.protocol.json_text import dicts_in, parse_arguments, without_keys
from sunra_integrations.protocol.reply import IN_CONTENT
from sunra_integrations.protocol.request import Message, is_built_in_item

_CALL_ID = {"function_call": "call_id", "custom_tool_call": "call_id"}
"""The key of the id that a tool result refers to; in OpenAI's Responses API `id` is the item's."""
_CALL_BLOCKS = frozenset(("tool_use", "tool_call", "tool_call_chunk", *_CALL_ID))
_REASONING_BLOCKS = frozenset(("reasoning", "thinking", "redacted_thinking", "reasoning_content"))
_SIGNATURES = frozenset(("function_call_signature",))
_CONVERTED_ITEMS = frozenset(("image_generation_call", "server_tool_call"))
_INDEXES = frozenset(("index", "sub_index"))
_STANDARD_BLOCKS = _CALL_BLOCKS | _REASONING_BLOCKS | {
    "refusal", "invalid_tool_call", "image", "image_url", "audio", "input_audio", "video",
    "video_url", "file", "document", "text-plain", "media",
}  # fmt: skip
"""Blocks that are converted in the same way whichever class made the message."""


@dataclass
class _Content:
    """The content of an AI message, sorted by kind."""

    parts: list[Block] = field(default_factory=list)
    calls: list[Message] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    reasoning_field: str | None = None
    reasoning_details: list[Block] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)


def assistant_message(message: AIMessage, position: str) -> Message:
    """The assistant message for this AI message.

    Call ids may still be None, and reasoning may still be present in a turn without tool calls:
    both need the whole conversation, see `protocol.history`.

    Args:
        message: Text or blocks, tool calls (invalid ones too), and what `ChatSunra` stores in
            `additional_kwargs` to be replayed.
        position: Its position, such as `messages[2]`, for errors.

    Raises:
        UnsupportedContent: It has content that the API cannot carry.
    """
    if message.additional_kwargs.get(INVALID_CALLS):
        message = split_invalid_tool_calls(message)
    content = _sorted_content(message, position)
    extra = message.additional_kwargs
    calls = [*_tool_calls(message, position), *content.calls]
    fields = {
        "name": message.name,
        "refusal": extra.get("refusal") or "".join(content.refusal),
        "tool_calls": calls,
        "function_call": None if calls else _legacy_call(extra),
    }
    is_text = isinstance(message.content, str)
    made: Message = {"role": "assistant", "content": message.content if is_text else content.parts}
    made.update({name: value for name, value in fields.items() if value})
    text, field = _reasoning(message, content)
    details = extra.get("reasoning_details") or content.reasoning_details
    made.update(reasoning_fields(text, field, details, beside_calls=True))
    made.update({name: extra[name] for name in ("images", "annotations") if extra.get(name)})
    made.update(vendor_fields(extra, "assistant"))
    if audio := _audio_reference(extra, position):
        made["audio"] = audio
    if not made["content"]:
        needs_none = not made.keys().isdisjoint(("tool_calls", "function_call", "audio"))
        made["content"] = None if needs_none else ""
    return made


def place_of_call(message: BaseMessage, number: int) -> tuple[str, str]:
    """Where in its message the call with this number is, and its kind, for errors."""
    if not isinstance(message, AIMessage):
        return "", "tool_call"
    for name, calls in (
        ("tool_calls", message.tool_calls),
        ("invalid_tool_calls", message.invalid_tool_calls),
    ):
        if number < len(calls):
            return f".{name}[{number}]", "tool_call"
        number -= len(calls)
    if _legacy_call(message.additional_kwargs):
        return ".additional_kwargs['function_call']", "function_call"
    return ".content", "tool_call"


def _legacy_call(extra: Mapping[str, Any]) -> Message | None:
    """The legacy `function_call`, whose result is a `FunctionMessage`."""
    match extra.get("function_call"):
        case {"name": str() as name, **rest}:
            given = rest.get("arguments")
            arguments = given if isinstance(given, str) else to_json(given).decode()
            function: Message = encode_tool_call(None, name, arguments, {})["function"]
            return function
        case _:
            return None


def _audio_reference(extra: Mapping[str, Any], position: str) -> Message | None:
    """Audio that the model made, referred to by its id."""
    match extra.get("audio"):
        case bytes():  # langchain-google-genai stores the audio itself
            where = f"{position}.additional_kwargs['audio']"
            raise UnsupportedContent(
                f"{where} is audio that the model made, without an id; Sunra accepts it back only "
                "by its id. To send the rest, leave it out.",
                kind="audio",
                position=where,
            )
        case {"id": str() as audio_id} if audio_id:
            return {"id": audio_id}
        case _:
            return None


def _reasoning(message: AIMessage, content: _Content) -> tuple[str, str | None]:
    """The reasoning text, and the name of the API field it came in, if known.

    Messages of `ChatSunra` store that name; for others it is the key that holds the text.
    """
    extra = message.additional_kwargs
    found = [key for key in REASONING_KEYS if isinstance(extra.get(key), str)]
    for key in sorted(found, key=lambda key: not extra[key]):  # an empty one only if all are empty
        name = extra.get(REASONING_FIELD, None if _is_own(message) else key)
        return extra[key], name
    return "".join(content.reasoning), extra.get(REASONING_FIELD) or content.reasoning_field


def _sorted_content(message: AIMessage, position: str) -> _Content:
    content = _Content()
    # langchain-openai stores a reasoning item of the Responses API here (output_version "v0").
    if isinstance(message.additional_kwargs.get("reasoning"), Mapping):
        _add_reasoning(message.additional_kwargs["reasoning"], content)
    if isinstance(message.content, str):
        return content
    call_ids = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    # langchain-openai stores the images of the Responses API here (output_version "v0").
    for output in dicts_in(message.additional_kwargs.get("tool_outputs")):
        if output.get("type") == "image_generation_call":
            where = f"{position}.additional_kwargs['tool_outputs']"
            content.parts.append(content_part(output, where))
    thinking_in_content = message.additional_kwargs.get(REASONING_FIELD) == IN_CONTENT
    own_images = message.additional_kwargs.get("images") or []
    for index, block in enumerate(message.content):
        where = f"{position}.content[{index}]"
        if isinstance(block, str):
            content.parts += [content_part(block, where)] if block else []
        elif block.get("type") == "image" and _is_among(content_part(block, where), own_images):
            continue  # made from `additional_kwargs["images"]`, which are replayed themselves
        elif not (
            _is_own(message)
            and _add_own_block(block, content, thinking_in_content=thinking_in_content)
        ):
            _add_block(_unwrapped(block), where, content, call_ids)
    return content


def _unwrapped(block: Block) -> Block:
    value = block.get("value")
    return value if block.get("type") == "non_standard" and isinstance(value, Mapping) else block


def _add_own_block(block: Block, content: _Content, *, thinking_in_content: bool) -> bool:
    """Adds a block that only ChatSunra stores, as a part with its original fields.

    Args:
        block: A content part, or a standard block made from one.
        content: Where to add it.
        thinking_in_content: Whether the message's thinking is replayed in its content.

    Returns:
        Whether it was such a block.
    """
    extras = block.get("extras")
    if isinstance(extras, Mapping) and isinstance(extras.get("content_part"), Mapping):
        content.parts.append(dict(extras["content_part"]))
        return True
    block = _unwrapped(block)
    match block:
        case {"type": "reasoning", "reasoning": str() as text} if thinking_in_content:
            thinking = [{"type": "text", "text": text}]
            content.parts.append({"type": "thinking", "thinking": thinking})
            return True
        case {"type": "reasoning", **rest} if "reasoning" not in rest and not extras:
            content.parts.append(dict(block))
            return True
        case _:
            pass
    match block.get("type"):
        case "text" | "output_text":
            kept = {name: value for name, value in block.items() if name not in LANGCHAIN_KEYS}
            kept |= {**cache_mark(block), **_phase(block)}
            if annotations := _api_annotations(block):
                kept["annotations"] = annotations
            if block.get("text") or len(kept) > len(("type", "text")):
                content.parts.append({**kept, "type": "text"})
            return True
        case "thinking" | "redacted_thinking":
            if is_plain_thinking(block) and not thinking_in_content:
                return False
            content.parts.append(dict(block))
            return True
        case kind:
            is_standard = isinstance(kind, str) and kind in _STANDARD_BLOCKS
            if not is_standard:
                content.parts.append(dict(block))
            return not is_standard


def _phase(block: Block) -> Block:
    """The phase of a streamed text, which is a part of its index."""
    index = str(block.get("index"))
    return {"phase": index.removeprefix(PHASE_INDEX)} if index.startswith(PHASE_INDEX) else {}


def _api_annotations(block: Block) -> list[Any]:
    """A text's annotations in the API's form, without LangChain's (output_version "v1")."""
    return [
        one
        for one in dicts_in(block.get("annotations"))
        if one.get("type") not in {"citation", "non_standard_annotation"}
    ]


def _add_block(block: Block, where: str, content: _Content, call_ids: Sequence[str | None]) -> None:
    """Adds a block of any class; calls with one of `call_ids` are in the message's `tool_calls`."""
    if block.get("type") == "text" and isinstance(block.get("reasoning"), str):
        # langchain-core merges streamed text and reasoning blocks of langchain-anthropic
        # (output_version "v1") that share an index; see langchain-ai/langchain#35984.
        _add_reasoning({**block, "type": "reasoning"}, content)
    match block.get("type"):
        case "text" if not block.get("text"):
            pass  # Anthropic and others reject empty text parts
        case "refusal":
            content.refusal.append(str(block.get("refusal", "")))
        case str() as kind if kind in _REASONING_BLOCKS | _SIGNATURES:
            _add_reasoning(block, content)
        case "invalid_tool_call":
            if block.get("id") not in call_ids:
                content.calls.append(_api_call(block, str(block.get("args") or ""), {}, where))
        case str() as kind if kind in _CALL_BLOCKS:
            call_id = block.get(_CALL_ID.get(kind, "id"))
            if call_id not in call_ids:
                content.calls.append(_call_of_block({**block, "id": call_id}, where))
        case kind if is_built_in_item(kind) and kind not in _CONVERTED_ITEMS:
            # An item of the Responses API, with indexes that langchain-openai adds in streams.
            content.parts.append(without_keys(block, _INDEXES))
        case _:
            content.parts.append(content_part(block, where))


def _add_reasoning(block: Block, content: _Content) -> None:
    """Adds signed reasoning as a detail to replay, unsigned reasoning as text."""
    extras = block.get("extras")
    extras = extras if isinstance(extras, Mapping) else {}
    field = extras.get(REASONING_FIELD)
    content.reasoning_field = field if isinstance(field, str) else content.reasoning_field
    if isinstance(extras.get("reasoning_details"), list):
        content.reasoning_details += extras["reasoning_details"]
        content.reasoning.append(str(block.get("reasoning") or ""))
        return
    text, signed = _text_and_signature(block, extras)
    details = signed_details(text, {**extras, **signed})
    if not details and (known := _item_of(block, content.reasoning_details)):
        details = [{"type": "reasoning.summary", "summary": text, **known}]
    content.reasoning_details += details
    if not details:
        content.reasoning.append(text)


def _item_of(block: Block, details: Sequence[Block]) -> Block | None:
    """The id of the encrypted item that a block is one more summary of; None if it is not one.

    With output_version "v1", langchain-openai makes a block of each summary.
    """
    last = details[-1] if details else {}
    is_same = last.get("id") is not None and last["id"] == block.get("id")
    return {"id": last["id"]} if is_same and "reasoning" in block else None


def _text_and_signature(block: Block, extras: Block) -> tuple[str, Block]:
    """The text of a reasoning block of any class, and the mapping with its signature."""
    is_encrypted = isinstance({**extras, **block}.get("encrypted_content"), str)
    match block:
        case {"type": "reasoning_content"}:  # langchain-aws, ChatBedrockConverse
            inner = block.get("reasoning_content") or block.get("reasoningContent")
            inner = inner if isinstance(inner, Mapping) else {}
            words = inner.get("reasoningText", inner)
            words = words if isinstance(words, Mapping) else {}
            return str(words.get("text") or ""), {**inner, **words}
        case {"type": "thinking"}:  # langchain-anthropic, langchain-mistralai
            return thinking_text(block), _without_block_id(block)
        case {"reasoning": str() as text}:
            return text, block if is_encrypted else _without_block_id(block)
        case _:  # OpenAI's Responses API
            texts = (*dicts_in(block.get("summary")), *dicts_in(block.get("content")))
            text = "".join(str(one.get("text") or "") for one in texts)
            return text, block if is_encrypted else _without_block_id(block)


def _without_block_id(block: Block) -> Block:
    """The block without LangChain's own block id, which the API does not know."""
    return {name: value for name, value in block.items() if name != "id"}


def _tool_calls(message: AIMessage, position: str) -> Iterable[Message]:
    stored: dict[str | None, Mapping[str, Any]] = (
        message.additional_kwargs.get("tool_call_extras") or {}
    )
    extras = stored or _extras_of_blocks(message) or _extras_of_raw_calls(message)
    for call_id, mark in _cache_marks(message).items():
        extras = {**extras, call_id: {**(extras.get(call_id) or {}), **mark}}
    truncated = _truncated_arguments(message)
    for index, call in enumerate(message.tool_calls):
        where = f"{position}.tool_calls[{index}]"
        arguments = truncated.get(call["id"]) or _as_json(call["args"], where)
        yield _api_call(call, arguments, extras.get(call["id"]) or {}, where)
    for index, invalid in enumerate(message.invalid_tool_calls):
        where = f"{position}.invalid_tool_calls[{index}]"
        yield _api_call(invalid, invalid["args"] or "", extras.get(invalid["id"]) or {}, where)


def _cache_marks(message: AIMessage) -> dict[str | None, Mapping[str, Any]]:
    """The `cache_control` of calls, which Anthropic's messages have in their content blocks."""
    blocks = () if isinstance(message.content, str) else dicts_in(message.content)
    calls = [block for block in blocks if block.get("type") in _CALL_BLOCKS]
    return {call.get("id"): mark for call in calls if (mark := cache_mark(call))}


def _truncated_arguments(message: AIMessage) -> dict[str | None, str]:
    """Truncated arguments as the model wrote them, by call id.

    A chunk that is loaded from a store parses its calls again, and langchain-core repairs their
    arguments; see langchain-ai/langchain#39275.
    """
    chunks = message.tool_call_chunks if isinstance(message, AIMessageChunk) else []
    ids = [chunk["id"] for chunk in chunks]
    return {
        chunk["id"]: chunk["args"]
        for chunk in chunks
        if chunk["args"] and ids.count(chunk["id"]) == 1 and parse_arguments(chunk["args"]) is None
    }


def _extras_of_blocks(message: AIMessage) -> dict[str | None, Mapping[str, Any]]:
    """Vendor fields of calls, stored in content blocks.

    Only blocks of `ChatSunra`: extras of other providers are not fields of this API.
    """
    blocks = message.content if _is_own(message) and not isinstance(message.content, str) else []
    return {
        block["id"]: block["extras"]
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") in {"tool_call", "invalid_tool_call"}
        and isinstance(block.get("extras"), Mapping)
    }


def _extras_of_raw_calls(message: AIMessage) -> dict[str | None, Mapping[str, Any]]:
    """Gemini's signatures, from the raw calls that other classes for this API store."""
    raw = dicts_in(message.additional_kwargs.get("tool_calls"))
    return {
        call.get("id"): {"extra_content": call["extra_content"]}
        for call in raw
        if call.get("extra_content")
    }


def _is_own(message: AIMessage) -> bool:
    return message.response_metadata.get("model_provider") == MODEL_PROVIDER


def _call_of_block(block: Block, where: str) -> Message:
    given = block.get("input", block.get("args", block.get("arguments")))
    arguments = given if isinstance(given, str) else _as_json(given or {}, where)
    custom = {"type": "custom"} if block.get("type") == "custom_tool_call" else {}
    return _api_call(block, arguments, {**custom, **cache_mark(block)}, where)


def _api_call(
    call: Mapping[str, Any], arguments: str, extra: Mapping[str, Any], where: str
) -> Message:
    for name in ("id", "name"):
        if not isinstance(call.get(name) or "", str):
            raise unsupported({"type": "tool_call"}, where, f"whose `{name}` is not a string")
    return encode_tool_call(call.get("id") or None, call.get("name") or "", arguments, extra)


def _as_json(arguments: object, where: str) -> str:
    try:
        return to_json(arguments).decode()
    except ValueError as error:
        raise UnsupportedContent(
            f"The arguments of {where} cannot be written as JSON: {error}.",
            kind="tool_call",
            position=where,
        ) from error


def _is_among(part: Block, images: list[Any]) -> bool:
    url = part.get("image_url", {}).get("url")
    return any(
        isinstance(image, Mapping)
        and isinstance(image.get("image_url"), Mapping)
        and image["image_url"].get("url") == url
        for image in images
    )
