"""Whether a structured answer or a tool call was cut off, and the error that says so.

The finish reason decides. Reasons are compared without regard to case, in the spellings of the
vendors behind the gateway. A reason in none of the lists, or none at all, proves nothing: then the
JSON decides, and an answer is whole if its JSON is valid as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sunra_integrations.errors import ResponseTruncated
from sunra_integrations.protocol.choices import Choice, ToolCall
from sunra_integrations.protocol.json_values import count
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.responses import Usage, read_usage

_COMPLETE = frozenset(
    (
        "stop",
        "tool_calls",
        "function_call",
        "tool_call",
        "tool_use",
        "end_turn",
        "stop_sequence",
        "eos",
        "eos_token",
        "complete",
        "completed",
    )
)
_LIMIT = frozenset(
    (
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "max_length",
        "model_length",
        "token_limit",
        "model_context_window_exceeded",
        "context_length_exceeded",
    )
)
_FILTER = frozenset(
    (
        "content_filter",
        "content_filtered",
        "guardrail_intervened",
        "safety",
        "image_safety",
        "recitation",
        "prohibited_content",
        "blocklist",
        "spii",
        "sensitive",
        "refusal",
    )
)
_INTERRUPTED = frozenset(
    (
        "error",
        "failed",
        "incomplete",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "interrupted",
        "timeout",
        "network_error",
        "insufficient_system_resource",
        "pause_turn",
        "malformed_function_call",
        "repetition_truncation",
    )
)
_TRUNCATED = _LIMIT | _FILTER | _INTERRUPTED
_LONGEST_EXCERPT = 300


def is_truncated(finish_reason: str | None, is_whole: Callable[[], bool]) -> bool:
    """Whether a structured answer was cut off.

    Args:
        finish_reason: The reason as the server sent it; None if it sent none.
        is_whole: Whether its JSON is valid as it stands, called for an unknown reason only.
    """
    known = (finish_reason or "").lower()
    return known in _TRUNCATED or (known not in _COMPLETE and not is_whole())


def arguments_missing(arguments: str, finish_reason: str | None) -> bool:
    """Whether the last call of an answer was cut off before its arguments began.

    Elsewhere empty arguments mean a call without any.

    Args:
        arguments: The call's arguments, as far as they were received.
        finish_reason: The answer's.
    """
    return not arguments.strip() and (finish_reason or "").lower() in _TRUNCATED


def arguments_of(choice: Choice) -> list[dict[str, Any] | None]:
    """The arguments of each call of a choice; None where they are broken or were cut off."""
    read = [call.parsed() for call in choice.tool_calls]
    if read and arguments_missing(choice.tool_calls[-1].arguments, choice.finish_reason):
        read[-1] = None
    return read


def truncated(
    what: str,
    finish_reason: str | None,
    *,
    text: str,
    usage: Mapping[str, Any] | None = None,
    calls: tuple[ToolCall, ...] = (),
    model: str | None = None,
    reply_id: str | None = None,
    request_id: str | None = None,
) -> ResponseTruncated:
    """The error for a structured answer that was cut off.

    Args:
        what: What was asked for, such as the name of its class.
        finish_reason: The reason as the server sent it.
        text: The answer's text, as far as it was received.
        usage: The token counts as the server sent them.
        calls: The answer's tool calls, as far as they were received.
        model: The model that answered.
        reply_id: The id of the answer.
        request_id: The id of the request.
    """
    counted = read_usage(usage)
    received = calls[-1].arguments if calls else text
    choice = Choice(0, text, tool_calls=calls, finish_reason=finish_reason)
    return ResponseTruncated(
        f"The {what} is not complete: {_cause(finish_reason, counted)} "
        f"Received: {received[:_LONGEST_EXCERPT] or _nothing(counted)}",
        finish_reason=finish_reason,
        text=received,
        usage=usage,
        retryable=(finish_reason or "").lower() not in _LIMIT | _FILTER,
        request_id=request_id,
        partial=Reply((choice,), reply_id, model, usage=counted, request_id=request_id),
    )


def _cause(finish_reason: str | None, counted: Usage | None) -> str:
    known = (finish_reason or "").lower()
    spent = None if counted is None else counted.completion_tokens
    facts = f"finish_reason {finish_reason!r}" + ("" if spent is None else f", {spent} tokens")
    if known in _LIMIT:
        return (
            f"it was cut off by max_tokens or max_completion_tokens ({facts}). "
            "Raise the limit, or ask for a shorter answer."
        )
    if known in _FILTER:
        return (
            f"it was cut off by the content filter ({facts}). "
            "Change the prompt, or ask another model."
        )
    if known in _INTERRUPTED:
        return f"the server ended it early ({facts}). Try again."
    return f"its JSON ends too early ({facts}). Try again."


def _nothing(counted: Usage | None) -> str:
    spent = None if counted is None else count(counted.completion_details.get("reasoning_tokens"))
    return f"nothing but {spent} tokens of reasoning" if spent else "nothing"
