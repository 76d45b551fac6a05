"""Removes keys from errors. Some servers quote it: "Incorrect API key provided: …"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from sunra_integrations.errors import ErrorResponse, SunraError, UnreadableResponse

_REPLACEMENT = "[the key]"
_MAY_QUOTE = ("args", "code", "type", "reason", "details", "request_id", "response")
_MIN_LENGTH = 8  # a shorter string is not a real key, and occurs in other words


class KeyRedactor:
    """A context manager that removes the key from every `SunraError` that leaves it.

    If an error quoted the key, or is about an unreadable response, its traceback is removed too:
    the variables in its frames contain what the server sent.

    Args:
        keys: The keys to remove. More can be added to the list later.
    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._keys = keys

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.redact(error):
            raise error.with_traceback(None)

    def redact(self, error: BaseException | None) -> bool:
        """Removes the key from a SunraError and its causes. Other exceptions are not changed.

        Returns:
            Whether the traceback was removed.
        """
        done: list[BaseException] = []
        drop_frames = False
        while (
            error is not None
            and error not in done
            and (drop_frames or isinstance(error, SunraError))
        ):
            done.append(error)
            if isinstance(error, SunraError):
                found = self._redact_attributes(error)
                drop_frames = drop_frames or found or isinstance(error, UnreadableResponse)
            if drop_frames:
                error.__traceback__ = None
            error = error.__cause__ or error.__context__
        return drop_frames

    def redact_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers without the keys."""
        values = "\n".join(headers.values())
        is_quoted = any(spelling in values for spelling in self._spellings())
        return {n: self._redacted(v) for n, v in headers.items()} if is_quoted else headers

    def _redact_attributes(self, error: SunraError) -> bool:
        before = [getattr(error, name) for name in _MAY_QUOTE]
        after = list(map(self._redacted, before))
        for name, value in zip(_MAY_QUOTE, after, strict=True):
            setattr(error, name, value)
        return before != after

    def _redacted(self, value: Any) -> Any:
        match value:
            case str():
                for spelling in self._spellings():
                    value = value.replace(spelling, _REPLACEMENT)
                return value
            case tuple():
                return tuple(map(self._redacted, value))
            case list():
                return list(map(self._redacted, value))
            case dict():
                return {self._redacted(name): self._redacted(one) for name, one in value.items()}
            case ErrorResponse():
                return self._redacted_response(value)
            case _:
                return value

    def _redacted_response(self, response: ErrorResponse) -> ErrorResponse:
        body = response.body
        for spelling in self._spellings():
            body = body.replace(spelling.encode(), _REPLACEMENT.encode())
        headers = {name: self._redacted(value) for name, value in response.headers.items()}
        return ErrorResponse(response.status_code, headers, body)

    def _spellings(self) -> set[str]:
        """The keys as plain text and as JSON, with and without escaped slashes."""
        keys = {key.get_secret_value() for key in self._keys}
        long = {key for key in keys if len(key) >= _MIN_LENGTH}
        as_json = {json.dumps(key)[1:-1] for key in long}
        return long | as_json | {key.replace("/", "\\/") for key in as_json}
