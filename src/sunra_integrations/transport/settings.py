"""Key, address, patience: what a client is set to. The only reader of the environment."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport.retry import RetryPolicy

DEFAULT_BASE_URL = "https://api-llm.sunra.ai/v1"
DEFAULT_MAX_RESPONSE_BYTES = 256 * 1024 * 1024
KEY_VARIABLE = "SUNRA_KEY"
BASE_URL_VARIABLE = "SUNRA_BASE_URL"

AsyncTransport = Literal["auto", "httpx", "aiohttp"]
"""The library that carries async calls."""

_ENDPOINT = "/chat/completions"
_KEY = re.compile(r"[\x21-\x7e]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for what, in seconds; None waits for ever.

    Args:
        connect: For the TCP and TLS connection.
        read: For the answer to begin, on each attempt.
        write: For the server to take in a piece of the request.
        pool: For a free connection.
        stall: For the next data of an answer that has begun. Comments that keep a connection open
            are no data.
        total: For the call as a whole, retries and waits included.
    """

    connect: float | None = 10.0
    read: float | None = 600.0
    write: float | None = 60.0
    pool: float | None = 600.0
    stall: float | None = 300.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name, seconds in vars(self).items():
            if seconds is not None and not seconds > 0:
                raise ConfigurationError(
                    f"The {name} timeout was {seconds!r}; it must be above 0 seconds, or None."
                )


@dataclass(frozen=True)
class Settings:
    """What a client is set to. Make one with `resolve`, which checks and fills in.

    Its repr shows neither the key nor the headers, and pickling leaves the key out.
    """

    api_key: SecretStr
    base_url: str = DEFAULT_BASE_URL
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    default_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    max_connections: int | None = None
    """Connections open at once per process (sync) or event loop (async) and key; None sets no
    limit."""
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    """An answer longer than this, decompressed, is refused, streamed or not."""
    async_transport: AsyncTransport = "auto"
    """What carries async calls: `aiohttp`, which takes a fraction of the time when many are under
    way, or `httpx`. `auto` is aiohttp where it is installed (the extra `aiohttp` brings it) and
    the environment names no proxy."""

    @classmethod
    def resolve(
        cls,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        *,
        timeout: float | Timeouts | None = None,
        stall_timeout: float | None = None,
        total_timeout: float | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        default_headers: Mapping[str, str] | None = None,
        allow_http: bool = False,
        max_connections: int | None = None,
        max_response_bytes: int | None = None,
        async_transport: AsyncTransport = "auto",
    ) -> Settings:
        """Settings from arguments first, then the environment, then the defaults.

        Args:
            api_key: The key; else from `SUNRA_KEY`. No other vendor's variable is ever read.
            base_url: With or without `/v1`; else from `SUNRA_BASE_URL`, else Sunra's own.
            timeout: Seconds for an answer to begin, or all `Timeouts`.
            stall_timeout: Seconds for the next data of an answer that has begun.
            total_timeout: Seconds for the call as a whole.
            max_retries: Tries after the first one (2 by default).
            retry: The whole policy, where `max_retries` is not enough.
            default_headers: Sent with every request.
            allow_http: Permit plain http to a host that is not this machine. The key crosses the
                network readable.
            max_connections: Connections open at once; None sets no limit.
            max_response_bytes: The longest answer, decompressed, that is taken in, streamed or
                not; 256 MiB by default.
            async_transport: What carries async calls, `httpx` or `aiohttp`; `auto` is aiohttp
                where it is installed and the environment names no proxy.

        Raises:
            ConfigurationError: Something is missing or cannot be used, and what to do about it.
        """
        policy = retry or RetryPolicy()
        return cls(
            api_key=_key(api_key),
            base_url=resolved_base_url(base_url, allow_http=allow_http),
            timeouts=_timeouts(timeout, stall_timeout, total_timeout),
            retry=policy
            if max_retries is None or max_retries == policy.max_retries
            else replace(policy, max_retries=max_retries),
            default_headers=tuple(checked_headers(default_headers or {}).items()),
            max_connections=_at_least_one("max_connections", max_connections),
            max_response_bytes=_at_least_one("max_response_bytes", max_response_bytes)
            or DEFAULT_MAX_RESPONSE_BYTES,
            async_transport=_known_transport(async_transport),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles without the key; where it is loaded, the key comes from `SUNRA_KEY`."""
        rest = {name: value for name, value in vars(self).items() if name != "api_key"}
        return _with_key_of_this_process, (rest,)

    @property
    def endpoint(self) -> str:
        """The URL that requests go to."""
        return self.base_url + _ENDPOINT

    @property
    def is_https(self) -> bool:
        """Whether requests are encrypted on their way."""
        return not self.base_url.lower().startswith("http:")


def resolved_base_url(base_url: str | None, *, allow_http: bool = False) -> str:
    """The base URL as `Settings.resolve` finds it.

    Raises:
        ConfigurationError: It cannot be used.
    """
    given = base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    return _base_url(given, allow_http)


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, held against what HTTP allows; values do not appear in the error.

    Raises:
        ConfigurationError: A name or value could not stand in a header, or would carry the key.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} cannot be the name of an HTTP header.")
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"The value of the header {name!r} must be ASCII text without line breaks or "
                "other control characters; percent-encode the rest."
            )
        if name.lower() == "authorization":
            raise ConfigurationError("The Authorization header is made from `api_key`; set that.")
    return headers


def _at_least_one(name: str, number: int | None) -> int | None:
    # A limit of 0 connections would wait for a free one until the timeout.
    if number is not None and number < 1:
        raise ConfigurationError(f"`{name}` was {number!r}; it must be at least 1, or None.")
    return number


def _known_transport(name: AsyncTransport) -> AsyncTransport:
    if name not in get_args(AsyncTransport):
        known = ", ".join(get_args(AsyncTransport))
        raise ConfigurationError(f"`async_transport` was {name!r}; it must be one of {known}.")
    if name == "aiohttp" and find_spec("aiohttp") is None:
        raise ConfigurationError(
            "`async_transport` is aiohttp, which is not installed; "
            "install sunra-integrations[aiohttp]."
        )
    return name


def _with_key_of_this_process(rest: dict[str, Any]) -> Settings:
    return Settings(api_key=_key(None), **rest)


def _key(api_key: str | SecretStr | None) -> SecretStr:
    given = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
    if given is None:
        raise ConfigurationError(
            f"There is no Sunra key: set {KEY_VARIABLE} or pass `api_key`. "
            "Keys are made at https://sunra.ai/dashboard/api-tokens."
        )
    secret = given if isinstance(given, SecretStr) else SecretStr(given)
    _check_key(secret)
    return secret


def _check_key(secret: SecretStr) -> None:
    # Only what HTTP itself forbids: Sunra documents no shape of its keys.
    flaw = None
    if not secret.get_secret_value():
        flaw = "is empty"
    elif not _KEY.fullmatch(secret.get_secret_value()):
        flaw = "holds a space, a line break or another character that no key has"
    if flaw:
        raise ConfigurationError(
            f"The Sunra key {flaw}. Check `api_key` or {KEY_VARIABLE}: "
            "copied text often brings a line break along."
        )


@lru_cache(maxsize=64)  # clients are made for every call
def _base_url(given: str, allow_http: bool) -> str:
    url = given.strip().rstrip("/").removesuffix(_ENDPOINT).rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"The base URL cannot be read: {error}.") from error
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("The base URL holds a user name or password; leave it out.")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} is no base URL; it should look like {DEFAULT_BASE_URL}, without a query."
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ConfigurationError(
            f"{url!r} is plain http to another machine, where anyone on the way could read the "
            "key. Use https, or pass `allow_http=True` if you accept that."
        )
    return url if url.endswith("/v1") else f"{url}/v1"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _timeouts(
    timeout: float | Timeouts | None, stall: float | None, total: float | None
) -> Timeouts:
    match timeout:
        case None:
            timeouts = Timeouts()
        case Timeouts():
            timeouts = timeout
        case _:
            timeouts = Timeouts(read=timeout)
            timeouts = replace(timeouts, connect=min(timeout, timeouts.connect or timeout))
    if stall is not None:
        timeouts = replace(timeouts, stall=stall)
    if total is not None:
        timeouts = replace(timeouts, total=total)
    return timeouts
