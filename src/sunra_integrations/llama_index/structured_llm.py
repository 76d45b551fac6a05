"""`StructuredLLM` with all eight methods; the framework's lacks the streamed completions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

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
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts.base import BasePromptTemplate, ChatPromptTemplate
from llama_index.core.types import TokenAsyncGen, TokenGen
from pydantic import BaseModel

from sunra_integrations.llama_index import from_sunra
from sunra_integrations.llama_index.observed import observed, observed_stream, unobserved
from sunra_integrations.llama_index.streams import amapped, awatched, mapped, watched


class StructuredSunra(StructuredLLM):
    """A `Sunra` whose every answer is JSON of one pydantic class; `raw` is the object."""

    @observed
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to a conversation."""
        answer: ChatResponse = unobserved(super().chat)(messages, **kwargs)
        return answer

    @observed
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As `chat`."""
        answer: ChatResponse = await unobserved(super().achat)(messages, **kwargs)
        return answer

    @observed
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """As `chat`, for a prompt."""
        answer: CompletionResponse = unobserved(super().complete)(prompt, formatted, **kwargs)
        return answer

    @observed
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """As `chat`, for a prompt."""
        answer: CompletionResponse = await unobserved(super().acomplete)(
            prompt, formatted, **kwargs
        )
        return answer

    @observed_stream
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer as it comes, each response holding all of it so far."""
        return watched(self, llm_chat_callback(), self._stream_chat, messages, **kwargs)

    @observed_stream
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """As `stream_chat`."""
        return await awatched(self, llm_chat_callback(), self._astream_chat, messages, **kwargs)

    @observed_stream
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002 - the framework's signature; prompts go as they are
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """As `stream_chat`, for a prompt."""
        return watched(self, llm_completion_callback(), self._stream_complete, prompt, **kwargs)

    @observed_stream
    async def astream_complete(  # pyright: ignore[reportIncompatibleMethodOverride] - the base's own annotation names the sync generator
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002 - as in stream_complete
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """As `stream_chat`, for a prompt."""
        return await awatched(
            self, llm_completion_callback(), self._astream_complete, prompt, **kwargs
        )

    @observed_stream
    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenGen:
        """As `Sunra.stream`."""
        return unobserved(super().stream)(prompt, **prompt_args)

    @observed_stream
    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        """As `stream`."""
        return await unobserved(super().astream)(prompt, **prompt_args)

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        objects = self.llm.stream_structured_predict(
            self.output_cls, _template(messages), llm_kwargs=kwargs
        )
        return mapped(_response, objects)

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        objects = await self.llm.astream_structured_predict(
            self.output_cls, _template(messages), llm_kwargs=kwargs
        )
        async with aclosing(amapped(_response, objects)) as responses:
            async for response in responses:
                yield response

    def _stream_complete(self, prompt: str, **kwargs: Any) -> CompletionResponseGen:
        return mapped(from_sunra.completion, self._stream_chat([_asked(prompt)], **kwargs))

    def _astream_complete(self, prompt: str, **kwargs: Any) -> CompletionResponseAsyncGen:
        return amapped(from_sunra.completion, self._astream_chat([_asked(prompt)], **kwargs))


def _template(messages: Sequence[ChatMessage]) -> Any:
    """The messages as a prompt without variables, as the framework hands them to programs."""
    return ChatPromptTemplate(message_templates=list(messages))


def _asked(prompt: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=prompt)


def _response(partial: BaseModel) -> ChatResponse:
    message = ChatMessage(role=MessageRole.ASSISTANT, content=partial.model_dump_json())
    return ChatResponse(message=message, raw=partial)
