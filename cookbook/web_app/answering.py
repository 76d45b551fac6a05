"""Server-sent events for an answer: `text`, and then `done` or `error`."""

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
    """Stream the answer as events. The last event says whether it is complete.

    The next chunk is read from the model after the previous one was sent, so a slow reader slows
    the model down. Cancelling or closing the generator closes the connection to the model.

    Args:
        model: The model.
        question: The user's question.
    """
    usage = None
    try:
        async with aclosing(model.astream(question)) as chunks:
            async for chunk in chunks:
                usage = chunk.usage_metadata or usage
                if chunk.text:
                    yield event("text", chunk.text)
    except errors.SunraError as error:
        # Log the full error. The status 200 has already been sent.
        _log.warning("%s (request %s)", error, error.request_id)
        yield event("error", public_error(error))
    else:
        yield event("done", {"tokens": usage and usage["total_tokens"]})


def event(name: str, data: Any) -> bytes:
    """A server-sent event. JSON keeps text with line breaks on one line."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def public_error(error: errors.SunraError) -> dict[str, str | bool | None]:
    """The part of an error that the user sees: a text, whether to retry, and a reference."""
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
