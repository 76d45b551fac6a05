"""The schemas of completions and their chunks, for the OpenAPI document."""

from sunra_integrations.sandbox.contract.checks import Schema
from sunra_integrations.sandbox.contract.schema_parts import (
    COUNT,
    NULL,
    SANDBOX,
    TEXT,
    TOKEN,
    list_schema,
    nullable_schema,
    object_schema,
)

_FINISH_REASON: Schema = {"type": "string", "enum": ["stop", "length", "tool_calls"]}

_LOGPROBS = nullable_schema(
    object_schema(
        content=list_schema(
            object_schema(**TOKEN, top_logprobs=list_schema(object_schema(**TOKEN)))
        ),
        refusal=NULL,
    )
)
_REASONING = {
    "reasoning": TEXT,
    "reasoning_details": list_schema(
        object_schema(type={"const": "reasoning.text"}, text=TEXT, index={"const": 0})
    ),
}
_CALL_START = {"id": TEXT, "type": {"const": "function"}}
_CALL = object_schema(**_CALL_START, function=object_schema(name=TEXT, arguments=TEXT))
_CALL_DELTA = object_schema(
    ("id", "type"),
    index=COUNT,
    **_CALL_START,
    function=object_schema(("name",), name=TEXT, arguments=TEXT),
)
_MESSAGE = object_schema(
    ("reasoning", "reasoning_details", "tool_calls"),
    role={"const": "assistant"},
    content=nullable_schema(TEXT),
    refusal=NULL,
    **_REASONING,
    tool_calls=list_schema(_CALL),
)
_DELTA = object_schema(
    ("role", "content", "reasoning", "reasoning_details", "tool_calls"),
    role={"const": "assistant"},
    content=nullable_schema(TEXT),
    **_REASONING,
    tool_calls=list_schema(_CALL_DELTA),
)
_USAGE = object_schema(
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    total_tokens=COUNT,
    prompt_tokens_details=object_schema(cached_tokens=COUNT, audio_tokens=COUNT),
    completion_tokens_details=object_schema(reasoning_tokens=COUNT, audio_tokens=COUNT),
    cost={"type": "number", "minimum": 0},
)


def _envelope(kind: str) -> dict[str, Schema]:
    return {
        "id": TEXT,
        "object": {"const": kind},
        "created": COUNT,
        "model": TEXT,
        "system_fingerprint": SANDBOX,
        "provider": SANDBOX,
    }


COMPLETION = object_schema(
    **_envelope("chat.completion"),
    choices=list_schema(
        object_schema(
            index=COUNT, message=_MESSAGE, finish_reason=_FINISH_REASON, logprobs=_LOGPROBS
        )
    ),
    usage=_USAGE,
)
CHUNK = object_schema(
    ("usage",),
    **_envelope("chat.completion.chunk"),
    choices=list_schema(
        object_schema(
            index=COUNT,
            delta=_DELTA,
            finish_reason=nullable_schema(_FINISH_REASON),
            logprobs=_LOGPROBS,
        )
    ),
    usage=nullable_schema(_USAGE),
)
