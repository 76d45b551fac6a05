"""Keeps tool calls that were cut off invalid while langchain-core adds chunks up.

Adding chunks, langchain-core closes the strings and brackets that the arguments of a call left
open, so a call without half of its arguments looks like a whole one. The last chunk of our streams
lists the broken calls, and our chunks correct the sums that they are part of, whether chunks are
added one by one or as a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall

from sunra_integrations.protocol.json_text import well_formed_value

__all__ = ["BROKEN", "MessageChunk", "with_broken_calls"]

Message = TypeVar("Message", bound=AIMessage)

BROKEN = "invalid_tool_calls"
"""Where the last chunk of a stream lists the broken calls, within `additional_kwargs`."""


class MessageChunk(AIMessageChunk):
    """A chunk of our streams; what chunks add up to is a plain `AIMessageChunk`."""

    def __add__(self, other: Any) -> Any:
        total = super().__add__(other)
        if not isinstance(total, MessageChunk):
            return total
        extra = total.model_extra or {}
        plain = AIMessageChunk.model_construct(total.model_fields_set, **vars(total), **extra)
        return with_broken_calls(plain)

    def __radd__(self, other: object) -> Any:
        # Python asks the right operand first, since its class is derived from the left one's.
        if not isinstance(other, AIMessageChunk):
            return NotImplemented
        return with_broken_calls(other.__add__(self))

    @classmethod
    def lc_id(cls) -> list[str]:
        """The id of langchain-core's class, which is loaded in its place."""
        return AIMessageChunk.lc_id()


def with_broken_calls(message: Message) -> Message:
    """The message with its broken tool calls among its `invalid_tool_calls`.

    `invoke`, agents, v3 streams and `+` do this themselves. Use it on sums made in another way,
    such as langchain-core's `add_ai_message_chunks`.

    Args:
        message: A message, or the sum of a stream's chunks.
    """
    listed = message.additional_kwargs.get(BROKEN)
    if not listed:
        return _with_well_formed_calls(message)
    by_id: dict[str | None, InvalidToolCall] = {call["id"]: call for call in listed}
    content = message.content
    if not isinstance(content, str):
        content = [_corrected(block, by_id) for block in content]
    known = {name: value for name, value in message.additional_kwargs.items() if name != BROKEN}
    return _with_well_formed_calls(
        message.model_copy(
            update={
                "content": content,
                "additional_kwargs": known,
                "tool_calls": [call for call in message.tool_calls if call["id"] not in by_id],
                "invalid_tool_calls": list(listed),
            }
        )
    )


def _with_well_formed_calls(message: Message) -> Message:
    """The message with text that can be encoded in its calls.

    langchain-core's partial parser keeps halves of surrogate pairs.
    """
    if not message.tool_calls:
        return message
    try:
        calls = [
            ToolCall({**call, "args": well_formed_value(call["args"])})
            for call in message.tool_calls
        ]
        if calls == message.tool_calls:
            return message
    except RecursionError:  # a call nested too deeply, which the last chunk lists as broken
        return message
    return message.model_copy(
        update={"tool_calls": calls, "content": well_formed_value(message.content)}
    )


def _corrected(
    block: str | dict[Any, Any], broken: Mapping[str | None, InvalidToolCall]
) -> str | dict[Any, Any]:
    if isinstance(block, dict) and block.get("type") == "tool_call" and block.get("id") in broken:
        return {**broken[block.get("id")]}
    return block
