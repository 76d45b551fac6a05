from __future__ import annotations

import json
import pickle
from email.utils import formatdate

import pytest

from sunra_integrations import errors
from sunra_integrations.protocol.failures import clean, failure
from sunra_integrations.protocol.retry_after import retry_after

NOW = 1_800_000_000.0


def failed(status, body=b"", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure(status, headers or {}, raw, now=NOW)


def sunra(code, message="It failed", **more):
    return {
        "error": {"type": "t", "code": code, "message": message, "details": {"a": 1}, **more},
        "timestamp": "2026-01-01T00:00:00Z",
        "request_id": "req-1",
        "rate_limit": {"limit": 1, "remaining": 0, "reset": 5},
        "path": "/v1/chat/completions",
    }


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, errors.BadRequest, False),
        (401, errors.AuthenticationFailed, False),
        (402, errors.InsufficientCredit, False),
        (403, errors.PermissionDenied, False),
        (404, errors.NotFound, False),
        (408, errors.TimedOut, True),
        (409, errors.BadRequest, True),
        (413, errors.BadRequest, False),
        (418, errors.BadRequest, False),
        (422, errors.BadRequest, False),
        (429, errors.RateLimited, True),
        (500, errors.ServerFailed, True),
        (502, errors.ServerFailed, True),
        (503, errors.Overloaded, True),
        (504, errors.TimedOut, True),
        (529, errors.Overloaded, True),
        (302, errors.ConfigurationError, False),
    ],
)
def test_a_status_alone_is_classified(status, kind, retryable):
    error = failed(status)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.status == status
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (404, "MODEL_NOT_FOUND", errors.ModelNotFound, False),
        (400, "MODEL_NOT_FOUND", errors.ModelNotFound, False),
        (500, "MODEL_ACCESS_DENIED", errors.PermissionDenied, False),
        (403, "MODEL_ACCESS_DENIED", errors.PermissionDenied, False),
        (403, "RATE_LIMIT_EXCEEDED", errors.RateLimited, True),
        (403, "INSUFFICIENT_CREDIT", errors.InsufficientCredit, False),
        (429, "insufficient_quota", errors.InsufficientCredit, False),
        (400, "unsafe_content", errors.ContentRejected, False),
        (400, "invalid_input", errors.BadRequest, False),
        (400, "context_length_exceeded", errors.ContextOverflow, False),
        (500, "exceed_context_size_error", errors.ContextOverflow, False),
        (400, "service_provider_error", errors.ServerFailed, True),
        (500, "internal_server_error", errors.ServerFailed, True),
        (500, "a_code_never_seen", errors.ServerFailed, True),
    ],
)
def test_a_code_knows_better_than_the_status(status, code, kind, retryable):
    error = failed(status, sunra(code))
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.code == code
    assert error.request_id == "req-1"
    assert error.details == {"a": 1}
    assert code in str(error)


@pytest.mark.parametrize(("status", "told"), [(503, False), (400, True), (429, False)])
def test_the_body_s_retryable_wins_over_the_status(status, told):
    assert failed(status, sunra("some_code", retryable=told)).retryable is told


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (sunra("c", "Sunra's own"), "Sunra's own"),
        ({"error": {"message": "OpenAI's", "type": "x", "param": None, "code": 400}}, "OpenAI's"),
        ({"error": "only text"}, "only text"),
        ({"status": "failure", "message": "a failure"}, "a failure"),
        ({"detail": "a detail"}, "a detail"),
        ({"detail": [{"loc": ["body", "n"], "msg": "too small"}]}, "body.n: too small"),
        ({"error": {"detail": [{"loc": "n", "msg": "bad"}]}}, "n: bad"),
        ({"object": "error", "message": "vLLM's"}, "vLLM's"),
        ({"error": {"details": ["one", {"message": "two"}]}}, "one; two"),
        (b"<html><title> 502 Bad\nGateway </title></html>", "502 Bad"),
        (b"<html>no title", "page"),
        (b"plain words", "plain words"),
        (b"", "no body"),
        (b"\xff\xfe", "400"),
        (b"[1, 2]", "[1, 2]"),
        ({"error": None, "message": "beside null"}, "beside null"),
        ({}, "{}"),
    ],
)
def test_every_shape_of_error_body_is_put_into_words(body, says):
    error = failed(400, body)
    assert type(error) is errors.BadRequest
    assert says in str(error)
    assert error.response.status_code == 400


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 8192 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "the request exceeds the available context size",
        "Input is too long for requested model",
    ],
)
def test_context_overflow_is_told_by_words_where_no_code_tells_it(words):
    assert type(failed(400, {"error": {"message": words}})) is errors.ContextOverflow


def test_a_model_that_is_not_found_is_told_by_words_too():
    error = failed(404, {"error": {"message": "The model `x/y` does not exist"}})
    assert type(error) is errors.ModelNotFound
    assert "vendor/name" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        (
            {
                "retry-after": formatdate(NOW + 9030, usegmt=True),
                "date": formatdate(NOW + 9000, usegmt=True),
            },
            30.0,
        ),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_every_way_to_ask_for_a_wait_is_understood(headers, seconds):
    assert retry_after(headers, now=NOW) == seconds
    assert failed(429, headers=headers).retry_after == seconds


def test_control_characters_of_upstream_text_never_reach_a_terminal():
    error = failed(400, {"error": {"message": "a\x1b[31mred\x00\r\n\x9b\u202eb"}})
    assert not set("\x1b\x00\r\x9b\u202e") & set(str(error))


def test_a_message_without_end_is_cut():
    assert len(clean("x" * 100_000)) < 2100


def test_cookies_and_credentials_are_not_kept_with_an_error():
    headers = {"set-cookie": "session=1", "authorization": "Bearer k", "x-request-id": "r"}
    error = failed(500, headers=headers)
    assert dict(error.response.headers) == {"x-request-id": "r"}
    assert error.request_id == "r"


def test_an_error_can_be_pickled_with_all_it_knows():
    error = failed(429, sunra("rate_limit", retryable=True), {"retry-after": "3"})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)
