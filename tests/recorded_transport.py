"""An HTTP transport that answers what a test tells it to, and keeps what was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import httpx

SSE = {"content-type": "text/event-stream", "x-request-id": "req-1"}
JSON = {"content-type": "application/json", "x-request-id": "req-1"}


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in the given pieces; an exception among them is raised in its place."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


Answer = Callable[[], httpx.Response] | Exception


class Recorded(httpx.MockTransport):
    """Gives its answers in order, the last one again and again; `sent` holds the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[httpx.Request] = []
        super().__init__(self._answer)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.sent]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer()


def stream(*pieces: bytes | Exception, body: Body | None = None) -> Answer:
    return lambda: httpx.Response(200, headers=SSE, stream=body or Body(pieces))


def completion(body: bytes | dict[str, Any]) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda: httpx.Response(200, headers=JSON, stream=Body([raw]))


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(code, headers=named, content=body)
