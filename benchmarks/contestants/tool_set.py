"""Functions to bind as tools: as many as are wanted, alike but for their names."""

from collections.abc import Callable
from typing import Literal


def functions(count: int) -> list[Callable[..., str]]:
    """Functions with names of their own, each with typed parameters and a docstring."""
    return [_function(number) for number in range(count)]


def _function(number: int) -> Callable[..., str]:
    def look_up(  # noqa: PLR0917 - a tool has parameters
        place: str,
        since: int,
        until: int | None = None,
        kind: Literal["people", "events", "buildings"] = "events",
        words: list[str] | None = None,
        exact: bool = False,
    ) -> str:
        """Look up what is known of a place in a span of years, narrowed by words."""
        return f"{place} {since}-{until} {kind} {words} {exact}"

    look_up.__name__ = look_up.__qualname__ = f"look_up_{number}"
    return look_up
