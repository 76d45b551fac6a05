"""A measure's results as plain lines, for whoever is at work on the speed."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contestants import NAMED
from benchmarks.measures import Measure
from benchmarks.run import Run

_AGAINST = {
    "langchain": ("ChatOpenAI", "LangChain alone"),
    "llama-index": ("OpenAI", "LlamaIndex alone"),
}


def lines(run: Run, measure: Measure) -> Iterator[str]:
    """Each case: every contestant's figures, and ours over the main peer's and the floor's."""
    yield f"── {measure.title}"
    for case, by_contestant in run.measures.get(measure.name, {}).items():
        yield case
        for name in by_contestant:
            figures = "  ".join(_figures(run, measure, case, name))
            yield f"    {name:<20} {figures}  {_ratios(run, measure, case, name)}".rstrip()


def _figures(run: Run, measure: Measure, case: str, name: str) -> Iterator[str]:
    for figure in measure.figures:
        value = run.value(measure.name, case, name, figure)
        if value is not None:
            yield f"{figure} {value.middle:>10,.1f}"


def _ratios(run: Run, measure: Measure, case: str, name: str) -> str:
    contestant = NAMED[name]
    if contestant.role != "ours":
        return ""
    found = []
    for other in _AGAINST[contestant.framework]:
        one = run.ratio(measure.name, case, measure.figures[0], name, other)
        if one:
            found.append(f"{one.middle:.3f} [{one.low:.3f}-{one.high:.3f}] of {other}")
    return "; ".join(found)
