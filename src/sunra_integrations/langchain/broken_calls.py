"""Keeps tool calls that were cut off invalid while langchain-core adds chunks up.

Adding chunks, langchain-core closes the strings and brackets that the arguments of a call left
open, so a call without half of its arguments looks like a whole one. The last chunk of our streams
lists the broken calls. Two operands of `+` correct the sum: the last message chunk, and the first
generation chunk, which langchain-core adds a list to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall
from langchain_core.outputs import ChatGenerationChunk

__all__ = ["BROKEN", "ChunkOfBrokenCalls", "StreamedGeneration", "with_broken_calls"]

Message = TypeVar("Message", bound=AIMessage)

BROKEN = "invalid_tool_calls"
"""Where the last chunk of a stream lists the broken calls, within `additional_kwargs`."""


class ChunkOfBrokenCalls(AIMessageChunk):
    """The last chunk of a stream with broken calls; the sum of a stream is an `AIMessageChunk`."""

    def __radd__(self, other: object) -> Any:
        # Python asks the right operand first if its class is derived from the left one's.
        if not isinstance(other, AIMessageChunk):
            return NotImplemented
        return with_broken_calls(other.__add__(self))

    @classmethod
    def lc_id(cls) -> list[str]:
        """The id of langchain-core's class, which is loaded in its place."""
        return AIMessageChunk.lc_id()


class StreamedGeneration(ChatGenerationChunk):
    """A chunk of our streams; langchain-core adds the others to the first one as a list."""

    def __add__(
        self, other: ChatGenerationChunk | list[ChatGenerationChunk]
    ) -> ChatGenerationChunk:
        total = super().__add__(other)
        if isinstance(total.message, AIMessageChunk):
            total.message = with_broken_calls(total.message)
        return total

    @classmethod
    def lc_id(cls) -> list[str]:
        """The id of langchain-core's class, which is loaded in its place."""
        return ChatGenerationChunk.lc_id()


def with_broken_calls(message: Message) -> Message:
    """The message with its broken tool calls among its `invalid_tool_calls`.

    `invoke`, agents, v3 streams and `+` do this themselves. Use it on sums made in another way,
    such as langchain-core's `add_ai_message_chunks`.

    Args:
        message: A message, or the sum of a stream's chunks.
    """
    listed = message.additional_kwargs.get(BROKEN)
    if not listed:
        return message
    by_id: dict[str | None, InvalidToolCall] = {call["id"]: call for call in listed}
    content = message.content
    if not isinstance(content, str):
        content = [_corrected(block, by_id) for block in content]
    known = {name: value for name, value in message.additional_kwargs.items() if name != BROKEN}
    return message.model_copy(
        update={
            "content": content,
            "additional_kwargs": known,
            "tool_calls": [call for call in message.tool_calls if call["id"] not in by_id],
            "invalid_tool_calls": list(listed),
        }
    )


def _corrected(
    block: str | dict[Any, Any], broken: Mapping[str | None, InvalidToolCall]
) -> str | dict[Any, Any]:
    if isinstance(block, dict) and block.get("type") == "tool_call" and block.get("id") in broken:
        return {**broken[block.get("id")]}
    return block
