"""A `Sunra` whose HTTP clients answer what the test tells them to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Sandbox
from tests.llama_index.answers import said
from tests.recorded_transport import Answer, Recorded

KEY = "sk-very-secret"


@dataclass
class Line:
    """An LLM and what went over its wire."""

    llm: Sunra
    wire: Recorded

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last request."""
        return self.wire.bodies[-1]


@pytest.fixture
def line():
    def make(*answers: Answer, **fields: Any) -> Line:
        wire = Recorded(*(answers or (said("Hello"),)))
        given = {"model": "openai/gpt-4o", "api_key": KEY, "max_retries": 0, **fields}
        llm = Sunra(
            http_client=httpx.Client(transport=wire),
            async_http_client=httpx.AsyncClient(transport=wire),
            **given,
        )
        return Line(llm, wire)

    return make


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.clear()
    return running_sandbox


@pytest.fixture
def llm(sandbox: Sandbox) -> Sunra:
    """An LLM that talks to the sandbox."""
    return Sunra(
        model="sandbox/echo", api_key=sandbox.api_key, api_base=sandbox.base_url, max_retries=0
    )
