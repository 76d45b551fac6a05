"""Numbers for JSON Schema: read from words, or found within bounds and steps."""

import math
from typing import Any


def parsed(text: str, *, whole: bool) -> int | float | None:
    """The number some words are, or None; a whole one if asked, where it is one."""
    digits = text.replace(",", "").strip()
    try:
        return int(digits)
    except ValueError:
        pass
    try:
        value = float(digits)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if whole and value.is_integer() else value


def in_range(schema: dict[str, Any], *, whole: bool) -> int | float:
    """The number nearest to zero that a schema's bounds and step allow."""
    try:
        low, high = _bounds(schema, whole=whole)
        step = schema.get("multipleOf")
        if step:
            return _multiple(low, high, step, whole=whole)
        nearest = min(max(0, low), high)
        if whole:
            return math.ceil(nearest) if nearest == low else math.floor(nearest)
    except (ArithmeticError, ValueError):  # bounds beyond what floats can tell apart
        return 0
    return nearest


def _bounds(schema: dict[str, Any], *, whole: bool) -> tuple[float, float]:
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None:
        low = max(low, math.floor(above) + 1 if whole else _inside(above, below, high, +1))
    if below is not None:
        high = min(high, math.ceil(below) - 1 if whole else _inside(below, above, low, -1))
    return low, high


def _inside(edge: float, other: float | None, far: float, direction: int) -> float:
    """A number just inside an open bound: one further, or half way to the other bound."""
    limit = far if other is None else other
    if math.isfinite(limit) and abs(limit - edge) <= 1:
        return edge + (limit - edge) / 2
    return edge + direction


def _multiple(low: float, high: float, step: float, *, whole: bool) -> int | float:
    if whole and isinstance(step, float) and not step.is_integer():
        step = step * 10
    if low <= 0 <= high:
        return 0
    times = math.ceil(low / step) if low > 0 else math.floor(high / step)
    value = times * step
    return int(value) if whole else value
