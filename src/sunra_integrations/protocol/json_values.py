"""JSON as it was decoded, read tolerantly: what is of the wrong type counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

Json = Mapping[str, Any]


class _Nothing(dict[str, Any]):
    """An empty dict that stays empty (a MappingProxyType could be neither pickled nor encoded)."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this shared empty mapping cannot be changed; make a copy")

    __setitem__ = __ior__ = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: Json = _Nothing()
"""The one empty mapping, shared by all that has nothing to say."""

_WORD = 2**63


def text(value: object) -> str | None:
    """The value if it is a non-empty string, else None."""
    return value if isinstance(value, str) and value else None


def objects(value: object) -> tuple[Json, ...]:
    """The JSON objects of a list; empty where the value is no list."""
    if not value or not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, dict))


def others(given: Json, known: frozenset[str]) -> Json:
    """The fields of other names than the known ones."""
    if known.issuperset(given):
        return NOTHING
    return {name: value for name, value in given.items() if name not in known}


def copied(value: Any) -> Any:
    """Decoded JSON again, sharing nothing that could be changed."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def count(value: object) -> int | None:
    """A token count as an int; None where the value is no whole number, or none of 64 bits.

    Nothing is counted in more, and Python refuses to print an integer of thousands of digits.
    """
    # By type and not by `match`: this runs for every event, and bool is a subclass of int.
    if type(value) is int:
        return value if -_WORD <= value < _WORD else None
    if type(value) is float and -_WORD <= value < _WORD and value.is_integer():
        return int(value)
    return None
