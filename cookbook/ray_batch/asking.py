"""One prompt to one row: waiting to be let through, asking, and trying again where that helps."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Protocol

from langchain_core.messages import AIMessage, message_to_dict

from cookbook.ray_batch.parts import Row
from sunra_integrations.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InsufficientCredit,
    NotFound,
    RateLimited,
    SunraError,
)
from sunra_integrations.langchain import ChatSunra

HOPELESS = (AuthenticationFailed, ConfigurationError, InsufficientCredit, NotFound)
"""What fails every row alike: the batch stops, and goes on where it was when it is run again."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_CHARACTERS_PER_TOKEN = 4
_UNLIMITED_ANSWER = 256


class Admission(Protocol):
    """Lets calls through; `Gate` is the one that asks the limiter."""

    async def admit(self, tokens: float) -> None:
        """Returns when a call of so many tokens may be sent."""

    async def pause(self, seconds: float) -> None:
        """Returns when nobody is let through any more, for so many seconds."""

    async def stop(self) -> None:
        """Returns when nobody is let through at all."""

    def correct(self, tokens: float) -> None:
        """Counts tokens that a call took beyond what was expected."""


@dataclass(frozen=True)
class Patience:
    """How often a row is tried.

    Args:
        tries: Calls that may fail in a way that may pass, before the row is given up.
        refusals: Calls that may be refused for their rate. Many, as each waits as long as the
            server asks for.
    """

    tries: int = 5
    refusals: int = 50


@dataclass
class _Tally:
    """How a row's calls have failed so far."""

    failures: int = 0
    refusals: int = 0

    def count(self, *, refused: bool) -> None:
        self.failures += not refused
        self.refusals += refused

    def is_over(self, patience: Patience) -> bool:
        return self.failures >= patience.tries or self.refusals >= patience.refusals


@dataclass(frozen=True)
class Asking:
    """Asks a model, one row at a time; many at once is for the caller to do.

    Args:
        model: Made with `max_retries=0`, so that each call goes through the gate.
        gate: Where calls wait to be let through.
        patience: How often to try.
    """

    model: ChatSunra
    gate: Admission
    patience: Patience

    async def row(self, position: int, row_id: str, prompt: str | None) -> Row:
        """The answer to a prompt, or the error that it ended in.

        Raises:
            BatchStopped: It was not let through any more.
        """
        row, tally = Row(position, row_id, prompt, 0), _Tally()
        if prompt is None:
            return _failed(row, ValueError("The row has no prompt."))
        expected = self._expected(prompt)
        while True:
            await self.gate.admit(expected)
            row = replace(row, attempts=row.attempts + 1)
            try:
                message = await self.model.ainvoke(prompt)
            except SunraError as error:
                if not await self._may_pass(error, tally):
                    return _failed(row, error)
            except Exception as error:  # noqa: BLE001 - one row that cannot be asked fails alone
                return _failed(row, error)
            else:
                row = _answered(row, message)
                self.gate.correct((row.input_tokens or 0) + (row.output_tokens or 0) - expected)
                return row

    async def _may_pass(self, error: SunraError, tally: _Tally) -> bool:
        """Whether to try again, once what the error asks for was done: a pause, a wait, a stop."""
        if isinstance(error, HOPELESS):
            await self.gate.stop()
            return False
        refused = isinstance(error, RateLimited)
        tally.count(refused=refused)
        again = error.retryable and not tally.is_over(self.patience)
        if refused or error.retry_after is not None:
            # Even where this row is given up: the others must hear of it.
            backoff = _backoff(tally.refusals or tally.failures)
            await self.gate.pause(backoff if error.retry_after is None else error.retry_after)
        elif again:
            await asyncio.sleep(_backoff(tally.failures))
        return again

    def _expected(self, prompt: str) -> float:
        """The tokens that a call may take, as far as that is known before."""
        longest = self.model.max_tokens or self.model.max_completion_tokens or _UNLIMITED_ANSWER
        return len(prompt) / _CHARACTERS_PER_TOKEN + longest


def _backoff(failures: int) -> float:
    return min(_FIRST_WAIT * 2.0 ** (failures - 1), _LONGEST_WAIT)


def _answered(row: Row, message: AIMessage) -> Row:
    usage = message.usage_metadata
    return replace(
        row,
        answer=message.text,
        finish_reason=message.response_metadata.get("finish_reason"),
        message=json.dumps(message_to_dict(message), ensure_ascii=False),
        input_tokens=usage["input_tokens"] if usage else None,
        output_tokens=usage["output_tokens"] if usage else None,
        request_id=message.response_metadata.get("request_id"),
    )


def _failed(row: Row, error: Exception) -> Row:
    known = error if isinstance(error, SunraError) else None
    return replace(
        row,
        error_type=type(error).__name__,
        error_message=known.message if known else str(error),
        error_status=known.status if known else None,
        error_retryable=bool(known and known.retryable),
        is_final=not (isinstance(error, HOPELESS) or (known and known.retryable)),
        request_id=known.request_id if known else None,
    )
