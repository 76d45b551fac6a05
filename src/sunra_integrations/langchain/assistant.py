"""An AI message to the wire's assistant message: what it said, called, and reasoned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from pydantic_core import to_json

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.langchain.broken_calls import BROKEN, with_broken_calls
from sunra_integrations.langchain.from_sunra import (
    MODEL_PROVIDER,
    REASONING_FIELD,
    REASONING_KEYS,
)
from sunra_integrations.langchain.parts import Block, part, unsupported
from sunra_integrations.protocol.content import is_plain_thinking, thinking_text
from sunra_integrations.protocol.history import (
    encode_tool_call,
    reasoning_fields,
    signed_detail,
    vendor_fields,
)
from sunra_integrations.protocol.json_text import dicts_in, parse_arguments
from sunra_integrations.protocol.reply import IN_CONTENT
from sunra_integrations.protocol.request import Message

_CALL_ID = {"function_call": "call_id", "custom_tool_call": "call_id"}
"""Where OpenAI's Responses API has the id that a call's result names; `id` is the item's own."""
_CALL_BLOCKS = frozenset(("tool_use", "tool_call", "tool_call_chunk", *_CALL_ID))
_REASONING_BLOCKS = frozenset(("reasoning", "thinking", "redacted_thinking", "reasoning_content"))
_SIGNATURES = frozenset(("function_call_signature",))
_OF_LANGCHAIN = frozenset(("id", "index", "annotations", "extras"))
"""Keys that LangChain adds to a standard block; the API has no such fields."""


@dataclass
class _Said:
    """What the content of an AI message holds, taken apart."""

    parts: list[Block] = field(default_factory=list)
    calls: list[Message] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    reasoning_field: str | None = None
    reasoning_details: list[Block] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)


def assistant_message(message: AIMessage, position: str) -> Message:
    """The assistant message that stands for this AI message.

    The ids of its calls may be None, and its reasoning is not yet left out where its turn calls no
    tool: `protocol.history` decides on both.

    Args:
        message: Its content as text or blocks; tool calls, broken ones included; and what
            `ChatSunra` keeps in `additional_kwargs` to be replayed.
        position: Where it stands, as in `messages[2]`, for errors.

    Raises:
        UnsupportedContent: It holds something the wire cannot carry.
    """
    message = _as_streamed(message)
    said = _take_apart(message, position)
    known = message.additional_kwargs
    calls = [*_tool_calls(message, position), *said.calls]
    made: Message = {"role": "assistant", "content": said.parts or ""}
    if isinstance(message.content, str):
        made["content"] = message.content
    if message.name:
        made["name"] = message.name
    refusal = known.get("refusal") or "".join(said.refusal)
    if refusal:
        made["refusal"] = refusal
    if calls:
        made["tool_calls"] = calls
    elif function := _legacy_call(known):
        made["function_call"] = function
    text, field = _reasoning(message, said)
    details = known.get("reasoning_details") or said.reasoning_details
    made.update(reasoning_fields(text, field, details, beside_calls=True))
    for name in ("images", "annotations"):
        if known.get(name):
            made[name] = known[name]
    made.update(vendor_fields(known, "assistant"))
    if sound := _sound(known, position):
        made["audio"] = sound
    if not made["content"] and any(
        name in made for name in ("tool_calls", "function_call", "audio")
    ):
        made["content"] = None
    return made


def _as_streamed(message: AIMessage) -> AIMessage:
    """The message, with calls that core completed while adding chunks among its invalid ones."""
    return with_broken_calls(message) if message.additional_kwargs.get(BROKEN) else message


def place_of_call(message: BaseMessage, number: int) -> tuple[str, str]:
    """Where in its message the call of this number stands, and its kind, for errors."""
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


def _legacy_call(known: Mapping[str, Any]) -> Message | None:
    """The legacy `function_call`; its result is a FunctionMessage."""
    match known.get("function_call"):
        case {"name": str() as name, **rest}:
            arguments = rest.get("arguments")
            written = arguments if isinstance(arguments, str) else to_json(arguments).decode()
            function: Message = encode_tool_call(None, name, written, {})["function"]
            return function
        case _:
            return None


def _sound(known: Mapping[str, Any], position: str) -> Message | None:
    """A reference to the model's audio, by the id that it came with."""
    match known.get("audio"):
        case bytes():  # ChatGoogleGenerativeAI's
            where = f"{position}.additional_kwargs['audio']"
            raise UnsupportedContent(
                f"{where} is sound that the model made; Sunra's wire takes it back only by the id "
                "it came with. To send the rest, leave it out. Nothing was sent.",
                kind="audio",
                position=where,
            )
        case {"id": str() as sound} if sound:
            return {"id": sound}
        case _:
            return None


def _reasoning(message: AIMessage, said: _Said) -> tuple[str, str | None]:
    """The reasoning in words, and the wire's name it came under where that is known.

    A message made here says the name; in any other the key that holds the text is the name.
    """
    known = message.additional_kwargs
    found = [key for key in REASONING_KEYS if isinstance(known.get(key), str)]
    for key in sorted(found, key=lambda key: not known[key]):  # an empty one only if all are
        name = known.get(REASONING_FIELD, None if _is_own(message) else key)
        return known[key], name
    return "".join(said.reasoning), known.get(REASONING_FIELD) or said.reasoning_field


def _take_apart(message: AIMessage, position: str) -> _Said:
    said = _Said()
    # Where ChatOpenAI keeps a reasoning item of the Responses API (output_version "v0").
    if isinstance(message.additional_kwargs.get("reasoning"), Mapping):
        _take_reasoning(message.additional_kwargs["reasoning"], said)
    if isinstance(message.content, str):
        return said
    known = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    # Where ChatOpenAI keeps the images of the Responses API (output_version "v0").
    for made in dicts_in(message.additional_kwargs.get("tool_outputs")):
        if made.get("type") == "image_generation_call":
            said.parts.append(part(made, f"{position}.additional_kwargs['tool_outputs']"))
    thoughts_in_content = message.additional_kwargs.get(REASONING_FIELD) == IN_CONTENT
    own_images = message.additional_kwargs.get("images") or []
    for place, block in enumerate(message.content):
        where = f"{position}.content[{place}]"
        if isinstance(block, str):
            said.parts += [part(block, where)] if block else []
        elif block.get("type") == "image" and _among(part(block, where), own_images):
            continue  # a block made from `additional_kwargs["images"]`, which go back themselves
        elif not (
            _is_own(message) and _take_own(block, said, thoughts_in_content=thoughts_in_content)
        ):
            _take(_unwrapped(block), where, said, known)
    return said


def _unwrapped(block: Block) -> Block:
    value = block.get("value")
    return value if block.get("type") == "non_standard" and isinstance(value, Mapping) else block


def _take_own(block: Block, said: _Said, *, thoughts_in_content: bool) -> bool:
    """Takes a content part that only ChatSunra can have stored, unchanged.

    Args:
        block: The part, or a standard block made of it.
        said: Takes it.
        thoughts_in_content: Whether the message's thinking goes back within its content.

    Returns:
        Whether it was one.
    """
    extras = block.get("extras")
    if isinstance(extras, Mapping) and isinstance(extras.get("content_part"), Mapping):
        said.parts.append(dict(extras["content_part"]))
        return True
    block = _unwrapped(block)
    match block:
        case {"type": "reasoning", "reasoning": str() as words} if thoughts_in_content:
            words_part = {"type": "text", "text": words}
            said.parts.append({"type": "thinking", "thinking": [words_part]})
            return True
        case {"type": "reasoning", **rest} if "reasoning" not in rest and not extras:
            said.parts.append(dict(block))
            return True
        case _:
            pass
    match block.get("type"):
        case "text" | "output_text":
            kept = {name: value for name, value in block.items() if name not in _OF_LANGCHAIN}
            if cited := _wire_annotations(block):
                kept["annotations"] = cited
            if block.get("text") or len(kept) > len(("type", "text")):
                said.parts.append({**kept, "type": "text"})
            return True
        case "thinking" | "redacted_thinking":
            if is_plain_thinking(block) and not thoughts_in_content:
                return False
            said.parts.append(dict(block))
            return True
        case kind:
            is_known = isinstance(kind, str) and kind in _KNOWN_TO_TAKE
            if not is_known:
                said.parts.append(dict(block))
            return not is_known


def _wire_annotations(block: Block) -> list[Any]:
    """A text's annotations as they came; LangChain's own forms stand for them in v1 content."""
    return [
        one
        for one in dicts_in(block.get("annotations"))
        if one.get("type") not in {"citation", "non_standard_annotation"}
    ]


_KNOWN_TO_TAKE = _CALL_BLOCKS | _REASONING_BLOCKS | {
    "refusal", "invalid_tool_call", "image", "image_url", "audio", "input_audio", "video",
    "video_url", "file", "document", "text-plain", "media",
}  # fmt: skip


def _take(block: Block, where: str, said: _Said, known: Sequence[str | None]) -> None:
    """Puts one block where it belongs; `known` are the ids of calls the message has as such."""
    if block.get("type") == "text" and isinstance(block.get("reasoning"), str):
        # langchain-core adds streamed blocks of ChatAnthropic (v1) up to one of both kinds.
        _take_reasoning({**block, "type": "reasoning"}, said)
    match block.get("type"):
        case "text" if not block.get("text"):
            pass  # an empty text says nothing, and some servers refuse it
        case "refusal":
            said.refusal.append(str(block.get("refusal", "")))
        case str() as kind if kind in _REASONING_BLOCKS | _SIGNATURES:
            _take_reasoning(block, said)
        case "invalid_tool_call":
            if block.get("id") not in known:
                said.calls.append(_wire_call(block, str(block.get("args") or ""), {}, where))
        case str() as kind if kind in _CALL_BLOCKS:
            call_id = block.get(_CALL_ID.get(kind, "id"))
            if call_id not in known:
                said.calls.append(_block_call({**block, "id": call_id}, where))
        case _:
            said.parts.append(part(block, where))


def _take_reasoning(block: Block, said: _Said) -> None:
    """Signed reasoning as a detail to replay, unsigned as text."""
    extras = block.get("extras")
    extras = extras if isinstance(extras, Mapping) else {}
    field = extras.get(REASONING_FIELD)
    said.reasoning_field = field if isinstance(field, str) else said.reasoning_field
    if isinstance(extras.get("reasoning_details"), list):
        said.reasoning_details += extras["reasoning_details"]
        said.reasoning.append(str(block.get("reasoning") or ""))
        return
    text, signed = _words_and_signature(block)
    detail = signed_detail(text, {**extras, **signed})
    if detail is None:
        said.reasoning.append(text)
    else:
        said.reasoning_details.append(detail)


def _words_and_signature(block: Block) -> tuple[str, Block]:
    """The words of a reasoning block of any class's, and the mapping that holds its signature."""
    match block:
        case {"type": "reasoning_content"}:  # ChatBedrockConverse
            inner = block.get("reasoning_content") or block.get("reasoningContent")
            inner = inner if isinstance(inner, Mapping) else {}
            words = inner.get("reasoningText", inner)
            words = words if isinstance(words, Mapping) else {}
            return str(words.get("text") or ""), {**inner, **words}
        case {"type": "thinking"}:  # ChatAnthropic, ChatMistralAI
            return thinking_text(block), _named_anew(block)
        case {"reasoning": str() as text}:
            return text, _named_anew(block)
        case _:  # OpenAI's Responses API
            texts = (*dicts_in(block.get("summary")), *dicts_in(block.get("content")))
            words = "".join(str(one.get("text") or "") for one in texts)
            encrypted = isinstance(block.get("encrypted_content"), str)
            return words, block if encrypted else _named_anew(block)


def _named_anew(block: Block) -> Block:
    """The block without LangChain's own block id, which the API does not know."""
    return {name: value for name, value in block.items() if name != "id"}


def _tool_calls(message: AIMessage, position: str) -> Iterable[Message]:
    kept: dict[str | None, Mapping[str, Any]] = (
        message.additional_kwargs.get("tool_call_extras") or {}
    )
    extras = kept or _extras_in_blocks(message) or _extras_in_raw_calls(message)
    completed = _completed_by_core(message)
    for place, call in enumerate(message.tool_calls):
        where = f"{position}.tool_calls[{place}]"
        written = completed.get(call["id"]) or _written(call["args"], where)
        yield _wire_call(call, written, extras.get(call["id"]) or {}, where)
    for place, broken in enumerate(message.invalid_tool_calls):
        where = f"{position}.invalid_tool_calls[{place}]"
        yield _wire_call(broken, broken["args"] or "", extras.get(broken["id"]) or {}, where)


def _completed_by_core(message: AIMessage) -> dict[str | None, str]:
    """Arguments that were cut off, as the model wrote them, by the ids of their calls.

    A chunk's calls are read anew when it is loaded from a store, and langchain-core completes them.
    """
    pieces = message.tool_call_chunks if isinstance(message, AIMessageChunk) else []
    ids = [piece["id"] for piece in pieces]
    return {
        piece["id"]: piece["args"]
        for piece in pieces
        if piece["args"] and ids.count(piece["id"]) == 1 and parse_arguments(piece["args"]) is None
    }


def _extras_in_blocks(message: AIMessage) -> dict[str | None, Mapping[str, Any]]:
    """What vendors want replayed with a call, where the call's content block holds it.

    Only blocks made here: another provider's extras are no fields of this wire.
    """
    blocks = message.content if _is_own(message) and not isinstance(message.content, str) else []
    return {
        block["id"]: block["extras"]
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") in {"tool_call", "invalid_tool_call"}
        and isinstance(block.get("extras"), Mapping)
    }


def _extras_in_raw_calls(message: AIMessage) -> dict[str | None, Mapping[str, Any]]:
    """Gemini's signatures, where other classes of this wire keep the calls as they came."""
    raw = dicts_in(message.additional_kwargs.get("tool_calls"))
    return {
        call.get("id"): {"extra_content": call["extra_content"]}
        for call in raw
        if call.get("extra_content")
    }


def _is_own(message: AIMessage) -> bool:
    return message.response_metadata.get("model_provider") == MODEL_PROVIDER


def _block_call(block: Block, where: str) -> Message:
    arguments = block.get("input", block.get("args", block.get("arguments")))
    written = arguments if isinstance(arguments, str) else _written(arguments or {}, where)
    custom = {"type": "custom"} if block.get("type") == "custom_tool_call" else {}
    return _wire_call(block, written, custom, where)


def _wire_call(
    call: Mapping[str, Any], arguments: str, extra: Mapping[str, Any], where: str
) -> Message:
    if not isinstance(call.get("id") or "", str):
        raise unsupported({"type": "tool_call"}, where, "whose `id` is not a string")
    if not isinstance(call.get("name") or "", str):
        raise unsupported({"type": "tool_call"}, where, "whose `name` is not a string")
    return encode_tool_call(call.get("id") or None, call.get("name") or "", arguments, extra)


def _written(arguments: object, where: str) -> str:
    try:
        return to_json(arguments).decode()
    except ValueError as error:
        raise UnsupportedContent(
            f"The arguments of {where} cannot be written as JSON: {error}. Nothing was sent.",
            kind="tool_call",
            position=where,
        ) from error


def _among(made: Block, images: list[Any]) -> bool:
    url = made.get("image_url", {}).get("url")
    return any(
        isinstance(image, Mapping)
        and isinstance(image.get("image_url"), Mapping)
        and image["image_url"].get("url") == url
        for image in images
    )
