"""Steps that need a whole conversation: pairing calls with results, choosing reasoning to send.

Both adapters finish the messages they have translated with `finished`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pydantic_core import from_json, to_json

from sunra_integrations.protocol.json_text import (
    Json,
    parse_arguments,
    to_strict_json,
    well_formed,
    without_keys,
)
from sunra_integrations.protocol.reply import IN_CONTENT

Message = dict[str, Any]

Unpaired = Callable[[int, int | None], Exception]
"""Makes the error for the message at an index: for its call at another index, or its result.
"""

_REASONING = ("reasoning", "reasoning_content")
_NOT_CALLED = "The arguments are not a JSON object, so the tool was not called."


def prepare_messages(messages: list[Message], unpaired: Unpaired) -> list[Message]:
    """The conversation, ready to be sent; its messages are changed in place.

    Every call gets an id that no other call of the conversation has, and its result the same one:
    stored histories hold calls without ids (Gemini, Ollama) and ids that repeat. A legacy
    `function_call` that has a result becomes a tool call. Plain reasoning is taken out of turns
    that call no tool. A call with broken arguments that no framework could run gets a result that
    says so if the conversation went on without one, because servers refuse unanswered calls.

    Args:
        messages: In the API's form, except that ids of calls and results may be None.
        unpaired: Makes the error for a call or a result that lacks its counterpart.

    Raises:
        Exception: As made by `unpaired`.
    """
    is_calling = any(map(_calls_or_answers, messages))
    if is_calling:
        _pair(messages, unpaired)
    if any(name in one for one in messages for name in _REASONING):
        for turn in _turns(messages):
            if not any(map(_calls_or_answers, turn)):
                _without_reasoning(turn)
    return list(_with_broken_calls_answered(messages)) if is_calling else messages


def _calls_or_answers(message: Message) -> bool:
    return bool(
        message["role"] == "tool" or message.get("tool_calls") or message.get("function_call")
    )


def _turns(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The conversation cut before each message of the user's."""
    turn: list[Message] = []
    for message in messages:
        if message["role"] == "user" and turn:
            yield turn
            turn = []
        turn.append(message)
    yield turn


def _without_reasoning(turn: Sequence[Message]) -> None:
    for message in turn:
        for name in _REASONING:
            message.pop(name, None)


def _with_broken_calls_answered(messages: Sequence[Message]) -> Iterator[Message]:
    for place, message in enumerate(messages):
        yield message
        broken = [
            call["id"] for call in message.get("tool_calls") or () if has_invalid_arguments(call)
        ]
        if broken and place + 1 < len(messages):
            rest = takewhile(lambda one: one["role"] == "tool", messages[place + 1 :])
            answered = {one["tool_call_id"] for one in rest}
            for call_id in broken:
                if call_id not in answered:
                    yield {"role": "tool", "tool_call_id": call_id, "content": _NOT_CALLED}


# ── calls and their results ──────────────────────────────────────────────────


def _pair(messages: list[Message], unpaired: Unpaired) -> None:
    taken: set[str] = set()
    caller: int | None = None
    results: list[int] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            results.append(place)
        elif _calls_or_answers(message):
            _pair_group(messages, caller, results, taken, unpaired)
            caller, results = place, []
    _pair_group(messages, caller, results, taken, unpaired)


def _pair_group(
    messages: list[Message],
    caller: int | None,
    results: list[int],
    taken: set[str],
    unpaired: Unpaired,
) -> None:
    """Pairs the calls of one message with the results that follow it."""
    calls = [] if caller is None else _calls(messages[caller], answered=bool(results))
    ids = [call["id"] for call in calls]
    answered = [messages[place]["tool_call_id"] for place in results]
    if all(ids) and all(answered) and len(set(ids)) == len(ids) and taken.isdisjoint(ids):
        taken.update(ids)
        return
    waiting = dict(enumerate(calls))
    pairs: dict[int, int] = {}
    for place in results:
        found = _call_of(messages[place], waiting)
        if found is not None:
            del waiting[found]
            pairs[found] = place
        elif not messages[place]["tool_call_id"]:
            raise unpaired(place, None)
    for number, call in enumerate(calls):
        result = messages[pairs[number]] if number in pairs else None
        if result is None and not call["id"]:
            raise unpaired(caller or 0, number)
        given = call["id"] or (result or {}).get("tool_call_id")
        if not given or given in taken:
            given = _made_id(caller or 0, number, taken)
        taken.add(given)
        call["id"] = given
        if result is not None:
            result["tool_call_id"] = given


def _calls(message: Message, *, answered: bool) -> list[dict[str, Any]]:
    """The message's calls. A legacy one becomes a tool call if it has a result, which needs one."""
    if answered and "function_call" in message:
        call = {"id": None, "type": "function", "function": message.pop("function_call")}
        message["tool_calls"] = [call]
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    return calls


def _call_of(result: Message, waiting: dict[int, dict[str, Any]]) -> int | None:
    """The call that a result answers: that of its id, else one of its name, else the next.

    Gemini's and Ollama's adapters answer a call by the name of its tool.
    """
    answered, name = result["tool_call_id"], result.get("name")
    if answered:
        for number, call in waiting.items():
            if call["id"] == answered:
                return number
    without_id = [number for number, call in waiting.items() if not call["id"]]
    possible = without_id if without_id or answered else list(waiting)
    for number in possible:
        if waiting[number].get("function", {}).get("name") in {answered or name, name or answered}:
            return number
    return next(iter(possible), None)


def _made_id(caller: int, number: int, taken: set[str]) -> str:
    """The same in each later request, so that a prompt cache still finds the beginning."""
    made = f"call_{caller}_{number}"
    while made in taken:
        made += "x"
    return made


DEFAULT_FIELD = "reasoning"
VENDOR_FIELDS = "vendor_fields"
"""The key under which a framework's message lists its vendor fields to send back."""

_CALL_FIELDS = frozenset(("id", "type", "function", "custom"))
_ANY_ROLE = ("prefix", "partial", "cache_control")
_BY_THE_ASSISTANT = ("thinking_blocks", "extra_content")
_OWN_WAY = frozenset(("audio", "function_call"))
"""Fields that go back in another form than they came in."""
INVALID_JSON = "INVALID_JSON"
_UNNAMED = "unnamed"
"""The name sent for a call without a name, because servers refuse an empty one."""


def reasoning_fields(
    text: str, field: str | None, details: Sequence[Json], *, beside_calls: bool
) -> dict[str, Any]:
    """The fields of an assistant message that replay its reasoning; empty where none should.

    Args:
        text: The reasoning's text.
        field: The name it came under (`reasoning` or `reasoning_content`); None where it is not
            known. DeepSeek wants an empty one back, too.
        details: Its `reasoning_details`, as they came.
        beside_calls: Whether its turn calls tools.
    """
    fields: dict[str, Any] = {}
    if field == IN_CONTENT:
        beside_calls = False  # it is replayed with the content
    if beside_calls and (field is not None or (text and not details)):
        fields[field or DEFAULT_FIELD] = text
    if details:
        fields["reasoning_details"] = list(details)
    return fields


def signed_detail(text: str, signed: Mapping[str, Any]) -> dict[str, Any] | None:
    """Another vendor's signed or encrypted reasoning as a detail; None if it is neither.

    Args:
        text: The reasoning's text.
        signed: Its other fields: `signature`, or `data`, `encrypted_content` or
            `redacted_content`, and perhaps `id` and `format`.
    """
    known = {name: signed[name] for name in ("id", "format") if isinstance(signed.get(name), str)}
    for name in ("data", "encrypted_content", "redacted_content", "redactedContent"):
        data = signed.get(name)
        if isinstance(data, bytes):  # Bedrock's
            data = base64.b64encode(data).decode()
        if isinstance(data, str) and data:
            return {"type": "reasoning.encrypted", "data": data, **known}
    if isinstance(signed.get("signature"), str) and signed["signature"]:
        signature = {"signature": signed["signature"]}
        return {"type": "reasoning.text", "text": text, **signature, **known}
    return None


def vendor_fields(known: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The fields of a message beyond the wire's common ones that go onto it.

    Args:
        known: What the framework's message keeps beside its content.
        role: The message's role on the wire.
    """
    named = known.get(VENDOR_FIELDS)
    names: Iterable[Any] = _ANY_ROLE
    if role == "assistant":
        names = (*_ANY_ROLE, *_BY_THE_ASSISTANT, *(named if isinstance(named, list) else ()))
    return {name: known[name] for name in names if known.get(name) is not None}


def replayed_names(extra: Json) -> list[str]:
    """The names of a message's unknown fields that go back as they came."""
    return [name for name, value in extra.items() if value is not None and name not in _OWN_WAY]


def encode_tool_call(
    call_id: str | None, name: str, arguments: str, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """A tool call in the API's form, with its vendor's fields in their places.

    Args:
        call_id: None where there is none; `history` makes one.
        name: The tool's name.
        arguments: As the model wrote them.
        extra: Unknown fields of the call; those within its function stand under `function`, and a
            `type` of its own stands under `type`.
    """
    kind = extra.get("type") or "function"
    name = name or _UNNAMED
    if kind == "custom":
        body = {**_mapping(extra.get("custom")), "name": name, "input": arguments}
    else:
        written = sendable_arguments(arguments)
        body = {**_mapping(extra.get("function")), "name": name, "arguments": written}
    place = "custom" if kind == "custom" else "function"
    return {**without_keys(extra, _CALL_FIELDS), "id": call_id, "type": kind, place: body}


def has_invalid_arguments(call: Mapping[str, Any]) -> bool:
    """Whether a call's arguments are a wrapper around some that were not a JSON object."""
    arguments = _mapping(call.get("function")).get("arguments")
    return isinstance(arguments, str) and arguments.startswith(f'{{"{INVALID_JSON}":')


def sendable_arguments(arguments: str) -> str:
    """Arguments as servers take them: a JSON object, unchanged where they are one.

    Servers parse the arguments of earlier calls and refuse the whole conversation if one is
    broken, so broken ones are wrapped. The model sees what it wrote.
    """
    parsed = parse_arguments(arguments)
    if parsed == {}:
        return "{}"  # the many spellings of no arguments; servers take only this one
    if parsed is not None:
        for written in (arguments, to_strict_json(arguments)):
            if _is_strict(written):
                return written
    return to_json({INVALID_JSON: well_formed(arguments)}).decode()


def _is_strict(arguments: str) -> bool:
    try:
        from_json(arguments, allow_inf_nan=False)
    except (ValueError, TypeError):  # TypeError: half a surrogate pair
        return False
    return True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
