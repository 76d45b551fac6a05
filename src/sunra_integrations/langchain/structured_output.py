"""Structured output: the call parameters that request a schema, and the parser of the response."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.output_parsers import (
    BaseCumulativeTransformOutputParser,
    JsonOutputParser,
    PydanticOutputParser,
)
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableMap,
)
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import TBaseModel, is_basemodel_subclass
from pydantic_core import to_json
from typing_extensions import TypedDict

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain.errors import Refused, as_model_error
from sunra_integrations.langchain.messages import split_invalid_tool_calls
from sunra_integrations.langchain.tools import (
    Tool,
    response_format,
    tool,
    tool_choice,
    traced_schema,
)
from sunra_integrations.protocol.json_text import well_formed_value
from sunra_integrations.protocol.reply import ToolCall as ReplyToolCall
from sunra_integrations.protocol.tools import tool_name
from sunra_integrations.protocol.truncation import is_truncated, truncation_error

Method = Literal["json_schema", "function_calling", "json_mode"]

Parsed = TypeVar("Parsed")


class WithRaw(TypedDict, Generic[Parsed]):
    """The output with `include_raw=True`."""

    raw: AIMessage
    """The model's message."""
    parsed: Parsed | None
    """The parsed object; None if parsing failed."""
    parsing_error: BaseException | None
    """The error if parsing failed."""


METHODS: tuple[Method, ...] = ("json_schema", "function_calling", "json_mode")


def bound_parameters(
    schema: Tool, method: Method, strict: bool | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The call parameters that request output of this schema.

    Args:
        schema: A pydantic or TypedDict class, or a dict.
        method: `json_schema` and `json_mode` send a `response_format`, `function_calling` a tool
            that must be called.
        strict: Whether the output must follow the schema. Defaults to the server's default.
        given: Other parameters of the call. `tools` are added to the schema's tool, and
            `tool_choice` overrides that of `function_calling`.

    Raises:
        InvalidParameter: The method is unknown, `strict` is given for `json_mode`, or
            `response_format` is given for a method that makes its own.
    """
    if method not in METHODS:
        raise InvalidParameter(
            f"`method` must be one of {', '.join(METHODS)}, got {method!r}.",
            parameter="method",
            value=method,
            rule=f"one of {', '.join(METHODS)}",
        )
    if method == "json_mode" and strict is not None:
        raise InvalidParameter(
            "`strict` cannot be used with method='json_mode', which sends no schema.",
            parameter="strict",
            value=strict,
            rule="with json_schema or function_calling only",
        )
    rest = {name: value for name, value in given.items() if name not in _CONVERTED}
    traced = {"kwargs": {"method": method, "strict": strict}, "schema": traced_schema(schema)}
    return {
        **_requested(schema, method, strict, given),
        **rest,
        "ls_structured_output_format": traced,
    }


_CONVERTED = frozenset(("response_format", "tools", "tool_choice"))


def _requested(
    schema: Tool, method: Method, strict: bool | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    tools = [tool(one, strict=strict) for one in given.get("tools") or ()]
    choice = given.get("tool_choice")
    if method == "function_calling":
        made = tool(schema, strict=strict)
        tools = [made, *(one for one in tools if tool_name(one) != tool_name(made))]
        choice = given.get("tool_choice", tool_name(made))
    requested = _requested_format(schema, method, strict, given.get("response_format"))
    if tools:
        requested["tools"] = tools
        choice = tool_choice(choice, tools)
    return requested if choice is None else {**requested, "tool_choice": choice}


def _requested_format(
    schema: Tool, method: Method, strict: bool | None, given: Tool | None
) -> dict[str, Any]:
    if method == "function_calling":
        return {} if given is None else {"response_format": response_format(given, strict=strict)}
    if given is not None:
        raise InvalidParameter(
            f"`response_format` cannot be combined with method={method!r}, which sets it from the "
            "schema. Remove it, or use `bind_tools([], response_format=…)` and parse the text.",
            parameter="response_format",
            value=given,
            rule="with function_calling only",
        )
    if method == "json_mode":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": response_format(schema, strict=strict)}


def output_parser(schema: Tool, method: Method) -> Runnable[Any, Any]:
    """The parser from a message to an object of the schema: a model instance, or a dict.

    When streamed, it yields dicts that grow. If the model calls other tools instead, it returns
    None.

    Raises:
        Refused: When run: the model declined; its text is in `refusal`.
        ResponseTruncated: When run: the output was cut off; the received text is in `text`. When
            streamed, it is raised at the end.
        OutputParserException: When run: the finished output is not an object of the schema.
    """
    model = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    name = tool_name(tool(schema)) if method == "function_calling" else _name(schema)
    parser: BaseCumulativeTransformOutputParser[Any]
    if method == "function_calling":
        parser = _CallParser(key_name=name, first_tool_only=True, model=model)
    elif model is not None:
        parser = _ModelParser(pydantic_object=model)
    else:
        parser = _DictParser()
    return _CompletenessCheck(name, method, parser).runnable() | parser


def with_raw(
    model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]
) -> Runnable[LanguageModelInput, dict[str, Any]]:
    """The output as `raw`, `parsed` and `parsing_error`; parsing errors are not raised.

    A streamed response is parsed once, at its end.
    """

    def parse(output: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            parsed = parser.invoke(output["raw"], config)
        except Exception as error:  # noqa: BLE001 - returned to the caller
            return {**output, "parsed": None, "parsing_error": error}
        return {**output, "parsed": parsed, "parsing_error": None}

    async def aparse(output: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            parsed = await parser.ainvoke(output["raw"], config)
        except Exception as error:  # noqa: BLE001 - returned to the caller
            return {**output, "parsed": None, "parsing_error": error}
        return {**output, "parsed": parsed, "parsing_error": None}

    return RunnableMap(raw=model) | RunnableLambda(parse, aparse, name="parsed")


class _DictParser(JsonOutputParser):
    name: str | None = "JsonOutputParser"

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        try:
            value = well_formed_value(super().parse_result(result, partial=partial))
            if value is None and not partial:
                # core returns None for mismatched brackets (langchain-ai/langchain#36603)
                raise _unreadable(result, "is not a JSON object")
        except (OutputParserException, RecursionError) as error:
            return _unread(result, error, partial=partial)
        return value


class _ModelParser(PydanticOutputParser[TBaseModel]):
    name: str | None = "PydanticOutputParser"

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        try:
            return super().parse_result(result, partial=partial)
        except (OutputParserException, RecursionError) as error:
            return _unread(result, error, partial=partial)

    def _parse_obj(self, obj: Any) -> TBaseModel:
        return super()._parse_obj(well_formed_value(obj))


class _CallParser(JsonOutputKeyToolsParser):
    """The arguments of the first call of the schema's tool, as an instance if it is a class."""

    name: str | None = "JsonOutputKeyToolsParser"
    model: Any = None

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        arguments = super().parse_result(result, partial=partial)
        if arguments is None or self.model is None:
            return arguments
        try:
            return self.model(**arguments)
        except ValueError:
            if partial:
                return None
            raise


def _unread(result: list[Generation], error: Exception, *, partial: bool) -> None:
    """Raises for unreadable output, unless more may follow or the model calls tools instead."""
    if partial or _calls_tools(result):
        return
    if isinstance(error, OutputParserException):
        raise error
    raise _unreadable(result, "is nested too deeply")


def _unreadable(result: list[Generation], why: str) -> OutputParserException:
    text = result[0].text
    return OutputParserException(f"The output {why}: {text[:300]}", llm_output=text)


def _calls_tools(result: list[Generation]) -> bool:
    generation = result[0]
    message = generation.message if isinstance(generation, ChatGeneration) else None
    return isinstance(message, AIMessage) and bool(message.tool_calls)


class _CompletenessCheck:
    """Passes messages through, and raises at the end of a truncated or refused one."""

    def __init__(
        self, name: str, method: Method, parser: BaseCumulativeTransformOutputParser[Any]
    ) -> None:
        self._name = name
        self._method = method
        self._parser = parser

    def runnable(self) -> Runnable[AIMessage, AIMessage]:
        return RunnableGenerator(self._each, self._aeach, name="completeness_check")

    def _each(self, messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
        received: list[AIMessage] = []
        refused = False
        for message in messages:
            received.append(message)
            refused = refused or bool(_refusal_in(message))
            if not refused:  # langchain-core's parsers would raise at the start of a refusal
                yield message
        if received:
            self._check(joined_chunks(received))

    async def _aeach(self, messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
        received: list[AIMessage] = []
        refused = False
        async for message in messages:
            received.append(message)
            refused = refused or bool(_refusal_in(message))
            if not refused:
                yield message
        if received:
            self._check(joined_chunks(received))

    def _check(self, message: AIMessage) -> None:
        raise_if_refused(message)
        if is_truncated(_metadata(message, "finish_reason"), lambda: self._is_whole(message)):
            raise response_truncated(message, self._name)
        if self._method != "function_calling":
            if not self._is_whole(message):
                raise OutputParserException(
                    "The JSON output is incomplete, perhaps because it contains a stop sequence: "
                    f"{message.text}",
                    llm_output=message.text,
                )
        elif _has_only_invalid_calls(message):
            (invalid, *_) = message.invalid_tool_calls
            raise OutputParserException(
                f"The arguments of the call of {invalid['name']!r} are not a JSON object: "
                f"{invalid['args']}",
                llm_output=invalid["args"],
            )
        if isinstance(message, AIMessageChunk):
            # langchain-core's parsers skip invalid output while streaming, even at the end; see
            # docs/upstream/langchain-core.md.
            self._parser.parse_result([ChatGeneration(message=message)])

    def _is_whole(self, message: AIMessage) -> bool:
        if self._method == "function_calling":
            return not _has_only_invalid_calls(message)
        try:
            parse_json_markdown(message.text)
        except (ValueError, RecursionError):
            return True  # not even partial JSON: the parser raises
        try:
            parse_json_markdown(message.text, parser=_strict_json)
        except ValueError:
            return False
        return True


def raise_if_refused(message: AIMessage) -> None:
    """Raises `Refused` if the model declined to answer."""
    refusal = _refusal_in(message)
    if refusal:
        text = f"The model declined to answer: {refusal}"
        raise Refused(text, refusal=refusal, raw_message=message)


def response_truncated(message: AIMessage, what: str) -> Exception:
    """The error for a message that was cut off.

    Args:
        message: The message.
        what: The requested object, such as the name of its class.
    """
    error = truncation_error(
        what,
        _metadata(message, "finish_reason"),
        text=str(message.text),
        usage=_metadata(message, "token_usage"),
        calls=(
            *map(_reply_call, message.tool_calls),
            *map(_reply_call, message.invalid_tool_calls),
        ),
        model=_metadata(message, "model_name"),
        reply_id=_metadata(message, "id"),
        request_id=_metadata(message, "request_id"),
    )
    return as_model_error(error)


def _refusal_in(message: AIMessage) -> str:
    refusal = message.additional_kwargs.get("refusal")
    if refusal or isinstance(message.content, str):
        return refusal or ""
    parts = (part for part in message.content if isinstance(part, dict))
    return "".join(str(part.get("refusal", "")) for part in parts if part.get("type") == "refusal")


def joined_chunks(messages: list[AIMessage]) -> AIMessage:
    """The chunks of a stream as one message; adding a list is one step."""
    first, *rest = messages
    if not isinstance(first, AIMessageChunk):
        return first  # not streamed: there is one message
    chunks = [one for one in rest if isinstance(one, AIMessageChunk)]
    return split_invalid_tool_calls(first + chunks)


def _metadata(message: AIMessage, name: str) -> Any:
    return message.response_metadata.get(name)


def _has_only_invalid_calls(message: AIMessage) -> bool:
    return bool(message.invalid_tool_calls) and not message.tool_calls


def _strict_json(text: str) -> Any:
    """The JSON at the start of a text, without langchain-core's repairs; other text may follow."""
    value, _ = _DECODER.raw_decode(text)
    return value


_DECODER = json.JSONDecoder(strict=False)


def _reply_call(call: ToolCall | InvalidToolCall) -> ReplyToolCall:
    arguments = call["args"]
    text = arguments if isinstance(arguments, str) else to_json(arguments or {}).decode()
    return ReplyToolCall(call["id"] or "", call["name"] or "", text)


def _name(schema: Tool) -> str:
    """The schema's name, for error messages."""
    given = schema.get("title") if isinstance(schema, Mapping) else getattr(schema, "__name__", "")
    return str(given or "answer")
