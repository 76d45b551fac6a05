"""The oldest supported versions, and the error for a package that is older or missing."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from sunra_integrations import requirements
from sunra_integrations.errors import ConfigurationError, RequirementNotMet, SunraError

ROOT = Path(__file__).parents[1]
DECLARED = [Requirement(line) for line in metadata.requires("sunra-integrations") or ()]


NOT_CHECKED = {"certifi"}  # its versions differ in the certificates only


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_versions_checked_at_run_time_match_pyproject():
    declared = {
        (one.name, bound.version)
        for one in DECLARED
        for bound in one.specifier
        if bound.operator == ">=" and one.name not in NOT_CHECKED
    }
    assert declared == set(requirements.LOWEST.items())


def test_the_documented_versions_match_pyproject():
    """A row of the table may list several packages, with their versions in the same order."""
    rows = re.findall(
        r"^\| ([a-z][\w, -]*) \| ([\d., ]+) \|", text_of("docs/policy.md"), re.MULTILINE
    )
    documented = {
        pair
        for names, versions in rows
        for pair in zip(names.split(", "), versions.split(", "), strict=True)
    }
    assert documented == {*requirements.LOWEST.items(), ("certifi", "2024.2.2")}


def test_the_documents_name_existing_extras_and_agree():
    extras = set(metadata.metadata("sunra-integrations").get_all("Provides-Extra") or ())
    documents = ["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
    for document in documents:
        for names in re.findall(r"sunra-integrations\[([^]]*)\]", text_of(document)):
            assert set(names.split(",")) <= extras, document
    install = re.search(r"(pip install .*# .*\n)+", text_of("docs/quickstart.md"))[0]
    assert set(re.findall(r"\[(.*?)\]", install)) == extras - {"conformance"}
    [in_readme] = re.findall(
        r"Choose the extras you need: (.*?)\.\s", text_of("README.md"), re.DOTALL
    )
    assert set(re.findall(r"`([\w-]+)`", in_readme)) - {"sunra"} == extras - {"conformance"}


def test_the_declared_python_versions_are_tested():
    about = metadata.metadata("sunra-integrations")
    lines = [
        one.rpartition(" ")[2] for one in about.get_all("Classifier") or () if "Python :: 3." in one
    ]
    assert about["Requires-Python"] == f">={lines[0]}"
    assert lines == [f"3.{minor}" for minor in range(10, 10 + len(lines))]
    assert f"OTHERS ?= {lines[0]} {lines[-1]}\n" in text_of("Makefile")
    assert f"| Python | {lines[0]} |" in text_of("docs/policy.md")


# The imported module, the packages that it checks, its extra, and the first words of the message.
CHECKED_MODULES: list[tuple[str, list[str], str, str]] = [
    (
        "sunra_integrations.langchain",
        ["pydantic", "httpx", "langchain-core"],
        "langchain",
        "ChatSunra needs",
    ),
    (
        "sunra_integrations.llama_index",
        ["pydantic", "httpx", "llama-index-core"],
        "llama-index",
        "Sunra for LlamaIndex needs",
    ),
    ("sunra_integrations.transport", ["pydantic", "httpx"], "", "The client needs"),
    (
        "sunra_integrations.transport.connections.httpx_transport",
        ["httpcore"],
        "",
        "The client needs",
    ),
    ("sunra_integrations.protocol.request", ["pydantic"], "", "The client needs"),
    (
        "sunra_integrations.sandbox.server.sandbox",
        ["pydantic", "uvicorn", "jsonschema", "referencing"],
        "sandbox",
        "The sandbox needs",
    ),
    (
        "sunra_integrations.sandbox.contract.json_schema",
        ["pydantic", "jsonschema", "referencing"],
        "sandbox",
        "The sandbox needs",
    ),
    ("sunra_integrations.conformance", ["pytest"], "conformance", "The conformance suite needs"),
    (
        "sunra_integrations.conformance.llama_index",
        ["llama-index-core"],
        "conformance",
        "The conformance suite for LlamaIndex needs",
    ),
]

TOO_OLD = """
import sys
from sunra_integrations import requirements

real = requirements.version
requirements.version = lambda name: "0.0.9" if name == sys.argv[1] else real(name)
__import__(sys.argv[3])
"""
MISSING = """
import sys

sys.modules[sys.argv[2]] = None
__import__(sys.argv[3])
"""
FOUND = {TOO_OLD: "but 0.0.9 is installed", MISSING: "which is not installed"}


@pytest.mark.parametrize("program", FOUND, ids=["too old", "missing"])
@pytest.mark.parametrize(
    ("module", "name", "extra", "needs"),
    [
        pytest.param(module, name, extra, needs, id=f"{module.partition('.')[2]}-{name}")
        for module, names, extra, needs in CHECKED_MODULES
        for name in names
    ],
)
def test_an_old_or_missing_package_raises_an_error_with_the_fix(
    program, module, name, extra, needs
):
    of_name = "llama_index.core" if name == "llama-index-core" else name.replace("-", "_")
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, name, of_name, module],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    package = f"sunra-integrations[{extra}]" if extra else "sunra-integrations"
    assert done.stderr.splitlines()[-1] == (
        f"sunra_integrations.errors.RequirementNotMet: {needs} {name} >= "
        f"{requirements.LOWEST[name]}, {FOUND[program]}: pip install '{package}'"
    )


def installed(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    monkeypatch.setattr(requirements, "version", lambda _: version)
    monkeypatch.setattr(requirements, "_met", set())


PASS = ["3.10", "3.10.0", "3.10.1", "4.0a1", "3.10rc1", "3.10.post1", "4.dev0+cu12", "v3.10"]


@pytest.mark.parametrize("version", [*PASS, "", "unknown", "0.0.0"])
def test_newer_and_unknown_versions_pass(monkeypatch, version):
    installed(monkeypatch, version)
    requirements.check("It", "aiohttp")


@pytest.mark.parametrize("version", ["3.9.99", "3", "0.1.dev1+g0a1b2c3", "3.9.post1", "v3.9", None])
def test_the_error_is_a_configuration_error_and_an_import_error(monkeypatch, version):
    installed(monkeypatch, version)
    with pytest.raises(ImportError) as failed:
        requirements.check("It", "aiohttp", extra="aiohttp")
    assert isinstance(failed.value, (RequirementNotMet, ConfigurationError))
    assert isinstance(failed.value, SunraError)
    assert failed.value.name == "aiohttp"
    assert failed.value.retryable is False


def test_a_package_installed_after_the_error_passes(monkeypatch):
    """In a notebook the process continues after an error."""
    installed(monkeypatch, None)
    with pytest.raises(RequirementNotMet):
        requirements.check("It", "aiohttp")
    monkeypatch.setattr(requirements, "version", lambda _: "3.10")
    requirements.check("It", "aiohttp")


PACKAGE = "some_package/__init__.py"


@pytest.mark.parametrize(
    ("files", "version"),
    [
        pytest.param(
            {PACKAGE: "", "some_package-1.2rc1.dist-info/METADATA": ""}, "1.2rc1", id="pip"
        ),
        pytest.param(
            {PACKAGE: "", "some_package-1.2.dist-info/x": "", "some_package-1.10.dist-info/x": ""},
            "1.10",
            id="a broken update",
        ),
        pytest.param(
            {PACKAGE: "", "some_package-1.2.egg-info": "Name: some-package\nVersion: 1.2\n"},
            "1.2",
            id="an old installer",
        ),
        pytest.param({PACKAGE: ""}, "", id="frozen or vendored"),
        pytest.param(
            {PACKAGE: "", "some_package.egg-info/PKG-INFO": "Name: some-package\n"},
            "",
            id="metadata without a version",
        ),
        pytest.param(
            {PACKAGE: "", "some_package.egg-info/PKG-INFO": "Name: M\xfcller\n"},
            "",
            id="metadata that is not UTF-8",
        ),
        pytest.param({"some_package/notes.txt": ""}, None, id="a folder of the same name"),
        pytest.param({"some_package-1.2.dist-info/METADATA": ""}, None, id="metadata alone"),
    ],
)
@pytest.mark.filterwarnings("ignore:Implicit None on return values:DeprecationWarning")
def test_the_version_belongs_to_the_module(tmp_path, monkeypatch, files, version):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
    monkeypatch.syspath_prepend(tmp_path)
    assert requirements.version("some-package") == version


def test_metadata_elsewhere_on_the_path_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "httpx-0.1.dist-info").mkdir()
    (tmp_path / "httpx-0.1.dist-info" / "METADATA").write_text("Name: httpx\nVersion: 0.1\n")
    installed = metadata.version("httpx")
    monkeypatch.syspath_prepend(tmp_path)
    assert (metadata.version("httpx"), requirements.version("httpx")) == ("0.1", installed)


def test_a_module_without_a_spec_passes(monkeypatch):
    monkeypatch.setitem(sys.modules, "some_package", ModuleType("some_package"))
    assert requirements.version("some-package") == ""


@pytest.mark.parametrize("name", requirements.LOWEST)
def test_installed_versions_are_found(name):
    assert requirements.version(name) == metadata.version(name)
