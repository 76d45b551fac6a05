"""LlamaIndex's messages, blocks and tools as Sunra's wire has them. Pure: nothing is sent here.

What the wire cannot carry raises `UnsupportedContent` with its place, as in
`messages[2].blocks[0]`; nothing is left out silently, nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
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
from llama_index.core.tools.types import BaseTool

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.llama_index import attachments
from sunra_integrations.llama_index.tool_calls import legacy_call, place_of_call, wire_calls
from sunra_integrations.protocol.content import Part, resource_text, text_of_part, text_part
from sunra_integrations.protocol.history import (
    prepare_messages,
    reasoning_fields,
    signed_detail,
    vendor_fields,
)
from sunra_integrations.protocol.request import ChatRequest, Message
from sunra_integrations.protocol.tools import function_tool, normalize_tool, split_schema

_ROLES: Mapping[MessageRole, str] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "developer",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


_ANSWERED = ("tool_call_id", "call_id", "toolUseId", "tool_use_id")
"""Where classes keep the id of the call that a tool's message answers."""
_HELD_IN = ("image", "audio", "video", "data")
_MIME_TYPES = ("document_mimetype", "image_mimetype", "video_mimetype")


def request(chat_messages: Sequence[ChatMessage], parameters: Mapping[str, Any]) -> ChatRequest:
    """The request for this conversation.

    Args:
        chat_messages: The conversation, in LlamaIndex's form.
        parameters: By the names of `ChatRequest`; None means not to be sent.

    Raises:
        InvalidParameter: A value breaks its rule.
        UnsupportedContent: A block has no form on the wire.
    """
    return ChatRequest(messages=messages(chat_messages), **parameters)


def messages(chat_messages: Sequence[ChatMessage]) -> list[Message]:
    """The conversation as the wire has it, message by message."""
    return prepare_messages(
        [
            _plain(one) or _message(one, f"messages[{place}]")
            for place, one in enumerate(chat_messages)
        ],
        lambda place, call: _unpaired(chat_messages[place], f"messages[{place}]", call),
    )


def message(chat_message: ChatMessage, *, position: str = "message") -> Message:
    """One message as the wire has it, as a conversation of its own.

    Of `additional_kwargs`, what the wire has a place for is sent: `name`, `prefix`, `partial` and
    `cache_control`, on tool messages `tool_call_id`, on assistant messages `refusal`,
    `annotations`, what vendors want replayed and, where no block has them, `tool_calls`. The rest
    is LlamaIndex's own bookkeeping.
    """
    (made,) = prepare_messages(
        [_message(chat_message, position)],
        lambda _, call: _unpaired(chat_message, position, call),
    )
    return made


def _message(chat_message: ChatMessage, position: str) -> Message:
    """One message in the API's form, before the steps that need the whole conversation."""
    role = _role(chat_message)
    wire: Message
    if role == "assistant":
        wire = _assistant(chat_message, position)
    else:
        parts = content(chat_message.blocks, position=position, of_tool=role == "tool")
        wire = {"role": role, "content": _plainest(parts)}
    if role == "tool":
        wire["tool_call_id"] = _answered_call(chat_message)
    wire |= vendor_fields(chat_message.additional_kwargs, role)
    if name := chat_message.additional_kwargs.get("name"):
        wire["name"] = name
    return wire


def _plain(chat_message: ChatMessage) -> Message | None:
    """What `message` makes of one text and nothing else, as most messages are; else None."""
    match chat_message.blocks:
        case [TextBlock(text=str() as text)] if not chat_message.additional_kwargs:
            role = _role(chat_message)
            return None if role == "tool" else {"role": role, "content": text}
        case _:
            return None


def _role(chat_message: ChatMessage) -> str:
    return _ROLES[MessageRole(chat_message.role)]


def content(
    blocks: Sequence[ContentBlock], *, position: str = "message", of_tool: bool = False
) -> list[Part]:
    """Blocks of a message that is not the assistant's, as content parts.

    Args:
        blocks: The blocks.
        position: Where the message stands, for errors.
        of_tool: They are a tool's result, so links that cannot be sent become text.
    """
    parts: list[Part] = []
    for place, block in enumerate(blocks):
        where = f"{position}.blocks[{place}]"
        match block:
            case CachePoint():
                _mark_cached(parts, block, where)
            case ThinkingBlock() | ToolCallBlock():
                raise _only_by_assistants(block, where)
            case AudioBlock() | DocumentBlock() | ImageBlock() | VideoBlock() if of_tool and (
                link := _linked_resource(block)
            ):
                parts.append(text_part(link))
            case _:
                parts += _parts(block, where)
    return parts


def tool(given: BaseTool | Mapping[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """A tool as the wire has it.

    Args:
        given: A LlamaIndex tool, or a tool in the wire's form, which is passed on as it is.
        strict: Ask that arguments keep to the schema, which is made strict-valid for it.
    """
    if isinstance(given, Mapping):
        return normalize_tool(given)
    metadata = given.metadata
    if metadata.fn_schema is None:
        parameters = metadata.get_parameters_dict()
    else:  # the framework's own form drops the `$ref` that a recursive class consists of
        _, _, parameters = split_schema(metadata.fn_schema.model_json_schema())
    return function_tool(
        metadata.get_name(),
        description=metadata.description,
        parameters=parameters,
        strict=strict,
    )


def _assistant(chat_message: ChatMessage, position: str) -> Message:
    said = chat_message.additional_kwargs
    spoken = _spoken(said)
    parts: list[Part] = []
    images: list[Part] = []
    annotations: list[Any] = []
    thinking: list[ThinkingBlock] = []
    for place, block in enumerate(chat_message.blocks):
        where = f"{position}.blocks[{place}]"
        match block:
            case ThinkingBlock():
                thinking.append(block)
            case ToolCallBlock():
                continue  # in wire_calls, with what the block has no field for
            case CitationBlock():
                annotations.append(_annotation(block, where))
            case ImageBlock():
                images.append(attachments.image(block, where))
            case CachePoint():
                _mark_cached(parts, block, where)
            case TextBlock() | CitableBlock():
                parts += _parts(block, where)
            case AudioBlock() | VideoBlock() | DocumentBlock():
                _check_known_by_id(block, spoken, where)
    calls = wire_calls(chat_message, position)
    parts = _in_place(said, parts)
    wire: Message = {"role": "assistant", "content": _plainest(parts)}
    others = {
        "images": images,
        "annotations": said.get("annotations") or ([] if _cites(parts) else annotations),
        "tool_calls": calls,
        "function_call": None if calls else legacy_call(said),
        "refusal": said.get("refusal"),
        "audio": spoken,
    }
    wire.update({name: value for name, value in others.items() if value})
    wire |= _reasoning(thinking or _kept_thinking(said), said.get("reasoning_field"))
    spoken_by = ("tool_calls", "function_call", "refusal", "audio")
    if not wire["content"] and any(wire.get(name) for name in spoken_by):
        wire["content"] = None
    return wire


def _in_place(said: Mapping[str, Any], parts: list[Part]) -> list[Part]:
    """The parts, with the received parts that have no block between them.

    Where the text was changed since, they go before it.
    """
    kept, places = said.get("content_parts"), said.get("content_places")
    if not isinstance(kept, list) or not isinstance(places, list) or len(kept) != len(places):
        return parts
    is_plain = all(set(part) == {"type", "text"} for part in parts)
    text = "".join(part["text"] for part in parts) if is_plain else ""
    begun, made = 0, []
    for part, place in zip(kept, places, strict=True):
        words = text_of_part(part)
        if text[place : place + len(words)] != words or not begun <= place <= len(text):
            return [*(dict(part) for part in kept if not text_of_part(part)), *parts]
        made += [text_part(text[begun:place])] if begun < place else []
        made.append(dict(part))
        begun = place + len(words)
    rest = [text_part(text[begun:])] if begun < len(text) else []
    return [*made, *rest] if is_plain else [*made, *parts]


def _cites(parts: Sequence[Part]) -> bool:
    """Whether the citations go back within the parts that they came in."""
    return any(part.get("annotations") for part in parts)


def _linked_resource(block: AudioBlock | DocumentBlock | ImageBlock | VideoBlock) -> str | None:
    """Text for a resource that a tool only links to (MCP); None if it can be sent."""
    url = "" if block.url is None else str(block.url)
    held = block.path or any(getattr(block, name, None) for name in _HELD_IN)
    if not url or held or url.startswith("data:"):
        return None
    if isinstance(block, ImageBlock | VideoBlock) and url.lower().startswith(("http:", "https:")):
        return None
    title = block.title if isinstance(block, DocumentBlock) else None
    name = None if title == attachments.UNTITLED else title
    mime_type = next((getattr(block, n) for n in _MIME_TYPES if getattr(block, n, None)), None)
    return resource_text(url, name=name, mime_type=mime_type)


def _parts(block: ContentBlock, where: str) -> list[Part]:
    match block:
        case TextBlock():
            return [text_part(block.text)]
        case ImageBlock():
            return [attachments.image(block, where)]
        case AudioBlock():
            return [attachments.audio(block, where)]
        case VideoBlock():
            return [attachments.video(block, where)]
        case DocumentBlock():
            return [attachments.document(block, where)]
        case CitableBlock():
            inner = content(block.content, position=where)
            return [_source(block.title, block.source), *inner]
        case CitationBlock():
            inner = content([block.cited_content], position=where)
            return [_source(block.title, block.source), *inner]
        case _:
            raise UnsupportedContent(
                f"{where} is a {type(block).__name__}, which Sunra's wire cannot carry.",
                kind=getattr(block, "block_type", type(block).__name__),
                position=where,
            )


def _source(title: str, source: str) -> Part:
    """The wire has no part for citable content, so its title and source are told as text."""
    return text_part(f"Title: {title}\nSource: {source}")


def _plainest(parts: list[Part]) -> str | list[Part]:
    """A string where the content is one text and nothing else, which every server takes."""
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str() as text, **rest}] if not rest:
            return text
        case _:
            return parts


def _mark_cached(parts: list[Part], point: CachePoint, where: str) -> None:
    """Puts a cache point where the wire has it: on the last part before it."""
    if not parts:
        raise UnsupportedContent(
            f"{where} (cache) has no content before it in its message; a cache point marks the "
            "end of what is to be cached.",
            kind=point.block_type,
            position=where,
        )
    control = point.cache_control.model_dump(exclude_unset=True)
    parts[-1] = {**parts[-1], "cache_control": control}


def _reasoning(thinking: Sequence[ThinkingBlock], field: str | None) -> dict[str, Any]:
    """Thinking as it goes back, signed by whichever class; see `protocol.history`."""
    words: list[str] = []
    details: list[Any] = []
    for block in thinking:
        known, text = block.additional_information, block.content or ""
        field = known.get("reasoning_field") or field
        signed = None if known.get("reasoning_details") else signed_detail(text, known)
        details += known.get("reasoning_details") or ([signed] if signed else [])
        words += [] if signed else [text]
    return reasoning_fields("".join(words), field, details, beside_calls=True)


def _kept_thinking(said: Mapping[str, Any]) -> list[ThinkingBlock]:
    """Thinking where older releases of LlamaIndex's classes kept it, beside the blocks."""
    kept = said.get("thinking")
    if isinstance(kept, Mapping):
        return [ThinkingBlock(content=kept.get("thinking"), additional_information=dict(kept))]
    for name in ("reasoning_content", "reasoning"):
        if isinstance(said.get(name), str):
            known = {"reasoning_field": name}
            return [ThinkingBlock(content=said[name], additional_information=known)]
    return []


def _spoken(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the wire refers to a sound that the model made: by the id it came with."""
    sound = said.get("audio")
    known = sound.get("id") if isinstance(sound, Mapping) else None
    known = known or said.get("reference_audio_id")  # where llms-openai keeps it
    return {"id": known} if isinstance(known, str) and known else None


def _annotation(block: CitationBlock, where: str) -> dict[str, Any]:
    if not isinstance(block.cited_content, TextBlock):
        raise UnsupportedContent(
            f"{where} (citation) cites an image; the wire's citations hold text.",
            kind=block.block_type,
            position=where,
        )
    citation = {
        "url": block.source,
        "title": block.title,
        "content": block.cited_content.text,
        **block.additional_location_info,
    }
    return {"type": "url_citation", "url_citation": citation}


def _answered_call(chat_message: ChatMessage) -> str | None:
    known = chat_message.additional_kwargs
    return next((known[key] for key in _ANSWERED if isinstance(known.get(key), str)), None)


def _unpaired(chat_message: ChatMessage, position: str, call: int | None) -> InvalidParameter:
    """The error for a call without an id and a result, or a result without an id and a call."""
    if call is None:
        return InvalidParameter(
            f"`{position}` has the role {chat_message.role.value!r} but no tool call id, and no "
            "earlier call lacks a result. Set additional_kwargs['tool_call_id'], or leave the "
            "message out.",
            parameter=position,
            rule="a tool message carries the id of the call it answers",
        )
    place = f"{position}{place_of_call(chat_message, call)}"
    return InvalidParameter(
        f"`{place}` is a call without an id, and no tool message answers it. Give it an id and "
        "answer it, or leave it out.",
        parameter=place,
        rule="a tool call carries an id",
    )


def _check_known_by_id(
    block: AudioBlock | VideoBlock | DocumentBlock, spoken: Mapping[str, Any] | None, where: str
) -> None:
    """Raises unless the server has what the block holds, and takes its id for it."""
    if spoken is None or not isinstance(block, AudioBlock):
        raise UnsupportedContent(
            f"{where} ({block.block_type}) stands in an assistant message, where the wire "
            "takes text, images, thinking and tool calls. Send it as the user's.",
            kind=block.block_type,
            position=where,
        )


def _only_by_assistants(block: ThinkingBlock | ToolCallBlock, where: str) -> UnsupportedContent:
    return UnsupportedContent(
        f"{where} ({block.block_type}) stands in a message that is not the assistant's, where the "
        "wire has no place for it.",
        kind=block.block_type,
        position=where,
    )
