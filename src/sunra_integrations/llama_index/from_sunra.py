"""Sunra's answers as LlamaIndex's responses. Pure: nothing is read from the network here.

A streamed answer goes through the same functions as a whole one: each response is made anew of what
the chunks add up to, so that none that was given out changes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

from sunra_integrations.llama_index import tool_calls
from sunra_integrations.llama_index.answer_blocks import MediaBlocks
from sunra_integrations.llama_index.answer_so_far import AnswerSoFar
from sunra_integrations.llama_index.token_logprobs import LogProbs, logprobs
from sunra_integrations.llama_index.tool_calls import CalledTool
from sunra_integrations.protocol import fast_path
from sunra_integrations.protocol.accumulator import ChoiceAccumulator
from sunra_integrations.protocol.history import VENDOR_FIELDS, replayed_names
from sunra_integrations.protocol.json_text import EMPTY, Json, as_int, copy_json
from sunra_integrations.protocol.reply import Choice, Chunk, Reply, Usage

_text_block = fast_path.constructor(TextBlock, {"text": "Hi"})
_thinking_block = fast_path.constructor(
    ThinkingBlock, {"content": "Hm", "num_tokens": 1, "additional_information": {}}
)
# Both concern what no message made here has: `content`, and image documents of the framework's.
_chat_message = fast_path.constructor(
    ChatMessage,
    {"role": MessageRole.ASSISTANT, "blocks": [TextBlock(text="Hi")], "additional_kwargs": {}},
    known_validators=("__init__", "legacy_additional_kwargs_image"),
)
_chat_response = fast_path.constructor(
    ChatResponse,
    {
        "message": ChatMessage("Hi", role=MessageRole.ASSISTANT),
        "raw": {},
        "delta": "Hi",
        "logprobs": [[LogProb(logprob=-0.5)]],
        "additional_kwargs": {},
    },
)
_completion_response = fast_path.constructor(
    CompletionResponse,
    {
        "text": "Hi",
        "additional_kwargs": {},
        "raw": {},
        "logprobs": [[LogProb(logprob=-0.5)]],
        "delta": "Hi",
    },
)


def response(reply: Reply) -> ChatResponse:
    """A whole answer; `raw` is the completion as it came."""
    choice = reply.choice
    return _response(
        reply,
        choice,
        _entries(choice),
        others=reply.choices[1:],
        raw=_raw(reply.raw, reply.usage),
        probabilities=logprobs(choice.logprobs),
    )


def chunk(piece: Chunk, so_far: AnswerSoFar) -> ChatResponse:
    """One event of a stream, as the answer up to and including it; `delta` is the new text.

    Args:
        piece: The event.
        so_far: What has come, the event included.
    """
    text, thinking = "", ""
    for delta in piece.choices:
        if delta.choice_index == so_far.answer:
            text, thinking = text + delta.text, thinking + delta.reasoning
            if delta.tool_calls or delta.logprobs is not None:
                so_far.convert(delta)
        elif delta.finish_reason is not None and so_far.takes_for_the_answer(delta.choice_index):
            text, thinking = so_far.choice.text, so_far.choice.reasoning
    given = _response(
        so_far,
        so_far.choice,
        list(so_far.entries.values()),
        others=so_far.others,
        calls=so_far.calls.given(),
        media=so_far.media,
        raw=_raw(piece.raw, so_far.usage),
        probabilities=so_far.logprobs.copy() or None,
        delta=text,
    )
    if thinking:
        given.additional_kwargs["thinking_delta"] = thinking
    return given


def completion(given: ChatResponse) -> CompletionResponse:
    """The same answer for those who asked with a prompt; thinking goes to `additional_kwargs`."""
    message = given.message
    thinking = "".join(
        block.content or "" for block in message.blocks if isinstance(block, ThinkingBlock)
    )
    known = {**message.additional_kwargs, **given.additional_kwargs}
    return _completion_response(
        {
            "text": message.content or "",
            "additional_kwargs": {"thinking": thinking, **known} if thinking else known,
            "raw": given.raw,
            "logprobs": given.logprobs,
            "delta": given.delta,
        }
    )


def message(
    choice: Choice | ChoiceAccumulator,
    entries: list[CalledTool],
    counted: Usage | None,
    *,
    calls: Sequence[ToolCallBlock] | None = None,
    media: MediaBlocks | None = None,
) -> ChatMessage:
    """A choice as a message: thinking, text (one block), media, citations, tool calls.

    Args:
        choice: The choice.
        entries: Its tool calls; the list becomes the message's.
        counted: The usage, where it is known.
        calls: The calls as blocks, where they are made already.
        media: What is converted already.
    """
    media = media or MediaBlocks()
    blocks: list[ContentBlock] = []
    if choice.reasoning or choice.reasoning_details:
        blocks.append(_thinking(choice, counted))
    if choice.text:
        blocks.append(_text_block({"text": choice.text}))
    extra: dict[str, Any] = {}
    if choice.message_extra:
        extra = {
            name: value.copy() if isinstance(value, (list, dict)) else value
            for name, value in choice.message_extra.items()
        }
    if extra and (block := media.sound(extra)):
        blocks.append(block)
        extra["audio"] = {name: extra["audio"][name] for name in extra["audio"] if name != "data"}
    if choice.parts or choice.images or choice.annotations:
        images, parts, places = media.images_and_others(choice)
        blocks += images
        blocks += media.citations(choice)
        extra |= {"annotations": list(choice.annotations)} if choice.annotations else {}
        extra |= {"content_parts": parts, "content_places": places} if parts else {}
    if names := replayed_names(choice.message_extra):
        extra[VENDOR_FIELDS] = names
    if choice.reasoning_field is not None and not choice.reasoning:
        extra["reasoning_field"] = choice.reasoning_field  # of an empty one, which has no block
    if choice.refusal:
        extra["refusal"] = choice.refusal
    if entries:
        blocks += map(tool_calls.block, entries) if calls is None else calls
        extra["tool_calls"] = entries
    return _chat_message(
        {
            "role": MessageRole.ASSISTANT,
            "blocks": blocks or [_text_block({"text": ""})],
            "additional_kwargs": extra,
        }
    )


def usage(counted: Usage | None) -> dict[str, Any]:
    """The counts and the cost of a call, by the names that LlamaIndex's tools look for."""
    if counted is None:
        return {}
    known = {
        "prompt_tokens": counted.prompt_tokens,
        "completion_tokens": counted.completion_tokens,
        "total_tokens": counted.total_tokens,
        "cost": counted.cost,
    }
    return {name: value for name, value in known.items() if value is not None}


def _response(
    reply: Reply | AnswerSoFar,
    choice: Choice | ChoiceAccumulator,
    entries: list[CalledTool],
    *,
    others: Sequence[Choice],
    raw: dict[str, Any],
    probabilities: LogProbs | None,
    calls: Sequence[ToolCallBlock] | None = None,
    media: MediaBlocks | None = None,
    delta: str | None = None,
) -> ChatResponse:
    known: dict[str, Any] = {}
    if reply.extra or choice.extra:
        known = {**copy_json(reply.extra), **copy_json(choice.extra)}
    if reply.usage is not None:
        known |= usage(reply.usage)
    if choice.finish_reason is not None:
        known["finish_reason"] = choice.finish_reason
    if reply.request_id is not None:
        known["request_id"] = reply.request_id
    if others:
        known["choices"] = [_other_choice(other, reply.usage) for other in others]
    return _chat_response(
        {
            "message": message(choice, entries, reply.usage, calls=calls, media=media),
            "raw": raw,
            "delta": delta,
            "logprobs": probabilities,
            "additional_kwargs": known,
        }
    )


def _entries(choice: Choice) -> list[CalledTool]:
    return [tool_calls.entry(call) for call in choice.tool_calls]


def _other_choice(choice: Choice, counted: Usage | None) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": message(choice, _entries(choice), counted),
        "finish_reason": choice.finish_reason,
        "logprobs": logprobs(choice.logprobs),
    }


def _raw(event: Json, counted: Usage | None) -> dict[str, Any]:
    """The event as a plain dict, with the usage known by now where token counters look for it."""
    raw = dict(event)
    if counted is not None:
        raw["usage"] = {
            **{name: value for name, value in counted.raw.items() if value is not None},
            **usage(counted),
        }
        if counted.prompt_details:
            raw["usage"]["prompt_tokens_details"] = dict(counted.prompt_details)
    return raw


def _thinking(choice: Choice | ChoiceAccumulator, counted: Usage | None) -> ThinkingBlock:
    details = counted.completion_details if counted is not None else EMPTY
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
