"""Tool calls in both of LlamaIndex's forms, and back onto the wire.

The framework reads calls from `ToolCallBlock`s and, in older places (streamed structured
prediction, token counting), from `additional_kwargs["tool_calls"]`, by attribute. Both are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from sunra_integrations.errors import InvalidParameter, ResponseTruncated, UnreadableResponse
from sunra_integrations.protocol import unvalidated
from sunra_integrations.protocol.choices import ToolCall, ToolCallFold
from sunra_integrations.protocol.finish_reasons import is_cut_before, is_truncated
from sunra_integrations.protocol.json_text import finished_fields, strict_json
from sunra_integrations.protocol.tool_call_order import parse_arguments
from sunra_integrations.protocol.truncation import truncated

_CALL_FIELDS = frozenset(("id", "type", "function", "index"))


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


def selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The calls of a response, with what can be read of their arguments so far.

    While an answer streams, the arguments are incomplete JSON, and what is there is read. Once it
    has a finish_reason they must be whole: a tool is not run on arguments that were cut off.

    Raises:
        ValueError: There is no call, and `error_on_no_tool_call` is set.
        ResponseTruncated: The answer was cut off within a call, or before a required one.
        UnreadableResponse: The answer is finished and a call's arguments are no JSON object.
    """
    calls = list(_calls(response.message))
    if not calls and error_on_no_tool_call:
        if is_truncated(response.additional_kwargs.get("finish_reason"), lambda: True):
            raise truncation(response, "tool call")
        raise ValueError(
            f"The model called no tool. It answered: {response.message.content or '(nothing)'}"
        )
    return [
        ToolSelection(
            tool_id=call_id,
            tool_name=name,
            tool_kwargs=_kwargs(response, name, given, is_last=place == len(calls)),
        )
        for place, (call_id, name, given) in enumerate(calls, 1)
    ]


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


def _kwargs(
    response: ChatResponse, name: str, given: Mapping[str, Any] | str, *, is_last: bool
) -> dict[str, Any]:
    finished = response.additional_kwargs.get("finish_reason")
    if finished is not None and not name:
        raise UnreadableResponse(
            f"The model made a call that names no tool. It wrote: {given!r:.300}"
        )
    if not isinstance(given, str):
        return dict(given)
    whole = parse_arguments(given)
    missing = is_last and is_cut_before(given, finished)
    if whole is not None and not missing:
        return whole
    if finished is None:
        return finished_fields(given)
    if is_truncated(finished, lambda: True):
        raise truncation(response, f"call of {name!r}")
    raise UnreadableResponse(
        f"The model called {name!r} with arguments that are not a JSON object. "
        f"It wrote: {given[:300]}"
    )


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
    function = {"name": name, "arguments": written}
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
