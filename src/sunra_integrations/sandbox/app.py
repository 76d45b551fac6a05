"""The endpoint as an ASGI application: receive, refuse or answer, deliver."""

import asyncio
import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sunra_integrations.sandbox import openapi, refusal, script, stream, strict_json, work
from sunra_integrations.sandbox.contract import model_problem, request_problems, unknown_parameters
from sunra_integrations.sandbox.delivery import Event, Receive, Response, Send, deliver
from sunra_integrations.sandbox.hosts import is_served
from sunra_integrations.sandbox.ledger import Ledger, Received
from sunra_integrations.sandbox.openapi import COMPLETIONS_PATH, DOCUMENT_PATH, MOST_BYTES
from sunra_integrations.sandbox.refusal import Refusal
from sunra_integrations.sandbox.reply import Reply, completion
from sunra_integrations.sandbox.scripted import (
    CallTools,
    HandlerFault,
    HangUp,
    Http,
    Message,
    Say,
    Scripted,
)

_METHODS = {COMPLETIONS_PATH: "POST", DOCUMENT_PATH: "GET"}
_MOST_NAMES = 20


class App:
    """One endpoint, ``POST /v1/chat/completions``, and its description, ``GET /openapi.json``.

    Args:
        ledger: Where answers are queued and requests noted.
        models: The models served; None serves whatever has the form ``vendor/name``.
        keys: The keys accepted; None accepts any.
        host: The address it is served on: besides loopback names, the only host that is served.
    """

    def __init__(
        self,
        ledger: Ledger,
        models: Collection[str] | None = None,
        keys: Collection[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._host = host
        self._ledger = ledger
        self._models = models
        self._keys = keys

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
        self._ledger.record(received)
        too_large = await _read_body(received, receive)
        # Off the loop: a large request or a slow handler must not hold up the others.
        response = await asyncio.to_thread(self._respond, received, too_large=too_large)
        await deliver(response, received, receive, send, scope["state"]["connection"])

    def _respond(self, received: Received, *, too_large: bool) -> Response:
        refused = self._refused(received, too_large=too_large)
        if refused is not None:
            return _refusal(received, refused)
        if received.path == DOCUMENT_PATH:
            return _described(received, openapi.document(self._models))
        try:
            request = strict_json.read(received.body)
        except strict_json.NotJson as error:
            return _refusal(received, refusal.unreadable(400, f"the body is not JSON: {error}"))
        try:
            with work.bounded():
                problems = request_problems(request)
        except (work.TooMuchWork, RecursionError):
            return _refusal(received, refusal.too_much_work("check"))
        if problems:
            return _refusal(received, refusal.of_problems(problems))
        unknown_model = model_problem(request["model"], self._models)
        if unknown_model is not None:
            return _refusal(received, refusal.no_such_model(unknown_model))
        answered = self._answered(request)
        return _refusal(received, answered) if isinstance(answered, Refusal) else answered

    def _answered(self, request: dict[str, Any]) -> Response | Refusal:
        try:
            scripted = self._ledger.next_for(request)
        except HandlerFault as fault:
            return refusal.failed_script(str(fault))
        try:
            with work.bounded():
                return _answered(request, scripted)
        except work.TooMuchWork:
            return refusal.too_much_work("fill")
        except Exception as error:
            if scripted.answer is None:
                if isinstance(error, RecursionError):  # references that lead in a circle
                    return refusal.too_much_work("fill")
                raise
            return refusal.failed_script(f"{scripted.answer!r:.200} cannot be sent: {error!r}")

    def _refused(self, received: Received, *, too_large: bool) -> Refusal | None:
        """What is wrong before the body is even looked at."""
        method = _METHODS.get(received.path)
        if method is None:
            return refusal.no_such_path(received.path)
        if received.method != method:
            return refusal.wrong_method(received.method, method)
        misdirected = self._misdirected(received)
        if misdirected is not None or received.path == DOCUMENT_PATH:
            return misdirected
        scheme, _, key = received.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return refusal.no_key("there is no bearer key")
        if self._keys is not None and key not in self._keys:
            return refusal.no_key("the key is not known")
        kind = received.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            return refusal.unreadable(415, f"the content type {kind!r} is not application/json")
        if "content-encoding" in received.headers:
            return refusal.unreadable(415, "an encoded (compressed) body is not read")
        if too_large:
            return refusal.unreadable(413, f"the body is larger than {MOST_BYTES} bytes")
        return None

    def _misdirected(self, received: Received) -> Refusal | None:
        """What is wrong with where the request goes, and where it ends."""
        host = received.headers.get("host")
        if host is not None and not is_served(host, self._host):
            return refusal.unreadable(400, f"the host {host[:200]!r} is not served here")
        if {"content-length", "transfer-encoding"} <= received.headers.keys():
            return refusal.two_lengths()
        return None


async def _read_body(received: Received, receive: Receive) -> bool:
    """Reads a body to its end; True when it was too large, its excess not being kept."""
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        event = await receive()
        piece: bytes = event.get("body", b"")
        size += len(piece)
        if size <= MOST_BYTES:
            pieces.append(piece)
        more = event.get("more_body", False)
    received.body = b"".join(pieces)
    return size > MOST_BYTES


def _refusal(received: Received, refused: Refusal) -> Response:
    request_id = refusal.request_id(received.method, received.path, received.body)
    body = refused.body(received.path, request_id)
    headers = {"content-type": "application/json", **_headers(request_id), **refused.headers}
    return Response(refused.status, {**headers, "content-length": str(len(body))}, [body])


def _described(received: Received, document: dict[str, Any]) -> Response:
    body = json.dumps(document).encode()
    own = {"content-type": "application/json", "content-length": str(len(body))}
    request_id = refusal.request_id(received.method, received.path, received.body)
    return Response(200, {**_headers(request_id), **own}, [body])


def _headers(request_id: str) -> dict[str, str]:
    return {"x-request-id": request_id, **refusal.quota_headers()}


def _answered(request: dict[str, Any], scripted: Scripted) -> Response:
    """The response to an accepted request, with the delivery that was scripted."""
    match scripted.answer:
        case HangUp():
            plain = Response(None, {}, ())
        case Http() as exact:
            plain = Response(exact.status, exact.all_headers(), exact.pieces())
        case answer:
            plain = _told(request, _reply(request, answer))
    return replace(
        _measured(plain, scripted),
        wait=scripted.wait,
        pause=scripted.pause,
        cut_after=scripted.cut_after,
        cut=scripted.cut,
    )


def _measured(response: Response, scripted: Scripted) -> Response:
    """The response with its length declared, where it comes in one piece and is not shortened."""
    shortened = scripted.cut_after is not None and scripted.cut == "complete"
    declared = {"content-length", "transfer-encoding"} & set(response.headers)
    if shortened or declared or not isinstance(response.pieces, list):
        return response
    if len(response.pieces) > 1:
        return response
    length = sum(map(len, response.pieces))
    return replace(response, headers={**response.headers, "content-length": str(length)})


def _reply(request: dict[str, Any], answer: str | Say | CallTools | Message | None) -> Reply:
    match answer:
        case None:
            return script.reply(request)
        case str(text):
            return script.around(request, Say(text).message(), "stop")
        case Say():
            return script.around(request, answer.message(), answer.finish_reason)
        case CallTools():
            fingerprint = script.request_id(request)
            message = answer.message(lambda index: script.call_id(fingerprint, index))
            return script.around(request, message, answer.finish_reason)
        case Message(message, finish_reason):
            ended = "tool_calls" if message.get("tool_calls") else "stop"
            return script.around(request, dict(message), finish_reason or ended)


def _told(request: dict[str, Any], reply: Reply) -> Response:
    """A reply on the wire: events where a stream was asked for, else one object."""
    headers = _headers(script.request_id(request))
    unknown = unknown_parameters(request)[:_MOST_NAMES]
    if unknown:
        headers["x-sandbox-ignored"] = json.dumps([name[:64] for name in unknown])
    if request.get("stream"):
        usage = bool(request.get("stream_options", {}).get("include_usage"))
        headers |= {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        # Made at once, so that a scripted answer that cannot be sent is found before the headers.
        return Response(200, headers, list(stream.events(reply, include_usage=usage)))
    body = json.dumps(completion(reply), ensure_ascii=False).encode()
    return Response(200, {**headers, "content-type": "application/json"}, [body])
