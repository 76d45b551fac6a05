"""The endpoint's OpenAPI 3.1 document, built from the statements of the rules.

The request schemas come from the tables of parameters, the errors from `http_rules`. The schemas
of responses describe the default replies, while a test may queue anything.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sunra_integrations.sandbox.contract.checks import Schema
from sunra_integrations.sandbox.contract.completion_schemas import CHUNK, COMPLETION
from sunra_integrations.sandbox.contract.http_rules import (
    BODY_RULES,
    COMPLETIONS_PATH,
    DOCUMENT_PATH,
    DOCUMENTED_ERRORS,
    ERRORS_OF_RESPONSES,
    JSON_TYPE,
    METHODS,
    RATE_LIMIT,
    RESPONSES_PATH,
    TWO_LENGTHS,
    WRONG_HOST,
    WRONG_METHOD,
    ErrorKind,
)
from sunra_integrations.sandbox.contract.parameter_table import UNKNOWN_PARAMETERS
from sunra_integrations.sandbox.contract.parameters import COMPLETION_REQUEST
from sunra_integrations.sandbox.contract.response_parameters import NAMES_OF_CHAT, RESPONSE_REQUEST
from sunra_integrations.sandbox.contract.response_schemas import EVENT, RESPONSE
from sunra_integrations.sandbox.contract.schema_parts import (
    COUNT,
    TEXT,
    list_schema,
    object_schema,
)


def document(models: Collection[str] | None = None) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        models: The models served. Defaults to any name like ``vendor/name``.
    """
    operations = {
        COMPLETIONS_PATH: _create_completion(),
        RESPONSES_PATH: _create_response(),
        DOCUMENT_PATH: _get_document(),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The Sunra sandbox",
            "version": "1",
            "description": "A strict local server with Sunra's APIs for chat completions and "
            "responses. Replies are rule-based and deterministic, not from a model.",
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
                "ChatCompletionRequest": COMPLETION_REQUEST.schema(models),
                "ChatCompletion": COMPLETION,
                "ChatCompletionChunk": CHUNK,
                "ResponseRequest": RESPONSE_REQUEST.schema(models),
                "Response": RESPONSE,
                "ResponseEvent": EVENT,
                "Error": _ERROR,
            },
        },
    }


# ── operations ───────────────────────────────────────────────────────────────


def _create_completion() -> dict[str, Any]:
    return {
        "operationId": "createChatCompletion",
        "summary": "Creates a chat completion.",
        "description": f"{BODY_RULES}\n\n{UNKNOWN_PARAMETERS}",
        "requestBody": _request_body("ChatCompletionRequest"),
        "responses": {
            "200": _succeeded(
                "The completion, or its events if `stream` is true. The data of an event is a "
                "chunk, and `[DONE]` at the end.",
                "ChatCompletion",
                "ChatCompletionChunk",
            ),
            **_errors(DOCUMENTED_ERRORS),
        },
    }


def _create_response() -> dict[str, Any]:
    return {
        "operationId": "createResponse",
        "summary": "Creates a response.",
        "description": f"{BODY_RULES}\n\n{UNKNOWN_PARAMETERS} {NAMES_OF_CHAT}",
        "requestBody": _request_body("ResponseRequest"),
        "responses": {
            "200": _succeeded(
                "The response, or its events if `stream` is true. The last event has the whole "
                "response.",
                "Response",
                "ResponseEvent",
            ),
            **_errors(ERRORS_OF_RESPONSES),
        },
    }


def _request_body(schema: str) -> dict[str, Any]:
    return {"required": True, "content": {JSON_TYPE: {"schema": _reference(schema)}}}


def _succeeded(description: str, whole: str, event: str) -> dict[str, Any]:
    ignored = "A JSON list of the unknown parameters, which had no effect."
    return {
        "description": description,
        "headers": {**_headers(), "x-sandbox-ignored": _header(ignored, required=False)},
        "content": {
            JSON_TYPE: {"schema": _reference(whole)},
            "text/event-stream": {"schema": _reference(event)},
        },
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


_ERROR = object_schema(
    error=object_schema(
        type=TEXT,
        code=TEXT,
        message=TEXT,
        details=list_schema(object_schema(path=TEXT, rule=TEXT, message=TEXT)),
        retryable={"const": False},
    ),
    timestamp={"type": "string", "format": "date-time"},
    request_id=TEXT,
    rate_limit=object_schema(limit=COUNT, remaining=COUNT, reset=COUNT),
    path=TEXT,
)
