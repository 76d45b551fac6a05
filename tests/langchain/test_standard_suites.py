"""langchain-tests' own suites on ChatSunra, every capability on, against the local sandbox."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from syrupy.assertion import SnapshotAssertion
from syrupy.filters import props

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Sandbox

pytestmark = [
    pytest.mark.network,
    # The suite itself calls `model.dict()`, which langchain-core deprecated,
    pytest.mark.filterwarnings("ignore:The method `BaseChatModel.dict` was deprecated"),
    # uses features that core calls beta,
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    # and asks for a user agent of its own before it downloads its sound.
    pytest.mark.filterwarnings("ignore:LANGCHAIN_TESTS_USER_AGENT environment variable"),
]

load = importlib.import_module("langchain_core.load.load")  # `langchain_core.load` hides the module

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
_FILES = {
    ".png": _PNG,
    ".pdf": b"%PDF-1.4\n%%EOF\n",
    ".wav": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def _files_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite downloads its image, document and sound; here they are at hand."""

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=_FILES[url[-4:]])

    monkeypatch.setattr(httpx, "get", get)


class _Capabilities:
    structured_output_method = "json_schema"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatSunra

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": self.structured_output_method}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_video_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "google/gemini-2.5-flash"


class TestUnits(_Capabilities, ChatModelUnitTests):
    @pytest.fixture
    def snapshot(self, snapshot: SnapshotAssertion) -> SnapshotAssertion:
        """Without the framework's own versions, which core writes into every model."""
        return snapshot.with_defaults(exclude=props("lc_versions"))

    @pytest.fixture(autouse=True)
    def _loadable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The suite loads with core's own list of classes, which has no way in for others."""
        path = tuple(ChatSunra.lc_id())
        monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
        monkeypatch.setattr(load, "_default_class_paths_cache", {})

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "openai/gpt-4o", "api_key": "sk-made-up"}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {
            **ChatModelUnitTests.standard_chat_model_params.fget(self),
            **self.chat_model_params,
        }

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {"SUNRA_KEY": "sk-made-up", "SUNRA_BASE_URL": "https://gateway.example/v1"},
            {"model": "openai/gpt-4o"},
            {"api_key": "sk-made-up", "base_url": "https://gateway.example/v1"},
        )


class TestOverTheWire(_Capabilities, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _endpoint(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "openai/gpt-4o",
            "api_key": self.sandbox.api_key,
            "base_url": self.sandbox.base_url,
        }


class TestOverTheWireByFunctionCalling(TestOverTheWire):
    structured_output_method = "function_calling"


class TestOverTheWireByJsonMode(TestOverTheWire):
    structured_output_method = "json_mode"

    @pytest.fixture(autouse=True)
    def _knows_the_keys(self, sandbox: Sandbox) -> Iterator[None]:
        """JSON mode sends no schema, and the suite's prompts do not say what to answer."""
        sandbox.answer_with(_joke_where_json_is_asked_for)
        yield
        sandbox.clear()


def _joke_where_json_is_asked_for(request: dict[str, Any]) -> str | None:
    asked = request.get("response_format", {}).get("type") == "json_object"
    return '{"setup": "Why do cats purr?", "punchline": "No one knows."}' if asked else None
