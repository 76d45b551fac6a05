"""Key, address, patience: what a client is set to. The only reader of the environment."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from threading import TIMEOUT_MAX
from typing import Annotated, Any, Literal, Protocol, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr
from typing_extensions import TypedDict

from sunra_integrations import requirements
from sunra_integrations.errors import ConfigurationError, InvalidParameter
from sunra_integrations.transport.retry import RetryPolicy

DEFAULT_BASE_URL = "https://api-llm.sunra.ai/v1"
DEFAULT_MAX_RESPONSE_BYTES = 256 * 1024 * 1024
KEY_VARIABLE = "SUNRA_KEY"
BASE_URL_VARIABLE = "SUNRA_BASE_URL"
ALLOW_HTTP_VARIABLE = "SUNRA_ALLOW_HTTP"
"""Set to `1`, it has the effect of `allow_http=True`."""

AsyncTransport = Literal["auto", "httpx", "aiohttp"]
"""The library that carries async calls."""

_ENDPOINT = "/chat/completions"
_KEY = re.compile(r"[\x21-\x7e]+")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")  # some of it `urlsplit` leaves out of the host
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
_YES = frozenset(("1", "true", "yes", "on"))
_NO = frozenset(("", "0", "false", "no", "off"))


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
            _check_seconds(f"Timeouts({name}=…)", seconds, "None to wait without a limit")


class HttpxTimeout(Protocol):
    """An `httpx.Timeout`, or what is built like one."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


AnyTimeout = float | Timeouts | HttpxTimeout | Sequence[float | None]
"""What `timeout` may be: seconds, `Timeouts`, an `httpx.Timeout`, or `(connect, read)`."""


def read_timeout(given: Any) -> float | Timeouts | None:
    """A timeout of any accepted form as seconds, `Timeouts` or None.

    Where one time is given for the answer to begin, a silence within it may last as long.

    Raises:
        InvalidParameter: It is of no accepted form.
        ConfigurationError: A time in it is not above 0.
    """
    match given:
        case None | Timeouts():
            return given
        case str():
            return read_timeout(_number(given))
        case bool():
            raise _not_a_timeout(given)
        case int() | float():
            _check_seconds("timeout", given, "None for the default")
            return float(given)
        case Mapping():
            return _timeouts_by_name(given)
        case list() | tuple():
            return _timeouts_in_order(given)
        case _ if all(hasattr(given, name) for name in _IN_ORDER):
            times = {name: getattr(given, name) for name in _IN_ORDER}
            return Timeouts(**times, stall=times["read"])
        case _:
            raise _not_a_timeout(given)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _not_a_timeout(text) from None


_IN_ORDER = ("connect", "read", "write", "pool")
"""As httpx orders the times of a timeout that is given as a tuple."""


def _timeouts_by_name(given: Mapping[Any, Any]) -> Timeouts:
    names = [one.name for one in fields(Timeouts)]
    for name in given:
        if name not in names:
            raise InvalidParameter(
                f"{name!r} is not one of the times of `timeout`; they are {', '.join(names)}.",
                parameter="timeout",
                rule="the times that `Timeouts` has",
            )
    return Timeouts(**given)


def _timeouts_in_order(given: Sequence[Any]) -> Timeouts:
    if not 2 <= len(given) <= len(_IN_ORDER):  # noqa: PLR2004 - as in httpx and requests
        raise _not_a_timeout(given)
    named = dict(zip(_IN_ORDER, given, strict=False))
    return Timeouts(**named, stall=named["read"])


def _not_a_timeout(given: object) -> InvalidParameter:
    rule = "seconds, Timeouts(…), an httpx.Timeout, or a tuple (connect, read)"
    return InvalidParameter(
        f"`timeout` cannot be {given!r}; give {rule}.", parameter="timeout", value=given, rule=rule
    )


def _check_seconds(name: str, seconds: Any, otherwise: str) -> None:
    if seconds is None:
        return
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not 0 < seconds < TIMEOUT_MAX:
        raise ConfigurationError(
            f"`{name}` was {seconds!r}; it must be a number of seconds above 0, or {otherwise}."
        )


Timeout = Annotated[float | Timeouts | None, BeforeValidator(read_timeout)]
"""A pydantic field that takes a timeout of any form and keeps seconds or `Timeouts`."""


def as_kept(name: str, value: Any) -> Any:
    """A field's value where pydantic does not look at it: a key hidden, a timeout made storable.

    Args:
        name: The field.
        value: What it is set to.
    """
    if name == "api_key" and isinstance(value, str):
        return SecretStr(value)
    return read_timeout(value) if name == "timeout" else value


class Options(TypedDict, total=False):
    """What `Settings.resolve` takes, and so the clients do."""

    api_key: str | SecretStr | None
    base_url: str | None
    timeout: AnyTimeout | None
    stall_timeout: float | None
    total_timeout: float | None
    max_retries: int | None
    retry: RetryPolicy | None
    default_headers: Mapping[str, str] | None
    allow_http: bool
    max_connections: int | None
    max_response_bytes: int | None
    async_transport: AsyncTransport


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
    the environment names no proxy for it."""

    @classmethod
    def resolve(
        cls,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        *,
        timeout: AnyTimeout | None = None,
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
            timeout: Seconds for an answer to begin, and then for each silence within it; or all
                `Timeouts`, an `httpx.Timeout`, or a tuple `(connect, read)`.
            stall_timeout: Seconds for the next data of an answer that has begun, where that is to
                differ from `timeout`.
            total_timeout: Seconds for the call as a whole.
            max_retries: Tries after the first one (2 by default).
            retry: The whole policy, where `max_retries` is not enough.
            default_headers: Sent with every request.
            allow_http: Permit plain http to a host that is not this machine. The key crosses the
                network readable. `SUNRA_ALLOW_HTTP=1` does the same for the whole process.
            max_connections: Connections open at once; None sets no limit.
            max_response_bytes: The longest response to read, decompressed, streamed or
                not; 256 MiB by default.
            async_transport: What carries async calls, `httpx` or `aiohttp`; `auto` is aiohttp
                where it is installed and the environment names no proxy for it.

        Raises:
            ConfigurationError: Something is missing or cannot be used, and what to do about it.
        """
        policy = RetryPolicy() if retry is None else retry
        _check_kinds(policy, allow_http)
        return cls(
            api_key=_key(api_key),
            base_url=resolved_base_url(base_url, allow_http=allow_http),
            timeouts=_timeouts(read_timeout(timeout), stall_timeout, total_timeout),
            retry=policy
            if max_retries is None or max_retries == policy.max_retries
            else replace(policy, max_retries=max_retries),
            default_headers=tuple(checked_headers(default_headers or {}).items()),
            max_connections=_whole_number("max_connections", max_connections, least=1),
            max_response_bytes=_whole_number("max_response_bytes", max_response_bytes, least=1)
            or DEFAULT_MAX_RESPONSE_BYTES,
            async_transport=_known_transport(async_transport),
        )

    def __post_init__(self) -> None:
        """A key that is given as text (by `dataclasses.replace`, say) is hidden all the same."""
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", SecretStr(self.api_key))

    def with_key(self) -> Settings:
        """These settings if they have a key, else with the one of this process.

        Only settings that were loaded from a pickle may lack theirs.

        Raises:
            ConfigurationError: `SUNRA_KEY` is not set, or cannot be used.
        """
        return self if self.api_key.get_secret_value() else replace(self, api_key=_key(None))

    def __copy__(self) -> Settings:
        """Itself, since nothing in it changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Settings:
        """Itself, since nothing in it changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles without the key; where it is used, the key comes from `SUNRA_KEY`."""
        rest = {name: value for name, value in vars(self).items() if name != "api_key"}
        return _without_key, (rest,)

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
    _check_text("base_url", given)
    return _base_url(given, allow_http or _environment_allows_http())


def _environment_allows_http() -> bool:
    said = os.environ.get(ALLOW_HTTP_VARIABLE, "").strip().lower()
    if said not in _YES | _NO:
        raise ConfigurationError(
            f"{ALLOW_HTTP_VARIABLE} is {said!r}; set it to 1 to permit plain http, or to 0."
        )
    return said in _YES


def headers_digest(headers: Mapping[str, str], key: SecretStr) -> str:
    """Headers as a digest for the keys of caches, which only a holder of the API key can compute.

    It is keyed because a short header value could be guessed from a plain hash.
    """
    named = sorted((name.lower(), value) for name, value in headers.items())
    secret = key.get_secret_value().encode()
    return hmac.new(secret, repr(named).encode(), "sha256").hexdigest()


def check_loaded(base_url: str) -> None:
    """Whether a model that was loaded from a serialised form may use the key of this process.

    Whoever wrote the serialised form chose the base URL, so the key in `SUNRA_KEY` goes along only
    to Sunra, to this machine and to where `SUNRA_BASE_URL` points.

    Raises:
        ConfigurationError: It would go to another host.
    """
    trusted = {DEFAULT_BASE_URL, resolved_base_url(None, allow_http=True)}
    if base_url not in trusted and not is_loopback(urlsplit(base_url).hostname or ""):
        raise ConfigurationError(
            f"The serialised model has the base URL {base_url!r}, which the key in {KEY_VARIABLE} "
            f"is not sent to unasked. If you trust that host, set {BASE_URL_VARIABLE} to it before "
            "loading, or load with a key: `secrets_map` of LangChain's `load`, `api_key` of "
            "LlamaIndex's `from_dict`."
        )


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, held against what HTTP allows; values do not appear in the error.

    Raises:
        ConfigurationError: A name or value could not stand in a header, would carry the key, or
            would change how the request is framed.
    """
    given: Any = headers
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"Headers must be a dict of names to texts, not {_kind(given)}.")
    for name, value in given.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} cannot be the name of an HTTP header.")
        if not isinstance(value, str):
            raise ConfigurationError(
                f"The value of the header {name!r} must be text, not {_kind(value)}."
            )
        if name.lower() in _FRAMING_HEADERS:
            raise ConfigurationError(
                f"The header {name!r} belongs to the connection, not to the request: the HTTP "
                "library sets it. Leave it out."
            )
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"The value of the header {name!r} must be ASCII text without line breaks or "
                "other control characters; percent-encode the rest."
            )
        if name.lower() == "authorization":
            raise ConfigurationError("The Authorization header is made from `api_key`; set that.")
    return headers


def _kind(given: object) -> str:
    """A value's type, for an error that must not contain the value."""
    kind = type(given)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _check_text(name: str, given: object) -> None:
    if not isinstance(given, str):
        raise ConfigurationError(f"`{name}` must be text, not {_kind(given)}.")


def _check_kinds(retry: object, allow_http: object) -> None:
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"`retry` must be a RetryPolicy, not {_kind(retry)}.")
    if not isinstance(allow_http, bool):  # a text such as "no" would be taken for a yes
        raise ConfigurationError(f"`allow_http` was {allow_http!r}; it must be True or False.")


def _whole_number(name: str, number: Any, *, least: int) -> Any:
    # A limit of 0 connections would wait for a free one until the timeout.
    if number is not None and (
        not isinstance(number, int) or isinstance(number, bool) or number < least
    ):
        raise ConfigurationError(
            f"`{name}` was {number!r}; it must be a whole number of at least {least}, or None."
        )
    return number


def _known_transport(name: AsyncTransport) -> AsyncTransport:
    if name not in get_args(AsyncTransport):
        known = ", ".join(get_args(AsyncTransport))
        raise ConfigurationError(f"`async_transport` was {name!r}; it must be one of {known}.")
    if name == "aiohttp":
        requirements.check("`async_transport`", "aiohttp", extra="aiohttp")
    return name


def _without_key(rest: dict[str, Any]) -> Settings:
    # Loading must not fail: a worker that cannot load what it is sent hangs some process pools.
    try:
        return Settings(api_key=_key(None), **rest)
    except ConfigurationError:
        return Settings(api_key=SecretStr(""), **rest)


def _key(api_key: object) -> SecretStr:
    given = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
    source = KEY_VARIABLE if api_key is None else "`api_key`"
    if given is None:
        raise ConfigurationError(
            f"No Sunra key: set {KEY_VARIABLE} or pass `api_key`. {_WHERE_KEYS_ARE_MADE} "
            "To try without one, call `sunra_integrations.sandbox.stand_in()`. (Pickles and stored "
            f"objects contain no key: set {KEY_VARIABLE} in the processes that load them.)"
        )
    if not isinstance(given, (str, SecretStr)):
        raise ConfigurationError(f"`api_key` must be text or a SecretStr, not {_kind(given)}.")
    secret = given if isinstance(given, SecretStr) else SecretStr(given)
    _check_key(secret, source)
    return secret


_WHERE_KEYS_ARE_MADE = "Keys are made at https://sunra.ai/dashboard/api-tokens."


def _check_key(secret: SecretStr, source: str) -> None:
    # Only what HTTP itself forbids: Sunra documents no shape of its keys.
    if not secret.get_secret_value():
        instead = (
            "put the key in it"
            if source == KEY_VARIABLE
            else f"pass the key, or leave it out to use {KEY_VARIABLE}"
        )
        raise ConfigurationError(
            f"The Sunra key is empty: {source} is set to an empty text; {instead}. "
            f"{_WHERE_KEYS_ARE_MADE}"
        )
    if not _KEY.fullmatch(secret.get_secret_value()):
        raise ConfigurationError(
            "The Sunra key contains a space, a line break or another invalid character. "
            f"Check {source}: copied text often ends in a line break."
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
    usable = parts.scheme in {"http", "https"} and not _NOT_IN_URLS.search(url)
    if not usable or not host or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} is no base URL; it should look like {DEFAULT_BASE_URL}, without a query."
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            f"{url!r} is plain http to another machine, where anyone on the way could read the "
            f"key. Use https, or pass `allow_http=True` (or set {ALLOW_HTTP_VARIABLE}=1) if you "
            "accept that."
        )
    return url if url.endswith("/v1") else f"{url}/v1"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's, without asking DNS."""
    # Not what ends with .localhost: some systems ask DNS for such a name.
    if host == "localhost":
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
            timeouts = _all_within(timeout)
    if stall is not None:
        _check_seconds("stall_timeout", stall, "None")
        timeouts = replace(timeouts, stall=stall)
    if total is not None:
        _check_seconds("total_timeout", total, "None")
        timeouts = replace(timeouts, total=total)
    return timeouts


def _all_within(seconds: float) -> Timeouts:
    """One number for all waits for the server. The wait for a free connection is unchanged."""
    usual = Timeouts()
    return Timeouts(
        connect=min(seconds, usual.connect or seconds),
        read=seconds,
        write=min(seconds, usual.write or seconds),
        stall=seconds,
    )
