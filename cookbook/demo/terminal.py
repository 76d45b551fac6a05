"""Terminal output of the demo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

console = Console(highlight=False)


@dataclass
class Tally:
    """The tokens and time of one part."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    began: float = field(default_factory=time.perf_counter)

    def add(self, tokens_in: int, tokens_out: int) -> None:
        """Count one call of the model."""
        self.calls += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out


@contextmanager
def part(letter: str, title: str, question: str) -> Iterator[Tally]:
    """Print the heading of a part, and its token usage and time at the end."""
    console.rule(f"[bold]({letter}) {title}", align="left")
    console.print(f"[bold cyan]Q[/] {question}")
    tally = Tally()
    yield tally
    seconds = time.perf_counter() - tally.began
    console.print(
        f"[dim]{tally.calls} model call{'s' * (tally.calls != 1)} · "
        f"{tally.tokens_in:,} tokens in, {tally.tokens_out:,} out · {seconds:.2f} s[/]\n"
    )


def answer_begins() -> None:
    """Marks the place where an answer is about to stream in."""
    console.print("[bold green]A[/] ", end="")


def stream(text: str) -> None:
    """A piece of an answer, as it comes."""
    console.print(text, end="", markup=False, soft_wrap=True)


def answer_ends() -> None:
    """Ends the line that an answer streamed into."""
    console.print()


def note(label: str, text: str) -> None:
    """A line on the side: a tool call, a source. Shortened to one line of the terminal."""
    room = console.width - len(label) - 4
    line = " ".join(text.split())
    shown = line if len(line) <= room else f"{line[:room]}…"
    console.print(f"  [dim]{label}[/] ", end="")
    console.print(shown, style="dim", markup=False, soft_wrap=True)
