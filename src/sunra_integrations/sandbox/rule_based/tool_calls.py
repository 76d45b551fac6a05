# ruff: noqa: RUF001 - punctuation of other scripts
"""The tool calls of the default reply: which tools, in which order, with which arguments.

The words of the turn are matched with the names, descriptions and schemas of the tools. A call
planned for a turn is made once; when all are made, the reply is a text.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sunra_integrations.sandbox.rule_based.conversation import Conversation
from sunra_integrations.sandbox.rule_based.entities import (
    MAX_SCANNED,
    Entity,
    find_entities,
    join_city_and_country,
)
from sunra_integrations.sandbox.rule_based.schema_values import make_value
from sunra_integrations.sandbox.rule_based.text import (
    GENERIC_STEMS,
    is_question,
    question,
    stem_set,
    stems,
)
from sunra_integrations.sandbox.rule_based.value_candidates import ValueCandidates

_MAX_CALLS = 16


@dataclass(frozen=True)
class ToolCall:
    """A call to make: the tool's name and its arguments."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class _Tool:
    """A tool, read for matching.

    Args:
        name: Its name.
        schema: The schema of its arguments.
        name_stems: The stems of its name, and the first one of its description. Stems that occur
            in the names of many tools are left out.
        description_stems: The stems of its description and its parameters, likewise.
    """

    name: str
    schema: dict[str, Any]
    name_stems: frozenset[str]
    description_stems: frozenset[str]

    @property
    def stems(self) -> frozenset[str]:
        """All of its stems."""
        return self.name_stems | self.description_stems


def plan_calls(request: dict[str, Any], conversation: Conversation) -> list[ToolCall]:
    """The calls to make now. Empty if the turn asks for none, or all of them are made.

    Args:
        request: A valid request.
        conversation: Its messages.
    """
    tools = [_read_tool(tool["function"]) for tool in request.get("tools", ())]
    choice = request.get("tool_choice", "auto")
    if not tools or choice == "none":
        return []
    turn = conversation.turn[-MAX_SCANNED:]
    match choice:
        case {"function": {"name": name}}:
            calls = [call for tool in tools if tool.name == name for call in _calls_of(tool, turn)]
        case "required":
            left = _not_yet_made(_planned(tools, turn, conversation), conversation)
            uncalled = [tool for tool in tools if tool.name not in conversation.called]
            calls = left or list(_calls_of(_closest(uncalled or tools, turn), turn))
        case _:
            calls = _not_yet_made(_planned(tools, turn, conversation), conversation)
    return calls[: _MAX_CALLS if request.get("parallel_tool_calls", True) else 1]


def _not_yet_made(planned: list[ToolCall], conversation: Conversation) -> list[ToolCall]:
    """The planned calls without those made since the turn, counted by tool."""
    made = Counter(conversation.called)
    left: list[ToolCall] = []
    for call in planned:
        if made[call.name] > 0:
            made[call.name] -= 1
        else:
            left.append(call)
    return left


def _planned(tools: Sequence[_Tool], turn: str, conversation: Conversation) -> list[ToolCall]:
    """Every call that the turn asks for, in the order of its clauses.

    A clause that depends on another ("then add 5") is planned when there is a result. The result
    is then put before the words of the clause.
    """
    matching = _matching(tools, turn)
    if len(matching) == 1:
        return list(_calls_of(matching[0], turn))
    results = [result.text for result in conversation.results]
    planned: list[ToolCall] = []
    for tool, share, waits in _shares(matching, turn):
        if waits and len(results) < len(planned):
            break
        lacks = waits and planned and _lacks_numbers(tool, share)
        text = f"{results[len(planned) - 1]} {share}" if lacks else share
        planned.extend(_calls_of(tool, text, turn=turn))
    return planned


# ── clauses ──────────────────────────────────────────────────────────────────

_CLAUSE = re.compile(
    r"[,;]?\s+(?:and then|then|and also|and|also|plus)\s+|[;\n]+|(?<=[.!?])\s+|[，；。？！]"
    r"|(?:然后|以及|并且|再)",
    re.IGNORECASE,
)
_THEN = re.compile(r"\bthen\b|然后|再", re.IGNORECASE)


def _shares(matching: Sequence[_Tool], turn: str) -> Iterator[tuple[_Tool, str, bool]]:
    """Each tool with its clauses of the turn, and whether it depends on an earlier one."""
    shares: dict[str, list[str]] = {tool.name: [] for tool in matching}
    waiting: set[str] = set()
    current: list[_Tool] = []
    position = 0
    for clause in _clauses(turn):
        start = turn.find(clause, position)
        between, position = turn[position:start], start + len(clause)
        current = _best(matching, clause) or current
        for tool in current:
            if not shares[tool.name] and (_THEN.search(between) or _THEN.match(clause)):
                waiting.add(tool.name)
            shares[tool.name].append(clause)
    for tool in sorted(matching, key=lambda tool: _position(turn, shares[tool.name])):
        yield tool, " and ".join(shares[tool.name]) or turn, tool.name in waiting


def _clauses(turn: str) -> list[str]:
    return [clause.strip() for clause in _CLAUSE.split(turn) if clause.strip()]


def _best(matching: Sequence[_Tool], clause: str) -> list[_Tool]:
    """The tools that match a clause best."""
    scores = {tool.name: _score(tool, clause) for tool in matching}
    best = max(scores.values(), default=0)
    return [tool for tool in matching if scores[tool.name] == best > 0]


def _position(turn: str, clauses: list[str]) -> int:
    return turn.find(clauses[0]) if clauses else len(turn)


def _lacks_numbers(tool: _Tool, clause: str) -> bool:
    wanted = [schema for schema in _required(tool) if _is_number(schema)]
    return sum(entity.kind == "number" for entity in find_entities(clause)) < len(wanted)


# ── arguments ────────────────────────────────────────────────────────────────


def _calls_of(tool: _Tool, text: str, turn: str = "") -> Iterator[ToolCall]:
    """One call of a tool, or one for each of several items that the text lists."""
    for share in _split_list(tool, text) or [text]:
        source = turn if turn and not find_entities(share) else share
        candidates = ValueCandidates(source, known=tool.stems)
        arguments = make_value(tool.schema or {"type": "object"}, candidates)
        yield ToolCall(tool.name, arguments if isinstance(arguments, dict) else {})


def _split_list(tool: _Tool, text: str) -> list[str]:
    """The text once for each item that it lists, without the other items."""
    required = _required(tool)
    numeric = [schema for schema in required if _is_number(schema)]
    entities = find_entities(text)
    if numeric and len(numeric) == len(required):
        return _split_numbers(text, [e for e in entities if e.kind == "number"], len(numeric))
    if len(required) != 1 or not _is_free_text(required[0]):
        return []
    for kind in ("quoted", "name", "expression"):
        items = [entity for entity in entities if entity.kind == kind]
        items = [
            e for e in join_city_and_country(items, text) if not set(stems(e.text)) <= tool.stems
        ]
        if 1 < len(items) <= _MAX_CALLS and _is_list(text, items):
            return _without_others(text, [[entity] for entity in items], items)
        if items:
            return []
    return []


def _split_numbers(text: str, numbers: list[Entity], size: int) -> list[str]:
    groups = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    complete = len(numbers) % size == 0
    if not (complete and 1 < len(groups) <= _MAX_CALLS):
        return []
    return _without_others(text, groups, numbers)


def _is_list(text: str, items: Sequence[Entity]) -> bool:
    """Whether items are listed, as in *A, B and also in C*, unlike *from A to B*."""
    separator = re.compile(
        r"[^.\n]{0,24}?(?:\s*,\s*|[,\s]+(?:and|or|then|also|plus|versus|vs\.?|&)\b|、|和|与|以及)"
        r"[^.\n]{0,24}"
    )
    pairs = itertools.pairwise(items)
    return all(separator.fullmatch(text[first.end : second.start]) for first, second in pairs)


def _without_others(
    text: str, groups: Sequence[Sequence[Entity]], items: Sequence[Entity]
) -> list[str]:
    texts: list[str] = []
    for group in groups:
        share = text
        for entity in reversed([other for other in items if other not in group]):
            marks = int(entity.kind == "quoted")
            share = share[: entity.start - marks] + " " + share[entity.end + marks :]
        texts.append(share)
    return texts


def _required(tool: _Tool) -> list[Any]:
    """The schemas of a tool's required properties."""
    properties = tool.schema.get("properties", {})
    return [properties[name] for name in tool.schema.get("required", []) if name in properties]


def _is_number(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") in ("integer", "number")


def _is_free_text(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "string" and "enum" not in schema


# ── matching tools ───────────────────────────────────────────────────────────

_LOOKUP = stem_set("search retrieve retriever lookup knowledge documents docs wiki encyclopedia")
_LOOKUP_REQUEST = re.compile(
    r"\b(?:search|find|look (?:up|for)|research)\b|搜索|查找|查询", re.IGNORECASE
)
_OPERATIONS = (
    (r"(?:\+|plus)", "add sum plus addition calculate math"),
    (r"(?:[-−]|minus)", "subtract minus difference calculate math"),
    (r"(?:[*×]|times|multiplied by)", "multiply times product calculate math"),
    (r"(?:[/÷]|divided by)", "divide quotient calculate math"),
    (r"(?:\^|\*\*)", "power exponent calculate math"),
)
# llama-index-core puts the function's signature on the first line of a tool's description:
# `FunctionTool.from_defaults` in `llama_index/core/tools/function_tool.py`.
_SIGNATURE = re.compile(r"^\w+\([^\n]*\n")
_NAMED = 10
_MIN_DESCRIPTION_WORDS = 2
_MAX_DESCRIPTION = 4_000


def _read_tool(function: dict[str, Any]) -> _Tool:
    schema = function.get("parameters", {})
    named = frozenset(stems(function["name"]))
    described = stems(_SIGNATURE.sub("", function.get("description", "")[:_MAX_DESCRIPTION]))
    specific = [word for word in described if word not in GENERIC_STEMS]
    parameters = stems(" ".join(schema.get("properties", {})))
    return _Tool(
        name=function["name"],
        schema=schema,
        name_stems=(named - GENERIC_STEMS or named) | {w for w in specific[:1] if w.isascii()},
        description_stems=frozenset([*described, *parameters]) - GENERIC_STEMS,
    )


def _matching(tools: Sequence[_Tool], turn: str) -> list[_Tool]:
    """The tools that the turn asks for, best first.

    A tool matches if the turn has its name, one word of its name, or two of its description. If
    none matches, a tool that looks things up matches a turn that asks for something.
    """
    scored = [(score, tool) for tool in tools if (score := _score(tool, turn)) > 0]
    scored.sort(key=lambda pair: -pair[0])
    turn_stems = _stems_with_operations(turn)
    kept: list[_Tool] = []
    taken: set[str] = set()
    for score, tool in scored:
        shared = tool.name_stems & turn_stems or tool.description_stems & turn_stems
        if score >= _NAMED or not kept or shared - taken:
            kept.append(tool)
            taken |= tool.stems & turn_stems
    if kept or not _asks_for_something(turn):
        return kept
    return [tool for tool in tools if _LOOKUP & set(stems(tool.name))][:1]


def _closest(tools: Sequence[_Tool], turn: str) -> _Tool:
    """The tool to call if one is required: the one that shares most words with the turn."""
    turn_stems = _stems_with_operations(turn)
    return max(tools, key=lambda tool: (_score(tool, turn), len(tool.stems & turn_stems)))


def _score(tool: _Tool, text: str) -> int:
    """How well a tool matches a text, from 0."""
    if re.search(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", text) and _has_specific_name(tool):
        return _NAMED
    text_stems = _stems_with_operations(text)
    named = len(tool.name_stems & text_stems)
    # A pair of CJK characters is a whole word, and more specific than a Latin stem.
    described = sum(1 if word.isascii() else 2 for word in tool.description_stems & text_stems)
    if named or described >= _MIN_DESCRIPTION_WORDS:
        return 2 * named + described + (tool.name_stems <= text_stems)
    return 0


def _has_specific_name(tool: _Tool) -> bool:
    """Whether a tool's name is unlike a plain word such as *get*, which any text may have."""
    return "_" in tool.name or "-" in tool.name or not tool.name_stems <= GENERIC_STEMS


@lru_cache(maxsize=256)
def _stems_with_operations(text: str) -> frozenset[str]:
    """The stems of a text, with those of the operations that its signs mean."""
    operations = " ".join(
        words for sign, words in _OPERATIONS if re.search(rf"\d\)?\s*{sign}\s*[-(]*\d", text)
    )
    return frozenset(stems(f"{text} {operations}"))


def _asks_for_something(turn: str) -> bool:
    asked = question(turn)
    return bool(stems(asked)) and (is_question(asked) or _LOOKUP_REQUEST.search(asked) is not None)
