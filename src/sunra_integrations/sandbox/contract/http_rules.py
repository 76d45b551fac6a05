"""Rules for HTTP requests to the endpoint, and every error that the endpoint returns."""

import ipaddress
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn

from sunra_integrations.sandbox.contract.checks import Problem
from sunra_integrations.sandbox.contract.json_schema import MAX_STEPS

COMPLETIONS_PATH = "/v1/chat/completions"
RESPONSES_PATH = "/v1/responses"
DOCUMENT_PATH = "/openapi.json"
METHODS = {COMPLETIONS_PATH: "POST", RESPONSES_PATH: "POST", DOCUMENT_PATH: "GET"}
"""The method of each path."""

JSON_TYPE = "application/json"
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 96
MAX_DETAILS = 50
RATE_LIMIT = {"limit": 1000, "remaining": 999, "reset": 60}
"""Sent with every response. Nothing is limited here."""

# ── errors ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ErrorKind:
    """One reason to refuse a request.

    Args:
        status: The HTTP status.
        type: Sunra's family of the error.
        code: Sunra's code of the error.
        when: When it is returned, for the OpenAPI document.
        headers: The headers that come with it, each described.
    """

    status: int
    type: str
    code: str
    when: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def _invalid_input(status: int, when: str) -> ErrorKind:
    return ErrorKind(status, "invalid_request_error", "invalid_input", when)


MALFORMED = _invalid_input(400, "The body is not JSON, or a value in it has the wrong type.")
TOO_COMPLEX = _invalid_input(
    400, f"The schemas in the body take more than {MAX_STEPS} steps to check or to fill."
)
WRONG_HOST = _invalid_input(
    400, "The `Host` is neither a loopback name nor the address that the sandbox listens on."
)
TWO_LENGTHS = _invalid_input(
    400, "The request has both a `Content-Length` and a `Transfer-Encoding`."
)
UNAUTHORIZED = ErrorKind(
    401,
    "authentication_error",
    "UNAUTHORIZED",
    "The bearer key is missing or unknown.",
    {"www-authenticate": "How to authenticate: `Bearer`."},
)
MODEL_NOT_FOUND = ErrorKind(404, "not_found_error", "MODEL_NOT_FOUND", "The model is not served.")
PATH_NOT_FOUND = ErrorKind(404, "not_found_error", "NOT_FOUND", "The path does not exist.")
WRONG_METHOD = ErrorKind(
    405,
    "invalid_request_error",
    "METHOD_NOT_ALLOWED",
    "The path has another method.",
    {"allow": "The method of this path."},
)
TOO_LARGE = _invalid_input(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
UNSUPPORTED_BODY = _invalid_input(
    415, f"The content type is not `{JSON_TYPE}`, or the body is compressed."
)
BROKEN_RULE = _invalid_input(
    422, "A value of the right type breaks a rule, or does not go with another parameter."
)
# The codes that OpenAI has for these: https://github.com/openai/codex/issues/8145,
# https://github.com/maximhq/bifrost/issues/2441
PREVIOUS_RESPONSE_NOT_FOUND = ErrorKind(
    400,
    "invalid_request_error",
    "previous_response_not_found",
    "The response in `previous_response_id` is not stored.",
)
ITEM_NOT_FOUND = ErrorKind(
    404, "not_found_error", "item_not_found", "The item of an `item_reference` is not stored."
)
CHANGED_REASONING = ErrorKind(
    400,
    "invalid_request_error",
    "invalid_encrypted_content",
    "A reasoning item of the sandbox was changed, or is not before the item that it preceded.",
)
BROKEN_SCRIPT = ErrorKind(
    500, "test_error", "SCRIPT_FAILED", "A reply that a test scripted could not be sent."
)

DOCUMENTED_ERRORS = (
    MALFORMED,
    TOO_COMPLEX,
    WRONG_HOST,
    TWO_LENGTHS,
    UNAUTHORIZED,
    MODEL_NOT_FOUND,
    PATH_NOT_FOUND,
    WRONG_METHOD,
    TOO_LARGE,
    UNSUPPORTED_BODY,
    BROKEN_RULE,
)

ERRORS_OF_RESPONSES = (
    *DOCUMENTED_ERRORS,
    PREVIOUS_RESPONSE_NOT_FOUND,
    ITEM_NOT_FOUND,
    CHANGED_REASONING,
)


@dataclass(frozen=True)
class ErrorResponse:
    """An error for one request.

    Args:
        kind: The reason.
        message: What is wrong, and what to change.
        problems: Every problem found, if there can be several.
        headers: Values of the kind's headers, and others.
    """

    kind: ErrorKind
    message: str
    problems: Sequence[Problem] = ()
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def body(self, path: str, request_id: str) -> bytes:
        """Sunra's error body. Only its timestamp differs between equal requests."""
        details = [
            {"path": problem.path, "rule": problem.rule, "message": problem.message}
            for problem in self.problems[:MAX_DETAILS]
        ]
        error: dict[str, Any] = {
            "type": self.kind.type,
            "code": self.kind.code,
            "message": self.message,
            "details": details,
            "retryable": False,
        }
        return json.dumps(
            {
                "error": error,
                "timestamp": datetime.now(timezone.utc).isoformat(),
                "request_id": request_id,
                "rate_limit": RATE_LIMIT,
                "path": path,
            },
        ).encode()


def invalid_request(problems: Sequence[Problem]) -> ErrorResponse:
    """The error for a body with problems: 400 if one is malformed, otherwise 422.

    Args:
        problems: At least one.
    """
    first = next((problem for problem in problems if problem.malformed), problems[0])
    kind = MALFORMED if first.malformed else BROKEN_RULE
    more = f" ({len(problems) - 1} more in `details`)" if len(problems) > 1 else ""
    return ErrorResponse(kind, first.message + more, problems)


def too_complex(action: str) -> ErrorResponse:
    """The error for schemas that take too many steps to check or to fill."""
    message = (
        f"The request is too complex: its schemas take more than {MAX_STEPS} steps to {action}. "
        "Use fewer or simpler schemas."
    )
    return ErrorResponse(TOO_COMPLEX, message)


def model_not_found(problem: Problem) -> ErrorResponse:
    """The error for a model that is not served."""
    return ErrorResponse(MODEL_NOT_FOUND, problem.message, [problem])


def broken_script(message: str) -> ErrorResponse:
    """The error for a mistake in a test. It tells clients not to retry."""
    # The openai SDK obeys this header: `_should_retry` in `openai/_base_client.py`.
    return ErrorResponse(BROKEN_SCRIPT, message, headers={"x-should-retry": "false"})


def rate_limit_headers() -> dict[str, str]:
    """The rate-limit headers of every response."""
    return {f"x-ratelimit-{name}": str(value) for name, value in RATE_LIMIT.items()}


# ── the request line and the headers ─────────────────────────────────────────


def http_error(
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    host: str,
    keys: Collection[str] | None,
    too_large: bool,
) -> ErrorResponse | None:
    """The error of a request before its body is read, or None.

    Args:
        method: The HTTP method.
        path: The path, without query.
        headers: The headers, names in lower case.
        host: The address that the sandbox listens on.
        keys: The keys accepted. None accepts any.
        too_large: Whether the body is larger than `MAX_BODY_BYTES`.
    """
    served = METHODS.get(path)
    if served is None:
        message = f"The path {path[:200]!r} does not exist. Use {_PATHS}."
        return ErrorResponse(PATH_NOT_FOUND, message)
    if method != served:
        message = f"{path} does not accept {method}. Use {served}."
        return ErrorResponse(WRONG_METHOD, message, headers={"allow": served})
    error = _host_error(headers, host)
    if error is not None or path == DOCUMENT_PATH:
        return error
    return _key_error(headers, keys) or _body_error(headers, too_large=too_large)


def _host_error(headers: Mapping[str, str], host: str) -> ErrorResponse | None:
    asked = headers.get("host")
    if asked is not None and not is_served_host(asked, host):
        return ErrorResponse(WRONG_HOST, f"The host {asked[:200]!r} is not served here.")
    if {"content-length", "transfer-encoding"} <= headers.keys():  # request smuggling
        message = "A request must have a Content-Length or a Transfer-Encoding, not both."
        return ErrorResponse(TWO_LENGTHS, message, headers={"connection": "close"})
    return None


def _key_error(headers: Mapping[str, str], keys: Collection[str] | None) -> ErrorResponse | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        problem = "The request has no bearer key."
    elif keys is not None and key not in keys:
        problem = "The key is unknown."
    else:
        return None
    message = f"{problem} Send the header Authorization: Bearer <SUNRA_KEY>."
    return ErrorResponse(UNAUTHORIZED, message, headers={"www-authenticate": "Bearer"})


def _body_error(headers: Mapping[str, str], *, too_large: bool) -> ErrorResponse | None:
    kind = headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != JSON_TYPE:
        message = f"The content type must be {JSON_TYPE}, got {kind!r}."
        return ErrorResponse(UNSUPPORTED_BODY, message)
    if "content-encoding" in headers:
        return ErrorResponse(UNSUPPORTED_BODY, "The body must not be compressed.")
    if too_large:
        message = f"The body is larger than {MAX_BODY_BYTES} bytes."
        return ErrorResponse(TOO_LARGE, message)
    return None


_PATHS = f"{COMPLETIONS_PATH} or {RESPONSES_PATH}"
_ALL_ADDRESSES = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - compared with, not bound to
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-][a-z0-9._-]*))(:[0-9]*)?")


def is_served_host(header: str, bound: str) -> bool:
    """Whether a `Host` header names the sandbox, as a protection against DNS rebinding.

    Args:
        header: The `Host` header.
        bound: The address it listens on. A sandbox that listens on all of them serves any name.
    """
    name = _host_name(header)
    return bound in _ALL_ADDRESSES or name == bound.lower() or _is_loopback(name)


def _host_name(header: str) -> str:
    """The header without its port, or "" if it is not a host."""
    found = _HOST.fullmatch(header.strip().lower())
    return "" if found is None else found["address"] or found["name"].removesuffix(".")


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


# ── the body ─────────────────────────────────────────────────────────────────

BODY_RULES = (
    "The body is strict JSON: UTF-8 without a byte order mark, no duplicate key in an object, no "
    f"NaN or Infinity, no unpaired surrogate, at most {MAX_DEPTH} levels deep, at most "
    f"{MAX_BODY_BYTES} bytes, not compressed. An integer has no fraction: `1.0` is refused."
)
"""The JSON that `read_json` accepts, for the OpenAPI document."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class InvalidJson(ValueError):
    """The body is not strict JSON."""


def read_json(body: bytes) -> Any:
    """The value in a body, read by `BODY_RULES`: many servers are less strict.

    Raises:
        InvalidJson: With the reason.
    """
    if not body.strip():
        raise InvalidJson("it is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson(f"byte {error.start} is not UTF-8") from error
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None
    except InvalidJson:
        raise
    except ValueError as error:
        raise InvalidJson(str(error)) from error
    _check_depth(value)
    if _ESCAPED_SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJson(f"duplicate key {twice!r} in an object")
    return found


def _constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidJson(f"{digits[:40]} does not fit a 64-bit float")
    return value


def _check_depth(value: Any) -> None:
    """Goes level by level: a recursive walk could exhaust the stack."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _containers_in(outer)]
        if not level:
            return
    raise InvalidJson(_TOO_DEEP)


def _containers_in(value: Any) -> list[Any]:
    match value:
        case dict():
            children = list(value.values())
        case list():
            children = value
        case _:
            children = []
    return [child for child in children if isinstance(child, dict | list)]


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidJson("a string has an unpaired surrogate") from None
