"""Argument names: suggestions for unknown names, and names that look like credentials.

No error contains a value, because an unknown argument can be a key for another class.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.tools import is_server_tool, may_have_secrets

CALL_SETTINGS = frozenset(
    ("timeout", "stall_timeout", "total_timeout", "max_retries", "include_response_headers")
)
"""Settings of a client that a call can change. The others belong to the model object."""

EXTRA_HEADERS = "extra_headers"
"""The argument of a call that holds its own headers."""

_TIMEOUT_ALIAS = "request_timeout"
"""ChatOpenAI's name for `timeout`."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NOT_LETTERS = re.compile(r"[^a-z]")
_SECRETS = _names(
    "accesskey accesstoken apikey apisecret apitoken authorization bearer credential passphrase "
    "passwd password privatekey secretkey"
)
_SECRETS_AS_WORDS = _names("auth cookie cookies jwt oauth pwd secret secrets")
_KEYS_OF_DATA = _names(
    "answer cache column conversation dict field foreign group idempotency input item json label "
    "memory message metadata object output partition primary prompt property response routing seed "
    "shard sort stop text thread trace"
)
_KEYS_OF_ACCESS = _names("access api auth encryption license master private secret signing")
_TOKENS_OF_TEXT = _names(
    "audio begin bias boi bos bot call cls completion end eoi eom eos eot fill first image input "
    "last mask max min new next output pad per prefill prompt repeat sep skip soft special start "
    "stop text think tool total trigger unk video"
)
_TOKENS_OF_ACCESS = _names("access api auth bearer id refresh session")


def with_timeout(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with `request_timeout` renamed to `timeout`.

    Raises:
        InvalidParameter: Both were passed, with different values.
    """
    arguments = dict(given)
    if _TIMEOUT_ALIAS in arguments:
        seconds = arguments.pop(_TIMEOUT_ALIAS)
        if arguments.setdefault("timeout", seconds) is not seconds:
            raise InvalidParameter(
                f"`timeout` and `{_TIMEOUT_ALIAS}` are the same setting; pass one of them.",
                parameter=_TIMEOUT_ALIAS,
                rule="cannot be combined with `timeout`",
            )
    return arguments


class CallArguments(NamedTuple):
    """The keyword arguments of a call, by their use."""

    parameters: dict[str, Any]
    """Request parameters, and any unknown arguments."""
    settings: dict[str, Any]
    """Settings of the client for this call, out of `CALL_SETTINGS`."""
    headers: Any
    """The value of `extra_headers`, not validated."""


def split_call(given: Mapping[str, Any]) -> CallArguments:
    """The keyword arguments of a call: request parameters, client settings and headers.

    Raises:
        InvalidParameter: As `with_timeout`.
    """
    arguments = with_timeout(given)
    settings = {name: arguments.pop(name) for name in CALL_SETTINGS & arguments.keys()}
    headers = arguments.pop(EXTRA_HEADERS, None)
    return CallArguments(arguments, settings, headers)


def looks_like_credential(name: str, value: object = "") -> bool:
    """Whether a name suggests that its value is a secret.

    A name does so if it contains a word such as `secret`, `password` or `authorization`, or ends
    in `key` or `token`. Words before that can rule it out: `prompt_cache_key`, `eos_token` and
    `max_tokens` are not credentials.

    Args:
        name: The name of an argument.
        value: Its value. None, True and False are never secrets. A number is not a secret if the
            name only ends in `key` or `token`.
    """
    if value is None or isinstance(value, bool):
        return False
    letters = _NOT_LETTERS.sub("", name.lower())
    if any(secret in letters for secret in _SECRETS):
        return True
    words = [word.lower() for word in _WORDS.findall(name) if not word.isdigit()]
    if not _SECRETS_AS_WORDS.isdisjoint(words):
        return True
    if isinstance(value, (int, float)):
        return False
    *before, last = words or [""]
    match last:
        case "key":
            return _KEYS_OF_DATA.isdisjoint(before)
        case "token":
            return _TOKENS_OF_TEXT.isdisjoint(before)
        case "keys":
            return not _KEYS_OF_ACCESS.isdisjoint(before)
        case _:
            return last == "tokens" and not _TOKENS_OF_ACCESS.isdisjoint(before)


def check_no_credentials(given: Mapping[Any, object], *, where: str) -> None:
    """Rejects names that look like credentials, because traces and the server would see them.

    Args:
        given: A request body, or the arguments of a call.
        where: The argument that contains the names, such as `extra_body`, for the error.

    Raises:
        InvalidParameter: A name looks like a credential. The error does not contain its value.
    """
    for name, value in given.items():
        if isinstance(name, str) and looks_like_credential(name, value):
            raise InvalidParameter(
                f"`{name}` in {where} looks like a credential. Credentials do not belong in a "
                "request body, and traces would show them. Pass Sunra's key as `api_key` of the "
                'model; `model_copy(update={"api_key": …})` creates a model with another key. Pass '
                "other secrets as headers (`default_headers`, `extra_headers`).",
                parameter=name,
                rule="no credentials in a request body",
            )


def check_call(arguments: Mapping[str, Any]) -> None:
    """Rejects credentials in the arguments of a call, before a callback or a trace sees them.

    Raises:
        InvalidParameter: As `check_no_credentials` and `check_tool_secrets`, for the arguments and
            for `extra_body`.
    """
    check_no_credentials(arguments, where="a call")
    check_tool_secrets(arguments.get("tools"))
    extra_body = arguments.get("extra_body")
    if isinstance(extra_body, Mapping):
        check_no_credentials(extra_body, where="`extra_body`")
        check_tool_secrets(extra_body.get("tools"))


def check_tool_secrets(tools: object) -> None:
    """Rejects secrets of built-in tools that are plain text, because traces would show them.

    Args:
        tools: Tools in any form. Only those that the server runs are checked.

    Raises:
        InvalidParameter: A header, or a key that looks like a credential, is a string. The error
            does not contain its value. Or a tool is nested too deeply.
    """
    given = [tools] if isinstance(tools, Mapping) else tools
    for index, tool in enumerate(given if may_have_secrets(given) else ()):
        if is_server_tool(tool):
            try:
                where = next(_plain_secrets(tool), None)
            except RecursionError as error:
                raise InvalidParameter(
                    f"`tools[{index}]` is nested too deeply.", parameter="tools", rule="finite"
                ) from error.with_traceback(None)
            if where is not None:
                raise InvalidParameter(
                    f"`{where}` in `tools[{index}]`, a tool of type {tool['type']!r}, is plain "
                    "text, which traces would show. Wrap it in pydantic.SecretStr: only the "
                    "request then contains its value.",
                    parameter="tools",
                    rule="secrets of tools in pydantic.SecretStr",
                )


def _plain_secrets(given: Any, path: str = "", inside: str = "") -> Iterator[str]:
    """The places of secrets that are plain text, such as `headers.Authorization`.

    Args:
        given: A tool, or a value in it.
        path: Its place in the tool.
        inside: The nearest key above it.
    """
    if isinstance(given, (list, tuple)):
        for one in given:
            yield from _plain_secrets(one, path, inside)
    for name, value in given.items() if isinstance(given, Mapping) else ():
        where = f"{path}.{name}".lstrip(".")
        if not isinstance(value, str):
            if name not in _SCHEMAS:
                yield from _plain_secrets(value, where, str(name))
        elif value and _holds_secret(str(name), inside):
            yield where


_SCHEMAS = frozenset(("parameters", "tools"))
"""Keys with the schemas of functions, whose properties may have any name."""


def _holds_secret(name: str, inside: str) -> bool:
    if inside == "headers":
        return True
    # Filters of `file_search` have a `key`, OpenAI's `domain_secrets` have a `value`.
    return name != "key" and looks_like_credential(inside if name == "value" else name)


def check_known(
    names: Iterable[str], known: Collection[str], *, of: str, sendable: bool = False
) -> None:
    """Rejects unknown names; see `unknown_argument` for the arguments.

    Raises:
        InvalidParameter: A name is unknown. One error lists all of them.
    """
    unknown = unknown_arguments(names, known, of=of, sendable=sendable)
    if unknown is not None:
        raise unknown


def unknown_argument(
    name: str, known: Collection[str], *, of: str, sendable: bool = False
) -> InvalidParameter:
    """The error for an unknown name, with a suggestion. It never contains the value.

    Args:
        name: The unknown name.
        known: The known names.
        of: What the names belong to, such as `ChatSunra`.
        sendable: Whether an unknown parameter can be sent in `extra_body`.
    """
    return InvalidParameter(
        f"`{name}` is not a parameter of {of}. {_hint(name, known, sendable)}".rstrip(),
        parameter=name,
        rule=f"a parameter of {of}" + (", or a key of `extra_body`" if sendable else ""),
    )


def unknown_arguments(
    names: Iterable[str], known: Collection[str], *, of: str, sendable: bool = False
) -> InvalidParameter | None:
    """One error for all unknown names, or None; see `unknown_argument`."""
    found = [
        unknown_argument(name, known, of=of, sendable=sendable)
        for name in names
        if name not in known
    ]
    if len(found) < 2:  # noqa: PLR2004 - several
        return found[0] if found else None
    return InvalidParameter(
        " ".join(map(str, found)), parameter=found[0].parameter, rule=found[0].rule
    )


def _hint(name: str, known: Collection[str], sendable: bool) -> str:
    if name in _EXPLAINED:
        return _EXPLAINED[name]
    if name not in _OF_OTHER_APIS:
        if real := _same(name, known):
            return f"Did you mean `{real}`?"
        setting = _same(name, CONNECTION_SETTINGS)
        if setting == "extra_headers":  # the adapters know it, so this is the plain client
            return "Pass headers as `headers=…` to `create` or `stream`."
        if setting:
            return (
                f"`{setting}` is a setting of the model or client: pass it to the constructor. "
                f'`model_copy(update={{"{setting}": …}})` creates a changed copy of a model.'
            )
        if close := difflib.get_close_matches(name, known, n=1):
            others = " Pass other parameters in `extra_body`." * sendable
            return f"Did you mean `{close[0]}`?{others}"
    return f'To send it in the request body, pass `extra_body={{"{name}": …}}`.' * sendable


def _same(name: str, known: Collection[str]) -> str | None:
    """The known name with the same meaning: without a prefix, or from another class."""
    for end in _ends(name):
        if end in known:
            return end
        for meant in _OTHER_NAMES.get(end, ()):
            if meant in known:
                return meant
    return "api_key" if "api_key" in known and looks_like_credential(name) else None


def _ends(name: str) -> Iterable[str]:
    """`openai_api_key`, `api_key`, `key`."""
    words = name.split("_")
    return ("_".join(words[start:]) for start in range(len(words)))


CONNECTION_SETTINGS = _names(
    "api_key base_url api_base timeout request_timeout stall_timeout total_timeout max_retries "
    "default_headers extra_headers include_response_headers allow_http max_connections "
    "max_response_bytes async_transport "
    "http_client http_async_client async_http_client budget stream_usage"
)

_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "api_base": ("base_url",),
    "base_url": ("api_base",),
    "endpoint": ("base_url", "api_base"),
    "url": ("base_url", "api_base"),
    "host": ("base_url", "api_base"),
    "timeout": ("timeout",),
    "headers": ("extra_headers", "default_headers"),
    "default_headers": ("extra_headers",),
    "retries": ("max_retries",),
    "tries": ("max_retries",),
    "http_async_client": ("async_http_client", "http_client"),
    "async_http_client": ("http_async_client", "http_client"),
    "async_client": ("http_async_client", "async_http_client"),
    "client": ("http_client",),
    "output_tokens": ("max_tokens",),
    "reasoning_options": ("reasoning",),
    "new_tokens": ("max_tokens",),
    "num_predict": ("max_tokens",),
    "model_id": ("model",),
    "model_name": ("model",),
    "engine": ("model",),
    "stop_sequences": ("stop",),
    "num_ctx": ("context_window",),
}
"""Names in other classes and services, with ours. The first known one is suggested."""

_OF_OTHER_APIS = _names(
    "top_k top_a min_p min_tokens repetition_penalty logit_bias verbosity store service_tier "
    "prompt_cache_key prompt_cache_retention safety_identifier prediction modalities audio "
    "web_search_options plugins transforms models route include_reasoning thinking "
    "truncation include text max_tool_calls context_management"
)
"""Body parameters of other services. They are not misspellings, so no other name is suggested."""

_OWN_CLIENT = "Set HTTPS_PROXY or SSL_CERT_FILE, or pass your own HTTP client as `http_client`."
_PREVIOUS = (
    'Pass `extra_body={"previous_response_id": …}`, and `extra_body={"store": True}` in the call '
    "before it."
)
_EXPLAINED: Mapping[str, str] = {
    "use_responses_api": 'Pass `api="responses"`.',
    "use_previous_response_id": _PREVIOUS,
    "track_previous_responses": _PREVIOUS,
    "previous_response_id": _PREVIOUS,
    "input": "Pass the conversation as `messages`.",
    "instructions": "Use a system message.",
    "call_metadata": 'Pass `extra_body={"metadata": …}`.',
    "verbosity": 'To send it, pass `extra_body={"verbosity": …}`, or with `api="responses"` '
    '`extra_body={"text": {"verbosity": …}}`.',
    "organization": "Sunra's keys belong to one account; leave it out.",
    "openai_organization": "Sunra's keys belong to one account; leave it out.",
    "project": "Sunra's keys belong to one account; leave it out.",
    "proxy": _OWN_CLIENT,
    "proxies": _OWN_CLIENT,
    "openai_proxy": _OWN_CLIENT,
    "verify": _OWN_CLIENT,
    "verify_ssl": _OWN_CLIENT,
    "repair": "Pass it to `with_structured_output` or `as_structured_llm`, or in the `llm_kwargs` "
    "of `structured_predict`.",
    "stream": "Call `stream(…)` for a stream, and `create(…)` for a complete response.",
    "functions": "Use `tools`.",
    "function_call": "Use `tool_choice`.",
}
