"""The oldest versions that are supported, and the error for a package that is older or missing."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from sunra_integrations import requirements
from sunra_integrations.errors import ConfigurationError, RequirementNotMet, SunraError

DECLARED = [Requirement(line) for line in metadata.requires("sunra-integrations") or ()]


INSTALLED_BY_HTTPX = {"httpcore", "certifi"}  # WebAssembly may have neither


def test_the_versions_checked_at_run_time_are_the_declared_ones():
    declared = {
        (one.name, bound.version)
        for one in DECLARED
        for bound in one.specifier
        if bound.operator == ">=" and one.name not in INSTALLED_BY_HTTPX
    }
    assert declared == set(requirements.LOWEST.items())


# What is imported, the packages that it checks, its extra, and the first words of the message.
ENTRANCES: list[tuple[str, list[str], str, str]] = [
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
    ("sunra_integrations.protocol.requests", ["pydantic"], "", "The client needs"),
    (
        "sunra_integrations.sandbox.server",
        ["pydantic", "uvicorn", "jsonschema", "referencing"],
        "sandbox",
        "The sandbox needs",
    ),
    (
        "sunra_integrations.sandbox.json_schema",
        ["jsonschema", "referencing"],
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
from importlib import metadata

real = metadata.version
metadata.version = lambda name: "0.0.9" if name == sys.argv[1] else real(name)
__import__(sys.argv[3])
"""
MISSING = """
import sys
from importlib import metadata

real = metadata.version

def version(name):
    if name == sys.argv[1]:
        raise metadata.PackageNotFoundError(name)
    return real(name)

metadata.version = version
sys.modules[sys.argv[2]] = None
__import__(sys.argv[3])
"""
FOUND = {TOO_OLD: "but 0.0.9 is installed", MISSING: "which is not installed"}


@pytest.mark.parametrize("program", FOUND, ids=["too old", "missing"])
@pytest.mark.parametrize(
    ("module", "name", "extra", "needs"),
    [
        pytest.param(module, name, extra, needs, id=f"{module.partition('.')[2]}-{name}")
        for module, names, extra, needs in ENTRANCES
        for name in names
    ],
)
def test_a_package_that_is_too_old_or_missing_is_named_with_the_version_and_the_fix(
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
    monkeypatch.setattr(requirements, "installed_version", lambda _: version)


@pytest.mark.parametrize("version", ["3.10", "3.10.0", "3.10.1", "4.0a1", "3.10rc1", ""])
def test_other_versions_pass_and_so_does_one_that_is_not_recorded(monkeypatch, version):
    installed(monkeypatch, version)
    requirements.check("It", "aiohttp")


@pytest.mark.parametrize("version", ["3.9.99", "3", "0", None])
def test_the_error_is_typed_and_an_import_error(monkeypatch, version):
    installed(monkeypatch, version)
    with pytest.raises(ImportError) as failed:
        requirements.check("It", "aiohttp", extra="aiohttp")
    assert isinstance(failed.value, (RequirementNotMet, ConfigurationError))
    assert isinstance(failed.value, SunraError)
    assert failed.value.name == "aiohttp"
    assert failed.value.retryable is False


def test_a_module_without_metadata_counts_as_installed(monkeypatch):
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    requirements.installed_version.cache_clear()
    assert requirements.installed_version("httpx") == ""
    assert requirements.installed_version("llama-index-core") == ""
    assert requirements.installed_version("not-there.at-all") is None
    requirements.installed_version.cache_clear()
