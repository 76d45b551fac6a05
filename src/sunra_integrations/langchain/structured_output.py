"""Answers of a given schema: which request asks for them, and which parser reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from operator import itemgetter
from typing import Any, Generic, Literal, TypeVar

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel
from typing_extensions import TypedDict

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain.errors import Refused
from sunra_integrations.langchain.tools import Tool, answer_format, tool
from sunra_integrations.protocol.tools import tool_name

Method = Literal["json_schema", "function_calling", "json_mode"]

Parsed = TypeVar("Parsed")


class WithRaw(TypedDict, Generic[Parsed]):
    """An answer asked for with `include_raw=True`."""

    raw: AIMessage
    """The message as it came."""
    parsed: Parsed | None
    """The object read from it; None where that failed."""
    parsing_error: BaseException | None
    """Why it failed; None where it did not."""


METHODS: tuple[Method, ...] = ("json_schema", "function_calling", "json_mode")


def bound_parameters(schema: Tool, method: Method, strict: bool | None) -> dict[str, Any]:
    """The call parameters that ask for an answer of this schema.

    Args:
        schema: A pydantic or TypedDict class, or a dict.
        method: `json_schema` and `json_mode` ask by `response_format`, `function_calling` by a
            tool that must be called.
        strict: Ask that the answer keep to the schema; None leaves it to the server.

    Raises:
        InvalidParameter: The method is unknown, or `strict` is given for `json_mode`.
    """
    if method not in METHODS:
        raise InvalidParameter(
            f"`method` was {method!r}; the rule is: one of {', '.join(METHODS)}.",
            parameter="method",
            value=method,
            rule=f"one of {', '.join(METHODS)}",
        )
    traced = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
    match method:
        case "json_schema":
            asked: dict[str, Any] = {"response_format": answer_format(schema, strict=strict)}
        case "json_mode":
            if strict is not None:
                raise InvalidParameter(
                    "`strict` has no meaning with method='json_mode', which sends no schema.",
                    parameter="strict",
                    value=strict,
                    rule="with json_schema or function_calling only",
                )
            asked = {"response_format": {"type": "json_object"}}
        case "function_calling":
            made = tool(schema, strict=strict)
            asked = {"tools": [made], "tool_choice": tool_name(made)}
    return {**asked, "ls_structured_output_format": traced}


def answer_parser(schema: Tool, method: Method) -> Runnable[Any, Any]:
    """What turns the answer into an object of the schema: a model instance, or a dict.

    Dicts grow while they are streamed. A refusal raises `Refused` with the model's words.
    """
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return _refusals_raised() | _model_parser(schema, method)
    if method == "function_calling":
        name = tool_name(tool(schema))
        return _refusals_raised() | JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    return _refusals_raised() | JsonOutputParser()


def with_raw(
    model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]
) -> Runnable[LanguageModelInput, dict[str, Any]]:
    """Answers as `raw`, `parsed` and `parsing_error`, the last in place of raising."""
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _model_parser(schema: type[BaseModel], method: Method) -> Runnable[Any, Any]:
    if method == "function_calling":
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return PydanticOutputParser(pydantic_object=schema)


def _refusals_raised() -> Runnable[AIMessage, AIMessage]:
    """Lets messages through as they come, and raises when they turn out to be a refusal."""
    return RunnableGenerator(_unless_refused, _aunless_refused)


def _unless_refused(messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
    seen: list[AIMessage] = []
    refused = False
    for message in messages:
        seen.append(message)
        refused = refused or bool(_refusal_in(message))
        if not refused:  # core's parsers raise at the first word of a refusal
            yield message
    _raise_refusal(seen)


async def _aunless_refused(messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
    seen: list[AIMessage] = []
    refused = False
    async for message in messages:
        seen.append(message)
        refused = refused or bool(_refusal_in(message))
        if not refused:
            yield message
    _raise_refusal(seen)


def _raise_refusal(messages: list[AIMessage]) -> None:
    refusal = "".join(map(_refusal_in, messages))
    if refusal:
        raise Refused(
            f"The model declined to answer: {refusal}",
            refusal=refusal,
            raw_message=_added(messages),
        )


def _added(messages: list[AIMessage]) -> AIMessage:
    """The message that a stream's chunks add up to, or the only one."""
    chunks = [message for message in messages if isinstance(message, AIMessageChunk)]
    return add_ai_message_chunks(*chunks) if chunks else messages[0]


def _refusal_in(message: AIMessage) -> str:
    said = message.additional_kwargs.get("refusal")
    if said or isinstance(message.content, str):
        return said or ""
    parts = (part for part in message.content if isinstance(part, dict))
    return "".join(str(part.get("refusal", "")) for part in parts if part.get("type") == "refusal")
