"""Content blocks that the responses of a stream share.

Each response holds all of the answer so far. Making all its blocks anew for each would take time in
the square of their number, and readers seldom change a block.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Generic, TypeVar

from pydantic import BaseModel

_B = TypeVar("_B", bound=BaseModel)

_fields = attrgetter("__dict__")


class SharedBlocks(Generic[_B]):
    """Blocks in the order of their keys; one that a reader changed is replaced for later readers.

    The comparison is of the fields alone: what is within their values is shared all the same.
    """

    def __init__(self) -> None:
        self._own: dict[int, _B] = {}
        self._given: dict[int, _B] = {}

    def put(self, key: int, block: _B) -> None:
        """Adds a block, or puts it in the place of the one of this key."""
        in_order = key in self._own or not self._own or key > next(reversed(self._own))
        self._own[key] = block
        self._given[key] = block.model_copy()
        if not in_order:
            self._own = dict(sorted(self._own.items()))
            self._given = dict(sorted(self._given.items()))

    def given(self) -> list[_B]:
        """A list of all blocks."""
        if not self._own:
            return []
        if list(map(_fields, self._given.values())) != list(map(_fields, self._own.values())):
            for key, own in self._own.items():
                if _fields(self._given[key]) != _fields(own):
                    self._given[key] = own.model_copy()
        return list(self._given.values())
