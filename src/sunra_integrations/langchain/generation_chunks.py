"""LangChain's chunks as its validation makes them, made without it.

`validated` is the reference, and what runs where this langchain-core's classes hold anything that
is not known here; a property test holds `generation_chunk` against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall, ToolCallChunk
from langchain_core.messages.base import TextAccessor
from langchain_core.outputs import ChatGenerationChunk

from sunra_integrations.langchain.broken_calls import MessageChunk
from sunra_integrations.protocol import fast_path

Content = str | list[str | dict[Any, Any]]


def validated(
    content: Content,
    additional_kwargs: dict[str, Any],
    response_metadata: dict[str, Any],
    tool_call_chunks: list[ToolCallChunk],
) -> ChatGenerationChunk:
    """A chunk of a stream, made by validation; what is empty counts as not set."""
    fields: dict[str, Any] = {"content": content, "response_metadata": response_metadata}
    if additional_kwargs:
        fields["additional_kwargs"] = additional_kwargs
    if tool_call_chunks:
        fields["tool_call_chunks"] = tool_call_chunks
    return ChatGenerationChunk(message=MessageChunk(**fields))


def generation_chunk(
    content: Content,
    additional_kwargs: dict[str, Any],
    response_metadata: dict[str, Any],
    tool_call_chunks: list[ToolCallChunk],
) -> ChatGenerationChunk:
    """A chunk of a stream, equal to what `validated` makes of the same values.

    Args:
        content: Its text; blocks are left to validation.
        additional_kwargs: Taken as its own, as are the next two. They hold no `tool_calls`.
        response_metadata: What is said of the answer.
        tool_call_chunks: Pieces of tool calls.
    """
    if not isinstance(content, str):
        return validated(content, additional_kwargs, response_metadata, tool_call_chunks)
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for piece in tool_call_chunks:
        arguments = piece["args"]
        if not arguments:
            calls.append(_call(piece))
        elif arguments.lstrip()[:1] != "{":  # no JSON object begins so, whole or in part
            broken.append(_broken_call(piece))
        else:
            return validated(content, additional_kwargs, response_metadata, tool_call_chunks)
    given: dict[str, Any] = {"content": content, "response_metadata": response_metadata}
    empty: dict[str, Any] = {}
    (given if additional_kwargs else empty)["additional_kwargs"] = additional_kwargs
    of_calls = given if tool_call_chunks else empty
    of_calls["tool_call_chunks"] = tool_call_chunks
    of_calls["tool_calls"] = calls
    of_calls["invalid_tool_calls"] = broken
    message = _message[bool(additional_kwargs), bool(tool_call_chunks)](given, empty)
    return _generation({"text": TextAccessor(content) if content else _NO_TEXT, "message": message})


def _call(piece: ToolCallChunk) -> ToolCall:
    return {"name": piece["name"] or "", "args": {}, "id": piece["id"], "type": "tool_call"}


def _broken_call(piece: ToolCallChunk) -> InvalidToolCall:
    return {
        "name": piece["name"],
        "args": piece["args"],
        "id": piece["id"],
        "error": None,
        "type": "invalid_tool_call",
    }


_NO_TEXT = TextAccessor("")
_SAID: dict[str, Any] = {"content": "", "response_metadata": {}}
_KWARGS: dict[str, Any] = {"additional_kwargs": {"reasoning_content": "…"}}
_PIECE = ToolCallChunk(name=None, args="", id=None, index=0, type="tool_call_chunk")
_PIECES: dict[str, Any] = {
    "tool_call_chunks": [_PIECE],
    "tool_calls": [_call(_PIECE)],
    "invalid_tool_calls": [],
}
_NO_KWARGS: dict[str, Any] = {"additional_kwargs": {}}
_NO_PIECES: dict[str, Any] = {name: [] for name in _PIECES}


def _message_maker(*, kwargs: bool, pieces: bool) -> Callable[..., MessageChunk]:
    return fast_path.constructor(
        MessageChunk,
        {**_SAID, **(_KWARGS if kwargs else {}), **(_PIECES if pieces else {})},
        defaults={**({} if kwargs else _NO_KWARGS), **({} if pieces else _NO_PIECES)},
        # On plain text their work is none but to read the pieces of calls, as `_call` and
        # `_broken_call` do.
        known_validators=(
            "__init__",
            "_backwards_compat_tool_calls",
            "init_tool_calls",
            "init_server_tool_calls",
        ),
    )


_message = {
    (kwargs, pieces): _message_maker(kwargs=kwargs, pieces=pieces)
    for kwargs in (False, True)
    for pieces in (False, True)
}
_generation = fast_path.constructor(
    ChatGenerationChunk,
    {
        "text": _NO_TEXT,
        "message": _message[False, False](dict(_SAID), {**_NO_KWARGS, **_NO_PIECES}),
    },
    known_validators=("__init__", "set_text"),
)
