"""The schemas of responses and their events, for the OpenAPI document."""

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

_ANY_OBJECT: Schema = {"type": "object"}
_LOGPROBS = list_schema(object_schema(**TOKEN, top_logprobs=list_schema(object_schema(**TOKEN))))


def _status(*statuses: str) -> Schema:
    return {"type": "string", "enum": list(statuses)}


# ── output ───────────────────────────────────────────────────────────────────

_ITEM_STATUS = _status("in_progress", "completed", "incomplete")
_PART = object_schema(
    type={"const": "output_text"},
    text=TEXT,
    annotations=list_schema(_ANY_OBJECT),
    logprobs=_LOGPROBS,
)
_SUMMARY = object_schema(type={"const": "summary_text"}, text=TEXT)
_CALL = {"id": TEXT, "call_id": TEXT, "name": TEXT}
_ITEM: Schema = {
    "oneOf": [
        object_schema(
            type={"const": "message"},
            id=TEXT,
            role={"const": "assistant"},
            status=_ITEM_STATUS,
            content=list_schema(_PART),
        ),
        object_schema(
            ("encrypted_content",),
            type={"const": "reasoning"},
            id=TEXT,
            summary=list_schema(_SUMMARY),
            encrypted_content=TEXT,
        ),
        object_schema(
            type={"const": "function_call"}, **_CALL, arguments=TEXT, status=_ITEM_STATUS
        ),
        object_schema(type={"const": "custom_tool_call"}, **_CALL, input=TEXT),
    ]
}

# ── the response ─────────────────────────────────────────────────────────────

_USAGE = object_schema(
    input_tokens=COUNT,
    input_tokens_details=object_schema(cached_tokens=COUNT, cache_write_tokens={"const": 0}),
    output_tokens=COUNT,
    output_tokens_details=object_schema(reasoning_tokens=COUNT),
    total_tokens=COUNT,
    cost={"type": "number", "minimum": 0},
)
_NUMBER = nullable_schema({"type": "number"})
_INTEGER = nullable_schema({"type": "integer"})
_REPEATED: dict[str, Schema] = {
    "background": {"const": False},
    "instructions": nullable_schema(TEXT),
    "max_output_tokens": _INTEGER,
    "max_tool_calls": _INTEGER,
    "metadata": _ANY_OBJECT,
    "parallel_tool_calls": {"type": "boolean"},
    "previous_response_id": nullable_schema(TEXT),
    "prompt_cache_key": nullable_schema(TEXT),
    "reasoning": _ANY_OBJECT,
    "safety_identifier": nullable_schema(TEXT),
    "service_tier": nullable_schema(TEXT),
    "store": {"type": "boolean"},
    "temperature": _NUMBER,
    "text": object_schema(("verbosity",), format=_ANY_OBJECT, verbosity=nullable_schema(TEXT)),
    "tool_choice": {"anyOf": [TEXT, _ANY_OBJECT]},
    "tools": list_schema(_ANY_OBJECT),
    "top_logprobs": COUNT,
    "top_p": _NUMBER,
    "truncation": TEXT,
    "user": nullable_schema(TEXT),
}
"""The parameters of the request that a response repeats."""


def _response(status: Schema, usage: Schema) -> Schema:
    return object_schema(
        id=TEXT,
        object={"const": "response"},
        created_at=COUNT,
        status=status,
        error=NULL,
        incomplete_details=nullable_schema(object_schema(reason={"const": "max_output_tokens"})),
        model=TEXT,
        output=list_schema(_ITEM),
        usage=usage,
        **_REPEATED,
        provider=SANDBOX,
        system_fingerprint=SANDBOX,
    )


RESPONSE = _response(_status("completed", "incomplete"), _USAGE)

# ── events ───────────────────────────────────────────────────────────────────

_OF_ITEM = {"output_index": COUNT, "item_id": TEXT}
_OF_PART = {**_OF_ITEM, "content_index": COUNT}
_OF_SUMMARY = {**_OF_ITEM, "summary_index": COUNT}


def _event(kind: str, **properties: Schema) -> Schema:
    return object_schema(type={"const": f"response.{kind}"}, sequence_number=COUNT, **properties)


_BEGUN = _response(_status("in_progress"), NULL)
EVENT: Schema = {
    "oneOf": [
        _event("created", response=_BEGUN),
        _event("in_progress", response=_BEGUN),
        _event("output_item.added", output_index=COUNT, item=_ITEM),
        _event("output_item.done", output_index=COUNT, item=_ITEM),
        _event("content_part.added", **_OF_PART, part=_PART),
        _event("content_part.done", **_OF_PART, part=_PART),
        _event("output_text.delta", **_OF_PART, delta=TEXT, logprobs=_LOGPROBS),
        _event("output_text.done", **_OF_PART, text=TEXT, logprobs=_LOGPROBS),
        _event("reasoning_summary_part.added", **_OF_SUMMARY, part=_SUMMARY),
        _event("reasoning_summary_part.done", **_OF_SUMMARY, part=_SUMMARY),
        _event("reasoning_summary_text.delta", **_OF_SUMMARY, delta=TEXT),
        _event("reasoning_summary_text.done", **_OF_SUMMARY, text=TEXT),
        _event("function_call_arguments.delta", **_OF_ITEM, delta=TEXT),
        _event("function_call_arguments.done", **_OF_ITEM, arguments=TEXT),
        _event("custom_tool_call_input.delta", **_OF_ITEM, delta=TEXT),
        _event("custom_tool_call_input.done", **_OF_ITEM, input=TEXT),
        _event("completed", response=_response(_status("completed"), _USAGE)),
        _event("incomplete", response=_response(_status("incomplete"), _USAGE)),
    ]
}
"""An event of a default reply. Scripted replies have others, such as refusals and annotations."""
