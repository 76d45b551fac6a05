"""(status, headers, body) to the right SunraError.

A status alone can mislead: Sunra is known to send rate limits as 403 and access errors as 500. So
an error is classified by its code first, by words that only one kind of failure uses second, and
by its status last. `retryable`, where the body has it, wins over all of them.
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

_HINTS: dict[type[errors.SunraError], str] = {
    errors.ConfigurationError: "Redirects are not followed, because the key would go along; "
    "check the base URL.",
    errors.AuthenticationFailed: "Check the key in SUNRA_KEY or `api_key`; keys are made at "
    "https://sunra.ai/dashboard/api-tokens.",
    errors.InsufficientCredit: "Add credit to the Sunra account, or use a key of one that has it.",
    errors.ModelNotFound: "Models are named `vendor/name`, as in `openai/gpt-4o`; "
    "see https://sunra.ai/models.",
    errors.ContextOverflow: "Send fewer or shorter messages, or use a model with a larger context.",
    errors.ContentRejected: "Change the input; the same one will be declined again.",
}

_RETRYABLE_STATUSES = frozenset((408, 409, 425, 429))
# C0 and C1 controls, line ends included (they forge lines of a log), the bidirectional overrides
# that disguise one, and halves of surrogate pairs, which no terminal can be sent.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_LONGEST_MESSAGE = 2000
_LONGEST_UPSTREAM = 1000
_LONGEST_FACT = 200
_UNSAFE_HEADERS = frozenset(("set-cookie", "authorization", "proxy-authorization"))


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> errors.SunraError:
    """The error that an HTTP answer without success stands for.

    Args:
        status: The HTTP status.
        headers: The answer's headers, names in lower case.
        body: The answer's body as it came; JSON of any known shape, HTML, or empty.
        now: Seconds since the epoch, for a `Retry-After` given as a date where the answer has no
            `Date` header.
    """
    told = parse_error_body(_decode(body), top_level=True)
    kept = {name: value for name, value in headers.items() if name not in _UNSAFE_HEADERS}
    return _build(
        told,
        status=status,
        request_id=headers.get("x-request-id"),
        retry_after=parse_retry_after(headers, now=now),
        response=errors.ErrorResponse(status, kept, body),
    )


def error_from_body(
    body: object, *, request_id: str | None = None, partial: Any = None, top_level: bool = False
) -> errors.SunraError:
    """The error that a 200 answer, a stream event or a choice carries.

    Args:
        body: The object that holds the error under `error`, or is it where `top_level`.
        request_id: The answer's `x-request-id`.
        partial: The Reply of what had arrived before.
        top_level: The object itself is the error: `{"message": …}`, `{"detail": …}`.
    """
    return _build(
        parse_error_body(body, top_level=top_level), request_id=request_id, partial=partial
    )


def sanitize(message: str, longest: int = _LONGEST_MESSAGE) -> str:
    """Upstream text on one line, without control characters, cut to a length a log can bear."""
    message = _CONTROLS.sub(" ", message[: 4 * longest]).strip()
    return message[:longest] + "…" if len(message) > longest else message


def _build(
    told: ErrorFields,
    *,
    status: int | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
    response: errors.ErrorResponse | None = None,
    partial: Any = None,
) -> errors.SunraError:
    status = told.status if status is None else status
    kind = _classify(told, status)
    request_id = told.request_id or request_id
    retryable = told.retryable
    if retryable is None and status in _RETRYABLE_STATUSES:
        retryable = kind not in {errors.InsufficientCredit, errors.ContextOverflow}
    facts = [f"HTTP {status}"] if status is not None else []
    if told.code and told.code != str(status):
        facts.append(sanitize(told.code, _LONGEST_FACT))
    facts += [f"request {sanitize(request_id, _LONGEST_FACT)}"] if request_id else []
    where = f" ({', '.join(facts)})" if facts else ""
    said = sanitize(
        told.message or (response and _unread_words(response)) or "Sunra gave no reason"
    )
    upstream = sanitize(told.upstream or "", _LONGEST_UPSTREAM).rstrip(".")
    sentences = [f"{said.rstrip('.')}{where}", upstream, _HINTS.get(kind, "").rstrip(".")]
    message = ". ".join(filter(None, sentences)) + "."
    return kind(
        message,
        status=status,
        code=told.code,
        type=told.type,
        reason=told.reason,
        details=told.details,
        request_id=request_id,
        retryable=retryable,
        retry_after=retry_after,
        response=response,
        partial=partial,
    )


def _unread_words(response: errors.ErrorResponse) -> str:
    """What can be said of a body that is not JSON: what the page says, else its beginning."""
    if not response.body.strip():
        return "The answer had no body"
    return page_text(response.text) or response.text[:500]


def _decode(body: bytes) -> object:
    try:
        return read_json(body)
    except ValueError:
        return EMPTY


def parse_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The seconds a server asks to wait; None where it does not say or says nonsense.

    Reads `retry-after-ms`, then `Retry-After` in seconds or as an HTTP date. A date is measured
    from the answer's own `Date`, so a client's wrong clock does no harm.

    Args:
        headers: The answer's headers, names in lower case.
        now: Seconds since the epoch, used where the answer has no `Date`.
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


_BY_CODE: dict[str, type[errors.SunraError]] = {
    "model_not_found": errors.ModelNotFound,
    "model_not_available": errors.ModelNotFound,
    "model_not_exist": errors.ModelNotFound,
    "model_not_supported": errors.ModelNotFound,
    "model_decommissioned": errors.ModelNotFound,
    "invalid_model": errors.ModelNotFound,
    "invalid_model_id": errors.ModelNotFound,
    "unknown_model": errors.ModelNotFound,
    "unavailable_model": errors.ModelNotFound,
    "deploymentnotfound": errors.ModelNotFound,
    "model_access_denied": errors.PermissionDenied,
    "permission_denied": errors.PermissionDenied,
    "permission_error": errors.PermissionDenied,
    "accessdeniedexception": errors.PermissionDenied,
    "unsupported_country_region_territory": errors.PermissionDenied,
    "forbidden": errors.PermissionDenied,
    "insufficient_credit": errors.InsufficientCredit,
    "insufficient_credits": errors.InsufficientCredit,
    "insufficient_quota": errors.InsufficientCredit,
    "insufficient_balance": errors.InsufficientCredit,
    "exceeded_current_quota_error": errors.InsufficientCredit,
    "arrearage": errors.InsufficientCredit,
    "credit_limit": errors.InsufficientCredit,
    "billing_error": errors.InsufficientCredit,
    "payment_required": errors.InsufficientCredit,
    "billing_hard_limit_reached": errors.InsufficientCredit,
    "invalid_api_key": errors.AuthenticationFailed,
    "authentication_error": errors.AuthenticationFailed,
    "account_deactivated": errors.AuthenticationFailed,
    "unauthorized": errors.AuthenticationFailed,
    "unauthenticated": errors.AuthenticationFailed,
    "invalid_input": errors.BadRequest,
    "invalid_request_error": errors.BadRequest,
    "unsafe_content": errors.ContentRejected,
    "content_policy_violation": errors.ContentRejected,
    "content_filter": errors.ContentRejected,
    "responsibleaipolicyviolation": errors.ContentRejected,
    "data_inspection_failed": errors.ContentRejected,
    "moderation_blocked": errors.ContentRejected,
    "context_length_exceeded": errors.ContextOverflow,
    "exceed_context_size_error": errors.ContextOverflow,
    "context_window_exceeded": errors.ContextOverflow,
    "model_context_window_exceeded": errors.ContextOverflow,
    "model_max_prompt_tokens_exceeded": errors.ContextOverflow,
    "too_many_prompt_tokens": errors.ContextOverflow,
    "tokens_limit_reached": errors.ContextOverflow,
    "string_above_max_length": errors.ContextOverflow,
    "rate_limit": errors.RateLimited,
    "rate_limited": errors.RateLimited,
    "rate_limit_exceeded": errors.RateLimited,
    "rate_limit_error": errors.RateLimited,
    "too_many_requests": errors.RateLimited,
    "throttlingexception": errors.RateLimited,
    "limit_requests": errors.RateLimited,
    "resource_exhausted": errors.RateLimited,
    "overloaded": errors.Overloaded,
    "overloaded_error": errors.Overloaded,
    "engine_overloaded_error": errors.Overloaded,
    "capacity_exceeded": errors.Overloaded,
    "nocapacity": errors.Overloaded,
    "service_unavailable": errors.Overloaded,
    "service_provider_error": errors.ServerFailed,
    "internal_server_error": errors.ServerFailed,
    "server_error": errors.ServerFailed,
    "unavailable": errors.Overloaded,
    "timeout": errors.TimedOut,
    "timeout_error": errors.TimedOut,
    "deadline_exceeded": errors.TimedOut,
}

_BY_STATUS: dict[int, type[errors.SunraError]] = {
    401: errors.AuthenticationFailed,
    402: errors.InsufficientCredit,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    408: errors.TimedOut,
    429: errors.RateLimited,
    503: errors.Overloaded,
    504: errors.TimedOut,
    529: errors.Overloaded,
}

# These types add nothing to an HTTP status, and an event of a stream has none.
_STATUS_OF_TYPE = {"not_found_error": 404, "not_found": 404, "request_too_large": 413}

_OF_INPUT = re.compile("invalid|validation|bad_?request|unprocessable|unsupported", re.IGNORECASE)


def _classify(told: ErrorFields, status: int | None) -> type[errors.SunraError]:
    for code in (told.code, told.reason, told.type):
        kind = _BY_CODE.get(code.lower()) if code else None
        if kind is errors.BadRequest:
            break  # such a code is coarse: words and status may know better
        if kind is not None:
            return kind
    return _by_words(told, status) or _by_status(told, status)


def _by_words(told: ErrorFields, status: int | None) -> type[errors.SunraError] | None:
    if status in {401, 402, 429}:
        return None
    # Of the upstream's codes only those about the request count: its key and credit are not the
    # caller's.
    of_upstream = _BY_CODE.get((told.upstream_code or "").lower())
    if of_upstream in {errors.ContextOverflow, errors.ContentRejected, errors.ModelNotFound}:
        return of_upstream
    words = f"{told.message or ''} {told.upstream or ''}"
    if tells_overflow(words):
        return errors.ContextOverflow
    if status is not None and status >= 500:  # noqa: PLR2004 - the HTTP class
        return None
    if tells_rejection(words):
        return errors.ContentRejected
    if tells_unknown_model(words):
        return errors.ModelNotFound
    return errors.RateLimited if status is None and tells_rate_limit(words) else None


def _by_status(told: ErrorFields, status: int | None) -> type[errors.SunraError]:
    if status is None:
        status = _STATUS_OF_TYPE.get((told.type or told.code or "").lower())
    if status is None:
        spoken = any(code and _OF_INPUT.search(code) for code in (told.code, told.type))
        return errors.BadRequest if spoken else errors.ServerFailed
    if 300 <= status < 400:  # noqa: PLR2004 - the HTTP class
        return errors.ConfigurationError
    by_status = _BY_STATUS.get(status)
    if by_status is errors.NotFound and told.message and "model" in told.message.lower():
        return errors.ModelNotFound
    if by_status is not None:
        return by_status
    return errors.ServerFailed if status >= 500 else errors.BadRequest  # noqa: PLR2004 - the HTTP class


_LONGEST_READ = 4000
"""Characters of a message that are looked at, so that a huge one costs nothing."""

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
# The limit on tokens per minute is reached with the same words, and waiting helps there.
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


def tells_overflow(message: str) -> bool:
    """Whether the message is about a conversation longer than the model's context."""
    read = message[:_LONGEST_READ]
    return bool(_OVERFLOW_WORDS.search(read)) and not _RATE_WORDS.search(read)


def tells_rate_limit(message: str) -> bool:
    """Whether the message says that there were too many requests."""
    return bool(_RATE_WORDS.search(message[:_LONGEST_READ]))


def tells_rejection(message: str) -> bool:
    """Whether the message says that a filter declined the input."""
    return bool(_REJECTION_WORDS.search(message[:_LONGEST_READ]))


def tells_unknown_model(message: str) -> bool:
    """Whether the message is about an unknown model."""
    return bool(_UNKNOWN_MODEL_WORDS.search(message[:_LONGEST_READ]))
