"""LangChain's messages and generations as its validation makes them, made without it.

As `generation_chunks` is for the pieces of a stream, this is for whole answers. Content that is no
plain text is left to validation.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.base import TextAccessor
from langchain_core.outputs import ChatGeneration

from sunra_integrations.protocol import fast_path


def ai_message(values: dict[str, Any]) -> AIMessage:
    """A message, equal to `AIMessage(**values)`.

    Args:
        values: `content`, `additional_kwargs` (without `tool_calls`), `tool_calls`,
            `invalid_tool_calls`, `usage_metadata` and `response_metadata`, all of them valid; what
            they hold becomes the message's own.
    """
    return _message(values) if isinstance(values["content"], str) else AIMessage(**values)


def chat_generation(message: AIMessage, info: dict[str, Any] | None) -> ChatGeneration:
    """A generation, equal to what validation makes of the same message and `generation_info`."""
    if not isinstance(message.content, str):
        return ChatGeneration(message=message, generation_info=info)
    text = TextAccessor(message.content)
    return _generation({"text": text, "generation_info": info, "message": message})


_message = fast_path.constructor(
    AIMessage,
    {
        "content": "Hi",
        "additional_kwargs": {"reasoning_content": "Hm"},
        "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}],
        "invalid_tool_calls": [
            {"name": "f", "args": "{", "id": "2", "error": None, "type": "invalid_tool_call"}
        ],
        "usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        "response_metadata": {"model_name": "m"},
    },
    # Their work is none on plain text, and on calls that say their type.
    known_validators=("__init__", "_backwards_compat_tool_calls"),
)
_generation = fast_path.constructor(
    ChatGeneration,
    {
        "text": TextAccessor("Hi"),
        "generation_info": {"finish_reason": "stop"},
        "message": AIMessage("Hi"),
    },
    known_validators=("__init__", "set_text"),
)
