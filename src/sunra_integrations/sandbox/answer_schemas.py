"""What the sandbox answers, as JSON Schemas: a completion, a chunk of a stream, an error.

They describe what it says by itself; what a test queues may be anything.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]


def _closed(optional: Sequence[str] = (), /, **properties: Schema) -> Schema:
    """An object of these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


_NULL: Schema = {"type": "null"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SANDBOX: Schema = {"const": "sandbox"}
_FINISH_REASON: Schema = {"type": "string", "enum": ["stop", "length", "tool_calls"]}

_TOKEN = {
    "token": _TEXT,
    "logprob": {"type": "number", "maximum": 0},
    "bytes": _list({"type": "integer", "minimum": 0, "maximum": 255}),
}
_LOGPROBS = _or_null(
    _closed(content=_list(_closed(**_TOKEN, top_logprobs=_list(_closed(**_TOKEN)))), refusal=_NULL)
)
_REASONING = {
    "reasoning": _TEXT,
    "reasoning_details": _list(
        _closed(type={"const": "reasoning.text"}, text=_TEXT, index={"const": 0})
    ),
}
_CALL_OPENING = {"id": _TEXT, "type": {"const": "function"}}
_CALL = _closed(**_CALL_OPENING, function=_closed(name=_TEXT, arguments=_TEXT))
_CALL_DELTA = _closed(
    ("id", "type"),
    index=_COUNT,
    **_CALL_OPENING,
    function=_closed(("name",), name=_TEXT, arguments=_TEXT),
)
_MESSAGE = _closed(
    ("reasoning", "reasoning_details", "tool_calls"),
    role={"const": "assistant"},
    content=_or_null(_TEXT),
    refusal=_NULL,
    **_REASONING,
    tool_calls=_list(_CALL),
)
_DELTA = _closed(
    ("role", "content", "reasoning", "reasoning_details", "tool_calls"),
    role={"const": "assistant"},
    content=_or_null(_TEXT),
    **_REASONING,
    tool_calls=_list(_CALL_DELTA),
)

USAGE = _closed(
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    total_tokens=_COUNT,
    prompt_tokens_details=_closed(cached_tokens=_COUNT, audio_tokens=_COUNT),
    completion_tokens_details=_closed(reasoning_tokens=_COUNT, audio_tokens=_COUNT),
    cost={"type": "number", "minimum": 0},
)
"""Tokens as the sandbox counts them, at a price made up."""


def _envelope(kind: str) -> dict[str, Schema]:
    return {
        "id": _TEXT,
        "object": {"const": kind},
        "created": _COUNT,
        "model": _TEXT,
        "system_fingerprint": _SANDBOX,
        "provider": _SANDBOX,
    }


COMPLETION = _closed(
    **_envelope("chat.completion"),
    choices=_list(
        _closed(index=_COUNT, message=_MESSAGE, finish_reason=_FINISH_REASON, logprobs=_LOGPROBS)
    ),
    usage=USAGE,
)
"""A whole answer."""

CHUNK = _closed(
    ("usage",),
    **_envelope("chat.completion.chunk"),
    choices=_list(
        _closed(
            index=_COUNT,
            delta=_DELTA,
            finish_reason=_or_null(_FINISH_REASON),
            logprobs=_LOGPROBS,
        )
    ),
    usage=_or_null(USAGE),
)
"""The data of one event of a streamed answer, the last one (``[DONE]``) aside."""

ERROR = _closed(
    error=_closed(
        type=_TEXT,
        code=_TEXT,
        message=_TEXT,
        details=_list(_closed(path=_TEXT, rule=_TEXT, message=_TEXT)),
        retryable={"const": False},
    ),
    timestamp={"type": "string", "format": "date-time"},
    request_id=_TEXT,
    rate_limit=_closed(limit=_COUNT, remaining=_COUNT, reset=_COUNT),
    path=_TEXT,
)
"""Sunra's error body."""
