"""`with_structured_output(…, repair=1)`: output that does not match is requested again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda

from sunra_integrations.errors import SunraError
from sunra_integrations.langchain.structured_output import joined_chunks
from sunra_integrations.protocol.repair import (
    NOT_CALLED,
    add_context,
    call_repair,
    describe_error,
    reply_repair,
)

EARLIER_ATTEMPTS = "earlier_attempts"
"""Key of `response_metadata`: what the calls before the last one returned and cost."""

Model = Runnable[LanguageModelInput, AIMessage]


@dataclass(frozen=True)
class _Attempt:
    """The input of one call of the model, and the failed calls before it."""

    input: LanguageModelInput
    repairs_left: int
    earlier: tuple[dict[str, Any], ...] = ()
    earlier_error: Exception | None = None

    def after(
        self, error: Exception, message: AIMessage | None, tool: str | None
    ) -> _Attempt | None:
        """The next attempt; None if no repairs are left, or if none can help.

        Args:
            error: The error of this attempt.
            message: The message that has the error; None if the call itself failed.
            tool: The name of the tool whose arguments are the output, if any.
        """
        add_context(error, self.earlier_error)
        if message is None or not self.repairs_left or not _is_repairable(error):
            return None
        problem = _problem(error)
        request = _repair_request(message, problem, tool)
        return _Attempt(
            [*_messages(self.input), message, *request],
            self.repairs_left - 1,
            (*self.earlier, _record(message, problem)),
            error,
        )

    def raw(self, message: AIMessage) -> AIMessage:
        """The message with the records of the failed attempts."""
        if not self.earlier:
            return message
        metadata = {**message.response_metadata, EARLIER_ATTEMPTS: list(self.earlier)}
        return message.model_copy(update={"response_metadata": metadata})


class RepairedOutput(RunnableLambda[LanguageModelInput, Any]):
    """Structured output that is requested again if it does not match its schema.

    The error of an attempt has the errors of the attempts before it in its chain of `__context__`.

    Args:
        model: The model with its bound parameters.
        parser: The parser from a message to the output.
        repairs: How many times the output is requested again.
        tool: The name of the tool whose arguments are the output, if any.
        tool_required: Whether the model must call that tool.
        include_raw: Return a dict of `raw`, `parsed` and `parsing_error`.
    """

    def __init__(
        self,
        model: Model,
        parser: Runnable[Any, Any],
        repairs: int,
        *,
        tool: str | None,
        tool_required: bool,
        include_raw: bool,
    ) -> None:
        name = type(self).__name__
        super().__init__(self._once, self._aonce, name=name)
        each, aeach = cast("Any", self._each), cast("Any", self._aeach)  # they also take a config
        self._streamed: Runnable[Any, Any] = RunnableGenerator(each, aeach, name=name)
        self._model = model
        self._parser = parser
        self._repairs = repairs
        self._tool = tool
        self._tool_required = tool_required
        self._include_raw = include_raw

    @property
    def InputType(self) -> Any:  # noqa: N802 - langchain-core's name
        """The input of the model."""
        return self._model.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - langchain-core's name
        """The output of the parser, or a dict with it."""
        return dict[str, Any] if self._include_raw else self._parser.OutputType

    @property
    def deps(self) -> list[Runnable[Any, Any]]:  # pyright: ignore[reportIncompatibleVariableOverride] - cached in the base
        """The model and the parser, for graphs and configurable fields."""
        return [self._model, self._parser]

    def __repr__(self) -> str:
        """The model, the parser and the number of repairs."""
        return f"{type(self).__name__}({self._model!r}, {self._parser!r}, repairs={self._repairs})"

    # ── whole output ─────────────────────────────────────────────────────────

    def _once(self, given: LanguageModelInput, config: RunnableConfig, **kwargs: Any) -> Any:
        return self._output(_Attempt(given, self._repairs), config, self._model.invoke, kwargs)

    async def _aonce(self, given: LanguageModelInput, config: RunnableConfig, **kwargs: Any) -> Any:
        attempt = _Attempt(given, self._repairs)
        return await self._aoutput(attempt, config, self._model.ainvoke, kwargs)

    def _output(
        self,
        attempt: _Attempt,
        config: RunnableConfig,
        call: Callable[..., AIMessage],
        kwargs: dict[str, Any],
    ) -> Any:
        while True:
            message: AIMessage | None = None
            try:
                message = call(attempt.input, config, **kwargs)
                parsed = self._checked(self._parser.invoke(message, config), message, attempt)
            except Exception as error:
                following = attempt.after(error, message, self._tool)
                if following is not None:
                    attempt = following
                elif message is not None and self._include_raw:
                    return self._result(None, message, attempt, error)
                else:
                    raise
            else:
                return self._result(parsed, message, attempt)

    async def _aoutput(
        self,
        attempt: _Attempt,
        config: RunnableConfig,
        call: Callable[..., Awaitable[AIMessage]],
        kwargs: dict[str, Any],
    ) -> Any:
        while True:
            message: AIMessage | None = None
            try:
                message = await call(attempt.input, config, **kwargs)
                parsed = self._checked(
                    await self._parser.ainvoke(message, config), message, attempt
                )
            except Exception as error:
                following = attempt.after(error, message, self._tool)
                if following is not None:
                    attempt = following
                elif message is not None and self._include_raw:
                    return self._result(None, message, attempt, error)
                else:
                    raise
            else:
                return self._result(parsed, message, attempt)

    def _checked(self, parsed: Any, message: AIMessage | None, attempt: _Attempt) -> Any:
        """The parsed output, unless the model ignored `tool_choice` and a repair is left.

        With no repair left that output is None, as it is without repairs.
        """
        is_ignored = parsed is None and self._tool_required and message and not _calls(message)
        if is_ignored and attempt.repairs_left:
            raise OutputParserException(f"It does not call the tool {self._tool!r}.")
        return parsed

    def _result(
        self, parsed: Any, message: AIMessage, attempt: _Attempt, error: Exception | None = None
    ) -> Any:
        if not self._include_raw:
            return parsed
        return {"raw": attempt.raw(message), "parsed": parsed, "parsing_error": error}

    # ── streamed output ──────────────────────────────────────────────────────

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - langchain-core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream the output as it grows. After a repair, the new output grows again."""
        return self._streamed.stream(input, config, **kwargs)

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - langchain-core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """The async version of `stream`."""
        return self._streamed.astream(input, config, **kwargs)

    def transform(
        self,
        input: Iterator[LanguageModelInput],  # noqa: A002 - langchain-core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream the output as a step of a chain."""
        return Runnable.transform(self, input, config, **kwargs)

    def atransform(
        self,
        input: AsyncIterator[LanguageModelInput],  # noqa: A002 - langchain-core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """The async version of `transform`."""
        return Runnable.atransform(self, input, config, **kwargs)

    def _each(self, given: Iterator[Any], config: RunnableConfig, **kwargs: Any) -> Iterator[Any]:
        (whole,) = given
        attempt = _Attempt(whole, self._repairs)
        if self._include_raw:  # parsed once, at the end
            yield self._output(attempt, config, self._streamed_message, kwargs)
        else:
            yield from self._outputs(attempt, config, kwargs)

    async def _aeach(
        self, given: AsyncIterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[Any]:
        (whole,) = [one async for one in given]
        attempt = _Attempt(whole, self._repairs)
        if self._include_raw:
            yield await self._aoutput(attempt, config, self._astreamed_message, kwargs)
        else:
            async for output in self._aoutputs(attempt, config, kwargs):
                yield output

    def _streamed_message(self, *args: Any, **kwargs: Any) -> AIMessage:
        return _whole_message(list(self._model.stream(*args, **kwargs)))

    async def _astreamed_message(self, *args: Any, **kwargs: Any) -> AIMessage:
        return _whole_message([chunk async for chunk in self._model.astream(*args, **kwargs)])

    def _outputs(
        self, attempt: _Attempt, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> Iterator[Any]:
        while True:
            received = _Received()
            chunks = received.each(self._model.stream(attempt.input, config, **kwargs))
            output: Any = None
            try:
                for output in self._parser.transform(chunks, config):
                    yield output
                self._checked(output, received.whole, attempt)
            except Exception as error:
                following = attempt.after(error, received.whole, self._tool)
                if following is None:
                    raise
                attempt = following
            else:
                return

    async def _aoutputs(
        self, attempt: _Attempt, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> AsyncIterator[Any]:
        while True:
            received = _Received()
            chunks = received.aeach(self._model.astream(attempt.input, config, **kwargs))
            output: Any = None
            try:
                async for output in self._parser.atransform(chunks, config):
                    yield output
                self._checked(output, received.whole, attempt)
            except Exception as error:
                following = attempt.after(error, received.whole, self._tool)
                if following is None:
                    raise
                attempt = following
            else:
                return


class _Received:
    """Passes the chunks of a stream through. `whole` is their message, once it is received."""

    def __init__(self) -> None:
        self.whole: AIMessage | None = None

    def each(self, stream: Iterator[AIMessage]) -> Iterator[AIMessage]:
        chunks: list[AIMessage] = []
        for chunk in stream:
            chunks.append(chunk)
            yield chunk
        self.whole = _whole_message(chunks)

    async def aeach(self, stream: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
        chunks: list[AIMessage] = []
        async for chunk in stream:
            chunks.append(chunk)
            yield chunk
        self.whole = _whole_message(chunks)


def _whole_message(chunks: list[AIMessage]) -> AIMessage:
    message = joined_chunks(chunks)
    if not isinstance(message, AIMessageChunk):
        return message
    whole = message_chunk_to_message(message)
    return whole if isinstance(whole, AIMessage) else message


def _is_repairable(error: Exception) -> bool:
    """Whether the finished output does not match; langchain-core and pydantic raise ValueErrors.

    Truncations, refusals and failed calls are `SunraError`s.
    """
    return isinstance(error, ValueError) and not isinstance(error, SunraError)


def _problem(error: Exception) -> str:
    text, _, _ = describe_error(error).partition(_TROUBLESHOOTING)
    return text


_TROUBLESHOOTING = "\nFor troubleshooting, visit: "
"""langchain-core appends a link to the messages of its errors."""


def _repair_request(message: AIMessage, problem: str, tool: str | None) -> list[BaseMessage]:
    """The messages after a failed one: a result for each of its calls, or a user message."""
    invalid = [
        ToolMessage(call_repair(call["error"] or problem), tool_call_id=call["id"] or "")
        for call in message.invalid_tool_calls
    ]
    at_fault = next((call for call in message.tool_calls if call["name"] == tool), None)
    results = [
        ToolMessage(
            call_repair(problem) if call is at_fault else NOT_CALLED, tool_call_id=call["id"] or ""
        )
        for call in message.tool_calls
    ]
    return [*results, *invalid] or [HumanMessage(reply_repair(problem))]


def _record(message: AIMessage, problem: str) -> dict[str, Any]:
    """A failed attempt, as JSON: its reply, its error, its usage and cost."""
    metadata = message.response_metadata
    fields = {
        "content": message.content,
        "tool_calls": _calls(message),
        "error": problem,
        "usage_metadata": message.usage_metadata,
        **{name: metadata.get(name) for name in ("cost", "id", "request_id")},
    }
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def _calls(message: AIMessage) -> list[Any]:
    return [*message.tool_calls, *message.invalid_tool_calls]


def _messages(given: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(given, PromptValue):
        return given.to_messages()
    return [HumanMessage(given)] if isinstance(given, str) else convert_to_messages(given)
