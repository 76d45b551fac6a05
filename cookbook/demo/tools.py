"""Tools of the agents. Plain functions: each framework makes its own tools of them."""

from __future__ import annotations

from collections.abc import Callable

Search = Callable[[str], str]


def search_with(retrieve: Callable[[str], list[tuple[str, str]]]) -> Search:
    """A search tool over a retriever that gives (place, text) pairs."""

    def search_constitution(query: str) -> str:
        """Search the US Constitution for the passages that fit a query."""
        return "\n\n".join(f"[{place}] {text}" for place, text in retrieve(query))

    return search_constitution


def years_between(first_year: int, last_year: int) -> int:
    """Count the years between two years."""
    return abs(last_year - first_year)
