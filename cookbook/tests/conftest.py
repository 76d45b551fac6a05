"""The web app, answering from the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cookbook.web_app.app import create_app
from cookbook.web_app.serving import serving
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Sandbox


@pytest.fixture
def web_app(sunra_sandbox: Sandbox) -> Iterator[str]:
    """The address of the app; a failed call is not repeated, so that errors come at once."""
    model = ChatSunra(
        model="openai/gpt-4o-mini",
        base_url=sunra_sandbox.base_url,
        api_key=sunra_sandbox.api_key,
        max_retries=0,
    )
    with serving(create_app(model)) as address:
        yield address
