"""An AI message to the wire's assistant message: what it said, called, and reasoned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage
from pydantic_core import to_json

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.langchain.from_sunra import (
    MODEL_PROVIDER,
    REASONING_FIELD,
    REASONING_KEYS,
)
from sunra_integrations.langchain.parts import Block, part, unsupported
from sunra_integrations.protocol.replay import reasoning_fields
from sunra_integrations.protocol.requests import Message

_CALL_BLOCKS = frozenset(("tool_use", "tool_call", "tool_call_chunk", "function_call"))
_SIGNED = frozenset(("signature", "data"))


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

    Args:
        message: Its content as text or blocks; tool calls, broken ones included; and what
            `ChatSunra` keeps in `additional_kwargs` to be replayed.
        position: Where it stands, as in `messages[2]`, for errors.

    Raises:
        UnsupportedContent: It holds something the wire cannot carry.
    """
    said = _take_apart(message, position)
    known = message.additional_kwargs
    calls = [*_tool_calls(message, position), *said.calls]
    made: Message = {"role": "assistant", "content": _content(message, said, calls)}
    if message.name:
        made["name"] = message.name
    refusal = known.get("refusal") or "".join(said.refusal)
    if refusal:
        made["refusal"] = refusal
    if calls:
        made["tool_calls"] = calls
    text, field = _reasoning(message, said)
    details = known.get("reasoning_details") or said.reasoning_details
    made.update(reasoning_fields(text, field, details, beside_calls=bool(calls)))
    if known.get("images"):
        made["images"] = known["images"]
    return made


def _reasoning(message: AIMessage, said: _Said) -> tuple[str, str | None]:
    """The reasoning in words, and the wire's name it came under where that is known.

    A message made here says the name; in any other the key that holds the text is the name.
    """
    known = message.additional_kwargs
    for key in REASONING_KEYS:
        text = known.get(key)
        if text and isinstance(text, str):
            name = known.get(REASONING_FIELD, None if _is_own(message) else key)
            return text, name
    return "".join(said.reasoning), known.get(REASONING_FIELD) or said.reasoning_field


def _content(message: AIMessage, said: _Said, calls: list[Message]) -> str | list[Block] | None:
    if isinstance(message.content, str):
        return message.content or (None if calls else "")
    return said.parts or (None if calls else "")


def _take_apart(message: AIMessage, position: str) -> _Said:
    said = _Said()
    if isinstance(message.content, str):
        return said
    known = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    own_images = message.additional_kwargs.get("images") or []
    for place, block in enumerate(message.content):
        where = f"{position}.content[{place}]"
        if isinstance(block, str):
            said.parts += [part(block, where)] if block else []
        elif block.get("type") == "non_standard" and isinstance(block.get("value"), Mapping):
            _take(block["value"], where, said, known)
        elif block.get("type") == "image" and _among(part(block, where), own_images):
            continue  # a block made from `additional_kwargs["images"]`, which go back themselves
        else:
            _take(block, where, said, known)
    return said


def _take(block: Block, where: str, said: _Said, known: Sequence[str | None]) -> None:
    """Puts one block where it belongs; `known` are the ids of calls the message has as such."""
    match block.get("type"):
        case "text" if not block.get("text"):
            pass  # an empty text says nothing, and some servers refuse it
        case "refusal":
            said.refusal.append(str(block.get("refusal", "")))
        case "reasoning" | "thinking" | "redacted_thinking":
            _take_reasoning(block, said)
        case "invalid_tool_call":
            if block.get("id") not in known:
                said.calls.append(_wire_call(block, str(block.get("args") or ""), where))
        case str() as kind if kind in _CALL_BLOCKS:
            call_id = block.get("call_id") if kind == "function_call" else block.get("id")
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
    proof = {
        name: value
        for source in (extras, block)
        for name, value in source.items()
        if name in _SIGNED and value
    }
    text = str(block.get("reasoning") or block.get("thinking") or "")
    if "data" in proof:
        said.reasoning_details.append({"type": "reasoning.encrypted", **proof})
    elif proof:
        said.reasoning_details.append({"type": "reasoning.text", "text": text, **proof})
    else:
        said.reasoning.append(text)


def _tool_calls(message: AIMessage, position: str) -> Iterable[Message]:
    kept: dict[str | None, Mapping[str, Any]] = (
        message.additional_kwargs.get("tool_call_extras") or {}
    )
    extras = kept or _extras_in_blocks(message)
    for place, call in enumerate(message.tool_calls):
        where = f"{position}.tool_calls[{place}]"
        yield {
            **extras.get(call["id"], {}),
            **_wire_call(call, _written(call["args"], where), where),
        }
    for place, broken in enumerate(message.invalid_tool_calls):
        where = f"{position}.invalid_tool_calls[{place}]"
        yield {**extras.get(broken["id"], {}), **_wire_call(broken, broken["args"] or "", where)}


def _extras_in_blocks(message: AIMessage) -> dict[str | None, Mapping[str, Any]]:
    """What vendors want replayed with a call, where the call's content block holds it.

    Only blocks made here: another provider's extras are no fields of this wire.
    """
    blocks = message.content if _is_own(message) and not isinstance(message.content, str) else []
    return {
        block["id"]: block["extras"]
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") == "tool_call"
        and isinstance(block.get("extras"), Mapping)
    }


def _is_own(message: AIMessage) -> bool:
    return message.response_metadata.get("model_provider") == MODEL_PROVIDER


def _block_call(block: Block, where: str) -> Message:
    arguments = block.get("input", block.get("args", block.get("arguments")))
    written = arguments if isinstance(arguments, str) else _written(arguments or {}, where)
    return _wire_call(block, written, where)


def _wire_call(call: Mapping[str, Any], arguments: str, where: str) -> Message:
    if not isinstance(call.get("id"), str) or not call["id"]:
        raise unsupported(
            {"type": "tool_call"}, where, "without an `id`, which its result must name"
        )
    if not isinstance(call.get("name") or "", str):
        raise unsupported({"type": "tool_call"}, where, "whose `name` is no string")
    function = {"name": call.get("name") or "", "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}


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
