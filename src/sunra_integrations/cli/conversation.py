"""`sunra chat` without a prompt: a conversation that remembers what was said."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from sunra_integrations.cli.advice import advice
from sunra_integrations.cli.answering import show_answer
from sunra_integrations.cli.line_reader import LineReader
from sunra_integrations.cli.session import Session
from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.history import reasoning_fields
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.request import ChatRequest, Message
from sunra_integrations.transport import SunraClient

_PROMPT = "> "
_COMMANDS = ("/reset", "/help", "/exit")
_LONGEST_SHOWN = 80
_END_OF_INPUT = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
_HELP = (
    f"/reset forgets what was said, /exit or {_END_OF_INPUT} leaves; Ctrl-C stops an answer. "
    "Start a line with // to send it with one slash. Pasted lines are one message."
)


@dataclass(frozen=True)
class Question:
    """What every request of a command has in common."""

    model: str
    system: str | None
    parameters: dict[str, Any]

    def about(self, prompt: str) -> ChatRequest:
        """The request with this prompt alone.

        Raises:
            InvalidParameter: A parameter breaks its rule.
        """
        return self.after([{"role": "user", "content": prompt}])

    def after(self, messages: list[Message]) -> ChatRequest:
        """The request with all of these messages."""
        opening = [{"role": "system", "content": self.system}] if self.system is not None else []
        return ChatRequest(model=self.model, messages=[*opening, *messages], **self.parameters)


class Conversation:
    """Reads lines and answers them until the user leaves.

    Args:
        session: The run.
        client: Who asks.
        question: The model and its parameters.
        quiet: Leave out reasoning, tokens and cost.
    """

    def __init__(
        self, session: Session, client: SunraClient, question: Question, *, quiet: bool
    ) -> None:
        self._terminal = session.terminal
        self._client = client
        self._question = question
        self._quiet = quiet
        self._said: list[Message] = []

    def run(self) -> int:
        """Talks until the user leaves; returns the exit status."""
        self._terminal.note(f"Talking with {self._question.model}. {_HELP}")
        reader = LineReader(_COMMANDS, _PROMPT if self._terminal.is_terminal else "")
        while True:
            try:
                line = self._read(reader)
            except EOFError:
                self._terminal.note("")
                return 0
            except KeyboardInterrupt:  # throws the line away
                self._terminal.note("")
                continue
            except UnicodeDecodeError as error:
                self._terminal.error(f"This line is not {error.encoding} text: {error.reason}.")
                continue
            if line == "/exit":
                return 0
            self._take(line)

    def _read(self, reader: LineReader) -> str:
        if not self._terminal.is_terminal:
            sys.stderr.write(_PROMPT)
            sys.stderr.flush()
        return reader.read()

    def _take(self, line: str) -> None:
        match line:
            case "":
                return
            case "/reset":
                self._said.clear()
                self._terminal.note("Forgotten.")
            case "/help":
                self._terminal.note(_HELP)
            case str() if line.startswith("//"):
                self._ask(line[1:])
            case str() if _is_command(line):
                self._terminal.note(f"Unknown command: {line[:_LONGEST_SHOWN]}. {_HELP}", "yellow")
            case _:
                self._ask(line)

    def _ask(self, prompt: str) -> None:
        """Shows the answer; what was asked is remembered if there was one, if only in part."""
        asked: Message = {"role": "user", "content": prompt}
        fold = ReplyAccumulator()
        try:
            request = self._question.after([*self._said, asked])
            show_answer(self._terminal, self._client, request, fold, quiet=self._quiet)
        except KeyboardInterrupt:
            self._terminal.note("Stopped.", "yellow")
        except SunraError as error:
            self._terminal.error(f"{error.message} {advice(error)}")
        self._terminal.tell_what_was_replaced()
        reply = fold.reply()
        if reply.text:
            self._said += [asked, _remembered(reply)]


def _is_command(line: str) -> bool:
    """Whether this is meant as a command: its first word begins with a slash and is not a path.

    Of several lines only a plain word counts: code may begin with a slash too, as `/**` does.
    """
    first = line.split(maxsplit=1)[0]
    if not first.startswith("/") or "/" in first[1:]:
        return False
    return "\n" not in line or first[1:].isalnum()


def _remembered(reply: Reply) -> Message:
    choice = reply.choice
    replayed = reasoning_fields(
        choice.reasoning, choice.reasoning_field, choice.reasoning_details, beside_calls=False
    )
    return {"role": "assistant", "content": choice.text, **replayed}
