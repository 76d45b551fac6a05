"""Objects of a pydantic class out of answers: what to ask for, and how to read what comes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, Generic

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.types import Model
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from sunra_integrations.errors import Refused, ResponseTruncated
from sunra_integrations.llama_index.tool_calls import truncation
from sunra_integrations.protocol.json_schema import inline_root, try_strict_schema
from sunra_integrations.protocol.json_text import parse_partial_object, read_json
from sunra_integrations.protocol.tools import function_tool, json_schema_format, split_schema
from sunra_integrations.protocol.truncation import is_truncated

_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\s*\n?")
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""Reasoning that servers without a reasoning parser leave in the text, as DeepSeek R1 writes it."""
_DECODER = json.JSONDecoder(strict=False)
_MOST_BRACKETS = 100
"""Brackets looked at, since each may be read to the end of the text."""


def schema_format(output_cls: type[BaseModel], *, strict: bool | None) -> dict[str, Any]:
    """The `response_format` that asks for JSON of this class.

    Args:
        output_cls: The class.
        strict: Hold the answer to the schema. None does so if strict mode can express the schema,
            which it cannot with free-form dicts, for example.

    Raises:
        InvalidParameter: `strict` is True and the schema cannot be made strict-valid.
    """
    name, description, schema = _named_schema(output_cls)
    expressed = try_strict_schema(schema) if strict is None else None
    if expressed is not None:
        return json_schema_format(name, expressed, description=description, strict=True)
    return json_schema_format(name, schema, description=description, strict=strict)


def schema_tool(output_cls: type[BaseModel], *, strict: bool | None) -> dict[str, Any]:
    """The tool, in the wire's form, whose arguments are the fields of this class.

    Args:
        output_cls: The class.
        strict: Hold the arguments to the schema.

    Raises:
        InvalidParameter: `strict` is True and the schema cannot be made strict-valid.
    """
    name, description, schema = _named_schema(output_cls)
    return function_tool(name, description=description, parameters=schema, strict=strict)


def with_schema_told(
    messages: Sequence[ChatMessage], output_cls: type[BaseModel]
) -> list[ChatMessage]:
    """The conversation, its last user message asking for JSON of this class in words."""
    schema = to_json(inline_root(output_cls.model_json_schema())).decode()
    asked = TextBlock(text=f"Answer with one JSON object of this JSON schema only:\n{schema}")
    if not messages or messages[-1].role is not MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, blocks=[asked])]
    *before, last = messages
    return [*before, last.model_copy(update={"blocks": [*last.blocks, asked]})]


def parsed(response: ChatResponse, output_cls: type[Model]) -> Model:
    """The object in an answer: a call's arguments, or the text, the words around it left out.

    Raises:
        Refused: The model declined to answer.
        ResponseTruncated: The answer was cut off.
        pydantic.ValidationError: What it wrote is no such object.
    """
    check_refusal(response)
    text = _written(response)
    if is_truncated(response.additional_kwargs.get("finish_reason"), lambda: _is_whole(text)):
        raise truncation(response, output_cls.__name__)
    try:
        return _validated(output_cls, text)
    except ValidationError:
        between = _without_words(text)
        if between == text:
            raise
        return _validated(output_cls, between)


def _validated(output_cls: type[Model], text: str) -> Model:
    """The object in this JSON, which may be written as models write it: with raw line breaks."""
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


class PartialObjects(Generic[Model]):
    """Reads the object of a streamed answer as far as it has come.

    Args:
        output_cls: The class; where what has come is not yet enough for it, a `FlexibleModel` of
            the same fields is given, the missing ones None.
    """

    def __init__(self, output_cls: type[Model]) -> None:
        self._output_cls = output_cls
        self._flexible = create_flexible_model(output_cls)
        self._cut_off: ResponseTruncated | None = None

    def each(
        self, stream: Generator[ChatResponse, None, None]
    ) -> Generator[Model | FlexibleModel, None, None]:
        """The object in a stream, again and again as it grows; closing closes the stream.

        Raises:
            As `parsed` does, once the answer is finished.
        """
        with closing(stream):
            for response in stream:
                latest = self._read(response)
                if latest is not None:
                    yield latest
        self._end()

    async def aeach(
        self, stream: AsyncGenerator[ChatResponse, None]
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """As `each`, for an async stream."""
        async with aclosing(stream):
            async for response in stream:
                latest = self._read(response)
                if latest is not None:
                    yield latest
        self._end()

    def _read(self, response: ChatResponse) -> Model | FlexibleModel | None:
        """The object so far; whole once the answer is finished, None if it was cut off."""
        if response.additional_kwargs.get("finish_reason") is not None:
            try:
                return parsed(response, self._output_cls)
            except ResponseTruncated as error:  # raised at the end, when token counts are known
                self._cut_off = error
                return None
        fields = parse_partial_object(_FENCE.sub("", _written(response), count=1))
        try:
            return self._output_cls.model_validate(fields)
        except ValidationError:
            return self._flexible.model_validate(fields)

    def _end(self) -> None:
        if self._cut_off is not None:
            raise self._cut_off


def _named_schema(output_cls: type[BaseModel]) -> tuple[str, str | None, dict[str, Any]]:
    """The name, the description, and the schema without them: each is said once."""
    title, description, schema = split_schema(output_cls.model_json_schema())
    return title or output_cls.__name__, description, schema


def _written(response: ChatResponse) -> str:
    """The JSON that the model wrote: the arguments of its first call, else its text."""
    for block in response.message.blocks:
        if isinstance(block, ToolCallBlock):
            given = block.tool_kwargs
            return given if isinstance(given, str) else to_json(given).decode()
    return response.message.content or ""


def _without_words(text: str) -> str:
    """The object between words, if there is just one.

    Reasoning in think tags is left out first. Brackets that the words leave open are those of a
    list, or of a second object, that was cut off: then its first object is not the answer.
    """
    text = _THINKING.sub("", text, count=1)
    found = _objects_in(text)
    if len(found) != 1:
        return text
    ((begin, end),) = found
    words = text[:begin] + text[end:]
    is_closed = words.count("[") == words.count("]") and words.count("{") == words.count("}")
    return text[begin:end] if is_closed else text


def _objects_in(text: str) -> list[tuple[int, int]]:
    """Where the JSON objects of a text begin and end; a bracket of prose begins none."""
    found: list[tuple[int, int]] = []
    begin = text.find("{")
    for _ in range(_MOST_BRACKETS):
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


def _is_whole(text: str) -> bool:
    """Whether the JSON in a text is valid as it stands; a text without any has nothing to lack."""
    try:
        read_json(_without_words(text))
    except ValueError:
        return "{" not in text
    return True


def check_refusal(response: ChatResponse) -> None:
    """Raises `Refused` if the model declined to answer."""
    known: Mapping[str, Any] = response.message.additional_kwargs
    refusal = known.get("refusal")
    if refusal:
        raise Refused(
            f"The model declined to answer: {refusal}",
            refusal=str(refusal),
            request_id=response.additional_kwargs.get("request_id"),
        )
