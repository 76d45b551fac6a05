"""Chat with tools: what is asked for, and that one call is one call."""

from __future__ import annotations

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
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

from sunra_integrations.llama_index import programs, to_sunra, tool_calls
from sunra_integrations.llama_index.configuration import SunraConfiguration
from sunra_integrations.llama_index.observed import observed
from sunra_integrations.llama_index.streams import amapped, mapped


class ToolCalling(SunraConfiguration):
    """What `Sunra` does of chat with tools."""

    @observed
    def predict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """Asks with these tools and runs those that the model calls.

        Args:
            tools: The tools to choose from.
            *args: As `FunctionCallingLLM.predict_and_call` takes them.
            **kwargs: As it takes them; others are parameters of the call.
        """
        called: AgentChatResponse = super().predict_and_call(tools, *args, **kwargs)
        return called

    @observed
    async def apredict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """As `predict_and_call`."""
        called: AgentChatResponse = await super().apredict_and_call(tools, *args, **kwargs)
        return called

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

        Args:
            response: Of this LLM, streamed or not.
            error_on_no_tool_call: Raise where there is no call.
            **kwargs: Taken for the framework's sake.

        Raises:
            ValueError: There is no call, and `error_on_no_tool_call` is set.
            ResponseTruncated: The answer was cut off within a call, or before a required one.
            UnreadableResponse: The answer is finished and a call's arguments are no JSON object.
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
        # The wire's own default is to allow it, so that is only said where the instance forbids it.
        if not allow_parallel_tool_calls or self.parallel_tool_calls is not None:
            prepared["parallel_tool_calls"] = allow_parallel_tool_calls
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
