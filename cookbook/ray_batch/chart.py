"""Throughput against workers, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_MEASURED, _IDEAL = "#e4572e", "#2e86ab"
_INK = "#7d8590"
"""Readable on white and on black, as the picture itself has no ground."""


def draw(figures: dict[str, Any], path: Path) -> None:
    """Writes an SVG. Needs matplotlib.

    Args:
        figures: What `throughput.json` holds.
        path: Where to write.
    """
    import matplotlib as mpl  # noqa: PLC0415 - workers import this package without drawing

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    runs = figures["runs"]
    workers = [run["workers"] for run in runs]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ray", "text.color": _INK}):
        figure, axes = plt.subplots(figsize=(7.5, 4))
        axes.plot(
            workers,
            [run["ideal"] for run in runs],
            color=_IDEAL,
            linestyle="--",
            label=f"calls in flight ÷ {figures['delay']:g} s an answer",
        )
        measured = [run["per_second"] for run in runs]
        axes.plot(workers, measured, color=_MEASURED, marker="o", label="measured")
        for place in zip(workers, measured, strict=True):
            axes.annotate(
                f"{place[1]:.0f}",
                place,
                textcoords="offset points",
                xytext=(6, -12),
                color=_INK,
                fontsize=9,
            )
        _dress(axes, workers, figures)
        figure.savefig(
            path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
        plt.close(figure)


def _dress(axes: Any, workers: list[int], figures: dict[str, Any]) -> None:
    axes.set_xlabel(
        f"workers, each with {figures['calls_in_flight']} calls in flight; "
        f"server, Ray and workers share {figures['cores']} cores",
        color=_INK,
    )
    axes.set_ylabel("answers a second", color=_INK)
    axes.set_xticks(workers)
    axes.set_xlim(0, None)
    axes.set_ylim(0, None)
    axes.tick_params(colors=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
    axes.legend(frameon=False, loc="upper left")
