"""A socket server that keeps connections alive and counts them."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

from tests.listening import stop_listening
from tests.wire_cases import completion_bytes, stream_bytes

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


class Server:
    """A socket server that keeps connections alive and counts them."""

    def __init__(self, *, ends_bodies: bool, in_one_write: bool = False) -> None:
        self.ends_bodies, self.in_one_write = ends_bodies, in_one_write
        self.connections = self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self.closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        # A client that has left is no fault; on macOS setting an option fails then.
        with suppress(OSError), connection, connection.makefile("rb") as incoming:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := self._request(incoming):
                streamed = b"text/event-stream" in head
                kind = b"text/event-stream" if streamed else b"application/json"
                body = stream_bytes("plain") if streamed else completion_bytes("plain")
                end = b"0\r\n\r\n" if self.ends_bodies else b""
                answer = HEAD % kind + chunked(body)
                connection.sendall(answer + end if self.in_one_write else answer)
                if not self.in_one_write:
                    connection.sendall(end)
        with self._lock:
            self.at_once -= 1
        self.closed.set()

    def _request(self, incoming) -> bytes:
        head = b""
        while (line := incoming.readline()) not in (b"\r\n", b""):
            head += line.lower()
        if head:
            length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
            incoming.read(int(length))
        return head

    def stop(self) -> None:
        stop_listening(self._listener)
        self._threads[0].join()


@contextmanager
def serving(*, ends_bodies=True, **options):
    server = Server(ends_bodies=ends_bodies, **options)
    try:
        yield server
    finally:
        server.stop()
