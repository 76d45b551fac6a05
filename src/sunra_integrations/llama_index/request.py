"""LlamaIndex messages, blocks and tools in Sunra's format.

Pure functions, except that a block with a `path` is read from disk. Nothing is downloaded and
nothing is dropped: content that the API cannot carry raises `UnsupportedContent` with its
position, such as `messages[2].blocks[0]`.
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
from pydantic import BaseModel
from pydantic_core import to_json

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.llama_index.content_parts import content_part, linked_resource
from sunra_integrations.llama_index.fast_path import text_message
from sunra_integrations.protocol.content import Part, text_of_part, text_part
from sunra_integrations.protocol.history import (
    encode_tool_call,
    prepare_messages,
    reasoning_fields,
    signed_details,
    vendor_fields,
)
from sunra_integrations.protocol.request import ChatRequest, Message
from sunra_integrations.protocol.tools import (
    function_tool,
    normalize_tool,
    split_schema,
    tool_choice,
)

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


def build(chat_messages: Sequence[ChatMessage], parameters: Mapping[str, Any]) -> ChatRequest:
    """The request for a conversation.

    Args:
        chat_messages: The conversation.
        parameters: Parameters by the names of `ChatRequest`. None leaves a parameter out. `tools`
            may be LlamaIndex tools, and `tool_choice` may be a tool's name or True.

    Raises:
        InvalidParameter: A value is not valid.
        UnsupportedContent: The API cannot carry a block.
    """
    tools = [tool(one) for one in parameters.get("tools") or ()]
    choice = parameters.get("tool_choice")
    converted: dict[str, Any] = {
        **parameters,
        "tools": tools or None,
        "tool_choice": choice if isinstance(choice, dict) else tool_choice(choice, tools),
    }
    return ChatRequest(messages=messages(chat_messages), **converted)


def messages(chat_messages: Sequence[ChatMessage]) -> list[Message]:
    """The messages of a conversation, with every tool call paired with its result."""
    return prepare_messages(
        [
            text_message(one, _role(one)) or _message(one, f"messages[{number}]")
            for number, one in enumerate(chat_messages)
        ],
        lambda number, call: _unpaired(chat_messages[number], f"messages[{number}]", call),
    )


def message(chat_message: ChatMessage, *, position: str = "message") -> Message:
    """One message, as a conversation of its own.

    These keys of `additional_kwargs` are sent: `name`, `prefix`, `partial` and `cache_control`.
    Tool messages also send `tool_call_id`. Assistant messages also send `refusal`, `annotations`,
    vendor fields to replay and, if no block holds them, `tool_calls`.
    """
    (converted,) = prepare_messages(
        [_message(chat_message, position)],
        lambda _, call: _unpaired(chat_message, position, call),
    )
    return converted


def tool(given: BaseTool | Mapping[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in the API's format.

    Args:
        given: A LlamaIndex tool, or a dict in the API's format, which is passed on.
        strict: Make the schema strict and request that the server enforces it.
    """
    if isinstance(given, Mapping):
        return normalize_tool(given)
    metadata = given.metadata
    if metadata.fn_schema is None:
        parameters = metadata.get_parameters_dict()
    else:
        # `get_parameters_dict` drops a `$ref` at the root, where the schema of a recursive class
        # has its fields: https://github.com/run-llama/llama_index/pull/22890
        _, _, parameters = split_schema(metadata.fn_schema.model_json_schema())
    return function_tool(
        metadata.get_name(),
        description=metadata.description,
        parameters=parameters,
        strict=strict,
    )


def content(
    blocks: Sequence[ContentBlock], *, position: str = "message", of_tool: bool = False
) -> list[Part]:
    """The blocks of a system, user or tool message as content parts.

    Args:
        blocks: The blocks.
        position: The message's position, for errors.
        of_tool: The blocks are a tool's result. Links that cannot be sent become text.
    """
    parts: list[Part] = []
    for number, block in enumerate(blocks):
        where = f"{position}.blocks[{number}]"
        match block:
            case CachePoint():
                _mark_cached(parts, block, where)
            case ThinkingBlock() | ToolCallBlock():
                raise UnsupportedContent(
                    f"{where} ({block.block_type}) is only allowed in an assistant message.",
                    kind=block.block_type,
                    position=where,
                )
            case AudioBlock() | DocumentBlock() | ImageBlock() | VideoBlock() if of_tool and (
                link := linked_resource(block)
            ):
                parts.append(text_part(link))
            case _:
                parts += _parts(block, where)
    return parts


# ── messages ─────────────────────────────────────────────────────────────────


_WITHOUT_CONTENT = frozenset(("tool_calls", "function_call", "refusal", "audio"))
"""Fields beside which the API expects null for empty content."""


def _role(chat_message: ChatMessage) -> str:
    return _ROLES[MessageRole(chat_message.role)]


def _message(chat_message: ChatMessage, position: str) -> Message:
    """One message, before the steps that need the whole conversation."""
    role = _role(chat_message)
    converted: Message
    if role == "assistant":
        converted = _assistant_message(chat_message, position)
    else:
        parts = content(chat_message.blocks, position=position, of_tool=role == "tool")
        converted = {"role": role, "content": _as_text_if_plain(parts)}
    if role == "tool":
        converted["tool_call_id"] = _result_call_id(chat_message.additional_kwargs)
    converted |= vendor_fields(chat_message.additional_kwargs, role)
    if name := chat_message.additional_kwargs.get("name"):
        converted["name"] = name
    return converted


def _assistant_message(chat_message: ChatMessage, position: str) -> Message:
    extra = chat_message.additional_kwargs
    audio = _audio_reference(extra)
    parts: list[Part] = []
    images: list[Part] = []
    annotations: list[Any] = []
    thinking: list[ThinkingBlock] = []
    for number, block in enumerate(chat_message.blocks):
        where = f"{position}.blocks[{number}]"
        match block:
            case ThinkingBlock():
                thinking.append(block)
            case ToolCallBlock():
                continue  # see `_tool_calls`
            case CitationBlock():
                annotations.append(_annotation(block, where))
            case ImageBlock():
                images.append(content_part(block, where))
            case CachePoint():
                _mark_cached(parts, block, where)
            case TextBlock() | CitableBlock():
                parts += _parts(block, where)
            case AudioBlock() | VideoBlock() | DocumentBlock():
                _check_sent_by_id(block, audio, where)
    calls = _tool_calls(chat_message, position)
    parts = _with_received_parts(parts, extra)
    fields = {
        "images": images,
        "annotations": extra.get("annotations") or ([] if _cites(parts) else annotations),
        "tool_calls": calls,
        "function_call": None if calls else _function_call(extra),
        "refusal": extra.get("refusal"),
        "audio": audio,
    }
    converted: Message = {"role": "assistant", "content": _as_text_if_plain(parts)}
    converted.update({name: value for name, value in fields.items() if value})
    converted |= _reasoning(thinking or _older_thinking(extra), extra.get("reasoning_field"))
    if not converted["content"] and not _WITHOUT_CONTENT.isdisjoint(converted):
        converted["content"] = None
    return converted


def _parts(block: ContentBlock, position: str) -> list[Part]:
    match block:
        case TextBlock() | ImageBlock() | AudioBlock() | VideoBlock() | DocumentBlock():
            return [content_part(block, position)]
        case CitableBlock(content=blocks) | CitationBlock(cited_content=blocks):
            inner = content(blocks if isinstance(blocks, list) else [blocks], position=position)
            # The API has no part for citable content, so its title and source become text.
            return [text_part(f"Title: {block.title}\nSource: {block.source}"), *inner]
        case _:
            raise UnsupportedContent(
                f"{position} is a {type(block).__name__}, which Sunra's API cannot carry.",
                kind=getattr(block, "block_type", type(block).__name__),
                position=position,
            )


def _as_text_if_plain(parts: list[Part]) -> str | list[Part]:
    """A string if the content is a single text, which every server accepts."""
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str() as text, **rest}] if not rest:
            return text
        case _:
            return parts


def _with_received_parts(parts: list[Part], extra: Mapping[str, Any]) -> list[Part]:
    """The parts, with the received parts that no block can hold put back at their places.

    If the text was changed since, they are put before it.
    """
    received, places = extra.get("content_parts"), extra.get("content_places")
    if (
        not isinstance(received, list)
        or not isinstance(places, list)
        or len(received) != len(places)
    ):
        return parts
    is_plain = all(set(part) == {"type", "text"} for part in parts)
    text = "".join(part["text"] for part in parts) if is_plain else ""
    begun, merged = 0, []
    for part, place in zip(received, places, strict=True):
        words = text_of_part(part)
        if text[place : place + len(words)] != words or not begun <= place <= len(text):
            return [*(dict(part) for part in received if not text_of_part(part)), *parts]
        merged += [text_part(text[begun:place])] if begun < place else []
        merged.append(dict(part))
        begun = place + len(words)
    rest = [text_part(text[begun:])] if begun < len(text) else []
    return [*merged, *rest] if is_plain else [*merged, *parts]


def _cites(parts: Sequence[Part]) -> bool:
    """Whether the parts contain their citations."""
    return any(part.get("annotations") for part in parts)


def _reasoning(thinking: Sequence[ThinkingBlock], field: str | None) -> dict[str, Any]:
    """The fields that replay reasoning, ours or another vendor's; see `protocol.history`."""
    texts: list[str] = []
    details: list[Any] = []
    for block in thinking:
        known, text = block.additional_information, block.content or ""
        field = known.get("reasoning_field") or field
        signed = [] if known.get("reasoning_details") else signed_details(text, known)
        details += known.get("reasoning_details") or signed
        texts += [] if signed else [text]
    return reasoning_fields("".join(texts), field, details, beside_calls=True)


def _older_thinking(extra: Mapping[str, Any]) -> list[ThinkingBlock]:
    """Thinking from releases of LlamaIndex's classes that kept it in `additional_kwargs`."""
    thinking = extra.get("thinking")
    if isinstance(thinking, Mapping):
        text = thinking.get("thinking")
        return [ThinkingBlock(content=text, additional_information=dict(thinking))]
    for name in ("reasoning_content", "reasoning"):
        if isinstance(extra.get(name), str):
            known = {"reasoning_field": name}
            return [ThinkingBlock(content=extra[name], additional_information=known)]
    return []


def _audio_reference(extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """The reference to audio that the model made: the id that the server gave it."""
    audio = extra.get("audio")
    audio_id = audio.get("id") if isinstance(audio, Mapping) else None
    audio_id = audio_id or extra.get("reference_audio_id")  # llama-index-llms-openai's key
    return {"id": audio_id} if isinstance(audio_id, str) and audio_id else None


def _check_sent_by_id(
    block: AudioBlock | VideoBlock | DocumentBlock, audio: object, position: str
) -> None:
    """Refuses media that the assistant did not make, so that the server has no id for it."""
    if audio is None or not isinstance(block, AudioBlock):
        raise UnsupportedContent(
            f"{position} ({block.block_type}) is in an assistant message, which can only hold "
            "text, images, thinking and tool calls. Send it in a user message.",
            kind=block.block_type,
            position=position,
        )


def _annotation(block: CitationBlock, position: str) -> dict[str, Any]:
    if not isinstance(block.cited_content, TextBlock):
        raise UnsupportedContent(
            f"{position} (citation) cites an image. Sunra's citations only hold text.",
            kind=block.block_type,
            position=position,
        )
    citation = {
        "url": block.source,
        "title": block.title,
        "content": block.cited_content.text,
        **block.additional_location_info,
    }
    return {"type": "url_citation", "url_citation": citation}


def _mark_cached(parts: list[Part], point: CachePoint, position: str) -> None:
    """Puts a cache point on the last part before it."""
    if not parts:
        raise UnsupportedContent(
            f"{position} (cache) has no content before it in its message. A cache point marks "
            "the end of the content to cache.",
            kind=point.block_type,
            position=position,
        )
    control = point.cache_control.model_dump(exclude_unset=True)
    parts[-1] = {**parts[-1], "cache_control": control}


# ── tool calls and their results ─────────────────────────────────────────────

_CALL_FIELDS = frozenset(("id", "type", "function", "index"))
_FUNCTION_FIELDS = frozenset(("name", "arguments"))
_ARGUMENTS = ("arguments", "input", "args", "tool_kwargs", "parameters")
_CALL_IDS = ("call_id", "toolUseId", "tool_use_id", "tool_call_id", "id")
"""Keys under which LlamaIndex's classes keep the id that a result refers to, best one first.

Calls of OpenAI's Responses API have two ids, and `id` is the item's own."""
_RESULT_CALL_IDS = ("tool_call_id", "call_id", "toolUseId", "tool_use_id")


def _tool_calls(chat_message: ChatMessage, position: str) -> list[dict[str, Any]]:
    """The message's tool calls, from its blocks or else from `additional_kwargs["tool_calls"]`.

    Fields that a block cannot hold, such as a vendor's signatures, come from the entry with the
    same id. A call without an id has the id None.
    """
    extra = chat_message.additional_kwargs
    entries = [as_mapping(one) for one in extra.get("tool_calls") or ()]
    blocks = [one for one in chat_message.blocks if isinstance(one, ToolCallBlock)]
    if blocks:
        unused = [entry for entry in entries if isinstance(entry.get("function"), Mapping)]
        return [
            _call_of_block(one, unused, f"{position}{_position_of_call(chat_message, number)}")
            for number, one in enumerate(blocks)
        ]
    return [
        _call_of_entry(one, f"{position}.additional_kwargs['tool_calls'][{number}]")
        for number, one in enumerate(entries)
    ]


def _call_of_block(
    block: ToolCallBlock, unused: list[Mapping[str, Any]], position: str
) -> dict[str, Any]:
    vendor: Mapping[str, Any] = {}
    for entry in unused:
        if entry.get("id") == block.tool_call_id:
            vendor = _vendor_fields_of_call(entry)
            unused.remove(entry)
            break
    arguments = _arguments({"arguments": block.tool_kwargs}, position)
    return encode_tool_call(block.tool_call_id or None, block.tool_name, arguments, vendor)


def _call_of_entry(entry: Mapping[str, Any], position: str) -> dict[str, Any]:
    """A call as this class or another LlamaIndex class keeps it in `additional_kwargs`."""
    function = entry.get("function", entry.get("toolUse"))
    call = {**entry, **function} if isinstance(function, Mapping) else entry
    name = call.get("name", call.get("tool_name"))
    if not isinstance(name, str):
        raise UnsupportedContent(
            f"`{position}` is not a tool call in a known format: it has no name. Leave it out "
            "of the message.",
            kind=str(entry.get("type", "tool_call")),
            position=position,
        )
    call_id = next((call[key] for key in _CALL_IDS if isinstance(call.get(key), str)), None)
    is_ours = isinstance(entry.get("function"), Mapping)
    vendor = _vendor_fields_of_call(entry) if is_ours else {}
    return encode_tool_call(call_id or None, name, _arguments(call, position), vendor)


def _vendor_fields_of_call(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a call beyond the API's own, in the form that `encode_tool_call` takes."""
    fields = {name: value for name, value in entry.items() if name not in _CALL_FIELDS}
    function = {
        name: value for name, value in entry["function"].items() if name not in _FUNCTION_FIELDS
    }
    if function:
        fields["function"] = function
    if entry.get("type", "function") != "function":
        fields["type"] = entry["type"]
    return fields


def _function_call(extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """The legacy `function_call`; its result has the role `function`."""
    match as_mapping(extra.get("function_call")):
        case {"name": str() as name, **rest}:
            arguments = _arguments(rest, "additional_kwargs['function_call']")
            function: dict[str, Any] = encode_tool_call(None, name, arguments, {})["function"]
            return function
        case _:
            return None


def _arguments(call: Mapping[str, Any], position: str) -> str:
    """The call's arguments as JSON text, under any of the names that LlamaIndex's classes use."""
    arguments = next((call[key] for key in _ARGUMENTS if call.get(key) is not None), None)
    if isinstance(arguments, str):
        return arguments
    try:
        return to_json(arguments or {}).decode()
    except ValueError as error:
        raise InvalidParameter(
            f"The arguments of `{position}` cannot be written as JSON: {error}.",
            parameter=position,
            rule="JSON values only",
        ) from error


def _result_call_id(extra: Mapping[str, Any]) -> str | None:
    """The id of the call that a tool message answers."""
    return next((extra[key] for key in _RESULT_CALL_IDS if isinstance(extra.get(key), str)), None)


def _position_of_call(chat_message: ChatMessage, number: int) -> str:
    blocks = [at for at, one in enumerate(chat_message.blocks) if isinstance(one, ToolCallBlock)]
    if number < len(blocks):
        return f".blocks[{blocks[number]}]"
    if number < len(chat_message.additional_kwargs.get("tool_calls") or ()):
        return f".additional_kwargs['tool_calls'][{number}]"
    return ".additional_kwargs['function_call']"


def _unpaired(chat_message: ChatMessage, position: str, call: int | None) -> InvalidParameter:
    """The error for a result that answers no call, or for a call without an id and a result."""
    if call is None:
        return InvalidParameter(
            f"`{position}` has the role {chat_message.role.value!r} but no tool call id, and "
            "every earlier call has a result. Set additional_kwargs['tool_call_id'], or leave the "
            "message out.",
            parameter=position,
            rule="a tool message carries the id of the call it answers",
        )
    where = f"{position}{_position_of_call(chat_message, call)}"
    return InvalidParameter(
        f"`{where}` is a tool call without an id, and no tool message answers it. Give it an id "
        "and a result, or leave it out.",
        parameter=where,
        rule="a tool call carries an id",
    )


def as_mapping(value: Any) -> Mapping[str, Any]:
    """An entry of `additional_kwargs` as a mapping: classes keep dicts or pydantic models there."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    return value if isinstance(value, Mapping) else {}
