"""The figures at the top of the page, in the chart and in the README."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.run import Run
from benchmarks.scenarios import MANY

OURS = {"LangChain": "ChatSunra", "LlamaIndex": "Sunra"}
OTHERS = {"LangChain": "ChatOpenAI", "LlamaIndex": "OpenAI"}
"""The most widely used class of each framework."""


@dataclass(frozen=True)
class Headline:
    """One row: the CPU time of ours, compared with the most widely used class.

    Args:
        what: What costs CPU time, as the beginning of a sentence.
        measure: Name of the measure.
        case: Case of the measure.
    """

    what: str
    measure: str
    case: str

    def ratios(self, run: Run) -> dict[str, float]:
        """The ratio in each framework that was measured."""
        found = {
            framework: run.ratio(self.measure, self.case, "cpu_us", ours, OTHERS[framework])
            for framework, ours in OURS.items()
        }
        return {framework: one.middle for framework, one in found.items() if one}

    def sentence(self, run: Run) -> str:
        """The row in words."""
        shares = " and ".join(f"{percent(one)} in {name}" for name, one in self.ratios(run).items())
        shares = shares.replace(" in ", " of the CPU time in ", 1).replace(" %", "\u00a0%")
        return f"{self.what} costs {shares}."


HEADLINES = (
    Headline("A streamed text event", "stream", f"text, {MANY} events a write, sync"),
    Headline("A streamed part of a tool call", "stream", f"tools, {MANY} events a write, sync"),
    Headline("A small response", "invoke", "sync"),
    Headline("One of 256 concurrent async calls", "crowd", "256 at once, async"),
    Headline("The import", "import", "import"),
)
CHARTED = HEADLINES[:4]


def measured(run: Run, headlines: tuple[Headline, ...] = HEADLINES) -> tuple[Headline, ...]:
    """The rows that have figures."""
    return tuple(one for one in headlines if one.ratios(run))


def percent(ratio: float) -> str:
    """A ratio as a percentage."""
    return f"{ratio * 100:.0f} %"
