from __future__ import annotations

import json
import pickle
from email.utils import formatdate

import pytest

from sunra_integrations import errors
from sunra_integrations.protocol.error_parsing import (
    error_from_body,
    error_from_response,
    parse_retry_after,
    sanitize,
)

NOW = 1_800_000_000.0


def failed(status, body=b"", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from_response(status, headers or {}, raw, now=NOW)


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
def test_a_status_without_a_code_is_classified(status, kind, retryable):
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
def test_a_code_overrides_the_status(status, code, kind, retryable):
    error = failed(status, sunra(code))
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.code == code
    assert error.request_id == "req-1"
    assert error.details == {"a": 1}
    assert code in str(error)


@pytest.mark.parametrize(("status", "told"), [(503, False), (400, True), (429, False)])
def test_the_retryable_of_the_body_overrides_the_status(status, told):
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
        (b"<html><title>Bad &amp; worse</title>", "Bad & worse"),
        (b"<Error><Code>No</Code><Message>Not today</Message></Error>", "Not today"),
        (b"<html><style>p {}</style><body>Down</body>", "page instead of JSON: Down"),
        ({"error": None, "message": "beside null"}, "beside null"),
        ({"error": "Bad Request", "message": "spring's"}, "Bad Request: spring's"),
        ({"error": "Bad Request", "message": ["n is low", "m is high"]}, "n is low; m is high"),
        ({"error": "invalid_grant", "error_description": "OAuth's"}, "invalid_grant: OAuth's"),
        ({"error": ["`n` is required", "`m` is too"]}, "`n` is required; `m` is too"),
        ({"Message": "AWS's", "__type": "aws#ValidationException"}, "AWS's"),
        ({"title": "RFC 9457's", "status": 400}, "RFC 9457's"),
        (
            {"error": {"message": "m", "innererror": {"message": "Azure's"}}},
            "m (HTTP 400). Upstream",
        ),
        ({"error": {"message": "odd", "metadata": "m", "innererror": {"message": "i"}}}, "odd"),
        ({}, "{}"),
    ],
)
def test_every_shape_of_error_body_has_a_message(body, says):
    error = failed(400, body)
    assert type(error) is errors.BadRequest
    assert says in str(error)
    assert error.response.status_code == 400


PHRASES = {
    errors.ContextOverflow: [
        (
            "This model's maximum context length is 4097 tokens. However, your "
            "messages resulted in 5000"
        ),
        (
            "Your input exceeds the context window of this model. Please adjust "
            "your input and try again."
        ),
        "prompt is too long: 210000 tokens > 200000 maximum",
        (
            "input length and `max_tokens` exceed context limit: 188240 + 20000 > "
            "200000, decrease input"
        ),
        "Input is too long for requested model.",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575)",
        (
            "Unable to submit request because the input token count is 41042 but "
            "model only supports up"
        ),
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        (
            "Please reduce the length of the messages or completion. Current "
            "length is 9115 while limit"
        ),
        "This endpoint's maximum context length is 131072 tokens. However, you requested about",
        "Input length 300000 exceeds the maximum allowed input length of 262144 tokens.",
        "The input (140000 tokens) is longer than the model's context length (131072 tokens).",
        "prompt token count of 130000 exceeds the limit of 128000",
        "the request exceeds the available context size, try increasing it",
        "tokens to keep from the initial prompt is greater than the context length",
        "invalid params, context window exceeds limit (2013)",
        "Your request exceeded model token limit: 262144 (requested: 300000)",
        "Prompt contains 140000 tokens, too large for model with 131072 maximum context length",
        "Prompt has 70000 tokens, but the configured context size is 65536 tokens",
        "Range of input length should be [1, 129024]",
        "context length exceeded",
        "Request has too many tokens",
        "token limit exceeded for this model",
        "prompt too long; exceeded max context length by 1119046 tokens (ref: 9)",
        "The total length of all messages is too long.",
        "Input too long: 518063 input tokens, limit is 262144 for this model",
        "input tokens [9000] exceed context window [8192]",
        "User input tokens exceeds 127072 tokens",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
        "The decoder prompt (length 10000) is longer than the maximum model length of 8192.",
        "Requested token count exceeds the model's maximum context length of 4096 tokens.",
        "the input length exceeds the context length",
        "Request body too large for gpt-4o model. Max size: 8000 tokens.",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        "Too many input tokens. Max input tokens: 8000, request input token count: 8090",
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length",
        "Prompt exceeds max length",
        "The prompt is too long: 140000, model maximum context length: 131071",
        "Total tokens of image and text exceed max message tokens",
        "Input tokens exceed the configured limit of 272000 tokens",
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is",
        "max_tokens (4096) + prompt exceeds context window",
        "Requested 9000 tokens exceed model context limit of 8192",
        "context_length_exceeded",
        "The request is too large for the model's context window",
    ],
    errors.ModelNotFound: [
        "The model `x` does not exist or you do not have access to it.",
        "foo/bar is not a valid model ID",
        "Invalid model 'x'. Permitted models can be found in the documentation at https://docs",
        "Invalid model: foo",
        "The supported API model names are deepseek-chat or deepseek-reasoner, but you passed x.",
        "Model Not Exist",
        "The model `x` has been decommissioned and is no longer supported.",
        "models/foo is not found for API version v1main, or is not supported for generateContent",
        "Unable to access model foo. Please visit",
        "Model not found, inaccessible, and/or not deployed",
        'model "foo" not found, try pulling it first',
        "model 'foo' not found",
        "The provided model identifier is invalid.",
        "Unknown Model, please check the model code.",
        "Not found the model foo or Permission denied",
        "Invalid model name passed in model=foo. Call `/v1/models`",
        "The requested model 'foo' does not exist",
        "Model foo/bar is not supported by any provider you have enabled",
        "Unknown model: foo",
        "Model 'X' is not found",
        "Model does not exist. Please check it carefully.",
        "Specified model not found",
        "No endpoints found for foo/bar.",
        "Model not exist.",
        "The model foo does not exist or your team 123 does not have access to it",
        "model: claude-foo not found",
        "The model gpt-x was not found",
    ],
    errors.ContentRejected: [
        "The response was filtered due to the prompt triggering Azure's content management policy.",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        'moderation is required. Your input was flagged for "violence". No credits were charged.',
        "Content Exists Risk",
        "The request was rejected because it was considered high risk",
        "litellm.ContentPolicyViolationError: litellm.BadRequestError: AzureException",
        "系统检测到输入或生成内容可能包含不安全或敏感内容",
    ],
    errors.BadRequest: [  # similar to those above
        "max_tokens is too large: 100000. This model supports at most 4096 completion tokens,",
        "Too many tokens, please wait before trying again.",
        "Rate limit reached for tokens per minute (TPM): Limit 6000, Requested 9000",
        "Invalid value for temperature",
        "`temperature` must be at most 2",
        "tool 'x' not found",
        "The number of tools exceeds the limit of 128",
        "Model is overloaded",
        "image exceeds the maximum size",
        "Too many images in request",
        "model output is not valid JSON",
        "Invalid model output",
        "The file 'x' was not found",
        "Provider returned error",
        "stop: too many sequences, maximum length is 4",
        "user: string too long",
    ],
}
STATUSES_AND_HINTS = {
    errors.ContextOverflow: ([400, 413, 422, 500], "Send fewer or shorter messages"),
    errors.ModelNotFound: ([400, 403, 404, 422], "vendor/name"),
    errors.ContentRejected: ([400, 403, None], "Change the input"),
    errors.BadRequest: ([400], "HTTP 400"),
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [(kind, message) for kind, messages in PHRASES.items() for message in messages],
)
def test_the_message_decides_if_the_code_is_too_general(kind, message):
    statuses, hint = STATUSES_AND_HINTS[kind]
    for status in statuses:
        body = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
        error = error_from_body(body) if status is None else failed(status, body)
        assert type(error) is kind
        assert error.retryable is False
        assert hint in str(error)


def test_the_filter_of_azure_is_recognized_by_its_inner_error():
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {}}}
    error = failed(400, {"error": {"message": "No", "code": "400", "innererror": inner}})
    assert type(error) is errors.ContentRejected
    assert error.details == {"innererror": inner}


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        ({"type": "not_found_error", "message": "model: claude-9"}, errors.ModelNotFound, False),
        ({"type": "permission_error", "message": "No."}, errors.PermissionDenied, False),
        ({"type": "billing_error", "message": "No."}, errors.InsufficientCredit, False),
        ({"type": "request_too_large", "message": "No."}, errors.BadRequest, False),
        ({"type": "timeout_error", "message": "No."}, errors.TimedOut, True),
        ({"type": "engine_overloaded_error", "message": "No."}, errors.Overloaded, True),
        ({"code": "capacity_exceeded", "message": "No."}, errors.Overloaded, True),
        ({"__type": "a.b#ThrottlingException", "message": "No."}, errors.RateLimited, True),
        ({"statusCode": 401, "message": "No."}, errors.AuthenticationFailed, False),
        ({"status": 404, "message": "No."}, errors.NotFound, False),
        ({"code": "422", "message": "No."}, errors.BadRequest, False),
        ({"code": "9" * 5000, "message": "No."}, errors.ServerFailed, True),
        ({"message": "Requests rate limit exceeded"}, errors.RateLimited, True),
        ({"code": "exceeded_current_quota_error"}, errors.InsufficientCredit, False),
    ],
)
def test_an_error_in_a_response_is_classified_without_a_status(error, kind, retryable):
    raised = error_from_body({"error": error})
    assert type(raised) is kind
    assert raised.retryable is retryable


def test_tokens_per_minute_are_a_rate_limit():
    words = "Request too large: too many tokens per minute (TPM)"
    assert type(failed(429, {"error": {"message": words}})) is errors.RateLimited
    coded = {"error": {"message": words, "code": "rate_limit_exceeded"}}
    assert type(failed(413, coded)) is errors.RateLimited


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("too_many_prompt_tokens", errors.ContextOverflow),
        ("model_max_prompt_tokens_exceeded", errors.ContextOverflow),
        ("invalid_model", errors.ModelNotFound),
        ("unknown_model", errors.ModelNotFound),
        ("RESOURCE_EXHAUSTED", errors.RateLimited),
        ("UNAVAILABLE", errors.Overloaded),
    ],
)
@pytest.mark.parametrize("field", ["code", "type", "error_type", "status"])
def test_vendor_codes_are_recognized_in_any_field(field, name, kind):
    if field == "status" and not name.isupper():
        return
    assert type(failed(400, {"error": {"message": "No", field: name}})) is kind
    assert type(error_from_body({"error": {"message": "No", field: name}})) is kind


@pytest.mark.parametrize("field", ["type", "error_type"])
@pytest.mark.parametrize("name", ["validation", "validation_error", "invalid_request_error"])
def test_invalid_input_in_a_stream_is_not_retryable(field, name):
    error = error_from_body({"error": "`n` is too large", field: name})
    assert type(error) is errors.BadRequest
    assert error.retryable is False


def test_other_failures_in_a_stream_are_retryable():
    error = error_from_body({"error": "It broke", "error_type": "generation"})
    assert type(error) is errors.ServerFailed
    assert error.retryable is True


@pytest.mark.parametrize("words", ["model " * 20_000, "exceed the max " * 20_000, "x" * 300_000])
def test_only_the_beginning_of_a_huge_message_is_searched(words):
    assert len(str(failed(400, {"error": {"message": words}}))) < 2_300


def test_a_response_that_is_not_stored_hints_at_store():
    # github.com/maximhq/bifrost/issues/2441
    code, words = "previous_response_not_found", "Previous response with id 'resp_1' not found."
    error = failed(400, {"error": {"code": code, "message": words}})
    assert type(error) is errors.BadRequest
    assert 'calls with `extra_body={"store": True}` are stored.' in str(error)


def test_a_redirect_hints_at_the_base_url():
    assert "Check the base URL" in str(failed(302))


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
def test_retry_after(headers, seconds):
    assert parse_retry_after(headers, now=NOW) == seconds
    assert failed(429, headers=headers).retry_after == seconds


def test_control_characters_are_removed_from_messages():
    error = failed(400, {"error": {"message": "a\x1b[31mred\x00\r\n\x9b\u202eb"}})
    assert not set("\x1b\x00\r\x9b\u202e") & set(str(error))


def test_a_huge_message_is_cut():
    assert len(sanitize("x" * 100_000)) < 2100


def test_an_error_does_not_keep_cookies_and_credentials():
    headers = {"set-cookie": "session=1", "authorization": "Bearer k", "x-request-id": "r"}
    error = failed(500, headers=headers)
    assert dict(error.response.headers) == {"x-request-id": "r"}
    assert error.request_id == "r"


def test_an_error_can_be_pickled_with_its_attributes():
    error = failed(429, sunra("rate_limit", retryable=True), {"retry-after": "3"})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)
