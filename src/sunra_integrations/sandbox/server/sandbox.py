"""`Sandbox`: the endpoint on its own port, served from a thread."""

import asyncio
import os
import socket
import threading
from collections.abc import Collection
from types import TracebackType
from typing import Any

from typing_extensions import Self

from sunra_integrations.requirements import requiring

with requiring("The sandbox", "pydantic", "uvicorn", extra="sandbox"):
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

from sunra_integrations.sandbox.contract import openapi
from sunra_integrations.sandbox.server.app import App
from sunra_integrations.sandbox.server.scripting import (
    Answer,
    CutMode,
    Handler,
    Received,
    ReplyQueue,
    RequestLog,
    Scripted,
)

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_POLL_SECONDS = 0.2
"""On Windows, Ctrl-C does not interrupt a wait for a lock or a thread before Python 3.14
(https://github.com/python/cpython/issues/80116), so long waits are cut into short ones."""
_DEFAULT_KEY = "sandbox-key"


class Sandbox:
    """A local Sunra endpoint: validates requests strictly and replies deterministically.

    It emulates the API, not a model. Use it in a ``with`` or ``async with`` block::

        with Sandbox() as sandbox:
            ChatSunra(model="sandbox/echo", base_url=sandbox.base_url, api_key=sandbox.api_key)

    Args:
        port: The port. Defaults to a free one.
        host: The address to listen on. Defaults to this machine only.
        models: The models served, or the only one. Defaults to any name like ``vendor/name``.
        keys: The keys accepted, or the only one. Defaults to any.
        keep: How many of the latest requests to keep in `requests`. Defaults to all.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        models: str | Collection[str] | None = None,
        keys: str | Collection[str] | None = None,
        keep: int | None = None,
    ) -> None:
        self._address = (host, port)
        # A str is a collection too, of its characters.
        self._models = {models} if isinstance(models, str) else models
        self._keys = {keys} if isinstance(keys, str) else keys
        self._reply_queue = ReplyQueue()
        self._request_log = RequestLog(keep)
        self._app = App(self._reply_queue, self._request_log, self._models, self._keys, host)
        self._thread: _ServerThread | None = None

    @property
    def base_url(self) -> str:
        """The base URL for clients, ``/v1`` included."""
        if self._thread is None:
            raise RuntimeError("The sandbox is not running. Use it in a `with` block.")
        host, port = self._thread.address
        return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"

    @property
    def api_key(self) -> str:
        """A key that it accepts."""
        return next(iter(sorted(self._keys)), _DEFAULT_KEY) if self._keys else _DEFAULT_KEY

    @property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document, also served at ``/openapi.json`` without a key."""
        return openapi.document(self._models)

    # ── scripting ────────────────────────────────────────────────────────────

    def next(
        self,
        *answers: Answer | Scripted | None,
        wait: float = 0.0,
        pause: float = 0.0,
        cut_after: int | None = None,
        cut: CutMode = "close",
        model: str | None = None,
    ) -> None:
        """Queues replies for the next accepted requests, one for each.

        Args:
            answers: A text, `TextReply`, `CallTools`, `Message`, `Http`, `HangUp`, or None for the
                default reply. A `Scripted` keeps its own delivery.
            wait: Seconds before the headers.
            pause: Seconds between chunks of the body (events of a stream).
            cut_after: Bytes of body to send before the cut.
            cut: How a cut, or a `HangUp`, ends: ``close``, ``reset`` or ``complete``.
            model: Reply only to requests for this model. Use it if several models are called in an
                unknown order.

        Raises:
            TypeError: One of the replies has another type.
        """
        self._reply_queue.add(
            *(
                answer
                if isinstance(answer, Scripted)
                else Scripted(answer, wait, pause, cut_after, cut, model)
                for answer in answers
            )
        )

    def answer_with(self, handler: Handler | None) -> None:
        """Sets a function that replies while the queue is empty. None removes it.

        Args:
            handler: Takes the request body as a dict and returns what `next` takes. It is called
                from worker threads. If it raises, the response is a 500 that names the exception
                and its location, and tells clients not to retry.

        Raises:
            TypeError: The handler is not callable.
        """
        if handler is not None and not callable(handler):
            raise TypeError(
                f"`handler` must be a function, got {handler!r}. Queue replies with `next`."
            )
        self._reply_queue.set_handler(handler)

    @property
    def requests(self) -> list[Received]:
        """Every request so far, including refused ones."""
        return self._request_log.requests

    def clear(self) -> None:
        """Removes the queued replies, the handler, the logged requests and the stored responses."""
        self._reply_queue.clear()
        self._app.clear()
        self._request_log.clear()

    # ── start and stop ───────────────────────────────────────────────────────

    def start(self) -> None:
        """Starts the server. It accepts connections when this returns.

        Raises:
            OSError: The address cannot be used.
        """
        if self._thread is not None:
            raise RuntimeError("The sandbox is already running.")
        self._thread = _ServerThread(self._app, self._address)

    def stop(self) -> None:
        """Closes every connection and ends the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


class _ServerThread:
    """One run of the server: a listening socket, a thread and an event loop."""

    def __init__(self, app: App, address: tuple[str, int]) -> None:
        self._socket = _listen(address)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                interface="asgi3",
                log_config=None,
                access_log=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="sunra-sandbox", daemon=True
        )
        try:
            self._thread.start()
            self._wait_until_ready()
        except BaseException:
            self._socket.close()
            raise

    def _wait_until_ready(self) -> None:
        while not self._ready.wait(_POLL_SECONDS):
            if not self._thread.is_alive():
                raise RuntimeError("The sandbox's event loop did not start.")

    def stop(self) -> None:
        """Stops the server and waits for its thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        while self._thread.is_alive():
            self._thread.join(_POLL_SECONDS)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_ignore_lost_connections)
        self._ready.set()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        await self._stopped.wait()
        self._server.should_exit = True
        # uvicorn waits for open responses, so they are aborted.
        while not serving.done():
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait({serving}, timeout=0.02)
        self._socket.close()


def _ignore_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs what asyncio logs, except for lost connections.

    On Windows, the proactor event loop reports a connection reset by a client as an exception in
    one of its own callbacks.
    """
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def _listen(address: tuple[str, int]) -> socket.socket:
    """A socket that accepts connections, before the server runs."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is given. Without it, Nagle's algorithm delays
    # small writes by 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows lets programs share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class _Protocol(H11Protocol):
    """Gives the application its connection, so that it can cut it."""

    def connection_made(self, transport: Any) -> None:
        """Puts the connection into the state of each of its requests."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": transport}
