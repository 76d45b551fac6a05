"""The fixture ``sunra_sandbox``, found by pytest wherever this package is installed.

Nothing of the sandbox is loaded before a test asks for the fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sunra_integrations.sandbox.server import Sandbox


@pytest.fixture(scope="session")
def _sunra_sandbox_server() -> "Iterator[Sandbox]":
    """One server for the whole run."""
    from sunra_integrations.sandbox.server import Sandbox  # noqa: PLC0415 - needs the extra, which a project may not have

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sunra_sandbox(_sunra_sandbox_server: "Sandbox") -> "Iterator[Sandbox]":
    """A local Sunra endpoint with nothing queued and no request received yet."""
    _sunra_sandbox_server.clear()
    yield _sunra_sandbox_server
    _sunra_sandbox_server.clear()
