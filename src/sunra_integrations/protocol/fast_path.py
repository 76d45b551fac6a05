"""Shortcuts that only save time.

`constructor` makes instances of pydantic models without validating them.
`RepeatedEvent` reads events that differ from an earlier event in a single string.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from functools import partial, reduce
from json import JSONDecoder
from operator import getitem
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import from_json, to_json

from sunra_integrations.protocol.json_text import EMPTY, Json
from sunra_integrations.protocol.reply import ChoiceDelta, Chunk, ToolCallDelta
from sunra_integrations.protocol.tool_call_tracker import ToolCallTracker, arguments_alone

# ── instances without validation ─────────────────────────────────────────────

_M = TypeVar("_M", bound=BaseModel)
_Constructor = Callable[..., _M]

_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_CONSTANTS = (str, int, float, type(None))
_KNOWN_SETTINGS = frozenset(("arbitrary_types_allowed", "extra", "frozen", "protected_namespaces"))


def constructor(
    model: type[_M],
    example: Mapping[str, Any],
    *more_examples: Mapping[str, Any],
    defaults: Mapping[str, Any] = EMPTY,
    known_validators: Collection[str] = (),
) -> _Constructor[_M]:
    """A function from valid values to an instance equal to `model(**values)`, without validation.

    The function does validate if the class does something unknown, or if one of the examples
    shows that its result would differ. Containers among the values become the instance's own;
    validation would copy them. The optional second argument of the function holds new containers
    for the fields of `defaults`.

    Args:
        model: The class.
        example: Values of the fields that will be given, constructed in both ways to compare.
        *more_examples: The same, for values that the known validators look at.
        defaults: Fields that are not given and whose defaults are containers, with such defaults.
            Passing them is faster than calling the default factories of the class.
        known_validators: Validators of the class, or `__init__`, that leave such values unchanged.
            The comparison decides; the name alone does not.
    """
    examples = (example, *more_examples)
    if not all(
        _is_plain(model, values.keys(), defaults.keys(), frozenset(known_validators))
        for values in examples
    ):
        return validating_constructor(model)
    given = {name for values in examples for name in values}
    construct = _unvalidated(model, {*given, *defaults})
    for values in examples:
        made = construct(dict(values), copy.deepcopy(dict(defaults)))
        if _state(made) != _state(model(**values)):
            return validating_constructor(model)
    return construct


def validating_constructor(model: type[_M]) -> _Constructor[_M]:
    """The reference for `constructor`: it validates."""

    def construct(values: dict[str, Any], _: Mapping[str, Any] = EMPTY) -> _M:
        return model(**values)

    return construct


def _unvalidated(model: type[_M], provided: Collection[str]) -> _Constructor[_M]:
    """Sets what validation sets: the fields in their order, the names of given fields, the rest."""
    fields = model.model_fields
    constants = {name: field.default for name, field in fields.items()}
    factories = [
        (name, field)
        for name, field in fields.items()
        if name not in provided and not _has_constant_default(field)
    ]
    allows_extra = model.model_config.get("extra") == "allow"
    new = model.__new__
    # Through the slots, because a model's own __setattr__ may validate or refuse.
    set_fields, set_given, set_extra, set_private = (vars(BaseModel)[n].__set__ for n in _SLOTS)

    def construct(values: dict[str, Any], defaults: Mapping[str, Any] = EMPTY) -> _M:
        made = new(model)
        set_fields(made, {**constants, **defaults, **values})
        set_given(made, set(values))
        set_extra(made, {} if allows_extra else None)
        set_private(made, None)
        return made

    def construct_with_factories(values: dict[str, Any], defaults: Mapping[str, Any] = EMPTY) -> _M:
        # Two instances must not share anything mutable.
        own = {name: field.get_default(call_default_factory=True) for name, field in factories}
        return construct(values, {**own, **defaults})

    return construct_with_factories if factories else construct


def _has_constant_default(field: FieldInfo) -> bool:
    return field.default_factory is None and isinstance(field.default, _CONSTANTS)


def _is_plain(
    model: type[BaseModel],
    given: Collection[str],
    defaults: Collection[str],
    known_validators: frozenset[str],
) -> bool:
    """Whether the class does nothing but check types, apart from the known validators."""
    fields = model.model_fields
    required = {name for name, field in fields.items() if field.is_required()}
    return (
        vars(BaseModel).keys() >= set(_SLOTS)
        and _custom_behaviour(model) <= known_validators
        and not model.__private_attributes__
        and model.model_config.keys() <= _KNOWN_SETTINGS
        and required <= set(given) <= fields.keys()
        and set(defaults) <= fields.keys() - set(given)
        and not any(_has_rules(field, name in given) for name, field in fields.items())
    )


def _custom_behaviour(model: type[BaseModel]) -> set[str]:
    """The names of a class's validators and of overridden methods that run on construction."""
    found = model.__pydantic_decorators__
    validators = {
        **found.validators,
        **found.field_validators,
        **found.root_validators,
        **found.model_validators,
    }
    inherited: Mapping[str, object] = {
        "__init__": BaseModel.__init__,
        "__new__": object.__new__,
        "model_post_init": BaseModel.model_post_init,
    }
    overridden = {name for name, own in inherited.items() if getattr(model, name) is not own}
    return overridden | validators.keys()


def _has_rules(field: FieldInfo, is_given: bool) -> bool:
    """Whether a field has constraints, validators, an alias, or a default from other fields."""
    return bool(
        field.validate_default
        or getattr(field, "default_factory_takes_validated_data", False)
        or (is_given and (field.metadata or field.alias))
    )


def _state(instance: BaseModel) -> tuple[Any, ...]:
    """Everything in an instance: its fields in order with their types, and pydantic's slots."""
    fields = [(name, type(value), value) for name, value in instance.__dict__.items()]
    return fields, *(getattr(instance, slot) for slot in _SLOTS[1:])


# ── repeated events ──────────────────────────────────────────────────────────

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
    append_arguments: Callable[[str], ToolCallDelta | None],
) -> FrameReader:
    """A reader of pieces of a tool call's arguments.

    Args:
        around: The bytes before and behind the piece.
        envelope: What stays the same; its delta is without `tool_calls`.
        entry: The one entry of `tool_calls`, without its `function`.
        append_arguments: Places the piece; None where it belongs to no call that has begun.
    """
    before, behind = around
    index, said, extra, event, choice, delta = envelope

    def read(data: bytes) -> Chunk | None:
        if not (data.startswith(before) and data.endswith(behind)):
            return None
        arguments = _string(data[len(before) : len(data) - len(behind)])
        placed = None if arguments is None else append_arguments(arguments)
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

    def __init__(self, calls_of: Callable[[int], ToolCallTracker | None]) -> None:
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
            return _Kind((_CONTENT,), (), of_text)
        if text and only == ChoiceDelta(index, text, logprobs=only.logprobs):
            return _Kind((_CONTENT, _LOGPROBS), (), of_rated_text)
        if field and only == ChoiceDelta(index, reasoning=only.reasoning, reasoning_field=field):
            with_field = partial(of_reasoning, field=field)
            return _Kind(((*_DELTA, field),), (), with_field)
        if only.tool_calls and only == ChoiceDelta(index, tool_calls=only.tool_calls):
            return self._kind_of_arguments(index, choice["delta"]["tool_calls"])
        return None

    def _kind_of_arguments(self, choice_index: int, entries: list[Json]) -> _Kind | None:
        order = self._calls_of(choice_index)
        if order is None or len(entries) != 1 or arguments_alone(entries[0]) is None:
            return None
        entry = _without(entries[0], "function")
        append_arguments = partial(order.append_arguments, entry.get("index"))
        reader = partial(of_arguments, entry=entry, append_arguments=append_arguments)
        return _Kind((_ARGUMENTS,), (entry,), reader)


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
