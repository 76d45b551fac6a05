"""Answers of a given schema: which request asks for them, and which parser reads them."""

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
from sunra_integrations.langchain.broken_calls import with_broken_calls
from sunra_integrations.langchain.errors import Refused, as_model_error
from sunra_integrations.langchain.tools import (
    Tool,
    answer_format,
    tool,
    tool_choice,
    traced_schema,
)
from sunra_integrations.protocol.json_text import well_formed_value
from sunra_integrations.protocol.reply import ToolCall as WireToolCall
from sunra_integrations.protocol.tools import tool_name
from sunra_integrations.protocol.truncation import is_truncated, truncation_error

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


def bound_parameters(
    schema: Tool, method: Method, strict: bool | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The call parameters that ask for an answer of this schema.

    Args:
        schema: A pydantic or TypedDict class, or a dict.
        method: `json_schema` and `json_mode` ask by `response_format`, `function_calling` by a
            tool that must be called.
        strict: Ask that the answer keep to the schema; None leaves it to the server.
        given: Other parameters of the call. `tools` are offered beside the schema, and
            `tool_choice` wins over the one that `function_calling` makes.

    Raises:
        InvalidParameter: The method is unknown, `strict` is given for `json_mode`, or
            `response_format` is given for a method that makes its own.
    """
    if method not in METHODS:
        raise InvalidParameter(
            f"`method` was {method!r}; the rule is: one of {', '.join(METHODS)}.",
            parameter="method",
            value=method,
            rule=f"one of {', '.join(METHODS)}",
        )
    if method == "json_mode" and strict is not None:
        raise InvalidParameter(
            "`strict` has no meaning with method='json_mode', which sends no schema.",
            parameter="strict",
            value=strict,
            rule="with json_schema or function_calling only",
        )
    rest = {name: value for name, value in given.items() if name not in _CONVERTED}
    traced = {"kwargs": {"method": method, "strict": strict}, "schema": traced_schema(schema)}
    return {
        **_asked(schema, method, strict, given),
        **rest,
        "ls_structured_output_format": traced,
    }


_CONVERTED = frozenset(("response_format", "tools", "tool_choice"))


def _asked(
    schema: Tool, method: Method, strict: bool | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    tools = [tool(one, strict=strict) for one in given.get("tools") or ()]
    choice = given.get("tool_choice")
    if method == "function_calling":
        made = tool(schema, strict=strict)
        tools = [made, *(one for one in tools if tool_name(one) != tool_name(made))]
        choice = given.get("tool_choice", tool_name(made))
    asked = _asked_format(schema, method, strict, given.get("response_format"))
    if tools:
        asked["tools"] = tools
        choice = tool_choice(choice, tools)
    return asked if choice is None else {**asked, "tool_choice": choice}


def _asked_format(
    schema: Tool, method: Method, strict: bool | None, given: Tool | None
) -> dict[str, Any]:
    if method == "function_calling":
        return {} if given is None else {"response_format": answer_format(given, strict=strict)}
    if given is not None:
        raise InvalidParameter(
            f"`response_format` cannot be given with method={method!r}, which makes it of the "
            "schema. Leave it out, or use `bind_tools([], response_format=…)` and read the text.",
            parameter="response_format",
            value=given,
            rule="with function_calling only",
        )
    if method == "json_mode":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": answer_format(schema, strict=strict)}


def answer_parser(schema: Tool, method: Method) -> Runnable[Any, Any]:
    """What turns the answer into an object of the schema: a model instance, or a dict.

    Dicts grow while they are streamed. An answer that calls other tools instead is None.

    Raises:
        Refused: When run: the model declined, and `refusal` holds its words.
        ResponseTruncated: When run: the answer was cut off, and `text` holds what was received.
            A stream ends in it.
        OutputParserException: When run: a finished answer is not an object of the schema.
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
    return _WholeAnswers(name, method, parser).runnable() | parser


def with_raw(
    model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]
) -> Runnable[LanguageModelInput, dict[str, Any]]:
    """Answers as `raw`, `parsed` and `parsing_error`, the last in place of raising.

    A streamed answer is parsed as a whole at its end, since an error there concerns all of it.
    """

    def parsed(answer: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            read = parser.invoke(answer["raw"], config)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed over
            return {**answer, "parsed": None, "parsing_error": error}
        return {**answer, "parsed": read, "parsing_error": None}

    async def aparsed(answer: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            read = await parser.ainvoke(answer["raw"], config)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed over
            return {**answer, "parsed": None, "parsing_error": error}
        return {**answer, "parsed": read, "parsing_error": None}

    return RunnableMap(raw=model) | RunnableLambda(parsed, aparsed, name="parsed")


class _DictParser(JsonOutputParser):
    name: str | None = "JsonOutputParser"

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        try:
            value = well_formed_value(super().parse_result(result, partial=partial))
            if value is None and not partial:  # core reads brackets that do not match as None
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
    """The arguments of the first call of the schema, as an instance where it is a class."""

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
    """Raises for an answer that cannot be read, unless more may come or it calls tools instead."""
    if partial or _calls_tools(result):
        return
    if isinstance(error, OutputParserException):
        raise error
    raise _unreadable(result, "is nested too deeply")


def _unreadable(result: list[Generation], why: str) -> OutputParserException:
    text = result[0].text
    return OutputParserException(f"The answer {why}: {text[:300]}", llm_output=text)


def _calls_tools(result: list[Generation]) -> bool:
    generation = result[0]
    message = generation.message if isinstance(generation, ChatGeneration) else None
    return isinstance(message, AIMessage) and bool(message.tool_calls)


class _WholeAnswers:
    """Passes messages on as they are received, and raises at the end of a truncated one."""

    def __init__(
        self, name: str, method: Method, parser: BaseCumulativeTransformOutputParser[Any]
    ) -> None:
        self._name = name
        self._method = method
        self._parser = parser

    def runnable(self) -> Runnable[AIMessage, AIMessage]:
        return RunnableGenerator(self._each, self._aeach, name="whole_answers")

    def _each(self, messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
        received: list[AIMessage] = []
        refused = False
        for message in messages:
            received.append(message)
            refused = refused or bool(_refusal_in(message))
            if not refused:  # core's parsers raise at the start of a refusal
                yield message
        if received:
            self._check(_sum(received))

    async def _aeach(self, messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
        received: list[AIMessage] = []
        refused = False
        async for message in messages:
            received.append(message)
            refused = refused or bool(_refusal_in(message))
            if not refused:
                yield message
        if received:
            self._check(_sum(received))

    def _check(self, message: AIMessage) -> None:
        refusal = _refusal_in(message)
        if refusal:
            words = f"The model declined to answer: {refusal}"
            raise Refused(words, refusal=refusal, raw_message=message)
        if is_truncated(_metadata(message, "finish_reason"), lambda: self._is_whole(message)):
            raise self._truncated(message)
        if self._method != "function_calling":
            if not self._is_whole(message):
                raise OutputParserException(
                    "The JSON of the answer is not finished, perhaps because a stop sequence "
                    f"is in it: {message.text}",
                    llm_output=message.text,
                )
        elif _only_broken_calls(message):
            (broken, *_) = message.invalid_tool_calls
            raise OutputParserException(
                f"The arguments of the call of {broken['name']!r} are not a JSON object: "
                f"{broken['args']}",
                llm_output=broken["args"],
            )
        if isinstance(message, AIMessageChunk):
            # Reading a stream, core's parsers pass over what does not fit the schema.
            self._parser.parse_result([ChatGeneration(message=message)])

    def _is_whole(self, message: AIMessage) -> bool:
        if self._method == "function_calling":
            return not _only_broken_calls(message)
        try:
            parse_json_markdown(message.text)
        except (ValueError, RecursionError):
            return True  # not the beginning of JSON either: the parser says so
        try:
            parse_json_markdown(message.text, parser=_unrepaired)
        except ValueError:
            return False
        return True

    def _truncated(self, message: AIMessage) -> Exception:
        error = truncation_error(
            self._name,
            _metadata(message, "finish_reason"),
            text=str(message.text),
            usage=_metadata(message, "token_usage"),
            calls=(
                *map(_wire_call, message.tool_calls),
                *map(_wire_call, message.invalid_tool_calls),
            ),
            model=_metadata(message, "model_name"),
            reply_id=_metadata(message, "id"),
            request_id=_metadata(message, "request_id"),
        )
        return as_model_error(error)


def _refusal_in(message: AIMessage) -> str:
    said = message.additional_kwargs.get("refusal")
    if said or isinstance(message.content, str):
        return said or ""
    parts = (part for part in message.content if isinstance(part, dict))
    return "".join(str(part.get("refusal", "")) for part in parts if part.get("type") == "refusal")


def _sum(messages: list[AIMessage]) -> AIMessage:
    """The chunks of a stream as one message; a list is added in one step."""
    first, *rest = messages
    if not isinstance(first, AIMessageChunk):
        return first  # a model that does not stream passes one message
    chunks = [one for one in rest if isinstance(one, AIMessageChunk)]
    return with_broken_calls(first + chunks)


def _metadata(message: AIMessage, name: str) -> Any:
    return message.response_metadata.get(name)


def _only_broken_calls(message: AIMessage) -> bool:
    return bool(message.invalid_tool_calls) and not message.tool_calls


def _unrepaired(text: str) -> Any:
    """The JSON at the beginning of a text, read as langchain-core reads it; words may follow it."""
    value, _ = _DECODER.raw_decode(text)
    return value


_DECODER = json.JSONDecoder(strict=False)


def _wire_call(call: ToolCall | InvalidToolCall) -> WireToolCall:
    arguments = call["args"]
    written = arguments if isinstance(arguments, str) else to_json(arguments or {}).decode()
    return WireToolCall(call["id"] or "", call["name"] or "", written)


def _name(schema: Tool) -> str:
    """The schema's name, for error messages."""
    given = schema.get("title") if isinstance(schema, Mapping) else getattr(schema, "__name__", "")
    return str(given or "answer")
