"""Whether a structured reply was cut off, and the error if it was.

Finish reasons are compared ignoring case, in the spellings of the vendors behind the gateway. An
unknown or missing reason proves nothing. Then the reply is whole if its JSON is valid.
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
_MAX_EXCERPT = 300


def is_truncated(finish_reason: str | None, is_whole: Callable[[], bool]) -> bool:
    """Whether a structured reply was cut off.

    Args:
        finish_reason: The server's reason, if any.
        is_whole: Whether the JSON is valid. Called only if the reason is unknown.
    """
    reason = (finish_reason or "").lower()
    return reason in _CAUSES or (reason not in _COMPLETE and not is_whole())


def truncation_cause(finish_reason: str | None) -> Cause | None:
    """The cause of a truncation; None if the reply is complete, or the reason is unknown."""
    return _CAUSES.get((finish_reason or "").lower())


def is_cut_before_arguments(arguments: str, finish_reason: str | None) -> bool:
    """Whether the last call of a reply was cut off before its arguments began.

    Otherwise, empty arguments mean a call without arguments.

    Args:
        arguments: The arguments received.
        finish_reason: The finish_reason of the reply.
    """
    return not arguments.strip() and truncation_cause(finish_reason) is not None


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
    """The error for a structured reply that was cut off, with everything received of it.

    Args:
        what: The requested object, such as the name of its class.
        finish_reason: The server's reason, if any.
        text: The text received.
        usage: The usage object of the response.
        calls: The tool calls received.
        model: The model that replied.
        reply_id: The id of the reply.
        request_id: The id of the request.
    """
    counts = parse_usage(usage)
    received = calls[-1].arguments if calls else text
    choice = Choice(0, text, tool_calls=calls, finish_reason=finish_reason)
    return ResponseTruncated(
        f"The {what} is not complete: {_explain(finish_reason, counts)} "
        f"Received: {received[:_MAX_EXCERPT] or _describe_empty(counts)}",
        finish_reason=finish_reason,
        text=received,
        usage=usage,
        retryable=truncation_cause(finish_reason) not in ("limit", "filter"),
        request_id=request_id,
        partial=Reply((choice,), reply_id, model, usage=counts, request_id=request_id),
    )


def _explain(finish_reason: str | None, counts: Usage | None) -> str:
    tokens = None if counts is None else counts.completion_tokens
    facts = f"finish_reason {finish_reason!r}" + ("" if tokens is None else f", {tokens} tokens")
    match truncation_cause(finish_reason):
        case "limit":
            return (
                f"it was cut off by max_tokens or max_completion_tokens ({facts}). "
                "Raise the limit, or request a shorter reply."
            )
        case "filter":
            return (
                f"it was cut off by the content filter ({facts}). "
                "Change the prompt, or use another model."
            )
        case "interruption":
            return f"the server ended it early ({facts}). Try again."
        case _:
            return f"its JSON ends too early ({facts}). Try again."


def _describe_empty(counts: Usage | None) -> str:
    tokens = None if counts is None else as_int(counts.completion_details.get("reasoning_tokens"))
    return f"nothing but {tokens} tokens of reasoning" if tokens else "nothing"
