"""Tool calls in both of LlamaIndex's forms, and back onto the wire.

The framework reads calls from `ToolCallBlock`s and, in older places (streamed structured
prediction, token counting), from `additional_kwargs["tool_calls"]`, by attribute. Both are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import ToolOutput
from pydantic import BaseModel, ConfigDict, PrivateAttr
from pydantic_core import to_json

from sunra_integrations.errors import (
    InvalidParameter,
    ResponseTruncated,
    UnreadableResponse,
    UnsupportedContent,
)
from sunra_integrations.protocol import fast_path
from sunra_integrations.protocol.accumulator import ToolCallAccumulator
from sunra_integrations.protocol.history import INVALID_JSON, encode_tool_call
from sunra_integrations.protocol.json_text import parse_arguments, parse_partial_object
from sunra_integrations.protocol.reply import ToolCall
from sunra_integrations.protocol.truncation import (
    is_cut_before_arguments,
    is_truncated,
    truncation_cause,
    truncation_error,
)

_CALL_FIELDS = frozenset(("id", "type", "function", "index"))
_CUT = {"limit": "max_tokens", "filter": "the content filter", "interruption": "the server"}
_LONGEST_EXCERPT = 300
_FUNCTION_FIELDS = frozenset(("name", "arguments"))
_IDS = ("call_id", "toolUseId", "tool_use_id", "tool_call_id", "id")
"""Where other classes keep the id that a call's result names. OpenAI's Responses API has two, and
`id` is the item's own."""
_ARGUMENTS = ("arguments", "input", "args", "tool_kwargs", "parameters")


class CalledFunction(BaseModel):
    """The function of a tool call: its name, and its arguments as the model wrote them."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")

    name: str
    arguments: str


class CalledTool(BaseModel):
    """A tool call with the wire's field names, to be read by attribute (`call.function.name`)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")

    id: str
    function: CalledFunction
    type: str = "function"


_block = fast_path.constructor(
    ToolCallBlock, {"tool_call_id": "call_1", "tool_name": "add", "tool_kwargs": "{}"}
)
_function = fast_path.constructor(CalledFunction, {"name": "add", "arguments": "{}"})
_entry = fast_path.constructor(
    CalledTool, {"id": "call_1", "function": CalledFunction(name="add", arguments="{}")}
)


def entry(call: ToolCall | ToolCallAccumulator) -> CalledTool:
    """The call as an entry of `additional_kwargs["tool_calls"]`, vendors' extra fields included."""
    function = _function({"name": call.name, "arguments": call.arguments})
    if call.extra:
        extra = dict(call.extra)
        within = extra.pop("function", None)
        if within:
            function = CalledFunction(**{**within, **function.model_dump()})
        return CalledTool.model_validate({**extra, "id": call.id, "function": function})
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
    entry of the same id; of several with one id, in their order. An id may be None.

    Raises:
        UnsupportedContent: An entry is not a call of any class known here.
    """
    entries = [_as_mapping(one) for one in message.additional_kwargs.get("tool_calls") or ()]
    blocks = [one for one in message.blocks if isinstance(one, ToolCallBlock)]
    if blocks:
        unused = [entry for entry in entries if isinstance(entry.get("function"), Mapping)]
        return [
            _of_block(one, unused, f"{position}{place_of_call(message, number)}")
            for number, one in enumerate(blocks)
        ]
    return [
        _of_entry(one, f"{position}.additional_kwargs['tool_calls'][{place}]")
        for place, one in enumerate(entries)
    ]


def place_of_call(message: ChatMessage, number: int) -> str:
    """Where in its message the call of this number stands, for errors."""
    blocks = [at for at, one in enumerate(message.blocks) if isinstance(one, ToolCallBlock)]
    if number < len(blocks):
        return f".blocks[{blocks[number]}]"
    if number < len(message.additional_kwargs.get("tool_calls") or ()):
        return f".additional_kwargs['tool_calls'][{number}]"
    return ".additional_kwargs['function_call']"


def legacy_call(known: Mapping[str, Any]) -> dict[str, Any] | None:
    """The legacy `function_call`; its result has the role `function`."""
    match _as_mapping(known.get("function_call")):
        case {"name": str() as name, **rest}:
            function: dict[str, Any] = encode_tool_call(
                None, name, _text_of(rest, "additional_kwargs['function_call']"), {}
            )["function"]
            return function
        case _:
            return None


def _of_block(
    block: ToolCallBlock, unused: list[Mapping[str, Any]], position: str
) -> dict[str, Any]:
    extra: Mapping[str, Any] = {}
    for entry in unused:
        if entry.get("id") == block.tool_call_id:
            extra = _extra(entry)
            unused.remove(entry)
            break
    arguments = _text_of({"arguments": block.tool_kwargs}, position)
    return encode_tool_call(block.tool_call_id or None, block.tool_name, arguments, extra)


def _of_entry(entry: Mapping[str, Any], position: str) -> dict[str, Any]:
    """A call in the form of this class or of another one of LlamaIndex's."""
    function = entry.get("function", entry.get("toolUse"))
    call = {**entry, **function} if isinstance(function, Mapping) else entry
    name = call.get("name", call.get("tool_name"))
    if not isinstance(name, str):
        raise UnsupportedContent(
            f"`{position}` is not a tool call of a form known here: it has no name. Leave it out "
            "of the message.",
            kind=str(entry.get("type", "tool_call")),
            position=position,
        )
    call_id = next((call[key] for key in _IDS if isinstance(call.get(key), str)), None)
    extra = _extra(entry) if isinstance(entry.get("function"), Mapping) else {}
    return encode_tool_call(call_id or None, name, _text_of(call, position), extra)


def _text_of(call: Mapping[str, Any], position: str) -> str:
    """The call's arguments as JSON text, under whichever name they stand."""
    arguments = next((call[key] for key in _ARGUMENTS if call.get(key) is not None), None)
    return arguments if isinstance(arguments, str) else _written(arguments or {}, position)


class BrokenCall(ToolSelection):
    """A call that cannot be run, under a name that no tool has and that says what is wrong.

    Looking its tool up finds none. Agents handle that: the model gets a result which
    says that there is no such tool, and why, and the run goes on. Under its own name some tool
    would run on guesses: one whose parameters are all optional, or that takes any.
    """

    _flaw: str = PrivateAttr()

    def __init__(self, flaw: str, **fields: Any) -> None:
        super().__init__(**fields)
        self._flaw = flaw

    @property
    def error(self) -> UnreadableResponse:
        """The error, for callers that cannot go on."""
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
        what: The requested object, such as the name of a class.
    """
    known = response.additional_kwargs
    raw = _as_mapping(response.raw)
    return truncation_error(
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
    cut = _CUT.get(truncation_cause(finished) or "")
    fix = "Call it again with a whole JSON object."
    if not name:
        flaw, fix = "the call has no name", "Name the tool to call."
    elif whole is None:
        ended = f"were cut off by {cut}" if cut else "are not a JSON object"
        flaw = f"its arguments {ended}: {str(given)[:_LONGEST_EXCERPT]!r}"
    elif isinstance(given, str) and is_cut_before_arguments(given, finished):
        flaw = f"it was cut off by {cut} before its arguments"
    else:
        return ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=whole)
    return BrokenCall(
        f"The model called {name!r}, but {flaw}.",
        tool_id=call_id,
        tool_name=f"{name or 'without a name'} (not run: {flaw}. {fix})",
        tool_kwargs={INVALID_JSON: given} if whole is None else whole,
    )


def _so_far(given: Mapping[str, Any] | str) -> dict[str, Any]:
    if not isinstance(given, str):
        return dict(given)
    whole = parse_arguments(given)
    return parse_partial_object(given) if whole is None else whole


def _text(given: Mapping[str, Any] | str) -> str:
    return given if isinstance(given, str) else to_json(given).decode()


def _written(arguments: Any, position: str) -> str:
    try:
        return to_json(arguments).decode()
    except ValueError as error:
        raise InvalidParameter(
            f"The arguments of `{position}` cannot be written as JSON: {error}.",
            parameter=position,
            rule="JSON values only",
        ) from error


def _extra(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is beside a call's common fields, as `protocol.history.wire_call` takes it."""
    extra = {name: value for name, value in entry.items() if name not in _CALL_FIELDS}
    within = {
        name: value for name, value in entry["function"].items() if name not in _FUNCTION_FIELDS
    }
    if within:
        extra["function"] = within
    if entry.get("type", "function") != "function":
        extra["type"] = entry["type"]
    return extra


def _as_mapping(value: Any) -> Mapping[str, Any]:
    """An entry as another adapter, or a store, may have left it: a dict or a pydantic model."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    return value if isinstance(value, Mapping) else {}
