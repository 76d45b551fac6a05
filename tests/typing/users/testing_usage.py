"""What users write to test their programs; read by type checkers, never run."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms.function_calling import FunctionCallingLLM
from typing_extensions import assert_type

from sunra_integrations.conformance.llama_index import (
    CallTests,
    ContentTests,
    FailureTests,
    FunctionCallingLLMTests,
    LifecycleTests,
    LLMSuite,
    ObservationTests,
    StreamTests,
    StructuredTests,
    ToolCallTests,
    UseTests,
)
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import (
    Answer,
    CallTools,
    HangUp,
    Http,
    Message,
    Received,
    Sandbox,
    Say,
    Scripted,
    TextReply,
    completion,
    sse,
    stand_in,
)


class TestSunra(FunctionCallingLLMTests):
    """The whole suite."""

    takes_video = False
    failure = ValueError

    def make_llm(self, endpoint: Sandbox, **fields: Any) -> FunctionCallingLLM:
        given: dict[str, Any] = {"model": "vendor/name", "api_key": endpoint.api_key, **fields}
        return Sunra(api_base=endpoint.base_url, **given)


class TestResponses(TestSunra):
    """The suite on the other API."""

    api = "responses"
    takes_audio = False


class TestInPart(CallTests, FailureTests, StreamTests, ToolCallTests):
    """Parts of the suite."""


class TestTheRest(StructuredTests, ContentTests, ObservationTests, LifecycleTests, UseTests):
    """Other parts of the suite."""


def takes_a_suite(suite: LLMSuite, endpoint: Sandbox) -> None:
    assert_type(suite.make_llm(endpoint, temperature=0), FunctionCallingLLM)


def test_scripted(sunra_sandbox: Sandbox) -> None:
    sunra_sandbox.next("Hello", Say("Hello", reasoning="Hm.", finish_reason="length"), None)
    sunra_sandbox.next(CallTools(("get_weather", {"city": "Paris"}), text="Let me see."))
    sunra_sandbox.next(Message({"role": "assistant", "content": "Hello"}))
    sunra_sandbox.next(Http(429, {"error": "slow down"}, {"retry-after": "1"}), wait=0.1)
    sunra_sandbox.next(sse(b'data: {"cho', b'ices": []}\n\n'), pause=0.1, model="a/b")
    sunra_sandbox.next(completion({"choices": []}), cut_after=40, cut="reset")
    sunra_sandbox.next(HangUp(), Scripted("Hello", wait=1))
    model = ChatSunra(model="a/b", base_url=sunra_sandbox.base_url, api_key=sunra_sandbox.api_key)
    assert model.invoke("Hello").text == "Hello"
    last = sunra_sandbox.requests[-1]
    assert_type(last, Received)
    assert_type(last.headers, dict[str, str])
    assert_type(last.status, int | None)
    assert last.json["model"] == "a/b"
    sunra_sandbox.clear()


def test_handled(sunra_sandbox: Sandbox) -> None:
    def answers(request: dict[str, Any]) -> Answer | Scripted | None:
        return TextReply(str(request["model"]))

    sunra_sandbox.answer_with(answers)
    sunra_sandbox.answer_with(lambda request: str(request["model"]))
    sunra_sandbox.answer_with(None)


async def runs_one() -> None:
    with Sandbox(models="a/b", keys=["one", "two"], keep=10) as sandbox:
        assert_type(sandbox, Sandbox)
        assert_type(sandbox.base_url, str)
    async with Sandbox(port=8000, host="127.0.0.1") as sandbox:
        assert_type(sandbox.openapi, dict[str, Any])
    assert_type(stand_in(), Sandbox | None)
