"""The LangChain objects that this package creates, and where it stores extra data in them.

When chunks are added, langchain-core closes the strings and brackets that a tool call left open, so
a truncated call looks complete (langchain-ai/langchain#39275, still so in 1.8.3). Our last chunk
therefore lists the invalid calls, and `MessageChunk` moves them back after each addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from sunra_integrations.protocol.json_text import well_formed_value

__all__ = ["Constructors", "MessageChunk", "split_invalid_tool_calls"]

MODEL_PROVIDER = "sunra"
"""The provider's name, in `response_metadata["model_provider"]` and in traces."""

REASONING_KEYS = ("reasoning_content", "reasoning")
"""Keys of `additional_kwargs` that may hold reasoning text; `ChatSunra` uses the first."""

REASONING_FIELD = "reasoning_field"
"""Key of `additional_kwargs`: the API field that the reasoning came in, for replay."""

INVALID_CALLS = "invalid_tool_calls"
"""Key of `additional_kwargs` under which the last chunk of a stream lists its invalid calls."""

Content = str | list[str | dict[Any, Any]]

_Message = TypeVar("_Message", bound=AIMessage)


class MessageChunk(AIMessageChunk):
    """A chunk of our streams; a sum of chunks is a plain `AIMessageChunk`."""

    def __add__(self, other: Any) -> Any:
        total = super().__add__(other)
        if not isinstance(total, MessageChunk):
            return total
        extra = total.model_extra or {}
        plain = AIMessageChunk.model_construct(total.model_fields_set, **vars(total), **extra)
        return split_invalid_tool_calls(plain)

    def __radd__(self, other: object) -> Any:
        # Called before `other.__add__`, because this class is derived from the other one's.
        if not isinstance(other, AIMessageChunk):
            return NotImplemented
        return split_invalid_tool_calls(other.__add__(self))

    @classmethod
    def lc_id(cls) -> list[str]:
        """The id of langchain-core's class, which `load` creates instead."""
        return AIMessageChunk.lc_id()


def split_invalid_tool_calls(message: _Message) -> _Message:
    """Move truncated tool calls to `invalid_tool_calls`.

    `invoke`, agents, v3 streams and `+` do this themselves. If you merge chunks in another way,
    such as with langchain-core's `add_ai_message_chunks`, pass the result to this function:
    langchain-core silently repairs truncated JSON arguments.

    Args:
        message: A message, or the sum of a stream's chunks.
    """
    listed = message.additional_kwargs.get(INVALID_CALLS)
    if not listed:
        return _with_valid_text_in_calls(message)
    by_id: dict[str | None, InvalidToolCall] = {call["id"]: call for call in listed}
    content = message.content
    if not isinstance(content, str):
        content = [_with_invalid_call(block, by_id) for block in content]
    extra = {k: value for k, value in message.additional_kwargs.items() if k != INVALID_CALLS}
    return _with_valid_text_in_calls(
        message.model_copy(
            update={
                "content": content,
                "additional_kwargs": extra,
                "tool_calls": [call for call in message.tool_calls if call["id"] not in by_id],
                "invalid_tool_calls": list(listed),
            }
        )
    )


def _with_invalid_call(
    block: str | dict[Any, Any], invalid: Mapping[str | None, InvalidToolCall]
) -> str | dict[Any, Any]:
    if isinstance(block, dict) and block.get("type") == "tool_call" and block.get("id") in invalid:
        return {**invalid[block.get("id")]}
    return block


def _with_valid_text_in_calls(message: _Message) -> _Message:
    """The message without lone surrogates in its calls, which cannot be encoded as UTF-8.

    langchain-core's `parse_partial_json` keeps them; see docs/upstream/langchain-core.md.
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
    except RecursionError:  # nested too deeply: the last chunk lists this call as invalid
        return message
    return message.model_copy(
        update={"tool_calls": calls, "content": well_formed_value(message.content)}
    )


class Constructors:
    """Creates messages and generations with langchain-core's constructors, which validate.

    `fast_path` has a subclass that creates equal objects without validation.
    """

    def message(self, fields: dict[str, Any]) -> AIMessage:
        """A message with these fields."""
        return AIMessage(**fields)

    def generation(self, message: AIMessage, info: dict[str, Any] | None) -> ChatGeneration:
        """A generation with this message and `generation_info`."""
        return ChatGeneration(message=message, generation_info=info)

    def chunk(
        self,
        content: Content,
        additional_kwargs: dict[str, Any],
        response_metadata: dict[str, Any],
        tool_call_chunks: list[ToolCallChunk],
    ) -> ChatGenerationChunk:
        """A chunk of a stream; empty arguments count as not set."""
        fields: dict[str, Any] = {"content": content, "response_metadata": response_metadata}
        if additional_kwargs:
            fields["additional_kwargs"] = additional_kwargs
        if tool_call_chunks:
            fields["tool_call_chunks"] = tool_call_chunks
        return ChatGenerationChunk(message=MessageChunk(**fields))
