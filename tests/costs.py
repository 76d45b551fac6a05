"""Answers that report their cost, and tracers that export into memory."""

from __future__ import annotations

import json
from typing import Any

from tests.recorded_transport import Answer, completion, stream
from tests.responses_events import events, message, response, sse

COST = 0.0125
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 20,
    "total_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
    "cost": COST,
}


OF_RESPONSES = {
    "input_tokens": 30,
    "output_tokens": 20,
    "total_tokens": 50,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens_details": {"reasoning_tokens": 5},
    "cost": COST,
}


def of_responses(*, is_stream: bool) -> Answer:
    """What `said` and `streamed` say, from `/v1/responses`."""
    whole = response(message("Hello"), usage=OF_RESPONSES)
    return stream(sse(*events(whole))) if is_stream else completion(whole)


def said(text: str = "Hello", *, usage: dict[str, Any] | None = USAGE, choices: int = 1) -> Answer:
    message = {"role": "assistant", "content": text}
    body = {
        "id": "gen-1",
        "model": "openai/gpt-4o-2024-08-06",
        "choices": [
            {"index": index, "message": message, "finish_reason": "stop"}
            for index in range(choices)
        ],
    }
    return completion(body if usage is None else {**body, "usage": usage})


def streamed(*texts: str, usage: dict[str, Any] | None = USAGE) -> Answer:
    deltas = [({"content": text}, None) for text in texts or ("Hel", "lo")] + [({}, "stop")]
    events: list[dict[str, Any]] = [
        {
            "id": "gen-1",
            "model": "openai/gpt-4o-2024-08-06",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in deltas
    ]
    if usage is not None:
        events.append({"id": "gen-1", "choices": [], "usage": usage})
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return stream(*lines, b"data: [DONE]\n\n")


def cut_off(*texts: str) -> Answer:
    """A stream that breaks off before its finish reason."""
    events = [
        {"id": "gen-1", "choices": [{"index": 0, "delta": {"content": text}}]} for text in texts
    ]
    return stream(*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))
