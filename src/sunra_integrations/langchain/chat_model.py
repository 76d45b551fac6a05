"""`ChatSunra`: any model behind the Sunra gateway as a LangChain chat model."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain import from_sunra, to_sunra
from sunra_integrations.langchain.errors import raised_as_model_errors
from sunra_integrations.langchain.message_events import MessageEvents
from sunra_integrations.langchain.parameters import REQUEST_FIELDS, as_invalid_parameter, checked
from sunra_integrations.langchain.streamed import StreamedMessage
from sunra_integrations.langchain.structured_output import (
    Method,
    answer_parser,
    bound_parameters,
    with_raw,
)
from sunra_integrations.langchain.tools import Tool, ToolChoice, answer_format, tool, tool_choice
from sunra_integrations.protocol.requests import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

_CHARACTERS_PER_TOKEN = 4
_SERIALIZED = "_serialized"
"""Where langchain-core keeps a model's serialised form, of which it makes answer-cache keys."""


class ChatSunra(BaseChatModel):
    """Any model behind the Sunra LLM gateway, as a LangChain chat model.

    Setup:
        ```bash
        pip install 'sunra-integrations[langchain]'
        export SUNRA_KEY='…'  # from https://sunra.ai/dashboard/api-tokens
        ```

    Key init args — completion params:
        model: Which model, as `vendor/name`.
        temperature: 0 to 2.
        top_p: 0 to 1.
        max_tokens, max_completion_tokens: Most tokens to generate; one of the two.
        stop: A string or at most 4; also `stop_sequences`.
        n, seed, user, frequency_penalty, presence_penalty, logprobs, top_logprobs,
        response_format, parallel_tool_calls: As in Sunra's reference.
        provider, reasoning, reasoning_effort: Routing and reasoning, passed on as given.
        extra_body: Further keys of the request body, sent untouched.

        A parameter that is not set is not sent.

    Key init args — client params:
        api_key: Else from `SUNRA_KEY`.
        base_url: Else from `SUNRA_BASE_URL`, else Sunra's own.
        timeout: Seconds for an answer to begin, on each attempt.
        stall_timeout: Seconds for the next data of an answer that has begun.
        total_timeout: Seconds for the call as a whole, retries included.
        max_retries: Tries after the first one, made only before an answer begins.
        default_headers: Sent with every request. Kept out of repr and serialised forms.
        http_client, http_async_client: httpx clients of your own, never closed here.
        stream_usage: Ask for token counts while streaming (on by default).

    Instantiate:
        ```python
        from sunra_integrations.langchain import ChatSunra

        model = ChatSunra(model="openai/gpt-4o", temperature=0)
        ```

    Invoke:
        ```python
        model.invoke([("system", "Translate to French."), ("human", "I love programming.")])
        ```

    Stream:
        ```python
        for chunk in model.stream("Tell me a story."):
            print(chunk.text, end="")
        ```

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

    Raises:
        InvalidParameter: A value breaks its documented rule.
        ConfigurationError: There is no usable key or base URL.
    """

    model_config = ConfigDict(
        populate_by_name=True, arbitrary_types_allowed=True, protected_namespaces=()
    )

    model_name: str = Field(alias="model")
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = Field(default=None, alias="stop_sequences")
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    seed: int | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    provider: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    stream_options: dict[str, Any] | None = None
    extra_body: dict[str, Any] = Field(default_factory=dict)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments the constructor did not know; sent as they are."""

    streaming: bool = False
    """Stream within `invoke` too, for callbacks that want tokens."""
    stream_usage: bool = True
    """Ask for token counts while streaming."""

    api_key: SecretStr | None = None
    base_url: str | None = None
    timeout: float | None = None
    stall_timeout: float | None = None
    total_timeout: float | None = None
    max_retries: int = 2
    allow_http: bool = False
    """Permit a `base_url` of plain http to another machine."""
    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)
    http_client: httpx.Client | None = Field(default=None, exclude=True, repr=False)
    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)

    # -- construction ------------------------------------------------------

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Mapping):
            data = checked(data, _argument_names(cls))
        try:
            return handler(data)
        except ValidationError as error:
            raise as_invalid_parameter(error) from None

    @model_validator(mode="after")
    def _keep_resolved_settings(self) -> Self:
        """Fails early where nothing could be sent, and keeps what the environment said."""
        settings = self._settings()
        self.api_key = settings.api_key
        if self.base_url is None and settings.base_url != Settings.base_url:
            self.base_url = settings.base_url
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, changed where asked; a cached answer of this model does not pass for its own."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop(_SERIALIZED, None)
        return copied

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        vars(self).pop(_SERIALIZED, None)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy that shares the HTTP clients: they hold locks and open connections."""
        memo = {} if memo is None else memo
        for client in (self.http_client, self.http_async_client):
            memo[id(client)] = client
        return super().__deepcopy__(memo)

    # -- what LangChain asks about a model ---------------------------------

    @property
    def model(self) -> str:
        """The model's name; also `model_name`."""
        return self.model_name

    @property
    def _llm_type(self) -> str:
        return "sunra-chat"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The key is serialised as the name of its environment variable."""
        return {"api_key": "SUNRA_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """It can be dumped and loaded, without the key."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where loading finds the class."""
        return ["sunra_integrations", "langchain"]

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that changes the answer, and no secret."""
        defaults = self._defaults()
        set_ones = {name: value for name, value in defaults.items() if value not in (None, {})}
        return {**set_ones, "model_name": self.model_name, "base_url": self._settings().base_url}

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        kwargs.pop("extra_headers", None)  # these go into traces, and a header may hold a secret
        return super()._get_invocation_params(stop=stop, **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        said = {**self._defaults(), **kwargs}
        made = LangSmithParams(
            ls_provider=from_sunra.MODEL_PROVIDER,
            ls_model_name=said["model"],
            ls_model_type="chat",
        )
        if said.get("temperature") is not None:
            made["ls_temperature"] = said["temperature"]
        limit = said.get("max_tokens") or said.get("max_completion_tokens")
        if limit:
            made["ls_max_tokens"] = limit
        stops = stop or said.get("stop")
        if stops:
            made["ls_stop"] = [stops] if isinstance(stops, str) else list(stops)
        return made

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text has, counted offline for any model."""
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens(text)
        return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """About how many tokens messages and tools have, counted offline for any model."""
        counted = [to_sunra.tool(one) for one in tools or ()]
        return count_tokens_approximately(messages, tools=cast("list[Any]", counted) or None)

    # -- tools and structured output ---------------------------------------

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
        """This model with tools it may call.

        Args:
            tools: Pydantic or TypedDict classes, functions, LangChain tools, JSON schemas,
                function tools in OpenAI's form or tools in Anthropic's. None at all is allowed.
            tool_choice: `auto`, `none`, `any` or `required`, a tool's name, True (some tool must
                be called), False, or an object.
            strict: Ask that arguments, and an answer with `response_format`, keep to their schema.
            parallel_tool_calls: Whether several calls may be made at once.
            response_format: A format or schema for the answer that ends the tool calls.
            **kwargs: Other parameters of the call.

        Raises:
            InvalidParameter: A tool or choice cannot be read, or a parameter is unknown.
        """
        to_sunra.call_parameters(kwargs)
        bound: dict[str, Any] = dict(kwargs)
        made = [tool(one, strict=strict) for one in tools]
        if made:
            bound["tools"] = made
            chosen = _tool_choice(tool_choice, made)
            if chosen is not None:
                bound["tool_choice"] = chosen
            if parallel_tool_calls is not None:
                bound["parallel_tool_calls"] = parallel_tool_calls
        if response_format is not None:
            bound["response_format"] = answer_format(response_format, strict=strict)
        return self.bind(**bound)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """This model, answering with objects of a schema.

        Args:
            schema: A pydantic class (answers are instances of it), a TypedDict class or a JSON
                schema (answers are dicts, which grow while they are streamed).
            method: `json_schema` asks by `response_format`, `function_calling` by a tool that must
                be called, `json_mode` for any JSON (say in the prompt which).
            include_raw: Answer with a dict of `raw`, `parsed` and `parsing_error` instead.
            strict: Ask that the answer keep to the schema, which is made strict-valid for it; None
                leaves it to the server.
            **kwargs: Other parameters of the call.

        Raises:
            InvalidParameter: The schema, method or a parameter cannot be used.
            Refused: When called: the model declined, and `refusal` holds its words.
        """
        to_sunra.call_parameters(kwargs)
        model = self.bind(**bound_parameters(schema, method, strict), **kwargs)
        parser = answer_parser(schema, method)
        return with_raw(model, parser) if include_raw else model | parser

    # -- calls -------------------------------------------------------------

    def _should_stream(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        if self._asks_for_several(kwargs):
            return False
        return super()._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)

    def _should_use_protocol_streaming(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        if self._asks_for_several(kwargs):
            return False
        return super()._should_use_protocol_streaming(
            async_api=async_api, run_manager=run_manager, **kwargs
        )

    def _asks_for_several(self, kwargs: Mapping[str, Any]) -> bool:
        """Several choices are never streamed: LangChain would make one message of them all."""
        body = {**self.model_kwargs, **self.extra_body, **(kwargs.get("extra_body") or {})}
        asked = body.get("n", kwargs.get("n", self.n))
        return isinstance(asked, int) and asked > 1

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _with_broken_calls(super()._generate_with_cache(*args, **kwargs))

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _with_broken_calls(await super()._agenerate_with_cache(*args, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        with raised_as_model_errors():
            request = self._request(messages, stop, kwargs)
            return from_sunra.result(self._client().create(request, headers=_headers(kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        with raised_as_model_errors():
            request = self._request(messages, stop, kwargs)
            reply = await self._async_client().create(request, headers=_headers(kwargs))
            return from_sunra.result(reply)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with raised_as_model_errors():
            request = self._streamed_request(messages, stop, kwargs)
            streamed = StreamedMessage()
            with closing(self._client().stream(request, headers=_headers(kwargs))) as events:
                for event in events:
                    chunk = streamed.chunk(event)
                    if chunk is not None:
                        if run_manager is not None:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
            last = streamed.last_chunk()
            if run_manager is not None:
                run_manager.on_llm_new_token("", chunk=last)
            yield last

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with raised_as_model_errors():
            request = self._streamed_request(messages, stop, kwargs)
            streamed = StreamedMessage()
            client = self._async_client()
            async with aclosing(client.stream(request, headers=_headers(kwargs))) as events:
                async for event in events:
                    chunk = streamed.chunk(event)
                    if chunk is not None:
                        if run_manager is not None:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
            last = streamed.last_chunk()
            if run_manager is not None:
                await run_manager.on_llm_new_token("", chunk=last)
            yield last

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        with raised_as_model_errors():
            request = self._streamed_request(messages, stop, kwargs)
            message = MessageEvents(_message_id(run_manager))
            with closing(self._client().stream(request, headers=_headers(kwargs))) as events:
                for event in events:
                    yield from message.events(event)
            yield from message.end()

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        with raised_as_model_errors():
            request = self._streamed_request(messages, stop, kwargs)
            message = MessageEvents(_message_id(run_manager))
            client = self._async_client()
            async with aclosing(client.stream(request, headers=_headers(kwargs))) as events:
                async for event in events:
                    for one in message.events(event):
                        yield one
            for one in message.end():
                yield one

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> ChatRequest:
        call = dict(kwargs) if stop is None else {**kwargs, "stop": stop}
        return to_sunra.request(messages, self._defaults(), call)

    def _streamed_request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> ChatRequest:
        if self._asks_for_several(kwargs):
            raise InvalidParameter(
                "Several choices cannot be streamed as one message. Use `generate` or `invoke` "
                "with `n`, or stream with n=1. Nothing was sent.",
                parameter="n",
                value=kwargs.get("n", self.n),
                rule="1 while streaming",
            )
        return self._request(messages, stop, kwargs)

    def _defaults(self) -> dict[str, Any]:
        """The request parameters this model is set to, by the wire's names."""
        made = {name: getattr(self, name) for name in REQUEST_FIELDS}
        if not self.stream_usage and self.stream_options is None:
            made["stream_options"] = {}
        extra_body = {**self.model_kwargs, **self.extra_body}
        return {"model": self.model_name, **made, "extra_body": extra_body}

    def _settings(self) -> Settings:
        return Settings.resolve(
            self.api_key,
            self.base_url,
            timeout=self.timeout,
            stall_timeout=self.stall_timeout,
            total_timeout=self.total_timeout,
            max_retries=self.max_retries,
            default_headers=self.default_headers,
            allow_http=self.allow_http,
        )

    def _client(self) -> SunraClient:
        # Made per call: it is cheap, holds no connections, and so copies and pickles carry none.
        return SunraClient(self._settings(), http_client=self.http_client)

    def _async_client(self) -> AsyncSunraClient:
        return AsyncSunraClient(self._settings(), http_client=self.http_async_client)


_tool_choice = tool_choice
"""Under this name within `bind_tools`, whose argument has the other."""


def _with_broken_calls(result: ChatResult) -> ChatResult:
    """The result of a call that core may have streamed, with calls cut off told as such.

    Without this an agent whose answer was streamed would run a call with half its arguments.
    """
    for generation in result.generations:
        if isinstance(generation.message, AIMessage):
            generation.message = from_sunra.with_broken_calls(generation.message)
    return result


def _argument_names(cls: type[BaseModel]) -> set[str]:
    aliases = {field.alias for field in cls.model_fields.values() if field.alias is not None}
    return {*cls.model_fields, *aliases}


def _headers(kwargs: Mapping[str, Any]) -> Mapping[str, str] | None:
    return kwargs.get("extra_headers")


def _message_id(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
) -> str:
    return "" if run_manager is None else f"{LC_ID_PREFIX}-{run_manager.run_id}"
