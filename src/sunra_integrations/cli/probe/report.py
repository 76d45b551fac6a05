"""What was found out, as a table for people, lines for pipes, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sunra_integrations.cli.probe.asking import Spending
from sunra_integrations.cli.probe.features import Feature
from sunra_integrations.cli.probe.probing import Findings
from sunra_integrations.cli.terminal import Terminal

_STYLES = {"ok": "green", "ignored": "yellow", "refused": "red", "unknown": "magenta"}


def show_table(terminal: Terminal, found: Sequence[Findings], features: Sequence[Feature]) -> None:
    """A column for each model that answered; below, the words about all that is not ok."""
    answered = [findings for findings in found if findings.error is None]
    if answered:
        table = Table("feature", *(terminal.shown(findings.model) for findings in answered))
        for feature in features:
            statuses = [findings.verdicts[feature.name].status for findings in answered]
            table.add_row(feature.name, *(Text(status, _STYLES[status]) for status in statuses))
        terminal.out.print(table)
    for findings in answered:
        for name, verdict in findings.verdicts.items():
            if verdict.status != "ok":
                terminal.line(
                    (f"{findings.model} ", "bold"),
                    (f"{name} ", ""),
                    (verdict.status, _STYLES[verdict.status]),
                    (f": {terminal.shown(verdict.words)}", ""),
                )


def show_lines(terminal: Terminal, found: Sequence[Findings]) -> None:
    """A line for each finding: model, feature, status and words, with tabs between them."""
    for findings in found:
        for name, (status, words) in findings.verdicts.items():
            fields = (findings.model, name, status, words)
            terminal.say("\t".join(map(terminal.shown, fields)) + "\n")


def as_value(terminal: Terminal, found: Sequence[Findings], spending: Spending) -> dict[str, Any]:
    """All of it as a JSON value."""
    return {
        "models": [
            {
                "model": findings.model,
                "error": None if findings.error is None else terminal.shown(findings.error.message),
                "features": {
                    name: {"status": status, "words": terminal.shown(words)}
                    for name, (status, words) in findings.verdicts.items()
                },
            }
            for findings in found
        ],
        "calls": spending.calls,
        "prompt_tokens": spending.prompt_tokens,
        "completion_tokens": spending.completion_tokens,
        "cost": spending.cost,
    }
