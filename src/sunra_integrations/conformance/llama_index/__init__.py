"""Conformance tests for LlamaIndex's `FunctionCallingLLM`; LlamaIndex itself has none.

Subclass `FunctionCallingLLMTests` in a test module and create your LLM in `make_llm`::

    from sunra_integrations.conformance.llama_index import FunctionCallingLLMTests


    class TestMyLLM(FunctionCallingLLMTests):
        takes_video = False

        def make_llm(self, endpoint: Sandbox, **fields: Any) -> MyLLM:
            given: dict[str, Any] = {"model": "vendor/name", **fields}
            return MyLLM(api_base=endpoint.base_url, api_key=endpoint.api_key, **given)

The endpoint is a `Sandbox`. It rejects requests that violate the API, and each
test scripts its replies. The tests call public methods only, and check the requests that were sent.
Class attributes declare what the LLM can do; see `LLMSuite`. For an LLM that uses `/v1/responses`,
set `api = "responses"`.

Each part can be subclassed on its own: `CallTests`, `FailureTests`, `StreamTests`, `ToolCallTests`,
`StructuredTests`, `ContentTests`, `ObservationTests`, `LifecycleTests`, `UseTests`.
"""

from sunra_integrations.requirements import requiring

with requiring(
    "The conformance suite for LlamaIndex", "pytest", "llama-index-core", extra="conformance"
):
    from sunra_integrations.conformance.llama_index.calls import (
        CallTests,
        FailureTests,
        StreamTests,
    )
    from sunra_integrations.conformance.llama_index.content import ContentTests
    from sunra_integrations.conformance.llama_index.instrumentation import ObservationTests
    from sunra_integrations.conformance.llama_index.lifecycle import LifecycleTests
    from sunra_integrations.conformance.llama_index.suite import LLMSuite
    from sunra_integrations.conformance.llama_index.tools import (
        StructuredTests,
        ToolCallTests,
        UseTests,
    )

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
    """All tests. Subclass it, implement `make_llm`, and run pytest."""
