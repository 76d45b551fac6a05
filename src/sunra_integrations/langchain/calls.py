"""How a `ChatSunra` is called: whole, streamed in chunks and streamed in v3 events."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.utils.utils import LC_ID_PREFIX

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain import from_sunra, to_sunra
from sunra_integrations.langchain.description import Description
from sunra_integrations.langchain.errors import raised_as_model_errors
from sunra_integrations.langchain.message_events import MessageEvents, keep_refusal
from sunra_integrations.langchain.streamed import StreamedMessage
from sunra_integrations.langchain.token_usage import added, without_cost
from sunra_integrations.protocol.arguments import split_call
from sunra_integrations.protocol.request import ChatRequest

if TYPE_CHECKING:
    from langchain_core.language_models.chat_model_stream import (
        AsyncChatModelStream,
        ChatModelStream,
    )
    from langchain_protocol.protocol import MessagesData


_Hook = TypeVar("_Hook", bound=Callable[..., Any])


def _with_its_signature(hook: _Hook) -> _Hook:
    """The hook with its signature ready: core asks for it in every call, and making it is slow."""
    hook.__signature__ = inspect.signature(hook)  # type: ignore[attr-defined]  # `inspect` looks there
    return hook


class Calls(Description):
    """LangChain's calling hooks, natively sync and async."""

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
        given = kwargs.get("extra_body")
        own = given if isinstance(given, Mapping) else {}  # the request refuses anything else
        body = {**self.model_kwargs, **self.extra_body, **own}
        asked = body.get("n", kwargs.get("n", self.n))
        return isinstance(asked, int) and asked > 1

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        told = [output for output in llm_outputs if output]
        if not told:
            return {}
        counted = [output["token_usage"] for output in told if "token_usage" in output]
        return {
            "model_provider": from_sunra.MODEL_PROVIDER,
            "model_name": self.model_name,
            **({"token_usage": added(counted)} if counted else {}),
        }

    def _convert_cached_generations(self, cache_val: list[Generation]) -> list[ChatGeneration]:
        found = super()._convert_cached_generations(cache_val)
        for generation in found:
            if isinstance(generation.message, AIMessage):
                generation.message = without_cost(generation.message)
        return found

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

    @_with_its_signature
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        with raised_as_model_errors():
            request = self._request(messages, stop, kwargs)
            return from_sunra.result(
                self._client(_changes(kwargs)).create(request, headers=_headers(kwargs))
            )

    @_with_its_signature
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core's signature
        **kwargs: Any,
    ) -> ChatResult:
        with raised_as_model_errors():
            request = self._request(messages, stop, kwargs)
            reply = await self._async_client(_changes(kwargs)).create(
                request, headers=_headers(kwargs)
            )
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
            events = self._client(_changes(kwargs)).stream(
                request, headers=_headers(kwargs), so_far=streamed.so_far
            )
            with closing(events):
                for event in events:
                    for chunk in streamed.chunks(event):
                        if run_manager is not None:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
            for last in streamed.last_chunks():
                if run_manager is not None:
                    run_manager.on_llm_new_token(last.text, chunk=last)
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
            client = self._async_client(_changes(kwargs))
            events = client.stream(request, headers=_headers(kwargs), so_far=streamed.so_far)
            async with aclosing(events):
                async for event in events:
                    for chunk in streamed.chunks(event):
                        if run_manager is not None:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
            for last in streamed.last_chunks():
                if run_manager is not None:
                    await run_manager.on_llm_new_token(last.text, chunk=last)
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
            events = self._client(_changes(kwargs)).stream(
                request, headers=_headers(kwargs), so_far=message.so_far
            )
            with closing(events):
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
            client = self._async_client(_changes(kwargs))
            events = client.stream(request, headers=_headers(kwargs), so_far=message.so_far)
            async with aclosing(events):
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


def _changes(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The client settings that a call changes."""
    return split_call(kwargs)[1]


def _headers(kwargs: Mapping[str, Any]) -> Mapping[str, str] | None:
    return kwargs.get("extra_headers")


def _message_id(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
) -> str:
    return "" if run_manager is None else f"{LC_ID_PREFIX}-{run_manager.run_id}"
