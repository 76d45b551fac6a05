"""The end of a listening socket whose connections another thread accepts."""

from __future__ import annotations

import socket
from contextlib import suppress


def stop_listening(listener: socket.socket) -> None:
    """Ends the other thread's `accept` with an OSError.

    On Linux it is `shutdown` that does so. On macOS and Windows `close` does, and `shutdown` fails,
    because a listening socket is not connected.
    """
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
