"""Server-sent events for an answer: `text` and `block`, and then `done` or `error`."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput

from sunra_integrations import errors

from .error_messages import public_error
from .growing_markdown import GrowingMarkdown

_log = logging.getLogger(__name__)


async def events(model: BaseChatModel, messages: LanguageModelInput) -> AsyncGenerator[bytes, None]:
    """Stream the answer as events. The last event says whether it is complete.

    The next chunk is read from the model after the previous one was sent, so a slow reader slows
    the model down. Cancelling or closing the generator closes the connection to the model.

    Args:
        model: The model.
        messages: The conversation. The last message is the question.
    """
    markdown = GrowingMarkdown()
    tokens: int | None = None
    details: dict[str, Any] = {}
    try:
        async with aclosing(model.astream(messages)) as chunks:
            async for chunk in chunks:
                tokens = chunk.usage_metadata["total_tokens"] if chunk.usage_metadata else tokens
                details |= chunk.response_metadata
                if chunk.text:
                    yield event("text", chunk.text)
                    for block in markdown.add(chunk.text):
                        yield event("block", block)
    except errors.SunraError as error:
        # Log the full error. The status 200 has already been sent.
        _log.warning("%s (request %s)", error, error.request_id)
        end = event("error", public_error(error))
    else:
        known = {name: details.get(name) for name in ("provider", "finish_reason")}
        end = event("done", {"tokens": tokens, **known})
    for block in markdown.changes():
        yield event("block", block)
    yield end


def event(name: str, data: Any) -> bytes:
    """A server-sent event. JSON keeps text with line breaks on one line."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
