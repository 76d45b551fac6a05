"""What LangChain hands over, in the wire's form. Pure: nothing is sent, downloaded or changed.

What the wire has no place for is refused by name (`UnsupportedContent`), never dropped. Left out
on purpose: a tool message's `artifact`, which is the program's own, and its `status`, for which
the wire has no field (its content says what went wrong).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from sunra_integrations.langchain.assistant import assistant_message, place_of_call
from sunra_integrations.langchain.parts import not_content, part, result_part, unsupported
from sunra_integrations.langchain.tools import answer_format, tool, tool_choice
from sunra_integrations.protocol.arguments import CALL_SETTINGS, split_call, unknown_arguments
from sunra_integrations.protocol.content import Part
from sunra_integrations.protocol.history import prepare_messages, vendor_fields
from sunra_integrations.protocol.parameters import merge_parameters
from sunra_integrations.protocol.request import (
    ChatRequest,
    Message,
    parameter_rules,
)

__all__ = ["content", "message", "messages", "request", "tool"]

_TEXT_ROLES: Mapping[type, str] = {
    SystemMessage: "system",
    HumanMessage: "user",
    AIMessage: "assistant",
}
_ROLES = {"human": "user"}
_ASSISTANTS = frozenset(("assistant", "ai", "model"))
_WIRE_ROLES = frozenset(("system", "developer", "user", "assistant"))
_OTHER_NAMES = {"model_name": "model", "stop_sequences": "stop"}
_PARAMETERS = frozenset(parameter_rules().keys() - {"messages"})
_FRAMEWORK = frozenset(("stream", "ls_structured_output_format", "structured_output_format"))
"""What langchain-core passes down for itself."""
_OF_A_CALL = sorted(_PARAMETERS | CALL_SETTINGS | {"extra_headers", "stream_usage", "strict"})


def request(
    conversation: Sequence[BaseMessage],
    defaults: Mapping[str, Any],
    call: Mapping[str, Any] | None = None,
) -> ChatRequest:
    """The request for a conversation.

    Args:
        conversation: The messages, in order.
        defaults: Parameters of the model object, by the wire's names, and `extra_body`.
        call: Parameters of this call, which go before the defaults; None takes a default back.
            `tools` may be of any form, `response_format` a class or schema, `stop` an empty list
            for none. `extra_body` is joined with the default's, key by key. What langchain-core
            passes down for itself is left out.

    Raises:
        InvalidParameter: A value breaks its rule, or a name is unknown.
        UnsupportedContent: A message holds something the wire cannot carry.
    """
    own = call_parameters(call or {})
    parameters = {
        n: value for n, value in merge_parameters(defaults, own).items() if value is not None
    }
    return ChatRequest.model_validate({**_prepared(parameters), "messages": messages(conversation)})


def call_parameters(call: Mapping[str, Any]) -> dict[str, Any]:
    """The request parameters among a call's keyword arguments, by the wire's names.

    What changes the client's settings for the call (`timeout`, …) is none of them.

    Raises:
        InvalidParameter: A name is neither a parameter nor something the framework passes down.
    """
    of_request, _ = split_call(call)
    named = {_OTHER_NAMES.get(name, name): value for name, value in of_request.items()}
    own = {name: value for name, value in named.items() if name in _PARAMETERS}
    further = [name for name in named if name not in _FRAMEWORK]
    unknown = unknown_arguments(further, _OF_A_CALL, of="a call", sendable=True)
    if unknown is not None:
        raise unknown
    if call.get("stream_usage") is not None:
        own.setdefault("stream_options", {"include_usage": True} if call["stream_usage"] else {})
    if call.get("strict") is not None and own.get("tools"):
        own["tools"] = [tool(one, strict=call["strict"]) for one in own["tools"]]
    return own


def messages(conversation: Sequence[BaseMessage]) -> list[Message]:
    """The conversation in the wire's form; consecutive turns of one role stay as they are.

    Raises:
        UnsupportedContent: A message holds something the wire cannot carry.
    """
    made: list[Message] = []
    sources: list[int] = []
    for place, one in enumerate(conversation):
        plain = _text_message(one)
        new = [plain] if plain is not None else _messages_of(one, f"messages[{place}]")
        made += new
        sources += [place] * len(new)

    def unpaired(place: int, call: int | None) -> UnsupportedContent:
        source = sources[place]
        return _unpaired(conversation[source], f"messages[{source}]", call)

    return prepare_messages(made, unpaired)


def message(given: BaseMessage, position: str = "messages[0]") -> Message:
    """One message in the wire's form, as a conversation of its own.

    Args:
        given: As `messages` takes it.
        position: Where it stands, for errors.

    Raises:
        UnsupportedContent: It holds something the wire cannot carry, or its kind has no role there.
    """
    (made,) = prepare_messages(
        [_message(given, position)], lambda _, c: _unpaired(given, position, c)
    )
    return made


def _messages_of(given: BaseMessage, position: str) -> list[Message]:
    results, rest = _tool_results(given, position)
    return results if rest is None else [*results, _message(rest, position)]


def _message(given: BaseMessage, position: str) -> Message:
    """One message in the API's form, before the steps that need the whole conversation.

    Args:
        given: A system, human, AI or tool message, or a `ChatMessage` of one of these roles. A
            system message with `additional_kwargs["__openai_role__"] == "developer"` becomes a
            developer message.
        position: Where it stands, for errors.

    Raises:
        UnsupportedContent: It holds something the wire cannot carry, or its kind has no role there.
    """
    given = _of_its_class(given)
    match given:
        case AIMessage():
            return assistant_message(given, position)
        case ToolMessage():
            result = _tool_message(given.tool_call_id, given.content, position)
            if given.name and not given.tool_call_id:  # the call is found by it
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
    if role not in _WIRE_ROLES:
        raise UnsupportedContent(
            f"{position} is a {type(given).__name__} of role {role!r}; Sunra knows system, "
            "developer, user, assistant and tool. Nothing was sent.",
            kind=str(role),
            position=position,
        )
    made: Message = {"role": role, "content": content(given.content, position)}
    if given.name:
        made["name"] = given.name
    return {**made, **vendor_fields(given.additional_kwargs, role)}


def _of_its_class(given: BaseMessage) -> BaseMessage:
    """A `ChatMessage` of the assistant's or a tool's as their class, so that its calls are read."""
    if not isinstance(given, ChatMessage):
        return given
    known, role = given.additional_kwargs, given.role.lower()
    if role in _ASSISTANTS:
        return AIMessage(given.content, additional_kwargs=known, name=given.name)
    if role == "tool":
        call_id = known.get("tool_call_id") or ""
        return ToolMessage(
            given.content, tool_call_id=call_id, additional_kwargs=known, name=given.name
        )
    return given


def _text_message(given: BaseMessage) -> Message | None:
    """The message in the wire's form if it is a text and nothing else, else None.

    Long histories are mostly of these; `message` makes the same of them.
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


def content(given: object, position: str, *, of_tool: bool = False) -> str | list[Part]:
    """A message's content in the wire's form: text as it is, blocks as parts.

    Args:
        given: Text, or strings and blocks in order; empty strings among them say nothing.
        position: Where the message stands, as in `messages[2]`.
        of_tool: It is a tool's result, so links to resources become text.

    Raises:
        UnsupportedContent: A block has no part that could carry it.
    """
    if isinstance(given, str):
        return given
    if not isinstance(given, Sequence):
        raise not_content(given, position, "content is text or a list of blocks")
    to_part = result_part if of_tool else part
    parts = [
        to_part(block, f"{position}.content[{place}]") for place, block in enumerate(given) if block
    ]
    return parts or ""


def _tool_message(call_id: str | None, given: object, position: str) -> Message:
    return {
        "role": "tool",
        "tool_call_id": call_id,
        "content": content(given, position, of_tool=True),
    }


def _unpaired(given: BaseMessage, position: str, call: int | None) -> UnsupportedContent:
    """The error for a call without an id and a result, or a result without an id and a call."""
    if call is None:
        return UnsupportedContent(
            f"{position} is a {type(given).__name__} without a tool call id, and no earlier call "
            "lacks a result. Set its `tool_call_id`, or leave it out of the conversation.",
            kind=given.type,
            position=position,
        )
    place, kind = place_of_call(given, call)
    return UnsupportedContent(
        f"{position}{place} is a {kind} without an `id`, and no tool message answers it. Give it "
        "an `id` and answer it, or leave it out of the message.",
        kind=kind,
        position=f"{position}{place}",
    )


def _tool_results(given: BaseMessage, position: str) -> tuple[list[Message], BaseMessage | None]:
    """Anthropic's tool results, which stand in a human message, and what else that message says."""
    if not isinstance(given, HumanMessage) or isinstance(given.content, str):
        return [], given
    found: list[Message] = []
    rest: list[str | dict[Any, Any]] = []
    for place, block in enumerate(given.content):
        if isinstance(block, dict) and block.get("type") == "tool_result":
            where = f"{position}.content[{place}]"
            if not isinstance(block.get("tool_use_id"), str):
                raise unsupported(block, where, "without the `tool_use_id` that it answers")
            found.append(_tool_message(block["tool_use_id"], block.get("content") or "", where))
        else:
            rest.append(block)
    if not found:
        return [], given
    return found, given.model_copy(update={"content": rest}) if rest else None


def _prepared(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of any form in the wire's: tools, their choice, formats, stop sequences."""
    made = dict(parameters)
    if not made.get("stop"):
        made.pop("stop", None)
    elif not isinstance(made["stop"], (str, list)):
        made["stop"] = list(made["stop"])
    if "response_format" in made:
        made["response_format"] = answer_format(made["response_format"])
    if not isinstance(made.get("tools") or [], Sequence):
        raise InvalidParameter(
            f"`tools` was {made['tools']!r}; the rule is: a list of tools. Nothing was sent.",
            parameter="tools",
            value=made["tools"],
            rule="a list of tools",
        )
    tools = [tool(one) for one in made.pop("tools", None) or ()]
    if tools:
        made["tools"] = tools
        made["tool_choice"] = tool_choice(made.get("tool_choice"), tools)
    else:
        # Without tools there is nothing to choose or to call in parallel, and servers refuse both.
        made.pop("tool_choice", None)
        made.pop("parallel_tool_calls", None)
    return made
