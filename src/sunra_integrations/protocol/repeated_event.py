"""Reads an event that says what an earlier one said but for the piece it brings.

Nearly every event of a stream is the one before it with another piece of text, of reasoning or of
a call's arguments: the same id, model and nulls around a few letters. Where the bytes around the
piece are those of an event that was read in full, only the piece is decoded. That is exact, because
a JSON value can stand in for another without changing what is around it; whatever is not exactly
that is read in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from functools import partial, reduce
from json import JSONDecoder
from operator import getitem
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from sunra_integrations.protocol import event_frames
from sunra_integrations.protocol.event_frames import Around, Envelope, FrameReader
from sunra_integrations.protocol.json_values import Json
from sunra_integrations.protocol.responses import ChoiceDelta, Chunk
from sunra_integrations.protocol.tool_call_order import ToolCallOrder, arguments_alone

# Learning an event costs about as much as reading a few in full. Each that was read by repetition
# earns one, so a stream whose events do not repeat is given up after a few tries.
_PRICE = 8
_CREDIT = 4 * _PRICE

_Path = tuple[str | int, ...]
_CHOICE: _Path = ("choices", 0)
_DELTA: _Path = (*_CHOICE, "delta")
_CONTENT: _Path = (*_DELTA, "content")
_LOGPROBS: _Path = (*_CHOICE, "logprobs")
_ARGUMENTS: _Path = (*_DELTA, "tool_calls", 0, "function", "arguments")
_PROBE = "another piece"
_SCALARS = (str, int, float, type(None))
_decoder = JSONDecoder()


class _Kind(NamedTuple):
    """A kind of event that brings one piece of something."""

    pieces: tuple[_Path, ...]
    """Where in the event the values are that change, in the order they stand in."""
    same: tuple[Json, ...]
    """Further objects of the event that stay the same."""
    reader: Callable[[Around, Envelope], FrameReader]


class RepeatedEvent:
    """The event of a stream that the next ones are held against.

    Args:
        calls_of: Gives the order of the tool calls of a choice that has some.
    """

    def __init__(self, calls_of: Callable[[int], ToolCallOrder | None]) -> None:
        self._calls_of = calls_of
        self._frame: FrameReader | None = None
        self._credit = _CREDIT

    def read(self, data: bytes) -> Chunk | None:
        """The event as a Chunk, where it repeats the one that was learnt; else None."""
        if self._frame is None:
            return None
        chunk = self._frame(data)
        if chunk is not None:
            self._credit += 1
        return chunk

    def learn(self, data: bytes, chunk: Chunk) -> None:
        """Takes an event as the one to hold the next against, if it brings one piece of something.

        Args:
            data: The event as it came.
            chunk: What was read from it.
        """
        if self._credit < _PRICE or len(chunk.choices) != 1 or len(chunk.raw["choices"]) != 1:
            return
        kind = self._kind(chunk.choices[0], chunk.raw["choices"][0])
        if kind is not None:
            self._credit -= _PRICE
            self._frame = _frame(data, chunk, kind)

    def _kind(self, only: ChoiceDelta, choice: Json) -> _Kind | None:
        """What an event is whose only choice adds this; None where the next may differ in more."""
        index, text, field = only.choice_index, only.text, only.reasoning_field
        if text and only == ChoiceDelta(index, text):
            return _Kind((_CONTENT,), (), event_frames.of_text)
        if text and only == ChoiceDelta(index, text, logprobs=only.logprobs):
            return _Kind((_CONTENT, _LOGPROBS), (), event_frames.of_rated_text)
        if field and only == ChoiceDelta(index, reasoning=only.reasoning, reasoning_field=field):
            of_reasoning = partial(event_frames.of_reasoning, field=field)
            return _Kind(((*_DELTA, field),), (), of_reasoning)
        if only.tool_calls and only == ChoiceDelta(index, tool_calls=only.tool_calls):
            return self._kind_of_arguments(index, choice["delta"]["tool_calls"])
        return None

    def _kind_of_arguments(self, choice_index: int, entries: list[Json]) -> _Kind | None:
        order = self._calls_of(choice_index)
        if order is None or len(entries) != 1 or arguments_alone(entries[0]) is None:
            return None
        entry = _without(entries[0], "function")
        go_on = partial(order.go_on, entry.get("index"))
        of_arguments = partial(event_frames.of_arguments, entry=entry, go_on=go_on)
        return _Kind((_ARGUMENTS,), (entry,), of_arguments)


def _frame(data: bytes, chunk: Chunk, kind: _Kind) -> FrameReader | None:
    """A reader of events that are this one but for its pieces; None where that is not sure."""
    of_delta = [path[len(_DELTA)] for path in kind.pieces if path[: len(_DELTA)] == _DELTA]
    of_choice = [path[len(_CHOICE)] for path in kind.pieces]
    choice = chunk.raw["choices"][0]
    envelope = Envelope(
        chunk.choices[0].choice_index,
        chunk[1:-2],
        chunk.extra,
        _without(chunk.raw, "choices"),
        _without(choice, *of_choice),
        _without(choice["delta"], *of_delta),
    )
    # Shared by all the chunks to come, so nothing in it may be changeable.
    for fields in (envelope.event, envelope.choice, envelope.delta, *kind.same):
        if not all(isinstance(value, _SCALARS) for value in fields.values()):
            return None
    around = _around(data, chunk.raw, kind.pieces)
    return None if around is None else kind.reader(around, envelope)


def _around(data: bytes, event: Json, pieces: tuple[_Path, ...]) -> Around | None:
    """The bytes before, between and behind the pieces; None where they are not found for sure."""
    text, at = data.decode(), 0
    around: list[bytes] = []
    probe: Any = deepcopy(event)
    for piece in pieces:
        holder, name = reduce(getitem, piece[:-1], probe), piece[-1]
        span = _span(text, at, str(name), holder[name])
        if span is None:
            return None
        holder[name] = _PROBE
        around.append(text[at : span[0]].encode())
        at = span[1]
    around.append(text[at:].encode())
    return around if from_json(to_json(_PROBE).join(around)) == probe else None


def _span(text: str, at: int, name: str, value: object) -> tuple[int, int] | None:
    """Where the first field of this name and value has its value, from a place on."""
    for key in re.finditer(rf'"{re.escape(name)}"\s*:\s*', text[at:]):
        start = at + key.end()
        try:
            found, end = _decoder.raw_decode(text, start)
        except ValueError:
            continue
        if found == value:
            return start, end
    return None


def _without(fields: Json, *names: str | int) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}
