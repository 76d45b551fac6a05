"""A server that misbehaves on a real socket: it cuts, stalls, drips and lies, as it is told."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from typing_extensions import Self

from tests.listening import stop_listening
from tests.waiting import until

_RESET = struct.pack("ii", 1, 0)


@dataclass
class Request:
    """A request as the server saw it."""

    head: bytes
    body: bytes
    left: threading.Event = field(default_factory=threading.Event)
    """Set when the client closed the connection before its answer was complete."""


class Connection:
    """The server's side of a connection, for one request."""

    def __init__(self, raw: socket.socket, request: Request) -> None:
        self._raw = raw
        self.request = request
        self.keep = True

    def send(self, data: bytes) -> None:
        self._raw.sendall(data)

    def close(self) -> None:
        """Ends politely."""
        self.keep = False

    def reset(self) -> None:
        """Ends with a TCP reset."""
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.keep = False

    def hold(self) -> None:
        """Says nothing until the client leaves, or the server stops."""
        with suppress(OSError):
            while self._raw.recv(65536):
                pass
        self.request.left.set()
        self.keep = False


Act = Callable[[Connection], None]


class FaultServer:
    """Plays its acts, one a request, the last one again and again.

    Args:
        acts: What to do with each request.
        keep_requests: Whether to remember them.
    """

    def __init__(self, *acts: Act, keep_requests: bool = True) -> None:
        self._keep_requests = keep_requests
        self._acts = list(acts)
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.connections = self.closed = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self._listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stop_listening(self._listener)
        with self._lock:
            for raw in self._open:
                with suppress(OSError):  # gone already
                    raw.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(raw)
            self._start(self._serve, raw)

    def _serve(self, raw: socket.socket) -> None:
        try:
            with raw, raw.makefile("rb") as incoming:
                # An error on macOS if the client has left already.
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while (request := _read(incoming)) is not None:
                    with self._lock:
                        if self._keep_requests:
                            self.requests.append(request)
                        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
                    connection = Connection(raw, request)
                    act(connection)
                    if not connection.keep:
                        return
        except OSError:
            return
        finally:
            with self._lock:
                self._open.discard(raw)
                self.closed += 1

    def wait_until_closed(self, connections: int) -> None:
        """Returns once the server has closed so many connections."""
        until(lambda: self.closed >= connections)


def _read(incoming: Iterable[bytes]) -> Request | None:
    head = b""
    for line in incoming:
        head += line
        if line == b"\r\n":
            break
    if not head.endswith(b"\r\n\r\n"):
        return None
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    return Request(head, incoming.read(length))  # type: ignore[attr-defined]


# ── acts ─────────────────────────────────────────────────────────────────────


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(status: int, body: bytes = b"", **headers: str) -> Act:
    """A complete answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"content-type": "application/json", **named, "content-length": str(len(body))}

    def act(connection: Connection) -> None:
        connection.send(head(status, named) + body)

    return act


def by_kind(plain: Act, streamed: Act) -> Act:
    """One act for plain calls, another for streamed ones."""

    def act(connection: Connection) -> None:
        asked_for_stream = b'"stream":true' in connection.request.body
        (streamed if asked_for_stream else plain)(connection)

    return act


def raw(data: bytes, then: str = "close") -> Act:
    """Exact bytes, then `close`, `reset` or `hold`."""

    def act(connection: Connection) -> None:
        connection.send(data)
        getattr(connection, then)()

    return act


def in_chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def chunks(
    *pieces: bytes,
    pause: float = 0.0,
    then: str = "end",
    content_type: str = "text/event-stream",
    **headers: str,
) -> Act:
    """A chunked answer in these pieces; then `end`, `close`, `reset` or `hold`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def act(connection: Connection) -> None:
        start = {"content-type": content_type, **named, "transfer-encoding": "chunked"}
        connection.send(head(200, start))
        for piece in pieces:
            connection.send(in_chunk(piece))
            if pause:
                time.sleep(pause)
        if then == "end":
            connection.send(b"0\r\n\r\n")
        else:
            getattr(connection, then)()

    return act


def drip(begin: bytes, again: bytes, gap: float = 0.05) -> Act:
    """Begins, and then sends the same few bytes again and again until the client leaves."""

    def act(connection: Connection) -> None:
        connection.keep = False
        connection.send(begin)
        while True:  # until it fails, because the client has left or the server stops
            connection.send(again)
            time.sleep(gap)

    return act


def cut(how: str) -> Act:
    """Ends before a byte of the answer: `close`, `reset` or `hold`."""
    return lambda connection: getattr(connection, how)()
