"""The session, and the options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import click
from pydantic import SecretStr

from sunra_integrations.cli.terminal import Terminal
from sunra_integrations.data import model_names
from sunra_integrations.protocol.parameters import Api
from sunra_integrations.transport import Settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

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


def complete_model(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the known models that the shell can offer."""
    prefix = incomplete.lower()
    return [name for name in model_names() if name.startswith(prefix)][:_MOST_COMPLETIONS]


def model(purpose: str, *, variable: str | None = None) -> Decorator:
    """`--model`; None if neither the option nor the variable is given."""
    return click.option(
        "--model",
        "-m",
        metavar="VENDOR/NAME",
        envvar=variable,
        show_envvar=variable is not None,
        shell_complete=complete_model,
        help=purpose,
    )


def api(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--api`; None if it is not given."""
    return click.option(
        "--api",
        type=click.Choice(get_args(Api)),
        help="Endpoint: chat completions (the default), or responses, which some models require.",
    )(command)


def base_url(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--base-url`."""
    return click.option(
        "--base-url",
        metavar="URL",
        help="Base URL of the gateway. Defaults to SUNRA_BASE_URL, or Sunra's own URL.",
    )(command)


def allow_http(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--allow-http`."""
    return click.option(
        "--allow-http",
        is_flag=True,
        expose_value=False,
        callback=_allow_http,
        help="Allow plain http to another machine. Others on the network can read the key.  "
        "[env var: SUNRA_ALLOW_HTTP]",
    )(command)


def timeout(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--timeout`."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Seconds to wait for the reply to begin.  [default: 600]",
    )(command)


def json_output(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, for reports."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def debug(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--debug`, before or after the subcommand."""
    return click.option(
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
