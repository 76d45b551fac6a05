"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sunra_integrations.cli.session import Session
from sunra_integrations.data import model_names

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_MOST_OFFERED = 200


def complete_model(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Known models for the shell to offer; others are as welcome."""
    begun = incomplete.lower()
    return [name for name in model_names() if name.startswith(begun)][:_MOST_OFFERED]


def model(purpose: str, *, variable: str | None = None) -> Decorator:
    """`--model`, for this purpose, else from this variable; None where neither was given."""
    return click.option(
        "--model",
        "-m",
        metavar="VENDOR/NAME",
        envvar=variable,
        show_envvar=variable is not None,
        shell_complete=complete_model,
        help=purpose,
    )


def base_url(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--base-url`."""
    return click.option(
        "--base-url",
        metavar="URL",
        help="Where the gateway is. [SUNRA_BASE_URL, else Sunra's own]",
    )(command)


def allow_http(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--allow-http`."""
    return click.option(
        "--allow-http",
        is_flag=True,
        expose_value=False,
        callback=_permit_http,
        help="Permit plain http to another machine, where others can read the key. "
        "[SUNRA_ALLOW_HTTP]",
    )(command)


def timeout(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--timeout`."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="How long to wait for an answer to begin. [600]",
    )(command)


def json_output(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, for reports."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def debug(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--debug`, wherever in the command it stands."""
    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_turn_on_debugging,
        help="Show the traceback of an error.",
    )(command)


def _permit_http(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).allow_http = True


def _turn_on_debugging(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).debug = True
