"""Steps that need a whole conversation: pairing calls with results, choosing reasoning to send.

Both adapters finish the messages they have translated with `finished`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any

from sunra_integrations.protocol.replay import is_broken

Message = dict[str, Any]

Unpaired = Callable[[int, int | None], Exception]
"""Makes the error for the message at an index: for its call at another index, or its result.
"""

_REASONING = ("reasoning", "reasoning_content")
_NOT_CALLED = "The arguments are not a JSON object, so the tool was not called."


def finished(messages: list[Message], unpaired: Unpaired) -> list[Message]:
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
        broken = [call["id"] for call in message.get("tool_calls") or () if is_broken(call)]
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
