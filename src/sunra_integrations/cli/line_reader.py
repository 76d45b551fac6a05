"""Read messages from a terminal; pasted lines are one message."""

from __future__ import annotations

import codecs
import io
import select
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

_PASTED_WITHIN = 0.05
"""Seconds: slower than a paste arrives, faster than a line can be typed."""


class LineReader:
    """Reads messages from standard input.

    A terminal that marks what is pasted (bracketed paste) has GNU readline keep its lines together.
    Elsewhere the lines of a paste come at once, so lines that follow without a pause belong to the
    message.

    Args:
        alone: Lines that are never part of a message of several lines.
        prompt: The prompt shown before a message, passed to `input` for its line editing.
    """

    def __init__(self, alone: Iterable[str], prompt: str) -> None:
        self._alone = frozenset(alone)
        self._prompt = prompt
        self._next: list[str] = []
        self._ended = False
        _read_utf8_if_ascii()
        _mark_pastes()

    def read(self) -> str:
        """The next message, without blank lines around it.

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
        while lines[0].strip() not in self._alone and _more_is_there():
            try:
                line = input()
            except EOFError:
                self._ended = True
                break
            if line.strip() in self._alone:
                self._next.append(line.strip())
                break
            lines.append(line)
        return "\n".join(lines).rstrip().lstrip("\n") if len(lines) > 1 else lines[0].strip()


def _read_utf8_if_ascii() -> None:
    """Read UTF-8 if the locale is C: whoever types more than ASCII there types that."""
    if (
        isinstance(sys.stdin, io.TextIOWrapper)
        and codecs.lookup(sys.stdin.encoding).name == "ascii"
    ):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")


def _mark_pastes() -> None:
    """Load line editing for `input` if available, and enable bracketed paste."""
    try:
        import readline  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    if "libedit" not in (readline.__doc__ or ""):  # libedit has another syntax for its settings
        parse_and_bind: Callable[[str], None] = readline.parse_and_bind
        parse_and_bind("set enable-bracketed-paste on")


def _more_is_there() -> bool:
    """Whether more input was received with the last line, complete or not."""
    if sys.platform == "win32":  # there `select` takes sockets only
        return _key_is_waiting()
    try:
        terminal = sys.stdin.fileno()
        if select.select([terminal], [], [], _PASTED_WITHIN)[0]:
            return True
        with _by_characters(terminal):
            return bool(select.select([terminal], [], [], 0)[0])
    except (OSError, ValueError):  # not a file, or not one that `select` takes
        return False


def _key_is_waiting() -> bool:
    import msvcrt  # noqa: PLC0415 - only on Windows

    time.sleep(_PASTED_WITHIN)
    console: Any = msvcrt  # elsewhere type checkers find no functions in it
    return bool(console.kbhit())


@contextmanager
def _by_characters(terminal: int) -> Generator[None, None, None]:
    """Make a terminal hand over a line without a line end, which it buffers otherwise."""
    try:
        import termios  # noqa: PLC0415 - not on Windows

        before = termios.tcgetattr(terminal)
    except Exception:  # noqa: BLE001 - Windows, or not a terminal: left as it is
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
