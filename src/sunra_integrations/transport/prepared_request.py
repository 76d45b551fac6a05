"""One request as bytes and headers, ready for every attempt."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx
from pydantic import SecretStr

from sunra_integrations import __version__
from sunra_integrations.protocol.arguments import looks_like_credential
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.protocol.tools import tool_secrets
from sunra_integrations.transport.api_key import CallKeys
from sunra_integrations.transport.deadline import Deadline, LiveTimeout
from sunra_integrations.transport.settings import Settings, checked_headers
from sunra_integrations.transport.timeouts import Timeouts

_USER_AGENT = f"sunra-integrations/{__version__}"


class BearerAuth:
    """Adds the key just before a request is sent, so that no frame of ours holds it as text.

    It is a callable, because clients of every HTTP library accept one as `auth`.
    """

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __call__(self, request: httpx.Request) -> httpx.Request:
        """The request, with the key."""
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return request


@dataclass(frozen=True)
class PreparedRequest:
    """The request of every attempt of one call. Its repr omits headers: they may be secret."""

    url: str
    content: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    timeouts: Timeouts
    keys: CallKeys = field(repr=False)
    model: str = ""
    """The model, for the log."""
    method: str = "POST"

    @classmethod
    def from_chat(
        cls,
        settings: Settings,
        request: ChatRequest,
        *,
        stream: bool,
        headers: Mapping[str, str] | None,
    ) -> PreparedRequest:
        """Encodes a chat request.

        Raises:
            InvalidParameter: The request cannot be encoded as JSON.
            ConfigurationError: A header is invalid.
        """
        # Streams are not compressed: a compressor buffers data that the reader is waiting for.
        defaults = {
            "User-Agent": _USER_AGENT,
            "Accept": "text/event-stream" if stream else "application/json",
            "Accept-Encoding": "identity" if stream else "gzip, deflate",
        }
        given = [*settings.default_headers, *checked_headers(headers or {}).items()]
        sent = _merged(defaults, [*given, ("Content-Type", "application/json")])
        content = request.encode(stream=stream)
        url, keys = settings.base_url + request.path, CallKeys(settings.api_key)
        keys.used[:0] = [
            *tool_secrets(request.extra_body.get("tools", request.tools)),
            *_header_secrets(given),
        ]
        return cls(url, content, sent, settings.timeouts, keys, request.model)

    @classmethod
    def to_get(cls, settings: Settings, path: str) -> PreparedRequest:
        """A request without a body, for JSON at a path below the base URL."""
        sent = _merged(
            {"User-Agent": _USER_AGENT, "Accept": "application/json"}, settings.default_headers
        )
        keys = CallKeys(settings.api_key)
        keys.used[:0] = _header_secrets(settings.default_headers)
        return cls(settings.base_url + path, b"", sent, settings.timeouts, keys, method="GET")

    def build(self, deadline: Deadline, **extensions: Any) -> httpx.Request:
        """The request of one attempt. Each of its waits ends at the call's deadline."""
        url = _parsed(self.url)
        # Given Host and Content-Length, httpx need not rebuild all headers to add them.
        length = [("Content-Length", str(len(self.content)))] if self.content else []
        request = httpx.Request(
            self.method,
            url,
            headers=_merged({"Host": url.netloc.decode("ascii")}, [*self.headers.items(), *length]),
            stream=httpx.ByteStream(self.content),
            extensions={"timeout": _timeouts(deadline), **extensions},
        )
        request.read()
        request.stream = _Body(self.content)
        return request

    def build_with(self, client: Any, deadline: Deadline, **extensions: Any) -> httpx.Request:
        """The request of one attempt, built by a user's own client (its cookies, params, …)."""
        built: httpx.Request = client.build_request(
            self.method,
            self.url,
            headers=self.headers,
            content=self.content,
            extensions={"timeout": _timeouts(deadline), **extensions},
        )
        return built

    def use_stall_timeout(self, response: httpx.Response, deadline: Deadline) -> None:
        """Applies the `stall` timeout in place of `read`.

        The HTTP libraries look it up when they first read the body.
        """
        deadline.response_started()
        response.request.extensions["timeout"]["read"] = _bounded(
            deadline, self.timeouts.stall, deadline.time_left_to_read
        )


def _timeouts(deadline: Deadline) -> dict[str, float | None]:
    limits = deadline.timeouts
    return {
        "connect": _bounded(deadline, limits.connect),
        "read": _bounded(deadline, limits.read, deadline.time_left_for_head),
        "write": _bounded(deadline, limits.write, deadline.time_left_to_write),
        "pool": _bounded(deadline, limits.pool),
    }


_PART = 64 * 1024


class _Body(httpx.ByteStream):
    """Yields 64 KiB at a time, because httpcore copies the unsent remainder after each write."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), _PART):
            yield self._content[start : start + _PART]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def _merged(headers: dict[str, str], others: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers, with some replaced or added. Names are compared without case."""
    names = {name.lower(): name for name in headers}
    for name, value in others:
        known = names.setdefault(name.lower(), name)
        headers[known] = value
    return headers


def _header_secrets(headers: Iterable[tuple[str, str]]) -> list[SecretStr]:
    """The values of headers whose name looks like a credential, with and without their scheme."""
    return [
        SecretStr(secret)
        for name, value in headers
        if looks_like_credential(name)
        for secret in (value, value.rpartition(" ")[2])
    ]


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _bounded(
    deadline: Deadline, limit: float | None, left: Callable[[], float] | None = None
) -> float | None:
    time_left = deadline.time_left()
    if math.isinf(time_left):
        if limit is None:
            return None
    else:
        limit = max(0.001, time_left if limit is None else min(limit, time_left))
    return limit if left is None else LiveTimeout(limit, left)
