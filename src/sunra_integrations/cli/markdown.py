"""Markdown that is drawn while it is still being written.

What is finished is printed once and scrolls away; only the block being written is drawn again and
again, and of that no more than the screen holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from sunra_integrations.cli.printable import printable

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_REDRAWS_PER_SECOND = 10
_SLOW_TO_DRAW = 6000
_FEWEST_LINES = 3


def split_finished(text: str) -> tuple[str, str]:
    """Markdown so far, as the blocks that nothing following can change, and the rest.

    A block is finished when a blank line outside a code fence is followed by a line that is not
    indented: an indented one would still belong to it, as the second paragraph of a list item does.
    """
    end = place = 0
    fence = ""
    after_blank = False
    for line in text.splitlines(keepends=True):
        if after_blank and not fence and not line[0].isspace():
            end = place
        fence = _fence_after(line, fence)
        after_blank = not line.strip()
        place += len(line)
    return text[:end], text[end:]


def _fence_after(line: str, fence: str) -> str:
    """The code fence that is open behind this line, given the one before it."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


class LiveMarkdown:
    """Draws an answer's Markdown on a terminal as it comes.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._unfinished = ""
        self._is_first = True
        self._live: Live | None = None

    def add(self, text: str) -> None:
        """Takes in a piece."""
        self._unfinished += printable(text)
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=lambda: _Tail(self._unfinished),
                refresh_per_second=_REDRAWS_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        if "\n" in text:
            finished, self._unfinished = split_finished(self._unfinished)
            self._print(finished)

    def end(self) -> None:
        """Prints what is left, finished or not; the next piece begins anew."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._print(self._unfinished)
        self._unfinished = ""

    def _print(self, block: str) -> None:
        if not block.strip():
            return
        if self._live is not None:
            self._live.refresh()  # else the block would be seen twice until the next redraw
        if not self._is_first:
            self._console.print()
        self._is_first = False
        self._console.print(SafeMarkdown(block))


class SafeMarkdown:
    """Markdown drawn without what a terminal would obey, be it written as an entity.

    Links show their address, so that none can be disguised.
    """

    def __init__(self, text: str) -> None:
        self._markdown = Markdown(text, hyperlinks=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return _safe(console.render(self._markdown, options))


class _Tail:
    """The last lines of what is being written, as many as the screen holds."""

    def __init__(self, text: str) -> None:
        # Colouring a long block of code ten times a second would be all the program does.
        is_long = len(text) > _SLOW_TO_DRAW
        self._drawn = Text(text[-_SLOW_TO_DRAW:]) if is_long else SafeMarkdown(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        most = max(_FEWEST_LINES, console.size.height - 2)
        lines = console.render_lines(self._drawn, options, pad=False)
        for line in lines[-most:]:
            yield from line
            yield Segment.line()


def _safe(segments: Iterable[Segment]) -> Iterable[Segment]:
    for text, style, control in segments:
        yield Segment(printable(text), style, control)
