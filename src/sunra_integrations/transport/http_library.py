"""Which HTTP library a user's client belongs to: httpx, or httpx2 if the program uses it.

httpx2 has the names and the behaviour of httpx, and other classes. It is never imported here: it is
in `sys.modules` if a client or an exception of it exists.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from sunra_integrations.errors import InvalidParameter


class HttpClient(Protocol):
    """An `httpx.Client` or `httpx2.Client`, for type checkers."""

    def send(self, request: Any, *, stream: bool, auth: Any, follow_redirects: bool) -> Any:
        """Send a request."""

    def close(self) -> None:
        """Close the connections."""


class AsyncHttpClient(Protocol):
    """An `httpx.AsyncClient` or `httpx2.AsyncClient`, for type checkers."""

    async def send(self, request: Any, *, stream: bool, auth: Any, follow_redirects: bool) -> Any:
        """Send a request."""

    async def aclose(self) -> None:
        """Close the connections."""


if TYPE_CHECKING:
    HttpClientField = HttpClient
    AsyncHttpClientField = AsyncHttpClient
else:  # pydantic cannot check classes that may not be installed; `check_http_client` does
    HttpClientField = AsyncHttpClientField = Any


def libraries() -> list[Any]:
    """httpx, and httpx2 if the program has imported it."""
    httpx2 = sys.modules.get("httpx2")
    # Another thread may be importing it. `httpx2.alias_httpx` makes both the same.
    is_usable = hasattr(httpx2, "HTTPError") and httpx2 is not httpx
    return [httpx, httpx2] if is_usable else [httpx]


def library_of(exception: BaseException) -> Any:
    """The library of an exception. httpx if it is of neither."""
    for library in libraries():
        if isinstance(exception, (library.HTTPError, library.InvalidURL)):
            return library
    return httpx


def http_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """The exceptions of reading a response, and others. For `except`, which calls it if need be."""
    return (*(library.HTTPError for library in libraries()), *others)


def sending_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """The exceptions of sending. HTTP libraries raise RuntimeError if a client is closed."""
    return http_errors(*(library.InvalidURL for library in libraries()), RuntimeError, *others)


def check_http_client(given: Any, kind: str, name: str, *, other_name: str = "") -> None:
    """Checks that a user's HTTP client has the right class.

    Args:
        given: The client. None means the shared client.
        kind: `Client` or `AsyncClient`.
        name: The argument that it was passed as.
        other_name: The argument for the other class, if there is one.

    Raises:
        InvalidParameter: The client has another class, or comes from another library.
    """
    if given is None or isinstance(given, _classes(kind)):
        return
    if isinstance(given, type):
        fix = f"This is a class; create an instance of httpx.{kind}."
    elif isinstance(given, _classes("Client", "AsyncClient")):
        calls = "async" if isinstance(given, _classes("AsyncClient")) else "sync"
        instead = f"pass it as `{other_name}`" if other_name else "use it with the other client"
        fix = f"An {_name(given)} is for {calls} calls; {instead}."
    else:
        fix = f"Got {_name(given)}; create an httpx.{kind} with the same settings."
    raise InvalidParameter(
        f"`{name}` must be an httpx.{kind}. {fix}",
        parameter=name,
        rule=f"an httpx.{kind} or httpx2.{kind}",
    )


def _classes(*names: str) -> tuple[type, ...]:
    return tuple(getattr(library, name) for library in libraries() for name in names)


def _name(given: object) -> str:
    library = type(given).__module__.partition(".")[0]
    prefix = "" if library == "builtins" else f"{library}."
    return f"{prefix}{type(given).__name__}"
