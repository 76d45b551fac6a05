"""Middleware for the agents of `langchain.agents.create_agent`. It needs the package `langchain`.

Without it an agent ends silently if a reply has only invalid tool calls. An agent without tools
calls the model without end while it gets no structured output. Both are in `agents/factory.py` of
langchain 1.5.2: `_make_model_to_tools_edge` and `_make_model_to_model_edge`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
)
from langchain_core.tools import BaseTool

from sunra_integrations.errors import RequirementNotMet
from sunra_integrations.langchain.errors import as_model_error
from sunra_integrations.langchain.structured_output import raise_if_refused, response_truncated
from sunra_integrations.protocol.repair import (
    call_repair,
    check_repairs,
    describe_error,
    not_repaired,
    reply_repair,
)
from sunra_integrations.protocol.truncation import truncation_cause
from sunra_integrations.requirements import release, version

_LOWEST = "1.0.3"
"""Its first version whose `StructuredOutputValidationError` has the message of the model."""


def _not_met(found: str) -> RequirementNotMet:
    needed = f"langchain >= {_LOWEST}: pip install 'langchain>={_LOWEST}'"
    return RequirementNotMet(f"Agent middleware needs {needed} ({found})", name="langchain")


try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        AgentState,
        ModelRequest,
        ModelResponse,
        hook_config,
    )
    from langchain.agents.structured_output import StructuredOutputValidationError
    from langgraph.prebuilt.tool_node import (
        INVALID_TOOL_NAME_ERROR_TEMPLATE,
        TOOL_INVOCATION_ERROR_TEMPLATE,
    )
except ImportError as _error:
    raise _not_met(str(_error)) from _error
if (0,) < release(version("langchain") or "") < release(_LOWEST):
    raise _not_met(f"{version('langchain')} is installed")

__all__ = ["InvalidToolCallRepair"]

_REPAIR = "sunra_repair"
"""Key of `response_metadata` of the messages that request a call again; it is never sent."""
_NO_CALL = "It calls no tool, but the output must be a tool call."
_INVOCATION_ERROR = TOOL_INVOCATION_ERROR_TEMPLATE.partition("{")[0]
_UNKNOWN_TOOL = INVALID_TOOL_NAME_ERROR_TEMPLATE.partition("}")[2].partition("{")[0]

Message = TypeVar("Message", bound=BaseMessage)
if TYPE_CHECKING:
    State = AgentState[Any]
    Request = ModelRequest[Any]
    Response = ModelResponse[Any]
    Middleware = AgentMiddleware[Any, Any, Any]
else:
    Middleware = AgentMiddleware  # langchain 1.0 has other type parameters


class InvalidToolCallRepair(Middleware):
    """Send invalid tool calls back to the model, with their error, a limited number of times.

    ::

        agent = create_agent(model, tools, middleware=[InvalidToolCallRepair(max_attempts=2)])

    Each attempt is another paid call of the model. A call is invalid if it has no name, names an
    unknown tool, or its arguments are not valid JSON or do not match the tool's schema. Valid calls
    of the same reply are run. If the agent has a `response_format`, output that does not match it
    is invalid too.

    Put it first in the list: the `after_model` hooks of middleware before it do not run for a reply
    without valid calls, so a `ModelCallLimitMiddleware` there does not count such replies.

    A reply that was cut off, such as by `max_tokens`, raises `ResponseTruncated` if its tool calls
    or structured output are not complete. A refusal in place of structured output raises `Refused`.

    Args:
        max_attempts: How many times in a row the model may correct itself, 0 to 10. A valid reply
            or a new message of the user starts the count again. Defaults to 2.

    Raises:
        InvalidParameter: `max_attempts` is invalid.
        UnreadableResponse: When run: the calls are still invalid after `max_attempts`.
        ResponseTruncated: When run: see above.
        Refused: When run: see above.
    """

    def __init__(self, max_attempts: int = 2) -> None:
        super().__init__()
        self.max_attempts: int = check_repairs(max_attempts, "max_attempts")

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Call the model, and add a result to each invalid call of its reply."""
        earlier = self._checked(_invalid_turns(request.state["messages"]))
        try:
            response = handler(request)
        except StructuredOutputValidationError as error:
            response = _repaired_output(error)
        else:
            response = _with_results(request, response)
        self._checked(_invalid_turns(response.result).after(earlier))
        return response

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """The async version of `wrap_model_call`."""
        earlier = self._checked(_invalid_turns(request.state["messages"]))
        try:
            response = await handler(request)
        except StructuredOutputValidationError as error:
            response = _repaired_output(error)
        else:
            response = _with_results(request, response)
        self._checked(_invalid_turns(response.result).after(earlier))
        return response

    @hook_config(can_jump_to=["model"])
    def after_model(
        self,
        state: State,
        runtime: Any,  # noqa: ARG002 - LangChain's signature
    ) -> dict[str, Any] | None:
        """Call the model again if its reply has no valid call to run."""
        following, message = _last_turn(state["messages"])
        results = {one.tool_call_id for one in following if isinstance(one, ToolMessage)}
        is_pending = message and any(call["id"] not in results for call in message.tool_calls)
        if is_pending or not any(_REPAIR in one.response_metadata for one in following):
            return None
        return {"jump_to": "model"}

    @hook_config(can_jump_to=["model"])
    async def aafter_model(self, state: State, runtime: Any) -> dict[str, Any] | None:
        """The async version of `after_model`."""
        return self.after_model(state, runtime)

    def _checked(self, turns: _InvalidTurns) -> _InvalidTurns:
        if turns.number <= self.max_attempts:
            return turns
        setting = f"`max_attempts` of {type(self).__name__} is {self.max_attempts}"
        error = not_repaired("replies", turns.number, turns.problem, setting=setting)
        raise as_model_error(error)


class _InvalidTurns(NamedTuple):
    """How many replies at the end of a conversation are invalid, in a row."""

    number: int
    problem: str

    def after(self, earlier: _InvalidTurns) -> _InvalidTurns:
        """The sum, if the turns follow earlier ones."""
        return self if not self.number else self._replace(number=self.number + earlier.number)


def _invalid_turns(messages: Sequence[BaseMessage]) -> _InvalidTurns:
    number, problem = 0, ""
    is_invalid = False
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            if not is_invalid:
                break
            number, is_invalid = number + 1, False
        elif _is_repair_request(message):
            is_invalid = True
            problem = problem or str(message.text)
        elif isinstance(message, HumanMessage):
            break
    return _InvalidTurns(number, problem)


def _is_repair_request(message: BaseMessage) -> bool:
    """Whether it requests a call again: made here, or by the tool node for an invalid call."""
    if _REPAIR in message.response_metadata:
        return True
    if not isinstance(message, ToolMessage) or message.status != "error":
        return False
    return message.text.startswith(_INVOCATION_ERROR) or _UNKNOWN_TOOL in message.text


def _last_turn(messages: Sequence[BaseMessage]) -> tuple[list[BaseMessage], AIMessage | None]:
    """The model's last message, and the messages after it."""
    following: list[BaseMessage] = []
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            return following, message
        following.insert(0, message)
    return following, None


def _with_results(request: Request, response: Response) -> Response:
    """The response with a result for each call that no tool answers, and for missing output."""
    following, message = _last_turn(response.result)
    if message is None:
        return response
    is_output_missing = request.response_format is not None and response.structured_response is None
    _raise_if_cut_off_or_refused(message, is_output_missing=is_output_missing)
    added: list[BaseMessage] = [_invalid_result(call) for call in message.invalid_tool_calls]
    tools = {one.name for one in request.tools if isinstance(one, BaseTool)}
    if not tools:  # otherwise langchain's tool node answers calls of unknown tools
        answered = {one.tool_call_id for one in following if isinstance(one, ToolMessage)}
        added += [_unknown_result(one) for one in message.tool_calls if one["id"] not in answered]
    if is_output_missing and not message.tool_calls and not message.invalid_tool_calls:
        added.append(HumanMessage(reply_repair(_NO_CALL)))
    if is_output_missing:  # the agent's own messages say that the output does not match
        following = [one if one.name in tools else _failed_output(one) for one in following]
    if response.structured_response is None:
        added = list(map(_marked, added))
    before = response.result[: response.result.index(message) + 1]
    return replace(response, result=[*before, *following, *added])


def _repaired_output(error: StructuredOutputValidationError) -> Response:
    """The response with a request to repair its text, which is not the output of the schema.

    Raises:
        StructuredOutputValidationError: The output is a tool call, for which `ToolStrategy` is
            configured to raise.
    """
    message = error.ai_message
    if message.tool_calls:
        raise error
    _raise_if_cut_off_or_refused(message, is_output_missing=True)
    request = _marked(HumanMessage(reply_repair(describe_error(error.source))))
    return ModelResponse(result=[message, request])


def _raise_if_cut_off_or_refused(message: AIMessage, *, is_output_missing: bool) -> None:
    is_output_missing = is_output_missing and not message.tool_calls
    if not is_output_missing and not message.invalid_tool_calls:
        return
    if truncation_cause(message.response_metadata.get("finish_reason")) is not None:
        raise response_truncated(message, "structured output" if is_output_missing else "tool call")
    if is_output_missing:
        raise_if_refused(message)


def _invalid_result(call: InvalidToolCall) -> ToolMessage:
    problem = call.get("error") or "The arguments are not a JSON object."
    return _result(call, call_repair(problem))


def _unknown_result(call: ToolCall) -> ToolMessage:
    return _result(call, call_repair(f"Unknown tool {call['name']!r}."))


def _result(call: ToolCall | InvalidToolCall, text: str) -> ToolMessage:
    name, call_id = call.get("name"), call.get("id") or ""
    return ToolMessage(text, name=name, tool_call_id=call_id, status="error")


def _failed_output(message: BaseMessage) -> BaseMessage:
    """Marked, and not by the name of an output tool, whose result ends agents after other tools."""
    if isinstance(message, ToolMessage):
        message = message.model_copy(update={"name": None, "status": "error"})
    return _marked(message)


def _marked(message: Message) -> Message:
    metadata = {**message.response_metadata, _REPAIR: True}
    return message.model_copy(update={"response_metadata": metadata})
