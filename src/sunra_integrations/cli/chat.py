"""`sunra chat`: one answer, or a conversation."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Any, TextIO

import click

from sunra_integrations.cli import options
from sunra_integrations.cli.answering import show_answer
from sunra_integrations.cli.conversation import Conversation, Question
from sunra_integrations.cli.session import Session
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.request import check_parameters
from sunra_integrations.transport import SunraClient

_UTF8, _UTF16 = "utf-8-sig", "utf-16"  # both leave out a byte order mark

_EPILOG = """\b
Examples:
  sunra chat -m openai/gpt-4o "Why is the sky blue?"
  cat report.txt | sunra chat -m openai/gpt-4o "Summarise this"
  sunra chat -m openai/gpt-4o --json "Hi" | jq .usage
  export SUNRA_MODEL=openai/gpt-4o    # then no -m is needed
  sunra chat                          # a conversation; /help tells its commands

\b
The answer goes to standard output: as rendered Markdown on a terminal, else
as text. Reasoning, tokens and cost go to standard error. Control characters,
such as escape sequences, are left out; --json has them, escaped."""


@click.command(short_help="Ask a model PROMPT; without one, talk with it.", epilog=_EPILOG)
@click.argument("prompt", required=False)
@options.model("The model to ask.", variable="SUNRA_MODEL")
@click.option("--system", "-s", metavar="TEXT", help="What the model is told before all else.")
@click.option("--temperature", type=float, metavar="0..2", help="How freely it chooses its words.")
@click.option("--max-tokens", type=int, metavar="N", help="The most tokens to answer with.")
@click.option("--reasoning-effort", metavar="LEVEL", help="How hard to think: low, medium, high.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole reply as it came, as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Leave out reasoning, tokens and cost.")
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
    """Ask a model PROMPT; without one, talk with it.

    What is piped in is sent along behind PROMPT, or in place of it.
    """
    if model is None:
        raise click.UsageError("Say which model: --model vendor/name, or set SUNRA_MODEL.")
    asked = _asked(session, prompt)
    given = {name: value for name, value in parameters.items() if value is not None}
    check_parameters({"model": model, **given})  # told before a missing key, which is mended later
    question = Question(model, system, given)
    client = SunraClient(session.settings(base_url, timeout))
    if asked is None:
        if as_json:
            raise click.UsageError("--json needs a PROMPT, or something piped in.")
        return Conversation(session, client, question, quiet=quiet).run()
    request = question.about(asked)
    if as_json:
        session.terminal.json(client.create(request).raw)
    else:
        show_answer(session.terminal, client, request, ReplyAccumulator(), quiet=quiet)
    return 0


def _asked(session: Session, prompt: str | None) -> str | None:
    """The prompt with what was piped in; None where a terminal is to be talked with."""
    if sys.stdin is None or sys.stdin.isatty():
        return _not_blank(prompt) if prompt is not None or sys.stdin is None else None
    piped = _piped(session, sys.stdin)
    parts = (part for part in (prompt, piped) if part and part.strip())
    return _not_blank("\n\n".join(parts))


def _piped(session: Session, stream: TextIO) -> str:
    """What was piped in, with line ends as in a file that is opened as text."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream.read().removeprefix("\ufeff")
    content = stream.buffer.read()
    encoding = _encoding_of(content, stream.encoding)
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"What was piped in is not text: {error}.") from error
    if "\0" in text:
        raise click.UsageError(f"What was piped in is not text: read as {encoding}, it has NULs.")
    if encoding not in (_UTF8, _UTF16):
        session.terminal.note(f"What was piped in is not UTF-8 and was read as {encoding}.")
    return text


def _encoding_of(content: bytes, otherwise: str) -> str:
    """UTF-16 by its mark, UTF-8 if it is that, or the other encoding.

    UTF-8 goes first because Windows names another encoding, whatever is piped in. NULs are valid
    in it, but stand for UTF-16 without a mark or for a file that is not text.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _UTF16
    try:
        content.decode()
    except UnicodeDecodeError:
        return otherwise
    return otherwise if b"\0" in content else _UTF8


def _not_blank(prompt: str | None) -> str:
    if not prompt or not prompt.strip():
        raise click.UsageError("There is nothing to ask: give a PROMPT, or pipe a text in.")
    return prompt
