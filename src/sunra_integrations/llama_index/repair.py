"""Replies that do not match: `llm_kwargs={"repair": 1}`, and `Sunra(repair_tool_calls=2)`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.core.tools.types import BaseTool
from pydantic import ValidationError

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.llama_index.request import as_mapping
from sunra_integrations.llama_index.tools import local_tools, message_calls, response_truncated
from sunra_integrations.protocol.json_text import parse_arguments
from sunra_integrations.protocol.repair import (
    NOT_CALLED,
    add_context,
    call_repair,
    check_repairs,
    describe_error,
    not_repaired,
    reply_repair,
)
from sunra_integrations.protocol.truncation import truncation_cause

EARLIER_ATTEMPTS = "earlier_attempts"
"""Key of `additional_kwargs`: what the calls before the last one returned and cost."""

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cost", "request_id")
_NOT_FOUND = " not found. Please select a tool that is available."
"""Part of the result of a call of an unknown tool: `multi_agent_workflow.py` of llama-index-core
0.14.25, and `run_tools`."""


@dataclass
class Repairs:
    """The repairs that are left for one object, and the failed attempts to request it."""

    left: int
    attempts: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    @classmethod
    def of(cls, given: Any) -> Repairs:
        """The repairs of a call.

        Raises:
            InvalidParameter: It is not a number of repairs.
        """
        return given if isinstance(given, cls) else cls(check_repairs(given))

    def request(self, error: Exception, response: ChatResponse | None) -> list[ChatMessage] | None:
        """The messages that request the object again; None if none can help.

        Truncations, refusals and failed calls are not repaired. The error gets those of earlier
        attempts as its context.

        Args:
            error: The error of an attempt.
            response: The response that has the error; None if the call failed.
        """
        add_context(error, self.error)
        self.error = error
        if response is None or not self.left or not isinstance(error, ValidationError):
            return None
        self.left -= 1
        problem = describe_error(error)
        self.attempts.append(_record(response, problem))
        return [response.message, *_repair_request(response.message, problem)]


def _repair_request(message: ChatMessage, problem: str) -> list[ChatMessage]:
    """A result for each call of a message, or a user message."""
    results = [
        ChatMessage(
            role=MessageRole.TOOL,
            content=NOT_CALLED if number else call_repair(problem),
            additional_kwargs={"tool_call_id": call_id, "name": name},
        )
        for number, (call_id, name, _) in enumerate(message_calls(message))
    ]
    return results or [ChatMessage(role=MessageRole.USER, content=reply_repair(problem))]


def _record(response: ChatResponse, problem: str) -> dict[str, Any]:
    """A failed attempt, as JSON: its reply, its error, its usage and cost."""
    extra = response.additional_kwargs
    fields = {
        "content": response.message.content,
        "tool_calls": [
            {"id": call_id, "name": name, "arguments": arguments}
            for call_id, name, arguments in message_calls(response.message)
        ],
        "error": problem,
        "id": as_mapping(response.raw).get("id"),
        **{name: extra.get(name) for name in _COUNTS},
    }
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def check_prompt_arguments(given: Mapping[str, Any], variables: Sequence[str]) -> None:
    """Rejects `repair` among the values for a prompt: LlamaIndex would ignore it.

    Raises:
        InvalidParameter: See above.
    """
    if "repair" in given and "repair" not in variables:
        raise InvalidParameter(
            '`repair` is not a variable of the prompt. Pass `llm_kwargs={"repair": …}`.',
            parameter="repair",
            rule="in `llm_kwargs`",
        )


# ── tool calls of agents ─────────────────────────────────────────────────────


def check_calls(
    response: ChatResponse,
    *,
    messages: Sequence[ChatMessage],
    tools: Sequence[BaseTool],
    limit: int,
) -> None:
    """Raises if a finished response and the replies before it have too many invalid calls in a row.

    Agents send an invalid call back to the model with its error, and go on up to `max_iterations`.
    This raises before they store the response, so the next run with their context can go on.

    Args:
        response: The response.
        messages: The conversation before it.
        tools: The tools of the call.
        limit: How many replies in a row may be invalid.

    Raises:
        ResponseTruncated: The last call was cut off.
        UnreadableResponse: More replies than `limit` are invalid.
    """
    _raise_if_call_truncated(response)
    known = {tool.metadata.name: tool for tool in local_tools(tools)}
    number, problem = 0, ""
    results: dict[Any, str] = {}
    for message in reversed([*messages, response.message]):
        if message.role is MessageRole.TOOL:
            results[message.additional_kwargs.get("tool_call_id")] = message.content or ""
            continue
        problems = (_problem(call, known, results) for call in message_calls(message))
        found = next(filter(None, problems), None)
        if found is None:
            break
        number, problem = number + 1, problem or found
    if number > limit:
        raise not_repaired("tool calls", number, problem, setting=f"`repair_tool_calls` is {limit}")


def _problem(
    call: tuple[str, str, Mapping[str, Any] | str],
    tools: Mapping[str | None, BaseTool],
    results: Mapping[Any, str],
) -> str | None:
    call_id, name, arguments = call
    parsed = parse_arguments(arguments) if isinstance(arguments, str) else dict(arguments)
    if not name:
        return "The call does not name a function."
    if parsed is None:
        return f"The arguments of {name!r} are not a JSON object: {arguments}"
    if name not in tools:  # after a handoff, it may be a tool of the agent before
        is_unknown = call_id not in results or _NOT_FOUND in results[call_id]
        return f"Unknown tool {name!r}." if is_unknown else None
    tool = tools[name]
    schema = tool.metadata.fn_schema
    try:  # other tools take what does not fit: QueryEngineTool makes a query of any arguments
        if schema is not None and isinstance(tool, FunctionTool):
            schema.model_validate(parsed)
    except ValidationError as error:
        return f"The arguments of {name!r} do not match its schema:\n{describe_error(error)}"
    return None


def _raise_if_call_truncated(response: ChatResponse) -> None:
    received = list(message_calls(response.message))
    if not received or truncation_cause(response.additional_kwargs.get("finish_reason")) is None:
        return
    _, _, arguments = received[-1]
    if isinstance(arguments, str) and (not arguments.strip() or parse_arguments(arguments) is None):
        raise response_truncated(response, "tool call")


def checked_calls(
    stream: Generator[ChatResponse, None, None], check: Callable[[ChatResponse], None]
) -> Generator[ChatResponse, None, None]:
    """The responses of a stream; the last one is checked. Closing the result closes the stream."""
    last = None
    with closing(stream):
        for last in stream:
            yield last
    if last is not None:
        check(last)


async def achecked_calls(
    stream: AsyncGenerator[ChatResponse, None], check: Callable[[ChatResponse], None]
) -> AsyncGenerator[ChatResponse, None]:
    """`checked_calls` for an async stream."""
    last = None
    async with aclosing(stream):
        async for last in stream:
            yield last
    if last is not None:
        check(last)
