"""The settings of a client, validated. The only file that reads the environment."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import TypedDict

from sunra_integrations import requirements
from sunra_integrations.errors import ConfigurationError
from sunra_integrations.protocol.request import CHAT_PATH, RESPONSES_PATH
from sunra_integrations.transport.api_key import (
    KEY_VARIABLE,
    ApiKey,
    KeyFunction,
    StoredKey,
    checked_key,
    stored_key,
    type_name,
)
from sunra_integrations.transport.retry import RetryPolicy
from sunra_integrations.transport.timeouts import (
    AnyTimeout,
    Timeouts,
    combined_timeouts,
    read_timeout,
)

DEFAULT_BASE_URL = "https://api-llm.sunra.ai/v1"
DEFAULT_MAX_RESPONSE_BYTES = 256 * 1024 * 1024
BASE_URL_VARIABLE = "SUNRA_BASE_URL"
ALLOW_HTTP_VARIABLE = "SUNRA_ALLOW_HTTP"
"""The value `1` has the same effect as `allow_http=True`."""

AsyncTransport = Literal["auto", "httpx", "aiohttp"]
"""The HTTP library for async calls."""

_INVALID_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")  # `urlsplit` silently drops some of these
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FRAMING_HEADERS = frozenset(
    (
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers that the HTTP library sets for one connection or body (RFC 9110, 7.6.1)."""
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("", "0", "false", "no", "off"))


class ConnectionArguments(TypedDict, total=False):
    """The connection settings that clients and both adapters accept, for type checkers."""

    api_key: ApiKey | None
    timeout: AnyTimeout | None
    stall_timeout: float | None
    total_timeout: float | None
    max_retries: int | None
    default_headers: Mapping[str, str] | None
    include_response_headers: bool | None
    allow_http: bool
    max_connections: int | None
    max_response_bytes: int | None
    async_transport: AsyncTransport


class Options(ConnectionArguments, total=False):
    """The keyword arguments of `Settings.resolve` and of both clients."""

    base_url: str | None
    retry: RetryPolicy | None


@dataclass(frozen=True)
class Settings:
    """The settings of a client. Create them with `resolve`, which validates and adds defaults.

    The repr contains neither the key nor the headers. Pickles do not contain the key, and of a key
    function at most its name.
    """

    api_key: StoredKey
    base_url: str = DEFAULT_BASE_URL
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    default_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    include_response_headers: bool = False
    """Whether replies have all harmless headers of their response, not only rate limits."""
    max_connections: int | None = None
    """Maximum number of open connections per key, for each process (sync) or event loop (async).
    None disables the limit."""
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    """Maximum size of a response after decompression, streamed or not."""
    async_transport: AsyncTransport = "auto"
    """The HTTP library for async calls. `aiohttp` needs a fraction of the CPU time of `httpx` if
    many calls run at once. `auto` selects aiohttp if it is installed (extra `aiohttp`) and the
    environment configures no proxy for the base URL."""

    @classmethod
    def resolve(
        cls,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        *,
        timeout: AnyTimeout | None = None,
        stall_timeout: float | None = None,
        total_timeout: float | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        default_headers: Mapping[str, str] | None = None,
        include_response_headers: bool | None = None,
        allow_http: bool = False,
        max_connections: int | None = None,
        max_response_bytes: int | None = None,
        async_transport: AsyncTransport = "auto",
    ) -> Settings:
        """Settings from the arguments, then the environment, then the defaults.

        Args:
            api_key: API key, or a sync or async function that returns it, which is called for each
                attempt. Defaults to `SUNRA_KEY`. No other vendor's variable is read.
            base_url: With or without `/v1`. Defaults to `SUNRA_BASE_URL`, then to Sunra's URL.
            timeout: Seconds for a response to begin, and for each silence within it. Also
                `Timeouts`, an `httpx.Timeout`, or a tuple `(connect, read)`. Defaults to 600,
                then 300.
            stall_timeout: Seconds for each silence within a response. Defaults to `timeout`.
            total_timeout: Seconds for the whole call. Defaults to no limit.
            max_retries: Retries after the first attempt. Defaults to 2.
            retry: The complete retry policy, if `max_retries` is not enough.
            default_headers: Headers for every request.
            include_response_headers: Include all headers of the response in the reply, except
                cookies and credentials. Defaults to False: only those about rate limits.
            allow_http: Permit plain http to another machine. The key is then readable on the
                network. Defaults to `SUNRA_ALLOW_HTTP`.
            max_connections: Maximum number of open connections. Defaults to no limit.
            max_response_bytes: Maximum size of a response after decompression, streamed or not.
                Defaults to 256 MiB.
            async_transport: HTTP library for async calls, `httpx` or `aiohttp`. Defaults to
                `auto`: aiohttp if it is installed and no proxy is configured.

        Raises:
            ConfigurationError: A setting is missing or invalid. The message says how to fix it.
        """
        policy = RetryPolicy() if retry is None else retry
        _check_types(policy, allow_http)
        return cls(
            api_key=_key(api_key),
            base_url=resolved_base_url(base_url, allow_http=allow_http),
            timeouts=combined_timeouts(read_timeout(timeout), stall_timeout, total_timeout),
            retry=policy
            if max_retries is None or max_retries == policy.max_retries
            else replace(policy, max_retries=max_retries),
            default_headers=tuple(checked_headers(default_headers or {}).items()),
            include_response_headers=_switch("include_response_headers", include_response_headers),
            max_connections=_positive_integer("max_connections", max_connections),
            max_response_bytes=_positive_integer("max_response_bytes", max_response_bytes)
            or DEFAULT_MAX_RESPONSE_BYTES,
            async_transport=_known_transport(async_transport),
        )

    def __post_init__(self) -> None:
        """Wraps a key that is a plain string or function, as `dataclasses.replace` allows."""
        object.__setattr__(self, "api_key", stored_key(self.api_key))

    def with_key(self) -> Settings:
        """These settings, with the key of this process if they have none.

        Only settings loaded from a pickle can lack a key.

        Raises:
            ConfigurationError: `SUNRA_KEY` is missing or invalid.
        """
        return self if self.api_key.get_secret_value() else replace(self, api_key=_key(None))

    def __copy__(self) -> Settings:
        """The same object, because settings are immutable."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Settings:
        """The same object, because settings are immutable."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles everything except the key. The loading process reads it from `SUNRA_KEY`."""
        rest = {name: value for name, value in vars(self).items() if name != "api_key"}
        return _load_without_key, (rest, picklable_key(self.api_key))

    @property
    def endpoint(self) -> str:
        """The URL of the chat completions endpoint."""
        return self.base_url + CHAT_PATH

    @property
    def is_https(self) -> bool:
        """Whether connections are encrypted."""
        return not self.base_url.lower().startswith("http:")


def resolved_base_url(base_url: str | None, *, allow_http: bool = False) -> str:
    """The base URL that `Settings.resolve` determines.

    Raises:
        ConfigurationError: The URL is invalid.
    """
    given = base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    _check_string("base_url", given)
    return _base_url(given, allow_http or _environment_allows_http())


def _environment_allows_http() -> bool:
    value = os.environ.get(ALLOW_HTTP_VARIABLE, "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise ConfigurationError(
            f"{ALLOW_HTTP_VARIABLE} must be 1 to permit plain http, or 0, got {value!r}."
        )
    return value in _TRUE


@lru_cache(maxsize=64)  # every call resolves its settings
def _base_url(given: str, allow_http: bool) -> str:
    url = given.strip().rstrip("/").removesuffix(CHAT_PATH).removesuffix(RESPONSES_PATH).rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"Invalid base URL: {error}.") from error
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("The base URL must not contain a user name or password.")
    has_scheme = parts.scheme in {"http", "https"} and not _INVALID_IN_URLS.search(url)
    if not has_scheme or not host or parts.query or parts.fragment:
        raise ConfigurationError(
            f"Invalid base URL {url!r}. It must look like {DEFAULT_BASE_URL}, without a query."
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            f"The base URL {url!r} is plain http to another machine, so others on the network can "
            f"read the key. Use https, or accept the risk with `allow_http=True` or "
            f"{ALLOW_HTTP_VARIABLE}=1."
        )
    return url if url.endswith("/v1") else f"{url}/v1"


def is_loopback(host: str) -> bool:
    """Whether a host name or address belongs to this machine, without a DNS query."""
    # Names below .localhost do not count: some systems look them up in DNS.
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_loaded(base_url: str) -> None:
    """Checks that a model loaded from a serialised form may use the key of this process.

    The author of the serialised form chose the base URL. The key in `SUNRA_KEY` is therefore sent
    only to Sunra, to this machine, and to the URL in `SUNRA_BASE_URL`.

    Raises:
        ConfigurationError: The base URL is another one.
    """
    trusted = {DEFAULT_BASE_URL, resolved_base_url(None, allow_http=True)}
    if base_url not in trusted and not is_loopback(urlsplit(base_url).hostname or ""):
        raise ConfigurationError(
            f"The serialised model has the base URL {base_url!r}. The key in {KEY_VARIABLE} is not "
            f"sent there. If you trust that host, set {BASE_URL_VARIABLE} to it before loading, or "
            "pass a key: `secrets_map` of LangChain's `load`, `api_key` of LlamaIndex's "
            "`from_dict`."
        )


def _key(api_key: object) -> StoredKey:
    if api_key is not None:
        return checked_key(api_key, source="`api_key`")
    return checked_key(os.environ.get(KEY_VARIABLE), source=KEY_VARIABLE)


def picklable_key(key: StoredKey | None) -> KeyFunction | None:
    """The key if a pickle may contain it: a function, which is pickled by its name."""
    return key if isinstance(key, KeyFunction) else None


def _load_without_key(rest: dict[str, Any], key: KeyFunction | None = None) -> Settings:
    # Never fails: some process pools hang if a worker cannot load its task.
    try:
        return Settings(api_key=_key(key), **rest)
    except ConfigurationError:
        return Settings(api_key=SecretStr(""), **rest)


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, validated. Errors do not contain their values.

    Raises:
        ConfigurationError: A name or value is not valid in HTTP, replaces the key, or changes the
            framing of the request.
    """
    given: Any = headers
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"Headers must be a dict of names to strings, got {type_name(given)}."
        )
    for name, value in given.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"Invalid name of an HTTP header: {name!r}.")
        if not isinstance(value, str):
            raise ConfigurationError(
                f"The value of the header {name!r} must be a string, got {type_name(value)}."
            )
        if name.lower() in _FRAMING_HEADERS:
            raise ConfigurationError(
                f"The HTTP library sets the header {name!r} for each connection. Leave it out."
            )
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"The value of the header {name!r} must be ASCII text without line breaks or "
                "other control characters. Percent-encode other characters."
            )
        if name.lower() == "authorization":
            raise ConfigurationError(
                "The Authorization header is created from `api_key`; set that instead."
            )
    return headers


_DIGEST_SECRET = secrets.token_bytes(32)


def headers_digest(headers: Mapping[str, str], key: StoredKey) -> str:
    """A digest of headers for cache keys.

    It is keyed with the API key, because a plain hash of a short value can be guessed. With a key
    function it is keyed with a secret of this process, because tokens change.
    """
    named = sorted((name.lower(), value) for name, value in headers.items())
    secret = key.get_secret_value().encode() if isinstance(key, SecretStr) else _DIGEST_SECRET
    return hmac.new(secret, repr(named).encode(), "sha256").hexdigest()


def _check_types(retry: object, allow_http: object) -> None:
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"`retry` must be a RetryPolicy, got {type_name(retry)}.")
    _switch("allow_http", allow_http)


def _switch(name: str, value: object) -> bool:
    if value is not None and not isinstance(value, bool):  # a string such as "no" is true
        raise ConfigurationError(f"`{name}` must be True or False, got {value!r}.")
    return bool(value)


def _check_string(name: str, given: object) -> None:
    if not isinstance(given, str):
        raise ConfigurationError(f"`{name}` must be a string, got {type_name(given)}.")


def _positive_integer(name: str, number: Any) -> Any:
    # With a limit of 0 connections, a call would wait for a free one until the timeout.
    if number is not None and (
        not isinstance(number, int) or isinstance(number, bool) or number < 1
    ):
        raise ConfigurationError(
            f"`{name}` must be an integer of at least 1, or None, got {number!r}."
        )
    return number


def _known_transport(name: AsyncTransport) -> AsyncTransport:
    if name not in get_args(AsyncTransport):
        known = ", ".join(get_args(AsyncTransport))
        raise ConfigurationError(f"`async_transport` must be one of {known}, got {name!r}.")
    if name == "aiohttp":
        requirements.check("`async_transport`", "aiohttp", extra="aiohttp")
    return name
