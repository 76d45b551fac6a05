"""Every status, code and body of an error, end to end through chat and stream_chat."""

from __future__ import annotations

import json
import traceback

import httpx
import pytest

from sunra_integrations import errors
from tests.llama_index.conftest import KEY
from tests.llama_index.ways import WAYS
from tests.recorded_transport import Answer, completion, status

CHATS = ["chat", "achat", "stream_chat", "astream_chat"]

STATUSES: dict[int, tuple[type[errors.SunraError], bool]] = {
    302: (errors.ConfigurationError, False),
    400: (errors.BadRequest, False),
    401: (errors.AuthenticationFailed, False),
    402: (errors.InsufficientCredit, False),
    403: (errors.PermissionDenied, False),
    404: (errors.NotFound, False),
    408: (errors.TimedOut, True),
    409: (errors.BadRequest, True),
    413: (errors.BadRequest, False),
    418: (errors.BadRequest, False),
    422: (errors.BadRequest, False),
    429: (errors.RateLimited, True),
    500: (errors.ServerFailed, True),
    502: (errors.ServerFailed, True),
    503: (errors.Overloaded, True),
    504: (errors.TimedOut, True),
    529: (errors.Overloaded, True),
}
CODES: dict[tuple[int, str], tuple[type[errors.SunraError], bool]] = {
    (404, "MODEL_NOT_FOUND"): (errors.ModelNotFound, False),
    (400, "MODEL_NOT_FOUND"): (errors.ModelNotFound, False),
    (500, "MODEL_ACCESS_DENIED"): (errors.PermissionDenied, False),
    (403, "MODEL_ACCESS_DENIED"): (errors.PermissionDenied, False),
    (403, "RATE_LIMIT_EXCEEDED"): (errors.RateLimited, True),
    (403, "INSUFFICIENT_CREDIT"): (errors.InsufficientCredit, False),
    (429, "insufficient_quota"): (errors.InsufficientCredit, False),
    (400, "unsafe_content"): (errors.ContentRejected, False),
    (400, "invalid_input"): (errors.BadRequest, False),
    (400, "context_length_exceeded"): (errors.ContextOverflow, False),
    (500, "exceed_context_size_error"): (errors.ContextOverflow, False),
    (400, "service_provider_error"): (errors.ServerFailed, True),
    (500, "internal_server_error"): (errors.ServerFailed, True),
    (500, "a_code_never_seen"): (errors.ServerFailed, True),
}
BODIES = {
    "Sunra's": ({"error": {"code": "c", "message": "It failed."}}, "It failed"),
    "a text": ({"error": "It failed."}, "It failed"),
    "a status": ({"status": "failure", "message": "It failed."}, "It failed"),
    "a detail": ({"detail": "It failed."}, "It failed"),
    "a list of details": ({"detail": [{"loc": ["body", "n"], "msg": "too small"}]}, "body.n"),
    "vLLM's": ({"object": "error", "message": "It failed."}, "It failed"),
    "a page": (b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"),
    "nothing": (b"", "no body"),
}
OTHERS: dict[str, tuple[Answer, type[errors.SunraError]]] = {
    "an error in a 200": (completion({"error": {"message": "broke"}}), errors.ServerFailed),
    "no route": (httpx.ConnectError("no route"), errors.ConnectionFailed),
    "a reset": (httpx.ReadError("reset"), errors.ConnectionFailed),
    "no answer in time": (httpx.ReadTimeout("slow"), errors.TimedOut),
    "no connection in time": (httpx.ConnectTimeout("slow"), errors.TimedOut),
}


async def failed(llm, way: str) -> errors.SunraError:
    with pytest.raises(errors.SunraError) as raised:
        await WAYS[way](llm)
    assert KEY not in "".join(traceback.format_exception(raised.value))
    return raised.value


@pytest.mark.parametrize("way", CHATS)
@pytest.mark.parametrize("code", STATUSES)
async def test_a_status_is(line, way, code) -> None:
    error = await failed(line(status(code)).llm, way)
    assert (type(error), error.retryable) == STATUSES[code]
    assert error.status == code


@pytest.mark.parametrize("way", CHATS)
@pytest.mark.parametrize("code", CODES)
async def test_a_code_is(line, way, code) -> None:
    told = {"code": code[1], "message": "It failed.", "type": "t", "details": {"a": 1}}
    body = json.dumps({"error": told, "request_id": "req-1"}).encode()
    error = await failed(line(status(code[0], body)).llm, way)
    assert (type(error), error.retryable) == CODES[code]
    assert (error.code, error.request_id, error.details) == (code[1], "req-1", {"a": 1})


@pytest.mark.parametrize("way", CHATS)
@pytest.mark.parametrize("name", BODIES)
async def test_a_body_is_put_into_words(line, way, name) -> None:
    body, says = BODIES[name]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert says in str(await failed(line(status(400, raw)).llm, way))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OTHERS)
async def test_without_an_error_status(line, way, name) -> None:
    answer, kind = OTHERS[name]
    assert isinstance(await failed(line(answer).llm, way), kind)


@pytest.mark.parametrize("way", CHATS)
async def test_the_wait_that_the_server_asks_for_is_told(line, way) -> None:
    error = await failed(line(status(429, retry_after="7")).llm, way)
    assert error.retry_after == 7
    assert error.attempts == 1
