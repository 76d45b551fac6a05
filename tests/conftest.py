"""What holds for every test: no environment of the developer's, no network but the loopback."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import examples
from tests.platforms import raise_limit_of_open_files

# How long an example takes says more of the machine than of the code. On a CI server the examples
# are the same at each run; elsewhere they are new ones, so that every developer's run explores.
settings.register_profile(
    "suite",
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=bool(os.environ.get("CI")),
)
if not os.access(Path(__file__).parent.parent, os.W_OK):
    # A read-only checkout cannot keep examples.
    settings.register_profile("suite", settings.get_profile("suite"), database=None)
settings.load_profile("suite")

# For a recording these are read when a conftest is imported: see tests/cassettes.
_FOR_RECORDINGS = ("SUNRA_KEY", "SUNRA_BASE_URL")
_PREFIXES = ("SUNRA_", "LANGCHAIN_", "LANGSMITH_", "OPENAI_", "OTEL_", "SSL_CERT_", "TTY_")
_NAMES = {
    "ALL_PROXY",
    "COLUMNS",
    "FORCE_COLOR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LINES",
    "NO_COLOR",
    "NO_PROXY",
    "PYTHONWARNINGS",
    "REQUESTS_CA_BUNDLE",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _FOR_RECORDINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUNRA_NO_SAVE", "1")  # the developer's own conversations stay


def pytest_configure(config: pytest.Config) -> None:
    # A checkout that cannot be written has no place for pytest's cache, nor for the examples of
    # schemathesis, which looks at hypothesis' own profile too.
    config.addinivalue_line("filterwarnings", "default::pytest.PytestCacheWarning")
    config.addinivalue_line("filterwarnings", "ignore:The database setting is not configured")
    raise_limit_of_open_files()
    # Once and for all: LangSmith remembers what it has read of its own.
    for name in set(os.environ) - set(_FOR_RECORDINGS):
        if name.upper().startswith(_PREFIXES) or name.upper() in _NAMES:
            del os.environ[name]
    # A shell script that runs `make test &` starts it with SIGINT ignored, and the programs that
    # tests start and interrupt would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # LlamaIndex asks for the event loop outside of any, and until one was set, before Python 3.14,
    # that makes one which nobody closes: a later test would fail for it.
    asyncio.set_event_loop(None)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist is not in every environment
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: tests wait for servers, limits and programs of their own.

    On two cores the suite takes 152 s with three workers and 198 s with two.
    """
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record",
        action="store_true",
        help="re-record the cassettes: live with SUNRA_KEY set, else from the sandbox",
    )
    parser.addoption(
        "--write-docs",
        action="store_true",
        help="write the tables in docs/ that tests are the source of",
    )
