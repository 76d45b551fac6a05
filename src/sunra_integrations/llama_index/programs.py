"""Responses for LlamaIndex's `FunctionCallingProgram`, so that its object is the model's.

The program logs whatever goes wrong while it reads a stream, and goes on. Of two objects it keeps
the one with more values, counting the defaults of a partial one that was already valid. So the
errors are raised by the stream itself, and a whole answer comes with its defaults.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.tools.types import BaseTool
from pydantic import BaseModel, RootModel

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.llama_index import tool_calls
from sunra_integrations.llama_index.structured import check_refusal
from sunra_integrations.protocol.json_text import parse_arguments
from sunra_integrations.protocol.truncation import is_truncated

_MODULE = "llama_index.core.program.function_program"


def asked_class(tools: Sequence[BaseTool]) -> type[BaseModel] | None:
    """The class whose fields a program asks for by a tool; None for tools of other origin."""
    for tool in tools:
        function = getattr(tool, "real_fn", None)
        schema = tool.metadata.fn_schema
        if schema is not None and getattr(function, "__module__", None) == _MODULE:
            return schema
    return None


def check(response: ChatResponse, output_cls: type[BaseModel]) -> None:
    """Raises unless a finished answer has all of the object that was asked for.

    Raises:
        Refused: The model declined to answer.
        ResponseTruncated: The answer was cut off.
        UnreadableResponse: A call's arguments are not a JSON object.
    """
    check_refusal(response)
    written = tool_calls.written_arguments(response)
    broken = [text for text in written if parse_arguments(text) is None]
    reason = response.additional_kwargs.get("finish_reason")
    if is_truncated(reason, lambda: not broken):
        raise tool_calls.truncation(response, output_cls.__name__)
    if broken:
        raise UnreadableResponse(
            f"The arguments of the call of {output_cls.__name__!r} are not a JSON object: "
            f"{broken[0][:300]}"
        )


def checked(
    stream: Generator[ChatResponse, None, None], output_cls: type[BaseModel]
) -> Generator[ChatResponse, None, None]:
    """The responses as a program reads them; closing closes the stream.

    Raises:
        As `check` does, at the end of the stream.
        ValueError: The model called no tool, or the arguments do not fit the class.
    """
    last = None
    with closing(stream):
        for last in stream:
            yield _with_defaults(last, output_cls)
    if last is not None:
        _check_end(last, output_cls)


async def achecked(
    stream: AsyncGenerator[ChatResponse, None], output_cls: type[BaseModel]
) -> AsyncGenerator[ChatResponse, None]:
    """As `checked`, for an async stream."""
    last = None
    async with aclosing(stream):
        async for last in stream:
            yield _with_defaults(last, output_cls)
    if last is not None:
        _check_end(last, output_cls)


def _check_end(last: ChatResponse, output_cls: type[BaseModel]) -> None:
    """Raises unless the program can make its object; otherwise a partial one would be its last."""
    check(last, output_cls)
    for call in tool_calls.selections(last, error_on_no_tool_call=True):
        output_cls.model_validate(call.tool_kwargs)


def _with_defaults(response: ChatResponse, output_cls: type[BaseModel]) -> ChatResponse:
    if response.additional_kwargs.get("finish_reason") is None:
        return response
    message = response.message
    blocks = [
        block.model_copy(update={"tool_kwargs": _all_fields(block.tool_kwargs, output_cls)})
        if isinstance(block, ToolCallBlock)
        else block
        for block in message.blocks
    ]
    return response.model_copy(update={"message": message.model_copy(update={"blocks": blocks})})


def _all_fields(arguments: dict[str, Any] | str, output_cls: type[BaseModel]) -> Any:
    """The arguments with the defaults of the class, if it reads the same object from them."""
    given = parse_arguments(arguments) if isinstance(arguments, str) else arguments
    try:
        whole = output_cls.model_validate(given)
        fields = whole.model_dump(round_trip=True)
        same = output_cls.model_validate(fields) == whole
    except Exception:  # noqa: BLE001 - a validator of the class's own; the program meets it too
        return arguments
    return fields if same and not issubclass(output_cls, RootModel) else arguments
