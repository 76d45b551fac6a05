"""The base class of all tests, and the LLM's methods as plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Mapping
from typing import Any, ClassVar, Literal, TypeVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM

from sunra_integrations.conformance.llama_index import bodies
from sunra_integrations.sandbox import Http, Sandbox
from sunra_integrations.sandbox.server.chat_form import chat_request, input_items

_T = TypeVar("_T")

KEY = "conformance-secret-key"
"""A key that must not appear anywhere."""

HEADER = "conformance-secret-header"
"""A header's value that must not appear anywhere."""

PROMPT = "Hi"


class LLMSuite:
    """The base class of the tests. Subclasses create the LLM and say what it can do.

    `make_llm` receives fields by the names that LlamaIndex's own LLMs use: `model`, `api_key`,
    `temperature`, `max_retries`, `context_window`, `default_headers`, `callback_manager`,
    `system_prompt`, `pydantic_program_mode`. Disable retries unless a test passes `max_retries`.

    Attributes:
        api: The API that the LLM uses: `chat`, or `responses` for `/v1/responses`. Tests of what
            only chat completions have, such as several choices, are skipped for `responses`.
        failure: The exception that the LLM raises if a call fails. Defaults to any.
        key_variable: The environment variable with the key, for an LLM that was pickled without
            one. Defaults to None: the pickle contains the key.
        refuses_misspelt_names: An unknown parameter raises an error instead of being ignored.
        takes_extra_body: Supports the field and keyword `extra_body`.
        takes_extra_headers: Supports the keyword `extra_headers` and the field `default_headers`.
        takes_strict: Supports the keyword `strict` of `chat_with_tools`.
        takes_http_clients: Supports the fields `http_client` and `async_http_client` (httpx).
        takes_audio: Supports audio. Images and documents are required of every LLM.
        takes_video: Supports videos.
        gives_logprobs: Returns log probabilities if `logprobs=True`.
        gives_thinking: Returns reasoning as a `ThinkingBlock`, and streams it as `thinking_delta`.
        gives_citations: Returns annotations as a `CitationBlock`.
        gives_images: Returns images as an `ImageBlock`.
        predicts_natively: `structured_predict` reads an object from text.
    """

    api: ClassVar[Literal["chat", "responses"]] = "chat"
    failure: ClassVar[type[Exception] | tuple[type[Exception], ...]] = Exception
    key_variable: ClassVar[str | None] = None
    refuses_misspelt_names: ClassVar[bool] = True
    takes_extra_body: ClassVar[bool] = True
    takes_extra_headers: ClassVar[bool] = True
    takes_strict: ClassVar[bool] = True
    takes_http_clients: ClassVar[bool] = True
    takes_audio: ClassVar[bool] = True
    takes_video: ClassVar[bool] = True
    gives_logprobs: ClassVar[bool] = True
    gives_thinking: ClassVar[bool] = True
    gives_citations: ClassVar[bool] = True
    gives_images: ClassVar[bool] = True
    predicts_natively: ClassVar[bool] = True

    def make_llm(self, endpoint: Sandbox, **fields: Any) -> FunctionCallingLLM:
        """Return the LLM under test, connected to this sandbox.

        Args:
            endpoint: Provides `base_url` and `api_key`.
            **fields: Fields of the LLM; they override your own.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `make_llm`.")

    @pytest.fixture
    def endpoint(self, sunra_sandbox: Sandbox) -> Sandbox:
        """A running sandbox without queued replies and without requests."""
        return sunra_sandbox

    def needs(self, capability: str) -> None:
        """Skip the test if the LLM does not have a capability."""
        if not getattr(self, capability):
            pytest.skip(f"{type(self).__name__} sets {capability} = False")

    def needs_chat_completions(self) -> None:
        """Skip the test if the LLM uses another API than chat completions."""
        if self.api != "chat":
            pytest.skip(f"{type(self).__name__} sets api = {self.api!r}")

    def stream(self, *chunks: bodies.Chunk, done: bool = True) -> Http:
        """Return a streamed response with the content of these chunks, in the form of the API."""
        if self.api == "responses":
            return bodies.response_stream(*chunks, done=done)
        return bodies.stream(*chunks, done=done)


def sent(endpoint: Sandbox) -> dict[str, Any]:
    """Return the body of the last request, in the form of chat completions."""
    return as_chat(endpoint.requests[-1].json)


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a request to either API in the form of chat completions."""
    if "input" not in body:
        return body
    others = {name: value for name, value in body.items() if name not in _RESPONSE_FIELDS}
    if "max_output_tokens" in body:
        others["max_tokens"] = body["max_output_tokens"]
    return {**others, **chat_request(body, input_items(body))}


_RESPONSE_FIELDS = frozenset(("input", "max_output_tokens"))


# ── the methods of an LLM, so that a test can run with each of them ──────────

Response = ChatResponse | CompletionResponse


def messages() -> list[ChatMessage]:
    """Return a conversation of one message."""
    return [ChatMessage(PROMPT)]


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of a coroutine, run in a new event loop as in a script."""
    return asyncio.run(coroutine)


async def collect(stream: AsyncIterable[_T]) -> list[_T]:
    """Return all items of an async stream."""
    return [item async for item in stream]


def _method(name: str, *defaults: Callable[[], Any]) -> Callable[..., list[Any]]:
    """Return a function that calls a method of an LLM and returns its responses as a list.

    Args:
        name: The method; it is async if the name begins with `a`, and streams if it has `stream`.
        *defaults: Create the positional arguments, if none are passed.
    """

    async def call_async(llm: LLM, *args: Any, **kwargs: Any) -> list[Any]:
        result = await getattr(llm, name)(*args, **kwargs)
        return await collect(result) if "stream" in name else [result]

    def call(llm: LLM, *args: Any, **kwargs: Any) -> list[Any]:
        arguments = args or [default() for default in defaults]
        if name.startswith("a"):
            return run(call_async(llm, *arguments, **kwargs))
        result = getattr(llm, name)(*arguments, **kwargs)
        return list(result) if "stream" in name else [result]

    return call


_CHAT = ("chat", "achat", "stream_chat", "astream_chat")
_COMPLETE = ("complete", "acomplete", "stream_complete", "astream_complete")

METHODS: Mapping[str, Callable[..., list[Response]]] = {
    **{name: _method(name, messages) for name in _CHAT},
    **{name: _method(name, lambda: PROMPT) for name in _COMPLETE},
}
"""The eight methods. Each takes the LLM and keywords, and returns every response of the call."""

CHAT_METHODS = _CHAT
STREAMING_METHODS = tuple(name for name in METHODS if "stream" in name)
WHOLE_METHODS = tuple(name for name in METHODS if "stream" not in name)

TOOL_METHODS: Mapping[str, Callable[..., list[ChatResponse]]] = {
    name: _method(name)
    for name in (
        "chat_with_tools",
        "achat_with_tools",
        "stream_chat_with_tools",
        "astream_chat_with_tools",
    )
}
STREAMING_TOOL_METHODS = tuple(name for name in TOOL_METHODS if "stream" in name)

PREDICT_METHODS: Mapping[str, Callable[..., list[Any]]] = {
    name: _method(name)
    for name in (
        "structured_predict",
        "astructured_predict",
        "stream_structured_predict",
        "astream_structured_predict",
    )
}


def text_of(response: Response) -> str:
    """Return the text of a response."""
    if isinstance(response, CompletionResponse):
        return response.text
    return response.message.content or ""


def usage_of(response: Response) -> Mapping[str, Any]:
    """Return the usage in `raw`, which LlamaIndex's token counter reads; empty if there is none."""
    raw = response.raw
    usage = raw.get("usage") if isinstance(raw, Mapping) else getattr(raw, "usage", None)
    if usage is None:
        return {}
    return usage if isinstance(usage, Mapping) else dict(vars(usage))
