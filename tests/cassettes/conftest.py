"""Recorded calls: replayed with the network off, recorded anew by `make record`.

What is written is chosen by allow-lists, so that nothing secret can slip in by being new.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import vcr
import yaml
from vcr.request import Request

from sunra_integrations.sandbox import Sandbox

HERE = Path(__file__).parent
LIVE = "https://api-llm.sunra.ai/v1"
REPLAYED = "https://replayed.invalid/v1"
SANDBOX_NOTE = "the local sandbox: a stand-in for the wire, not a model"
LIVE_NOTE = "the live gateway, api-llm.sunra.ai"
REQUEST_HEADERS = {"accept", "content-type"}
RESPONSE_HEADERS = {"content-type", "x-request-id"}
LIVE_KEY = os.environ.get("SUNRA_KEY")  # read before the suite cleans the environment


class Endpoint(NamedTuple):
    """Where the calls of a test go; unheard while cassettes are replayed."""

    api_key: str
    base_url: str


class Noted:
    """A cassette in YAML whose first line says where it was recorded."""

    def __init__(self, note: str) -> None:
        self._note = note

    def serialize(self, cassette: dict[str, Any]) -> str:
        return f"# Recorded from {self._note}.\n" + yaml.safe_dump(cassette, allow_unicode=True)

    def deserialize(self, text: str) -> Any:
        return yaml.safe_load(text)


def scrubbed_request(request: Request) -> Request:
    return Request(
        method=request.method,
        uri=f"{REPLAYED}{request.path.removeprefix('/v1')}",
        body=request.body,
        headers={k: v for k, v in request.headers.items() if k.lower() in REQUEST_HEADERS},
    )


def scrubbed_response(response: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in response["headers"].items() if k.lower() in RESPONSE_HEADERS}
    return {**response, "headers": kept}


@pytest.fixture
def recording(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--record"))


@pytest.fixture
def endpoint(recording: bool) -> Iterator[Endpoint]:
    if not recording:
        yield Endpoint("replayed", REPLAYED)
    elif LIVE_KEY:
        yield Endpoint(LIVE_KEY, LIVE)
    else:
        with Sandbox() as sandbox:
            yield Endpoint(sandbox.api_key, sandbox.base_url)


@pytest.fixture(autouse=True)
def _cassette(request: pytest.FixtureRequest, recording: bool) -> Iterator[None]:
    path = HERE / f"{request.node.name}.yaml"
    if recording:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="once" if recording else "none",
        match_on=["method", "path", "body"],
        before_record_request=scrubbed_request,
        before_record_response=scrubbed_response,
        serializer="noted",
    )
    recorder.register_serializer("noted", Noted(LIVE_NOTE if LIVE_KEY else SANDBOX_NOTE))
    with recorder.use_cassette(str(path)) as cassette:
        yield
    assert recording or cassette.all_played
