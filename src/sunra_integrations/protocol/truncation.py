"""The error for a structured answer that was cut off, with all that was received of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sunra_integrations.errors import ResponseTruncated
from sunra_integrations.protocol.choices import Choice, ToolCall
from sunra_integrations.protocol.finish_reasons import cause_of
from sunra_integrations.protocol.json_values import count
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.responses import Usage, read_usage

_LONGEST_EXCERPT = 300


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
        what: The requested object, such as the name of its class.
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
        retryable=cause_of(finish_reason) not in ("limit", "filter"),
        request_id=request_id,
        partial=Reply((choice,), reply_id, model, usage=counted, request_id=request_id),
    )


def _cause(finish_reason: str | None, counted: Usage | None) -> str:
    spent = None if counted is None else counted.completion_tokens
    facts = f"finish_reason {finish_reason!r}" + ("" if spent is None else f", {spent} tokens")
    match cause_of(finish_reason):
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
    spent = None if counted is None else count(counted.completion_details.get("reasoning_tokens"))
    return f"nothing but {spent} tokens of reasoning" if spent else "nothing"
