"""What Sunra answered, as LangChain's messages, chunks and results. Pure.

LangChain adds streamed chunks up by rules of its own: equal strings double, unequal floats raise,
list items with one `index` melt together. So a text chunk carries its text and nothing else, and
all that is said once (usage, finish_reason, ids, reasoning details, images, …) stands on the last
chunk, read from the Reply that the stream adds up to.
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
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from sunra_integrations.langchain.generation_chunks import generation_chunk
from sunra_integrations.langchain.generations import ai_message, chat_generation
from sunra_integrations.langchain.token_usage import usage
from sunra_integrations.protocol.json_text import well_formed_value
from sunra_integrations.protocol.json_values import Json, copied
from sunra_integrations.protocol.reply import Choice, Reply
from sunra_integrations.protocol.reply import ToolCall as WireToolCall
from sunra_integrations.protocol.responses import ChoiceDelta, ToolCallDelta

__all__ = [
    "MODEL_PROVIDER",
    "REASONING_FIELD",
    "REASONING_KEYS",
    "chunk",
    "last_chunk",
    "message",
    "metadata",
    "result",
    "usage",
    "with_broken_calls",
]

MODEL_PROVIDER = "sunra"
"""Who answered, in `response_metadata["model_provider"]` and in traces."""

Message = TypeVar("Message", bound=AIMessage)

REASONING_KEYS = ("reasoning_content", "reasoning")
"""Where `additional_kwargs` may hold reasoning in words: ours and LangChain's convention first."""

REASONING_FIELD = "reasoning_field"
"""Where `additional_kwargs` say under which name the wire brought it, to be replayed under."""

_REASONING = REASONING_KEYS[0]

_BROKEN = "invalid_tool_calls"
"""Where the last chunk of a stream tells, within `additional_kwargs`, which calls are broken."""


def result(reply: Reply) -> ChatResult:
    """All choices of a reply as generations, in order."""
    return ChatResult(
        generations=[
            chat_generation(message(choice, reply), _generation_info(choice))
            for choice in reply.choices
        ]
    )


def message(choice: Choice, reply: Reply) -> AIMessage:
    """One choice as an AI message.

    Usage and cost are those of the whole call; where there are several choices they stand on the
    first one's message only, so that they can be summed.
    """
    calls, broken = _tool_calls(choice)
    return ai_message(
        {
            "content": _content(choice),
            "additional_kwargs": {
                **said_once(choice),
                **({_REASONING: choice.reasoning} if choice.reasoning else {}),
                **({"refusal": choice.refusal} if choice.refusal else {}),
            },
            "tool_calls": calls,
            "invalid_tool_calls": broken,
            "usage_metadata": usage(reply.usage) if _is_first(choice, reply) else None,
            "response_metadata": {
                **metadata(choice, reply),
                **({"logprobs": dict(choice.logprobs)} if choice.logprobs is not None else {}),
            },
        }
    )


def metadata(choice: Choice, reply: Reply) -> dict[str, Any]:
    """A message's `response_metadata`: who answered, how it ended, and every unknown field."""
    made: dict[str, Any] = {
        **copied(reply.extra),
        **copied(choice.extra),
        "model_provider": MODEL_PROVIDER,
        "model_name": reply.model,
        "finish_reason": choice.finish_reason,
        "system_fingerprint": reply.system_fingerprint,
        "id": reply.id,
        "created": reply.created,
        "request_id": reply.request_id,
    }
    if reply.usage is not None and _is_first(choice, reply):
        made["cost"] = reply.usage.cost
        made["token_usage"] = dict(reply.usage.raw)
    return {name: value for name, value in made.items() if value is not None}


def said_once(choice: Choice) -> dict[str, Any]:
    """What a message keeps in `additional_kwargs` and a stream says only at its end.

    Reasoning details and the extras of tool calls are kept as they came, to be replayed, and so is
    the name that reasoning came under.
    """
    extras = {call.id: dict(call.extra) for call in choice.tool_calls if call.extra}
    made = {
        **choice.message_extra,
        REASONING_FIELD: choice.reasoning_field,
        "reasoning_details": list(choice.reasoning_details),
        "annotations": list(choice.annotations),
        "images": list(choice.images),
        "tool_call_extras": extras,
    }
    return {name: value for name, value in made.items() if value or name in choice.message_extra}


def chunk(delta: ChoiceDelta) -> ChatGenerationChunk | None:
    """What one event adds to a streamed message; None where it is nothing to show."""
    if delta.adds_text_only:
        if not delta.text:
            return None
        return generation_chunk(delta.text, {}, {"model_provider": MODEL_PROVIDER}, [])
    logprobs = {} if delta.logprobs is None else _lists(delta.logprobs)
    spoken = delta.text or delta.reasoning or delta.tool_calls or delta.parts or delta.refusal
    if not spoken and not logprobs:
        return None
    response_metadata: dict[str, Any] = {"model_provider": MODEL_PROVIDER}
    additional_kwargs: dict[str, Any] = {}
    if delta.reasoning:
        additional_kwargs[_REASONING] = delta.reasoning
    if delta.refusal:
        additional_kwargs["refusal"] = delta.refusal
    if logprobs:
        response_metadata["logprobs"] = logprobs
    return generation_chunk(
        _content(delta),
        additional_kwargs,
        response_metadata,
        [tool_call_chunk(call) for call in delta.tool_calls],
    )


def last_chunk(choice: Choice, reply: Reply) -> ChatGenerationChunk:
    """The chunk that ends a streamed message, with all that is said once.

    Broken calls are told here too, because core mends them; see `with_broken_calls`.
    """
    _, broken = _tool_calls(choice)
    response_metadata = metadata(choice, reply)
    if choice.logprobs is not None:
        lists = _lists(choice.logprobs)  # these came with their tokens
        rest = {k: v for k, v in choice.logprobs.items() if k not in lists and v is not None}
        if rest:
            response_metadata["logprobs"] = rest
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            additional_kwargs={**said_once(choice), **({_BROKEN: broken} if broken else {})},
            usage_metadata=usage(reply.usage),
            response_metadata=response_metadata,
            chunk_position="last",
        ),
        generation_info=_generation_info(choice),
    )


def with_broken_calls(message: Message) -> Message:
    """The message with the calls its stream told to be broken among its `invalid_tool_calls`.

    `invoke`, agents and v3 streams do this themselves. For a sum of `stream()` chunks it is to be
    asked for: while core adds chunks up, it mends arguments that were cut off, and a call which
    lacks half its arguments would pass for a whole one.

    Args:
        message: A message, or the sum of a stream's chunks.
    """
    told = message.additional_kwargs.get(_BROKEN)
    if not told:
        return _with_well_formed_calls(message)
    by_id: dict[str | None, InvalidToolCall] = {call["id"]: call for call in told}
    content = message.content
    if not isinstance(content, str):
        content = [_as_told(block, by_id) for block in content]
    known = {name: value for name, value in message.additional_kwargs.items() if name != _BROKEN}
    return _with_well_formed_calls(
        message.model_copy(
            update={
                "content": content,
                "additional_kwargs": known,
                "tool_calls": [call for call in message.tool_calls if call["id"] not in by_id],
                "invalid_tool_calls": list(told),
            }
        )
    )


def _with_well_formed_calls(message: Message) -> Message:
    """The message with text that can be encoded in its calls: core keeps halves of characters."""
    if not message.tool_calls:
        return message
    calls = [
        ToolCall({**call, "args": well_formed_value(call["args"])}) for call in message.tool_calls
    ]
    if calls == message.tool_calls:
        return message
    return message.model_copy(
        update={"tool_calls": calls, "content": well_formed_value(message.content)}
    )


def tool_call_chunk(delta: ToolCallDelta) -> ToolCallChunk:
    """A piece of a tool call, joined by core to the others of its `index`."""
    return {
        "name": delta.name,
        "args": delta.arguments,
        "id": delta.id,
        "index": delta.call_index,
        "type": "tool_call_chunk",
    }


def invalid_tool_call(call: WireToolCall) -> InvalidToolCall:
    """A call that no tool can be run for, with its arguments as the model wrote them."""
    return InvalidToolCall(
        name=call.name or None,
        args=call.arguments,
        id=call.id,
        error=call.flaw,
        type="invalid_tool_call",
    )


def has_parts_of_other_kinds(said: Choice | ChoiceDelta) -> bool:
    """Whether content came in parts that plain text cannot stand for."""
    return bool(said.parts) and any(set(part) != {"type", "text"} for part in said.parts)


def _content(said: Choice | ChoiceDelta) -> str | list[str | dict[Any, Any]]:
    """Plain text, or the parts in their order where text is not all there is."""
    return list(map(_part, said.parts)) if has_parts_of_other_kinds(said) else said.text


def _part(part: Json) -> dict[Any, Any]:
    """The part as it came, unless core could not read it: it takes any `text` for a string."""
    odd = not isinstance(part.get("type"), str) or not isinstance(part.get("text", ""), str)
    return {"type": "non_standard", "value": dict(part)} if odd else dict(part)


def _as_told(
    block: str | dict[Any, Any], broken: Mapping[str | None, InvalidToolCall]
) -> str | dict[Any, Any]:
    if isinstance(block, dict) and block.get("type") == "tool_call" and block.get("id") in broken:
        return {**broken[block.get("id")]}
    return block


def _tool_calls(choice: Choice) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for call in choice.tool_calls:
        arguments = call.parsed()
        if arguments is None:
            broken.append(invalid_tool_call(call))
        else:
            calls.append(ToolCall(name=call.name, args=arguments, id=call.id, type="tool_call"))
    return calls, broken


def _generation_info(choice: Choice) -> dict[str, Any] | None:
    return None if choice.finish_reason is None else {"finish_reason": choice.finish_reason}


def _is_first(choice: Choice, reply: Reply) -> bool:
    return not reply.choices or choice.index == reply.choices[0].index


def _lists(logprobs: Json) -> dict[str, Any]:
    return {name: list(value) for name, value in logprobs.items() if isinstance(value, list)}
