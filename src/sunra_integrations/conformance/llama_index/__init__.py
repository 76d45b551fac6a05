"""What LlamaIndex may ask of a `FunctionCallingLLM`, as tests: it ships none of its own.

Subclass `FunctionCallingLLMTests` in a test module and say how the LLM is made::

    from sunra_integrations.conformance.llama_index import FunctionCallingLLMTests


    class TestMyLLM(FunctionCallingLLMTests):
        takes_video = False

        def make_llm(self, endpoint: Sandbox, **fields: Any) -> MyLLM:
            given: dict[str, Any] = {"model": "vendor/name", **fields}
            return MyLLM(api_base=endpoint.base_url, api_key=endpoint.api_key, **given)

The endpoint is a `Sandbox`: it refuses requests that break the chat-completions contract and
answers as each test tells it to. The tests go through the LLM's public methods only, and look at
what was really sent. Class attributes say what the LLM can do; see `LLMSuite`.

Each part can be subclassed alone: `CallTests`, `FailureTests`, `StreamTests`, `ToolCallTests`,
`StructuredTests`, `ContentTests`, `ObservationTests`, `LifecycleTests`, `UseTests`.
"""

from sunra_integrations.conformance.llama_index.calls import CallTests
from sunra_integrations.conformance.llama_index.content import ContentTests
from sunra_integrations.conformance.llama_index.failures import FailureTests
from sunra_integrations.conformance.llama_index.lifecycle import LifecycleTests
from sunra_integrations.conformance.llama_index.observation import ObservationTests
from sunra_integrations.conformance.llama_index.streaming import StreamTests
from sunra_integrations.conformance.llama_index.structured import StructuredTests
from sunra_integrations.conformance.llama_index.suite import LLMSuite
from sunra_integrations.conformance.llama_index.tool_calling import ToolCallTests
from sunra_integrations.conformance.llama_index.use import UseTests

__all__ = [
    "CallTests",
    "ContentTests",
    "FailureTests",
    "FunctionCallingLLMTests",
    "LLMSuite",
    "LifecycleTests",
    "ObservationTests",
    "StreamTests",
    "StructuredTests",
    "ToolCallTests",
    "UseTests",
]


class FunctionCallingLLMTests(
    CallTests,
    FailureTests,
    StreamTests,
    ToolCallTests,
    StructuredTests,
    ContentTests,
    ObservationTests,
    LifecycleTests,
    UseTests,
):
    """The whole suite: subclass it, implement `make_llm`, and pytest runs it."""
