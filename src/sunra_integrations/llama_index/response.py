"""Sunra's replies as LlamaIndex responses. Pure functions: nothing is read from the network here.

Whole and streamed replies are converted by the same functions. Each response of a stream contains
the whole reply so far and is a new object, so a response never changes after it was returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sunra_integrations.llama_index.content_blocks import MediaBlocks, SharedBlocks
from sunra_integrations.protocol.accumulator import (
    ChoiceAccumulator,
    ReplyAccumulator,
    ToolCallAccumulator,
)
from sunra_integrations.protocol.fast_path import constructor
from sunra_integrations.protocol.history import VENDOR_FIELDS, replayed_names
from sunra_integrations.protocol.json_text import EMPTY, Json, as_int, copy_json
from sunra_integrations.protocol.reply import Choice, ChoiceDelta, Chunk, Reply, ToolCall, Usage


def chat_response(reply: Reply) -> ChatResponse:
    """A whole reply. `raw` is the completion as it was received."""
    choice = reply.choice
    return _response(
        reply,
        choice,
        message(choice, reply.usage),
        other_choices=reply.choices[1:],
        raw=_raw(reply.raw, reply.usage),
        token_logprobs=logprobs(choice.logprobs),
    )


def chunk(event: Chunk, state: StreamState) -> ChatResponse:
    """One chunk of a stream, as the reply up to and including it. `delta` is the new text.

    Args:
        event: The chunk.
        state: The reply so far. The client has already added the chunk to it.
    """
    text, reasoning = state.convert(event)
    choice = state.choice
    converted = _response(
        state,
        choice,
        _message(
            choice,
            state.usage,
            list(state.tool_calls.values()),
            state.tool_call_blocks.all(),
            state.media,
        ),
        other_choices=state.other_choices,
        raw=_raw(event.raw, state.usage),
        token_logprobs=state.logprobs.copy() or None,
        delta=text,
    )
    if reasoning:
        converted.additional_kwargs["thinking_delta"] = reasoning
    return converted


def completion(response: ChatResponse) -> CompletionResponse:
    """The same response for a prompt. Thinking is in `additional_kwargs["thinking"]`."""
    chat_message = response.message
    thinking = "".join(
        block.content or "" for block in chat_message.blocks if isinstance(block, ThinkingBlock)
    )
    extra = {**chat_message.additional_kwargs, **response.additional_kwargs}
    return _completion_response(
        {
            "text": chat_message.content or "",
            "additional_kwargs": {"thinking": thinking, **extra} if thinking else extra,
            "raw": response.raw,
            "logprobs": response.logprobs,
            "delta": response.delta,
        }
    )


def message(choice: Choice, counts: Usage | None) -> ChatMessage:
    """A choice as a message: thinking, text (one block), media, citations, tool calls."""
    tool_calls = list(map(message_tool_call, choice.tool_calls))
    return _message(choice, counts, tool_calls, list(map(_block, tool_calls)), MediaBlocks())


def usage(counts: Usage | None) -> dict[str, Any]:
    """Token counts and cost, under the names that LlamaIndex's token counters look for."""
    if counts is None:
        return {}
    named = {
        "prompt_tokens": counts.prompt_tokens,
        "completion_tokens": counts.completion_tokens,
        "total_tokens": counts.total_tokens,
        "cost": counts.cost,
    }
    return {name: value for name, value in named.items() if value is not None}


def _message(
    choice: Choice | ChoiceAccumulator,
    counts: Usage | None,
    tool_calls: list[MessageToolCall],
    tool_call_blocks: list[ToolCallBlock],
    media: MediaBlocks,
) -> ChatMessage:
    """The message; it takes over the list of tool calls."""
    blocks: list[ContentBlock] = []
    if choice.reasoning or choice.reasoning_details:
        blocks.append(_thinking(choice, counts))
    if choice.text:
        blocks.append(_text_block({"text": choice.text}))
    extra: dict[str, Any] = {}
    if choice.message_extra:
        extra = {
            name: value.copy() if isinstance(value, (list, dict)) else value
            for name, value in choice.message_extra.items()
        }
    if extra and (audio := media.audio(extra)):
        blocks.append(audio)
        extra["audio"] = {name: extra["audio"][name] for name in extra["audio"] if name != "data"}
    if choice.parts or choice.images or choice.annotations:
        images, parts, places = media.images_and_other_parts(choice)
        blocks += images
        blocks += media.citations(choice)
        extra |= {"annotations": list(choice.annotations)} if choice.annotations else {}
        extra |= {"content_parts": parts, "content_places": places} if parts else {}
    if names := replayed_names(choice.message_extra):
        extra[VENDOR_FIELDS] = names
    if choice.reasoning_field is not None and not choice.reasoning:
        extra["reasoning_field"] = choice.reasoning_field  # empty reasoning has no block
    if choice.refusal:
        extra["refusal"] = choice.refusal
    if tool_calls:
        blocks += tool_call_blocks
        extra["tool_calls"] = tool_calls
    return _chat_message(
        {
            "role": MessageRole.ASSISTANT,
            "blocks": blocks or [_text_block({"text": ""})],
            "additional_kwargs": extra,
        }
    )


def _response(
    reply: Reply | StreamState,
    choice: Choice | ChoiceAccumulator,
    chat_message: ChatMessage,
    *,
    other_choices: Sequence[Choice],
    raw: dict[str, Any],
    token_logprobs: LogProbs | None,
    delta: str | None = None,
) -> ChatResponse:
    extra: dict[str, Any] = {}
    if reply.extra or choice.extra:
        extra = {**copy_json(reply.extra), **copy_json(choice.extra)}
    if reply.usage is not None:
        extra |= usage(reply.usage)
        if reply.usage.prompt_details:
            extra["prompt_tokens_details"] = dict(reply.usage.prompt_details)
    if choice.finish_reason is not None:
        extra["finish_reason"] = choice.finish_reason
        if reply.headers:
            extra["headers"] = dict(reply.headers)
    if reply.request_id is not None:
        extra["request_id"] = reply.request_id
    if other_choices:
        extra["choices"] = [_other_choice(other, reply.usage) for other in other_choices]
    return _chat_response(
        {
            "message": chat_message,
            "raw": raw,
            "delta": delta,
            "logprobs": token_logprobs,
            "additional_kwargs": extra,
        }
    )


def _other_choice(choice: Choice, counts: Usage | None) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": message(choice, counts),
        "finish_reason": choice.finish_reason,
        "logprobs": logprobs(choice.logprobs),
    }


def _raw(event: Json, counts: Usage | None) -> dict[str, Any]:
    """The event as a dict, with the usage known so far, which token counters read from there."""
    raw = dict(event)
    if counts is not None:
        raw["usage"] = {
            **{name: value for name, value in counts.raw.items() if value is not None},
            **usage(counts),
        }
        if counts.prompt_details:
            raw["usage"]["prompt_tokens_details"] = dict(counts.prompt_details)
    return raw


def _thinking(choice: Choice | ChoiceAccumulator, counts: Usage | None) -> ThinkingBlock:
    details = counts.completion_details if counts is not None else EMPTY
    information: dict[str, Any] = {}
    if choice.reasoning_field is not None:
        information["reasoning_field"] = choice.reasoning_field
    if choice.reasoning_details:
        information["reasoning_details"] = list(choice.reasoning_details)
    return _thinking_block(
        {
            "content": choice.reasoning or None,
            "num_tokens": as_int(details.get("reasoning_tokens")),
            "additional_information": information,
        }
    )


# ── streams ──────────────────────────────────────────────────────────────────


class StreamState(ReplyAccumulator):
    """The reply received so far, with what is already converted of it.

    The client adds each chunk to it before it yields the chunk. So responses and an error's
    `partial` come from one accumulator.

    Attributes:
        choice_index: The choice that becomes the message. With `n` above 1 there are others.
        tool_calls: Its tool calls by index, in order. They are frozen, so responses share them.
        tool_call_blocks: Its tool calls as blocks.
        media: Its audio, images and citations.
        logprobs: Its log probabilities.
    """

    def __init__(self) -> None:
        super().__init__()
        self.choice_index: int = 0
        self.tool_calls: dict[int, MessageToolCall] = {}
        self.tool_call_blocks: SharedBlocks[ToolCallBlock] = SharedBlocks()
        self.media: MediaBlocks = MediaBlocks()
        self.logprobs: LogProbs = []

    @property
    def choice(self) -> ChoiceAccumulator:
        """The choice that becomes the message, valid until the next chunk is added."""
        begun = self.choices.get(self.choice_index)
        return ChoiceAccumulator() if begun is None else begun.joined()

    @property
    def other_choices(self) -> list[Choice]:
        """The other choices, once all of them are finished."""
        if len(self.choices) == 1:
            return []
        others = [index for index in sorted(self.choices) if index != self.choice_index]
        if any(self.choices[index].finish_reason is None for index in others):
            return []
        return [self.choices[index].choice(index) for index in others]

    def convert(self, event: Chunk) -> tuple[str, str]:
        """Converts what a chunk adds to the message; returns its new text and reasoning."""
        text, reasoning = "", ""
        for delta in event.choices:
            if delta.choice_index == self.choice_index:
                text, reasoning = text + delta.text, reasoning + delta.reasoning
                if delta.tool_calls or delta.logprobs is not None:
                    self._convert(delta)
            elif delta.finish_reason is not None and self._is_the_message(delta.choice_index):
                self._use(delta.choice_index)
                text, reasoning = self.choice.text, self.choice.reasoning
        return text, reasoning

    def _convert(self, delta: ChoiceDelta) -> None:
        if delta.logprobs is not None:
            self.logprobs += logprobs(delta.logprobs) or ()
        if delta.tool_calls:
            calls = self.choices[self.choice_index].tool_calls
            begun = len(self.tool_calls)
            for call in delta.tool_calls:
                self._convert_call(call.call_index, calls[call.call_index])
            if len(self.tool_calls) > begun:
                self.tool_calls = dict(sorted(self.tool_calls.items()))

    def _convert_call(self, index: int, call: ToolCallAccumulator) -> None:
        self.tool_calls[index] = message_tool_call(call)
        self.tool_call_blocks.put(index, _block(self.tool_calls[index]))

    def _is_the_message(self, index: int) -> bool:
        """Whether a finished choice is the message of a server that counts choices from 1."""
        is_message = self.choice_index not in self.choices and index == self.message_index
        return is_message and self.all_finished

    def _use(self, index: int) -> None:
        self.choice_index = index
        for call_index, call in sorted(self.choice.tool_calls.items()):
            self._convert_call(call_index, call)
        self.logprobs = logprobs(self.choice.logprobs) or []


# ── tool calls ───────────────────────────────────────────────────────────────


class FunctionCall(BaseModel):
    """The function of a tool call: its name, and its arguments as the model wrote them."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")

    name: str
    arguments: str


class MessageToolCall(BaseModel):
    """An entry of `additional_kwargs["tool_calls"]`, with the field names of the API.

    LlamaIndex reads tool calls from `ToolCallBlock`s. Older places, such as streamed structured
    prediction and token counting, read these entries by attribute (`call.function.name`).
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")

    id: str
    function: FunctionCall
    type: str = "function"


def message_tool_call(call: ToolCall | ToolCallAccumulator) -> MessageToolCall:
    """The call as an entry of `additional_kwargs["tool_calls"]`, with its vendor's fields."""
    function = _function_call({"name": call.name, "arguments": call.arguments})
    if call.extra:
        extra = dict(call.extra)
        within = extra.pop("function", None)
        if within:
            function = FunctionCall(**{**within, **function.model_dump()})
        return MessageToolCall.model_validate({**extra, "id": call.id, "function": function})
    return _message_tool_call({"id": call.id, "function": function})


def _block(call: MessageToolCall) -> ToolCallBlock:
    return _tool_call_block(
        {
            "tool_call_id": call.id,
            "tool_name": call.function.name,
            "tool_kwargs": call.function.arguments,  # the text that the model wrote
        }
    )


# ── log probabilities ────────────────────────────────────────────────────────

LogProbs = list[list[LogProb]]

_T = TypeVar("_T")
_INTEGER = frozenset((int,))
_float = TypeAdapter(float)
_integers = TypeAdapter(list[int])


def logprobs(given: Json | None) -> LogProbs | None:
    """For each token of the text: the chosen one, then its alternatives."""
    tokens = given.get("content") if given else None
    if not isinstance(tokens, list):
        return None
    return [_alternatives(token) for token in tokens if isinstance(token, dict)]


def _alternatives(token: Json) -> list[LogProb]:
    chosen = _logprob(token)
    others = token.get("top_logprobs")
    if not isinstance(others, list):
        return [chosen]
    return [chosen] + [
        _logprob(other)
        for other in others
        if isinstance(other, dict) and str(other.get("token") or "") != chosen.token
    ]


def _logprob(token: Json) -> LogProb:
    text, probability, codes = token.get("token"), token.get("logprob"), token.get("bytes")
    if (
        type(text) is str
        and type(probability) is float
        and type(codes) is list
        and _INTEGER.issuperset(map(type, codes))
    ):
        return _log_prob({"token": text, "logprob": probability, "bytes": codes.copy()})
    # Values of other types are converted, or left out if LogProb refuses them. `raw` has them all.
    return LogProb(
        token=str(text or ""),
        logprob=_converted(_float, probability, float("-inf")),
        bytes=_converted(_integers, codes, []),
    )


def _converted(adapter: TypeAdapter[_T], value: object, default: _T) -> _T:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return default


# ── construction without validation ──────────────────────────────────────────
# Saves 9 to 17 µs per event of a stream. To validate instead, import `validating_constructor` as
# `constructor`.

_CALL: dict[str, Any] = {"id": "call_1", "function": FunctionCall(name="add", arguments='{"a": ')}
_CALL_BLOCK: dict[str, Any] = {
    "tool_call_id": "call_1",
    "tool_name": "add",
    "tool_kwargs": '{"a": ',
}

_text_block = constructor(TextBlock, {"text": "Hi"}, {"text": "{"})
_thinking_block = constructor(
    ThinkingBlock,
    {"content": "Hm", "num_tokens": 1, "additional_information": {}},
    {"content": None, "num_tokens": None, "additional_information": {"reasoning_details": [{}]}},
)
_tool_call_block = constructor(
    ToolCallBlock, {"tool_call_id": "", "tool_name": "", "tool_kwargs": ""}, _CALL_BLOCK
)
_function_call = constructor(
    FunctionCall, {"name": "add", "arguments": "{}"}, {"name": "", "arguments": '{"a": '}
)
_message_tool_call = constructor(MessageToolCall, _CALL)
_log_prob = constructor(LogProb, {"token": "a", "logprob": -0.5, "bytes": [97]})
# ChatMessage's `__init__` reads `content`, and its validator reads image documents. Messages made
# here have neither.
_chat_message = constructor(
    ChatMessage,
    {"role": MessageRole.ASSISTANT, "blocks": [TextBlock(text="{")], "additional_kwargs": {}},
    {
        "role": MessageRole.ASSISTANT,
        "blocks": [ThinkingBlock(content="Hm"), ToolCallBlock(**_CALL_BLOCK)],
        "additional_kwargs": {"tool_calls": [MessageToolCall(**_CALL)], "refusal": "No"},
    },
    known_validators=("__init__", "legacy_additional_kwargs_image"),
)
_chat_response = constructor(
    ChatResponse,
    {
        "message": ChatMessage("Hi", role=MessageRole.ASSISTANT),
        "raw": {"choices": []},
        "delta": "Hi",
        "logprobs": [[LogProb(logprob=-0.5)]],
        "additional_kwargs": {},
    },
)
_completion_response = constructor(
    CompletionResponse,
    {
        "text": "Hi",
        "additional_kwargs": {},
        "raw": {"choices": []},
        "logprobs": [[LogProb(logprob=-0.5)]],
        "delta": "Hi",
    },
)
