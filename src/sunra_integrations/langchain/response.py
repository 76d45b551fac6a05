"""Convert replies and stream deltas to LangChain's messages, chunks and results. Pure functions.

When langchain-core adds chunks, equal strings double (langchain-ai/langchain#38366), unequal
numbers raise (#24377), and list items with one `index` merge (#35984). So a text chunk has only its
text, and the final chunk, made from the accumulated reply, has everything that occurs once: usage,
finish reason, ids, reasoning details, images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from typing_extensions import TypeIs

from sunra_integrations.langchain.fast_path import FastConstructors
from sunra_integrations.langchain.messages import (
    INVALID_CALLS,
    MODEL_PROVIDER,
    REASONING_FIELD,
    REASONING_KEYS,
    Constructors,
    MessageChunk,
)
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.history import VENDOR_FIELDS, replayed_names
from sunra_integrations.protocol.json_text import NO_ARGUMENTS, Json, as_int, copy_json
from sunra_integrations.protocol.reply import (
    Choice,
    ChoiceDelta,
    Chunk,
    Reply,
    ToolCallDelta,
    Usage,
)
from sunra_integrations.protocol.reply import ToolCall as ReplyToolCall

_create: Constructors = FastConstructors()  # `Constructors()` creates equal objects, more slowly

# ── whole responses ──────────────────────────────────────────────────────────


def chat_result(reply: Reply) -> ChatResult:
    """All choices of a reply as generations, in order."""
    return ChatResult(
        generations=[
            _create.generation(message(choice, reply), _generation_info(choice))
            for choice in reply.choices
        ],
        llm_output={**_reply_metadata(reply), **_usage_metadata(reply)},
    )


def message(choice: Choice, reply: Reply) -> AIMessage:
    """One choice as an AI message.

    Usage and cost belong to the whole reply, so only the first choice's message has them: then the
    messages of several choices can be summed.
    """
    calls, invalid = _tool_calls(choice)
    return _create.message(
        {
            "content": _content(choice),
            "additional_kwargs": {
                **final_only_fields(choice),
                **({REASONING_KEYS[0]: choice.reasoning} if choice.reasoning else {}),
                **({"refusal": choice.refusal} if choice.refusal else {}),
            },
            "tool_calls": calls,
            "invalid_tool_calls": invalid,
            "usage_metadata": usage(reply.usage) if _is_first(choice, reply) else None,
            "response_metadata": {
                **metadata(choice, reply),
                **({"logprobs": dict(choice.logprobs)} if choice.logprobs is not None else {}),
            },
        }
    )


def metadata(choice: Choice, reply: Reply) -> dict[str, Any]:
    """A message's `response_metadata`: model, ids, finish reason, headers, all unknown fields.

    An unknown field whose name is taken is kept under `extra`.
    """
    known = _reply_metadata(reply)
    if choice.finish_reason is not None:
        known["finish_reason"] = choice.finish_reason
    if reply.headers:
        known["headers"] = dict(reply.headers)
    if _is_first(choice, reply):
        known.update(_usage_metadata(reply))
    unknown = {**copy_json(reply.extra), **copy_json(choice.extra)}
    if not unknown:
        return known
    unknown = {name: value for name, value in unknown.items() if value is not None}
    hidden = {name: value for name, value in unknown.items() if known.get(name, value) != value}
    return {**unknown, **known, **({"extra": hidden} if hidden else {})}


def _reply_metadata(reply: Reply) -> dict[str, Any]:
    fields = {
        "model_provider": MODEL_PROVIDER,
        "model_name": reply.model,
        "system_fingerprint": reply.system_fingerprint,
        "id": reply.id,
        "created": reply.created,
        "request_id": reply.request_id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _usage_metadata(reply: Reply) -> dict[str, Any]:
    if reply.usage is None:
        return {}
    cost = {} if reply.usage.cost is None else {"cost": reply.usage.cost}
    return {**cost, "token_usage": dict(reply.usage.raw)}


def final_only_fields(choice: Choice) -> dict[str, Any]:
    """The `additional_kwargs` that only the final chunk of a stream has.

    Reasoning details, extra fields of tool calls and the name of the reasoning field are kept
    unchanged, to be replayed.
    """
    extras = {call.id: dict(call.extra) for call in choice.tool_calls if call.extra}
    fields = {
        **choice.message_extra,
        REASONING_FIELD: choice.reasoning_field,
        "reasoning_details": list(choice.reasoning_details),
        "annotations": list(choice.annotations),
        "images": list(choice.images),
        "tool_call_extras": extras,
        VENDOR_FIELDS: replayed_names(choice.message_extra),
    }
    return {name: value for name, value in fields.items() if value or name in choice.message_extra}


def _tool_calls(choice: Choice) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in choice.tool_calls:
        arguments = call.parsed()
        if arguments is None:
            invalid.append(invalid_tool_call(call))
        else:
            calls.append(ToolCall(name=call.name, args=arguments, id=call.id, type="tool_call"))
    return calls, invalid


def invalid_tool_call(call: ReplyToolCall) -> InvalidToolCall:
    """A call that cannot be executed, with its arguments as the model wrote them."""
    return InvalidToolCall(
        name=call.name or None,
        args=call.arguments,
        id=call.id,
        error=call.flaw,
        type="invalid_tool_call",
    )


def _content(given: Choice | ChoiceDelta) -> str | list[str | dict[Any, Any]]:
    """Plain text, or the parts in their order if there are parts other than text."""
    return list(map(_readable_part, given.parts)) if has_other_parts(given) else given.text


def has_other_parts(given: Choice | ChoiceDelta) -> bool:
    """Whether the content has parts that plain text cannot represent."""
    return bool(given.parts) and any(set(part) != {"type", "text"} for part in given.parts)


def _readable_part(part: Json) -> dict[Any, Any]:
    """The part unchanged, unless langchain-core could not read it: it expects `text` as a str."""
    is_odd = not isinstance(part.get("type"), str) or not isinstance(part.get("text", ""), str)
    return {"type": "non_standard", "value": dict(part)} if is_odd else dict(part)


def _generation_info(choice: Choice) -> dict[str, Any] | None:
    return None if choice.finish_reason is None else {"finish_reason": choice.finish_reason}


def _is_first(choice: Choice, reply: Reply) -> bool:
    return not reply.choices or choice.index == reply.choices[0].index


# ── streamed responses ───────────────────────────────────────────────────────


class StreamState(ReplyAccumulator):
    """The reply received so far, of a stream whose message is choice 0.

    The client adds each chunk to it before it yields the chunk.

    Deltas of other choices are held back, because several choices are never requested and their
    text must not mix with choice 0. Some servers count choices from 1. Then the lowest index is the
    message, as in a whole response, and its deltas come at the end of the stream.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held_back: list[ChoiceDelta] = []
        self._calls_with_arguments: set[int] = set()

    def deltas(self, event: Chunk) -> Iterator[ChoiceDelta]:
        """The deltas of the message's choice in one event; there may be several."""
        for delta in event.choices:
            if delta.choice_index == 0:
                yield self._without_null_arguments(delta)
            elif 0 not in self.choices:
                self._held_back.append(delta)

    def remaining_deltas(self) -> Iterator[ChoiceDelta]:
        """The deltas of the message's choice if the stream had no choice 0."""
        for delta in self._held_back:
            if delta.choice_index == self.message_index:
                yield self._without_null_arguments(delta)

    def message_reply(self) -> Reply:
        """The reply with only the message's choice."""
        reply, index = self.reply(), self.message_index
        choice = next((one for one in reply.choices if one.index == index), reply.choice)
        return replace(reply, choices=(choice,))

    def _without_null_arguments(self, delta: ChoiceDelta) -> ChoiceDelta:
        """The delta without `null` as a call's arguments, to which core could not append others."""
        calls = delta.tool_calls
        if not calls or all(one.call_index in self._calls_with_arguments for one in calls):
            return delta
        return delta._replace(tool_calls=tuple(map(self._without_null, calls)))

    def _without_null(self, call: ToolCallDelta) -> ToolCallDelta:
        if call.arguments and call.call_index not in self._calls_with_arguments:
            if call.arguments.strip() in NO_ARGUMENTS:
                return call._replace(arguments="")
            self._calls_with_arguments.add(call.call_index)
        return call


def chunks(event: Chunk, state: StreamState) -> Iterator[ChatGenerationChunk]:
    """The chunks for one event of a stream.

    Args:
        event: The event.
        state: The reply so far. The client has already added the event to it.
    """
    return filter(None, map(chunk, state.deltas(event)))


def final_chunks(state: StreamState) -> Iterator[ChatGenerationChunk]:
    """The chunks at the end of a stream."""
    yield from filter(None, map(chunk, state.remaining_deltas()))
    yield final_chunk(state.message_reply())


def chunk(delta: ChoiceDelta) -> ChatGenerationChunk | None:
    """The chunk for one delta, or None if it adds nothing to show."""
    if delta.has_text_only:
        if not delta.text:
            return None
        return _create.chunk(delta.text, {}, {"model_provider": MODEL_PROVIDER}, [])
    logprobs = {} if delta.logprobs is None else _lists(delta.logprobs)
    adds = delta.text or delta.reasoning or delta.tool_calls or delta.parts or delta.refusal
    if not adds and not logprobs:
        return None
    response_metadata: dict[str, Any] = {"model_provider": MODEL_PROVIDER}
    additional_kwargs: dict[str, Any] = {}
    if delta.reasoning:
        additional_kwargs[REASONING_KEYS[0]] = delta.reasoning
    if delta.refusal:
        additional_kwargs["refusal"] = delta.refusal
    if logprobs:
        response_metadata["logprobs"] = logprobs
    return _create.chunk(
        _content(delta),
        additional_kwargs,
        response_metadata,
        [_tool_call_chunk(call) for call in delta.tool_calls],
    )


def final_chunk(reply: Reply) -> ChatGenerationChunk:
    """The last chunk of a streamed message, with everything that occurs once.

    It lists the invalid calls too, because langchain-core repairs their arguments; see `messages`.
    """
    choice = reply.choice
    _, invalid = _tool_calls(choice)
    response_metadata = metadata(choice, reply)
    if choice.logprobs is not None:
        lists = _lists(choice.logprobs)  # already in the chunks of their tokens
        rest = {k: v for k, v in choice.logprobs.items() if k not in lists and v is not None}
        if rest:
            response_metadata["logprobs"] = rest
    # langchain-core converts a lone chunk to the base of its class, which must be AIMessage here.
    # With tool calls the chunk is not alone: theirs came before it.
    kind = MessageChunk if choice.tool_calls else AIMessageChunk
    additional_kwargs = final_only_fields(choice)
    if invalid:
        additional_kwargs[INVALID_CALLS] = invalid
    return ChatGenerationChunk(
        message=kind(
            content="",
            additional_kwargs=additional_kwargs,
            usage_metadata=usage(reply.usage),
            response_metadata=response_metadata,
            chunk_position="last",
        ),
        generation_info=_generation_info(choice),
    )


def _tool_call_chunk(delta: ToolCallDelta) -> ToolCallChunk:
    """Part of a tool call; langchain-core joins those with one `index`."""
    return {
        "name": delta.name,
        "args": delta.arguments,
        "id": delta.id,
        "index": delta.call_index,
        "type": "tool_call_chunk",
    }


def _lists(logprobs: Json) -> dict[str, Any]:
    return {name: list(value) for name, value in logprobs.items() if isinstance(value, list)}


# ── token usage ──────────────────────────────────────────────────────────────

_PROMPT_DETAILS = {
    "cached_tokens": "cache_read",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_creation",
    "cache_creation_tokens": "cache_creation",
    "cache_creation_input_tokens": "cache_creation",
    "audio_tokens": "audio",
}
_COMPLETION_DETAILS = {"reasoning_tokens": "reasoning", "audio_tokens": "audio"}
_COSTS = frozenset(("cost", "cost_details"))


def usage(counted: Usage | None) -> UsageMetadata | None:
    """The usage as LangChain's `UsageMetadata`: integers only, without cost.

    A missing count is 0 if the server sent any count. Details without a name in LangChain keep
    their own.
    """
    if counted is None or {counted.prompt_tokens, counted.completion_tokens} == {None}:
        return None
    prompt_tokens, completion_tokens = counted.prompt_tokens or 0, counted.completion_tokens or 0
    total = counted.total_tokens
    made = UsageMetadata(
        input_tokens=prompt_tokens,
        output_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens if total is None else total,
    )
    # Servers send more details than the TypedDicts name; all of them are kept.
    if prompt := _details(counted.prompt_details, _PROMPT_DETAILS):
        made["input_token_details"] = InputTokenDetails(**prompt)  # type: ignore[typeddict-item]
    if completion := _details(counted.completion_details, _COMPLETION_DETAILS):
        made["output_token_details"] = OutputTokenDetails(**completion)  # type: ignore[typeddict-item]
    return made


def _details(given: Json, names: Mapping[str, str]) -> dict[str, int]:
    """Token details under LangChain's names, without values that are not integers."""
    counts = ((names.get(name, name), as_int(value)) for name, value in given.items())
    return {name: number for name, number in counts if number is not None}


def summed_usage(usages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of several raw usage objects, by name; of other values the last one is kept."""
    total: dict[str, Any] = {}
    for one in usages:
        for name, value in one.items():
            known = total.get(name)
            if isinstance(value, Mapping):
                pair = [known, value] if isinstance(known, Mapping) else [value]
                total[name] = summed_usage(pair)
            elif _is_number(value) and _is_number(known):
                total[name] = known + value
            elif value is not None:
                total[name] = value
    return total


def _is_number(value: object) -> TypeIs[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def without_cost(cached: AIMessage) -> AIMessage:
    """A message from a cache: its cost is 0, its token counts are those of the original call.

    It has no headers: rate limits of the past would mislead.
    """
    known = {k: value for k, value in cached.response_metadata.items() if k != "headers"}
    free: dict[str, Any] = {"cached": True}
    if "cost" in known:
        free["cost"] = 0
    for name in ("token_usage", "extra"):
        counted = known.get(name)
        if isinstance(counted, Mapping) and _COSTS & counted.keys():
            free[name] = {k: value for k, value in counted.items() if k not in _COSTS}
            free[name]["cost"] = 0
    return cached.model_copy(update={"response_metadata": {**known, **free}})
