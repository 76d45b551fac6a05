"""What Sunra answered, as LangChain's messages, chunks and results. Pure.

LangChain adds streamed chunks up by rules of its own: equal strings double, unequal floats raise,
list items with one `index` melt together. So a text chunk carries its text and nothing else, and
all that is said once (usage, finish_reason, ids, reasoning details, images, …) stands on the last
chunk, read from the Reply that the stream adds up to.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from sunra_integrations.langchain.broken_calls import (
    BROKEN,
    MessageChunk,
    with_broken_calls,
)
from sunra_integrations.langchain.generation_chunks import generation_chunk
from sunra_integrations.langchain.generations import ai_message, chat_generation
from sunra_integrations.langchain.token_usage import usage
from sunra_integrations.protocol.history import VENDOR_FIELDS, replayed_names
from sunra_integrations.protocol.json_text import Json, copy_json
from sunra_integrations.protocol.reply import Choice, ChoiceDelta, Reply, ToolCallDelta
from sunra_integrations.protocol.reply import ToolCall as WireToolCall

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

REASONING_KEYS = ("reasoning_content", "reasoning")
"""Where `additional_kwargs` may hold reasoning in words: ours and LangChain's convention first."""

REASONING_FIELD = "reasoning_field"
"""Where `additional_kwargs` say under which name the wire brought it, to be replayed under."""

_REASONING = REASONING_KEYS[0]


def result(reply: Reply) -> ChatResult:
    """All choices of a reply as generations, in order."""
    return ChatResult(
        generations=[
            chat_generation(message(choice, reply), _generation_info(choice))
            for choice in reply.choices
        ],
        llm_output={**_of_answer(reply), **_of_usage(reply)},
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
    """A message's `response_metadata`: who answered, how it ended, and every unknown field.

    An unknown field whose name is taken here is kept under `extra`.
    """
    known = _of_answer(reply)
    if choice.finish_reason is not None:
        known["finish_reason"] = choice.finish_reason
    if _is_first(choice, reply):
        known.update(_of_usage(reply))
    unknown = {**copy_json(reply.extra), **copy_json(choice.extra)}
    if not unknown:
        return known
    unknown = {name: value for name, value in unknown.items() if value is not None}
    hidden = {name: value for name, value in unknown.items() if known.get(name, value) != value}
    return {**unknown, **known, **({"extra": hidden} if hidden else {})}


def _of_answer(reply: Reply) -> dict[str, Any]:
    made = {
        "model_provider": MODEL_PROVIDER,
        "model_name": reply.model,
        "system_fingerprint": reply.system_fingerprint,
        "id": reply.id,
        "created": reply.created,
        "request_id": reply.request_id,
    }
    return {name: value for name, value in made.items() if value is not None}


def _of_usage(reply: Reply) -> dict[str, Any]:
    if reply.usage is None:
        return {}
    cost = {} if reply.usage.cost is None else {"cost": reply.usage.cost}
    return {**cost, "token_usage": dict(reply.usage.raw)}


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
        VENDOR_FIELDS: replayed_names(choice.message_extra),
    }
    return {name: value for name, value in made.items() if value or name in choice.message_extra}


def chunk(delta: ChoiceDelta) -> ChatGenerationChunk | None:
    """What one event adds to a streamed message; None where it is nothing to show."""
    if delta.has_text_only:
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

    Broken calls are listed here too, because core repairs them while adding; see `broken_calls`.
    """
    _, broken = _tool_calls(choice)
    response_metadata = metadata(choice, reply)
    if choice.logprobs is not None:
        lists = _lists(choice.logprobs)  # these came with their tokens
        rest = {k: v for k, v in choice.logprobs.items() if k not in lists and v is not None}
        if rest:
            response_metadata["logprobs"] = rest
    # Alone, it must become an AIMessage; calls came in chunks before it.
    kind = MessageChunk if choice.tool_calls else AIMessageChunk
    return ChatGenerationChunk(
        message=kind(
            content="",
            additional_kwargs={**said_once(choice), **({BROKEN: broken} if broken else {})},
            usage_metadata=usage(reply.usage),
            response_metadata=response_metadata,
            chunk_position="last",
        ),
        generation_info=_generation_info(choice),
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
