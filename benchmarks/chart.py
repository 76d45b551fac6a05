"""A benchmark run as a bar chart of CPU time ratios."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import NAMED
from benchmarks.run import Run
from benchmarks.targets import targets

_OURS = {"langchain": "#e4572e", "llama-index": "#2e86ab"}
_LABELS = {"langchain": "ChatSunra ÷ ChatOpenAI", "llama-index": "Sunra ÷ LlamaIndex OpenAI"}
_INK = "#7d8590"
"""Readable on white and on black, as the picture itself has no ground."""
_BAR = 0.38


def draw(run: Run, path: Path) -> None:
    """Writes an SVG. Needs matplotlib."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    bars = _bars(run)
    rows = list(dict.fromkeys(what for what, _ in bars))
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "text.color": _INK}):
        figure, axes = plt.subplots(figsize=(9, 0.55 * len(rows) + 1.4))
        for offset, framework in enumerate(_OURS):
            places = [n for n, what in enumerate(rows) if (what, framework) in bars]
            values = [bars[rows[n], framework] for n in places]
            height = [n + (offset - 0.5) * _BAR for n in places]
            drawn = axes.barh(
                height, values, _BAR, color=_OURS[framework], label=_LABELS[framework]
            )
            axes.bar_label(drawn, fmt="%.2g", padding=3, color=_INK, fontsize=8)
        _dress(axes, rows)
        figure.savefig(
            path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
        plt.close(figure)


def _bars(run: Run) -> dict[tuple[str, str], float]:
    """The value of each bar, by its row and framework: headlines for which less is better."""
    found: dict[tuple[str, str], float] = {}
    for target in targets():
        spread = target.found(run)
        if target.headline and spread and target.sense == "at most" and target.measure != "import":
            found[target.headline, NAMED[target.ours].framework] = spread.middle
    return found


def _dress(axes: Any, rows: Sequence[str]) -> None:
    axes.set_yticks(range(len(rows)), rows, color=_INK)
    axes.invert_yaxis()
    axes.axvline(1, color=_INK, linewidth=1, linestyle="--")
    axes.set_xlim(0, max(1.0, *axes.get_xlim()) * 1.08)
    axes.tick_params(colors=_INK)
    axes.set_xlabel("ours ÷ the other class; lower is better", color=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
    axes.margins(y=0.01)
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
