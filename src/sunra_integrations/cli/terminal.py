"""Where output goes: what was asked for to standard output, all that is said about it to the other.

Nothing that a server said reaches a terminal with its control characters. The key is cut out of
errors and reports, should a server quote it; answers are the user's own and stay as they are.
"""

from __future__ import annotations

import codecs
import io
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

from pydantic import SecretStr
from rich.console import Console
from rich.text import Text

from sunra_integrations.cli.printable import as_json, is_utf8, one_line, printable

_HIDDEN = "[the key]"
_SHORTEST_HIDDEN = 8  # what is shorter is no real key, and stands in other words


class Terminal:
    """Standard output and standard error of this process, as they are now."""

    def __init__(self) -> None:
        self._replaced = _Replaced()
        codecs.register_error(_REPLACED, self._replaced)
        self.out: Console = _console(sys.stdout)
        self.err: Console = _console(sys.stderr, is_err=True)
        self._secret: SecretStr | None = None

    def hide(self, secret: SecretStr) -> None:
        """From here on this text is shown in no error and no report."""
        self._secret = secret

    @property
    def redraws(self) -> bool:
        """Whether standard output is a terminal on which something can be drawn over."""
        return self.is_terminal and not self.out.is_dumb_terminal

    @property
    def is_terminal(self) -> bool:
        """Whether standard output is a terminal at all, whatever `FORCE_COLOR` says."""
        return self.out.file.isatty()

    def shown(self, text: str) -> str:
        """The text on one line as it may be shown."""
        return one_line(self._without_secret(text))

    def say(self, text: str) -> None:
        """Write a piece of an answer to standard output, without control characters.

        This also holds in a pipe, because its reader may be a terminal program such as `less -R`.
        """
        self.out.file.write(printable(text))
        self.out.file.flush()

    def line(self, *parts: tuple[str, str]) -> None:
        """A line of a report to standard output, of texts each with its style."""
        _print(self.out, [(printable(self._without_secret(text)), style) for text, style in parts])

    def json(self, value: Any) -> None:
        """A value to standard output, as JSON: UTF-8, or ASCII where the output is not UTF-8."""
        self.out.file.write(as_json(value, ascii_only=not is_utf8(self.out.file)) + "\n")
        self.out.file.flush()

    def note(self, text: str, style: str = "dim") -> None:
        """A line about what was done, to standard error."""
        _print(self.err, [(self.shown(text), style)])

    def aside(self, text: str) -> None:
        """A piece of what is no answer (a model's reasoning), to standard error, dimmed."""
        self.err.print(Text(printable(text), style="dim"), end="", soft_wrap=True)
        self.err.file.flush()

    def error(self, text: str) -> None:
        """What went wrong and what to do about it, to standard error."""
        _print(self.err, [("Error: ", "bold red"), (self.shown(text), "")])

    def trace(self, text: str) -> None:
        """A traceback, to standard error."""
        _print(self.err, [(printable(self._without_secret(text)), "dim")])

    def waiting(self, text: str) -> AbstractContextManager[Any]:
        """Shows that something is under way, where standard error is a terminal."""
        if not self.err.file.isatty():
            return nullcontext()
        return self.err.status(text, spinner="dots" if is_utf8(self.err.file) else "line")

    def tell_what_was_replaced(self) -> None:
        """A note, once, if characters were replaced because an output's encoding lacks them."""
        if self._replaced.any and not self._replaced.is_told:
            self._replaced.is_told = True
            self.note(
                "Some characters were replaced by `?` because this output is not UTF-8. "
                "Set PYTHONIOENCODING=utf-8 to get all of them.",
                "yellow",
            )

    def _without_secret(self, text: str) -> str:
        secret = self._secret.get_secret_value() if self._secret else ""
        return text.replace(secret, _HIDDEN) if len(secret) >= _SHORTEST_HIDDEN else text


class _Replaced:
    """An error handler for encoding: what stands in place of characters that an encoding lacks."""

    def __init__(self) -> None:
        self.any = False
        self.is_told = False

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        characters = error.object[error.start : error.end]
        self.any = self.any or not _ORNAMENTS.keys() >= {*characters}
        return "".join(_ORNAMENTS.get(one, "?") for one in characters), error.end


_REPLACED = "sunra_replaced"
_STRICT = ("strict", "surrogateescape")
"""Python's own handlers for standard output. The second is for the C locale."""
_ORNAMENTS = {"→": "->", "·": "-", "…": "...", "•": "*", "─": "-", "━": "=", "│": "|", "▌": "|"}
"""What reports and rendered Markdown are decorated with, and ASCII that means the same."""


def _console(stream: TextIO | None, *, is_err: bool = False) -> Console:
    # A letter the terminal lacks must not end a program. The user may have chosen another handler
    # for standard output; the one of standard error is always Python's own.
    if isinstance(stream, io.TextIOWrapper) and (is_err or stream.errors in _STRICT):
        stream.reconfigure(errors=_REPLACED)
    return Console(file=stream, stderr=is_err, markup=False, highlight=False, emoji=False)


def _print(console: Console, parts: list[tuple[str, str]]) -> None:
    console.print(Text.assemble(*parts), soft_wrap=True)
