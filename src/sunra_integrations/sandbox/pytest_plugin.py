"""The pytest fixture ``sunra_sandbox``, available wherever this package is installed.

The sandbox is imported when a test first requests the fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

__all__ = ["sunra_sandbox"]

if TYPE_CHECKING:
    from sunra_integrations.sandbox.server.sandbox import Sandbox


@pytest.fixture(scope="session")
def _sunra_sandbox_server() -> "Iterator[Sandbox]":
    """One server for the whole run."""
    from sunra_integrations.sandbox.server.sandbox import Sandbox  # noqa: PLC0415 - needs the extra

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sunra_sandbox(_sunra_sandbox_server: "Sandbox") -> "Iterator[Sandbox]":
    """A local Sunra endpoint with no queued replies and no logged requests."""
    _sunra_sandbox_server.clear()
    yield _sunra_sandbox_server
    _sunra_sandbox_server.clear()
