"""One answer, shown as it comes: the text to standard output, what is beside it to the other."""

from __future__ import annotations

from contextlib import closing
from types import TracebackType

from typing_extensions import Self

from sunra_integrations.cli.markdown import LiveMarkdown
from sunra_integrations.cli.terminal import Terminal
from sunra_integrations.errors import Refused
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.reply import ChoiceDelta, Reply, Usage
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import SunraClient

_ENDINGS = {
    "length": "The answer was cut off at the limit on tokens.",
    "content_filter": "The platform's filter ended the answer.",
}


def show_answer(
    terminal: Terminal,
    client: SunraClient,
    request: ChatRequest,
    fold: ReplyAccumulator,
    *,
    quiet: bool,
) -> Reply:
    """Asks, and shows the answer as it comes.

    Args:
        terminal: Where it is shown.
        client: Who asks.
        request: What is asked.
        fold: Where it is added up, for who wants to know what had come when it was interrupted.
        quiet: Leave out reasoning, tokens and cost.

    Raises:
        Refused: The model declined.
        SunraError: Whatever went wrong; what had arrived is shown.
    """
    with (
        closing(client.stream(request, so_far=fold)) as chunks,
        _View(terminal, quiet=quiet) as view,
    ):
        for chunk in chunks:
            for delta in chunk.choices:
                view.add(delta)
    reply = fold.reply()
    ending = _ENDINGS.get(reply.choice.finish_reason or "")
    if ending:
        terminal.note(ending, "yellow")
    if not quiet:
        terminal.note(" · ".join(filter(None, (reply.model, told(reply.usage)))))
    if reply.choice.refusal:
        said = reply.choice.refusal
        raise Refused(f"The model declined: {said}", refusal=said, partial=reply)
    return reply


def told(usage: Usage | None) -> str:
    """Tokens and cost in words."""
    if usage is None:
        return "the server counted no tokens"
    reasoning = usage.completion_details.get("reasoning_tokens")
    counts = [
        _count(usage.prompt_tokens, "in"),
        _count(usage.completion_tokens, "out"),
        f"{reasoning:,} of them reasoning" if isinstance(reasoning, int) and reasoning else "",
        f"cost {amount(usage.cost)}" if usage.cost is not None else "",
    ]
    return ", ".join(filter(None, counts))


def amount(cost: float) -> str:
    """A cost without an exponent and without zeros that say nothing."""
    return f"{cost:.8f}".rstrip("0").rstrip(".")


def _count(tokens: int | None, direction: str) -> str:
    return "" if tokens is None else f"{tokens:,} tokens {direction}"


class _View:
    """Shows pieces of an answer; however it ends, what had come stays and its line is ended."""

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self._terminal = terminal
        self._quiet = quiet
        self._markdown = LiveMarkdown(terminal.out) if terminal.redraws else None
        self._text_line_open = False
        self._aside_line_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_aside()
        self._end_text()

    def add(self, delta: ChoiceDelta) -> None:
        """Shows what this adds."""
        if delta.reasoning and not self._quiet:
            if self._terminal.is_terminal:  # in a pipe nothing comes between the answer's own words
                self._end_text()
            self._terminal.aside(delta.reasoning)
            self._aside_line_open = not delta.reasoning.endswith("\n")
        if delta.text:
            self._end_aside()
            self._say(delta.text)

    def _say(self, text: str) -> None:
        if self._markdown is not None:
            self._markdown.add(text)
            return
        self._terminal.say(text)
        self._text_line_open = not text.endswith("\n")

    def _end_text(self) -> None:
        if self._markdown is not None:
            self._markdown.end()
        elif self._text_line_open:
            self._terminal.say("\n")
            self._text_line_open = False

    def _end_aside(self) -> None:
        if self._aside_line_open:
            self._terminal.aside("\n")
            self._aside_line_open = False
