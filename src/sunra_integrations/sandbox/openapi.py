"""The endpoint's OpenAPI 3.1 document: what it checks, and every answer it gives by itself.

The request comes from the checks of `contract`, which state their rules as JSON Schemas. What
JSON Schema cannot say is said in words.
"""

from collections.abc import Collection
from typing import Any

from sunra_integrations.sandbox import answer_schemas
from sunra_integrations.sandbox.contract import REQUEST_SCHEMA
from sunra_integrations.sandbox.refusal import RATE_LIMIT
from sunra_integrations.sandbox.strict_json import MAX_DEPTH

COMPLETIONS_PATH = "/v1/chat/completions"
DOCUMENT_PATH = "/openapi.json"
MOST_BYTES = 64 * 1024 * 1024
"""The largest request body that is read."""

_JSON = "application/json"
_BODY_IN_WORDS = f"""\
Strict JSON: UTF-8 without a byte order mark, no key twice in an object, no NaN or Infinity, no \
half of a surrogate pair, at most {MAX_DEPTH} levels deep, at most {MOST_BYTES} bytes, not \
compressed. An integer is written without a fraction: 1.0 is none.

Beyond what the schema says: tools have distinct names and `tool_choice` names one of them; each \
tool call is answered by one tool message before anyone else speaks; what is passed as a JSON \
Schema is one, and keeps the rules of strict mode where `strict` is set. Unknown parameters are \
let through, without effect, and named in `x-sandbox-ignored`, unless they look like the \
misspelling of a known one."""

# Why each status is given; all of these carry the error body.
_REFUSALS = {
    400: "The body is not JSON, a value in it has the wrong type, its schemas take too many steps "
    "to check or to fill, the `Host` is neither a loopback name nor the address it is served on, "
    "or the request has a `Content-Length` and a `Transfer-Encoding`.",
    401: "There is no bearer key, or it is not known.",
    404: "The model is not served (`MODEL_NOT_FOUND`), or the path is none (`NOT_FOUND`).",
    405: "Another method than the one served here.",
    413: f"The body is larger than {MOST_BYTES} bytes.",
    415: "The content type is not `application/json`, or the body is compressed.",
    422: "A value has the right type and breaks a rule, or does not go with another.",
}
_OWN_HEADERS: dict[int, dict[str, str]] = {
    401: {"www-authenticate": "How to authenticate: `Bearer`."},
    405: {"allow": "The method served here."},
}


def document(models: Collection[str] | None = None) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        models: The models served; None where any name of the form ``vendor/name`` is.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The Sunra sandbox",
            "version": "1",
            "description": "A strict local stand-in for Sunra's chat completions. There is no "
            "model behind it: answers are made, deterministically, of the request's own words.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {
            COMPLETIONS_PATH: {"post": _completions()},
            DOCUMENT_PATH: {"get": _this_document()},
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
                "ChatCompletionRequest": _request(models),
                "ChatCompletion": answer_schemas.COMPLETION,
                "ChatCompletionChunk": answer_schemas.CHUNK,
                "Error": answer_schemas.ERROR,
            },
        },
    }


def _request(models: Collection[str] | None) -> dict[str, Any]:
    if models is None:
        return REQUEST_SCHEMA
    served = {"type": "string", "enum": sorted(models)}
    return {**REQUEST_SCHEMA, "properties": {**REQUEST_SCHEMA["properties"], "model": served}}


def _completions() -> dict[str, Any]:
    ignored = "A JSON list of the names of parameters that are not known and had no effect."
    answered = {
        "description": "The answer: whole, or as events where `stream` is true. An event's data "
        "is a chunk, and `[DONE]` at the end.",
        "headers": {**_headers(), "x-sandbox-ignored": _header(ignored, required=False)},
        "content": {
            _JSON: {"schema": _schema("ChatCompletion")},
            "text/event-stream": {"schema": _schema("ChatCompletionChunk")},
        },
    }
    return {
        "operationId": "createChatCompletion",
        "summary": "Answers a conversation.",
        "description": _BODY_IN_WORDS,
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": _schema("ChatCompletionRequest")}},
        },
        "responses": {"200": answered, **{str(status): _refused(status) for status in _REFUSALS}},
    }


def _this_document() -> dict[str, Any]:
    return {
        "operationId": "getDocument",
        "summary": "This document.",
        "security": [],
        "responses": {
            "200": {
                "description": "An OpenAPI 3.1 document.",
                "headers": _headers(),
                "content": {_JSON: {"schema": {"type": "object", "required": ["openapi"]}}},
            },
            "400": _refused(400),
            "405": _refused(405),
        },
    }


def _refused(status: int) -> dict[str, Any]:
    own = {name: _header(text) for name, text in _OWN_HEADERS.get(status, {}).items()}
    return {
        "description": _REFUSALS[status],
        "headers": {**_headers(), **own},
        "content": {_JSON: {"schema": _schema("Error")}},
    }


def _headers() -> dict[str, Any]:
    """The headers of every answer."""
    count = {"type": "integer", "minimum": 0}
    quota = {
        f"x-ratelimit-{name}": _header(f"Always {value}: nothing is limited here.", count)
        for name, value in RATE_LIMIT.items()
    }
    return {"x-request-id": _header("The id of the request, the same for the same body."), **quota}


def _header(
    description: str, schema: dict[str, Any] | None = None, *, required: bool = True
) -> dict[str, Any]:
    return {
        "description": description,
        "required": required,
        "schema": schema or {"type": "string"},
    }


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
