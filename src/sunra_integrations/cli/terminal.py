"""The user's terminal: results on standard output, everything else on standard error.

Text from a server never reaches a terminal with its control characters. Errors and reports never
show the key, even if the server quotes it. Replies are shown as they are.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import select
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, Any, TextIO

from pydantic import SecretStr
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

# ── output ───────────────────────────────────────────────────────────────────

Styled = tuple[str, str]
"""A text and its style."""

_HIDDEN = "[the key]"
_SHORTEST_HIDDEN = 8  # a shorter text is not a real key, and is part of ordinary words
_MIN_COLUMN, _INDENT = 20, 5


class Terminal:
    """Standard output and standard error of this process."""

    def __init__(self) -> None:
        self._replacer = _Replacer()
        codecs.register_error(_REPLACER, self._replacer)
        self.out: Console = _console(sys.stdout)
        self.err: Console = _console(sys.stderr, is_err=True)
        self._secret: SecretStr | None = None

    def hide(self, secret: SecretStr) -> None:
        """Never show this text in an error or a report from now on."""
        self._secret = secret

    @property
    def can_redraw(self) -> bool:
        """Whether standard output is a terminal on which lines can be redrawn."""
        return self.is_terminal and not self.out.is_dumb_terminal

    @property
    def is_terminal(self) -> bool:
        """Whether standard output is a terminal, whatever `FORCE_COLOR` says."""
        return self.out.file.isatty()

    def safe_line(self, text: str) -> str:
        """Return the text on one line, without control characters and the key."""
        return one_line(self.without_secret(text))

    def write(self, text: str) -> None:
        """Write a part of a reply to standard output, without control characters.

        They are removed in a pipe too: its reader may be a terminal program such as `less -R`.
        """
        self.out.file.write(printable(text))
        self.out.file.flush()

    def line(self, *parts: Styled) -> None:
        """Write a line of a report to standard output, from texts that each have a style."""
        _print(self.out, self._safe(parts))

    def entry(self, head: Sequence[Styled], *bodies: Styled) -> None:
        """Write an entry of a report to standard output: a head, and texts in the column beside it.

        On a terminal the texts are wrapped in their column, or below the head if that leaves too
        little room. In a pipe each text is one line.
        """
        first = Text.assemble(*self._safe(head))
        indent = first.cell_len
        room = self.out.width - indent
        if self.is_terminal and room < _MIN_COLUMN:
            first.rstrip()
            self.out.print(first)
            indent, room = _INDENT, self.out.width - _INDENT
            first = Text(" " * indent)
        for body in bodies:
            text = Text.assemble(*self._safe([body]))
            for line in text.wrap(self.out, max(room, 1)) if self.is_terminal else [text]:
                self.out.print(Text.assemble(first, line), soft_wrap=True)
                first = Text(" " * indent)

    def json(self, value: Any) -> None:
        """Write a value to standard output as JSON: UTF-8, or ASCII if the output is not UTF-8."""
        self.out.file.write(as_json(value, ascii_only=not is_utf8(self.out.file)) + "\n")
        self.out.file.flush()

    def note(self, text: str, style: str = "dim") -> None:
        """Write a line of information to standard error."""
        _print(self.err, [(self.safe_line(text), style)])

    def write_dimmed(self, text: str) -> None:
        """Write a part of the reasoning to standard error."""
        self.err.print(Text(printable(text), style="dim"), end="", soft_wrap=True)
        self.err.file.flush()

    def error(self, text: str) -> None:
        """Write an error message to standard error."""
        _print(self.err, [("Error: ", "bold red"), (self.safe_line(text), "")])

    def traceback(self, text: str) -> None:
        """Write a traceback to standard error."""
        _print(self.err, [(printable(self.without_secret(text)), "dim")])

    def spinner(self, text: str) -> AbstractContextManager[Any]:
        """Show that work is in progress, if standard error is a terminal."""
        if not self.err.file.isatty():
            return nullcontext()
        return self.err.status(text, spinner="dots" if is_utf8(self.err.file) else "line")

    def note_replacements(self) -> None:
        """Note, once, that characters were replaced because an output's encoding lacks them."""
        if self._replacer.has_replaced and not self._replacer.is_noted:
            self._replacer.is_noted = True
            self.note(
                "Some characters were replaced by `?` because this output is not UTF-8. "
                "Set PYTHONIOENCODING=utf-8 to see all of them.",
                "yellow",
            )

    def _safe(self, parts: Sequence[Styled]) -> list[Styled]:
        return [(printable(self.without_secret(text)), style) for text, style in parts]

    def without_secret(self, text: str) -> str:
        """Return the text without the key."""
        secret = self._secret.get_secret_value() if self._secret else ""
        return text.replace(secret, _HIDDEN) if len(secret) >= _SHORTEST_HIDDEN else text


class _Replacer:
    """An encoding error handler that replaces characters and remembers that it did."""

    def __init__(self) -> None:
        self.has_replaced = False
        self.is_noted = False

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        characters = error.object[error.start : error.end]
        self.has_replaced = self.has_replaced or not _ORNAMENTS.keys() >= {*characters}
        return "".join(_ORNAMENTS.get(one, "?") for one in characters), error.end


_REPLACER = "sunra_replacer"
_DEFAULT_HANDLERS = ("strict", "surrogateescape")
"""Python's own error handlers for standard output. The second is for the C locale."""
_ORNAMENTS = {"→": "->", "·": "-", "…": "...", "•": "*", "─": "-", "━": "=", "│": "|", "▌": "|"}
"""The ornaments of reports and rendered Markdown, and what replaces them in ASCII."""


def _console(stream: TextIO | None, *, is_err: bool = False) -> Console:
    # A character that the encoding lacks must not end the program. The user may have chosen another
    # handler for standard output (PYTHONIOENCODING); standard error always has Python's own.
    if isinstance(stream, io.TextIOWrapper) and (is_err or stream.errors in _DEFAULT_HANDLERS):
        stream.reconfigure(errors=_REPLACER)
    return Console(file=stream, stderr=is_err, markup=False, highlight=False, emoji=False)


def _print(console: Console, parts: Sequence[Styled]) -> None:
    is_wrapped = console.file.isatty()  # a reader of a pipe gets one line
    console.print(Text.assemble(*parts), soft_wrap=not is_wrapped)


# ── safe text ────────────────────────────────────────────────────────────────

# C0 and C1 controls except tab and line feed, line separators, bidirectional overrides (they show
# text in another order than it has), and lone surrogates.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text without control characters; line feeds and tabs stay."""
    return _CONTROLS.sub("", text)


def one_line(text: str, max_length: int = 4000) -> str:
    """Return the printable text on one line, truncated to a length."""
    line = " ".join(printable(text).split())
    return f"{line[:max_length]}…" if len(line) > max_length else line


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    r"""Return indented JSON without control characters: they are escaped as `\uXXXX`.

    Args:
        value: The value.
        ascii_only: Escape every character that is not ASCII too.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_utf8(stream: IO[str]) -> bool:
    """Whether every character can be written to a stream, as to one without an encoding."""
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name == "utf-8"


# ── Markdown ─────────────────────────────────────────────────────────────────

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_REDRAWS_PER_SECOND = 10
_MAX_RENDERED = 6000
_MIN_LINES = 3


class LiveMarkdown:
    """Renders Markdown on a terminal while it is being received.

    A finished block is printed once and scrolls away. Only the last block is redrawn, and at most a
    screenful of it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._unfinished = ""
        self._is_first = True
        self._live: Live | None = None

    def add(self, text: str) -> None:
        """Append text."""
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
        """Print the last block, finished or not; the next text starts a new one."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._print(self._unfinished)
        self._unfinished = ""

    def _print(self, block: str) -> None:
        if not block.strip():
            return
        if self._live is not None:
            self._live.refresh()  # or the block would be visible twice until the next redraw
        if not self._is_first:
            self._console.print()
        self._is_first = False
        self._console.print(SafeMarkdown(block))


class SafeMarkdown:
    """Rendered Markdown without control characters, including those written as HTML entities.

    Links show their address, so that none can be disguised.
    """

    def __init__(self, text: str) -> None:
        self._markdown = Markdown(text, hyperlinks=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self._markdown, options):
            yield Segment(printable(text), style, control)


class _Tail:
    """The last lines of an unfinished block, as many as fit on the screen."""

    def __init__(self, text: str) -> None:
        # Highlighting a long code block ten times a second would take all of the processor's time.
        is_long = len(text) > _MAX_RENDERED
        self._rendered = Text(text[-_MAX_RENDERED:]) if is_long else SafeMarkdown(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        count = max(_MIN_LINES, console.size.height - 2)
        lines = console.render_lines(self._rendered, options, pad=False)
        for line in lines[-count:]:
            yield from line
            yield Segment.line()


def split_finished(text: str) -> tuple[str, str]:
    """Split Markdown into the blocks that following text cannot change, and the rest.

    A block is finished when a blank line outside a code fence is followed by a line that is not
    indented. An indented line would belong to it, like the second paragraph of a list item.
    """
    end = position = 0
    fence = ""
    after_blank = False
    for line in text.splitlines(keepends=True):
        if after_blank and not fence and not line[0].isspace():
            end = position
        fence = _fence_after(line, fence)
        after_blank = not line.strip()
        position += len(line)
    return text[:end], text[end:]


def _fence_after(line: str, fence: str) -> str:
    """Return the code fence that is open after this line, given the one before it."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


# ── input ────────────────────────────────────────────────────────────────────

_PASTE_GAP = 0.05
"""Seconds: longer than between pasted lines, shorter than it takes to type one."""


class LineReader:
    """Reads messages from standard input; pasted lines are one message.

    On a terminal with bracketed paste, GNU readline keeps the lines of a paste together. On others
    they arrive at once, so lines that follow without a pause belong to the same message.

    Args:
        commands: Lines that are always a message of their own.
        prompt: The prompt before a message, passed to `input` for its line editing.
    """

    def __init__(self, commands: Iterable[str], prompt: str) -> None:
        self._commands = frozenset(commands)
        self._prompt = prompt
        self._next: list[str] = []
        self._ended = False
        _read_utf8_if_ascii()
        _enable_bracketed_paste()

    def read(self) -> str:
        """Return the next message, without surrounding blank lines.

        Raises:
            EOFError: The input has ended.
            KeyboardInterrupt: Ctrl-C was pressed.
            UnicodeDecodeError: The line is not in the terminal's encoding.
        """
        if self._next:
            return self._next.pop()
        if self._ended:
            raise EOFError
        lines = [input(self._prompt)]
        while lines[0].strip() not in self._commands and _has_more_input():
            try:
                line = input()
            except EOFError:
                self._ended = True
                break
            if line.strip() in self._commands:
                self._next.append(line.strip())
                break
            lines.append(line)
        return "\n".join(lines).rstrip().lstrip("\n") if len(lines) > 1 else lines[0].strip()


def _read_utf8_if_ascii() -> None:
    """Read UTF-8 in the C locale: terminals send it, whatever the locale says."""
    if (
        isinstance(sys.stdin, io.TextIOWrapper)
        and codecs.lookup(sys.stdin.encoding).name == "ascii"
    ):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")


def _enable_bracketed_paste() -> None:
    """Load line editing for `input` if available, and enable bracketed paste."""
    try:
        import readline  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    if "libedit" not in (readline.__doc__ or ""):  # libedit has another syntax for its settings
        parse_and_bind: Callable[[str], None] = readline.parse_and_bind
        parse_and_bind("set enable-bracketed-paste on")


def _has_more_input() -> bool:
    """Whether more input was received with the last line, complete or not."""
    if sys.platform == "win32":  # `select` accepts only sockets there
        return _has_key_waiting()
    try:
        terminal = sys.stdin.fileno()
        if select.select([terminal], [], [], _PASTE_GAP)[0]:
            return True
        with _unbuffered(terminal):
            return bool(select.select([terminal], [], [], 0)[0])
    except (OSError, ValueError):  # not a file, or not one that `select` accepts
        return False


def _has_key_waiting() -> bool:
    import msvcrt  # noqa: PLC0415 - only on Windows

    time.sleep(_PASTE_GAP)
    console: Any = msvcrt  # type checkers find no functions in it on other platforms
    return bool(console.kbhit())


@contextmanager
def _unbuffered(terminal: int) -> Generator[None, None, None]:
    """Make a terminal hand over a line before its end, which it buffers otherwise."""
    try:
        import termios  # noqa: PLC0415 - not on Windows

        before = termios.tcgetattr(terminal)
    except Exception:  # noqa: BLE001 - Windows, or not a terminal: nothing to change
        yield
        return
    local_modes = 3
    changed = [*before]
    changed[local_modes] &= ~termios.ICANON
    termios.tcsetattr(terminal, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
