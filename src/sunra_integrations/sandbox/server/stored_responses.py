"""The latest responses, for requests that go on from one with ``previous_response_id``."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]

MAX_RESPONSES = 1000
MAX_CHARACTERS = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Stored:
    """The items of a request and of its response, without those of earlier responses."""

    previous_id: str | None
    items: list[Item]
    size: int


class StoredResponses:
    """The latest responses, up to a number and a size. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: OrderedDict[str, _Stored] = OrderedDict()
        self._size = 0

    def add(self, response_id: str, previous_id: str | None, items: list[Item]) -> None:
        """Stores a response. The oldest ones are removed if there is too much."""
        stored = _Stored(previous_id, items, len(json.dumps(items)))
        with self._lock:
            self._remove(response_id)
            self._by_id[response_id] = stored
            self._size += stored.size
            while len(self._by_id) > MAX_RESPONSES or self._size > MAX_CHARACTERS:
                self._remove(next(iter(self._by_id)))

    def clear(self) -> None:
        """Removes all responses."""
        with self._lock:
            self._by_id.clear()
            self._size = 0

    def conversation(self, response_id: str) -> list[Item] | None:
        """The items up to the end of a response. None if a part of them is not stored."""
        parts: list[list[Item]] = []
        next_id: str | None = response_id
        with self._lock:
            while next_id is not None:
                stored = self._by_id.get(next_id)
                if stored is None:
                    return None
                parts.append(stored.items)
                next_id = stored.previous_id
        return [item for items in reversed(parts) for item in items]

    def items(self, ids: set[str]) -> dict[str, Item]:
        """The stored items among these ids."""
        with self._lock:
            return {
                item["id"]: item
                for stored in self._by_id.values()
                for item in stored.items
                if item.get("id") in ids
            }

    def _remove(self, response_id: str) -> None:
        stored = self._by_id.pop(response_id, None)
        if stored is not None:
            self._size -= stored.size
