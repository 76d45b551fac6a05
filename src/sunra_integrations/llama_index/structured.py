"""Structured output: what to request, how to read replies, and LlamaIndex's programs.

`Sunra.structured_predict` and its variants use `schema_format`, `schema_tool` or
`with_schema_instructions` for the request, then `parse` or `PartialObjects` for the reply.
`StructuredSunra` is what `as_structured_llm` returns.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, Generic

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts.base import BasePromptTemplate, ChatPromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import Model, TokenAsyncGen, TokenGen
from pydantic import BaseModel, Field, RootModel, ValidationError
from pydantic_core import to_json

from sunra_integrations.errors import Refused, ResponseTruncated, UnreadableResponse
from sunra_integrations.llama_index import response as converters
from sunra_integrations.llama_index.instrumentation import (
    amap_stream,
    awith_callbacks,
    instrumented,
    instrumented_stream,
    map_stream,
    with_callbacks,
    without_span,
)
from sunra_integrations.llama_index.repair import EARLIER_ATTEMPTS, Repairs
from sunra_integrations.llama_index.tools import (
    arguments_of_calls,
    local_tools,
    response_truncated,
    tool_selections,
)
from sunra_integrations.protocol.json_schema import inline_root, try_strict_schema
from sunra_integrations.protocol.json_text import parse_arguments, parse_partial_object, read_json
from sunra_integrations.protocol.tools import function_tool, json_schema_format, split_schema
from sunra_integrations.protocol.truncation import is_truncated

# ── requests ─────────────────────────────────────────────────────────────────


def schema_format(output_cls: type[BaseModel], *, strict: bool | None) -> dict[str, Any]:
    """The `response_format` that requests JSON of this class.

    Args:
        output_cls: The class.
        strict: Make the schema strict and request that the server enforces it. None does so if
            strict mode can express the schema. For example, it cannot express free-form dicts.

    Raises:
        InvalidParameter: `strict` is True and strict mode cannot express the schema.
    """
    name, description, schema = _named_schema(output_cls)
    strict_schema = try_strict_schema(schema) if strict is None else None
    if strict_schema is not None:
        return json_schema_format(name, strict_schema, description=description, strict=True)
    return json_schema_format(name, schema, description=description, strict=strict)


def schema_tool(output_cls: type[BaseModel], *, strict: bool | None) -> dict[str, Any]:
    """A tool, in the API's format, whose arguments are the fields of this class.

    Args:
        output_cls: The class.
        strict: Make the schema strict and request that the server enforces it.

    Raises:
        InvalidParameter: `strict` is True and strict mode cannot express the schema.
    """
    name, description, schema = _named_schema(output_cls)
    return function_tool(name, description=description, parameters=schema, strict=strict)


def with_schema_instructions(
    messages: Sequence[ChatMessage], output_cls: type[BaseModel]
) -> list[ChatMessage]:
    """The conversation, with the class's JSON schema added to its last user message."""
    schema = to_json(inline_root(output_cls.model_json_schema())).decode()
    block = TextBlock(text=f"Answer with one JSON object of this JSON schema only:\n{schema}")
    if not messages or messages[-1].role is not MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, blocks=[block])]
    *before, last = messages
    return [*before, last.model_copy(update={"blocks": [*last.blocks, block]})]


def _named_schema(output_cls: type[BaseModel]) -> tuple[str, str | None, dict[str, Any]]:
    """The name, the description, and the schema without both."""
    title, description, schema = split_schema(output_cls.model_json_schema())
    return title or output_cls.__name__, description, schema


# ── replies ──────────────────────────────────────────────────────────────────


def parse(response: ChatResponse, output_cls: type[Model]) -> Model:
    """The object in a finished response: the arguments of a call, or JSON in the text.

    Raises:
        Refused: The model declined to answer.
        ResponseTruncated: The response was cut off.
        pydantic.ValidationError: The response is not an object of the class.
    """
    _raise_if_refused(response)
    text = _json_text(response)
    if is_truncated(response.additional_kwargs.get("finish_reason"), lambda: _is_complete(text)):
        raise response_truncated(response, output_cls.__name__)
    try:
        return _validate(output_cls, text)
    except ValidationError:
        extracted = _extract_object(text)
        if extracted == text:
            raise
        return _validate(output_cls, extracted)


class PartialObjects(Generic[Model]):
    """Reads the object of a streamed response as far as it is received.

    Args:
        output_cls: The class. While required fields are missing, the object is a `FlexibleModel`
            with the same fields, the missing ones None.
    """

    def __init__(self, output_cls: type[Model]) -> None:
        self._output_cls = output_cls
        self._flexible = create_flexible_model(output_cls)
        self._error: Exception | None = None
        self.finished: ChatResponse | None = None
        """The last response, once the stream is finished."""

    def read(
        self, stream: Generator[ChatResponse, None, None]
    ) -> Generator[Model | FlexibleModel, None, None]:
        """Yields the object again for each response. Closing the result closes the stream.

        Raises:
            As `parse` does, once the response is finished.
        """
        with closing(stream):
            for response in stream:
                latest = self._latest(response)
                if latest is not None:
                    yield latest
        self._raise_error()

    async def aread(
        self, stream: AsyncGenerator[ChatResponse, None]
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """`read` for an async stream."""
        async with aclosing(stream):
            async for response in stream:
                latest = self._latest(response)
                if latest is not None:
                    yield latest
        self._raise_error()

    def _latest(self, response: ChatResponse) -> Model | FlexibleModel | None:
        """The object so far. None if the response is finished and is not an object."""
        if response.additional_kwargs.get("finish_reason") is not None:
            self.finished, self._error = response, None
            try:
                return parse(response, self._output_cls)
            except (ResponseTruncated, ValidationError) as error:
                self._error = error  # raised at the end, when the usage is known
                return None
        fields = parse_partial_object(_FENCE.sub("", _json_text(response), count=1))
        try:
            return self._output_cls.model_validate(fields)
        except ValidationError:
            return self._flexible.model_validate(fields)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\s*\n?")
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""DeepSeek R1's reasoning, which servers without a reasoning parser leave in the text."""
_DECODER = json.JSONDecoder(strict=False)
_MAX_BRACKETS = 100
"""Brackets to try, because each may be parsed to the end of the text."""


def _raise_if_refused(response: ChatResponse) -> None:
    extra: Mapping[str, Any] = response.message.additional_kwargs
    refusal = extra.get("refusal")
    if refusal:
        raise Refused(
            f"The model declined to answer: {refusal}",
            refusal=str(refusal),
            request_id=response.additional_kwargs.get("request_id"),
        )


def _json_text(response: ChatResponse) -> str:
    """The JSON that the model wrote: the arguments of its first call, or else its text."""
    for block in response.message.blocks:
        if isinstance(block, ToolCallBlock):
            arguments = block.tool_kwargs
            return arguments if isinstance(arguments, str) else to_json(arguments).decode()
    return response.message.content or ""


def _validate(output_cls: type[Model], text: str) -> Model:
    """The object in JSON as models write it, for example with raw line breaks in strings."""
    try:
        return output_cls.model_validate_json(text)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "json_invalid":
            raise
        try:
            value = read_json(text)
        except ValueError:
            raise error from None
        return output_cls.model_validate_json(to_json(value))


def _extract_object(text: str) -> str:
    """The JSON object in a text if there is exactly one, otherwise the text.

    Reasoning in think tags is ignored. Unbalanced brackets around the object mean that a list, or
    a second object, was cut off. Then its first object is not the answer.
    """
    text = _THINKING.sub("", text, count=1)
    found = _find_objects(text)
    if len(found) != 1:
        return text
    ((begin, end),) = found
    around = text[:begin] + text[end:]
    is_balanced = around.count("[") == around.count("]") and around.count("{") == around.count("}")
    return text[begin:end] if is_balanced else text


def _find_objects(text: str) -> list[tuple[int, int]]:
    """Where the JSON objects in a text begin and end. Brackets in prose are skipped."""
    found: list[tuple[int, int]] = []
    begin = text.find("{")
    for _ in range(_MAX_BRACKETS):
        if begin < 0:
            break
        try:
            _, end = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError):
            end = begin + 1
        else:
            found.append((begin, end))
        begin = text.find("{", end)
    return found


def _is_complete(text: str) -> bool:
    """Whether the JSON in a text is valid as it stands. A text without any is complete."""
    try:
        read_json(_extract_object(text))
    except ValueError:
        return "{" not in text
    return True


# ── programs ─────────────────────────────────────────────────────────────────
# While LlamaIndex's `FunctionCallingProgram` reads a stream, it logs errors and goes on; see
# docs/upstream/llama-index-core.md. Of two objects it keeps the one with more values, and counts
# the defaults of a partial object. So the stream itself raises the errors, and the arguments of a
# finished response include the defaults.

_PROGRAM_MODULE = "llama_index.core.program.function_program"


def program_class(tools: Sequence[BaseTool]) -> type[BaseModel] | None:
    """The class whose fields a program requests as a tool; None if no program made the tools."""
    for tool in local_tools(tools):
        function = getattr(tool, "real_fn", None)
        schema = tool.metadata.fn_schema
        if schema is not None and getattr(function, "__module__", None) == _PROGRAM_MODULE:
            return schema
    return None


def check_program_response(response: ChatResponse, output_cls: type[BaseModel]) -> None:
    """Raises unless a finished response has the whole object.

    Raises:
        Refused: The model declined to answer.
        ResponseTruncated: The response was cut off.
        UnreadableResponse: The arguments of a call are not a JSON object.
    """
    _raise_if_refused(response)
    invalid = [text for text in arguments_of_calls(response) if parse_arguments(text) is None]
    finish_reason = response.additional_kwargs.get("finish_reason")
    if is_truncated(finish_reason, lambda: not invalid):
        raise response_truncated(response, output_cls.__name__)
    if invalid:
        raise UnreadableResponse(
            f"The arguments of the call of {output_cls.__name__!r} are not a JSON object: "
            f"{invalid[0][:300]}"
        )


def program_stream(
    stream: Generator[ChatResponse, None, None], output_cls: type[BaseModel]
) -> Generator[ChatResponse, None, None]:
    """The responses for a program. Closing the result closes the stream.

    Raises:
        As `check_program_response` does, at the end of the stream.
        ValueError: The model called no tool, or the arguments do not fit the class.
    """
    last = None
    with closing(stream):
        for last in stream:
            yield _with_defaults(last, output_cls)
    if last is not None:
        _check_last(last, output_cls)


async def aprogram_stream(
    stream: AsyncGenerator[ChatResponse, None], output_cls: type[BaseModel]
) -> AsyncGenerator[ChatResponse, None]:
    """`program_stream` for an async stream."""
    last = None
    async with aclosing(stream):
        async for last in stream:
            yield _with_defaults(last, output_cls)
    if last is not None:
        _check_last(last, output_cls)


def _check_last(last: ChatResponse, output_cls: type[BaseModel]) -> None:
    """Raises if the program cannot make its object; it would return a partial one instead."""
    check_program_response(last, output_cls)
    for call in tool_selections(last, error_on_no_tool_call=True):
        output_cls.model_validate(call.tool_kwargs)


def _with_defaults(response: ChatResponse, output_cls: type[BaseModel]) -> ChatResponse:
    if response.additional_kwargs.get("finish_reason") is None:
        return response
    message = response.message
    blocks = [
        block.model_copy(update={"tool_kwargs": _all_fields(block.tool_kwargs, output_cls)})
        if isinstance(block, ToolCallBlock)
        else block
        for block in message.blocks
    ]
    return response.model_copy(update={"message": message.model_copy(update={"blocks": blocks})})


def _all_fields(arguments: dict[str, Any] | str, output_cls: type[BaseModel]) -> Any:
    """The arguments with the class's defaults, if the class reads the same object from them."""
    given = parse_arguments(arguments) if isinstance(arguments, str) else arguments
    try:
        parsed = output_cls.model_validate(given)
        fields = parsed.model_dump(round_trip=True)
        same = output_cls.model_validate(fields) == parsed
    except Exception:  # noqa: BLE001 - the class's own validator; the program raises it too
        return arguments
    return fields if same and not issubclass(output_cls, RootModel) else arguments


# ── the structured LLM ───────────────────────────────────────────────────────


class StructuredSunra(StructuredLLM):
    """A `Sunra` whose replies are JSON of one pydantic class. `raw` is the object.

    After a repair, `additional_kwargs["earlier_attempts"]` of the response lists the failed
    attempts: their reply, error, usage and cost.

    In LlamaIndex's own class the streamed completions raise NotImplementedError
    (llama-index-core 0.14.25).
    """

    repair: int = Field(
        default=0, description="How many times to request a reply again that does not match."
    )

    @instrumented
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The reply to a conversation."""
        repairs = self._repairs(kwargs)
        return _with_attempts(without_span(super().chat)(messages, **kwargs), repairs)

    @instrumented
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async `chat`."""
        repairs = self._repairs(kwargs)
        return _with_attempts(await without_span(super().achat)(messages, **kwargs), repairs)

    @instrumented
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The reply to a prompt."""
        response: CompletionResponse = without_span(super().complete)(prompt, formatted, **kwargs)
        return response

    @instrumented
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Async `complete`."""
        response: CompletionResponse = await without_span(super().acomplete)(
            prompt, formatted, **kwargs
        )
        return response

    @instrumented_stream
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Streams the reply. Each response contains the whole reply so far."""
        return with_callbacks(self, llm_chat_callback(), self._stream_chat, messages, **kwargs)

    @instrumented_stream
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Async `stream_chat`."""
        return await awith_callbacks(
            self, llm_chat_callback(), self._astream_chat, messages, **kwargs
        )

    @instrumented_stream
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002 - the framework's signature
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Streams the reply to a prompt, as `stream_chat` does."""
        callback = llm_completion_callback()
        return with_callbacks(self, callback, self._stream_complete, prompt, **kwargs)

    @instrumented_stream
    async def astream_complete(  # pyright: ignore[reportIncompatibleMethodOverride] - the base's own annotation names the sync generator
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002 - the framework's signature
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Async `stream_complete`."""
        callback = llm_completion_callback()
        return await awith_callbacks(self, callback, self._astream_complete, prompt, **kwargs)

    @instrumented_stream
    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenGen:
        """Streams the text of the reply to a prompt template."""
        return without_span(super().stream)(prompt, **prompt_args)

    @instrumented_stream
    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        """Async `stream`."""
        return await without_span(super().astream)(prompt, **prompt_args)

    def _repairs(self, kwargs: dict[str, Any]) -> Repairs | None:
        """The repairs of a call, put into its keyword arguments; None if it has none."""
        given = kwargs.get("repair", self.repair)
        if not given:
            return None
        kwargs["repair"] = repairs = Repairs.of(given)
        return repairs

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        repairs = self._repairs(kwargs)
        objects = self.llm.stream_structured_predict(
            self.output_cls, _template(messages), llm_kwargs=kwargs
        )
        return map_stream(lambda partial: _with_attempts(_response(partial), repairs), objects)

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        repairs = self._repairs(kwargs)
        objects = await self.llm.astream_structured_predict(
            self.output_cls, _template(messages), llm_kwargs=kwargs
        )
        async with aclosing(amap_stream(_response, objects)) as responses:
            async for response in responses:
                yield _with_attempts(response, repairs)

    def _stream_complete(self, prompt: str, **kwargs: Any) -> CompletionResponseGen:
        return map_stream(converters.completion, self._stream_chat([_user(prompt)], **kwargs))

    def _astream_complete(self, prompt: str, **kwargs: Any) -> CompletionResponseAsyncGen:
        return amap_stream(converters.completion, self._astream_chat([_user(prompt)], **kwargs))


def _template(messages: Sequence[ChatMessage]) -> Any:
    """The messages as a prompt without variables, as LlamaIndex passes them to programs."""
    return ChatPromptTemplate(message_templates=list(messages))


def _user(prompt: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=prompt)


def _with_attempts(response: ChatResponse, repairs: Repairs | None) -> ChatResponse:
    if repairs is not None and repairs.attempts:
        response.additional_kwargs[EARLIER_ATTEMPTS] = list(repairs.attempts)
    return response


def _response(partial: BaseModel) -> ChatResponse:
    message = ChatMessage(role=MessageRole.ASSISTANT, content=partial.model_dump_json())
    return ChatResponse(message=message, raw=partial)
