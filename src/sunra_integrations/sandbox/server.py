"""`Sandbox`: the endpoint on a port of its own, served from a thread."""

import asyncio
import os
import socket
import threading
from collections.abc import Collection
from types import TracebackType
from typing import Any

from typing_extensions import Self

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as _missing:  # pragma: no cover - the message is tested in a bare environment
    raise ImportError(
        "The sandbox needs its extra: pip install 'sunra-integrations[sandbox]'"
    ) from _missing

from sunra_integrations.sandbox import openapi
from sunra_integrations.sandbox.app import App
from sunra_integrations.sandbox.ledger import Ledger, Received
from sunra_integrations.sandbox.scripted import Answer, End, Handler, Scripted

_BACKLOG = 2048
_KEEP_ALIVE = 75
_INTERRUPTIBLE = 0.2
"""Seconds to wait at a time: on Windows, Ctrl-C interrupts no wait for a lock or a thread before
Python 3.14 (https://github.com/python/cpython/issues/80116)."""
_DEFAULT_KEY = "sandbox-key"


class Sandbox:
    """A local Sunra endpoint: strict about requests, deterministic in its replies.

    It stands in for the wire, not for a model. Use it in a ``with`` (or ``async with``) block::

        with Sandbox() as sandbox:
            ChatSunra(model="sandbox/echo", base_url=sandbox.base_url, api_key=sandbox.api_key)

    Args:
        port: The port; 0 takes a free one.
        host: The address to listen on. Only change it on purpose: the default is this machine.
        models: The models served, or the only one; None serves whatever has the form
            ``vendor/name``.
        keys: The keys accepted, or the only one; None accepts any.
        keep: How many requests to remember for `requests`, the latest ones; None for all.
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
        # A plain text would be a collection of its own characters.
        self._models = {models} if isinstance(models, str) else models
        self._keys = {keys} if isinstance(keys, str) else keys
        self._ledger = Ledger(keep)
        self._app = App(self._ledger, self._models, self._keys, host)
        self._running: _Running | None = None

    @property
    def base_url(self) -> str:
        """Where it listens, ``/v1`` included."""
        if self._running is None:
            raise RuntimeError("The sandbox is not running: use it in a `with` block")
        host, port = self._running.address
        return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"

    @property
    def api_key(self) -> str:
        """A key it accepts."""
        return next(iter(sorted(self._keys)), _DEFAULT_KEY) if self._keys else _DEFAULT_KEY

    @property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document, which it also serves, without a key, at ``/openapi.json``."""
        return openapi.document(self._models)

    # ── scripting ────────────────────────────────────────────────────────────

    def next(
        self,
        *answers: Answer | Scripted | None,
        wait: float = 0.0,
        pause: float = 0.0,
        cut_after: int | None = None,
        cut: End = "close",
        model: str | None = None,
    ) -> None:
        """Queues answers for the next accepted requests, one each.

        Args:
            answers: What to answer: a text, `Say`, `CallTools`, `Message`, `Http`, `HangUp`, or
                None for the usual reply. A `Scripted` keeps its own delivery.
            wait: Seconds before the headers.
            pause: Seconds between pieces of the body (events of a stream).
            cut_after: Bytes of body after which to stop.
            cut: How a cut (or `HangUp`) ends: ``close``, ``reset`` or ``complete``.
            model: Keep them for requests for this model, as several models of one test ask in an
                order that is not known; None for whichever comes next.

        Raises:
            TypeError: An answer is none of these.
        """
        self._ledger.queue(
            *(
                answer
                if isinstance(answer, Scripted)
                else Scripted(answer, wait, pause, cut_after, cut, model)
                for answer in answers
            )
        )

    def answer_with(self, handler: Handler | None) -> None:
        """Asks a function for each answer once the queue is empty; None ends that.

        Args:
            handler: Takes the request's body as a dict (``model``, ``messages``, ``tools``, … as
                they were sent) and returns what `next` takes. It is called from worker threads.
                If it raises, the request is answered with a 500 that names the exception and its
                place, and that clients do not try again.

        Raises:
            TypeError: The handler cannot be called.
        """
        if handler is not None and not callable(handler):
            raise TypeError(
                f"`answer_with` takes a function, not {handler!r}; queue answers with `next`"
            )
        self._ledger.handle_with(handler)

    @property
    def requests(self) -> list[Received]:
        """Every request so far, refused ones included."""
        return self._ledger.received

    def clear(self) -> None:
        """Forgets the queue, the handler and the requests."""
        self._ledger.clear()

    # ── life ─────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Starts listening; at once, since the socket listens before the thread runs."""
        if self._running is not None:
            raise RuntimeError("The sandbox is already running")
        self._running = _Running(self._app, self._address)

    def stop(self) -> None:
        """Ends every connection and the thread; nothing is left behind."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

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


class _Running:
    """One run of the server: a listening socket, a thread, an event loop."""

    def __init__(self, app: App, address: tuple[str, int]) -> None:
        self._socket = _listening(address)
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
                timeout_keep_alive=_KEEP_ALIVE,
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
        while not self._ready.wait(_INTERRUPTIBLE):
            if not self._thread.is_alive():
                raise RuntimeError("The sandbox's event loop did not start")

    def stop(self) -> None:
        """Stops the server and waits for its thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        while self._thread.is_alive():
            self._thread.join(_INTERRUPTIBLE)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_without_lost_connections)
        self._ready.set()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        await self._stopped.wait()
        self._server.should_exit = True
        # Whoever still reads a stream is cut off: stopping must not wait for a client.
        while not serving.done():
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait({serving}, timeout=0.02)
        self._socket.close()


def _without_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs what asyncio logs, except that a client hung up.

    On Windows the proactor event loop reports a connection that a client has reset as an exception
    in one of its own callbacks.
    """
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def _listening(address: tuple[str, int]) -> socket.socket:
    """A socket that accepts connections, before anything runs that serves them."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # With the protocol left to chance, asyncio would not switch off Nagle's delay of 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows shares ports between programs
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class _Protocol(H11Protocol):
    """HTTP that shows the application its connection, so that it can be cut."""

    def connection_made(self, transport: Any) -> None:
        """Puts the connection into the state of each request on it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": transport}
