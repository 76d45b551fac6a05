"""What every part of the suite stands on: the factory, the endpoint, and what the LLM can do."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from llama_index.core.llms.function_calling import FunctionCallingLLM

from sunra_integrations.sandbox import Sandbox

KEY = "conformance-secret-key"
"""The key that LLMs under test are made with where it must appear nowhere."""

HEADER = "conformance-secret-header"
"""The value of headers that must appear nowhere."""


class LLMSuite:
    """A part of the suite; subclasses say how the LLM is made and what it can do.

    `make_llm` is handed fields by the names that LlamaIndex's own LLMs have: `model`, `api_key`,
    `temperature`, `max_retries`, `context_window`, `default_headers`, `callback_manager`,
    `system_prompt`, `pydantic_program_mode`. Retries are off unless a test gives them.

    Attributes:
        failure: What the LLM raises for a call that failed.
        key_variable: The environment variable that the key comes from where a pickle holds none.
        refuses_misspelt_names: An unknown parameter is an error, and not ignored.
        takes_extra_body: The field and keyword `extra_body`.
        takes_extra_headers: The keyword `extra_headers`, and the field `default_headers`.
        takes_strict: The keyword `strict` of `chat_with_tools`.
        takes_http_clients: The fields `http_client` and `async_http_client`, of httpx.
        takes_video: Videos can be sent; images, sounds and documents are asked of all.
        gives_logprobs: With `logprobs=True`, log probabilities are in the responses.
        gives_thinking: Reasoning comes as a `ThinkingBlock`, streamed as `thinking_delta`.
        gives_citations: Annotations come as a `CitationBlock`.
        gives_images: Images come as an `ImageBlock`.
        predicts_natively: `structured_predict` can read an object from text.
    """

    failure: ClassVar[type[Exception] | tuple[type[Exception], ...]] = Exception
    key_variable: ClassVar[str | None] = None
    refuses_misspelt_names: ClassVar[bool] = True
    takes_extra_body: ClassVar[bool] = True
    takes_extra_headers: ClassVar[bool] = True
    takes_strict: ClassVar[bool] = True
    takes_http_clients: ClassVar[bool] = True
    takes_video: ClassVar[bool] = True
    gives_logprobs: ClassVar[bool] = True
    gives_thinking: ClassVar[bool] = True
    gives_citations: ClassVar[bool] = True
    gives_images: ClassVar[bool] = True
    predicts_natively: ClassVar[bool] = True

    def make_llm(self, endpoint: Sandbox, **fields: Any) -> FunctionCallingLLM:
        """The LLM under test, asking this endpoint.

        Args:
            endpoint: Its `base_url` and `api_key` are what the LLM is to use.
            **fields: Fields of the LLM, which win over the factory's own.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how its LLM is made")

    @pytest.fixture
    def endpoint(self, sunra_sandbox: Sandbox) -> Sandbox:
        """A running sandbox with nothing queued and no request received."""
        return sunra_sandbox

    def needs(self, capability: str) -> None:
        """Skips the test where the LLM cannot do this."""
        if not getattr(self, capability):
            pytest.skip(f"the LLM is said to have {capability} = False")


def sent(endpoint: Sandbox) -> dict[str, Any]:
    """The body of the last request."""
    body: dict[str, Any] = endpoint.requests[-1].json
    return body
