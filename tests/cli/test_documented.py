"""The examples in the help and in docs/cli.md work, and every option is documented."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from sunra_integrations.cli.application import application
from sunra_integrations.cli.probe import FEATURES
from tests.cli.conftest import Typed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = dict(application.commands)
# Documented elsewhere, or the same for all commands.
UNDOCUMENTED = {"--base-url", "--timeout", "--version", "--help"}


def examples():
    """Return the command lines in the document and the help that need no shell."""
    helps = [command.epilog or "" for command in (application, *COMMANDS.values())]
    blocks = re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    lines = "\n".join([*blocks, *helps]).splitlines()
    found = (shlex.split(line, comments=True) for line in lines if line.strip()[:6] == "sunra ")
    return sorted({tuple(words[1:]) for words in found if not {"|", ">"} & set(words)})


@pytest.mark.parametrize(
    "arguments", [line for line in examples() if line[0] != "sandbox"], ids=" ".join
)
def test_an_example_works(sunra, environment, arguments):
    environment.setenv("SUNRA_MODEL", "openai/gpt-4o")
    ended = sunra(*arguments, stdin=Typed("/exit\n"))
    assert ended.status == 0, ended.err


def test_every_command_option_and_feature_is_documented():
    for name, command in COMMANDS.items():
        assert f"`sunra {name}`" in DOCUMENT
        longest = {
            max(option.opts, key=len)
            for option in command.params
            if isinstance(option, click.Option)
        }
        for option in longest - UNDOCUMENTED:
            assert option in DOCUMENT, (name, option)
    for feature in FEATURES:
        assert f"| `{feature.name}` |" in DOCUMENT
