"""The command `sunra` with its subcommands, and the exit status of whatever becomes of them."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

import click
from click.shell_completion import get_completion_class

from sunra_integrations import __version__
from sunra_integrations.cli import options
from sunra_integrations.cli.advice import advice
from sunra_integrations.cli.chat import chat
from sunra_integrations.cli.doctor.command import doctor
from sunra_integrations.cli.probe.command import probe
from sunra_integrations.cli.sandbox import sandbox
from sunra_integrations.cli.session import Session
from sunra_integrations.errors import InvalidParameter, SunraError

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

_COMPLETION_VARIABLE = "_SUNRA_COMPLETE"

_EPILOG = """\b
Examples:
  export SUNRA_KEY=…            # from https://sunra.ai/dashboard/api-tokens
  sunra doctor                  # does all that is needed work?
  sunra chat -m openai/gpt-4o "Why is the sky blue?"
  git diff | sunra chat -m openai/gpt-4o "Write a commit message"
  sunra probe openai/gpt-4o     # what can this model do through the gateway?
  sunra sandbox                 # a local endpoint, without key or network

\b
The exit status is 0 when all went well, 1 when something failed, 2 when the
command was not understood, 130 when it was interrupted with Ctrl-C."""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-V", prog_name="sunra")
@options.debug
def application() -> None:
    """Talk to models through the Sunra gateway, and find out what is wrong where that fails.

    The key is read from SUNRA_KEY and is never shown.
    """


@application.command(
    short_help="Make the shell complete commands.",
    epilog="""\b
Put the line for your shell into its start-up file:
  eval "$(sunra completion bash)"         # ~/.bashrc
  eval "$(sunra completion zsh)"          # ~/.zshrc
  sunra completion fish | source          # ~/.config/fish/config.fish""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options and models."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(application, {}, "sunra", _COMPLETION_VARIABLE).source())


for _command in (chat, doctor, probe, sandbox):
    application.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command of these arguments and returns its exit status."""
    session = Session()
    # Passed on as a list: on Windows click would expand `*`, `~` and `$NAME` in a prompt otherwise.
    given = [_as_text(one) for one in (sys.argv[1:] if arguments is None else arguments)]
    try:
        status = _status(session, given)
        session.terminal.tell_what_was_replaced()
    except OSError:  # standard error cannot be written to
        status = FAILED
    written = [_is_flushed(stream) for stream in (sys.stdout, sys.stderr) if stream]
    return status if all(written) else status or FAILED


def _status(session: Session, arguments: list[str]) -> int:
    try:
        status = application.main(
            arguments,
            prog_name="sunra",
            complete_var=_COMPLETION_VARIABLE,
            standalone_mode=False,
            obj=session,
        )
        session.terminal.out.file.flush()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        return FAILED if _is_closed_pipe(error) else _failed(session, error)
    except Exception as error:  # noqa: BLE001 - the last resort: no user is left with a traceback
        return _failed(session, error)
    return status if isinstance(status, int) else OK


def _as_text(argument: str) -> str:
    """An argument whose bytes the locale could not decode, read as UTF-8 if that is what it is."""
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that were not decoded stand in it as surrogates
        with suppress(UnicodeError):
            return os.fsencode(argument).decode()
    return argument


def _failed(session: Session, error: Exception) -> int:
    if session.debug:
        session.terminal.trace("".join(traceback.format_exception(error)))
    if isinstance(error, SunraError):
        session.terminal.error(f"{error.message} {advice(error)}")
        return MISUSED if isinstance(error, InvalidParameter) else FAILED
    what = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
    session.terminal.error(f"{what}. Run it with --debug to see where it happened.")
    return FAILED


def _is_closed_pipe(error: OSError) -> bool:
    """Whether nobody reads the output any more. Windows reports it as EINVAL, without a file."""
    is_invalid = sys.platform == "win32" and error.errno == errno.EINVAL
    return error.errno == errno.EPIPE or (is_invalid and error.filename is None)


def _is_flushed(stream: TextIO) -> bool:
    """Whether the output is written. If not, the interpreter must not fail at flushing it again."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True
