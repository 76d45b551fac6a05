"""Finish reasons: whether an answer is complete.

Reasons are compared without regard to case, in the spellings of the vendors behind the gateway. A
reason in none of the lists, or none at all, proves nothing: then the JSON of a structured answer
decides, and the answer is whole if its JSON is valid as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

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


def cause_of(finish_reason: str | None) -> Cause | None:
    """The cause of a truncated answer; None if it is complete, or if that is unknown."""
    return _CAUSES.get((finish_reason or "").lower())


def is_cut_before(arguments: str, finish_reason: str | None) -> bool:
    """Whether the last call of an answer was cut off before its arguments began.

    Elsewhere empty arguments mean a call without any.

    Args:
        arguments: The call's arguments, as far as they were received.
        finish_reason: The answer's.
    """
    return not arguments.strip() and cause_of(finish_reason) is not None
