"""The key cut out of errors: some servers quote it, as in "Incorrect API key provided: …"."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from sunra_integrations.errors import ErrorResponse, SunraError, UnreadableResponse

_IN_ITS_PLACE = "[the key]"
_MAY_QUOTE = ("args", "code", "type", "reason", "details", "request_id", "response")
_SHORTEST = 8  # anything shorter is not a real key, and is part of other words


class HiddenKey:
    """A context out of which no `SunraError` comes that quotes the key.

    The frames of one that did, or that is about an answer that cannot be read, are forgotten:
    their variables hold what the server sent.

    Args:
        key: The key to hide.
    """

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.hide_in(error):
            raise error.with_traceback(None)

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.hide_in(error):
            raise error.with_traceback(None)

    def hide_in(self, error: BaseException | None) -> bool:
        """Cuts the key out of a SunraError and those that caused it; others are left alone.

        Returns:
            Whether the frames of the error had to be forgotten.
        """
        done: list[BaseException] = []
        forget = False
        while error is not None and error not in done and (forget or isinstance(error, SunraError)):
            done.append(error)
            if isinstance(error, SunraError):
                found = self._hide_in(error)
                forget = forget or found or isinstance(error, UnreadableResponse)
            if forget:
                error.__traceback__ = None
            error = error.__cause__ or error.__context__
        return forget

    def _hide_in(self, error: SunraError) -> bool:
        before = [getattr(error, name) for name in _MAY_QUOTE]
        after = list(map(self._without, before))
        for name, value in zip(_MAY_QUOTE, after, strict=True):
            setattr(error, name, value)
        return before != after

    def _response(self, response: ErrorResponse) -> ErrorResponse:
        body = response.body
        for written in self._as_written():
            body = body.replace(written.encode(), _IN_ITS_PLACE.encode())
        headers = {name: self._without(value) for name, value in response.headers.items()}
        return ErrorResponse(response.status_code, headers, body)

    def _without(self, value: Any) -> Any:
        match value:
            case str():
                for written in self._as_written():
                    value = value.replace(written, _IN_ITS_PLACE)
                return value
            case tuple():
                return tuple(map(self._without, value))
            case list():
                return list(map(self._without, value))
            case dict():
                return {self._without(name): self._without(one) for name, one in value.items()}
            case ErrorResponse():
                return self._response(value)
            case _:
                return value

    def _as_written(self) -> set[str]:
        """The key as text and within JSON, with and without escaped slashes."""
        key = self._key.get_secret_value()
        if len(key) < _SHORTEST:
            return set()
        within_json = json.dumps(key)[1:-1]
        return {key, within_json, within_json.replace("/", "\\/")}
