"""A whole run as a value: what was measured, where and when, to and from JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.ratios import Round, Spread, ratio, spread

Results = dict[str, dict[str, dict[str, list[Round]]]]
"""Case, contestant and figure, to the figure of each round."""

_PACKAGES = (
    "sunra-integrations",
    "langchain-core",
    "langchain-openai",
    "langchain-openrouter",
    "llama-index-core",
    "llama-index-llms-openai",
    "llama-index-llms-openai-like",
    "openai",
    "httpx",
    "httpx-aiohttp",
    "aiohttp",
    "pydantic",
)


@dataclass(frozen=True)
class Run:
    """All that was measured in one go.

    Args:
        quick: Whether it was a rough check.
        began: The day and minute, in UTC.
        machine: In general words.
        versions: Of what took part, by distribution.
        measures: Results by the measure's name.
    """

    quick: bool
    began: str
    machine: str
    versions: dict[str, str]
    measures: dict[str, Results] = field(default_factory=dict)

    @classmethod
    def begin(cls, *, quick: bool) -> Run:
        """A run on this machine that has measured nothing yet."""
        began = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        python = ".".join(map(str, sys.version_info[:2]))
        machine = f"{_cores()} cores, {platform.system()}, Python {python}"
        found = {name: _version(name) for name in _PACKAGES}
        return cls(quick, began, machine, {name: one for name, one in found.items() if one})

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
        """Writes it down."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Run:
        """One that was written down."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
