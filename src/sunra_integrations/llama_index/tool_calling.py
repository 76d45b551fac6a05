"""Chat with tools: what is asked for, and that one call is one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    MessageRole,
)
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.calling import acall_tool_with_selection, call_tool_with_selection
from llama_index.core.tools.types import BaseTool, ToolOutput

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.llama_index import programs, to_sunra, tool_calls
from sunra_integrations.llama_index.configuration import SunraConfiguration
from sunra_integrations.llama_index.observed import observed, unobserved
from sunra_integrations.llama_index.streams import amapped, mapped


class ToolCalling(SunraConfiguration):
    """What `Sunra` does of chat with tools."""

    @observed
    def predict_and_call(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Asks with these tools and runs those that the model calls.

        Args:
            tools: The tools to choose from.
            user_msg: What to ask, after the history.
            chat_history: The conversation before it.
            verbose: Print the calls and their results.
            allow_parallel_tool_calls: Run all calls of the answer, not only the first.
            error_on_no_tool_call: Raise where the model calls no tool.
            error_on_tool_error: Raise where a tool fails. Otherwise its error is the answer, as for
                a call that is broken or names no tool of these.
            **kwargs: As `chat_with_tools` takes them; others are parameters of the call.

        Raises:
            ValueError: As `error_on_no_tool_call` and `error_on_tool_error` say.
            UnreadableResponse: A call was required (`tool_required`), and it is broken.
        """
        if not self.metadata.is_function_calling_model:
            by_reasoning = unobserved(super(FunctionCallingLLM, self).predict_and_call)
            return by_reasoning(list(tools), user_msg, chat_history, verbose, **kwargs)
        response = self.chat_with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, **kwargs
        )
        calls = self.get_tool_calls_from_response(response, error_on_no_tool_call)
        outputs = [
            call_tool_with_selection(call, tools, verbose)
            if _is_among(tools, call)
            else tool_calls.not_found(call)
            for call in calls
        ]
        return _answered(response, outputs, error_on_tool_error, kwargs.get("tool_required"))

    @observed
    async def apredict_and_call(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """As `predict_and_call`, several tools at once."""

        async def output(call: ToolSelection) -> ToolOutput:
            if _is_among(tools, call):
                return await acall_tool_with_selection(call, tools, verbose)
            return tool_calls.not_found(call)

        if not self.metadata.is_function_calling_model:
            by_reasoning = unobserved(super(FunctionCallingLLM, self).apredict_and_call)
            return await by_reasoning(list(tools), user_msg, chat_history, verbose, **kwargs)
        response = await self.achat_with_tools(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, **kwargs
        )
        calls = self.get_tool_calls_from_response(response, error_on_no_tool_call)
        outputs = await asyncio.gather(*map(output, calls))
        return _answered(response, outputs, error_on_tool_error, kwargs.get("tool_required"))

    def stream_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """As `chat_with_tools`, streamed as in `stream_chat`."""
        stream = super().stream_chat_with_tools(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            tool_required,
            **kwargs,
        )
        if not allow_parallel_tool_calls:
            stream = mapped(tool_calls.first_call_only, stream)
        asked = programs.asked_class(tools)
        return stream if asked is None else programs.checked(stream, asked)

    async def astream_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """As `stream_chat_with_tools`."""
        stream = await super().astream_chat_with_tools(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            tool_required,
            **kwargs,
        )
        if not allow_parallel_tool_calls:
            stream = amapped(tool_calls.first_call_only, stream)
        asked = programs.asked_class(tools)
        return stream if asked is None else programs.achecked(stream, asked)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,  # noqa: ARG002 - the framework's signature
    ) -> list[ToolSelection]:
        """The tool calls of a response, with what can be read of their arguments so far.

        Once the response is finished, a call that is broken or was cut off is given under a name
        that no tool has and that says what is wrong, so that no tool runs on guesses: agents tell
        the model, and go on.

        Args:
            response: Of this LLM, streamed or not.
            error_on_no_tool_call: Raise where there is no call.
            **kwargs: Taken for the framework's sake.

        Raises:
            ValueError: There is no call, and `error_on_no_tool_call` is set.
            ResponseTruncated: The answer was cut off before a required call.
        """
        return tool_calls.selections(response, error_on_no_tool_call=error_on_no_tool_call)

    @observed  # as the framework does with every implementation; here it sees no header
    def _prepare_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 - the framework passes it to every LLM
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The arguments for `chat`; the caller's history is left as it is."""
        messages = list(chat_history or ())
        if isinstance(user_msg, str):
            user_msg = ChatMessage(role=MessageRole.USER, content=user_msg)
        if user_msg is not None:
            messages.append(user_msg)
        if not tools:
            return {"messages": messages, **kwargs}
        hold = self.strict if strict is None else strict
        choice = "required" if tool_choice is None and tool_required else tool_choice
        prepared: dict[str, Any] = {"tools": [to_sunra.tool(tool, strict=hold) for tool in tools]}
        if choice is not None:
            prepared["tool_choice"] = choice
        # The framework's own default is False, which forbids nothing to the model: of several
        # calls the first is kept. The instance's `parallel_tool_calls` is sent anyway.
        if allow_parallel_tool_calls and self.parallel_tool_calls is False:
            prepared["parallel_tool_calls"] = True
        return {"messages": messages, **prepared, **kwargs}

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,  # noqa: ARG002 - the framework's signature
    ) -> ChatResponse:
        asked = programs.asked_class(tools)
        if asked is not None:
            programs.check(response, asked)
        return response if allow_parallel_tool_calls else tool_calls.first_call_only(response)


def _is_among(tools: Sequence[BaseTool], call: ToolSelection) -> bool:
    return any(tool.metadata.name == call.tool_name for tool in tools)


def _answered(
    response: ChatResponse,
    outputs: Sequence[ToolOutput],
    error_on_tool_error: bool,
    tool_required: bool | None,
) -> AgentChatResponse:
    """The results of a response's calls, or its text if it has none."""
    for output in outputs:
        # Programs require the call whose arguments are their object, and cannot go on without it.
        if tool_required and isinstance(output.exception, UnreadableResponse):
            raise output.exception
    text = "\n\n".join(output.content for output in outputs)
    if error_on_tool_error and any(output.is_error for output in outputs):
        raise ValueError(text)
    if not outputs:
        text = response.message.content or ""
    return AgentChatResponse(response=text, sources=list(outputs))
