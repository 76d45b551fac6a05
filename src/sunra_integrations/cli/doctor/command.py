"""The command, and how its findings are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from time import time as clock

import click

from sunra_integrations.cli import options
from sunra_integrations.cli.doctor.call import call
from sunra_integrations.cli.doctor.configuration import address, key, proxies
from sunra_integrations.cli.doctor.findings import Finding, fail
from sunra_integrations.cli.doctor.installation import versions
from sunra_integrations.cli.doctor.network import way
from sunra_integrations.cli.session import Session
from sunra_integrations.cli.terminal import Terminal

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_CHECK_WIDTH = 18
_LEAST_FOR_A_CALL = 120.0  # a model may think before it says hello

_EPILOG = """\b
Examples:
  sunra doctor                      # costs nothing: the key is not sent
  sunra doctor -m openai/gpt-4o     # also one tiny call, the proof of the whole
  sunra doctor --json | jq '.findings[] | select(.status != "ok")'

\b
The exit status is 1 when anything failed; a warning leaves it 0."""


@click.command(epilog=_EPILOG, short_help="Find out what is wrong, and how to mend it.")
@options.model("Also ask this model one tiny thing.")
@options.base_url
@options.allow_http
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each step may take.",
)
@options.json_output
@options.debug
@click.pass_obj
def doctor(
    session: Session, /, *, model: str | None, base_url: str | None, timeout: float, as_json: bool
) -> int:
    """Look at all that a call depends on, and tell how to mend what is wrong.

    Versions, key, base URL, proxy, DNS, TCP, TLS, clock, and with --model one tiny call.
    """
    findings: list[Finding] = []
    for raw in _findings(session, model, base_url, timeout):
        finding = replace(raw, found=session.terminal.shown(raw.found))
        findings.append(finding)
        if not as_json:
            _show(session.terminal, finding)
    failed = sum(finding.status == "fail" for finding in findings)
    if as_json:
        session.terminal.json(
            {"ok": not failed, "findings": [asdict(finding) for finding in findings]}
        )
    else:
        session.terminal.note(f"{failed} failed." if failed else "Nothing failed.")
    return 1 if failed else 0


def _findings(
    session: Session, model: str | None, base_url: str | None, timeout: float
) -> Iterator[Finding]:
    yield from versions()
    about_key = key(session)
    yield about_key
    about_address, route = address(session, base_url)
    yield about_address
    if route is not None:
        yield proxies(route)
        yield from way(route, timeout, clock)
    if model is None:
        return
    if route is None or about_key.status == "fail":
        yield fail("call", "not made: there is no usable key or base URL", "Mend those first.")
    else:
        yield call(session.settings(base_url, max(timeout, _LEAST_FOR_A_CALL)), model)


def _show(terminal: Terminal, finding: Finding) -> None:
    terminal.line(
        (f"{finding.status:<5}", _STYLES[finding.status]),
        (f"{finding.check:<{_CHECK_WIDTH}} ", "bold"),
        (finding.found, ""),
    )
    if finding.mend:
        terminal.line((f"{'':<{_CHECK_WIDTH + 6}}→ {finding.mend}", "dim"))
