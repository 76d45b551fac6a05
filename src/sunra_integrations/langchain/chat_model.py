"""`ChatSunra`: any model behind the Sunra gateway as a LangChain chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import httpx
from langchain_core.language_models.model_profile import ModelProfile
from typing_extensions import Unpack

from sunra_integrations.langchain.bindings import Bindings
from sunra_integrations.langchain.configuration import Configuration
from sunra_integrations.transport.parameters import ModelArguments

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from langchain_core.caches import BaseCache
    from langchain_core.callbacks import Callbacks
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.rate_limiters import BaseRateLimiter
    from langchain_core.runnables import RunnableConfig


class ChatSunra(Bindings, Configuration):
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
        extra_body: Further keys of the request body, sent untouched. No `messages`, no `stream`,
            and nothing that is named like a credential.
        model_kwargs: The same under LangChain's name, for keys that are not arguments here.

        A parameter that is not set is not sent.

    Key init args — client params:
        api_key: Else from `SUNRA_KEY`.
        base_url: Else from `SUNRA_BASE_URL`, else Sunra's own.
        timeout: Seconds for an answer to begin, on each attempt, and for each silence within it;
            also `Timeouts`, an `httpx.Timeout` or `(connect, read)`. Also `request_timeout`.
            Defaults to 600, then 300.
        stall_timeout: Seconds for each silence within an answer. Defaults to `timeout`.
        total_timeout: Seconds for the call as a whole, retries included. Defaults to no limit.
        max_connections: Connections open at once, per key and process (sync) or event loop
            (async). Defaults to no limit.
        max_response_bytes: The longest response to read, streamed or not; 256 MiB.
        async_transport: What carries async calls, `httpx` or `aiohttp`; aiohttp if installed.
        max_retries: Tries after the first one, made only before an answer begins. Defaults to 2.
        default_headers: Sent with every request. Not shown; stored in pickles only.
        allow_http: Permit plain http to another machine. Defaults to `SUNRA_ALLOW_HTTP`.
        http_client, http_async_client: httpx clients of your own, never closed here. Without
            them, proxies and certificates come from the usual environment variables, such as
            `HTTPS_PROXY` and `SSL_CERT_FILE`.
        stream_usage: Ask for token counts while streaming (on by default).
        profile: What the model can do and hold; else what is known of it, if anything.

        `timeout`, `stall_timeout`, `total_timeout` and `max_retries` can also be given per call.

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

        Chunks add up with `+`. A tool call that was cut off is among the `invalid_tool_calls` of
        the sum.

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

        An answer that was cut off, by `max_tokens` for example, raises `ResponseTruncated`.

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

        An answer from LangChain's cache has `cached` in it, and a `cost` of 0.

    Raises:
        InvalidParameter: A value breaks its documented rule, or a name is unknown; it names the
            closest.
        ConfigurationError: There is no usable key or base URL.
    """

    # For type checkers: they read pydantic's fields each in a way of its own, which leaves out that
    # a key may be text and `stop` has two names.
    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            model: str,
            base_url: str | None = None,
            stop_sequences: str | list[str] | None = None,
            model_kwargs: dict[str, Any] = ...,
            streaming: bool = False,
            stream_usage: bool = True,
            http_async_client: httpx.AsyncClient | None = None,
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

        # langchain-core's own methods, whose annotations are narrower than what they do: a stream
        # can be closed, and a batch may be any sequence (`list[str]` is not `list[str | …]`).

        def stream(
            self,
            input: LanguageModelInput,  # noqa: A002 - langchain-core's own name
            config: RunnableConfig | None = None,
            *,
            stop: list[str] | None = None,
            **kwargs: Any,
        ) -> Generator[AIMessageChunk, None, None]:
            """The answer in chunks, which add up with `+`; closing it closes the connection."""
            ...

        def astream(
            self,
            input: LanguageModelInput,  # noqa: A002 - langchain-core's own name
            config: RunnableConfig | None = None,
            *,
            stop: list[str] | None = None,
            **kwargs: Any,
        ) -> AsyncGenerator[AIMessageChunk, None]:
            """As `stream`."""
            ...

        def batch(
            self,
            inputs: Sequence[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> list[AIMessage]:
            """The answers to several inputs, in their order."""
            ...

        async def abatch(
            self,
            inputs: Sequence[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Any,
        ) -> list[AIMessage]:
            """As `batch`."""
            ...
