"""Structured prediction: natively by JSON schema, by a required tool call, or by JSON mode."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.llama_index.configuration import SunraConfiguration
from sunra_integrations.llama_index.observed import (
    dispatcher,
    observed,
    observed_stream,
    unobserved,
)
from sunra_integrations.llama_index.structured import (
    PartialObjects,
    parsed,
    schema_format,
    schema_tool,
    with_schema_told,
)
from sunra_integrations.llama_index.structured_llm import StructuredSunra

_NATIVE = frozenset(
    (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM)
)
_PROGRAMS_OWN = frozenset(("tool_choice", "tool_required", "allow_parallel_tool_calls", "strict"))


class StructuredPrediction(SunraConfiguration):
    """What `Sunra` does of structured prediction; `pydantic_program_mode` says how."""

    @observed
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """An object of this class, in answer to the prompt.

        Args:
            output_cls: The class.
            prompt: The prompt, to be filled with `prompt_args`.
            llm_kwargs: Parameters of the call, as `chat` takes them.
            **prompt_args: Values for the prompt's variables.

        Raises:
            Refused: The model declined to answer.
            ResponseTruncated: The answer was cut off, such as by `max_tokens`; `text` holds it.
            pydantic.ValidationError: The model wrote something else.
            SunraError: Whatever else went wrong, typed; see `sunra_integrations.errors`.
        """
        if self.pydantic_program_mode not in _NATIVE:
            called: Model = unobserved(super().structured_predict)(
                output_cls, prompt, llm_kwargs=dict(llm_kwargs or {}), **prompt_args
            )
            return called
        dispatcher.event(_started(output_cls, prompt, prompt_args))
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        result = parsed(self.chat(messages, **kwargs), output_cls)
        dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    @observed
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """As `structured_predict`."""
        if self.pydantic_program_mode not in _NATIVE:
            called: Model = await unobserved(super().astructured_predict)(
                output_cls, prompt, llm_kwargs=dict(llm_kwargs or {}), **prompt_args
            )
            return called
        dispatcher.event(_started(output_cls, prompt, prompt_args))
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        result = parsed(await self.achat(messages, **kwargs), output_cls)
        dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    @observed_stream
    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | FlexibleModel, None, None]:
        """The object as far as it has come, again and again; the last one is whole.

        Until the fields that the class requires have come, it is a `FlexibleModel`.

        Args:
            output_cls: The class.
            prompt: The prompt, to be filled with `prompt_args`.
            llm_kwargs: Parameters of the call, as `chat` takes them.
            **prompt_args: Values for the prompt's variables.

        Raises:
            As `structured_predict`.
        """
        dispatcher.event(_started(output_cls, prompt, prompt_args))
        with closing(
            self._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        ) as objects:
            latest: Any = None
            for latest in objects:
                dispatcher.event(LLMStructuredPredictInProgressEvent(output=latest))
                yield latest
        dispatcher.event(LLMStructuredPredictEndEvent(output=latest))

    @observed_stream
    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """As `stream_structured_predict`."""

        async def watched_objects() -> AsyncGenerator[Model | FlexibleModel, None]:
            dispatcher.event(_started(output_cls, prompt, prompt_args))
            opened = await self._structured_astream_call(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
            async with aclosing(opened) as objects:
                latest: Any = None
                async for latest in objects:
                    dispatcher.event(LLMStructuredPredictInProgressEvent(output=latest))
                    yield latest
            dispatcher.event(LLMStructuredPredictEndEvent(output=latest))

        return watched_objects()

    def as_structured_llm(self, output_cls: type[BaseModel], **kwargs: Any) -> StructuredSunra:
        """This LLM with every answer an object of one class.

        Args:
            output_cls: The class.
            **kwargs: Fields of the structured LLM, such as `callback_manager`.
        """
        return StructuredSunra(llm=self, output_cls=output_cls, **kwargs)

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        if self.pydantic_program_mode not in _NATIVE:
            return super()._structured_stream_call(
                output_cls, prompt, dict(llm_kwargs or {}), **prompt_args
            )
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        stream = self.stream_chat(messages, **kwargs)
        return PartialObjects(output_cls).each(stream)

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        if self.pydantic_program_mode not in _NATIVE:
            return await super()._structured_astream_call(
                output_cls, prompt, dict(llm_kwargs or {}), **prompt_args
            )
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        stream = await self.astream_chat(messages, **kwargs)
        return PartialObjects(output_cls).aeach(stream)

    def _structured_call(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None,
        prompt_args: dict[str, Any],
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Messages and parameters that ask for the object, in the way of the mode."""
        given = dict(llm_kwargs or {})
        strict = given.get("strict", self.strict)
        kwargs = {name: value for name, value in given.items() if name not in _PROGRAMS_OWN}
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        asked: dict[str, Any]
        match self.pydantic_program_mode:
            case PydanticProgramMode.LLM:
                messages = with_schema_told(messages, output_cls)
                asked = {"response_format": {"type": "json_object"}}
            case PydanticProgramMode.FUNCTION:
                asked = {
                    "tools": [schema_tool(output_cls, strict=strict)],
                    "tool_choice": "required",
                }
            case _:
                asked = {"response_format": schema_format(output_cls, strict=strict)}
        return messages, {**asked, **kwargs}


def _started(
    output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: dict[str, Any]
) -> LLMStructuredPredictStartEvent:
    return LLMStructuredPredictStartEvent(
        output_cls=output_cls, template=prompt, template_args=prompt_args
    )
