"""Functions to bind as tools: as many as are wanted, alike but for their names."""

from __future__ import annotations

from collections.abc import Callable


def functions(count: int) -> list[Callable[..., str]]:
    """Functions with names of their own, each with typed parameters and a docstring."""
    return [_function(number) for number in range(count)]


def _function(number: int) -> Callable[..., str]:
    def look_up(place: str, year: int, limit: int = 10, exact: bool = False) -> str:
        """Look up what is known of a place in a year."""
        return f"{place} {year} {limit} {exact}"

    look_up.__name__ = look_up.__qualname__ = f"look_up_{number}"
    return look_up
