# ruff: noqa: RUF001 - marks of other scripts are read here
"""The tool calls to make now: which tools, how often, in which order, with which arguments.

No understanding is involved: the words of the turn are matched with names and schemas. A call
planned for a turn is made once; when all were made, the reply is a text.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sunra_integrations.sandbox.conversation import Conversation
from sunra_integrations.sandbox.mentions import MOST_TEXT, Mention, find, places
from sunra_integrations.sandbox.schema_values import instance
from sunra_integrations.sandbox.supply import Supply
from sunra_integrations.sandbox.tool_match import Tool, fitting, nearest, read, score
from sunra_integrations.sandbox.words import stems

_CLAUSE = re.compile(
    r"[,;]?\s+(?:and then|then|and also|and|also|plus)\s+|[;\n]+|(?<=[.!?])\s+|[，；。？！]"
    r"|(?:然后|以及|并且|再)",
    re.IGNORECASE,
)
_THEN = re.compile(r"\bthen\b|然后|再", re.IGNORECASE)
_NUMBER_TYPES = ({"type": "integer"}, {"type": "number"})
_MOST_CALLS = 16


@dataclass(frozen=True)
class Call:
    """A call to make: the tool's name and its arguments."""

    name: str
    arguments: dict[str, Any]


def calls(request: dict[str, Any], conversation: Conversation) -> list[Call]:
    """The calls to make now; none when the turn asks for none or all of them were made.

    Args:
        request: A request that keeps the contract.
        conversation: Its messages, read.
    """
    tools = [read(tool["function"]) for tool in request.get("tools", ())]
    choice = request.get("tool_choice", "auto")
    if not tools or choice == "none":
        return []
    turn = conversation.turn[-MOST_TEXT:]
    match choice:
        case {"function": {"name": name}}:
            wanted = [call for tool in tools if tool.name == name for call in _of_tool(tool, turn)]
        case "required":
            left = _still_to_make(_planned(tools, turn, conversation), conversation)
            fresh = [tool for tool in tools if tool.name not in conversation.called]
            wanted = left or list(_of_tool(nearest(fresh or tools, turn), turn))
        case _:
            wanted = _still_to_make(_planned(tools, turn, conversation), conversation)
    return wanted[: _MOST_CALLS if request.get("parallel_tool_calls", True) else 1]


def _still_to_make(planned: list[Call], conversation: Conversation) -> list[Call]:
    """The planned calls less, tool by tool, those already made since the turn."""
    made = Counter(conversation.called)
    left: list[Call] = []
    for call in planned:
        if made[call.name] > 0:
            made[call.name] -= 1
        else:
            left.append(call)
    return left


def _planned(tools: Sequence[Tool], turn: str, conversation: Conversation) -> list[Call]:
    """Every call the turn asks for, in the order of its clauses.

    A clause that has to wait for another ("then add 5") is planned once there is a result, which
    then goes before its own words.
    """
    asked = fitting(tools, turn)
    if len(asked) == 1:
        return list(_of_tool(asked[0], turn))
    results = [result.text for result in conversation.results]
    planned: list[Call] = []
    for tool, share, waits in _shares(asked, turn):
        if waits and len(results) < len(planned):
            break
        lacks = waits and planned and _lacks_numbers(tool, share)
        text = f"{results[len(planned) - 1]} {share}" if lacks else share
        planned.extend(_of_tool(tool, text, rest=turn))
    return planned


def _shares(asked: Sequence[Tool], turn: str) -> Iterator[tuple[Tool, str, bool]]:
    """Each tool's share of the turn: its clauses, and whether it has to wait for another."""
    shares: dict[str, list[str]] = {tool.name: [] for tool in asked}
    waiting: set[str] = set()
    current: list[Tool] = []
    position = 0
    for clause in _clauses(turn):
        start = turn.find(clause, position)
        between, position = turn[position:start], start + len(clause)
        current = _best(asked, clause) or current
        for tool in current:
            if not shares[tool.name] and (_THEN.search(between) or _THEN.match(clause)):
                waiting.add(tool.name)
            shares[tool.name].append(clause)
    for tool in sorted(asked, key=lambda tool: _first_place(turn, shares[tool.name])):
        yield tool, " and ".join(shares[tool.name]) or turn, tool.name in waiting


def _best(asked: Sequence[Tool], clause: str) -> list[Tool]:
    """The tools a clause is about: those that fit it best, if any does."""
    points = {tool.name: score(tool, clause) for tool in asked}
    most = max(points.values(), default=0)
    return [tool for tool in asked if points[tool.name] == most > 0]


def _first_place(turn: str, clauses: list[str]) -> int:
    return turn.find(clauses[0]) if clauses else len(turn)


def _clauses(turn: str) -> list[str]:
    return [clause.strip() for clause in _CLAUSE.split(turn) if clause.strip()]


def _lacks_numbers(tool: Tool, clause: str) -> bool:
    wanted = [inner for _, inner in _required(tool) if _is_number(inner)]
    return sum(mention.kind == "number" for mention in find(clause)) < len(wanted)


# ── which arguments ──────────────────────────────────────────────────────────


def _of_tool(tool: Tool, text: str, rest: str = "") -> Iterator[Call]:
    """One call of a tool, or one for each of several things the text lists for it."""
    for share in _listed(tool, text) or [text]:
        supply = Supply(share, known=tool.known)
        if rest and not find(share):
            supply = Supply(rest, known=tool.known)
        arguments = instance(tool.schema or {"type": "object"}, supply)
        yield Call(tool.name, arguments if isinstance(arguments, dict) else {})


def _listed(tool: Tool, text: str) -> list[str]:
    """The text once for each thing listed, with the other things left out of it."""
    required = _required(tool)
    numeric = [inner for _, inner in required if _is_number(inner)]
    mentions = find(text)
    if numeric and len(numeric) == len(required):
        numbers = [mention for mention in mentions if mention.kind == "number"]
        groups = [numbers[at : at + len(numeric)] for at in range(0, len(numbers), len(numeric))]
        whole = len(numbers) % len(numeric) == 0
        several = whole and 1 < len(groups) <= _MOST_CALLS
        return _without_others(text, groups, numbers) if several else []
    if len(required) != 1 or not _is_free_text(required[0][1]):
        return []
    for kind in ("quoted", "name", "expression"):
        listed = [mention for mention in mentions if mention.kind == kind]
        listed = [m for m in places(listed, text) if not set(stems(m.text)) <= tool.known]
        if 1 < len(listed) <= _MOST_CALLS and _is_list(text, listed):
            return _without_others(text, [[mention] for mention in listed], listed)
        if listed:
            return []
    return []


def _is_list(text: str, listed: Sequence[Mention]) -> bool:
    """Whether things stand side by side, as in *A, B and also in C*, not *from A to B*."""
    joint = re.compile(
        r"[^.\n]{0,24}?(?:\s*,\s*|[,\s]+(?:and|or|then|also|plus|versus|vs\.?|&)\b|、|和|与|以及)"
        r"[^.\n]{0,24}"
    )
    pairs = itertools.pairwise(listed)
    return all(joint.fullmatch(text[first.end : second.start]) for first, second in pairs)


def _without_others(
    text: str, groups: Sequence[Sequence[Mention]], everything: Sequence[Mention]
) -> list[str]:
    texts: list[str] = []
    for group in groups:
        share = text
        for mention in reversed([other for other in everything if other not in group]):
            marks = int(mention.kind == "quoted")
            share = share[: mention.start - marks] + " " + share[mention.end + marks :]
        texts.append(share)
    return texts


def _required(tool: Tool) -> list[tuple[str, Any]]:
    properties = tool.schema.get("properties", {})
    names = tool.schema.get("required", [])
    return [(name, properties[name]) for name in names if name in properties]


def _is_number(schema: Any) -> bool:
    return isinstance(schema, dict) and {"type": schema.get("type")} in _NUMBER_TYPES


def _is_free_text(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "string" and "enum" not in schema
