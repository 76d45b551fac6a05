"""The examples in the help and in docs/cli.md work, and every option is documented."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from sunra_integrations.cli.application import application
from sunra_integrations.cli.models import _CAPABILITIES
from sunra_integrations.cli.probe import FEATURES
from tests.cli.conftest import Typed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
BLOCK = re.DOTALL | re.MULTILINE
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


@pytest.fixture
def folder(environment, tmp_path):
    """A folder with the files of the examples."""
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    [schema] = re.findall(r'^```json title="person.json"\n(.*?)^```', DOCUMENT, BLOCK)
    (tmp_path / "person.json").write_text(schema)
    environment.chdir(tmp_path)


@pytest.mark.parametrize(
    "arguments", [line for line in examples() if line[0] != "sandbox"], ids=" ".join
)
@pytest.mark.usefixtures("folder")
def test_an_example_works(sunra, environment, arguments):
    environment.setenv("SUNRA_MODEL", "openai/gpt-4o")
    sunra("chat", "A conversation to continue")
    ended = sunra(*arguments, stdin=Typed("/exit\n"))
    assert ended.status == 0, ended.err


@pytest.mark.usefixtures("folder")
def test_structured_output_is_printed_as_documented(sunra, sunra_sandbox):
    [command] = re.findall(r"^sunra (.* --schema .*)$", DOCUMENT, re.MULTILINE)
    [printed] = re.findall(r"^```json\n(.*?)^```", DOCUMENT, BLOCK)
    [mismatch] = re.findall(r"^```text\n(\{.*?)^```", DOCUMENT, BLOCK)
    assert sunra(*shlex.split(command)) == (0, printed, "")
    sunra_sandbox.next(mismatch.splitlines()[0])
    assert sunra(*shlex.split(command)) == (1, "", mismatch)


def test_the_facts_of_a_model_are_printed_as_documented(sunra):
    [command] = re.findall(r"^sunra (models --model \S+)", DOCUMENT, re.MULTILINE)
    [printed] = re.findall(r"^```text\n(model  .*?)^```", DOCUMENT, BLOCK)
    assert sunra(*shlex.split(command)).out == printed


def test_the_end_of_a_report_is_printed_as_documented(sunra):
    [printed] = re.findall(r"^```text\n(fail .*?)^```", DOCUMENT, BLOCK)
    ended = sunra("doctor", "--base-url", "http://localhost:1")
    shown = (ended.out + ended.err).replace("localhost:1:", "localhost:8111:")
    assert shown.endswith(printed)


def test_the_table_of_exit_statuses_is_that_of_the_help():
    rows = dict(re.findall(r"^\| `sunra (\w+)` \| ([^|]+ \| [^|]+) \|$", DOCUMENT, re.MULTILINE))
    for name, command in COMMANDS.items():
        statuses = dict(re.findall(r"^  (\d+) +(.+)$", command.epilog, re.MULTILINE))
        assert rows[name] == f"{statuses['0']} | {statuses['1']}"


def test_every_command_option_capability_and_feature_is_documented():
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
    for capability in _CAPABILITIES:
        assert f"`{capability}`" in DOCUMENT
