"""(status, headers, body) to the right `SunraError`.

A status alone can mislead: Sunra is known to send rate limits as 403 and access errors as 500. So
the class of an error depends on its code first, then on phrases that only one kind of failure has,
and on its status last. If the body has `retryable`, that overrides the default of the class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from sunra_integrations import errors
from sunra_integrations.protocol.error_body import ErrorFields, page_text, parse_error_body
from sunra_integrations.protocol.json_text import EMPTY, read_json
from sunra_integrations.protocol.reply import safe_headers
from sunra_integrations.protocol.restrictions import find_restriction

_FIX_IN_MESSAGE = (
    errors.AuthenticationFailed,
    errors.InsufficientCredit,
    errors.ModelNotFound,
    errors.ContextOverflow,
    errors.ContentRejected,
)
"""Classes whose fix fits every error, so that it is part of the message."""

_HINTS: dict[type[errors.SunraError], str] = {
    errors.ConfigurationError: "Redirects are not followed, because they would receive the key. "
    "Check the base URL.",
    **{kind: kind.fix for kind in _FIX_IN_MESSAGE},
}
_HINTS_FOR_CODES = {
    "previous_response_not_found": 'Only responses to calls with `extra_body={"store": True}` are '
    "stored.",
}

_NO_RESPONSES = 'This server may not have /v1/responses: use `api="chat"`.'

_RETRYABLE_STATUSES = frozenset((408, 409, 425, 429))
# C0 and C1 controls including line ends, which forge lines in a log; bidirectional overrides, which
# disguise a line; halves of surrogate pairs, which cannot be encoded.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_MAX_MESSAGE = 2000
_MAX_UPSTREAM = 1000
_MAX_FACT = 200


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, url: str = ""
) -> errors.SunraError:
    """The error for an HTTP response without success.

    Args:
        status: The HTTP status.
        headers: The headers, with names in lower case.
        body: The body: JSON of any known shape, HTML, or empty.
        now: Seconds since the epoch, for a `Retry-After` date in a response without `Date`.
        url: The URL of the request.
    """
    fields = parse_error_body(_decode(body), top_level=True)
    return _build(
        fields,
        status=status,
        request_id=headers.get("x-request-id"),
        retry_after=parse_retry_after(headers, now=now),
        response=errors.ErrorResponse(status, safe_headers(headers), body),
        url=url,
    )


def error_from_body(
    body: object, *, request_id: str | None = None, partial: Any = None, top_level: bool = False
) -> errors.SunraError:
    """The error in a response of status 200, a stream event or a choice.

    Args:
        body: The object with the error under `error`.
        request_id: The response's `x-request-id`.
        partial: The `Reply` received before the error.
        top_level: The object itself may be the error: `{"message": …}`, `{"detail": …}`.
    """
    return _build(
        parse_error_body(body, top_level=top_level), request_id=request_id, partial=partial
    )


def sanitize(message: str, max_length: int = _MAX_MESSAGE) -> str:
    """Text of a server as one line of limited length, without control characters."""
    message = _CONTROLS.sub(" ", message[: 4 * max_length]).strip()
    return message[:max_length] + "…" if len(message) > max_length else message


def _build(
    fields: ErrorFields,
    *,
    status: int | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
    response: errors.ErrorResponse | None = None,
    partial: Any = None,
    url: str = "",
) -> errors.SunraError:
    status = fields.status if status is None else status
    kind = _classify(fields, status)
    request_id = fields.request_id or request_id
    retryable = fields.retryable
    if retryable is None and status in _RETRYABLE_STATUSES:
        retryable = kind not in {errors.InsufficientCredit, errors.ContextOverflow}
    facts = [f"HTTP {status}"] if status is not None else []
    if fields.code and fields.code != str(status):
        facts.append(sanitize(fields.code, _MAX_FACT))
    facts += [f"request {sanitize(request_id, _MAX_FACT)}"] if request_id else []
    where = f" ({', '.join(facts)})" if facts else ""
    reason = sanitize(
        fields.message or (response and _describe_body(response)) or "Sunra did not give a reason"
    )
    upstream = sanitize(fields.upstream or "", _MAX_UPSTREAM).rstrip(".")
    hint = _HINTS_FOR_CODES.get(fields.code or "") or _HINTS.get(kind, "")
    # OpenAI sends a `param` with the 404 for an item of the input that it does not have.
    if kind is errors.NotFound and url.endswith("/v1/responses") and not (hint or fields.param):
        hint = _NO_RESPONSES
    more: dict[str, Any] = {}
    if kind is errors.UnsupportedParameter and (restriction := find_restriction(fields)):
        hint, more = restriction.remedy, {"parameter": restriction.parameter}
    sentences = [f"{reason.rstrip('.')}{where}", upstream, hint.rstrip(".")]
    message = ". ".join(filter(None, sentences)) + "."
    return kind(
        message,
        **more,
        status=status,
        code=fields.code,
        type=fields.type,
        reason=fields.reason,
        details=fields.details,
        request_id=request_id,
        retryable=retryable,
        retry_after=retry_after,
        response=response,
        partial=partial,
    )


def _describe_body(response: errors.ErrorResponse) -> str:
    """The title of a page, or the beginning of another body that is not JSON."""
    if not response.body.strip():
        return "The response had no body"
    return page_text(response.text) or response.text[:500]


def _decode(body: bytes) -> object:
    try:
        return read_json(body)
    except ValueError:
        return EMPTY


# ── classes of errors ────────────────────────────────────────────────────────

_CODES: dict[type[errors.SunraError], str] = {
    errors.ModelNotFound: (
        "model_not_found model_not_available model_not_exist model_not_supported "
        "model_decommissioned invalid_model invalid_model_id unknown_model unavailable_model "
        "deploymentnotfound"
    ),
    errors.PermissionDenied: (
        "model_access_denied permission_denied permission_error accessdeniedexception "
        "unsupported_country_region_territory forbidden"
    ),
    errors.InsufficientCredit: (
        "insufficient_credit insufficient_credits insufficient_quota insufficient_balance "
        "exceeded_current_quota_error arrearage credit_limit billing_error payment_required "
        "billing_hard_limit_reached"
    ),
    errors.AuthenticationFailed: (
        "invalid_api_key authentication_error account_deactivated unauthorized unauthenticated"
    ),
    errors.BadRequest: "invalid_input invalid_request_error",
    errors.ContentRejected: (
        "unsafe_content content_policy_violation content_filter responsibleaipolicyviolation "
        "data_inspection_failed moderation_blocked"
    ),
    errors.ContextOverflow: (
        "context_length_exceeded exceed_context_size_error context_window_exceeded "
        "model_context_window_exceeded model_max_prompt_tokens_exceeded too_many_prompt_tokens "
        "tokens_limit_reached string_above_max_length"
    ),
    errors.RateLimited: (
        "rate_limit rate_limited rate_limit_exceeded rate_limit_error too_many_requests "
        "throttlingexception limit_requests resource_exhausted"
    ),
    errors.Overloaded: (
        "overloaded overloaded_error engine_overloaded_error capacity_exceeded nocapacity "
        "service_unavailable unavailable"
    ),
    errors.ServerFailed: "service_provider_error internal_server_error server_error",
    errors.TimedOut: "timeout timeout_error deadline_exceeded",
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

_BY_STATUS: dict[int, type[errors.SunraError]] = {
    status: kind
    for kind in (getattr(errors, name) for name in errors.__all__)
    for status in vars(kind).get("http_statuses", ())
}

# Error types that stand for an HTTP status, for stream events, which have no status.
_STATUS_OF_TYPE = {"not_found_error": 404, "not_found": 404, "request_too_large": 413}

_OF_INPUT = re.compile("invalid|validation|bad_?request|unprocessable|unsupported", re.IGNORECASE)


def _classify(fields: ErrorFields, status: int | None) -> type[errors.SunraError]:
    for code in (fields.code, fields.reason, fields.type):
        kind = _BY_CODE.get(code.lower()) if code else None
        if kind is errors.BadRequest:
            break  # such a code is too general: the message or the status may be more precise
        if kind is errors.ServerFailed:
            return _by_words(fields, status) or kind  # it may stand for any error of the provider
        if kind is not None:
            return kind
    return _by_words(fields, status) or _by_status(fields, status)


def _by_words(fields: ErrorFields, status: int | None) -> type[errors.SunraError] | None:
    if status in {401, 402, 429}:
        return None
    # Only those upstream codes count that are about the request: the upstream's key and credit
    # are not the caller's.
    upstream_kind = _BY_CODE.get((fields.upstream_code or "").lower())
    if upstream_kind in {errors.ContextOverflow, errors.ContentRejected, errors.ModelNotFound}:
        return upstream_kind
    words = f"{fields.message or ''} {fields.upstream or ''}"
    if is_context_overflow(words):
        return errors.ContextOverflow
    if status is not None and status >= 500:  # noqa: PLR2004 - the HTTP class
        return None
    if is_rejection(words):
        return errors.ContentRejected
    if is_unknown_model(words):
        return errors.ModelNotFound
    if find_restriction(fields) is not None:
        return errors.UnsupportedParameter
    return errors.RateLimited if status is None and is_rate_limit(words) else None


def _by_status(fields: ErrorFields, status: int | None) -> type[errors.SunraError]:
    if status is None:
        status = _STATUS_OF_TYPE.get((fields.type or fields.code or "").lower())
    if status is None:
        is_about_input = any(code and _OF_INPUT.search(code) for code in (fields.code, fields.type))
        return errors.BadRequest if is_about_input else errors.ServerFailed
    if 300 <= status < 400:  # noqa: PLR2004 - the HTTP class
        return errors.ConfigurationError
    by_status = _BY_STATUS.get(status)
    if by_status is errors.NotFound and fields.message and "model" in fields.message.lower():
        return errors.ModelNotFound
    if by_status is not None:
        return by_status
    return errors.ServerFailed if status >= 500 else errors.BadRequest  # noqa: PLR2004 - the HTTP class


# ── phrases ──────────────────────────────────────────────────────────────────

# Status and code are often only "400, invalid_request_error". So some kinds of failure are
# recognized by phrases, each with the servers that send it.

_MAX_READ = 4000
"""Longest part of a message that is searched."""

# "exceeds the context window", "exceed context limit", "exceeded max context length"
_EXCEEDS = (
    r"exceed(?:s|ed|ing)?(?: the| model)?(?: max(?:imum)?| available| model'?s?| configured)*"
)
_OVERFLOW = (
    r"maximum (?:context|prompt|model) length",  # OpenAI, OpenRouter, vLLM, Mistral, DeepSeek, xAI
    r"(?:context|prompt)[ _](?:length|window|size)(?: is| was)?[ _]exceed",  # LocalAI and proxies
    rf"{_EXCEEDS} context",  # OpenAI, Ollama, llama.cpp, Anthropic
    r"context[ _](?:window|length)[ _]exceeds",  # MiniMax
    r"context overflow|overflows? the context|context the overflows",  # LM Studio
    r"(?:longer|greater|larger) than the (?:model'?s )?(?:maximum )?(?:context|model) length",
    r"too (?:large|long) for (?:the )?(?:model'?s )?context",
    r"configured context size is \d",  # DS4
    r"context length is only \d",  # vLLM
    r"model'?s maximum context limit",  # Together AI
    r"(?:prompt|input|conversation|request) (?:is |was )?too long",  # Anthropic, Bedrock, Ollama
    r"length of (?:all |the )?messages is too long",  # Perplexity
    r"(?:prompt|input) (?:tokens? )?(?:count )?exceeds? \d+ tokens",  # Perplexity
    r"prompt exceeds max",  # Z.ai
    r"too many (?:input |prompt )?tokens",  # Cohere, Bedrock
    r"reduce the length of (?:the |your )?(?:messages|prompt|input)",  # Groq, Cerebras, OpenAI
    r"(?:prompt|input) token count[^.]{0,80}(?:exceeds|only supports)",  # Gemini, Copilot
    r"exceeds? (?:the )?maximum (?:allowed )?(?:input length|number of (?:input )?tokens)",
    r"input tokens exceed the configured limit",  # OpenAI
    r"exceeded (?:the )?model(?:'s)? token limit",  # Moonshot
    r"exceed max message tokens",  # Volcengine
    r"token limit exceeded",  # Writer and proxies
    r"range of input length should be",  # DashScope
    r"`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than",  # TGI
    r"request body too large for \S+ model",  # GitHub Models
    r"string too long\. expected a string with maximum length",  # OpenAI
    r"超过[^。]{0,20}上下文|prompt 超长",  # Zhipu
)
# Rate limits on tokens per minute use the same words, and there waiting helps.
_RATE = r"rate[ _-]?limit|too many requests|throttl|per[ _-](?:minute|hour|day)|\bTPM\b|please wait"

_NAME = r"""[ :=]*(?:named |id |code )?[`'"]?[\w./:@+-]*[`'"]?"""
_IS_NOT_THERE = (
    r"(?:is |was |could |does |do |has )?(?:not (?:be )?(?:found|exist)|doesn'?t exist"
    r"|been (?:decommissioned|deprecated|retired)"
    r"|not (?:a valid|supported by any|available for your))"
)
_UNKNOWN_MODEL = (
    rf"\bmodels?\b{_NAME},? {_IS_NOT_THERE}",  # OpenAI, vLLM, Ollama, Mistral, Groq, Gemini
    r"is not a valid model",  # OpenRouter
    r"\b(?:unknown|invalid|unrecogni[sz]ed|no such) model\b(?! (?:output|response|parameter))",
    r"supported (?:api )?model names are",  # DeepSeek
    r"not found the model",  # Moonshot
    r"model (?:identifier|id|name) (?:is |was )?(?:invalid|unknown|not found|not valid)",  # Bedrock
    r"unable to access model",  # Together AI
    r"no endpoints found for \S",  # OpenRouter
    r"模型不存在",  # Zhipu
)

_REJECTION = (
    r"content management policy|content_?policy_?violation",  # Azure, LiteLLM
    r"flagged (?:as|for|by|due)|(?:input|prompt|content) (?:is |was |has been )?flagged",  # OpenAI
    r"content exists risk",  # DeepSeek
    r"considered high risk",  # Moonshot
    r"may contain inappropriate content",  # DashScope
    r"not allowed by our safety system",  # OpenAI's images
    r"blocked by (?:the |our )?(?:content|safety) (?:filter|policy|system)",  # proxies
    r"不安全或敏感内容",  # Zhipu
)

_OVERFLOW_WORDS = re.compile("|".join(_OVERFLOW), re.IGNORECASE)
_RATE_WORDS = re.compile(_RATE, re.IGNORECASE)
_REJECTION_WORDS = re.compile("|".join(_REJECTION), re.IGNORECASE)
_UNKNOWN_MODEL_WORDS = re.compile("|".join(_UNKNOWN_MODEL), re.IGNORECASE)


def is_context_overflow(message: str) -> bool:
    """Whether the message says that the conversation is longer than the model's context."""
    read = message[:_MAX_READ]
    return bool(_OVERFLOW_WORDS.search(read)) and not _RATE_WORDS.search(read)


def is_rate_limit(message: str) -> bool:
    """Whether the message says that there were too many requests."""
    return bool(_RATE_WORDS.search(message[:_MAX_READ]))


def is_rejection(message: str) -> bool:
    """Whether the message says that a filter rejected the input."""
    return bool(_REJECTION_WORDS.search(message[:_MAX_READ]))


def is_unknown_model(message: str) -> bool:
    """Whether the message says that the model is unknown."""
    return bool(_UNKNOWN_MODEL_WORDS.search(message[:_MAX_READ]))


# ── Retry-After ──────────────────────────────────────────────────────────────


def parse_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """How many seconds to wait before a retry, from the headers; None if they do not say.

    Reads `retry-after-ms`, then `Retry-After` in seconds or as an HTTP date. A date is relative to
    the `Date` of the response, so a wrong clock on the client does not matter.

    Args:
        headers: The headers, with names in lower case.
        now: Seconds since the epoch, for a response without `Date`.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    until = _epoch(value)
    if until is None:
        return None
    sent = _epoch(headers.get("date"))
    return max(0.0, until - (now if sent is None else sent))


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return max(0.0, seconds) if seconds is not None and math.isfinite(seconds) else None


def _epoch(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
