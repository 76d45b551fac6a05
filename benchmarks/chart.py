"""The chart of a run, as an SVG that is readable on a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.headlines import CHARTED, OTHERS, OURS, Headline, measured, percent
from benchmarks.run import Run

# At the width of a phone's column, a unit is about a pixel, so that text has at least 12 pixels.
_WIDTH = 330
_SHOWN_WIDTH = 420
_MARGIN = 12
_TRACK = 254
"""Width of a bar that is as long as the other class's."""
_LINE, _BAR, _GAP = 19, 13, 12

# The ground is part of the picture: a page may be dark while the reader's system is light.
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.ground { fill: #ffffff; stroke: #d0d7de }
.track { fill: #e4e8ec }
.LangChain { fill: #c8441b }
.LlamaIndex { fill: #1f7a9c }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #1b1f24; stroke: #3d444d }
  .track { fill: #373e47 }
  .LangChain { fill: #f0784f }
  .LlamaIndex { fill: #55b4d6 }
}"""


def draw(run: Run) -> str:
    """The SVG."""
    rows = measured(run, CHARTED)
    head = _MARGIN + _LINE * (2 + len(OURS))
    height = head + len(rows) * _row_height() + _MARGIN
    shown_height = round(height * _SHOWN_WIDTH / _WIDTH)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        f' width="{_SHOWN_WIDTH}" height="{shown_height}" role="img">',
        f"<title>{escape(in_words(run))}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" rx="6" width="{_WIDTH - 1}" height="{height - 1}"/>',
        *_head(),
        *(line for n, row in enumerate(rows) for line in _row(row, run, head + n * _row_height())),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def in_words(run: Run) -> str:
    """The chart for readers who do not see it."""
    rows = (
        f"{row.what}: " + ", ".join(f"{percent(one)} in {name}" for name, one in found.items())
        for row in measured(run, CHARTED)
        if (found := row.ratios(run))
    )
    return f"CPU time compared with ChatOpenAI and LlamaIndex's OpenAI. {'. '.join(rows)}."


def _head() -> Iterator[str]:
    yield _text(_MARGIN, _MARGIN + _LINE * 0.7, "CPU time of a call on the client", "title")
    for number, (framework, ours) in enumerate(OURS.items(), 1):
        y = _MARGIN + _LINE * (number + 0.7)
        yield _rect(framework, _MARGIN, y - 10, 11, 11)
        yield _text(_MARGIN + 18, y, f"{ours}, in % of {framework}'s {OTHERS[framework]}")


def _row_height() -> int:
    return _LINE + len(OURS) * (_BAR + 4) + _GAP


def _row(row: Headline, run: Run, top: float) -> Iterator[str]:
    yield _text(_MARGIN, top + _LINE * 0.7, row.what)
    for number, (framework, ratio) in enumerate(row.ratios(run).items()):
        y = top + _LINE + number * (_BAR + 4)
        yield _rect("track", _MARGIN, y, _TRACK, _BAR)
        yield _rect(framework, _MARGIN, y, min(ratio, 1) * _TRACK, _BAR)
        yield _text(_MARGIN + _TRACK + 8, y + _BAR - 2, percent(ratio))


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:.4g}" height="{height:g}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    given = f' class="{kind}"' if kind else ""
    return f'<text{given} x="{x:g}" y="{y:.4g}">{escape(text)}</text>'
