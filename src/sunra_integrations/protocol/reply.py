"""Chunks, or one completion, to a finished Reply.

`Fold` is the only place that knows how pieces add up; what a stream interrupted had brought, what
`create` returns and what a stream adds up to are all its work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sunra_integrations.protocol.accumulation import merge
from sunra_integrations.protocol.choices import Choice, ChoiceFold, ToolCall, nothing
from sunra_integrations.protocol.json_values import NOTHING, Json
from sunra_integrations.protocol.responses import Chunk, Usage

__all__ = ["Choice", "Fold", "Reply", "ToolCall", "fold"]


@dataclass(frozen=True)
class Reply:
    """A whole answer, streamed or not."""

    choices: tuple[Choice, ...]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    extra: Json = field(default_factory=nothing)
    raw: Json = field(default_factory=nothing, repr=False)
    """The completion as it came; empty for a reply that came as a stream."""

    @property
    def choice(self) -> Choice:
        """The first choice; an empty one where there is none."""
        return self.choices[0] if self.choices else Choice(0)

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choice.text


def fold(chunks: Iterable[Chunk]) -> Reply:
    """The Reply that these chunks add up to."""
    total = Fold()
    for chunk in chunks:
        total.add(chunk)
    return total.reply()


class Fold:
    """Adds up chunks as they come; what they add up to may be asked at any time.

    Args:
        whole: The one chunk is a whole completion, in which nothing is left to join.

    Attributes:
        usage: The latest usage.
        model_asked: The request's model, used if the answer names none, because tools
            that count usage count it by the model's name.
        choices_asked: The request's `n`.
        request_id: The answer's.
        extra: Unknown top-level fields.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.usage: Usage | None = None
        self.model_asked: str | None = None
        self.choices_asked = 1
        self.request_id: str | None = None
        self.extra: dict[str, Any] = {}
        self._choices: dict[int, ChoiceFold] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._fingerprint: str | None = None

    @property
    def unfinished(self) -> list[int]:
        """The choices that began and have no finish_reason yet."""
        return [i for i, choice in self._choices.items() if choice.finish_reason is None]

    @property
    def begun(self) -> int:
        """How many choices have begun."""
        return len(self._choices)

    @property
    def begun_choices(self) -> Collection[int]:
        """The indices of the choices that have begun."""
        return self._choices.keys()

    def add(self, chunk: Chunk) -> None:
        """Takes in one chunk."""
        for delta in chunk.choices:
            choice = self._choices.get(delta.choice_index)
            if choice is None:
                choice = self._choices[delta.choice_index] = ChoiceFold(whole=self._whole)
            choice.add(delta)
        _, said_id, model, created, fingerprint, usage, self.request_id, extra, _ = chunk
        if self._id is None:
            self._id = said_id
        if self._created is None:
            self._created = created
        if model is not None:
            self._model = model
        if fingerprint is not None:
            self._fingerprint = fingerprint
        if usage is not None:
            self.usage = usage  # cumulative where repeated: the last one counts
        if extra:
            merge(self.extra, extra)

    def reply(self, raw: Json = NOTHING) -> Reply:
        """What has come so far, as a Reply; `raw` is the completion it was read from."""
        return Reply(
            tuple(self._choices[index].choice(index) for index in sorted(self._choices)),
            self._id,
            self._model or self.model_asked,
            self._created,
            self._fingerprint,
            self.usage,
            self.request_id,
            dict(self.extra) if self.extra else NOTHING,
            raw,
        )
