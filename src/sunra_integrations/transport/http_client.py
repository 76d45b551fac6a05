"""Validation of a user's own HTTP client."""

from __future__ import annotations

from typing import Any

import httpx

from sunra_integrations.errors import InvalidParameter


def check_http_client(given: Any, kind: type, name: str, *, other_name: str = "") -> None:
    """Checks that a client is of the right class.

    Args:
        given: The client, or None for the shared one.
        kind: `httpx.Client` or `httpx.AsyncClient`.
        name: The argument it was given as.
        other_name: The argument that takes a client of the other kind, where there is one.

    Raises:
        InvalidParameter: It is a client of the other kind, or of another library.
    """
    if given is None or isinstance(given, kind):
        return
    wanted = f"httpx.{kind.__name__}"
    if isinstance(given, type):
        advice = f"It is a class; make an instance of {wanted}."
    elif isinstance(given, (httpx.Client, httpx.AsyncClient)):
        calls = "async" if isinstance(given, httpx.AsyncClient) else "sync"
        elsewhere = f"pass it as `{other_name}`" if other_name else "use it with the other client"
        advice = f"It is an httpx.{type(given).__name__} for {calls} calls; {elsewhere}."
    else:
        library = type(given).__module__.partition(".")[0]
        found = (
            type(given).__name__ if library == "builtins" else f"{library}.{type(given).__name__}"
        )
        advice = f"It is of the type {found}; make an {wanted} with the same settings."
    raise InvalidParameter(
        f"`{name}` must be an {wanted}. {advice}", parameter=name, rule=f"an {wanted}"
    )
