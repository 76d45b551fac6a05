"""The command."""

from __future__ import annotations

import asyncio

import click

from sunra_integrations.cli import options
from sunra_integrations.cli.advice import advice
from sunra_integrations.cli.answering import amount
from sunra_integrations.cli.probe.asking import Spending
from sunra_integrations.cli.probe.features import FEATURES
from sunra_integrations.cli.probe.probing import Findings, probe_all
from sunra_integrations.cli.probe.report import as_value, show_lines, show_table
from sunra_integrations.cli.session import Session

_NAMES = [feature.name for feature in FEATURES]

_EPILOG = """\b
Examples:
  sunra probe openai/gpt-4o google/gemini-2.5-flash
  sunra probe openai/gpt-4o --only tools --only seed
  sunra probe openai/gpt-4o --json | jq '.models[0].features.tools.status'

\b
Each feature is one small real request (seed: two), and is then
  ok        it did what was asked
  ignored   it was accepted, and had no effect
  refused   the server said no, in the words shown
  unknown   it could not be found out, as when the server was busy
A model that answered one way may answer otherwise the next time.

\b
The exit status is 1 when anything is unknown."""


@click.command(epilog=_EPILOG, short_help="Find out what models really can do.")
@click.argument("models", nargs=-1, required=True, shell_complete=options.complete_model)
@click.option(
    "--only",
    type=click.Choice(_NAMES),
    multiple=True,
    metavar="FEATURE",
    help=f"Only this; repeatable. One of {', '.join(_NAMES)}.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="How many requests may be under way.",
)
@options.base_url
@options.allow_http
@options.timeout
@options.json_output
@options.debug
@click.pass_obj
def probe(
    session: Session,
    /,
    *,
    models: tuple[str, ...],
    only: tuple[str, ...],
    at_once: int,
    base_url: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Find out which features MODELS really have through the gateway, by asking."""
    terminal = session.terminal
    settings = session.settings(base_url, timeout)
    models = tuple(dict.fromkeys(models))
    features = [feature for feature in FEATURES if not only or feature.name in only]
    calls = len(models) * sum(feature.calls for feature in features)
    many = f"{len(models)} models" if len(models) > 1 else "1 model"
    terminal.note(f"Asking {many}: {calls} calls at most, each small.")
    spending = Spending()
    with terminal.waiting("Asking"):
        found = asyncio.run(
            probe_all(settings, models, features, at_once=at_once, spending=spending)
        )
    if as_json:
        terminal.json(as_value(terminal, found, spending))
    elif terminal.is_terminal:
        show_table(terminal, found, features)
    else:
        show_lines(terminal, found)
    for findings in found:
        if findings.error is not None:
            error = findings.error
            terminal.error(f"{findings.model}: {error.message} {advice(error)}")
    terminal.note(_told(spending))
    return 1 if any(map(_is_incomplete, found)) else 0


def _told(spending: Spending) -> str:
    cost = f", cost {amount(spending.cost)}" if spending.cost is not None else ""
    return (
        f"{spending.calls} calls, {spending.prompt_tokens:,} tokens in, "
        f"{spending.completion_tokens:,} out{cost}"
    )


def _is_incomplete(findings: Findings) -> bool:
    statuses = {verdict.status for verdict in findings.verdicts.values()}
    return findings.error is not None or "unknown" in statuses
