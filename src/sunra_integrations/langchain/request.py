"""Convert a conversation and its parameters to a Sunra request. Pure functions.

Content that the API cannot carry raises `UnsupportedContent` with its position; none is dropped.
Two fields of a tool message are left out on purpose: `artifact` is for the program only, and the
API has no field for `status`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.langchain.assistant_message import assistant_message, place_of_call
from sunra_integrations.langchain.content_parts import (
    cache_mark,
    content_part,
    not_content,
    tool_result_part,
    unsupported,
)
from sunra_integrations.langchain.tools import response_format, tool, tool_choice
from sunra_integrations.protocol.arguments import check_known
from sunra_integrations.protocol.content import Part, text_part
from sunra_integrations.protocol.history import prepare_messages, vendor_fields
from sunra_integrations.protocol.request import CALL_ARGUMENTS, PARAMETERS, ChatRequest, Message

__all__ = [
    "api_parameters",
    "build",
    "call_parameters",
    "content",
    "content_part",
    "message",
    "messages",
    "response_format",
    "tool",
    "tool_choice",
]

_TEXT_ROLES: Mapping[type, str] = {
    SystemMessage: "system",
    HumanMessage: "user",
    AIMessage: "assistant",
}
_ROLES = {"human": "user"}
_ASSISTANT_ROLES = frozenset(("assistant", "ai", "model"))
_API_ROLES = frozenset(("system", "developer", "user", "assistant"))
_ALIASES = {"model_name": "model", "stop_sequences": "stop"}
_PASSED_BY_CORE = frozenset(("stream", "ls_structured_output_format", "structured_output_format"))
"""Keyword arguments that langchain-core passes to every model."""
_CALL_ARGUMENTS = (*CALL_ARGUMENTS, "stream_usage", "strict")


def build(conversation: Sequence[BaseMessage], parameters: Mapping[str, Any]) -> ChatRequest:
    """The request for a conversation.

    Args:
        conversation: The messages, in order.
        parameters: Request parameters by the API's names; None is not sent. `tools` may be of any
            form, `response_format` a class or schema, and an empty `stop` means none.

    Raises:
        InvalidParameter: A value breaks its rule, or a name is unknown.
        UnsupportedContent: A message has content that the API cannot carry.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    return ChatRequest.model_validate({**_converted(given), "messages": messages(conversation)})


def api_parameters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The request parameters among these arguments, by the API's names."""
    named = {_ALIASES.get(name, name): value for name, value in arguments.items()}
    return {name: value for name, value in named.items() if name in PARAMETERS}


def call_parameters(call: Mapping[str, Any]) -> dict[str, Any]:
    """The request parameters of a call, by the API's names.

    Args:
        call: Its keyword arguments without client settings and headers; see `split_call`. Those
            that langchain-core passes to every model are left out.

    Raises:
        InvalidParameter: A name is unknown.
    """
    names = [_ALIASES.get(name, name) for name in call if name not in _PASSED_BY_CORE]
    check_known(names, _CALL_ARGUMENTS, of="a call", sendable=True)
    parameters = api_parameters(call)
    if call.get("stream_usage") is not None:
        stream_options = {"include_usage": True} if call["stream_usage"] else {}
        parameters.setdefault("stream_options", stream_options)
    if call.get("strict") is not None and parameters.get("tools"):
        parameters["tools"] = [tool(one, strict=call["strict"]) for one in parameters["tools"]]
    return parameters


def _converted(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with tools, tool choice, response format and stop in the API's form."""
    made = dict(parameters)
    if not made.get("stop"):
        made.pop("stop", None)
    elif isinstance(made["stop"], Iterable) and not isinstance(made["stop"], (str, list)):
        made["stop"] = list(made["stop"])
    if "response_format" in made:
        made["response_format"] = response_format(made["response_format"])
    if not isinstance(made.get("tools") or [], Sequence):
        raise InvalidParameter(
            f"`tools` must be a list of tools, got {made['tools']!r}.",
            parameter="tools",
            value=made["tools"],
            rule="a list of tools",
        )
    tools = [tool(one) for one in made.pop("tools", None) or ()]
    if tools:
        made["tools"] = tools
        made["tool_choice"] = tool_choice(made.get("tool_choice"), tools)
    else:
        # OpenAI and others reject both parameters in a request without tools.
        made.pop("tool_choice", None)
        made.pop("parallel_tool_calls", None)
    return made


def messages(conversation: Sequence[BaseMessage]) -> list[Message]:
    """The conversation in the API's form; consecutive messages of one role stay separate.

    Raises:
        UnsupportedContent: A message has content that the API cannot carry.
    """
    made: list[Message] = []
    sources: list[int] = []
    for index, given in enumerate(conversation):
        plain = _text_message(given)
        new = [plain] if plain is not None else _messages_of(given, f"messages[{index}]")
        made += new
        sources += [index] * len(new)

    def unpaired(index: int, call: int | None) -> UnsupportedContent:
        source = sources[index]
        return _unpaired(conversation[source], f"messages[{source}]", call)

    return prepare_messages(made, unpaired)


def message(given: BaseMessage, position: str = "messages[0]") -> Message:
    """One message in the API's form, as a conversation of its own.

    Args:
        given: As `messages` takes it.
        position: Its position, for errors.

    Raises:
        UnsupportedContent: It has content that the API cannot carry, or an unknown role.
    """
    (made,) = prepare_messages(
        [_message(given, position)], lambda _, c: _unpaired(given, position, c)
    )
    return made


def _text_message(given: BaseMessage) -> Message | None:
    """The message in the API's form if it consists of one text; otherwise None.

    A short cut with the same result as `_message`: most messages of a long history are plain text.
    """
    role = _TEXT_ROLES.get(type(given))
    text = given.content
    if (
        role is None
        or not text
        or not isinstance(text, str)
        or given.name
        or given.additional_kwargs
        or (isinstance(given, AIMessage) and (given.tool_calls or given.invalid_tool_calls))
    ):
        return None
    return {"role": role, "content": text}


def _messages_of(given: BaseMessage, position: str) -> list[Message]:
    results, rest = _split_tool_results(given, position)
    return results if rest is None else [*results, _message(rest, position)]


def _split_tool_results(
    given: BaseMessage, position: str
) -> tuple[list[Message], BaseMessage | None]:
    """Tool results in Anthropic's form, which are blocks of a human message, and the rest of it."""
    if not isinstance(given, HumanMessage) or isinstance(given.content, str):
        return [], given
    results: list[Message] = []
    rest: list[str | dict[Any, Any]] = []
    for index, block in enumerate(given.content):
        if isinstance(block, dict) and block.get("type") == "tool_result":
            where = f"{position}.content[{index}]"
            if not isinstance(block.get("tool_use_id"), str):
                raise unsupported(block, where, "without a `tool_use_id`")
            result = _tool_message(block["tool_use_id"], block.get("content") or "", where)
            results.append(_with_cache_mark(result, block))
        else:
            rest.append(block)
    if not results:
        return [], given
    return results, given.model_copy(update={"content": rest}) if rest else None


def _message(given: BaseMessage, position: str) -> Message:
    """One message in the API's form, before the steps that need the whole conversation.

    A system message with `additional_kwargs["__openai_role__"] == "developer"` becomes a developer
    message, as in langchain-openai.
    """
    given = _as_specific_class(given)
    match given:
        case AIMessage():
            return assistant_message(given, position)
        case ToolMessage():
            result = _tool_message(given.tool_call_id, given.content, position)
            if given.name and not given.tool_call_id:  # `protocol.history` finds the call by name
                result["name"] = given.name
            return {**result, **vendor_fields(given.additional_kwargs, "tool")}
        case FunctionMessage():
            return _tool_message(None, given.content, position)
        case SystemMessage():
            role = given.additional_kwargs.get("__openai_role__", "system")
        case HumanMessage():
            role = "user"
        case ChatMessage():
            role = _ROLES.get(given.role.lower(), given.role.lower())
        case _:
            role = given.type
    if role not in _API_ROLES:
        raise UnsupportedContent(
            f"{position} is a {type(given).__name__} with the role {role!r}, which Sunra does not "
            "support. Use system, developer, user, assistant or tool.",
            kind=str(role),
            position=position,
        )
    made: Message = {"role": role, "content": content(given.content, position)}
    if given.name:
        made["name"] = given.name
    return {**made, **vendor_fields(given.additional_kwargs, role)}


def _as_specific_class(given: BaseMessage) -> BaseMessage:
    """A `ChatMessage` of an assistant or tool as an `AIMessage` or `ToolMessage`."""
    if not isinstance(given, ChatMessage):
        return given
    extra, role = given.additional_kwargs, given.role.lower()
    if role in _ASSISTANT_ROLES:
        return AIMessage(given.content, additional_kwargs=extra, name=given.name)
    if role == "tool":
        call_id = extra.get("tool_call_id") or ""
        return ToolMessage(
            given.content, tool_call_id=call_id, additional_kwargs=extra, name=given.name
        )
    return given


def _tool_message(call_id: str | None, given: object, position: str) -> Message:
    return {
        "role": "tool",
        "tool_call_id": call_id,
        "content": content(given, position, of_tool=True),
    }


def _with_cache_mark(result: Message, block: Mapping[str, Any]) -> Message:
    """The mark of Anthropic's block on the last part of the result, where ChatAnthropic has it."""
    mark, content = cache_mark(block), result["content"]
    if not mark or not content:
        return {**result, **mark}
    *parts, last = [text_part(content)] if isinstance(content, str) else content
    return {**result, "content": [*parts, {**last, **mark}]}


def content(given: object, position: str, *, of_tool: bool = False) -> str | list[Part]:
    """Message content in the API's form: text unchanged, blocks as content parts.

    Args:
        given: Text, or a list of strings and blocks; empty items are skipped.
        position: The message's position, such as `messages[2]`.
        of_tool: Whether it is a tool result, in which links to resources become text.

    Raises:
        UnsupportedContent: The API has no part for a block.
    """
    if isinstance(given, str):
        return given
    if not isinstance(given, Sequence):
        raise not_content(given, position, "content must be text or a list of blocks")
    to_part = tool_result_part if of_tool else content_part
    parts = [
        to_part(block, f"{position}.content[{index}]") for index, block in enumerate(given) if block
    ]
    return parts or ""


def _unpaired(given: BaseMessage, position: str, call: int | None) -> UnsupportedContent:
    """The error for a tool call, or a tool result, that has no counterpart and no id."""
    if call is None:
        return UnsupportedContent(
            f"{position} is a {type(given).__name__} without a tool call id, and no earlier call "
            "lacks a result. Set its `tool_call_id`, or remove it from the conversation.",
            kind=given.type,
            position=position,
        )
    place, kind = place_of_call(given, call)
    return UnsupportedContent(
        f"{position}{place} is a {kind} without an `id` and without a tool message that answers "
        "it. Add the `id` and a tool message, or remove the call from the message.",
        kind=kind,
        position=f"{position}{place}",
    )
