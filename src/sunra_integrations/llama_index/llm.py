"""`Sunra`: any model behind the Sunra gateway as a LlamaIndex LLM.

A call goes through `request.build`, the client's `create` or `stream`, and `response.chat_response`
or `response.chunk`.
"""

from __future__ import annotations

import copy
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.constants import DEFAULT_NUM_OUTPUTS
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import Model, PydanticProgramMode, TokenAsyncGen, TokenGen
from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    field_serializer,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self, Unpack

from sunra_integrations.data import model_facts
from sunra_integrations.errors import InvalidParameter
from sunra_integrations.llama_index import request, response
from sunra_integrations.llama_index.instrumentation import (
    amap_stream,
    awith_callbacks,
    dispatcher,
    instrumented,
    instrumented_chat,
    instrumented_completion,
    instrumented_stream,
    map_stream,
    report_cost,
    secret_headers,
    with_callbacks,
    without_span,
)
from sunra_integrations.llama_index.repair import (
    Repairs,
    achecked_calls,
    check_calls,
    check_prompt_arguments,
    checked_calls,
)
from sunra_integrations.llama_index.structured import (
    PartialObjects,
    StructuredSunra,
    aprogram_stream,
    check_program_response,
    parse,
    program_class,
    program_stream,
    schema_format,
    schema_tool,
    with_schema_instructions,
)
from sunra_integrations.llama_index.tools import (
    agent_response,
    arun_tools,
    first_call_only,
    run_tools,
    tool_selections,
)
from sunra_integrations.protocol.arguments import EXTRA_HEADERS, check_known, split_call
from sunra_integrations.protocol.parameters import RequestParameters, merge_parameters
from sunra_integrations.protocol.repair import check_repairs
from sunra_integrations.protocol.request import (
    CALL_ARGUMENTS,
    PARAMETERS,
    ChatRequest,
    check_parameters,
    not_a_dict,
    parameter_rules,
)
from sunra_integrations.protocol.tools import is_server_tool, with_secrets
from sunra_integrations.transport.http_library import AsyncHttpClient, AsyncHttpClientField
from sunra_integrations.transport.parameters import (
    ConnectionParameters,
    ModelArguments,
    StoredKeyField,
)
from sunra_integrations.transport.settings import check_loaded, picklable_key, resolved_base_url

if TYPE_CHECKING:
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.rate_limiter import BaseRateLimiter
    from llama_index.core.types import BaseOutputParser

DEFAULT_CONTEXT_WINDOW = 128_000
"""Tokens. Assumed for models that are not in the bundled model data; any name works on Sunra."""

_PROGRAM_ARGUMENTS = frozenset(
    ("tool_choice", "tool_required", "allow_parallel_tool_calls", "strict")
)
_NATIVE_MODES = frozenset(
    (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM)
)
_PROCESS_FIELDS = ("http_client", "async_http_client", "callback_manager", "rate_limiter")
_HIDDEN_PARAMETERS = frozenset(("messages", "tools", "response_format", "extra_body", "user"))
_CLASS_NAME = "class_name"
"""A key that `to_dict` adds and that is not a field."""


class Sunra(ConnectionParameters, RequestParameters, FunctionCallingLLM):
    """Any model behind the Sunra LLM gateway, as a LlamaIndex LLM.

    ::

        llm = Sunra(model="openai/gpt-4o", temperature=0.2)
        llm.chat([ChatMessage("Hello")])

    Streaming, async, tool calls, structured output, agents and callbacks work as with any
    `FunctionCallingLLM`. A structured reply that was cut off, for example by `max_tokens`, raises
    `ResponseTruncated`.

    A parameter that is not set is not sent, so the server's default applies. Request parameters can
    also be passed to a call, such as `llm.chat(messages, temperature=0)`. They override the
    instance's, and None leaves a parameter out. A call also accepts `extra_headers`, `timeout`,
    `stall_timeout`, `total_timeout`, `max_retries` and `include_response_headers`.

    A response has the headers about rate limits in `additional_kwargs["headers"]`, and all harmless
    headers with `include_response_headers=True`.

    The constructor accepts every request parameter (`temperature`, `max_tokens`, `seed`, …), every
    connection parameter (`api_key`, `timeout`, `budget`, …) and these:

    Args:
        model: Model name, as `vendor/name`. Any name is allowed.
        api_base: Base URL, with or without `/v1`. Defaults to `SUNRA_BASE_URL`, then to Sunra's.
        tools: Tools for every call, in the API's format. The functions of agents and programs
            replace those given here; tools that the server runs are kept.
        tool_choice: `none`, `auto`, `required`, or a dict that names a function.
        additional_kwargs: More request parameters by name, as in LlamaIndex's OpenAI class.
        strict: Enforce the schemas of tool arguments and structured output.
        context_window: Context window in tokens, prompt and reply.
        num_output: Tokens that LlamaIndex reserves for the reply when it packs prompts.
        is_function_calling_model: Whether the model supports tools. Defaults to True.
        repair_tool_calls: How many times in a row a model may correct invalid tool calls, 0 to 10,
            before `UnreadableResponse` is raised.
        tokenizer: Counts tokens, for code that asks the LLM for a tokenizer.
        async_http_client: Your own client of httpx or httpx2 for async calls.
        callback_manager: LlamaIndex's callbacks, for handlers without instrumentation. Example:
            `callback_manager=CallbackManager([TokenCountingHandler()])`.
        rate_limiter: LlamaIndex's rate limiter, which delays calls. Example:
            `rate_limiter=TokenBucketRateLimiter(requests_per_minute=60)`.
        system_prompt: Put before the conversation by `predict`, `structured_predict` and the
            methods built on them. Example: `system_prompt="Answer in French."`.
        messages_to_prompt: Not used, because messages are sent as they are. Example:
            `messages_to_prompt=str`.
        completion_to_prompt: Applied to the prompt of `complete` unless `formatted=True`. Example:
            `completion_to_prompt=str.strip`.
        pydantic_program_mode: How `structured_predict` requests an object. `DEFAULT` uses a JSON
            schema and `FUNCTION` a required tool call. `LLM` uses JSON mode, with the schema in
            the prompt. Example: `pydantic_program_mode=PydanticProgramMode.FUNCTION`.
        output_parser: Adds its instructions to the messages of `predict`, and parses the reply.
            Example: `output_parser=PydanticOutputParser(Person)`.
        query_wrapper_prompt: Not used, because prompts are sent as messages. Example:
            `query_wrapper_prompt=PromptTemplate("{query_str}")`.

    With `n` above 1, the first choice is the response. The others are in its
    `additional_kwargs["choices"]`.

    Raises:
        InvalidParameter: A value is not valid, or a name is unknown. The error suggests the
            closest one.
        ConfigurationError: The key, base URL or a timeout is missing or not valid.
    """

    _base_url_field: ClassVar[str] = "api_base"
    _async_client_field: ClassVar[str] = "async_http_client"

    model: str = Field(
        description="Model name, as `vendor/name`. Any name is allowed. Example: "
        '`model="openai/gpt-4o"`.'
    )
    api_key: StoredKeyField = Field(
        default=None,
        exclude=True,
        repr=False,
        description=ConnectionParameters.model_fields["api_key"].description,
    )
    api_base: str | None = Field(
        default=None,
        description="Base URL, with or without `/v1`. Defaults to `SUNRA_BASE_URL`, then to "
        'Sunra\'s. Example: `api_base="https://gateway.example.com/v1"`.',
    )
    tools: list[dict[str, Any]] | None = Field(
        default=None,
        description="Tools for every call, in the API's format. The functions of agents and "
        "programs replace those given here; tools that the server runs are kept. Example: "
        '`tools=[{"type": "function", "function": {"name": "now"}}]`.',
    )
    tool_choice: str | dict[str, Any] | None = Field(
        default=None,
        description="`none`, `auto`, `required`, or a dict that names a function. Example: "
        '`tool_choice="auto"`.',
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="More request parameters by name, as in LlamaIndex's OpenAI class. The fields "
        'override them. Example: `additional_kwargs={"seed": 42}`.',
    )
    strict: bool | None = Field(
        default=None,
        description="Enforce the schemas of tool arguments and structured output. Defaults to "
        "None: structured output is strict if its schema can be, and tools are not. Example: "
        "`strict=True`.",
    )
    context_window: int | None = Field(
        default=None,
        description="Context window in tokens, prompt and reply. Defaults to the value in the "
        "bundled model data, then to 128,000. Example: `context_window=200_000`.",
    )
    num_output: int | None = Field(
        default=None,
        description="Tokens that LlamaIndex reserves for the reply when it packs prompts. Never "
        "sent. Defaults to `max_tokens`, then to 256. Example: `num_output=1000`.",
    )
    is_function_calling_model: bool = Field(
        default=True,
        description="Whether the model supports tools. Defaults to True. Example: "
        "`is_function_calling_model=False`.",
    )
    repair_tool_calls: int | None = Field(
        default=None,
        description="How many times in a row a model may correct invalid tool calls, 0 to 10, "
        "before `UnreadableResponse` is raised. A call that was cut off raises "
        "`ResponseTruncated`. Defaults to None: agents send both back to the model, up to their "
        "`max_iterations`. Example: `repair_tool_calls=1`.",
    )
    tokenizer: Annotated[Callable[[str], list[Any]] | None, WithJsonSchema({"type": "string"})] = (
        Field(
            default=None,
            exclude=True,
            repr=False,
            description="Counts tokens, for code that asks the LLM for a tokenizer. Not used here. "
            "Example: `tokenizer=str.split`.",
        )
    )
    async_http_client: SkipJsonSchema[AsyncHttpClientField | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Your own client of httpx or httpx2 for async calls. It is never closed here. "
        "Example: `async_http_client=httpx.AsyncClient()`.",
    )

    # Type checkers derive a signature from pydantic's fields that lacks the key as a string and
    # the alias `request_timeout`.
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
            repair_tool_calls: int | None = None,
            tokenizer: Callable[[str], list[Any]] | None = None,
            async_http_client: AsyncHttpClient | None = None,
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

    @classmethod
    def _check_arguments(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in given.items() if name != _CLASS_NAME}
        arguments = super()._check_arguments(fields)
        if arguments.get("repair_tool_calls") is not None:
            check_repairs(arguments["repair_tool_calls"], "repair_tool_calls")
        more = arguments.get("additional_kwargs") or {}
        if not isinstance(more, Mapping):
            raise not_a_dict("additional_kwargs", more)
        if EXTRA_HEADERS in more:
            raise InvalidParameter(
                f"`{EXTRA_HEADERS}` cannot be in `additional_kwargs`, which is stored and shown. "
                "Use `default_headers`, or pass them with a call.",
                parameter=EXTRA_HEADERS,
                rule="headers go into default_headers, or extra_headers of a call",
            )
        check_known(more, PARAMETERS, of="additional_kwargs", sendable=True)
        own = {name: arguments[name] for name in PARAMETERS if name in arguments}
        check_parameters(merge_parameters(more, own) | {"model": own.get("model")})
        if not own.get("model"):
            rule = parameter_rules()["model"]
            raise InvalidParameter(f"`model` is required: {rule}.", parameter="model", rule=rule)
        return arguments | {"additional_kwargs": dict(more)}

    @model_validator(mode="after")
    def _check_connection(self) -> Self:
        """Reports a missing key now rather than on the first call."""
        if not _loading.get():
            self._settings()
        return self

    @property
    def metadata(self) -> LLMMetadata:
        """Context window, output size and abilities, for any model name."""
        known_window: int | None = (model_facts(self.model) or {}).get("max_input_tokens")
        max_tokens = self.max_completion_tokens or self.max_tokens
        return LLMMetadata(
            context_window=self.context_window or known_window or DEFAULT_CONTEXT_WINDOW,
            num_output=self.num_output or max_tokens or DEFAULT_NUM_OUTPUTS,
            is_chat_model=True,
            is_function_calling_model=self.is_function_calling_model,
            model_name=self.model,
        )

    # ── chat and completion ──────────────────────────────────────────────────

    @instrumented_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The reply to a conversation.

        Args:
            messages: The conversation.
            **kwargs: Request parameters for this call, `extra_headers`, `timeout`,
                `stall_timeout`, `total_timeout`, `max_retries` and `include_response_headers`.

        Raises:
            SunraError: The call failed; see `sunra_integrations.errors` for the exact types.
        """
        return self._chat(messages, **kwargs)

    @instrumented_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async `chat`."""
        return await self._achat(messages, **kwargs)

    @instrumented_stream
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Streams the reply. Each response contains the whole reply so far; `delta` is new text.

        Closing the generator closes the connection immediately.

        Args:
            messages: The conversation.
            **kwargs: As for `chat`.

        Raises:
            StreamInterrupted: The stream was cut off. The partial reply is in `error.partial`.
            SunraError: The call failed; see `sunra_integrations.errors` for the exact types.
        """
        return with_callbacks(self, llm_chat_callback(), self._stream_chat, messages, **kwargs)

    @instrumented_stream
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Async `stream_chat`."""
        return await awith_callbacks(
            self, llm_chat_callback(), self._astream_chat, messages, **kwargs
        )

    @instrumented_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The reply to a prompt, which is sent as a user message.

        Args:
            prompt: The prompt.
            formatted: `completion_to_prompt` is already applied to it.
            **kwargs: As for `chat`.

        Raises:
            SunraError: The call failed; see `sunra_integrations.errors` for the exact types.
        """
        return response.completion(self._chat(self._user_message(prompt, formatted), **kwargs))

    @instrumented_completion
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Async `complete`."""
        messages = self._user_message(prompt, formatted)
        return response.completion(await self._achat(messages, **kwargs))

    @instrumented_stream
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Streams the reply to a prompt, as `stream_chat` does."""
        return with_callbacks(
            self,
            llm_completion_callback(),
            self._stream_complete,
            prompt,
            formatted=formatted,
            **kwargs,
        )

    @instrumented_stream
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Async `stream_complete`."""
        return await awith_callbacks(
            self,
            llm_completion_callback(),
            self._astream_complete,
            prompt,
            formatted=formatted,
            **kwargs,
        )

    # The same without spans and callbacks:

    def _chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        chat_request, settings, headers = self._request(messages, kwargs)
        reply = self._client(settings).create(chat_request, headers=headers)
        report_cost(reply.usage)
        return response.chat_response(reply)

    async def _achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        chat_request, settings, headers = self._request(messages, kwargs)
        reply = await self._async_client(settings).create(chat_request, headers=headers)
        report_cost(reply.usage)
        return response.chat_response(reply)

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return self._responses(*self._request(messages, kwargs))

    def _astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        return self._aresponses(*self._request(messages, kwargs))

    def _stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        stream = self._stream_chat(self._user_message(prompt, formatted), **kwargs)
        return map_stream(response.completion, stream)

    def _astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        stream = self._astream_chat(self._user_message(prompt, formatted), **kwargs)
        return amap_stream(response.completion, stream)

    def _responses(
        self, chat_request: ChatRequest, settings: dict[str, Any], headers: dict[str, str] | None
    ) -> Generator[ChatResponse, None, None]:
        state = response.StreamState()
        client = self._client(settings)
        with closing(client.stream(chat_request, headers=headers, so_far=state)) as chunks:
            for chunk in chunks:
                if chunk.usage is not None:
                    report_cost(chunk.usage)
                yield response.chunk(chunk, state)

    async def _aresponses(
        self, chat_request: ChatRequest, settings: dict[str, Any], headers: dict[str, str] | None
    ) -> AsyncGenerator[ChatResponse, None]:
        state = response.StreamState()
        client = self._async_client(settings)
        stream = client.stream(chat_request, headers=headers, so_far=state)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    report_cost(chunk.usage)
                yield response.chunk(chunk, state)

    def _user_message(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        to_prompt = None if formatted else self.completion_to_prompt
        text = prompt if to_prompt is None else to_prompt(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    def _request(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, dict[str, Any], dict[str, str] | None]:
        """The request of a call, the settings of its client, and its headers."""
        call, settings, given = split_call(kwargs)
        headers = secret_headers(given).get_secret_value() if given else None
        check_known(call, CALL_ARGUMENTS, of="a call", sendable=True)
        parameters = merge_parameters(self._parameters(), call)
        if not parameters.get("tools"):
            # The instance's settings about tools do not apply to a call without tools.
            parameters |= {name: call.get(name) for name in ("tool_choice", "parallel_tool_calls")}
        return request.build(messages, parameters), settings, headers or None

    def _parameters(self) -> dict[str, Any]:
        """The request parameters of every call. Fields override `additional_kwargs`."""
        fields = {name: getattr(self, name) for name in PARAMETERS}
        given = {name: value for name, value in fields.items() if value is not None}
        return merge_parameters(self.additional_kwargs, given)

    # ── prompt templates ─────────────────────────────────────────────────────

    @instrumented_stream
    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenGen:
        """Streams the text of the reply to a prompt template.

        Args:
            prompt: The prompt template.
            **prompt_args: Values for its variables.

        Raises:
            SunraError: The call failed; see `sunra_integrations.errors` for the exact types.
        """
        return without_span(super().stream)(prompt, **prompt_args)

    @instrumented_stream
    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        """Async `stream`."""
        return await without_span(super().astream)(prompt, **prompt_args)

    # ── tools ────────────────────────────────────────────────────────────────

    @instrumented
    def predict_and_call(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Sends a message with tools, and runs the tools that the model calls.

        Args:
            tools: The tools to choose from.
            user_msg: The message, sent after the history.
            chat_history: The conversation before it.
            verbose: Print the calls and their results.
            allow_parallel_tool_calls: Run all calls of the reply, not only the first.
            error_on_no_tool_call: Raise if the model calls no tool.
            error_on_tool_error: Raise if a tool fails, or a call is invalid or names an unknown
                tool. Otherwise the error's text is the result.
            **kwargs: Arguments of `chat_with_tools`, such as request parameters.

        Raises:
            ValueError: See `error_on_no_tool_call` and `error_on_tool_error`.
            UnreadableResponse: A call was required (`tool_required`) and is invalid.
        """
        if not self.metadata.is_function_calling_model:
            react = without_span(super(FunctionCallingLLM, self).predict_and_call)
            return react(list(tools), user_msg, chat_history, verbose, **kwargs)
        reply = self.chat_with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, **kwargs
        )
        calls = self.get_tool_calls_from_response(reply, error_on_no_tool_call)
        outputs = run_tools(calls, tools, verbose=verbose)
        return agent_response(
            reply,
            outputs,
            error_on_tool_error=error_on_tool_error,
            tool_required=kwargs.get("tool_required"),
        )

    @instrumented
    async def apredict_and_call(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Async `predict_and_call`, which runs the tools concurrently."""
        if not self.metadata.is_function_calling_model:
            react = without_span(super(FunctionCallingLLM, self).apredict_and_call)
            return await react(list(tools), user_msg, chat_history, verbose, **kwargs)
        reply = await self.achat_with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, **kwargs
        )
        calls = self.get_tool_calls_from_response(reply, error_on_no_tool_call)
        outputs = await arun_tools(calls, tools, verbose=verbose)
        return agent_response(
            reply,
            outputs,
            error_on_tool_error=error_on_tool_error,
            tool_required=kwargs.get("tool_required"),
        )

    def chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ChatResponse:
        """The reply to a message with tools, as `chat` returns it."""
        response = super().chat_with_tools(tools, user_msg, chat_history, *args, **kwargs)
        check = self._call_check(tools, user_msg, chat_history)
        if check is not None:
            check(response)
        return response

    async def achat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ChatResponse:
        """Async `chat_with_tools`."""
        response = await super().achat_with_tools(tools, user_msg, chat_history, *args, **kwargs)
        check = self._call_check(tools, user_msg, chat_history)
        if check is not None:
            check(response)
        return response

    def stream_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """Streams the reply to a message with tools, as `stream_chat` does."""
        stream = super().stream_chat_with_tools(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            tool_required,
            **kwargs,
        )
        if not allow_parallel_tool_calls:
            stream = map_stream(first_call_only, stream)
        check = self._call_check(tools, user_msg, chat_history)
        if check is not None:
            stream = checked_calls(stream, check)
        output_cls = program_class(tools)
        return stream if output_cls is None else program_stream(stream, output_cls)

    async def astream_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """Async `stream_chat_with_tools`."""
        stream = await super().astream_chat_with_tools(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            tool_required,
            **kwargs,
        )
        if not allow_parallel_tool_calls:
            stream = amap_stream(first_call_only, stream)
        check = self._call_check(tools, user_msg, chat_history)
        if check is not None:
            stream = achecked_calls(stream, check)
        output_cls = program_class(tools)
        return stream if output_cls is None else aprogram_stream(stream, output_cls)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,  # noqa: ARG002 - the framework's signature
    ) -> list[ToolSelection]:
        """The tool calls of a response, with their arguments as far as received.

        In a finished response, an invalid or truncated call gets a name that no tool has and that
        says what is wrong. So no tool runs with guessed arguments: agents tell the model and go on.

        Args:
            response: A response of this LLM, streamed or not.
            error_on_no_tool_call: Raise if there is no call.
            **kwargs: Ignored.

        Raises:
            ValueError: There is no call, and `error_on_no_tool_call` is set.
            ResponseTruncated: The response was cut off before a required call.
        """
        return tool_selections(response, error_on_no_tool_call=error_on_no_tool_call)

    @instrumented  # as LlamaIndex does with this method, but without the values of headers
    def _prepare_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 - the framework's signature
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The arguments for `chat`. The caller's history is not changed."""
        messages = _conversation(chat_history, user_msg)
        if not tools:
            return {"messages": messages, **kwargs}
        strict = self.strict if strict is None else strict
        functions = [request.tool(tool, strict=strict) for tool in tools]
        kept = [one for one in self.tools or () if is_server_tool(one) and one not in functions]
        prepared: dict[str, Any] = {"tools": [*functions, *kept]}
        choice = "required" if tool_choice is None and tool_required else tool_choice
        if choice is not None:
            prepared["tool_choice"] = choice
        # False, LlamaIndex's default, is not sent: all but the first of several calls are dropped
        # instead. An instance's `parallel_tool_calls` is sent in any case.
        if allow_parallel_tool_calls and self.parallel_tool_calls is False:
            prepared["parallel_tool_calls"] = True
        return {"messages": messages, **prepared, **kwargs}

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,  # noqa: ARG002 - the framework's signature
    ) -> ChatResponse:
        output_cls = program_class(tools)
        if output_cls is not None:
            check_program_response(response, output_cls)
        return response if allow_parallel_tool_calls else first_call_only(response)

    def _call_check(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None,
        chat_history: list[ChatMessage] | None,
    ) -> Callable[[ChatResponse], None] | None:
        """The check of a finished response, if `repair_tool_calls` is set."""
        limit = self.repair_tool_calls
        if limit is None or program_class(tools) is not None:
            return None
        messages = _conversation(chat_history, user_msg)
        return partial(check_calls, messages=messages, tools=tools, limit=limit)

    # ── structured prediction ────────────────────────────────────────────────

    @instrumented
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """The reply to a prompt template as an object of a class.

        Args:
            output_cls: The class.
            prompt: The prompt template.
            llm_kwargs: Keyword arguments of the call, as for `chat`, and `repair`: how many times
                to request a reply again that does not match the class, with its error, 0 to 10.
                Each is another paid call. Defaults to 0.
            **prompt_args: Values for the template's variables.

        Raises:
            Refused: The model declined to answer.
            ResponseTruncated: The response was cut off, for example by `max_tokens`. The text is
                in `error.text`.
            pydantic.ValidationError: The reply is not an object of the class. With `repair`, it is
                the error of the last attempt, and the one before is in its `__context__`.
            SunraError: The call failed; see `sunra_integrations.errors` for the exact types.
        """
        if self.pydantic_program_mode not in _NATIVE_MODES:
            called: Model = without_span(super().structured_predict)(
                output_cls,
                prompt,
                llm_kwargs=_without_repair(llm_kwargs, prompt, prompt_args),
                **prompt_args,
            )
            return called
        dispatcher.event(_start_event(output_cls, prompt, prompt_args))
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        repairs = Repairs.of(kwargs.pop("repair", 0))
        while True:
            reply: ChatResponse | None = None
            try:
                reply = self.chat(messages, **kwargs)
                result = parse(reply, output_cls)
            except Exception as error:
                request = repairs.request(error, reply)
                if request is None:
                    raise
                messages = [*messages, *request]
            else:
                dispatcher.event(LLMStructuredPredictEndEvent(output=result))
                return result

    @instrumented
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Async `structured_predict`."""
        if self.pydantic_program_mode not in _NATIVE_MODES:
            called: Model = await without_span(super().astructured_predict)(
                output_cls,
                prompt,
                llm_kwargs=_without_repair(llm_kwargs, prompt, prompt_args),
                **prompt_args,
            )
            return called
        dispatcher.event(_start_event(output_cls, prompt, prompt_args))
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        repairs = Repairs.of(kwargs.pop("repair", 0))
        while True:
            reply: ChatResponse | None = None
            try:
                reply = await self.achat(messages, **kwargs)
                result = parse(reply, output_cls)
            except Exception as error:
                request = repairs.request(error, reply)
                if request is None:
                    raise
                messages = [*messages, *request]
            else:
                dispatcher.event(LLMStructuredPredictEndEvent(output=result))
                return result

    @instrumented_stream
    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | FlexibleModel, None, None]:
        """Streams the object, each time with everything received so far.

        While required fields are missing it is a `FlexibleModel`. The last one is complete. After a
        repair, the new object grows again.

        Args:
            output_cls: The class.
            prompt: The prompt template.
            llm_kwargs: As for `structured_predict`.
            **prompt_args: Values for the template's variables.

        Raises:
            As `structured_predict`.
        """
        dispatcher.event(_start_event(output_cls, prompt, prompt_args))
        with closing(
            self._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        ) as objects:
            latest: Any = None
            for latest in objects:
                dispatcher.event(LLMStructuredPredictInProgressEvent(output=latest))
                yield latest
        dispatcher.event(LLMStructuredPredictEndEvent(output=latest))

    @instrumented_stream
    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """Async `stream_structured_predict`."""

        async def objects_with_events() -> AsyncGenerator[Model | FlexibleModel, None]:
            dispatcher.event(_start_event(output_cls, prompt, prompt_args))
            opened = await self._structured_astream_call(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
            async with aclosing(opened) as objects:
                latest: Any = None
                async for latest in objects:
                    dispatcher.event(LLMStructuredPredictInProgressEvent(output=latest))
                    yield latest
            dispatcher.event(LLMStructuredPredictEndEvent(output=latest))

        return objects_with_events()

    def as_structured_llm(
        self, output_cls: type[BaseModel], *, repair: int = 0, **kwargs: Any
    ) -> StructuredSunra:
        """An LLM whose every reply is an object of a class.

        Args:
            output_cls: The class.
            repair: How many times to request a reply again that does not match, 0 to 10; see
                `structured_predict`. The failed attempts, with their usage and cost, are in the
                response's `additional_kwargs["earlier_attempts"]`. Defaults to 0.
            **kwargs: Fields of the structured LLM, such as `callback_manager`.

        Raises:
            InvalidParameter: `repair` is invalid.
        """
        check_repairs(repair)
        return StructuredSunra(llm=self, output_cls=output_cls, repair=repair, **kwargs)

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        if self.pydantic_program_mode not in _NATIVE_MODES:
            return super()._structured_stream_call(
                output_cls, prompt, _without_repair(llm_kwargs, prompt, prompt_args), **prompt_args
            )
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        repairs = Repairs.of(kwargs.pop("repair", 0))
        return self._structured_stream(output_cls, messages, repairs, kwargs)

    def _structured_stream(
        self,
        output_cls: type[Model],
        messages: list[ChatMessage],
        repairs: Repairs,
        kwargs: dict[str, Any],
    ) -> Generator[Model | FlexibleModel, None, None]:
        while True:
            partial = PartialObjects(output_cls)
            try:
                yield from partial.read(self.stream_chat(messages, **kwargs))
            except Exception as error:
                request = repairs.request(error, partial.finished)
                if request is None:
                    raise
                messages = [*messages, *request]
            else:
                return

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        if self.pydantic_program_mode not in _NATIVE_MODES:
            return await super()._structured_astream_call(
                output_cls, prompt, _without_repair(llm_kwargs, prompt, prompt_args), **prompt_args
            )
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        repairs = Repairs.of(kwargs.pop("repair", 0))
        return self._structured_astream(output_cls, messages, repairs, kwargs)

    async def _structured_astream(
        self,
        output_cls: type[Model],
        messages: list[ChatMessage],
        repairs: Repairs,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        while True:
            partial = PartialObjects(output_cls)
            try:
                stream = await self.astream_chat(messages, **kwargs)
                async with aclosing(partial.aread(stream)) as objects:
                    async for latest in objects:
                        yield latest
            except Exception as error:
                request = repairs.request(error, partial.finished)
                if request is None:
                    raise
                messages = [*messages, *request]
            else:
                return

    def _structured_call(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None,
        prompt_args: dict[str, Any],
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        """The messages and keyword arguments for `chat` that request the object."""
        check_prompt_arguments(prompt_args, prompt.template_vars)
        given = dict(llm_kwargs or {})
        strict = given.get("strict", self.strict)
        kwargs = {name: value for name, value in given.items() if name not in _PROGRAM_ARGUMENTS}
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        format_: dict[str, Any]
        match self.pydantic_program_mode:
            case PydanticProgramMode.LLM:
                messages = with_schema_instructions(messages, output_cls)
                format_ = {"response_format": {"type": "json_object"}}
            case PydanticProgramMode.FUNCTION:
                tool = schema_tool(output_cls, strict=strict)
                format_ = {"tools": [tool], "tool_choice": "required"}
            case _:
                format_ = {"response_format": schema_format(output_cls, strict=strict)}
        return messages, {**format_, **kwargs}

    # ── serialization and copies ─────────────────────────────────────────────

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex stores and loads this LLM."""
        return "Sunra_LLM"

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """The LLM that `to_dict` was called on. If there is no key, its first call raises.

        Args:
            data: The stored dict. Its base URL is not trusted: the key in `SUNRA_KEY` is only sent
                to Sunra, to this machine, or to the URL in `SUNRA_BASE_URL`.
            **kwargs: Fields that override those of `data`, such as `api_key`.

        Raises:
            ConfigurationError: The key would be sent elsewhere.
        """
        with _key_not_required():
            llm: Self = super().from_dict(data, **kwargs)
        if {**data, **kwargs}.get("api_key") is None and kwargs.get("api_base") is None:
            check_loaded(resolved_base_url(llm.api_base, allow_http=llm.allow_http))
        return llm

    @field_serializer("tools", "additional_kwargs", "extra_body", mode="wrap")
    def _without_secrets(self, value: Any, dump: SerializerFunctionWrapHandler) -> Any:
        dumped = dump(value)
        if isinstance(dumped, dict) and "tools" in dumped:
            return {**dumped, "tools": with_secrets(dumped["tools"], str)}
        return with_secrets(dumped, str)

    def to_payload(self) -> dict[str, Any]:
        """The fields for callbacks and events, without keys, headers and the end user's id."""
        parameters = {
            name: value
            for name, value in self._parameters().items()
            if value is not None and name not in _HIDDEN_PARAMETERS
        }
        return {**super().to_payload(), "temperature": None, **parameters}

    def __getstate__(self) -> dict[str, Any]:
        """The fields without the key, and without clients, callbacks and rate limiter."""
        fields = {n: value for n, value in self.__dict__.items() if n not in _PROCESS_FIELDS}
        return {"__dict__": {**fields, "api_key": picklable_key(self.api_key)}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Initializes the instance from its fields. The key comes from `SUNRA_KEY`.

        Without a key, unpickling succeeds and the first call raises: a pool whose worker fails to
        load its task would never return an error.
        """
        with _key_not_required():
            self.__init__(**state["__dict__"])  # type: ignore[misc]  # validates the fields

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with its own settings. Clients, callbacks and rate limiter are shared."""
        shared = {name: getattr(self, name) for name in _PROCESS_FIELDS}
        memo = {} if memo is None else memo
        fields = {
            name: copy.deepcopy(value, memo)
            for name, value in self.__dict__.items()
            if name not in shared
        }
        with _key_not_required():
            return type(self)(**fields, **shared)


def _conversation(
    history: list[ChatMessage] | None, message: str | ChatMessage | None
) -> list[ChatMessage]:
    messages = list(history or ())
    if isinstance(message, str):
        message = ChatMessage(role=MessageRole.USER, content=message)
    return messages if message is None else [*messages, message]


def _without_repair(
    llm_kwargs: dict[str, Any] | None, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]
) -> dict[str, Any]:
    """The keyword arguments for a program of LlamaIndex's own, which cannot repair.

    Raises:
        InvalidParameter: A repair is requested.
    """
    check_prompt_arguments(prompt_args, prompt.template_vars)
    kwargs = dict(llm_kwargs or {})
    if Repairs.of(kwargs.pop("repair", 0)).left:
        raise InvalidParameter(
            "`repair` needs a `pydantic_program_mode` of DEFAULT, FUNCTION or LLM.",
            parameter="repair",
            rule="with the modes DEFAULT, FUNCTION and LLM only",
        )
    return kwargs


_loading: ContextVar[bool] = ContextVar("sunra_loading", default=False)


@contextmanager
def _key_not_required() -> Generator[None, None, None]:
    """Instances created here may have no key: dicts and pickles never contain one."""
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


def _start_event(
    output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: dict[str, Any]
) -> LLMStructuredPredictStartEvent:
    return LLMStructuredPredictStartEvent(
        output_cls=output_cls, template=prompt, template_args=prompt_args
    )
