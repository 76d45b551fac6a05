"""Tool calls in responses: reading them, refusing invalid ones, and the results of running them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.calling import acall_tool_with_selection, call_tool_with_selection
from llama_index.core.tools.types import BaseTool, ToolOutput
from pydantic import PrivateAttr
from pydantic_core import to_json

from sunra_integrations.errors import ResponseTruncated, UnreadableResponse
from sunra_integrations.llama_index.request import as_mapping
from sunra_integrations.protocol.history import INVALID_JSON
from sunra_integrations.protocol.json_text import parse_arguments, parse_partial_object
from sunra_integrations.protocol.reply import ToolCall
from sunra_integrations.protocol.truncation import (
    is_cut_before_arguments,
    is_truncated,
    truncation_cause,
    truncation_error,
)

_CUT_OFF_BY = {"limit": "max_tokens", "filter": "the content filter", "interruption": "the server"}
_MAX_EXCERPT = 300


class InvalidToolCall(ToolSelection):
    """A tool call that cannot be run, under a name that no tool has and that says why.

    No tool is found for it, which agents handle: they tell the model that there is no such tool,
    and the run goes on. Under its own name a tool might run with guessed arguments, if all of its
    parameters are optional.
    """

    _problem: str = PrivateAttr()

    def __init__(self, problem: str, **fields: Any) -> None:
        super().__init__(**fields)
        self._problem = problem

    @property
    def error(self) -> UnreadableResponse:
        """The error, for callers that need a valid call."""
        return UnreadableResponse(self._problem)


def tool_selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The tool calls of a response.

    While a response is streamed, arguments are incomplete JSON and are read as far as received.
    In a finished response, an invalid or truncated call is an `InvalidToolCall`.

    Raises:
        ValueError: There is no call, and `error_on_no_tool_call` is set.
        ResponseTruncated: The response was cut off before a required call.
    """
    calls = list(message_calls(response.message))
    finish_reason = response.additional_kwargs.get("finish_reason")
    if not calls and error_on_no_tool_call:
        if is_truncated(finish_reason, lambda: True):
            raise response_truncated(response, "tool call")
        raise ValueError(
            f"The model called no tool. It replied: {response.message.content or '(nothing)'}"
        )
    if finish_reason is None and response.delta is not None:
        return [
            ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=_partial(arguments))
            for call_id, name, arguments in calls
        ]
    last = len(calls) - 1
    return [
        _tool_selection(*call, finish_reason=finish_reason if number == last else None)
        for number, call in enumerate(calls)
    ]


def arguments_of_calls(response: ChatResponse) -> list[str]:
    """The arguments of each tool call, as the model wrote them."""
    return [_as_text(arguments) for _, _, arguments in message_calls(response.message)]


def first_call_only(response: ChatResponse) -> ChatResponse:
    """A copy of the response with its first tool call only; the response itself if it has one."""
    message = response.message
    calls = [one for one in message.blocks if isinstance(one, ToolCallBlock)]
    entries = message.additional_kwargs.get("tool_calls") or []
    if len(calls) <= 1 and len(entries) <= 1:
        return response
    blocks = [
        one for one in message.blocks if not isinstance(one, ToolCallBlock) or one is calls[0]
    ]
    extra = {**message.additional_kwargs, "tool_calls": list(entries[:1])}
    kept = ChatMessage(role=message.role, blocks=blocks, additional_kwargs=extra)
    return response.model_copy(update={"message": kept})


def local_tools(tools: Sequence[BaseTool]) -> list[BaseTool]:
    """The tools that can be run here, without dicts: those of functions elsewhere or the server."""
    return [tool for tool in tools if not isinstance(tool, Mapping)]


def run_tools(
    calls: Sequence[ToolSelection], tools: Sequence[BaseTool], *, verbose: bool
) -> list[ToolOutput]:
    """The results of these calls, one after the other."""
    tools = local_tools(tools)
    return [
        call_tool_with_selection(call, tools, verbose)
        if _is_available(call, tools)
        else _not_found(call)
        for call in calls
    ]


async def arun_tools(
    calls: Sequence[ToolSelection], tools: Sequence[BaseTool], *, verbose: bool
) -> list[ToolOutput]:
    """The results of these calls, made concurrently."""
    tools = local_tools(tools)

    async def run(call: ToolSelection) -> ToolOutput:
        if _is_available(call, tools):
            return await acall_tool_with_selection(call, tools, verbose)
        return _not_found(call)

    return await asyncio.gather(*map(run, calls))


def _is_available(call: ToolSelection, tools: Sequence[BaseTool]) -> bool:
    return any(tool.metadata.name == call.tool_name for tool in tools)


def _not_found(call: ToolSelection) -> ToolOutput:
    """The result of a call of an unknown tool, with the message of LlamaIndex's agents."""
    content = f"Tool {call.tool_name} not found. Please select a tool that is available."
    return ToolOutput(
        content=content,
        tool_name=call.tool_name,
        raw_input=call.tool_kwargs,
        raw_output=content,
        is_error=True,
        exception=call.error if isinstance(call, InvalidToolCall) else None,
    )


def agent_response(
    response: ChatResponse,
    outputs: Sequence[ToolOutput],
    *,
    error_on_tool_error: bool,
    tool_required: bool | None,
) -> AgentChatResponse:
    """The results of a response's tool calls, or its text if it has none.

    Raises:
        UnreadableResponse: The call was required and is invalid.
        ValueError: A tool failed, and `error_on_tool_error` is set.
    """
    for output in outputs:
        # A program requires the call: its arguments are the program's object.
        if tool_required and isinstance(output.exception, UnreadableResponse):
            raise output.exception
    text = "\n\n".join(output.content for output in outputs)
    if error_on_tool_error and any(output.is_error for output in outputs):
        raise ValueError(text)
    if not outputs:
        text = response.message.content or ""
    return AgentChatResponse(response=text, sources=list(outputs))


def response_truncated(response: ChatResponse, what: str) -> ResponseTruncated:
    """The error for a response that was cut off.

    Args:
        response: The response.
        what: The requested object, such as the name of a class.
    """
    extra = response.additional_kwargs
    raw = as_mapping(response.raw)
    return truncation_error(
        what,
        extra.get("finish_reason"),
        text=response.message.content or "",
        usage=raw.get("usage"),
        calls=tuple(
            ToolCall(call_id, name, _as_text(arguments))
            for call_id, name, arguments in message_calls(response.message)
        ),
        model=raw.get("model"),
        reply_id=raw.get("id"),
        request_id=extra.get("request_id"),
    )


def message_calls(message: ChatMessage) -> Iterable[tuple[str, str, Mapping[str, Any] | str]]:
    """The id, name and arguments of each call, from blocks or else from `additional_kwargs`."""
    blocks = [one for one in message.blocks if isinstance(one, ToolCallBlock)]
    if blocks:
        for one in blocks:
            yield one.tool_call_id or "", one.tool_name, one.tool_kwargs
        return
    for entry in map(as_mapping, message.additional_kwargs.get("tool_calls") or ()):
        function = as_mapping(entry.get("function"))
        yield entry.get("id") or "", function.get("name") or "", function.get("arguments") or ""


def _tool_selection(
    call_id: str, name: str, arguments: Mapping[str, Any] | str, *, finish_reason: str | None
) -> ToolSelection:
    """A call of a finished response.

    `finish_reason` is the response's if the call is the last one, because only that can have been
    cut off.
    """
    parsed = parse_arguments(arguments) if isinstance(arguments, str) else dict(arguments)
    cut_off_by = _CUT_OFF_BY.get(truncation_cause(finish_reason) or "")
    fix = "Call it again with a whole JSON object."
    if not name:
        problem, fix = "the call has no name", "Name the tool to call."
    elif parsed is None:
        ended = f"were cut off by {cut_off_by}" if cut_off_by else "are not a JSON object"
        problem = f"its arguments {ended}: {str(arguments)[:_MAX_EXCERPT]!r}"
    elif isinstance(arguments, str) and is_cut_before_arguments(arguments, finish_reason):
        problem = f"it was cut off by {cut_off_by} before its arguments"
    else:
        return ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=parsed)
    return InvalidToolCall(
        f"The model called {name!r}, but {problem}.",
        tool_id=call_id,
        tool_name=f"{name or 'without a name'} (not run: {problem}. {fix})",
        tool_kwargs={INVALID_JSON: arguments} if parsed is None else parsed,
    )


def _partial(arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    if not isinstance(arguments, str):
        return dict(arguments)
    parsed = parse_arguments(arguments)
    return parse_partial_object(arguments) if parsed is None else parsed


def _as_text(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else to_json(arguments).decode()
