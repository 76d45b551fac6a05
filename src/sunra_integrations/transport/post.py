"""One request as bytes and headers, ready to be sent again and again."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx
from pydantic import SecretStr

from sunra_integrations import __version__
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport.deadline import Patience, TimeLeft
from sunra_integrations.transport.settings import Settings, checked_headers
from sunra_integrations.transport.timeouts import Timeouts


class BearerAuth(httpx.Auth):
    """Puts the key on a request as it leaves, so that no frame of ours ever holds it as text."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Signs the request."""
        self.sign(request)
        yield request

    def sign(self, request: httpx.Request) -> None:
        """Puts the key on the request."""
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"


@dataclass(frozen=True)
class Post:
    """What every attempt of one call sends. Its repr shows no headers: they may be secret."""

    url: str
    content: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    timeouts: Timeouts
    model: str = ""
    """The model, for the log."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        request: ChatRequest,
        *,
        stream: bool,
        headers: Mapping[str, str] | None,
    ) -> Post:
        """The post of a request.

        Raises:
            InvalidParameter: The request has no JSON form.
            ConfigurationError: A header could not be sent.
        """
        # A stream is not compressed: a compressor holds back what the reader is waiting for.
        ours = {
            "User-Agent": f"sunra-integrations/{__version__}",
            "Accept": "text/event-stream" if stream else "application/json",
            "Accept-Encoding": "identity" if stream else "gzip, deflate",
        }
        given = [*settings.default_headers, *checked_headers(headers or {}).items()]
        sent = _replaced(ours, [*given, ("Content-Type", "application/json")])
        content = request.encode(stream=stream)
        return cls(settings.endpoint, content, sent, settings.timeouts, request.model)

    def request(self, patience: Patience, **extensions: Any) -> httpx.Request:
        """The request of one attempt, whose every wait ends when the call's time does."""
        url = _parsed(self.url)
        # Host and length are put in here, because httpx would make all headers anew to add them.
        length = [("Content-Length", str(len(self.content)))]
        request = httpx.Request(
            "POST",
            url,
            headers=_replaced(
                {"Host": url.netloc.decode("ascii")}, [*self.headers.items(), *length]
            ),
            stream=httpx.ByteStream(self.content),
            extensions={"timeout": _waits(patience), **extensions},
        )
        request.read()
        request.stream = _Body(self.content)
        return request

    def request_by(
        self, client: httpx.Client | httpx.AsyncClient, patience: Patience, **extensions: Any
    ) -> httpx.Request:
        """The same with what a client of the user's own adds to it."""
        return client.build_request(
            "POST",
            self.url,
            headers=self.headers,
            content=self.content,
            extensions={"timeout": _waits(patience), **extensions},
        )

    def await_body(self, response: httpx.Response, patience: Patience) -> None:
        """From here on a silence may last as long as `stall` says, no longer `read`.

        It is looked up when the body is first read, which is still to come.
        """
        patience.answer_begins()
        response.request.extensions["timeout"]["read"] = _within(
            patience, self.timeouts.stall, patience.left_to_read
        )


def _waits(patience: Patience) -> dict[str, float | None]:
    limits = patience.timeouts
    return {
        "connect": _within(patience, limits.connect),
        "read": _within(patience, limits.read, patience.left_to_begin),
        "write": _within(patience, limits.write, patience.left_to_write),
        "pool": _within(patience, limits.pool),
    }


_PART = 64 * 1024


class _Body(httpx.ByteStream):
    """A body in parts: of all that a write leaves over httpcore makes a copy, again and again."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), _PART):
            yield self._content[start : start + _PART]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def _replaced(headers: dict[str, str], by: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers, with others in the place of those of the same name in any case."""
    names = {name.lower(): name for name in headers}
    for name, value in by:
        known = names.setdefault(name.lower(), name)
        headers[known] = value
    return headers


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _within(
    patience: Patience, limit: float | None, left: Callable[[], float] | None = None
) -> float | None:
    time_left = patience.time_left()
    if math.isinf(time_left):
        if limit is None:
            return None
    else:
        limit = max(0.001, time_left if limit is None else min(limit, time_left))
    return limit if left is None else TimeLeft(limit, left)
