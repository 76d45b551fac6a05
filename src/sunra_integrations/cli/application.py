"""The command `sunra`: its subcommands and its exit status."""

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
from sunra_integrations.cli.chat import chat
from sunra_integrations.cli.doctor import doctor
from sunra_integrations.cli.hints import message_with_hint
from sunra_integrations.cli.models import models
from sunra_integrations.cli.options import Session
from sunra_integrations.cli.probe import probe
from sunra_integrations.cli.sandbox import sandbox
from sunra_integrations.errors import InvalidParameter, SunraError

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

_COMPLETION_VARIABLE = "_SUNRA_COMPLETE"

_EXAMPLES = """
export SUNRA_KEY=…            # from https://sunra.ai/dashboard/api-tokens
sunra doctor                  # check configuration and connection
sunra chat -m openai/gpt-4o "Why is the sky blue?"
git diff | sunra chat -m openai/gpt-4o "Write a commit message"
sunra models --can image      # known models that accept images
sunra probe openai/gpt-4o     # which features does this model support?
sunra sandbox                 # a local server, without key or network
"""


@click.group(
    epilog=options.epilog(_EXAMPLES, success="success", failure="failure"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "--version", "-V", prog_name="sunra")
@options.debug
def application() -> None:
    """Chat with models through the Sunra gateway, and troubleshoot problems.

    The key is read from SUNRA_KEY and never shown.
    """


_COMPLETION_EXAMPLES = """
eval "$(sunra completion bash)"    # in ~/.bashrc
eval "$(sunra completion zsh)"     # in ~/.zshrc
sunra completion fish | source     # in ~/.config/fish/config.fish
"""


@application.command(
    epilog=options.epilog(
        _COMPLETION_EXAMPLES, success="the script was printed", failure="it cannot be printed"
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.debug
def completion(shell: str) -> None:
    """Print a shell completion script.

    It completes commands, options and names of models. SHELL is bash, zsh or fish.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"Completion is not available for {shell}.")
    click.echo(kind(application, {}, "sunra", _COMPLETION_VARIABLE).source())


for _command in (chat, doctor, models, probe, sandbox):
    application.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: The arguments after `sunra`. Defaults to those of the process.
    """
    session = Session()
    # On Windows click expands `*`, `~` and `$NAME`, also in a prompt, unless it is passed a list
    # (`windows_expand_args`).
    given = [_decoded(one) for one in (sys.argv[1:] if arguments is None else arguments)]
    try:
        status = _status(session, given)
        session.terminal.note_replacements()
    except OSError:  # standard error cannot be written
        status = FAILED
    flushed = [_flush(stream) for stream in (sys.stdout, sys.stderr) if stream]
    return status if all(flushed) else status or FAILED


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
        if session.debug and error.__cause__ is not None:
            session.terminal.traceback("".join(traceback.format_exception(error.__cause__)))
        error.show()
        return error.exit_code
    except OSError as error:
        return FAILED if _is_closed_pipe(error) else _show_error(session, error)
    except Exception as error:  # noqa: BLE001 - users get one line, and a traceback with --debug
        return _show_error(session, error)
    return status if isinstance(status, int) else OK


def _decoded(argument: str) -> str:
    """Return the argument, decoded as UTF-8 if the locale could not decode its bytes."""
    try:
        argument.encode()
    except UnicodeEncodeError:  # Python keeps bytes that it could not decode as surrogates
        with suppress(UnicodeError):
            return os.fsencode(argument).decode()
    return argument


def _show_error(session: Session, error: Exception) -> int:
    if session.debug:
        session.terminal.traceback("".join(traceback.format_exception(error)))
    if isinstance(error, SunraError):
        session.terminal.error(message_with_hint(error))
        return MISUSED if isinstance(error, InvalidParameter) else FAILED
    what = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
    session.terminal.error(f"{what}. Use --debug to see the traceback.")
    return FAILED


def _is_closed_pipe(error: OSError) -> bool:
    """Whether the reader of the output has closed it.

    Windows reports EINVAL, without a file: https://github.com/python/cpython/issues/79935.
    """
    is_invalid = sys.platform == "win32" and error.errno == errno.EINVAL
    return error.errno == errno.EPIPE or (is_invalid and error.filename is None)


def _flush(stream: TextIO) -> bool:
    """Whether the output could be written. If not, keep the interpreter from flushing it again."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True
