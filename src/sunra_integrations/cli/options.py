"""The session, and the options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, get_args

import click
from click.types import OptionHelpExtra
from pydantic import SecretStr

from sunra_integrations.cli.terminal import Terminal
from sunra_integrations.data import model_names
from sunra_integrations.protocol.parameters import Api
from sunra_integrations.transport import Settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Completion = Callable[[click.Context, click.Parameter, str], list[str]]

_MOST_COMPLETIONS = 200


@dataclass
class Session:
    """One run of the command line."""

    terminal: Terminal = field(default_factory=Terminal)
    debug: bool = False
    """Whether errors are shown with their traceback."""
    allow_http: bool = False
    """Whether the base URL may be plain http to another machine."""

    def settings(self, base_url: str | None, timeout: float | None) -> Settings:
        """Return the settings of these options and the environment; hide the key from now on.

        Raises:
            ConfigurationError: The key or the base URL is missing or invalid.
        """
        settings = Settings.resolve(base_url=base_url, timeout=timeout, allow_http=self.allow_http)
        if isinstance(settings.api_key, SecretStr):  # the command line has no key functions
            self.terminal.hide(settings.api_key)
        return settings


# ── help ─────────────────────────────────────────────────────────────────────


class _Option(click.Option):
    """An option whose help states defaults, variables and ranges in its sentences."""

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return nothing to append in brackets."""
        del ctx
        return {}


option: Callable[..., Decorator] = partial(click.option, cls=_Option)
"""Every option of the command line is one of these, so that all help has one style."""


def epilog(
    examples: str, notes: str = "", *, success: str, failure: str, interrupted: bool = True
) -> str:
    """Return what the help of a command shows below its options.

    Args:
        examples: Command lines, with comments.
        notes: A paragraph.
        success: The meaning of exit status 0.
        failure: The meaning of exit status 1.
        interrupted: Whether Ctrl-C gives exit status 130.
    """
    statuses = {0: success, 1: failure, 2: "usage error"}
    statuses |= {130: "interrupted with Ctrl-C"} if interrupted else {}
    blocks = {
        "Examples:": examples.strip().splitlines(),
        "Exit status:": [f"{status:<3}  {meaning}" for status, meaning in statuses.items()],
    }
    parts = ["\n".join(["\b", head, *(f"  {line}" for line in blocks[head])]) for head in blocks]
    return "\n\n".join([parts[0], *filter(None, [notes.strip()]), parts[1]])


# ── options ──────────────────────────────────────────────────────────────────


def completing(names: Callable[[], Iterable[str]]) -> Completion:
    """Return a function that offers those of some names that begin as typed, to the shell."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[str]:
        prefix = incomplete.lower()
        found = (name for name in names() if name.lower().startswith(prefix))
        return [*islice(found, _MOST_COMPLETIONS)]

    return complete


complete_model: Completion = completing(model_names)
"""Offers the known models."""


def model(purpose: str, *, variable: str | None = None) -> Decorator:
    """`--model`; None if neither the option nor the variable is given."""
    return option(
        "--model",
        "-m",
        metavar="VENDOR/NAME",
        envvar=variable,
        shell_complete=complete_model,
        help=purpose,
    )


def api(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--api`; None if it is not given."""
    return option(
        "--api",
        type=click.Choice(get_args(Api)),
        help="Endpoint: chat completions, or responses, which some models require. Defaults to "
        "chat.",
    )(command)


def base_url(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--base-url`."""
    return option(
        "--base-url",
        metavar="URL",
        help="Base URL of the gateway. Defaults to SUNRA_BASE_URL, or Sunra's own URL.",
    )(command)


def allow_http(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--allow-http`."""
    return option(
        "--allow-http",
        is_flag=True,
        expose_value=False,
        callback=_allow_http,
        help="Allow plain http to another machine. Others on the network can read the key. "
        "Defaults to SUNRA_ALLOW_HTTP.",
    )(command)


def timeout(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--timeout`."""
    return option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Seconds to wait for the reply to begin. Defaults to 600.",
    )(command)


def json_output(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, for reports."""
    return option("--json", "as_json", is_flag=True, help="Print the report as JSON.")(command)


def debug(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--debug`, before or after the subcommand."""
    return option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_enable_debugging,
        help="Show the traceback of an error.",
    )(command)


def _allow_http(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).allow_http = True


def _enable_debugging(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).debug = True
