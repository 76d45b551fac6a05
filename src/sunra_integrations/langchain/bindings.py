"""A model with something bound to its calls: tools, or the schema of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from sunra_integrations.langchain import to_sunra
from sunra_integrations.langchain.calls import Calls
from sunra_integrations.langchain.structured_output import (
    Method,
    WithRaw,
    answer_parser,
    bound_parameters,
    with_raw,
)
from sunra_integrations.langchain.tools import Tool, ToolChoice, answer_format, tool, tool_choice
from sunra_integrations.protocol.arguments import check_call, with_timeout
from sunra_integrations.transport.timeouts import Timeouts, read_timeout

Answer = TypeVar("Answer")


class Bindings(Calls):
    """Tools and answer schemas for a model that can be called."""

    if not TYPE_CHECKING:  # the base names its own return type, which is private

        def bind(self, **kwargs: Any) -> Any:
            """This model with parameters for its calls, which are shown wherever the model is.

            Raises:
                InvalidParameter: A parameter looks like a credential.
            """
            check_call(kwargs)
            kwargs = with_timeout(kwargs)
            if "timeout" in kwargs:  # bound as JSON, since a bound model can be dumped
                timeout = read_timeout(kwargs["timeout"])
                kwargs["timeout"] = asdict(timeout) if isinstance(timeout, Timeouts) else timeout
            return super().bind(**kwargs)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Tool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools it may call.

        Args:
            tools: Pydantic or TypedDict classes, functions, LangChain tools, JSON schemas,
                function tools in OpenAI's form or tools in Anthropic's. None at all is allowed.
            tool_choice: `auto`, `none`, `any` or `required`, a tool's name, True (some tool must
                be called), False, or an object.
            strict: Ask that arguments, and an answer with `response_format`, keep to their schema.
            parallel_tool_calls: Whether several calls may be made at once.
            response_format: A format or schema for the answer that ends the tool calls.
            **kwargs: Other parameters of the call.

        Raises:
            InvalidParameter: A tool or choice cannot be read, or a parameter is unknown.
        """
        to_sunra.call_parameters(kwargs)
        bound: dict[str, Any] = dict(kwargs)
        made = [tool(one, strict=strict) for one in tools]
        if made:
            bound["tools"] = made
            chosen = _tool_choice(tool_choice, made)
            if chosen is not None:
                bound["tool_choice"] = chosen
            if parallel_tool_calls is not None:
                bound["parallel_tool_calls"] = parallel_tool_calls
        if response_format is not None:
            bound["response_format"] = answer_format(response_format, strict=strict)
        return self.bind(**bound)

    @overload  # type: ignore[override]  # a TypedDict is no `dict` to a type checker
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        method: Method = "json_schema",
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[Answer],
        *,
        method: Method = "json_schema",
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Answer]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any],
        *,
        method: Method = "json_schema",
        include_raw: Literal[True],
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, WithRaw[dict[str, Any]]]: ...

    @overload
    def with_structured_output(
        self,
        schema: type[Answer],
        *,
        method: Method = "json_schema",
        include_raw: Literal[True],
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, WithRaw[Answer]]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]: ...

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """This model, answering with objects of a schema.

        Args:
            schema: A pydantic class (answers are instances of it), a TypedDict class or a JSON
                schema (answers are dicts, which grow while they are streamed).
            method: `json_schema` asks by `response_format`, `function_calling` by a tool that must
                be called, `json_mode` for any JSON (say in the prompt which).
            include_raw: Answer with a dict of `raw`, `parsed` and `parsing_error` instead.
            strict: Ask that the answer keep to the schema, which is made strict-valid for it; None
                leaves it to the server.
            **kwargs: Other parameters of the call. `tools` are offered beside the schema, and an
                answer that calls one of them instead is None. `tool_choice` wins over the one
                that `function_calling` makes; None sends none.

        Raises:
            InvalidParameter: The schema, method or a parameter cannot be used.
            Refused: When called: the model declined, and `refusal` holds its words.
            ResponseTruncated: When called: the answer was cut off, such as by `max_tokens`, and
                `text` holds what was received. A stream ends in it.
            OutputParserException: When called: the answer is finished, but it is not an object of
                the schema. A stream ends in it. With `function_calling`, arguments that do not fit
                are a `pydantic.ValidationError`.
        """
        to_sunra.call_parameters(kwargs)
        model = self.bind(**bound_parameters(schema, method, strict, kwargs))
        parser = answer_parser(schema, method)
        return with_raw(model, parser) if include_raw else model | parser


_tool_choice = tool_choice
"""Under this name within `bind_tools`, whose argument has the other."""
