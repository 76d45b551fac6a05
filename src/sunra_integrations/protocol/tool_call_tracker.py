"""Assigns every delta of a tool call to its call, with a definite index and id.

Servers identify the deltas of parallel calls by `index`, by `id`, or only by their order:

- no index: https://github.com/ollama/ollama/issues/7881
- one index for all calls: https://github.com/BerriAI/litellm/pull/16194
- the id in every delta: https://github.com/InternLM/lmdeploy/issues/3412
- a new id in every delta: https://github.com/vllm-project/vllm/pull/23522

The rules:

1. A known id identifies the call. A new id begins a call, except if the delta has no name and a
   known index, because some servers make up an id for every delta.
2. Without an id, a known index identifies the call: the latest one with that index.
3. Without both, the delta continues the latest call.
4. Under rules 2 and 3, a delta with a name begins a new call in three cases. The call it would
   continue has another name, or was continued in the same event, or already has complete arguments
   and the delta adds more.
5. In a message that is not streamed, every entry is a whole call.
6. A known id under a new index, with a name, is another call of a server that repeats ids. It gets
   an id of its own, because its result must refer to one call.
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
_ARGUMENTS_ONLY = frozenset(("index", "type", "function"))
_FUNCTION_FIELDS = frozenset(("name", "arguments"))
_CUSTOM_FIELDS = frozenset(("name", "input"))
_MAX_ID = 40
"""OpenAI rejects longer ids: https://github.com/agno-agi/agno/issues/5382."""
_MAX_ID_PART = 24
_MAX_ID_READ = 200
"""Characters of a response's id that are hashed, because every choice hashes it again."""


class ToolCallTracker:
    """The tool calls of one choice.

    Args:
        id_prefix: Prefix of the ids made for calls without one. The result of a call refers to its
            id, so every call needs one.
        original_names: The original tool names by the names they were sent under, if these differ.
            Deltas get the original names.
    """

    def __init__(self, id_prefix: str = "call", original_names: Mapping[str, str] = EMPTY) -> None:
        self._id_prefix = id_prefix
        self._original_names = original_names
        self._calls: list[_Call] = []
        self._ids: set[str] = set()
        self._indexes: set[int] = set()
        self._highest_index = -1
        self._by_server_id: dict[str, _Call] = {}
        self._by_server_index: dict[int, _Call] = {}

    def process(self, entries: object, *, whole: bool = False) -> tuple[ToolCallDelta, ...]:
        """The entries of one event's `tool_calls`, each with the index of its call.

        Args:
            entries: The list, or its only entry. Anything else contains no calls.
            whole: Each entry is a whole call, not a delta.
        """
        if isinstance(entries, dict) and entries:
            entries = [entries]
        if not isinstance(entries, list):
            return ()
        continued: set[int] = set()
        deltas: list[ToolCallDelta] = []
        for entry in entries:
            if isinstance(entry, dict):
                delta = None if whole else self._append_arguments(entry)
                if delta is None:
                    parsed = _parse_entry(entry)
                    call = None if whole else self._find(parsed, continued)
                    delta = self._assign(parsed, call, whole=whole)
                continued.add(delta.call_index)
                deltas.append(delta)
        return tuple(deltas)

    def release_names(self) -> tuple[ToolCallDelta, ...]:
        """The names that were held back until the end of the choice."""
        return tuple(
            ToolCallDelta(call.index, None, self._original_name(call, None, hold=False), "")
            for call in self._calls
            if call.is_name_held
        )

    def _append_arguments(self, entry: Json) -> ToolCallDelta | None:
        """Applies rule 2 to a delta that has only arguments, the usual case. None for others.

        Saves 1.1 of 9.5 µs per event.
        """
        index, function = entry.get("index"), entry.get("function")
        if type(index) is not int or type(function) is not dict or len(function) != 1:
            return None
        call, arguments = self._by_server_index.get(index), function.get("arguments")
        if call is None or call.is_name_held or type(arguments) is not str:
            return None
        if not _ARGUMENTS_ONLY.issuperset(entry):
            return None
        if arguments:
            call.arguments.append(arguments)
        return ToolCallDelta(call.index, None, None, arguments)

    def _find(self, entry: _Entry, continued: set[int]) -> _Call | None:
        """The call that an entry continues; None if it begins one."""
        by_index = (
            None if entry.server_index is None else self._by_server_index.get(entry.server_index)
        )
        if entry.id is not None:
            if by_index is not None and by_index.server_id == entry.id:
                return by_index
            known = self._by_server_id.get(entry.id)
            if known is None:
                return by_index if entry.name is None else None
            is_new_index = entry.server_index is not None and by_index is None
            is_repeated_id = (
                is_new_index and entry.name is not None and known.server_index is not None
            )
            return None if is_repeated_id else known
        latest = self._calls[-1] if self._calls else None
        call = latest if entry.server_index is None else by_index
        if call is None or _begins_another(call, entry, call.index in continued):
            return None
        return call

    def _assign(self, entry: _Entry, call: _Call | None, *, whole: bool) -> ToolCallDelta:
        if call is None:
            call = self._begin(entry)
            call_id, name = call.id, call.name
        else:
            call_id, name = None, _rest_of_name(call, entry.name)
        if self._original_names:
            name = self._original_name(call, name, hold=not (whole or entry.arguments))
        if entry.server_index is not None:
            self._by_server_index[entry.server_index] = call
        if entry.arguments:
            call.arguments.append(entry.arguments)
        return ToolCallDelta(call.index, call_id, name, entry.arguments, entry.extra)

    def _begin(self, entry: _Entry) -> _Call:
        index = entry.server_index
        if index is None or index in self._indexes:
            index = self._highest_index + 1
        self._indexes.add(index)
        self._highest_index = max(self._highest_index, index)
        call = _Call(index, self._unique_id(entry.id, index), entry)
        self._calls.append(call)
        self._ids.add(call.id)
        self._by_server_id[entry.id or call.id] = call
        return call

    def _unique_id(self, server_id: str | None, index: int) -> str:
        """The server's id, or a new one if there is none or another call has it."""
        if server_id is not None and server_id not in self._ids:
            return server_id
        made = f"{self._id_prefix}_{index}"
        while len(made) > _MAX_ID or made in self._ids:
            made = f"call_{_digest(made)}"
        return made

    def _original_name(self, call: _Call, delta: str | None, *, hold: bool) -> str | None:
        """The part of the call's name to pass on: the tool's original name once it is complete.

        Args:
            call: The call.
            delta: The latest part of the name.
            hold: Hold the name back while it may be the beginning of a longer one.
        """
        if not call.is_name_held and (delta is None or delta != call.name):
            return delta
        name = call.name or ""
        longer = (sent for sent in self._original_names if sent != name and sent.startswith(name))
        call.is_name_held = hold and next(longer, None) is not None
        return None if call.is_name_held else self._original_names.get(name, call.name)


def short_id(response_id: str) -> str:
    """A response's id, short enough to be part of the ids of calls."""
    if len(response_id) <= _MAX_ID_PART:
        return response_id
    return _digest(response_id[:_MAX_ID_READ])


def _digest(value: str) -> str:
    return sha256(value.encode(errors="replace")).hexdigest()[:_MAX_ID_PART]


class _Call:
    __slots__ = (
        "arguments",
        "balance",
        "balanced_count",
        "id",
        "index",
        "is_name_held",
        "name",
        "server_id",
        "server_index",
    )

    def __init__(self, index: int, call_id: str, first: _Entry) -> None:
        self.index = index
        self.id = call_id
        self.server_id = first.id
        self.server_index = first.server_index
        self.name = first.name
        self.is_name_held = False
        self.arguments: list[str] = []
        self.balance = JsonBalance()
        self.balanced_count = 0  # how many elements of `arguments` the balance includes


def _begins_another(call: _Call, entry: _Entry, continued_in_this_event: bool) -> bool:
    """Rule 4."""
    if entry.name is None:
        return False
    if continued_in_this_event:
        return True
    if call.name is not None and not entry.name.startswith(call.name):
        return bool(call.arguments)
    return bool(entry.arguments.strip()) and _has_complete_arguments(call)


def _has_complete_arguments(call: _Call) -> bool:
    if not call.arguments or not call.arguments[-1].rstrip().endswith("}"):
        return False
    for part in call.arguments[call.balanced_count :]:
        call.balance.feed(part)
    call.balanced_count = len(call.arguments)
    if not call.balance.is_closed:
        return False
    try:
        return isinstance(read_json("".join(call.arguments)), dict)
    except ValueError:
        return False


def _rest_of_name(call: _Call, name: str | None) -> str | None:
    """The part of the name that a later delta adds. Servers repeat the name or continue it."""
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


class _Entry(NamedTuple):
    """An entry of `tool_calls`, as the server sent it."""

    server_index: int | None
    id: str | None
    name: str | None
    arguments: str
    extra: Json


def _parse_entry(entry: Json) -> _Entry:
    function = entry.get("function")
    if not isinstance(function, dict):
        if isinstance(entry.get("custom"), dict):
            return _parse_custom(entry, entry["custom"])
        function = EMPTY
    extra = without_keys(entry, _CALL_FIELDS)
    if not _FUNCTION_FIELDS.issuperset(function):
        extra = {**extra, "function": without_keys(function, _FUNCTION_FIELDS)}
    if entry.get("type", "function") != "function" and as_str(entry["type"]):
        extra = {**extra, "type": entry["type"]}  # such as Moonshot's `builtin_function`
    return _Entry(
        as_int(entry.get("index")),
        as_str(entry.get("id")),
        as_str(function.get("name")),
        arguments_text(function.get("arguments")),
        extra,
    )


def _parse_custom(entry: Json, custom: Json) -> _Entry:
    """A delta of a custom tool's call, which has text instead of arguments."""
    extra: dict[str, Any] = {**without_keys(entry, _CALL_FIELDS | {"custom"}), "type": "custom"}
    if not _CUSTOM_FIELDS.issuperset(custom):
        extra["custom"] = without_keys(custom, _CUSTOM_FIELDS)
    return _Entry(
        as_int(entry.get("index")),
        as_str(entry.get("id")),
        as_str(custom.get("name")),
        as_str(custom.get("input")) or "",
        extra,
    )


def arguments_text(arguments: object) -> str:
    """The arguments as text. Some servers send a JSON object, null or false."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None or arguments is False else to_json(arguments).decode()
