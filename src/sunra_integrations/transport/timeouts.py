"""Timeouts: every form a user can pass, and how long each wait of a call may last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from threading import TIMEOUT_MAX
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator

from sunra_integrations.errors import ConfigurationError, InvalidParameter


@dataclass(frozen=True)
class Timeouts:
    """Timeouts in seconds. None disables a timeout.

    Args:
        connect: For the TCP and TLS connection. Defaults to 10.
        read: For the response to begin, on each attempt. Defaults to 600.
        write: For the server to accept a part of the request. Defaults to 60.
        pool: For a free connection. Defaults to 600.
        stall: For the next data of a response that has begun. Keep-alive comments do not reset
            it. Defaults to 300.
        total: For the whole call, including retries and waits. Defaults to no limit.

    Raises:
        ConfigurationError: A value is not a positive number.
    """

    connect: float | None = 10.0
    read: float | None = 600.0
    write: float | None = 60.0
    pool: float | None = 600.0
    stall: float | None = 300.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name, seconds in vars(self).items():
            _check_seconds(f"Timeouts({name}=…)", seconds)


class HttpxTimeout(Protocol):
    """An `httpx.Timeout`, or an object with the same attributes."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


AnyTimeout = float | Timeouts | HttpxTimeout | Sequence[float | None]
"""The accepted forms of `timeout`: seconds, `Timeouts`, an `httpx.Timeout`, `(connect, read)`."""

_HTTPX_ORDER = ("connect", "read", "write", "pool")
"""The order of the values if a timeout is a tuple, as in httpx and requests."""


def read_timeout(given: Any) -> float | Timeouts | None:
    """A timeout of any accepted form as seconds, `Timeouts` or None.

    httpx has one timeout for every read, so its `read` is both the `read` and the `stall` here.

    Raises:
        InvalidParameter: The form is not accepted.
        ConfigurationError: A value is not a positive number.
    """
    match given:
        case None | Timeouts():
            return given
        case str():
            return read_timeout(_number(given))
        case bool():
            raise _invalid_timeout(given)
        case int() | float():
            _check_seconds("timeout", given)
            return float(given)
        case Mapping():
            return _timeouts_by_name(given)
        case list() | tuple():
            return _timeouts_in_order(given)
        case _ if all(hasattr(given, name) for name in _HTTPX_ORDER):
            times = {name: getattr(given, name) for name in _HTTPX_ORDER}
            return Timeouts(**times, stall=times["read"])
        case _:
            raise _invalid_timeout(given)


Timeout = Annotated[float | Timeouts | None, BeforeValidator(read_timeout)]
"""The type of a pydantic field that accepts any form and stores seconds or `Timeouts`."""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _invalid_timeout(text) from None


def _timeouts_by_name(given: Mapping[Any, Any]) -> Timeouts:
    names = [one.name for one in fields(Timeouts)]
    for name in given:
        if name not in names:
            raise InvalidParameter(
                f"`timeout` has an unknown key {name!r}; use {', '.join(names)}.",
                parameter="timeout",
                rule="a dict with the fields of `Timeouts`",
            )
    return Timeouts(**given)


def _timeouts_in_order(given: Sequence[Any]) -> Timeouts:
    if not 2 <= len(given) <= len(_HTTPX_ORDER):  # noqa: PLR2004 - as in httpx and requests
        raise _invalid_timeout(given)
    named = dict(zip(_HTTPX_ORDER, given, strict=False))
    return Timeouts(**named, stall=named["read"])


def _invalid_timeout(given: object) -> InvalidParameter:
    rule = "seconds, Timeouts(…), an httpx.Timeout, or a tuple (connect, read)"
    return InvalidParameter(
        f"`timeout` must be {rule}, got {given!r}.", parameter="timeout", value=given, rule=rule
    )


def _check_seconds(name: str, seconds: Any) -> None:
    if seconds is None:
        return
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < TIMEOUT_MAX:
        raise ConfigurationError(
            f"`{name}` must be a positive number of seconds or None, got {seconds!r}."
        )


@lru_cache(maxsize=64)
def combined_timeouts(
    timeout: float | Timeouts | None, stall: float | None, total: float | None
) -> Timeouts:
    """The timeouts of a client, from its three settings.

    Raises:
        ConfigurationError: A value is not a positive number.
    """
    match timeout:
        case None:
            timeouts = Timeouts()
        case Timeouts():
            timeouts = timeout
        case _:
            timeouts = _from_seconds(timeout)
    if stall is not None:
        _check_seconds("stall_timeout", stall)
        timeouts = replace(timeouts, stall=stall)
    if total is not None:
        _check_seconds("total_timeout", total)
        timeouts = replace(timeouts, total=total)
    return timeouts


def _from_seconds(seconds: float) -> Timeouts:
    """One number limits every wait for the server. The wait for a free connection is unchanged."""
    defaults = Timeouts()
    return Timeouts(
        connect=min(seconds, defaults.connect or seconds),
        read=seconds,
        write=min(seconds, defaults.write or seconds),
        stall=seconds,
    )
