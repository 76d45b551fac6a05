"""httpx's transports for one connection each; sync reads and writes end with the call's time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpx

from sunra_integrations.requirements import requiring
from sunra_integrations.transport.connections import interrupts
from sunra_integrations.transport.deadline import LiveTimeout

with requiring("The client", "httpcore"):  # pools of older ones are not safe across threads
    import httpcore


class BoundedTransport(httpx.HTTPTransport):
    """httpx's own transport, whose every read and write gets the time that is left.

    It stays an `httpx.HTTPTransport`, whose `handle_request` vcrpy and other test tools replace.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # httpx has no argument for it; httpcore, which makes the pool, has.
        self._pool._network_backend = _Backend()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A connection."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        wait = _left_of(timeout, httpcore.ReadTimeout)
        if interrupts.STEP is None:
            return self._stream.read(max_bytes, wait)
        for step in interrupts.steps(wait):
            with suppress(httpcore.ReadTimeout):
                return self._stream.read(max_bytes, step)
        raise httpcore.ReadTimeout("timed out")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left_of(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left_of(timeout: float | None, late: type[Exception]) -> float | None:
    if not isinstance(timeout, LiveTimeout):
        return timeout
    left = timeout.left()
    if left <= 0:
        raise late("the time is up")
    return left
