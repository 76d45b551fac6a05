"""A whole run as a value: what was measured, where and when, to and from JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.ratios import Round, Spread, ratio, spread

Results = dict[str, dict[str, dict[str, list[Round]]]]
"""Case, contestant and figure, to the figure of each round."""


@dataclass(frozen=True)
class Run:
    """All results of a run.

    Args:
        quick: Whether it was a rough check.
        began: The day, in UTC.
        machine: In general words.
        versions: Versions in the environment of each contestant, by contestant and package.
        measures: Results by the measure's name.
    """

    quick: bool
    began: str
    machine: str
    versions: dict[str, dict[str, str]]
    measures: dict[str, Results] = field(default_factory=dict)

    @classmethod
    def begin(cls, versions: dict[str, dict[str, str]], *, quick: bool) -> Run:
        """A run on this machine, without results."""
        began = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        python = ".".join(map(str, sys.version_info[:2]))
        machine = f"{_cores()} cores, {platform.system()}, Python {python}"
        return cls(quick, began, machine, versions)

    def rounds(self, measure: str, case: str, contestant: str, figure: str) -> Sequence[Round]:
        """A figure of each round; empty where it was not measured."""
        by_contestant = self.measures.get(measure, {}).get(case, {})
        return by_contestant.get(contestant, {}).get(figure, ())

    def value(self, measure: str, case: str, contestant: str, figure: str) -> Spread | None:
        """The median of a figure."""
        return spread(self.rounds(measure, case, contestant, figure))

    def ratio(self, measure: str, case: str, figure: str, ours: str, against: str) -> Spread | None:
        """The median of the ratios of two contestants, each taken within a round."""
        rounds = (self.rounds(measure, case, name, figure) for name in (ours, against))
        return ratio(*rounds)

    def save(self, path: Path) -> None:
        """Writes it as JSON, the rounds of a figure in one line."""
        text = json.dumps(asdict(self), indent=1)
        text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        path.write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Run:
        """A saved run."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
