"""`ChatSunra`: any model behind the Sunra gateway as a LangChain chat model."""

from __future__ import annotations

import inspect
import math
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast, overload

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self, Unpack

from sunra_integrations import __version__
from sunra_integrations.data import model_facts
from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain import request, response, structured_output
from sunra_integrations.langchain.errors import raised_as_model_errors
from sunra_integrations.langchain.fast_path import cache_signatures
from sunra_integrations.langchain.messages import MODEL_PROVIDER
from sunra_integrations.langchain.repair import RepairedOutput
from sunra_integrations.langchain.response import StreamState
from sunra_integrations.langchain.stream_events import MessageEvents, keep_refusal
from sunra_integrations.langchain.structured_output import Method, WithRaw
from sunra_integrations.langchain.token_counting import count_tokens
from sunra_integrations.langchain.tools import Tool, ToolChoice
from sunra_integrations.langchain.tracing import (
    report_events,
    report_result,
    traced_config,
)
from sunra_integrations.protocol.arguments import (
    EXTRA_HEADERS,
    check_call,
    split_call,
    with_timeout,
)
from sunra_integrations.protocol.parameters import RequestParameters, merge_parameters
from sunra_integrations.protocol.repair import check_repairs
from sunra_integrations.protocol.reply import Chunk
from sunra_integrations.protocol.request import (
    ChatRequest,
    check_extra_body,
    check_parameters,
    not_a_dict,
)
from sunra_integrations.protocol.tools import secrets_in, with_secrets
from sunra_integrations.transport import Settings, Timeouts
from sunra_integrations.transport.http_library import AsyncHttpClient, AsyncHttpClientField
from sunra_integrations.transport.parameters import ConnectionParameters, ModelArguments
from sunra_integrations.transport.settings import (
    check_loaded,
    headers_digest,
    picklable_key,
    resolved_base_url,
)
from sunra_integrations.transport.timeouts import read_timeout

if TYPE_CHECKING:
    from langchain_core.caches import BaseCache
    from langchain_core.callbacks import Callbacks
    from langchain_core.language_models.chat_model_stream import (
        AsyncChatModelStream,
        ChatModelStream,
    )
    from langchain_core.messages import AIMessageChunk
    from langchain_core.rate_limiters import BaseRateLimiter
    from langchain_core.runnables import RunnableConfig
    from langchain_protocol.protocol import MessagesData

Output = TypeVar("Output")

_PER_CALL = frozenset(("messages", "tools", "tool_choice"))
_SHARED_BY_COPIES = ("http_client", "http_async_client", "cache", "callbacks", "rate_limiter")
_SERIALIZED = "_serialized"
"""The cached property of langchain-core with the serialized model, part of the cache key."""
_CHARACTERS_PER_TOKEN = 4


class ChatSunra(ConnectionParameters, RequestParameters, BaseChatModel):
    """Any model behind the Sunra LLM gateway, as a LangChain chat model.

    Setup:
        ```bash
        pip install 'sunra-integrations[langchain]'
        export SUNRA_KEY='…'  # from https://sunra.ai/dashboard/api-tokens
        ```

    Key init args — completion params:
        model: Model to call, as `vendor/name`.
        temperature: Sampling temperature, 0 to 2.
        max_tokens: Maximum number of tokens to generate.
        stop: Up to 4 sequences at which the model stops.
        reasoning_effort: Reasoning effort; the levels depend on the model.
        stream_usage: Request token usage of streams.
        model_kwargs: More keys for the request body, sent unchanged.

        Every other request parameter of Sunra, such as `seed` or `provider`, is accepted too.
        Parameters that are not set are not sent, so the server's defaults apply.

    Key init args — client params:
        api_key: API key, or a sync or async function that returns it, which is called for each
            attempt. Defaults to `SUNRA_KEY`.
        base_url: Base URL, with or without `/v1`. Defaults to `SUNRA_BASE_URL`, then to Sunra's.
        timeout: Seconds for a response to begin, on each attempt, and for each silence within it.
        max_retries: Retries after the first attempt, only before a response begins. Defaults to 2.
        budget: Limits on cost, tokens and calls. Can be shared with other models and clients.

        Every other connection parameter, such as `total_timeout`, is accepted too. `timeout`,
        `stall_timeout`, `total_timeout`, `max_retries` and `include_response_headers` can also be
        passed to a call. Without an HTTP client of your own, proxies and certificates come from the
        usual environment variables, such as `HTTPS_PROXY` and `SSL_CERT_FILE`.

    Key init args — LangChain's params:
        profile: Capabilities of the model. Defaults to its entry in the bundled model data.
            Example: `profile={"max_input_tokens": 128_000}`.
        cache: A cache for replies, True for LangChain's global cache, or False for none. Defaults
            to the global cache if it is set. Streams are not cached. Example: `cache=False`.
        rate_limiter: Delays calls to a maximum rate. Example:
            `rate_limiter=InMemoryRateLimiter(requests_per_second=2)`.
        callbacks: Handlers for the events of every call. Example: `callbacks=[UsageCallback()]`.
        tags: Tags of every run in traces. Example: `tags=["batch"]`.
        metadata: Metadata of every run in traces. Example: `metadata={"team": "search"}`.
        name: Name of the runs in traces. Defaults to the class name. Example: `name="writer"`.
        verbose: Print runs to the console, by LangChain's own callback. Defaults to LangChain's
            global setting. Example: `verbose=True`.
        disable_streaming: Let `stream` call `invoke`: True, or `"tool_calling"` for calls with
            tools. Defaults to False. Example: `disable_streaming="tool_calling"`.
        output_version: `"v1"` stores LangChain's standard content blocks in `content`. Defaults to
            `LC_OUTPUT_VERSION`. Example: `output_version="v1"`.
        custom_get_token_ids: Tokenizer behind `get_token_ids`. Example:
            `custom_get_token_ids=lambda text: [*text.encode()]`.

    Instantiate:
        ```python
        from sunra_integrations.langchain import ChatSunra

        model = ChatSunra(model="openai/gpt-4o", temperature=0)
        ```

        After `sunra_integrations.langchain.register()`, also
        `init_chat_model("sunra:openai/gpt-4o", temperature=0)`.

    Invoke:
        ```python
        model.invoke([("system", "Translate to French."), ("human", "I love programming.")])
        ```

    Stream:
        ```python
        for chunk in model.stream("Tell me a story."):
            print(chunk.text, end="")
        ```

        Add chunks with `+`. A truncated tool call is in the `invalid_tool_calls` of the sum.

    Async:
        ```python
        await model.ainvoke("Hello")
        async for chunk in model.astream("Hello"): ...
        ```

    Tools:
        ```python
        model.bind_tools([get_weather], tool_choice="any").invoke("Rain in Oslo?").tool_calls
        ```

    Structured output:
        ```python
        class Joke(BaseModel):
            setup: str
            punchline: str


        model.with_structured_output(Joke).invoke("Tell me a joke about cats.")
        ```

        Output that was cut off, such as by `max_tokens`, raises `ResponseTruncated`.

    Multimodal:
        ```python
        image = {"type": "image", "url": "https://example.com/cat.png"}
        model.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, image])])
        ```

    Reasoning:
        ```python
        answer = ChatSunra(model="…", reasoning_effort="low").invoke("How many r in strawberry?")
        [b["reasoning"] for b in answer.content_blocks if b["type"] == "reasoning"]
        ```

    Usage:
        ```python
        model.invoke("Hello").usage_metadata
        # {'input_tokens': 8, 'output_tokens': 9, 'total_tokens': 17, …}
        ```

    Logprobs:
        ```python
        ChatSunra(model="…", logprobs=True).invoke("Hello").response_metadata["logprobs"]
        ```

    Response metadata:
        ```python
        model.invoke("Hello").response_metadata
        # {'model_provider': 'sunra', 'model_name': …, 'finish_reason': 'stop', 'id': …, 'cost': …}
        ```

        Headers about rate limits are in `response_metadata["headers"]`; all harmless headers with
        `include_response_headers=True`. A response from LangChain's cache has `cached`, a `cost`
        of 0, and no headers.

    Raises:
        InvalidParameter: A value breaks its documented rule, or a name is unknown. The error
            suggests the closest name.
        ConfigurationError: The key or base URL is missing or invalid.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        defer_build=True,  # keeps the import fast
    )

    _base_url_field: ClassVar[str] = "base_url"
    _async_client_field: ClassVar[str] = "http_async_client"

    model_name: str = Field(
        alias="model",
        description='Model to call, as `vendor/name`. Example: `model="openai/gpt-4o"`.',
    )
    stop: str | list[str] | None = Field(
        default=None,
        alias="stop_sequences",
        description="Up to 4 sequences at which the model stops. Alias `stop_sequences`. Example: "
        '`stop=["END"]`.',
    )
    model_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="More keys for the request body, sent unchanged; LangChain's name for "
        '`extra_body`. Example: `model_kwargs={"top_k": 40}`.',
    )
    streaming: bool = Field(
        default=False,
        description="Stream in `invoke` too, for callbacks that handle tokens. Defaults to False. "
        "Example: `streaming=True`.",
    )
    stream_usage: bool = Field(
        default=True,
        description="Request token usage of streams. Defaults to True. Example: "
        "`stream_usage=False`.",
    )
    base_url: str | None = Field(
        default=None,
        description="Base URL, with or without `/v1`. Defaults to `SUNRA_BASE_URL`, then to "
        'Sunra\'s. Example: `base_url="https://gateway.example.com/v1"`.',
    )
    http_async_client: AsyncHttpClientField | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Your own client of httpx or httpx2 for async calls. It is never closed here. "
        "Example: `http_async_client=httpx.AsyncClient()`.",
    )

    if TYPE_CHECKING:
        # Type checkers derive different signatures from pydantic's fields, and none of them knows
        # that a key can be a string or that `stop` has an alias.
        def __init__(
            self,
            *,
            model: str,
            base_url: str | None = None,
            stop_sequences: str | list[str] | None = None,
            model_kwargs: dict[str, Any] = ...,
            streaming: bool = False,
            stream_usage: bool = True,
            http_async_client: AsyncHttpClient | None = None,
            profile: ModelProfile | None = None,
            name: str | None = None,
            cache: BaseCache | bool | None = None,
            verbose: bool = ...,
            callbacks: Callbacks = None,
            tags: list[str] | None = None,
            metadata: dict[str, Any] | None = None,
            custom_get_token_ids: Callable[[str], list[int]] | None = None,
            rate_limiter: BaseRateLimiter | None = None,
            disable_streaming: bool | Literal["tool_calling"] = False,
            output_version: str | None = ...,
            **arguments: Unpack[ModelArguments],
        ) -> None: ...

    @classmethod
    def _check_arguments(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        for name in given:
            if name in _PER_CALL:
                raise InvalidParameter(
                    f"`{name}` belongs to a call, not to the model object: use `bind_tools`, or "
                    f"pass `{name}` when calling.",
                    parameter=name,
                    rule="passed per call",
                )
        arguments = super()._check_arguments(given)
        _check_model_kwargs(arguments.get("model_kwargs"), cls._argument_names())
        check_parameters(request.api_parameters(arguments))
        return arguments

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Runs langchain-core's check for profiles from the user only.

        It takes 100 µs, as long as everything else, and the catalogue has only known keys.
        """
        check = getattr(super(), "_check_profile_keys", None)
        return self if check is None or self._has_default_profile() else check()

    @model_validator(mode="after")
    def _resolve_settings(self) -> Self:
        """Fails early if no request could be sent, and stores settings from the environment."""
        settings = self._settings()
        if self.api_key is None and _is_created_by_load():
            check_loaded(settings.base_url)
        self._keep_key(settings.api_key)
        if self.base_url is None and settings.base_url != Settings.base_url:
            self.base_url = settings.base_url
        return self

    @model_validator(mode="after")
    def _set_sunra_integrations_version(self) -> Self:
        """Adds this package's version to traces; langchain-core 1.4 does not support that."""
        add_version = getattr(self, "_add_version", None)
        if add_version is not None:
            add_version("sunra-integrations", __version__)
        return self

    @property
    def model(self) -> str:
        """The model's name, also available as `model_name`."""
        return self.model_name

    # ── calls ────────────────────────────────────────────────────────────────

    if TYPE_CHECKING:
        # langchain-core's annotations are narrower than its methods: a batch can be any sequence
        # (`list[str]` is not a `list[str | …]`).

        def batch(
            self,
            inputs: Sequence[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> list[AIMessage]:
            """Call the model with several inputs; the replies are in their order."""
            ...

        async def abatch(
            self,
            inputs: Sequence[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> list[AIMessage]:
            """The async version of `batch`."""
            ...

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - langchain-core's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Generator[AIMessageChunk, None, None]:
        """Stream the reply in chunks. Closing the stream closes the connection."""
        config = traced_config(config, self.callbacks, CallbackManager)
        return cast(
            "Generator[AIMessageChunk, None, None]",
            super().stream(input, config, stop=stop, **kwargs),
        )

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - langchain-core's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """The async version of `stream`."""
        config = traced_config(config, self.callbacks, AsyncCallbackManager)
        return cast(
            "AsyncGenerator[AIMessageChunk, None]",
            super().astream(input, config, stop=stop, **kwargs),
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        with raised_as_model_errors():
            chat_request, settings, headers = self._request(messages, stop, kwargs)
            reply = self._client(settings).create(chat_request, headers=headers)
            return response.chat_result(reply)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        with raised_as_model_errors():
            chat_request, settings, headers = self._request(messages, stop, kwargs)
            reply = await self._async_client(settings).create(chat_request, headers=headers)
            return response.chat_result(reply)

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        result = super()._generate_with_cache(messages, stop, run_manager, **kwargs)
        report_result(run_manager, result)
        return result

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        result = await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)
        report_result(run_manager, result)
        return result

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        state = StreamState()
        with raised_as_model_errors():
            with closing(self._open_stream(messages, stop, kwargs, state)) as events:
                for event in events:
                    for chunk in response.chunks(event, state):
                        if run_manager is not None:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
            for chunk in response.final_chunks(state):
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        state = StreamState()
        with raised_as_model_errors():
            stream = self._open_async_stream(messages, stop, kwargs, state)
            async with aclosing(stream) as events:
                async for event in events:
                    for chunk in response.chunks(event, state):
                        if run_manager is not None:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
            for chunk in response.final_chunks(state):
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        message = MessageEvents(_message_id(run_manager))
        with raised_as_model_errors():
            with closing(self._open_stream(messages, stop, kwargs, message.state)) as events:
                for event in events:
                    yield from message.events(event)
            report_events(run_manager, message.state.usage)
            yield from message.end()

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        message = MessageEvents(_message_id(run_manager))
        with raised_as_model_errors():
            stream = self._open_async_stream(messages, stop, kwargs, message.state)
            async with aclosing(stream) as events:
                async for event in events:
                    for message_event in message.events(event):
                        yield message_event
            report_events(run_manager, message.state.usage)
            for message_event in message.end():
                yield message_event

    def _open_stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        state: StreamState,
    ) -> Generator[Chunk, None, None]:
        chat_request, settings, headers = self._streamed_request(messages, stop, kwargs)
        client = self._client(settings)
        return client.stream(chat_request, headers=headers, so_far=state)

    def _open_async_stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        state: StreamState,
    ) -> AsyncGenerator[Chunk, None]:
        chat_request, settings, headers = self._streamed_request(messages, stop, kwargs)
        client = self._async_client(settings)
        return client.stream(chat_request, headers=headers, so_far=state)

    def _streamed_request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, dict[str, Any], Any]:
        if self._requests_several_choices(kwargs):
            raise InvalidParameter(
                "Several choices cannot be streamed as one message. Use `generate` or `invoke` "
                "with `n`, or stream with n=1.",
                parameter="n",
                value=kwargs.get("n", self.n),
                rule="1 while streaming",
            )
        return self._request(messages, stop, kwargs)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, dict[str, Any], Any]:
        """The request of a call, the settings of its client, and its headers."""
        call, settings, headers = split_call(kwargs)
        if stop is not None:
            call["stop"] = stop
        parameters = merge_parameters(self._parameters(), request.call_parameters(call))
        return request.build(messages, parameters), settings, headers

    def _parameters(self) -> dict[str, Any]:
        """The request parameters of this model object, by the API's names."""
        parameters = {name: getattr(self, name) for name in RequestParameters.model_fields}
        if not self.stream_usage and self.stream_options is None:
            parameters["stream_options"] = {}
        parameters["extra_body"] = {**self.model_kwargs, **self.extra_body}
        return {"model": self.model_name, **parameters}

    def _should_stream(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        if self._requests_several_choices(kwargs):
            return False
        return super()._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)

    def _should_use_protocol_streaming(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        if self._requests_several_choices(kwargs):
            return False
        return super()._should_use_protocol_streaming(
            async_api=async_api, run_manager=run_manager, **kwargs
        )

    def _requests_several_choices(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether `n` is above 1. LangChain would merge such a stream (langchain#26719)."""
        given = kwargs.get("extra_body")
        of_call = given if isinstance(given, Mapping) else {}  # `request.build` rejects others
        body = {**self.model_kwargs, **self.extra_body, **of_call}
        n = body.get("n", kwargs.get("n", self.n))
        return isinstance(n, int) and n > 1

    def _iter_v2_events(
        self, messages: list[BaseMessage], *, stream: ChatModelStream, **more: Any
    ) -> Iterator[MessagesData]:
        for event in super()._iter_v2_events(messages, stream=stream, **more):
            keep_refusal(stream, event)
            yield event

    async def _aiter_v2_events(
        self, messages: list[BaseMessage], *, stream: AsyncChatModelStream, **more: Any
    ) -> AsyncIterator[MessagesData]:
        made = super()._aiter_v2_events(messages, stream=stream, **more)
        async with aclosing(cast("AsyncGenerator[MessagesData, None]", made)) as events:
            async for event in events:
                keep_refusal(stream, event)
                yield event

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        outputs = [output for output in llm_outputs if output]
        if not outputs:
            return {}
        combined = {"model_provider": MODEL_PROVIDER, "model_name": self.model_name}
        usages = [output["token_usage"] for output in outputs if "token_usage" in output]
        return {**combined, "token_usage": response.summed_usage(usages)} if usages else combined

    def _convert_cached_generations(self, cache_val: list[Generation]) -> list[ChatGeneration]:
        generations = super()._convert_cached_generations(cache_val)
        for generation in generations:
            if isinstance(generation.message, AIMessage):
                generation.message = response.without_cost(generation.message)
        return generations

    # ── tools and structured output ──────────────────────────────────────────

    if not TYPE_CHECKING:  # the base class annotates it with a private type

        def bind(self, **kwargs: Any) -> Any:
            """Bind parameters to all calls. They are shown wherever the model is, as in traces.

            Raises:
                InvalidParameter: A name looks like a credential.
            """
            check_call(kwargs)
            kwargs = with_timeout(kwargs)
            if "timeout" in kwargs:  # as JSON, because a bound model can be serialized
                timeout = read_timeout(kwargs["timeout"])
                kwargs["timeout"] = asdict(timeout) if isinstance(timeout, Timeouts) else timeout
            return super().bind(**kwargs)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Tool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        Args:
            tools: Pydantic or TypedDict classes, functions, LangChain tools, JSON schemas, OpenAI
                function tools or Anthropic tools. May be empty.
            tool_choice: `auto`, `none`, `any` or `required`, a tool's name, True (some tool must
                be called), False, or an object.
            strict: Whether arguments, and output with `response_format`, must follow their schema.
                Defaults to each tool's own `strict`.
            parallel_tool_calls: Allow several tool calls in one reply.
            response_format: Format or schema of the reply that ends the tool calls.
            **kwargs: Other parameters of the call.

        Raises:
            InvalidParameter: A tool or tool choice is invalid, or a parameter is unknown.
        """
        request.call_parameters(split_call(kwargs).parameters)
        bound: dict[str, Any] = dict(kwargs)
        converted = [request.tool(tool, strict=strict) for tool in tools]
        if converted:
            bound["tools"] = converted
            choice = request.tool_choice(tool_choice, converted)
            if choice is not None:
                bound["tool_choice"] = choice
            if parallel_tool_calls is not None:
                bound["parallel_tool_calls"] = parallel_tool_calls
        if response_format is not None:
            bound["response_format"] = request.response_format(response_format, strict=strict)
        return self.bind(**bound)

    @overload  # type: ignore[override]  # for type checkers, a TypedDict is not a `dict`
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        method: Method = "json_schema",
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        repair: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[Output],
        *,
        method: Method = "json_schema",
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        repair: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Output]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        method: Method = "json_schema",
        include_raw: Literal[True],
        strict: bool | None = None,
        repair: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, WithRaw[dict[str, Any]]]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[Output],
        *,
        method: Method = "json_schema",
        include_raw: Literal[True],
        strict: bool | None = None,
        repair: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, WithRaw[Output]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool,
        strict: bool | None = None,
        repair: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        repair: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return objects of a schema in place of messages.

        Args:
            schema: A pydantic class, for instances of it. A TypedDict class or a JSON schema, for
                dicts, which grow while they are streamed.
            method: `json_schema` sends a `response_format`, `function_calling` a tool that must be
                called, `json_mode` asks for any JSON object (describe it in the prompt).
            include_raw: Return a dict of `raw`, `parsed` and `parsing_error`.
            strict: Whether the output must follow the schema, which is adapted to the strict rules.
                Defaults to the server's default.
            repair: How many times to request output again that does not match the schema, with
                the error in the conversation, 0 to 10. Each is another paid call. Defaults to 0.
                `raw` is the last message, with its own usage and cost; the replies, errors, usages
                and costs of earlier calls are in its `response_metadata["earlier_attempts"]`.
            **kwargs: Other parameters of the call. `tools` are offered beside the schema, and the
                output is None if the model calls one of them. `tool_choice` overrides that of
                `function_calling`; None sends none.

        Raises:
            InvalidParameter: The schema, method or a parameter is invalid.
            Refused: When called: the model declined; its text is in `refusal`.
            ResponseTruncated: When called: the output was cut off, such as by `max_tokens`. The
                received text is in `text`. When streamed, it is raised at the end.
            OutputParserException: When called: the finished output is not an object of the schema.
                When streamed, it is raised at the end. With `function_calling`, arguments that do
                not match a pydantic class raise `pydantic.ValidationError`. With `repair`, it is
                the error of the last attempt, and the one before is in its `__context__`.
        """
        check_repairs(repair)
        request.call_parameters(split_call(kwargs).parameters)
        parameters = structured_output.bound_parameters(schema, method, strict, kwargs)
        model, parser = self.bind(**parameters), structured_output.output_parser(schema, method)
        if repair:
            calls_tool = method == "function_calling"
            return RepairedOutput(
                model,
                parser,
                repair,
                tool=request.tool(schema)["function"]["name"] if calls_tool else None,
                tool_required=calls_tool and "tool_choice" not in kwargs,
                include_raw=include_raw,
            )
        return structured_output.with_raw(model, parser) if include_raw else model | parser

    # ── token counts ─────────────────────────────────────────────────────────

    def get_num_tokens(self, text: str) -> int:
        """Estimate the number of tokens of a text, offline: one for every 4 characters."""
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens(text)
        return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimate the number of tokens of messages and tools, offline.

        A text has one token for every 4 characters, an image 85 and any other file 1,000,
        whatever its size.
        """
        converted = [request.tool(tool) for tool in tools or ()]
        return count_tokens(messages, with_secrets(converted, str))

    # ── traces, caches and serialization ─────────────────────────────────────

    @property
    def _llm_type(self) -> str:
        return "sunra-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Everything that can change the response, without secrets."""
        parameters = self._parameters()
        identifying = {
            **{name: value for name, value in parameters.items() if value not in (None, {})},
            "model_name": self.model_name,
            "base_url": resolved_base_url(self.base_url, allow_http=self.allow_http),
        }
        if self.default_headers:
            identifying["default_headers"] = self._digest(self.default_headers)
        return identifying

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        kwargs.pop(EXTRA_HEADERS, None)  # traces show these, and headers can be secret
        with raised_as_model_errors():  # before callbacks see something like a credential
            check_call(kwargs)
        if "tools" in kwargs:
            kwargs["tools"] = with_secrets(kwargs["tools"], str)
        params = super()._get_invocation_params(stop=stop, **kwargs)
        return {**params, "stop": self.stop} if stop is None else params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The key of a cached response depends on headers, which can change it, but not on timeouts.
        parameters, _, given = split_call(kwargs)
        headers = {**(self.default_headers or {}), **(given if isinstance(given, Mapping) else {})}
        if headers:
            parameters["headers"] = self._digest(headers)
        secrets = secrets_in((self.model_kwargs, self.extra_body, parameters))
        if tokens := [secret.get_secret_value() for secret in secrets]:
            parameters["secrets"] = self._digest({"tools": repr(tokens)})
        return super()._get_llm_string(stop, **parameters)

    def _digest(self, headers: Mapping[str, str]) -> str:
        return headers_digest(headers, self._settings().api_key)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        parameters = {**self._parameters(), **kwargs}
        params = LangSmithParams(
            ls_provider=MODEL_PROVIDER,
            ls_model_name=parameters["model"],
            ls_model_type="chat",
        )
        if parameters.get("temperature") is not None:
            params["ls_temperature"] = parameters["temperature"]
        max_tokens = parameters.get("max_tokens") or parameters.get("max_completion_tokens")
        if max_tokens:
            params["ls_max_tokens"] = max_tokens
        stops: Any = stop or parameters.get("stop")
        if stops:
            one = not isinstance(stops, Iterable)  # a number, say, which the request rejects
            params["ls_stop"] = [stops] if one or isinstance(stops, str) else list(stops)
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        """The model's entry in the catalogue, in the fields that this langchain-core knows.

        `create_agent`, for one, chooses its strategy for structured output by it.
        """
        facts = model_facts(self.model_name)
        if facts is None:
            return None
        fields = ModelProfile.__annotations__
        return cast("ModelProfile", {k: v for k, v in facts.items() if k in fields})

    def _has_default_profile(self) -> bool:
        """Whether the profile is the catalogue entry of the model, not one from the user."""
        return self.profile == self._resolve_model_profile()

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `langchain_core.load` can dump and load it; the key is left out."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """The module from which `langchain_core.load` imports the class."""
        return ["sunra_integrations", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Serializes the key as the name of its environment variable."""
        return {"api_key": "SUNRA_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serializes `Timeouts`, which are not JSON, as a dict."""
        return {"timeout": asdict(self.timeout)} if isinstance(self.timeout, Timeouts) else {}

    # ── copies and pickles ───────────────────────────────────────────────────

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, with its own cache key.

        Args:
            update: New values by field name or alias.
            deep: Copy the values too. HTTP clients, callbacks and caches are shared anyway.

        Raises:
            InvalidParameter: A name is unknown. The error suggests the closest one.
        """
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop(_SERIALIZED, None)
        if "profile" not in (update or {}) and self._has_default_profile():
            copied.profile = copied._resolve_model_profile()  # noqa: SLF001 - same class
        return copied

    def __setattr__(self, name: str, value: Any) -> None:
        changes_profile = name == "model_name" and self._has_default_profile()
        super().__setattr__(name, value)
        vars(self).pop(_SERIALIZED, None)
        if changes_profile:
            super().__setattr__("profile", self._resolve_model_profile())

    def __getstate__(self) -> dict[Any, Any]:
        """Pickles everything except the key; unpickling takes it from `SUNRA_KEY`."""
        state = super().__getstate__()
        fields = {name: value for name, value in state["__dict__"].items() if name != _SERIALIZED}
        return {**state, "__dict__": {**fields, "api_key": picklable_key(self.api_key)}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy that shares HTTP clients, callbacks and caches: they have locks."""
        memo = {} if memo is None else memo
        for shared in map(self.__dict__.get, _SHARED_BY_COPIES):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)


cache_signatures(ChatSunra, "_generate", "_agenerate")


def _check_model_kwargs(model_kwargs: Any, known: frozenset[str]) -> None:
    if model_kwargs is None:
        return
    if not isinstance(model_kwargs, Mapping):
        raise not_a_dict("model_kwargs", model_kwargs)
    check_extra_body(model_kwargs, "model_kwargs")
    for name in model_kwargs:
        if name in known:
            raise InvalidParameter(
                f"`{name}` is in `model_kwargs`; pass it to ChatSunra itself.",
                parameter=name,
                rule="an argument of ChatSunra",
            )


def _is_created_by_load() -> bool:
    """Whether `langchain_core.load` creates the object, which the class cannot see otherwise."""
    frame = inspect.currentframe()
    while frame is not None and (
        frame.f_code.co_name == "__init__"
        or frame.f_globals.get("__name__", "").startswith("sunra_integrations.")
    ):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "langchain_core.load.load"


def _message_id(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
) -> str:
    return "" if run_manager is None else f"{LC_ID_PREFIX}-{run_manager.run_id}"
