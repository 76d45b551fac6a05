"""The key cut out of errors: some servers quote it, as in "Incorrect API key provided: …"."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from sunra_integrations.errors import ErrorResponse, SunraError

_IN_ITS_PLACE = "[the key]"
_SHORTEST = 8  # anything shorter is not a real key, and is part of other words


class HiddenKey:
    """A context in which no `SunraError` is raised that quotes the key.

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
        self.hide_in(error)

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hide_in(error)

    def hide_in(self, error: BaseException | None) -> None:
        """Cuts the key out of a SunraError and those that caused it; others are left alone."""
        done: list[BaseException] = []
        while isinstance(error, SunraError) and error not in done:
            done.append(error)
            error.args = self._without(error.args)
            for name in ("code", "type", "reason", "details", "request_id"):
                setattr(error, name, self._without(getattr(error, name)))
            if error.response is not None:
                error.response = self._response(error.response)
            error = error.__cause__ or error.__context__

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
            case _:
                return value

    def _as_written(self) -> set[str]:
        """The key as text and within JSON, with and without escaped slashes."""
        key = self._key.get_secret_value()
        if len(key) < _SHORTEST:
            return set()
        within_json = json.dumps(key)[1:-1]
        return {key, within_json, within_json.replace("/", "\\/")}
