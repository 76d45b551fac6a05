"""The endpoint as an ASGI application: read a request, check it, reply, deliver the response."""

import asyncio
import hashlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, MutableMapping
from typing import Any, TypeAlias

from sunra_integrations.sandbox.contract import http_rules, openapi
from sunra_integrations.sandbox.contract.http_rules import ErrorResponse
from sunra_integrations.sandbox.contract.json_schema import StepLimitExceeded, step_limit
from sunra_integrations.sandbox.contract.parameter_table import model_problem
from sunra_integrations.sandbox.server.calls import Api, Call
from sunra_integrations.sandbox.server.completion_api import CompletionApi
from sunra_integrations.sandbox.server.http_responses import (
    Response,
    build_response,
    response_headers,
)
from sunra_integrations.sandbox.server.response_api import ResponseApi
from sunra_integrations.sandbox.server.scripting import (
    HandlerError,
    Received,
    ReplyQueue,
    RequestLog,
    Scripted,
)

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]


class App:
    """``POST`` to both APIs, and their description at ``GET /openapi.json``.

    Args:
        reply_queue: Where replies are queued.
        request_log: Where requests are logged.
        models: The models served. None serves any name like ``vendor/name``.
        keys: The keys accepted. None accepts any.
        host: The address it listens on, which is the only host served besides loopback names.
    """

    def __init__(
        self,
        reply_queue: ReplyQueue,
        request_log: RequestLog,
        models: Collection[str] | None = None,
        keys: Collection[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._reply_queue = reply_queue
        self._request_log = request_log
        self._models = models
        self._keys = keys
        self._host = host
        self._response_api = ResponseApi()
        self._apis: dict[str, Api] = {
            http_rules.COMPLETIONS_PATH: CompletionApi(),
            http_rules.RESPONSES_PATH: self._response_api,
        }

    def clear(self) -> None:
        """Removes the stored responses."""
        self._response_api.clear()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serves one request."""
        received = Received(
            method=scope["method"],
            path=scope["path"],
            headers={
                name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
            },
            body=b"",
        )
        self._request_log.add(received)
        too_large = await _read_body(received, receive)
        # In a thread: a large request or a slow handler must not block the other requests.
        response = await asyncio.to_thread(self._respond, received, too_large=too_large)
        await _deliver(response, received, receive, send, scope["state"]["connection"])

    def _respond(self, received: Received, *, too_large: bool) -> Response:
        error = http_rules.http_error(
            received.method,
            received.path,
            received.headers,
            host=self._host,
            keys=self._keys,
            too_large=too_large,
        )
        if error is not None:
            return _encode_error(received, error)
        if received.path == http_rules.DOCUMENT_PATH:
            return _encode_json(received, openapi.document(self._models))
        result = self._respond_to_body(self._apis[received.path], received.body)
        return _encode_error(received, result) if isinstance(result, ErrorResponse) else result

    def _respond_to_body(self, api: Api, content: bytes) -> Response | ErrorResponse:
        try:
            body = http_rules.read_json(content)
        except http_rules.InvalidJson as error:
            return ErrorResponse(http_rules.MALFORMED, f"The body is not valid JSON: {error}.")
        call = self._accept(api, body)
        if isinstance(call, ErrorResponse):
            return call
        try:
            scripted = self._reply_queue.next_for(body)
        except HandlerError as error:
            return http_rules.broken_script(str(error))
        return _reply(call, scripted)

    def _accept(self, api: Api, body: Any) -> Call | ErrorResponse:
        try:
            with step_limit():
                problems = api.request.problems(body)
        except (StepLimitExceeded, RecursionError):
            return http_rules.too_complex("check")
        if problems:
            return http_rules.invalid_request(problems)
        unknown_model = model_problem(body["model"], self._models)
        if unknown_model is not None:
            return http_rules.model_not_found(unknown_model)
        return api.accept(body)


def _reply(call: Call, scripted: Scripted) -> Response | ErrorResponse:
    try:
        with step_limit():
            return build_response(call, scripted)
    except StepLimitExceeded:
        return http_rules.too_complex("fill")
    except Exception as error:
        if scripted.answer is not None:
            return http_rules.broken_script(f"{scripted.answer!r:.200} cannot be sent: {error!r}")
        if isinstance(error, RecursionError):  # schema references that form a cycle
            return http_rules.too_complex("fill")
        raise


async def _read_body(received: Received, receive: Receive) -> bool:
    """Reads the body up to its limit. Returns whether it is larger."""
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        event = await receive()
        chunk: bytes = event.get("body", b"")
        size += len(chunk)
        if size <= http_rules.MAX_BODY_BYTES:
            chunks.append(chunk)
        more = event.get("more_body", False)
    received.body = b"".join(chunks)
    return size > http_rules.MAX_BODY_BYTES


def _encode_error(received: Received, error: ErrorResponse) -> Response:
    request_id = _request_id(received)
    body = error.body(received.path, request_id)
    headers = {"content-type": http_rules.JSON_TYPE, **response_headers(request_id)}
    length = {"content-length": str(len(body))}
    return Response(error.kind.status, {**headers, **error.headers, **length}, [body])


def _encode_json(received: Received, value: dict[str, Any]) -> Response:
    body = json.dumps(value).encode()
    own = {"content-type": http_rules.JSON_TYPE, "content-length": str(len(body))}
    return Response(200, {**response_headers(_request_id(received)), **own}, [body])


def _request_id(received: Received) -> str:
    """An id made from the request, the same for the same request."""
    parts = (received.method.encode(), received.path.encode(), received.body)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


# ── delivery ─────────────────────────────────────────────────────────────────


async def _deliver(
    response: Response,
    received: Received,
    receive: Receive,
    send: Send,
    connection: asyncio.Transport,
) -> None:
    """Sends a response. Stops as soon as the client disconnects."""
    disconnect = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        finished = await _send_response(response, received, send, disconnect)
        if not finished and disconnect.done():
            received.disconnected.set()
        elif not finished:
            _close(connection, reset=response.cut == "reset")
            await disconnect
    finally:
        disconnect.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_response(
    response: Response, received: Received, send: Send, disconnect: asyncio.Task[None]
) -> bool:
    """Returns whether the response was ended as HTTP ends a response."""
    if not await _still_connected(response.wait, disconnect) or response.status is None:
        return False
    received.status = response.status
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    first = True
    for chunk in _truncated(response.chunks, response.cut_after):
        if not await _still_connected(0 if first else response.pause, disconnect):
            return False
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        first = False
    if disconnect.done() or (response.cut_after is not None and response.cut != "complete"):
        return False
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return True


async def _still_connected(seconds: float, disconnect: asyncio.Task[None]) -> bool:
    """Waits, and returns whether the client is still connected."""
    if seconds > 0:
        await asyncio.wait({disconnect}, timeout=seconds)
    else:
        await asyncio.sleep(0)
    return not disconnect.done()


def _truncated(chunks: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    """The chunks up to a number of bytes."""
    left = limit
    for chunk in chunks:
        if left is None:
            yield chunk
            continue
        if chunk[:left]:
            yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


# Closing a socket with a linger time of zero sends RST instead of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


def _close(connection: asyncio.Transport, *, reset: bool) -> None:
    if not reset:
        connection.close()
        return
    connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    connection.abort()
