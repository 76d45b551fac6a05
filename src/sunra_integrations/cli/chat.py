"""`sunra chat`: one reply, or an interactive chat."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import click
from click.core import ParameterSource
from typing_extensions import Self

from sunra_integrations.cli import options
from sunra_integrations.cli.attachments import file_parts
from sunra_integrations.cli.conversations import (
    Conversation,
    conversation_names,
    open_conversation,
)
from sunra_integrations.cli.hints import message_with_hint
from sunra_integrations.cli.options import Session
from sunra_integrations.cli.terminal import LineReader, LiveMarkdown, Terminal
from sunra_integrations.errors import Refused, SunraError, UnreadableResponse
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.content import text_part
from sunra_integrations.protocol.history import reasoning_fields
from sunra_integrations.protocol.reply import ChoiceDelta, Reply, Usage
from sunra_integrations.protocol.request import ChatRequest, Message, check_parameters
from sunra_integrations.transport import SunraClient

if TYPE_CHECKING:
    from sunra_integrations.cli.schemas import ReplySchema

_EXAMPLES = """
sunra chat -m openai/gpt-4o "Why is the sky blue?"
cat report.txt | sunra chat -m openai/gpt-4o "Summarise this"
sunra chat -m openai/gpt-4o -f invoice.pdf -f photo.png "Do they match?"
sunra chat -m openai/gpt-4o --schema person.json "Ada is 36 years old."
sunra chat -m openai/gpt-4o --json "Hi" | jq .usage
sunra chat --continue "And at sunset?"
export SUNRA_MODEL=openai/gpt-4o    # the default for -m
sunra chat                          # interactive; /help lists the commands
"""

_NOTES = """
The reply is written to standard output: as rendered Markdown on a terminal, as text elsewhere.
Reasoning, token usage and cost are written to standard error. Control characters such as escape
sequences are removed; --json keeps them, escaped.

The conversation is stored for --continue, in a file that only you can read and without the key.
The next conversation without a name replaces it. --no-save stores nothing.
"""


@click.command(
    epilog=options.epilog(
        _EXAMPLES,
        _NOTES,
        success="the reply is complete",
        failure="no reply, an incomplete one, or one that does not match --schema",
    )
)
@click.argument("prompt", required=False)
@options.model("Model to use. Defaults to SUNRA_MODEL.", variable="SUNRA_MODEL")
@options.option("--system", "-s", metavar="TEXT", help="System prompt.")
@options.option(
    "--file",
    "-f",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Attach a text, an image, a PDF, audio or a video. Repeatable.",
)
@options.option(
    "--schema",
    type=click.Path(),
    metavar="FILE|CLASS",
    help="Request JSON of this schema, and check the reply: a file with a JSON schema, or a "
    "Pydantic class as module:Class.",
)
@options.option(
    "--continue", "-c", "is_continued", is_flag=True, help="Continue the last conversation."
)
@options.option(
    "--conversation",
    metavar="NAME",
    shell_complete=options.completing(conversation_names),
    help="Continue the conversation of this name, or begin it.",
)
@options.option(
    "--no-save",
    is_flag=True,
    envvar="SUNRA_NO_SAVE",
    help="Do not store the conversation. Defaults to SUNRA_NO_SAVE.",
)
@options.option("--temperature", type=float, metavar="0..2", help="Sampling temperature.")
@options.option("--max-tokens", type=int, metavar="N", help="Maximum number of tokens to generate.")
@options.option(
    "--reasoning-effort", metavar="LEVEL", help="Reasoning effort: low, medium or high."
)
@options.api
@options.option("--json", "as_json", is_flag=True, help="Print the complete response as JSON.")
@options.option("--quiet", "-q", is_flag=True, help="Hide reasoning, token usage and cost.")
@options.base_url
@options.allow_http
@options.timeout
@options.debug
@click.pass_context
def chat(
    context: click.Context,
    /,
    *,
    prompt: str | None,
    model: str | None,
    system: str | None,
    files: tuple[Path, ...],
    schema: str | None,
    is_continued: bool,
    conversation: str | None,
    no_save: bool,
    as_json: bool,
    quiet: bool,
    base_url: str | None,
    timeout: float | None,
    **parameters: Any,
) -> int:
    """Send PROMPT to a model, or start an interactive chat.

    Piped input is appended to PROMPT, or used instead of it.
    """
    session = context.ensure_object(Session)
    history = open_conversation(conversation, is_continued=is_continued)
    if history.model and context.get_parameter_source("model") is not ParameterSource.COMMANDLINE:
        model = history.model
    if model is None:
        raise click.UsageError("No model specified. Use --model or set SUNRA_MODEL.")
    history.model = model
    if system is not None:
        history.set_system(system)
    given = {name: value for name, value in parameters.items() if value is not None}
    reply_schema = _load_schema(schema) if schema is not None else None
    text = _prompt_with_input(session, prompt)
    if text is None and (as_json or reply_schema):
        option = "--json" if as_json else "--schema"
        raise click.UsageError(f"{option} requires PROMPT or piped input.")
    if reply_schema is not None:
        given["response_format"] = reply_schema.response_format
    check_parameters({"model": model, **given})  # report these before a missing key
    attached = file_parts(files)
    client = SunraClient(session.settings(base_url, timeout))
    talk = _Talk(session.terminal, client, given, history, quiet=quiet, is_saved=not no_save)
    if text is None:
        return _Interactive(talk, attached).run()
    question = _question(text, attached)
    if as_json or reply_schema is not None:
        return _send_whole(talk, question, reply_schema, as_json=as_json)
    talk.remember(question, talk.show_reply(question, ReplyAccumulator()))
    return 0


def _load_schema(given: str) -> ReplySchema:
    from sunra_integrations.cli.schemas import load_schema  # noqa: PLC0415 - slow to import

    return load_schema(given)


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
        raise click.UsageError(
            f"Input is not valid {encoding} text: it contains NUL characters. "
            "Use --file to attach a file that is not text."
        )
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

_NOTES_BY_REASON = {
    "length": "The reply was truncated at the token limit.",
    "content_filter": "The reply was stopped by the content filter.",
}
"""By `finish_reason`."""


@dataclass(frozen=True)
class _Talk:
    """A conversation with a model: sends messages, shows the replies, and remembers both."""

    terminal: Terminal
    client: SunraClient
    parameters: dict[str, Any]
    """The parameters of every request."""
    history: Conversation
    quiet: bool
    """Hide reasoning, token usage and cost."""
    is_saved: bool

    def request(self, question: Message) -> ChatRequest:
        """Return the request for a reply to a message."""
        messages = [*self.history.messages, question]
        return ChatRequest(model=self.history.model, messages=messages, **self.parameters)

    def show_reply(self, question: Message, so_far: ReplyAccumulator) -> Reply:
        """Send a message, show the reply while it is received, and return it.

        Args:
            question: The message.
            so_far: Collects what was received, also if the stream is interrupted.

        Raises:
            Refused: The model declined to answer.
            SunraError: The call failed; the text received so far has been shown.
        """
        request = self.request(question)
        with (
            closing(self.client.stream(request, so_far=so_far)) as chunks,
            _ReplyView(self.terminal, quiet=self.quiet) as view,
        ):
            for chunk in chunks:
                for delta in chunk.choices:
                    view.add(delta)
        reply = so_far.reply()
        self.comment(reply)
        return reply

    def comment(self, reply: Reply) -> None:
        """Show why a reply ended early, and its token usage and cost.

        Raises:
            Refused: The model declined to answer.
        """
        note = _NOTES_BY_REASON.get(reply.choice.finish_reason or "")
        if note:
            self.terminal.note(note, "yellow")
        if not self.quiet:
            self.terminal.note(" · ".join(filter(None, (reply.model, format_usage(reply.usage)))))
        if reply.choice.refusal:
            refusal = reply.choice.refusal
            message = f"The model declined to answer: {refusal}"
            raise Refused(message, refusal=refusal, partial=reply)

    def remember(self, question: Message, reply: Reply) -> None:
        """Add an exchange to the conversation if the reply has any text, and store it."""
        if not reply.text:
            return
        self.history.messages += [question, _assistant_message(reply)]
        self._save()

    def reset(self) -> None:
        """Forget the conversation except the system prompt, also on disk."""
        self.history.clear()
        self._save()

    def _save(self) -> None:
        if not self.is_saved:
            return
        try:
            self.history.save(self.terminal.without_secret)
        except OSError as error:
            why = error.strerror or error
            self.terminal.note(f"The conversation was not stored: {why}.", "yellow")


def _send_whole(
    talk: _Talk, question: Message, schema: ReplySchema | None, *, as_json: bool
) -> int:
    """Print the response, or the JSON in its reply, and return the exit status."""
    with talk.terminal.spinner("Waiting for the reply"):
        reply = talk.client.create(talk.request(question))
    if as_json:
        talk.terminal.json(reply.raw)
    else:
        talk.comment(reply)
    if schema is not None:
        try:
            value = schema.value(reply)
        except UnreadableResponse:
            if not as_json:
                talk.terminal.note(reply.text)
            raise
        if not as_json:
            talk.terminal.json(value)
    talk.remember(question, reply)
    return 0


def _question(text: str, attached: Sequence[Any]) -> Message:
    return {"role": "user", "content": [text_part(text), *attached] if attached else text}


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


class _Interactive:
    """Reads messages and shows the replies until the user quits.

    Args:
        talk: The conversation.
        attached: Content parts that the first message carries.
    """

    def __init__(self, talk: _Talk, attached: Sequence[Any]) -> None:
        self._talk = talk
        self._terminal = talk.terminal
        self._attached = attached

    def run(self) -> int:
        """Chat until the user quits, and return the exit status."""
        self._terminal.note(f"Chatting with {self._talk.history.model}. {_HELP}")
        earlier = len(self._talk.history.without_system())
        if earlier:
            self._terminal.note(f"Continuing a conversation of {earlier} messages.")
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
                self._talk.reset()
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
        question = _question(prompt, self._attached)
        so_far = ReplyAccumulator()
        try:
            self._talk.show_reply(question, so_far)
        except KeyboardInterrupt:
            self._terminal.note("Stopped.", "yellow")
        except SunraError as error:
            self._terminal.error(message_with_hint(error))
        self._terminal.note_replacements()
        reply = so_far.reply()
        if reply.text:
            self._attached = ()
        self._talk.remember(question, reply)


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
