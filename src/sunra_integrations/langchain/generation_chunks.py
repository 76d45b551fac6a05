"""LangChain's chunks as its validation makes them, made without it.

`validated` is the reference, and what runs where this langchain-core's classes hold anything that
is not known here; a property test holds `generation_chunk` against it.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk, InvalidToolCall, ToolCall, ToolCallChunk
from langchain_core.messages.base import TextAccessor
from langchain_core.outputs import ChatGenerationChunk

from sunra_integrations.protocol.prototype import Prototype

Content = str | list[str | dict[Any, Any]]

_VARYING = (
    "content",
    "additional_kwargs",
    "response_metadata",
    "tool_call_chunks",
    "tool_calls",
    "invalid_tool_calls",
)
# Their work on a message of plain text, done below: none but to read each piece of a tool call.
_MESSAGE_VALIDATORS = (
    "_backwards_compat_tool_calls",
    "init_tool_calls",
    "init_server_tool_calls",
)


def validated(
    content: Content,
    additional_kwargs: dict[str, Any],
    response_metadata: dict[str, Any],
    tool_call_chunks: list[ToolCallChunk],
) -> ChatGenerationChunk:
    """A chunk of a stream, made by validation; what is empty counts as not set."""
    fields: dict[str, Any] = {"content": content, "response_metadata": response_metadata}
    if additional_kwargs:
        fields["additional_kwargs"] = additional_kwargs
    if tool_call_chunks:
        fields["tool_call_chunks"] = tool_call_chunks
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


def generation_chunk(
    content: Content,
    additional_kwargs: dict[str, Any],
    response_metadata: dict[str, Any],
    tool_call_chunks: list[ToolCallChunk],
) -> ChatGenerationChunk:
    """A chunk of a stream, equal to what `validated` makes of the same values.

    Args:
        content: Its text; blocks are left to validation.
        additional_kwargs: Taken as its own, as are the next two. They hold no `tool_calls`.
        response_metadata: What is said of the answer.
        tool_call_chunks: Pieces of tool calls.
    """
    if not _usable or not isinstance(content, str):
        return validated(content, additional_kwargs, response_metadata, tool_call_chunks)
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for piece in tool_call_chunks:
        arguments = piece["args"]
        if not arguments:
            calls.append(_call(piece))
        elif arguments.lstrip()[:1] != "{":  # no JSON object begins so, whole or in part
            broken.append(_broken_call(piece))
        else:
            return validated(content, additional_kwargs, response_metadata, tool_call_chunks)
    message = _messages[bool(additional_kwargs), bool(tool_call_chunks)].make(
        {
            "content": content,
            "additional_kwargs": additional_kwargs,
            "response_metadata": response_metadata,
            "tool_call_chunks": tool_call_chunks,
            "tool_calls": calls,
            "invalid_tool_calls": broken,
        }
    )
    text = TextAccessor(content) if content else _NO_TEXT
    return _generation.make({"text": text, "message": message})


def _call(piece: ToolCallChunk) -> ToolCall:
    return {"name": piece["name"] or "", "args": {}, "id": piece["id"], "type": "tool_call"}


def _broken_call(piece: ToolCallChunk) -> InvalidToolCall:
    return {
        "name": piece["name"],
        "args": piece["args"],
        "id": piece["id"],
        "error": None,
        "type": "invalid_tool_call",
    }


_PIECE = ToolCallChunk(name=None, args="", id=None, index=0, type="tool_call_chunk")
_NO_TEXT = TextAccessor("")
_messages = {
    (bool(kwargs), bool(pieces)): Prototype(
        validated("", kwargs, {}, pieces).message,
        varying=_VARYING,
        validators=_MESSAGE_VALIDATORS,
    )
    for kwargs in ({}, {"reasoning_content": "…"})
    for pieces in ([], [_PIECE])
}
_generation = Prototype(
    validated("", {}, {}, []), varying=("text", "message"), validators=("set_text",)
)
_usable = _generation.usable and all(message.usable for message in _messages.values())
