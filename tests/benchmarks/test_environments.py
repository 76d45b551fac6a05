"""Each class is measured in an environment that has what it needs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.contestants import ALL, NAMED, Contestant
from benchmarks.environments import Environments, IncompleteEnvironment
from benchmarks.installed import report


class Here(Environments):
    """The environment of the tests, for every class."""

    def interpreter(self, contestant: Contestant) -> str:
        return sys.executable


@pytest.fixture
def commands(monkeypatch):
    """The commands of uv, which is not run. `uv build` leaves a wheel."""
    ran: list[tuple[str, ...]] = []

    def uv(*arguments: str) -> None:
        ran.append(arguments)
        if arguments[0] == "build":
            folder = arguments[arguments.index("--out-dir") + 1]
            (Path(folder) / "sunra_integrations-1.0-py3-none-any.whl").touch()
        if arguments[0] == "venv":
            Path(arguments[-1]).mkdir(parents=True)

    monkeypatch.setattr(environments, "_uv", uv)
    return ran


def installed(commands) -> list[tuple[str, str]]:
    """The interpreter and the requirement of each installation."""
    found = [one for one in commands if one[0] == "pip"]
    return [(one[one.index("--python") + 1], one[-1]) for one in found]


def test_every_class_of_another_package_has_an_environment_of_its_own():
    environments = Environments(Path("environments"))
    theirs = [environments.folder_of(one) for one in ALL if one.role == "peer"]
    ours = [environments.folder_of(one) for one in ALL if one.role == "ours"]
    assert len({*theirs, *ours}) == len(theirs) + len(ours)


def test_a_framework_alone_shares_the_environment_of_our_class():
    for alone, ours in (("LangChain alone", "ChatSunra"), ("LlamaIndex alone", "Sunra")):
        assert NAMED[alone].package == NAMED[ours].package


def test_our_package_is_installed_from_a_wheel_of_this_repository(commands, tmp_path):
    Environments(tmp_path).install([NAMED["ChatSunra[aiohttp]"]], print)
    ((interpreter, requirement),) = installed(commands)
    assert interpreter == str(tmp_path / "sunra-integrations-langchain-aiohttp/bin/python")
    name, _, wheel = requirement.partition(" @ ")
    assert name == "sunra-integrations[langchain,aiohttp]"
    assert wheel.startswith("file://")
    assert wheel.endswith(".whl")


def test_other_packages_are_upgraded_to_their_newest_version(commands, tmp_path):
    contestants = [NAMED["ChatOpenAI"], NAMED["OpenAI"], NAMED["ChatOpenAI"]]
    said: list[str] = []
    for _ in range(2):
        Environments(tmp_path).install(contestants, said.append)
    names = ["langchain-openai", "llama-index-llms-openai"]
    assert [requirement for _, requirement in installed(commands)] == [*names, *names]
    assert all("--upgrade" in one for one in commands if one[0] == "pip")
    assert [one[-1] for one in commands if one[0] == "venv"] == [str(tmp_path / n) for n in names]
    assert said[:2] == [f"installing {name}" for name in names]


@pytest.mark.network
def test_the_versions_that_matter_are_those_of_the_environment(tmp_path):
    found = Here(tmp_path).versions(NAMED["ChatSunra"])
    assert found["langchain-core"] == version("langchain-core")
    assert found["httpx"] == version("httpx")
    assert "pytest" not in found


def test_a_missing_environment_is_an_error_that_says_how_to_create_it(tmp_path):
    with pytest.raises(
        IncompleteEnvironment, match=r"ChatOpenAI: .*does not exist\. Run `make bench`"
    ):
        Environments(tmp_path).versions(NAMED["ChatOpenAI"])


@pytest.mark.network
def test_a_missing_module_is_an_error_that_names_it(tmp_path):
    contestant = replace(NAMED["ChatOpenAI"], needs="no_such_module")
    with pytest.raises(
        IncompleteEnvironment, match=r"ChatOpenAI: .* lacks the module `no_such_module`"
    ):
        Here(tmp_path).versions(contestant)


@pytest.mark.parametrize(
    ("module", "has_module"),
    [("json", True), ("no_such_module", False), ("no.such.module", False)],
)
def test_an_environment_says_whether_it_has_a_module(module, has_module):
    found = json.loads(report(module))
    assert found["has_module"] is has_module
    assert found["versions"]["pydantic"] == version("pydantic")
