"""Replies that do not match: `llm_kwargs={"repair": 1}`, and `Sunra(repair_tool_calls=2)`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.tools.types import BaseTool
from pydantic import ValidationError

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.llama_index.request import as_mapping
from sunra_integrations.llama_index.tools import message_calls, response_truncated
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


def check_invalid_calls(
    messages: Sequence[ChatMessage], tools: Sequence[BaseTool], limit: int
) -> None:
    """Raises if more replies than `limit` have invalid calls, in a row up to the last message.

    Agents send an invalid call back to the model with its error, and go on up to `max_iterations`.

    Raises:
        UnreadableResponse: See above.
    """
    known = {tool.metadata.name: tool for tool in tools}
    number, problem = 0, ""
    for message in reversed(messages):
        if message.role is MessageRole.TOOL:
            continue
        found = next(filter(None, (_problem(call, known) for call in message_calls(message))), None)
        if found is None:
            break
        number, problem = number + 1, problem or found
    if number > limit:
        raise not_repaired("tool calls", number, problem, setting=f"`repair_tool_calls` is {limit}")


def _problem(
    call: tuple[str, str, Mapping[str, Any] | str], tools: Mapping[str | None, BaseTool]
) -> str | None:
    _, name, arguments = call
    parsed = parse_arguments(arguments) if isinstance(arguments, str) else dict(arguments)
    if not name:
        return "The call does not name a function."
    if name not in tools:
        return f"There is no tool {name!r}."
    if parsed is None:
        return f"The arguments of {name!r} are not a JSON object: {arguments}"
    schema = tools[name].metadata.fn_schema
    try:
        if schema is not None:
            schema.model_validate(parsed)
    except ValidationError as error:
        return f"The arguments of {name!r} do not match its schema:\n{describe_error(error)}"
    return None


def raise_if_call_truncated(response: ChatResponse) -> None:
    """Raises if the last call of a finished response was cut off.

    Raises:
        ResponseTruncated: See above.
    """
    received = list(message_calls(response.message))
    if not received or truncation_cause(response.additional_kwargs.get("finish_reason")) is None:
        return
    _, _, arguments = received[-1]
    if isinstance(arguments, str) and (not arguments.strip() or parse_arguments(arguments) is None):
        raise response_truncated(response, "tool call")


def whole_calls(
    stream: Generator[ChatResponse, None, None],
) -> Generator[ChatResponse, None, None]:
    """The responses of a stream. Closing the result closes the stream.

    Raises:
        ResponseTruncated: At the end: the last call was cut off.
    """
    last = None
    with closing(stream):
        for last in stream:
            yield last
    if last is not None:
        raise_if_call_truncated(last)


async def awhole_calls(
    stream: AsyncGenerator[ChatResponse, None],
) -> AsyncGenerator[ChatResponse, None]:
    """`whole_calls` for an async stream."""
    last = None
    async with aclosing(stream):
        async for last in stream:
            yield last
    if last is not None:
        raise_if_call_truncated(last)
