"""The help of every command has one style."""

from __future__ import annotations

import re

import click
import pytest

from sunra_integrations.cli.application import application

COMMANDS = {"": application, **application.commands}
SHARED = ("--base-url", "--allow-http", "--json", "--debug", "--model")
"""Options that several commands have. Their help may differ only in their purpose."""


def options_of(command):
    return [one for one in command.params if isinstance(one, click.Option)]


@pytest.fixture(params=COMMANDS, ids=lambda name: name or "sunra")
def command(request):
    return COMMANDS[request.param]


@pytest.fixture
def shown(sunra, command):
    return sunra(*([] if command is application else [command.name]), "--help").out


def test_the_parts_of_the_help_have_one_order(command, shown):
    heads = re.findall(r"^ {0,2}(\w[\w ]*):", shown, re.MULTILINE)
    wanted = ["Usage", "Options", "Commands", "Examples", "Exit status"]
    assert [head for head in heads if head in wanted] == [
        head for head in wanted if head != "Commands" or command is application
    ]


def test_the_first_line_is_a_short_sentence_that_lists_of_commands_show(command, sunra):
    first = command.help.strip().splitlines()[0]
    assert re.fullmatch(r"[A-Z][a-z]+ .+\.", first)
    if command is not application:
        assert f"  {command.name:<10}  {first}\n" in sunra("--help").out


def test_every_option_is_described_by_sentences(command, shown):
    for option in options_of(command):
        assert re.fullmatch(r"[A-Z].*[^.]\.", option.help), option.name
    listed = shown.partition("Options:")[2].partition("Examples:")[0]
    assert not re.search(r"\[(default|env var|required|x)", listed)


def test_an_option_with_a_default_names_it_last(command):
    for option in options_of(command):
        if "Defaults to" in option.help:
            assert re.search(r"Defaults to [^.]*(\.[\d.]+)?\.$", option.help), option.name
        if option.default not in (None, False, ()) and str(option.default) != "Sentinel.UNSET":
            number = f"{option.default:g}" if isinstance(option.default, float) else option.default
            assert f"Defaults to {number}." in option.help


def test_a_variable_is_named_as_the_default(command):
    for option in options_of(command):
        if option.envvar:
            assert f"Defaults to {option.envvar}." in option.help


def test_shared_options_have_one_text():
    for name in SHARED:
        texts = {
            option.help
            for command in COMMANDS.values()
            for option in options_of(command)
            if name in option.opts
        }
        per_purpose = {"--model": 5, "--json": 2}
        assert len(texts) <= per_purpose.get(name, 1), name


def test_no_line_is_longer_than_a_terminal(shown):
    assert max(map(len, shown.splitlines())) <= 80


def test_the_exit_status_is_explained(command, shown):
    statuses = re.findall(r"^    (\d+) +\S", shown.partition("Exit status:")[2], re.MULTILINE)
    interruptible = [] if command.name == "sandbox" else ["130"]  # Ctrl-C is how it ends
    assert statuses == ["0", "1", "2", *interruptible]
