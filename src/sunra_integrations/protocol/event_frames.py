"""Reads the events of a stream that are one event but for the piece that each of them brings.

Each function here takes the bytes around the piece and what stays the same, and gives a reader: of
an event that has these bytes around its piece it makes the Chunk that reading it in full would
make; of any other it makes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from sunra_integrations.protocol.json_values import Json
from sunra_integrations.protocol.responses import ChoiceDelta, Chunk, ToolCallDelta

FrameReader = Callable[[bytes], Chunk | None]
Around = Sequence[bytes]
"""The bytes before a piece and behind it; where there are two, those between them too."""


class Envelope(NamedTuple):
    """What stays the same from event to event. Its values are none that could be changed."""

    choice_index: int
    said: tuple[Any, ...]
    """The fields of the Chunk between `choices` and `extra`."""
    extra: Json
    """The Chunk's unknown fields, copied for each Chunk where there are any."""
    event: Json
    """The event without its choices."""
    choice: Json
    """Its one choice without the delta, and without the logprobs where they change."""
    delta: Json
    """The delta without the piece."""


def of_text(around: Around, envelope: Envelope) -> FrameReader:
    """A reader of pieces of text."""
    before, behind = around
    index, said, extra, event, choice, delta = envelope

    def read(data: bytes) -> Chunk | None:
        if not (data.startswith(before) and data.endswith(behind)):
            return None
        try:  # in place, since nearly all events of all streams come here
            text = from_json(data[len(before) : len(data) - len(behind)])
        except ValueError:
            return None
        if type(text) is not str or not text:
            return None
        raw = {**event, "choices": [{**choice, "delta": {**delta, "content": text}}]}
        return Chunk._make(((ChoiceDelta(index, text),), *said, extra and {**extra}, raw))

    return read


def of_rated_text(around: Around, envelope: Envelope) -> FrameReader:
    """A reader of pieces of text with the logprobs of their tokens, which come behind the text."""
    before, between, behind = around
    index, said, extra, event, choice, delta = envelope

    def read(data: bytes) -> Chunk | None:
        end = data.find(between, len(before))
        if end < 0 or not (data.startswith(before) and data.endswith(behind)):
            return None
        text = _string(data[len(before) : end])
        logprobs = _object(data[end + len(between) : len(data) - len(behind)])
        if not text or logprobs is None:
            return None
        changed = {**choice, "delta": {**delta, "content": text}, "logprobs": logprobs}
        said_now = ChoiceDelta(index, text, logprobs=logprobs)
        return Chunk._make(
            ((said_now,), *said, extra and {**extra}, {**event, "choices": [changed]})
        )

    return read


def of_reasoning(around: Around, envelope: Envelope, field: str) -> FrameReader:
    """A reader of pieces of reasoning.

    Args:
        around: The bytes before and behind the piece.
        envelope: What stays the same.
        field: The name that the reasoning comes under.
    """
    before, behind = around
    index, said, extra, event, choice, delta = envelope

    def read(data: bytes) -> Chunk | None:
        if not (data.startswith(before) and data.endswith(behind)):
            return None
        text = _string(data[len(before) : len(data) - len(behind)])
        if not text:
            return None
        raw = {**event, "choices": [{**choice, "delta": {**delta, field: text}}]}
        said_now = ChoiceDelta(index, reasoning=text, reasoning_field=field)
        return Chunk._make(((said_now,), *said, extra and {**extra}, raw))

    return read


def of_arguments(
    around: Around,
    envelope: Envelope,
    entry: Json,
    go_on: Callable[[str], ToolCallDelta | None],
) -> FrameReader:
    """A reader of pieces of a tool call's arguments.

    Args:
        around: The bytes before and behind the piece.
        envelope: What stays the same; its delta is without `tool_calls`.
        entry: The one entry of `tool_calls`, without its `function`.
        go_on: Places the piece; None where it belongs to no call that has begun.
    """
    before, behind = around
    index, said, extra, event, choice, delta = envelope

    def read(data: bytes) -> Chunk | None:
        if not (data.startswith(before) and data.endswith(behind)):
            return None
        arguments = _string(data[len(before) : len(data) - len(behind)])
        placed = None if arguments is None else go_on(arguments)
        if placed is None:
            return None
        calls = [{**entry, "function": {"arguments": arguments}}]
        raw = {**event, "choices": [{**choice, "delta": {**delta, "tool_calls": calls}}]}
        return Chunk._make(
            ((ChoiceDelta(index, "", "", (placed,)),), *said, extra and {**extra}, raw)
        )

    return read


def _string(data: bytes) -> str | None:
    """The JSON string that these bytes are; None where they are anything else."""
    try:
        value = from_json(data)
    except ValueError:
        return None
    return value if type(value) is str else None


def _object(data: bytes) -> Json | None:
    """The JSON object that these bytes are; None where they are anything else."""
    try:
        value = from_json(data)
    except ValueError:
        return None
    return value if type(value) is dict else None
