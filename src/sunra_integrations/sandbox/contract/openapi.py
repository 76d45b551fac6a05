"""The endpoint's OpenAPI 3.1 document, built from the statements of the rules.

The request schema comes from `parameters`, the errors from `http_rules`. The schemas of the
responses are here: they describe the default replies, while a test may queue anything.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sunra_integrations.sandbox.contract.checks import Schema
from sunra_integrations.sandbox.contract.http_rules import (
    BODY_RULES,
    COMPLETIONS_PATH,
    DOCUMENT_PATH,
    DOCUMENTED_ERRORS,
    JSON_TYPE,
    METHODS,
    RATE_LIMIT,
    TWO_LENGTHS,
    WRONG_HOST,
    WRONG_METHOD,
    ErrorKind,
)
from sunra_integrations.sandbox.contract.parameters import UNKNOWN_PARAMETERS, request_schema


def document(models: Collection[str] | None = None) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        models: The models served. Defaults to any name like ``vendor/name``.
    """
    operations = {COMPLETIONS_PATH: _create_completion(), DOCUMENT_PATH: _get_document()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The Sunra sandbox",
            "version": "1",
            "description": "A strict local server with Sunra's chat completions API. Replies are "
            "rule-based and deterministic, not from a model.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {
            path: {METHODS[path].lower(): operation} for path, operation in operations.items()
        },
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Any key, unless the sandbox was given the keys it accepts.",
                }
            },
            "schemas": {
                "ChatCompletionRequest": request_schema(models),
                "ChatCompletion": _COMPLETION,
                "ChatCompletionChunk": _CHUNK,
                "Error": _ERROR,
            },
        },
    }


# ── operations ───────────────────────────────────────────────────────────────


def _create_completion() -> dict[str, Any]:
    ignored = "A JSON list of the unknown parameters, which had no effect."
    succeeded = {
        "description": "The completion, or its events if `stream` is true. The data of an event "
        "is a chunk, and `[DONE]` at the end.",
        "headers": {**_headers(), "x-sandbox-ignored": _header(ignored, required=False)},
        "content": {
            JSON_TYPE: {"schema": _reference("ChatCompletion")},
            "text/event-stream": {"schema": _reference("ChatCompletionChunk")},
        },
    }
    return {
        "operationId": "createChatCompletion",
        "summary": "Creates a chat completion.",
        "description": f"{BODY_RULES}\n\n{UNKNOWN_PARAMETERS}",
        "requestBody": {
            "required": True,
            "content": {JSON_TYPE: {"schema": _reference("ChatCompletionRequest")}},
        },
        "responses": {"200": succeeded, **_errors(DOCUMENTED_ERRORS)},
    }


def _get_document() -> dict[str, Any]:
    return {
        "operationId": "getDocument",
        "summary": "Returns this document.",
        "security": [],
        "responses": {
            "200": {
                "description": "An OpenAPI 3.1 document.",
                "headers": _headers(),
                "content": {JSON_TYPE: {"schema": {"type": "object", "required": ["openapi"]}}},
            },
            **_errors((WRONG_HOST, TWO_LENGTHS, WRONG_METHOD)),
        },
    }


def _errors(kinds: Sequence[ErrorKind]) -> dict[str, Any]:
    """The error responses by status."""
    by_status: dict[int, list[ErrorKind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        str(status): {
            "description": " ".join(kind.when for kind in same),
            "headers": {
                **_headers(),
                **{name: _header(text) for kind in same for name, text in kind.headers.items()},
            },
            "content": {JSON_TYPE: {"schema": _reference("Error")}},
        }
        for status, same in by_status.items()
    }


def _headers() -> dict[str, Any]:
    """The headers of every response."""
    count = {"type": "integer", "minimum": 0}
    limits = {
        f"x-ratelimit-{name}": _header(f"Always {value}: nothing is limited here.", count)
        for name, value in RATE_LIMIT.items()
    }
    return {"x-request-id": _header("The same for the same request."), **limits}


def _header(description: str, schema: Schema | None = None, *, required: bool = True) -> Schema:
    return {
        "description": description,
        "required": required,
        "schema": schema or {"type": "string"},
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


# ── response schemas ─────────────────────────────────────────────────────────


def _object(optional: Sequence[str] = (), /, **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _nullable(schema: Schema) -> Schema:
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
_LOGPROBS = _nullable(
    _object(content=_list(_object(**_TOKEN, top_logprobs=_list(_object(**_TOKEN)))), refusal=_NULL)
)
_REASONING = {
    "reasoning": _TEXT,
    "reasoning_details": _list(
        _object(type={"const": "reasoning.text"}, text=_TEXT, index={"const": 0})
    ),
}
_CALL_START = {"id": _TEXT, "type": {"const": "function"}}
_CALL = _object(**_CALL_START, function=_object(name=_TEXT, arguments=_TEXT))
_CALL_DELTA = _object(
    ("id", "type"),
    index=_COUNT,
    **_CALL_START,
    function=_object(("name",), name=_TEXT, arguments=_TEXT),
)
_MESSAGE = _object(
    ("reasoning", "reasoning_details", "tool_calls"),
    role={"const": "assistant"},
    content=_nullable(_TEXT),
    refusal=_NULL,
    **_REASONING,
    tool_calls=_list(_CALL),
)
_DELTA = _object(
    ("role", "content", "reasoning", "reasoning_details", "tool_calls"),
    role={"const": "assistant"},
    content=_nullable(_TEXT),
    **_REASONING,
    tool_calls=_list(_CALL_DELTA),
)
_USAGE = _object(
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    total_tokens=_COUNT,
    prompt_tokens_details=_object(cached_tokens=_COUNT, audio_tokens=_COUNT),
    completion_tokens_details=_object(reasoning_tokens=_COUNT, audio_tokens=_COUNT),
    cost={"type": "number", "minimum": 0},
)


def _envelope(kind: str) -> dict[str, Schema]:
    return {
        "id": _TEXT,
        "object": {"const": kind},
        "created": _COUNT,
        "model": _TEXT,
        "system_fingerprint": _SANDBOX,
        "provider": _SANDBOX,
    }


_COMPLETION = _object(
    **_envelope("chat.completion"),
    choices=_list(
        _object(index=_COUNT, message=_MESSAGE, finish_reason=_FINISH_REASON, logprobs=_LOGPROBS)
    ),
    usage=_USAGE,
)
_CHUNK = _object(
    ("usage",),
    **_envelope("chat.completion.chunk"),
    choices=_list(
        _object(
            index=_COUNT,
            delta=_DELTA,
            finish_reason=_nullable(_FINISH_REASON),
            logprobs=_LOGPROBS,
        )
    ),
    usage=_nullable(_USAGE),
)
_ERROR = _object(
    error=_object(
        type=_TEXT,
        code=_TEXT,
        message=_TEXT,
        details=_list(_object(path=_TEXT, rule=_TEXT, message=_TEXT)),
        retryable={"const": False},
    ),
    timestamp={"type": "string", "format": "date-time"},
    request_id=_TEXT,
    rate_limit=_object(limit=_COUNT, remaining=_COUNT, reset=_COUNT),
    path=_TEXT,
)
