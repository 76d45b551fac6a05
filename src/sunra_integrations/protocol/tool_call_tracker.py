"""Gives every piece of a tool call a definite index, id and place.

Servers of this family key the pieces of parallel calls by `index`, or by `id`, or by nothing but
their order; some send two calls under one index, or repeat id and name in every piece. The rules:

1. A known id says which call a piece belongs to; a new id begins a call, unless the piece names no
   function and comes under a known index (some servers make up an id for every piece).
2. Without an id, a known index says it: the latest call that came under that index.
3. Without either, a piece continues the latest call.
4. Under 2 and 3, a piece that names a function begins a new call if the call it would join has
   another name, or was joined in this very event, or has arguments that are already complete and
   the piece brings more.
5. In an unstreamed message every entry is a whole call.
6. A known id under a new index, with a name, is another call whose server repeats ids. It gets an
   id of its own, because its result must name one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic_core import to_json

from sunra_integrations.protocol.json_text import (
    EMPTY,
    Json,
    JsonBalance,
    as_int,
    as_str,
    read_json,
    without_keys,
)
from sunra_integrations.protocol.reply import ToolCallDelta

_CALL_FIELDS = frozenset(("index", "id", "type", "function"))
_FUNCTION_FIELDS = frozenset(("name", "arguments"))
_CUSTOM_FIELDS = frozenset(("name", "input"))
_GOING_ON = frozenset(("index", "type", "function"))
_LONGEST_ID = 40
"""OpenAI refuses the id of a call that is longer."""
_LONGEST_PART = 24
_LONGEST_READ = 200
"""No more of an answer's id is read, because every choice that calls reads it again."""


class _Piece(NamedTuple):
    wire_index: int | None
    id: str | None
    name: str | None
    arguments: str
    extra: Json


class _Call:
    __slots__ = (
        "arguments", "brackets", "followed", "held", "id", "index", "name", "wire_id", "wire_index"
    )  # fmt: skip

    def __init__(self, index: int, call_id: str, first: _Piece) -> None:
        self.index = index
        self.id = call_id
        self.wire_id = first.id
        self.wire_index = first.wire_index
        self.name = first.name
        self.arguments: list[str] = []
        self.brackets = JsonBalance()
        self.held = False  # the name is not given out yet: it may be a part of a longer one
        self.followed = 0  # pieces of the arguments that the brackets have been followed in


class ToolCallTracker:
    """The calls of one choice, as they appear.

    Args:
        id_prefix: Begins the id of a call that comes without one; an answer to the call needs an
            id, so one is made from the response's own id and the call's index.
        own_names: The tools' own names by those they were sent under, where these differ; calls
            are given out under the tools' own.
    """

    def __init__(self, id_prefix: str = "call", own_names: Mapping[str, str] = EMPTY) -> None:
        self._id_prefix = id_prefix
        self._own_names = own_names
        self._calls: list[_Call] = []
        self._indexes: set[int] = set()
        self._highest = -1
        self._by_id: dict[str, _Call] = {}
        self._ids: set[str] = set()
        self._by_wire_index: dict[int, _Call] = {}

    def process(self, entries: object, *, whole: bool = False) -> tuple[ToolCallDelta, ...]:
        """The entries of one event's `tool_calls`, each with its call's index.

        Args:
            entries: The list as it came, or its only entry; anything else holds no calls.
            whole: The entries are those of a finished message, not pieces.
        """
        if isinstance(entries, dict) and entries:
            entries = [entries]
        if not isinstance(entries, list):
            return ()
        joined: set[int] = set()
        placed: list[ToolCallDelta] = []
        for entry in entries:
            if isinstance(entry, dict):
                delta = None if whole else self._append_arguments(entry)
                if delta is None:
                    piece = _read(entry)
                    call = None if whole else self._find(piece, joined)
                    delta = self._place(piece, call, whole=whole)
                joined.add(delta.call_index)
                placed.append(delta)
        return tuple(placed)

    def _append_arguments(self, entry: Json) -> ToolCallDelta | None:
        """A piece that brings arguments to a call known by its index and nothing else, else None.

        Nearly every piece is of this kind, so it is placed in a few steps; rule 2 says the same.
        """
        arguments = arguments_alone(entry)
        return None if arguments is None else self.append_arguments(entry.get("index"), arguments)

    def append_arguments(self, wire_index: object, arguments: str) -> ToolCallDelta | None:
        """Arguments of the call that last came under an index; None where none has."""
        call = self._by_wire_index.get(wire_index) if type(wire_index) is int else None
        if call is None:
            return None
        if arguments:
            call.arguments.append(arguments)
        name = self._own_name(call, None, hold=not arguments) if call.held else None
        return ToolCallDelta(call.index, None, name, arguments)

    def _place(self, piece: _Piece, call: _Call | None, *, whole: bool) -> ToolCallDelta:
        if call is None:
            call = self._begin(piece)
            call_id, name = call.id, call.name
        else:
            call_id, name = None, _rest_of_name(call, piece.name)
        if self._own_names:
            name = self._own_name(call, name, hold=not (whole or piece.arguments))
        if piece.wire_index is not None:
            self._by_wire_index[piece.wire_index] = call
        if piece.arguments:
            call.arguments.append(piece.arguments)
        return ToolCallDelta(call.index, call_id, name, piece.arguments, piece.extra)

    def release(self) -> tuple[ToolCallDelta, ...]:
        """The names that were held back for more pieces, at the end."""
        return tuple(
            ToolCallDelta(call.index, None, self._own_name(call, None, hold=False), "")
            for call in self._calls
            if call.held
        )

    def _own_name(self, call: _Call, piece: str | None, *, hold: bool) -> str | None:
        """The part of the call's name to pass on: the tool's own name once it is complete.

        Args:
            call: The call.
            piece: The latest piece of the name.
            hold: A name that may be the beginning of a longer one waits for the rest.
        """
        if not call.held and (piece is None or piece != call.name):
            return piece
        name = call.name or ""
        longer = (sent for sent in self._own_names if sent != name and sent.startswith(name))
        call.held = hold and next(longer, None) is not None
        return None if call.held else self._own_names.get(name, call.name)

    def _find(self, piece: _Piece, joined: set[int]) -> _Call | None:
        """The call that a piece continues; None where it begins one."""
        under_index = (
            None if piece.wire_index is None else self._by_wire_index.get(piece.wire_index)
        )
        if piece.id is not None:
            if under_index is not None and under_index.wire_id == piece.id:
                return under_index
            known = self._by_id.get(piece.id)
            if known is None:
                return under_index if piece.name is None else None
            new_index = piece.wire_index is not None and under_index is None
            another = new_index and piece.name is not None and known.wire_index is not None
            return None if another else known
        latest = self._calls[-1] if self._calls else None
        call = latest if piece.wire_index is None else under_index
        if call is None or _begins_another(call, piece, call.index in joined):
            return None
        return call

    def _begin(self, piece: _Piece) -> _Call:
        index = piece.wire_index
        if index is None or index in self._indexes:
            index = self._highest + 1
        self._indexes.add(index)
        self._highest = max(self._highest, index)
        call = _Call(index, self._id(piece.id, index), piece)
        self._calls.append(call)
        self._ids.add(call.id)
        self._by_id[piece.id or call.id] = call
        return call

    def _id(self, given: str | None, index: int) -> str:
        """The id received, or one that no other call has."""
        if given is not None and given not in self._ids:
            return given
        made = f"{self._id_prefix}_{index}"
        while len(made) > _LONGEST_ID or made in self._ids:
            made = f"call_{_digest(made)}"
        return made


def short_id(given: str) -> str:
    """An answer's id, short enough to be part of the ids of calls."""
    return given if len(given) <= _LONGEST_PART else _digest(given[:_LONGEST_READ])


def _digest(value: str) -> str:
    return sha256(value.encode(errors="replace")).hexdigest()[:_LONGEST_PART]


def arguments_alone(entry: Json) -> str | None:
    """The arguments in an entry that brings nothing else for a call known by its index."""
    function = entry.get("function")
    if not _GOING_ON.issuperset(entry) or type(function) is not dict or len(function) != 1:
        return None
    arguments = function.get("arguments")
    return arguments if type(arguments) is str else None


def _begins_another(call: _Call, piece: _Piece, joined_in_this_event: bool) -> bool:
    if piece.name is None:
        return False
    if joined_in_this_event:
        return True
    if call.name is not None and not piece.name.startswith(call.name):
        return bool(call.arguments)
    return bool(piece.arguments.strip()) and _complete(call)


def _rest_of_name(call: _Call, name: str | None) -> str | None:
    """What a later piece adds to the name: nothing when it only repeats it."""
    if name is None or name == call.name:
        return None
    if call.name is None:
        call.name = name
        return name
    if name.startswith(call.name):
        rest = name[len(call.name) :]
    elif call.arguments:
        return None
    else:
        rest = name
    call.name += rest
    return rest


def _complete(call: _Call) -> bool:
    if not call.arguments or not call.arguments[-1].rstrip().endswith("}"):
        return False
    for piece in call.arguments[call.followed :]:
        call.brackets.feed(piece)
    call.followed = len(call.arguments)
    if not call.brackets.closed:
        return False
    try:
        return isinstance(read_json("".join(call.arguments)), dict)
    except ValueError:
        return False


def _read(entry: Json) -> _Piece:
    function = entry.get("function")
    if not isinstance(function, dict):
        if isinstance(entry.get("custom"), dict):
            return _read_custom(entry, entry["custom"])
        function = EMPTY
    extra = without_keys(entry, _CALL_FIELDS)
    if not _FUNCTION_FIELDS.issuperset(function):
        extra = {**extra, "function": without_keys(function, _FUNCTION_FIELDS)}
    if entry.get("type", "function") != "function" and as_str(entry["type"]):
        extra = {**extra, "type": entry["type"]}  # as Moonshot's `builtin_function`
    return _Piece(
        as_int(entry.get("index")),
        as_str(entry.get("id")),
        as_str(function.get("name")),
        _arguments_text(function.get("arguments")),
        extra,
    )


def _read_custom(entry: Json, custom: Json) -> _Piece:
    """A piece of a custom tool's call, which takes text in place of arguments."""
    extra: dict[str, Any] = {**without_keys(entry, _CALL_FIELDS | {"custom"}), "type": "custom"}
    if not _CUSTOM_FIELDS.issuperset(custom):
        extra["custom"] = without_keys(custom, _CUSTOM_FIELDS)
    return _Piece(
        as_int(entry.get("index")),
        as_str(entry.get("id")),
        as_str(custom.get("name")),
        as_str(custom.get("input")) or "",
        extra,
    )


def _arguments_text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None or arguments is False else to_json(arguments).decode()
