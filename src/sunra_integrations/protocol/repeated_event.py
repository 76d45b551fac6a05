"""Reads an event that says what an earlier one said but for its piece of text.

Nearly every event of a stream is the one before it with another `content`: the same id, model and
nulls around a few letters. Where the bytes around the text are those of an event that was read in
full, only the text is decoded. That is exact, because a JSON string can stand in for another
without changing what is around it; whatever is not exactly that is read in full.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from sunra_integrations.protocol.responses import ChoiceDelta, Chunk, Json, read_text

_CONTENT = re.compile(rb'"content": ?("(?:[^"\\]|\\.)*")')
_PROBE = "another text"
_SCALARS = (str, int, float, type(None))
_TRIES = 4


class _Frame(NamedTuple):
    """What stays the same from event to event."""

    before: bytes
    behind: bytes
    choice_index: int
    said: tuple[Any, ...]
    """The fields of its Chunk between `choices` and `raw`."""
    event: Json
    choice: Json
    delta: Json


class RepeatedEvent:
    """The event of a stream that the next ones are held against."""

    def __init__(self) -> None:
        self._frame: _Frame | None = None
        self._tries_left = _TRIES

    def read(self, data: bytes) -> Chunk | None:
        """The event as a Chunk, where it repeats the one that was learnt; else None."""
        if self._frame is None:
            return None
        before, behind, index, said, event, choice, delta = self._frame
        if not (data.startswith(before) and data.endswith(behind)):
            return None
        try:
            text = from_json(data[len(before) : len(data) - len(behind)])
        except ValueError:
            return None
        if type(text) is not str:
            return None
        self._tries_left = _TRIES
        raw = {**event, "choices": [{**choice, "delta": {**delta, "content": text}}]}
        return Chunk._make(((ChoiceDelta(index, text),), *said, raw))

    def learn(self, data: bytes, chunk: Chunk) -> None:
        """Takes an event as the one to hold the next against, if it adds text and nothing else.

        A stream whose events never repeat is given up after a few tries.

        Args:
            data: The event as it came.
            chunk: What was read from it.
        """
        if not self._tries_left or len(chunk.choices) != 1:
            return
        only = chunk.choices[0]
        if only.text and only.adds_text_only and read_text(chunk.raw) is not None:
            self._tries_left -= 1
            self._frame = _frame(data, chunk)


def _frame(data: bytes, chunk: Chunk) -> _Frame | None:
    """What stands around the text of an event; None where that is not known for sure."""
    spans = [match.span(1) for match in _CONTENT.finditer(data)]
    if len(spans) != 1:
        return None
    start, end = spans[0]
    before, behind = data[:start], data[end:]
    event, choice, delta = _taken_apart(chunk.raw)
    frame = _Frame(before, behind, chunk.choices[0].choice_index, chunk[1:-1], event, choice, delta)
    # Shared by all the chunks to come, so nothing in it may be changeable.
    values = (*event.values(), *choice.values(), *delta.values())
    if not all(isinstance(value, _SCALARS) for value in values):
        return None
    probe = from_json(before + to_json(_PROBE) + behind)
    return frame if probe == _with_text(frame, _PROBE) else None


def _taken_apart(event: Json) -> tuple[Json, Json, Json]:
    """The event without its choices, its one choice without the delta, the delta without text."""
    choice = event["choices"][0]
    return (
        _without(event, "choices"),
        _without(choice, "delta"),
        _without(choice["delta"], "content"),
    )


def _without(fields: Json, name: str) -> Json:
    return {key: value for key, value in fields.items() if key != name}


def _with_text(frame: _Frame, text: str) -> Json:
    delta = {**frame.delta, "content": text}
    return {**frame.event, "choices": [{**frame.choice, "delta": delta}]}
