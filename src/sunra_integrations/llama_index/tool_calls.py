"""Tool calls in both of LlamaIndex's forms, and back onto the wire.

The framework reads calls from `ToolCallBlock`s and, in older places (streamed structured
prediction, token counting), from `additional_kwargs["tool_calls"]`, by attribute. Both are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import ToolOutput
from pydantic import BaseModel, ConfigDict, PrivateAttr
from pydantic_core import to_json

from sunra_integrations.errors import InvalidParameter, ResponseTruncated, UnreadableResponse
from sunra_integrations.protocol import unvalidated
from sunra_integrations.protocol.choices import ToolCall, ToolCallFold
from sunra_integrations.protocol.finish_reasons import cause_of, is_cut_before, is_truncated
from sunra_integrations.protocol.json_text import finished_fields, strict_json
from sunra_integrations.protocol.tool_call_order import parse_arguments
from sunra_integrations.protocol.truncation import truncated

_CALL_FIELDS = frozenset(("id", "type", "function", "index"))
_CUT = {"limit": "max_tokens", "filter": "the content filter", "interruption": "the server"}
_NOT_JSON = "INVALID_JSON"
_UNNAMED = "unnamed"  # servers refuse an earlier call whose name is empty
_LONGEST_EXCERPT = 300


class CalledFunction(BaseModel):
    """The function of a tool call: its name, and its arguments as the model wrote them."""

    model_config = ConfigDict(frozen=True)

    name: str
    arguments: str


class CalledTool(BaseModel):
    """A tool call with the wire's field names, to be read by attribute (`call.function.name`)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


_block = unvalidated.maker(
    ToolCallBlock, {"tool_call_id": "call_1", "tool_name": "add", "tool_kwargs": "{}"}
)
_function = unvalidated.maker(CalledFunction, {"name": "add", "arguments": "{}"})
_entry = unvalidated.maker(
    CalledTool, {"id": "call_1", "function": CalledFunction(name="add", arguments="{}")}
)


def entry(call: ToolCall | ToolCallFold) -> CalledTool:
    """The call as an entry of `additional_kwargs["tool_calls"]`, vendors' extra fields included."""
    function = _function({"name": call.name, "arguments": call.arguments})
    if call.extra:
        return CalledTool(id=call.id, function=function, **call.extra)
    return _entry({"id": call.id, "function": function})


def block(called: CalledTool) -> ToolCallBlock:
    """The call as a content block; its arguments stay the text that the model wrote."""
    function = called.function
    return _block(
        {
            "tool_call_id": called.id,
            "tool_name": function.name,
            "tool_kwargs": function.arguments,
        }
    )


def wire_calls(message: ChatMessage, position: str) -> list[dict[str, Any]]:
    """The message's calls as the wire has them, from its blocks, else its `additional_kwargs`.

    Fields that a block has no room for (the signatures some vendors want back) are taken from the
    entry of the same id.

    Raises:
        InvalidParameter: A call has no id, so nothing could answer it.
    """
    entries = [_as_mapping(one) for one in message.additional_kwargs.get("tool_calls") or ()]
    extras = {one.get("id"): _extra(one) for one in entries}
    calls = [
        _wire_call(
            one.tool_call_id,
            one.tool_name,
            one.tool_kwargs,
            extras.get(one.tool_call_id, {}),
            f"{position}.blocks[{place}]",
        )
        for place, one in enumerate(message.blocks)
        if isinstance(one, ToolCallBlock)
    ]
    return calls or [
        _wire_call(
            one.get("id"),
            _as_mapping(one.get("function")).get("name"),
            _as_mapping(one.get("function")).get("arguments"),
            _extra(one),
            f"{position}.additional_kwargs['tool_calls'][{place}]",
        )
        for place, one in enumerate(entries)
    ]


class BrokenCall(ToolSelection):
    """A call that cannot be run, under a name that no tool has and that says what is wrong.

    Whoever looks its tool up finds none. That is how agents take it: the model gets a result which
    says that there is no such tool, and why, and the run goes on. Under its own name some tool
    would run on guesses: one whose parameters are all optional, or that takes any.
    """

    _flaw: str = PrivateAttr()

    def __init__(self, flaw: str, **fields: Any) -> None:
        super().__init__(**fields)
        self._flaw = flaw

    @property
    def error(self) -> UnreadableResponse:
        """What is wrong, for those who cannot go on."""
        return UnreadableResponse(self._flaw)


def selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The calls of a response, with what can be read of their arguments so far.

    While an answer streams, the arguments are incomplete JSON, and what is there is read. Once it
    is finished, a call that is not whole is a `BrokenCall`.

    Raises:
        ValueError: There is no call, and `error_on_no_tool_call` is set.
        ResponseTruncated: The answer was cut off before a required call.
    """
    calls = list(_calls(response.message))
    if not calls and error_on_no_tool_call:
        if is_truncated(response.additional_kwargs.get("finish_reason"), lambda: True):
            raise truncation(response, "tool call")
        raise ValueError(
            f"The model called no tool. It answered: {response.message.content or '(nothing)'}"
        )
    finished = response.additional_kwargs.get("finish_reason")
    if finished is None and response.delta is not None:
        return [
            ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=_so_far(given))
            for call_id, name, given in calls
        ]
    last = len(calls) - 1
    return [
        _selection(*call, finished=finished if place == last else None)
        for place, call in enumerate(calls)
    ]


def not_found(call: ToolSelection) -> ToolOutput:
    """The result of a call whose tool does not exist, in the words of the framework's agents."""
    content = f"Tool {call.tool_name} not found. Please select a tool that is available."
    return ToolOutput(
        content=content,
        tool_name=call.tool_name,
        raw_input=call.tool_kwargs,
        raw_output=content,
        is_error=True,
        exception=call.error if isinstance(call, BrokenCall) else None,
    )


def written_arguments(response: ChatResponse) -> list[str]:
    """The arguments of each call of a response, as the model wrote them."""
    return [_text(given) for _, _, given in _calls(response.message)]


def truncation(response: ChatResponse, what: str) -> ResponseTruncated:
    """The error for a response that was cut off.

    Args:
        response: The response.
        what: What was asked for, such as the name of a class.
    """
    known = response.additional_kwargs
    raw = _as_mapping(response.raw)
    return truncated(
        what,
        known.get("finish_reason"),
        text=response.message.content or "",
        usage=raw.get("usage"),
        calls=tuple(
            ToolCall(call_id, name, _text(given))
            for call_id, name, given in _calls(response.message)
        ),
        model=raw.get("model"),
        reply_id=raw.get("id"),
        request_id=known.get("request_id"),
    )


def first_call_only(response: ChatResponse) -> ChatResponse:
    """The response with its first tool call alone, in both forms; the one given is not touched."""
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


def _calls(message: ChatMessage) -> Iterable[tuple[str, str, Mapping[str, Any] | str]]:
    blocks = [one for one in message.blocks if isinstance(one, ToolCallBlock)]
    if blocks:
        for one in blocks:
            yield one.tool_call_id or "", one.tool_name, one.tool_kwargs
        return
    for written in map(_as_mapping, message.additional_kwargs.get("tool_calls") or ()):
        function = _as_mapping(written.get("function"))
        yield written.get("id") or "", function.get("name") or "", function.get("arguments") or ""


def _selection(
    call_id: str, name: str, given: Mapping[str, Any] | str, *, finished: str | None
) -> ToolSelection:
    """A call of a finished answer; `finished` is its finish_reason if the call is the last one."""
    whole = parse_arguments(given) if isinstance(given, str) else dict(given)
    cut = _CUT.get(cause_of(finished) or "")
    fix = "Call it again with a whole JSON object."
    if not name:
        flaw, fix = "the call has no name", "Name the tool to call."
    elif whole is None:
        ended = f"were cut off by {cut}" if cut else "are not a JSON object"
        flaw = f"its arguments {ended}: {str(given)[:_LONGEST_EXCERPT]!r}"
    elif isinstance(given, str) and is_cut_before(given, finished):
        flaw = f"it was cut off by {cut} before its arguments"
    else:
        return ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=whole)
    return BrokenCall(
        f"The model called {name!r}, but {flaw}.",
        tool_id=call_id,
        tool_name=f"{name or 'without a name'} (not run: {flaw}. {fix})",
        tool_kwargs={_NOT_JSON: given} if whole is None else whole,
    )


def _so_far(given: Mapping[str, Any] | str) -> dict[str, Any]:
    if not isinstance(given, str):
        return dict(given)
    whole = parse_arguments(given)
    return finished_fields(given) if whole is None else whole


def _text(given: Mapping[str, Any] | str) -> str:
    return given if isinstance(given, str) else to_json(given).decode()


def _wire_call(
    call_id: Any, name: Any, arguments: Any, extra: Mapping[str, Any], position: str
) -> dict[str, Any]:
    if not call_id:
        raise InvalidParameter(
            f"`{position}` is a call of {name!r} without an id, so no tool message can answer it. "
            "Give it an id.",
            parameter=position,
            value=call_id,
            rule="a tool call carries an id",
        )
    written = arguments if isinstance(arguments, str) else _written(arguments or {}, position)
    parsed = parse_arguments(written)
    if parsed == {}:
        written = "{}"  # the many spellings of no arguments; servers take only this one
    elif parsed is not None:
        written = strict_json(written)  # many servers parse it, and are stricter
    function = {"name": name or _UNNAMED, "arguments": written}
    return {"id": call_id, "type": "function", "function": function, **extra}


def _written(arguments: Any, position: str) -> str:
    try:
        return to_json(arguments).decode()
    except ValueError as error:
        raise InvalidParameter(
            f"The arguments of `{position}` cannot be written as JSON: {error}. Nothing was sent.",
            parameter=position,
            rule="JSON values only",
        ) from error


def _extra(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in _CALL_FIELDS}


def _as_mapping(value: Any) -> Mapping[str, Any]:
    """An entry as another adapter, or a store, may have left it: a dict or a pydantic model."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    return value if isinstance(value, Mapping) else {}
