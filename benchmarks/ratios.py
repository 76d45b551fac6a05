"""Figures of many rounds, made into few: medians, and medians of the ratios within each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Round = float | None
"""A figure of one round; None where the round brought none."""


@dataclass(frozen=True)
class Spread:
    """A median, and how far the rounds lie apart."""

    middle: float
    low: float
    high: float


def spread(rounds: Sequence[Round]) -> Spread | None:
    """The median of the rounds that brought a figure; None where none did."""
    found = [one for one in rounds if one is not None]
    return Spread(median(found), min(found), max(found)) if found else None


def ratio(ours: Sequence[Round], theirs: Sequence[Round]) -> Spread | None:
    """The median of the ratios within each round.

    What loads the machine for a while loads both in the same round, and cancels out.
    """
    pairs = zip(ours, theirs, strict=False)
    return spread([one / other for one, other in pairs if one is not None and other])
