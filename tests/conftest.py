"""What holds for every test: no environment of the developer's, no network but the loopback."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import examples

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
settings.load_profile("suite")

_VARIABLES = (
    "SUNRA_KEY",
    "SUNRA_BASE_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_TRACING",
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)


def pytest_configure() -> None:
    # A shell script that runs `make test &` starts it with SIGINT ignored, and the programs that
    # tests start and interrupt would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # LlamaIndex asks for the event loop outside of any, and until one was set, before Python 3.14,
    # that makes one which nobody closes: a later test would fail for it.
    asyncio.set_event_loop(None)


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
