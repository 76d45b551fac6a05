"""langchain-tests' own suites on ChatSunra, every capability on, against the local sandbox."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from syrupy.assertion import SnapshotAssertion
from syrupy.filters import props
from vcr import VCR
from vcr.cassette import Cassette

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Sandbox, completion, sse
from tests.cassettes.conftest import (
    REPLAYED,
    SANDBOX_NOTE,
    Noted,
    scrubbed_request,
    scrubbed_response,
)
from tests.responses_events import events, message, response
from tests.responses_events import sse as events_body

pytestmark = [
    pytest.mark.network,
    # The suite itself calls `model.dict()`, which langchain-core deprecated,
    pytest.mark.filterwarnings("ignore:The method `BaseChatModel.dict` was deprecated"),
    # uses features that core calls beta,
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    # and asks for a user agent of its own before it downloads its sound.
    pytest.mark.filterwarnings("ignore:LANGCHAIN_TESTS_USER_AGENT environment variable"),
    # While a cassette is recorded, nothing is timed.
    pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"),
]

load = importlib.import_module("langchain_core.load.load")  # `langchain_core.load` hides the module

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
_CASSETTE = Path(__file__).parent / "cassettes" / "test_stream_time.yaml"
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


@pytest.fixture(scope="session")
def recording(request: pytest.FixtureRequest) -> bool:
    wanted = bool(request.config.getoption("--record"))
    if wanted:
        _CASSETTE.unlink(missing_ok=True)
    return wanted


@pytest.fixture
def vcr(request: pytest.FixtureRequest, recording: bool) -> Iterator[Cassette | None]:
    """The one call the suite times, replayed without a network, or recorded from the sandbox.

    It has the name of a fixture of pytest-recording, which every test uses.
    """
    if request.node.get_closest_marker("vcr") is None:
        yield None
        return
    recorder = VCR(
        record_mode="once" if recording else "none",
        match_on=["method", "path", "body"],
        before_record_request=scrubbed_request,
        before_record_response=scrubbed_response,
        serializer="noted",
    )
    recorder.register_serializer("noted", Noted(SANDBOX_NOTE))
    with recorder.use_cassette(str(_CASSETTE), allow_playback_repeats=True) as cassette:
        yield cassette


class _Capabilities:
    structured_output_method = "json_schema"
    output_version = "v0"

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

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        return {"invoke": list(_USAGE), "stream": list(_USAGE)}

    @property
    def enable_vcr_tests(self) -> bool:
        return True


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


class TestUnitsInBlocks(TestUnits):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "output_version": "v1"}


_USAGE: dict[str, dict[str, Any]] = {
    "audio_input": {"prompt_tokens_details": {"audio_tokens": 3}},
    "audio_output": {"completion_tokens_details": {"audio_tokens": 3}},
    "reasoning_output": {"completion_tokens_details": {"reasoning_tokens": 3}},
    "cache_read_input": {"prompt_tokens_details": {"cached_tokens": 3}},
    "cache_creation_input": {"prompt_tokens_details": {"cache_write_tokens": 3}},
}


class TestOverTheWire(_Capabilities, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _endpoint(self, sandbox: Sandbox, request: pytest.FixtureRequest, recording: bool) -> None:
        replayed = request.node.get_closest_marker("vcr") is not None and not recording
        self.sandbox = sandbox
        self.base_url = REPLAYED if replayed else sandbox.base_url

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "openai/gpt-4o",
            "api_key": self.sandbox.api_key,
            "base_url": self.base_url,
            "output_version": self.output_version,
        }

    def _invoke_counting(self, detail: str, stream: bool) -> AIMessage:
        """An answer that counts tokens of this kind too, over the wire."""
        counted = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10, **_USAGE[detail]}
        answer = {"role": "assistant", "content": "Hello"}
        about = {"id": "gen-1", "created": 1, "model": "openai/gpt-4o", "usage": counted}
        said = {"index": 0, "finish_reason": "stop", "delta" if stream else "message": answer}
        kind = "chat.completion.chunk" if stream else "chat.completion"
        body = {**about, "object": kind, "choices": [said]}
        event = f"data: {json.dumps(body)}\n\n".encode()
        self.sandbox.next(sse(event) if stream else completion(body))
        return ChatSunra(**self.chat_model_params).invoke("Hello", stream=stream)

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        return self._invoke_counting("audio_input", stream)

    def invoke_with_audio_output(self, *, stream: bool = False) -> AIMessage:
        return self._invoke_counting("audio_output", stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._invoke_counting("reasoning_output", stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._invoke_counting("cache_read_input", stream)

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._invoke_counting("cache_creation_input", stream)


class TestOverTheWireInBlocks(TestOverTheWire):
    output_version = "v1"


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


class TestOverTheWireByFunctionCallingInBlocks(TestOverTheWireByFunctionCalling):
    output_version = "v1"


class TestOverTheWireByJsonModeInBlocks(TestOverTheWireByJsonMode):
    output_version = "v1"


class _OnResponses(TestOverTheWire):
    """The same suite on `/v1/responses`, without what that API does not have."""

    supports_audio_inputs = False
    supports_video_inputs = False

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "api": "responses"}

    @property
    def enable_vcr_tests(self) -> bool:
        return False  # it times one call, which the suites above do

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        details = list(_RESPONSES_USAGE)
        return {"invoke": details, "stream": details}

    def _invoke_counting(self, detail: str, stream: bool) -> AIMessage:
        usage = {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}
        answer = response(message("Hello"), usage={**usage, **_RESPONSES_USAGE[detail]})
        self.sandbox.next(sse(events_body(*events(answer))) if stream else completion(answer))
        return ChatSunra(**self.chat_model_params).invoke("Hello", stream=stream)

    @pytest.mark.xfail(raises=InvalidParameter, strict=True, reason="the API has no `stop`")
    def test_stop_sequence(self, model: BaseChatModel) -> None:
        super().test_stop_sequence(model)


_RESPONSES_USAGE: dict[str, dict[str, Any]] = {
    "reasoning_output": {"output_tokens_details": {"reasoning_tokens": 3}},
    "cache_read_input": {"input_tokens_details": {"cached_tokens": 3}},
    "cache_creation_input": {"input_tokens_details": {"cache_write_tokens": 3}},
}


class TestOnResponses(_OnResponses):
    pass


class TestOnResponsesInBlocks(_OnResponses):
    output_version = "v1"


class TestOnResponsesByFunctionCalling(_OnResponses):
    structured_output_method = "function_calling"


class TestOnResponsesByJsonMode(_OnResponses):
    structured_output_method = "json_mode"

    @pytest.fixture(autouse=True)
    def _knows_the_keys(self, sandbox: Sandbox) -> Iterator[None]:
        sandbox.answer_with(_joke_where_json_is_asked_for)
        yield
        sandbox.clear()


def _joke_where_json_is_asked_for(request: dict[str, Any]) -> str | None:
    format_ = request.get("response_format") or request.get("text", {}).get("format", {})
    asked = format_.get("type") == "json_object"
    return '{"setup": "Why do cats purr?", "punchline": "No one knows."}' if asked else None
