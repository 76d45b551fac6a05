"""An answer as the events a page understands: `text` as it comes, then `done` or `error`."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from langchain_core.language_models import BaseChatModel

from sunra_integrations import errors

_log = logging.getLogger(__name__)


async def events(model: BaseChatModel, question: str) -> AsyncGenerator[bytes, None]:
    """The answer, piece by piece; the last event says whether it is whole.

    The next piece is asked of the model when the last one was taken, so a slow reader slows the
    model down and nothing piles up here. When this is cancelled or closed, so is the connection to
    the model.

    Args:
        model: Who answers.
        question: The question, as the user typed it.
    """
    usage = None
    try:
        async with aclosing(model.astream(question)) as chunks:
            async for chunk in chunks:
                usage = chunk.usage_metadata or usage
                if chunk.text:
                    yield event("text", chunk.text)
    except errors.SunraError as error:
        # The whole error is for the log. The status, 200, has been sent long ago.
        _log.warning("%s (request %s)", error, error.request_id)
        yield event("error", told(error))
    else:
        yield event("done", {"tokens": usage and usage["total_tokens"]})


def event(name: str, data: Any) -> bytes:
    """A server-sent event; as JSON, text with line breaks stays on one line."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def told(error: errors.SunraError) -> dict[str, str | bool | None]:
    """What a user is told of an error: plain words, whether to try again, what to quote."""
    return {
        "message": _words(error),
        "try_again": error.retryable,
        "reference": error.request_id,
    }


def _words(error: errors.SunraError) -> str:
    match error:
        case errors.RateLimited(retry_after=float(seconds)):
            return f"Too many questions just now. Try again in {seconds:.0f} seconds."
        case errors.RateLimited() | errors.Overloaded():
            return "Too many questions just now. Try again in a moment."
        case errors.StreamInterrupted():
            return "The answer broke off here."
        case errors.ContentRejected() | errors.Refused():
            return "This question was declined."
        case errors.ContextOverflow():
            return "This question is too long."
        case errors.ConnectionFailed() | errors.TimedOut() | errors.ServerFailed():
            return "The model cannot be reached just now."
        case _:
            return "Something went wrong on our side."
