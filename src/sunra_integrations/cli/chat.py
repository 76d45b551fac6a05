"""`sunra chat`: one reply, or an interactive chat."""

from __future__ import annotations

import codecs
import io
import sys
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

import click
from typing_extensions import Self

from sunra_integrations.cli import options
from sunra_integrations.cli.hints import hint
from sunra_integrations.cli.options import Session
from sunra_integrations.cli.terminal import LineReader, LiveMarkdown, Terminal
from sunra_integrations.errors import Refused, SunraError
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.history import reasoning_fields
from sunra_integrations.protocol.reply import ChoiceDelta, Reply, Usage
from sunra_integrations.protocol.request import ChatRequest, Message, check_parameters
from sunra_integrations.transport import SunraClient

_EPILOG = """\b
Examples:
  sunra chat -m openai/gpt-4o "Why is the sky blue?"
  cat report.txt | sunra chat -m openai/gpt-4o "Summarise this"
  sunra chat -m openai/gpt-4o --json "Hi" | jq .usage
  export SUNRA_MODEL=openai/gpt-4o    # the default for -m
  sunra chat                          # interactive; /help lists the commands

\b
The reply is written to standard output: as rendered Markdown on a terminal,
as text elsewhere. Reasoning, token usage and cost are written to standard
error. Control characters such as escape sequences are removed; --json keeps
them, escaped."""


@click.command(short_help="Send PROMPT to a model, or start an interactive chat.", epilog=_EPILOG)
@click.argument("prompt", required=False)
@options.model("Model to use.", variable="SUNRA_MODEL")
@click.option("--system", "-s", metavar="TEXT", help="System prompt.")
@click.option("--temperature", type=float, metavar="0..2", help="Sampling temperature.")
@click.option("--max-tokens", type=int, metavar="N", help="Maximum number of tokens to generate.")
@click.option("--reasoning-effort", metavar="LEVEL", help="Reasoning effort: low, medium or high.")
@options.api
@click.option("--json", "as_json", is_flag=True, help="Print the complete response as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Hide reasoning, token usage and cost.")
@options.base_url
@options.allow_http
@options.timeout
@options.debug
@click.pass_obj
def chat(
    session: Session,
    /,
    *,
    prompt: str | None,
    model: str | None,
    system: str | None,
    as_json: bool,
    quiet: bool,
    base_url: str | None,
    timeout: float | None,
    **parameters: Any,
) -> int:
    """Send PROMPT to a model, or start an interactive chat.

    Piped input is appended to PROMPT, or used instead of it.
    """
    if model is None:
        raise click.UsageError("No model specified. Use --model or set SUNRA_MODEL.")
    text = _prompt_with_input(session, prompt)
    given = {name: value for name, value in parameters.items() if value is not None}
    check_parameters({"model": model, **given})  # report these before a missing key
    requests = _Requests(model, system, given)
    client = SunraClient(session.settings(base_url, timeout))
    if text is None:
        if as_json:
            raise click.UsageError("--json requires PROMPT or piped input.")
        return _Conversation(session, client, requests, quiet=quiet).run()
    request = requests.with_prompt(text)
    if as_json:
        session.terminal.json(client.create(request).raw)
    else:
        _show_reply(session.terminal, client, request, ReplyAccumulator(), quiet=quiet)
    return 0


# ── piped input ──────────────────────────────────────────────────────────────

_UTF8, _UTF16 = "utf-8-sig", "utf-16"  # both skip a byte order mark


def _prompt_with_input(session: Session, prompt: str | None) -> str | None:
    """Return the prompt with the piped input; None to chat at a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        return _not_blank(prompt) if prompt is not None or sys.stdin is None else None
    piped = _read_input(session, sys.stdin)
    parts = (part for part in (prompt, piped) if part and part.strip())
    return _not_blank("\n\n".join(parts))


def _read_input(session: Session, stream: TextIO) -> str:
    """Return the piped input, with line endings as in a file that is opened as text."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream.read().removeprefix("\ufeff")
    content = stream.buffer.read()
    encoding = _detect_encoding(content, stream.encoding)
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Input is not valid UTF-8 or {encoding} text: {error}.") from error
    if "\0" in text:
        raise click.UsageError(f"Input is not valid {encoding} text: it contains NUL characters.")
    if encoding not in (_UTF8, _UTF16):
        session.terminal.note(f"Input is not UTF-8; it was read as {encoding}.")
    return text


def _detect_encoding(content: bytes, default: str) -> str:
    """Return UTF-16 if the content has its byte order mark, UTF-8 if it is valid, or the default.

    UTF-8 comes before the default because Windows names another encoding, whatever is piped in. NUL
    is valid UTF-8, but indicates UTF-16 without a byte order mark or a file that is not text.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _UTF16
    try:
        content.decode()
    except UnicodeDecodeError:
        return default
    return default if b"\0" in content else _UTF8


def _not_blank(prompt: str | None) -> str:
    if not prompt or not prompt.strip():
        raise click.UsageError("No prompt. Pass PROMPT or pipe text to stdin.")
    return prompt


# ── one reply ────────────────────────────────────────────────────────────────

_NOTES = {
    "length": "The reply was truncated at the token limit.",
    "content_filter": "The reply was stopped by the content filter.",
}
"""By `finish_reason`."""


@dataclass(frozen=True)
class _Requests:
    """Builds the requests of one command, which differ in their messages only."""

    model: str
    system: str | None
    parameters: dict[str, Any]

    def with_prompt(self, prompt: str) -> ChatRequest:
        return self.with_messages([{"role": "user", "content": prompt}])

    def with_messages(self, messages: list[Message]) -> ChatRequest:
        system = [{"role": "system", "content": self.system}] if self.system is not None else []
        return ChatRequest(model=self.model, messages=[*system, *messages], **self.parameters)


def _show_reply(
    terminal: Terminal,
    client: SunraClient,
    request: ChatRequest,
    so_far: ReplyAccumulator,
    *,
    quiet: bool,
) -> None:
    """Send a request and show the reply while it is received.

    Args:
        terminal: Where to show it.
        client: The client.
        request: The request.
        so_far: Collects what was received, also if the stream is interrupted.
        quiet: Hide reasoning, token usage and cost.

    Raises:
        Refused: The model declined to answer.
        SunraError: The call failed; the text received so far has been shown.
    """
    with (
        closing(client.stream(request, so_far=so_far)) as chunks,
        _ReplyView(terminal, quiet=quiet) as view,
    ):
        for chunk in chunks:
            for delta in chunk.choices:
                view.add(delta)
    reply = so_far.reply()
    note = _NOTES.get(reply.choice.finish_reason or "")
    if note:
        terminal.note(note, "yellow")
    if not quiet:
        terminal.note(" · ".join(filter(None, (reply.model, format_usage(reply.usage)))))
    if reply.choice.refusal:
        refusal = reply.choice.refusal
        raise Refused(f"The model declined to answer: {refusal}", refusal=refusal, partial=reply)


def format_usage(usage: Usage | None) -> str:
    """Return token usage and cost as words."""
    if usage is None:
        return "no token usage reported"
    reasoning = usage.completion_details.get("reasoning_tokens")
    counts = [
        f"{usage.prompt_tokens:,} tokens in" if usage.prompt_tokens is not None else "",
        f"{usage.completion_tokens:,} tokens out" if usage.completion_tokens is not None else "",
        f"{reasoning:,} of them reasoning" if isinstance(reasoning, int) and reasoning else "",
        f"cost {format_cost(usage.cost)}" if usage.cost is not None else "",
    ]
    return ", ".join(filter(None, counts))


def format_cost(cost: float) -> str:
    """Return a cost without an exponent and without trailing zeros."""
    return f"{cost:.8f}".rstrip("0").rstrip(".")


class _ReplyView:
    """Shows a reply while it is received, and ends its last line however the reply ends."""

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self._terminal = terminal
        self._quiet = quiet
        self._markdown = LiveMarkdown(terminal.out) if terminal.can_redraw else None
        self._text_line_open = False
        self._reasoning_line_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_reasoning()
        self._end_text()

    def add(self, delta: ChoiceDelta) -> None:
        """Show the text and the reasoning of a delta."""
        if delta.reasoning and not self._quiet:
            if self._terminal.is_terminal:  # in a pipe, the reply's text has its own stream
                self._end_text()
            self._terminal.write_dimmed(delta.reasoning)
            self._reasoning_line_open = not delta.reasoning.endswith("\n")
        if delta.text:
            self._end_reasoning()
            self._add_text(delta.text)

    def _add_text(self, text: str) -> None:
        if self._markdown is not None:
            self._markdown.add(text)
            return
        self._terminal.write(text)
        self._text_line_open = not text.endswith("\n")

    def _end_text(self) -> None:
        if self._markdown is not None:
            self._markdown.end()
        elif self._text_line_open:
            self._terminal.write("\n")
            self._text_line_open = False

    def _end_reasoning(self) -> None:
        if self._reasoning_line_open:
            self._terminal.write_dimmed("\n")
            self._reasoning_line_open = False


# ── interactive chat ─────────────────────────────────────────────────────────

_PROMPT = "> "
_COMMANDS = ("/reset", "/help", "/exit")
_LONGEST_SHOWN = 80
_END_OF_INPUT = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
_HELP = (
    f"/reset clears the conversation, /exit or {_END_OF_INPUT} quits, Ctrl-C stops a reply. "
    "Start a line with // to send it with one slash. Pasted lines are sent as one message."
)


class _Conversation:
    """Reads messages and shows the replies until the user quits."""

    def __init__(
        self, session: Session, client: SunraClient, requests: _Requests, *, quiet: bool
    ) -> None:
        self._terminal = session.terminal
        self._client = client
        self._requests = requests
        self._quiet = quiet
        self._messages: list[Message] = []

    def run(self) -> int:
        """Chat until the user quits, and return the exit status."""
        self._terminal.note(f"Chatting with {self._requests.model}. {_HELP}")
        reader = LineReader(_COMMANDS, _PROMPT if self._terminal.is_terminal else "")
        while True:
            try:
                line = self._read(reader)
            except EOFError:
                self._terminal.note("")
                return 0
            except KeyboardInterrupt:  # discards the line
                self._terminal.note("")
                continue
            except UnicodeDecodeError as error:
                self._terminal.error(f"Line is not valid {error.encoding} text: {error.reason}.")
                continue
            if line == "/exit":
                return 0
            self._handle(line)

    def _read(self, reader: LineReader) -> str:
        if not self._terminal.is_terminal:
            sys.stderr.write(_PROMPT)
            sys.stderr.flush()
        return reader.read()

    def _handle(self, line: str) -> None:
        match line:
            case "":
                return
            case "/reset":
                self._messages.clear()
                self._terminal.note("Conversation cleared.")
            case "/help":
                self._terminal.note(_HELP)
            case str() if line.startswith("//"):
                self._send(line[1:])
            case str() if _is_command(line):
                self._terminal.note(f"Unknown command: {line[:_LONGEST_SHOWN]}. {_HELP}", "yellow")
            case _:
                self._send(line)

    def _send(self, prompt: str) -> None:
        """Show the reply, and remember the exchange if it has any text."""
        question: Message = {"role": "user", "content": prompt}
        so_far = ReplyAccumulator()
        try:
            request = self._requests.with_messages([*self._messages, question])
            _show_reply(self._terminal, self._client, request, so_far, quiet=self._quiet)
        except KeyboardInterrupt:
            self._terminal.note("Stopped.", "yellow")
        except SunraError as error:
            self._terminal.error(f"{error.message} {hint(error)}")
        self._terminal.note_replacements()
        reply = so_far.reply()
        if reply.text:
            self._messages += [question, _assistant_message(reply)]


def _is_command(line: str) -> bool:
    """Whether a line is meant as a command: its first word starts with a slash and is not a path.

    In a message of several lines it must also be a plain word: code may start with `/**`.
    """
    first = line.split(maxsplit=1)[0]
    if not first.startswith("/") or "/" in first[1:]:
        return False
    return "\n" not in line or first[1:].isalnum()


def _assistant_message(reply: Reply) -> Message:
    choice = reply.choice
    reasoning = reasoning_fields(
        choice.reasoning, choice.reasoning_field, choice.reasoning_details, beside_calls=False
    )
    return {"role": "assistant", "content": choice.text, **reasoning}
