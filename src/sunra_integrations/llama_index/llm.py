"""`Sunra`, the LLM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    MessageRole,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import TokenAsyncGen, TokenGen

from sunra_integrations.llama_index import from_sunra, to_sunra
from sunra_integrations.llama_index.answer_so_far import AnswerSoFar
from sunra_integrations.llama_index.hidden_headers import EXTRA_HEADERS, hidden
from sunra_integrations.llama_index.observed import (
    observed_chat,
    observed_completion,
    observed_stream,
    unobserved,
)
from sunra_integrations.llama_index.parameters import merged
from sunra_integrations.llama_index.prediction import StructuredPrediction
from sunra_integrations.llama_index.streams import amapped, awatched, mapped, watched
from sunra_integrations.llama_index.tool_calling import ToolCalling
from sunra_integrations.protocol.arguments import split_call
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.protocol.tools import tool_choice as wire_tool_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.rate_limiter import BaseRateLimiter
    from llama_index.core.types import BaseOutputParser, PydanticProgramMode
    from typing_extensions import Unpack

    from sunra_integrations.transport.parameters import ModelArguments


class Sunra(ToolCalling, StructuredPrediction):
    """A model behind Sunra, for all that LlamaIndex does with an LLM.

    ::

        llm = Sunra(model="openai/gpt-4o", temperature=0.2)
        llm.chat([ChatMessage("Hello")])

    What is not set is not sent: the server's defaults are the server's. Every parameter can also
    be given per call (`llm.chat(messages, temperature=0)`) and wins over the instance's; None
    leaves it out of that call. Per call there are also `extra_headers`, `timeout`,
    `stall_timeout`, `total_timeout` and `max_retries`. Streams, async, tool
    calls, structured output, agents and callbacks work as with any `FunctionCallingLLM`. A
    structured answer that was cut off, by `max_tokens` for example, raises `ResponseTruncated`.

    Args:
        model: The model to ask, as `vendor/name`. Any name is allowed; the server knows.
        api_key: The key; else from the environment variable `SUNRA_KEY`. Shown and stored nowhere.
        api_base: Base URL, with or without `/v1`; else from `SUNRA_BASE_URL`, else Sunra's own.
        max_tokens: Most tokens to generate.
        max_completion_tokens: The newer name of `max_tokens`; never together with it.
        temperature: Randomness, 0 to 2.
        top_p: Nucleus sampling, 0 to 1.
        frequency_penalty: From -2 to 2.
        presence_penalty: From -2 to 2.
        stop: One sequence or up to 4, at which generation stops.
        n: Answers per request. The first is the response; the others are in its
            `additional_kwargs["choices"]`.
        logprobs: Return log probabilities, in the responses' `logprobs`.
        top_logprobs: How many alternatives per token, 0 to 20; needs `logprobs=True`.
        response_format: The format the model must answer in.
        seed: An integer, for answers as alike as can be.
        tools: Tools of every call, in the wire's form. Agents and programs pass their own.
        tool_choice: `none`, `auto`, `required`, or an object naming a function.
        parallel_tool_calls: Whether one answer may call several tools.
        user: The end user's id, for abuse monitoring.
        provider: Routing rules, such as `{"only": ["google-vertexai"]}`.
        reasoning: Passed on as given.
        reasoning_effort: Passed on as given, such as `"low"`.
        stream_options: Streams ask for usage unless it is given; `{}` asks for nothing.
        extra_body: Keys to put into the request body untouched. No `messages`, no `stream`, and
            nothing that is named like a credential.
        additional_kwargs: More parameters by name, as LlamaIndex has it; the fields above win.
        strict: Hold tool arguments and structured output to their schemas. None leaves tools as
            they are and holds structured output to its schema where that is possible.
        context_window: Tokens the model takes, prompt and answer; else as the packaged catalogue
            has it, else 128,000.
        num_output: Tokens that LlamaIndex keeps free for the answer when it packs prompts; else
            `max_tokens`, else 256. It is never sent.
        is_function_calling_model: Whether the model takes tools.
        tokenizer: Counts tokens, for those who ask the LLM for one. Not used here.
        timeout: Seconds for an answer to begin, per attempt (600 by default), and for each silence
            within it (300 by default); or all `Timeouts`, an `httpx.Timeout`, `(connect, read)`.
            Also `request_timeout`.
        stall_timeout: Seconds for each silence within an answer. Defaults to `timeout`.
        total_timeout: Seconds for a call as a whole, retries included; none by default.
        max_retries: Tries after the first one; nothing above this retries. 2 by default.
        default_headers: Sent with every request. Not shown; stored in pickles only.
        max_connections: Connections open at once, per key and process (sync) or event loop (async).
            Defaults to no limit.
        max_response_bytes: The longest response to read, streamed or not; 256 MiB by default.
        async_transport: What carries async calls, `httpx` or `aiohttp`; `auto`, the default, is
            aiohttp where it is installed and the environment names no proxy for it.
        allow_http: Permit plain http to another machine; the key crosses the network readable.
            Defaults to `SUNRA_ALLOW_HTTP`.
        http_client: An `httpx.Client` of your own; it is never closed here. Without one, proxies
            and certificates come from the usual environment variables, such as `HTTPS_PROXY` and
            `SSL_CERT_FILE`.
        async_http_client: An `httpx.AsyncClient` of your own; it is never closed here.
        callback_manager: LlamaIndex's callbacks.
        rate_limiter: LlamaIndex's rate limiter.
        system_prompt: Put before the conversation by `predict`, `structured_predict` and all that
            stands on them.
        messages_to_prompt: As in every LlamaIndex LLM.
        completion_to_prompt: Applied to the prompt of `complete` unless `formatted=True`.
        pydantic_program_mode: How `structured_predict` asks: `DEFAULT` natively by JSON schema,
            `FUNCTION` by a required tool call, `LLM` by JSON mode with the schema in the prompt.
        output_parser: As in every LlamaIndex LLM.
        query_wrapper_prompt: As in every LlamaIndex LLM.

    Raises:
        InvalidParameter: A value breaks its rule, or a name is unknown; it names the closest.
        ConfigurationError: There is no usable key, base URL or timeout.
    """

    # For type checkers: they read pydantic's fields each in a way of its own, which leaves out that
    # a key may be text and `timeout` has two names.
    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            model: str,
            api_base: str | None = None,
            tools: list[dict[str, Any]] | None = None,
            tool_choice: str | dict[str, Any] | None = None,
            additional_kwargs: dict[str, Any] = ...,
            strict: bool | None = None,
            context_window: int | None = None,
            num_output: int | None = None,
            is_function_calling_model: bool = True,
            tokenizer: Callable[[str], list[Any]] | None = None,
            async_http_client: httpx.AsyncClient | None = None,
            callback_manager: CallbackManager = ...,
            rate_limiter: BaseRateLimiter | None = None,
            system_prompt: str | None = None,
            messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
            completion_to_prompt: Callable[[str], str] | None = None,
            pydantic_program_mode: PydanticProgramMode = ...,
            output_parser: BaseOutputParser | None = None,
            query_wrapper_prompt: BasePromptTemplate | None = None,
            **arguments: Unpack[ModelArguments],
        ) -> None: ...

    # ── the eight methods ────────────────────────────────────────────────────

    @observed_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to a conversation.

        Args:
            messages: The conversation.
            **kwargs: Parameters of this call, `extra_body`, `extra_headers`.

        Raises:
            SunraError: Whatever went wrong, typed; see `sunra_integrations.errors`.
        """
        return self._chat(messages, **kwargs)

    @observed_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As `chat`."""
        return await self._achat(messages, **kwargs)

    @observed_stream
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer as it comes: each response holds all of it so far, `delta` the new text.

        Closing the generator closes the connection at once.

        Args:
            messages: The conversation.
            **kwargs: Parameters of this call, `extra_body`, `extra_headers`.

        Raises:
            StreamInterrupted: The answer broke off; its `partial` holds what had arrived.
            SunraError: Whatever else went wrong, typed; see `sunra_integrations.errors`.
        """
        return watched(self, llm_chat_callback(), self._stream_chat, messages, **kwargs)

    @observed_stream
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """As `stream_chat`."""
        return await awatched(self, llm_chat_callback(), self._astream_chat, messages, **kwargs)

    @observed_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a prompt, which is sent as one user message.

        Args:
            prompt: What to ask.
            formatted: Whether `completion_to_prompt` has been applied to it already.
            **kwargs: Parameters of this call, `extra_body`, `extra_headers`.

        Raises:
            SunraError: Whatever went wrong, typed; see `sunra_integrations.errors`.
        """
        return from_sunra.completion(self._chat(self._asked(prompt, formatted), **kwargs))

    @observed_completion
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """As `complete`."""
        return from_sunra.completion(await self._achat(self._asked(prompt, formatted), **kwargs))

    @observed_stream
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """As `complete`, streamed as in `stream_chat`."""
        return watched(
            self,
            llm_completion_callback(),
            self._stream_complete,
            prompt,
            formatted=formatted,
            **kwargs,
        )

    @observed_stream
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """As `complete`, streamed as in `stream_chat`."""
        return await awatched(
            self,
            llm_completion_callback(),
            self._astream_complete,
            prompt,
            formatted=formatted,
            **kwargs,
        )

    # ── the framework's own over them, under spans that last to the end ──────

    @observed_stream
    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenGen:
        """The text of the answer to a prompt template, piece by piece.

        Args:
            prompt: The prompt, to be filled with `prompt_args`.
            **prompt_args: Values for the prompt's variables.

        Raises:
            SunraError: Whatever went wrong, typed; see `sunra_integrations.errors`.
        """
        return unobserved(super().stream)(prompt, **prompt_args)

    @observed_stream
    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        """As `stream`."""
        return await unobserved(super().astream)(prompt, **prompt_args)

    # ── what stands behind them, unseen by callbacks ─────────────────────────

    def _chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        kwargs, changed = split_call(kwargs)
        request, headers = self._request(messages, kwargs)
        return from_sunra.response(self._client(changed).create(request, headers=headers))

    async def _achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        kwargs, changed = split_call(kwargs)
        request, headers = self._request(messages, kwargs)
        client = self._async_client(changed)
        return from_sunra.response(await client.create(request, headers=headers))

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        kwargs, changed = split_call(kwargs)
        return self._responses(*self._request(messages, kwargs), **changed)

    def _astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        kwargs, changed = split_call(kwargs)
        return self._aresponses(*self._request(messages, kwargs), **changed)

    def _stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        stream = self._stream_chat(self._asked(prompt, formatted), **kwargs)
        return mapped(from_sunra.completion, stream)

    def _astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        stream = self._astream_chat(self._asked(prompt, formatted), **kwargs)
        return amapped(from_sunra.completion, stream)

    def _responses(
        self, request: ChatRequest, headers: Mapping[str, str] | None, **changed: Any
    ) -> Generator[ChatResponse, None, None]:
        so_far = AnswerSoFar()
        stream = self._client(changed).stream(request, headers=headers, so_far=so_far)
        with closing(stream) as chunks:
            for chunk in chunks:
                yield from_sunra.chunk(chunk, so_far)

    async def _aresponses(
        self, request: ChatRequest, headers: Mapping[str, str] | None, **changed: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        so_far = AnswerSoFar()
        client = self._async_client(changed)
        stream = client.stream(request, headers=headers, so_far=so_far)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield from_sunra.chunk(chunk, so_far)

    def _asked(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        to_prompt = None if formatted else self.completion_to_prompt
        text = prompt if to_prompt is None else to_prompt(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    def _request(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, dict[str, str] | None]:
        call = dict(kwargs)
        given = call.pop(EXTRA_HEADERS, None)
        headers = hidden(given).shown() if given else None
        parameters = merged(self._parameters(), call)
        tools = [to_sunra.tool(tool) for tool in parameters.get("tools") or ()]
        parameters["tools"] = tools or None
        if not tools:  # what is set about tools for all calls says nothing about one without any
            parameters |= {name: call.get(name) for name in ("tool_choice", "parallel_tool_calls")}
        if not isinstance(parameters.get("tool_choice"), dict):
            parameters["tool_choice"] = wire_tool_choice(parameters.get("tool_choice"), tools)
        return to_sunra.request(messages, parameters), headers or None
