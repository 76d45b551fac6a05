"""Finish reasons: whether an answer is complete.

Reasons are compared without regard to case, in the spellings of the vendors behind the gateway. A
reason in none of the lists, or none at all, proves nothing: then the JSON of a structured answer
decides, and the answer is whole if its JSON is valid as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from sunra_integrations.errors import ResponseTruncated
from sunra_integrations.protocol.json_text import as_int
from sunra_integrations.protocol.reply import Choice, Reply, ToolCall, Usage, parse_usage

Cause = Literal["limit", "filter", "interruption"]

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
_CAUSES: dict[str, Cause] = {
    **dict.fromkeys(_LIMIT, "limit"),
    **dict.fromkeys(_FILTER, "filter"),
    **dict.fromkeys(_INTERRUPTED, "interruption"),
}


def is_truncated(finish_reason: str | None, is_whole: Callable[[], bool]) -> bool:
    """Whether a structured answer was cut off.

    Args:
        finish_reason: The reason as the server sent it; None if it sent none.
        is_whole: Whether its JSON is valid as it stands, called for an unknown reason only.
    """
    known = (finish_reason or "").lower()
    return known in _CAUSES or (known not in _COMPLETE and not is_whole())


def truncation_cause(finish_reason: str | None) -> Cause | None:
    """The cause of a truncated answer; None if it is complete, or if that is unknown."""
    return _CAUSES.get((finish_reason or "").lower())


def is_cut_before_arguments(arguments: str, finish_reason: str | None) -> bool:
    """Whether the last call of an answer was cut off before its arguments began.

    Elsewhere empty arguments mean a call without any.

    Args:
        arguments: The call's arguments, as far as they were received.
        finish_reason: The answer's.
    """
    return not arguments.strip() and truncation_cause(finish_reason) is not None


_LONGEST_EXCERPT = 300


def truncation_error(
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
        what: The requested object, such as the name of its class.
        finish_reason: The reason as the server sent it.
        text: The answer's text, as far as it was received.
        usage: The token counts as the server sent them.
        calls: The answer's tool calls, as far as they were received.
        model: The model that answered.
        reply_id: The id of the answer.
        request_id: The id of the request.
    """
    counted = parse_usage(usage)
    received = calls[-1].arguments if calls else text
    choice = Choice(0, text, tool_calls=calls, finish_reason=finish_reason)
    return ResponseTruncated(
        f"The {what} is not complete: {_explain(finish_reason, counted)} "
        f"Received: {received[:_LONGEST_EXCERPT] or _nothing(counted)}",
        finish_reason=finish_reason,
        text=received,
        usage=usage,
        retryable=truncation_cause(finish_reason) not in ("limit", "filter"),
        request_id=request_id,
        partial=Reply((choice,), reply_id, model, usage=counted, request_id=request_id),
    )


def _explain(finish_reason: str | None, counted: Usage | None) -> str:
    spent = None if counted is None else counted.completion_tokens
    facts = f"finish_reason {finish_reason!r}" + ("" if spent is None else f", {spent} tokens")
    match truncation_cause(finish_reason):
        case "limit":
            return (
                f"it was cut off by max_tokens or max_completion_tokens ({facts}). "
                "Raise the limit, or ask for a shorter answer."
            )
        case "filter":
            return (
                f"it was cut off by the content filter ({facts}). "
                "Change the prompt, or ask another model."
            )
        case "interruption":
            return f"the server ended it early ({facts}). Try again."
        case _:
            return f"its JSON ends too early ({facts}). Try again."


def _nothing(counted: Usage | None) -> str:
    spent = None if counted is None else as_int(counted.completion_details.get("reasoning_tokens"))
    return f"nothing but {spent} tokens of reasoning" if spent else "nothing"
