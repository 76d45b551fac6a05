# ruff: noqa: RUF001 - marks of other scripts are read here
"""Which of the bound tools a turn asks for, told from names, descriptions and words.

A tool fits a turn when the turn names it, or shares a telling word with its name or two with its
description, or, where none does, when it looks things up and the turn asks for something.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sunra_integrations.sandbox.words import GENERIC, is_question, question, stem, stem_set, stems

_GENERIC_STEMS = frozenset(map(stem, GENERIC))
_LOOKUP = stem_set("search retrieve retriever lookup knowledge documents docs wiki encyclopedia")
_ASKS = re.compile(r"\b(?:search|find|look (?:up|for)|research)\b|搜索|查找|查询", re.IGNORECASE)
_OPERATIONS = (
    (r"(?:\+|plus)", "add sum plus addition calculate math"),
    (r"(?:[-−]|minus)", "subtract minus difference calculate math"),
    (r"(?:[*×]|times|multiplied by)", "multiply times product calculate math"),
    (r"(?:[/÷]|divided by)", "divide quotient calculate math"),
    (r"(?:\^|\*\*)", "power exponent calculate math"),
)
# Some frameworks put a function's signature before its description.
_SIGNATURE = re.compile(r"^\w+\([^\n]*\n")
_NAMED = 10
_ENOUGH_IN_DESCRIPTION = 2
_MOST_DESCRIPTION = 4_000


@dataclass(frozen=True)
class Tool:
    """A bound tool as it is matched.

    Args:
        name: Its name.
        schema: The schema of its arguments.
        naming: The stems of its name, and the first of its description, without those that any
            tool may be named with.
        describing: The stems of its description and its parameters' names, likewise.
    """

    name: str
    schema: dict[str, Any]
    naming: frozenset[str]
    describing: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        """Every stem it is known by."""
        return self.naming | self.describing


def read(function: dict[str, Any]) -> Tool:
    """A tool's definition as a request carries it, read for matching."""
    schema = function.get("parameters", {})
    named = frozenset(stems(function["name"]))
    described = stems(_SIGNATURE.sub("", function.get("description", "")[:_MOST_DESCRIPTION]))
    telling = [word for word in described if word not in _GENERIC_STEMS]
    parameters = stems(" ".join(schema.get("properties", {})))
    return Tool(
        name=function["name"],
        schema=schema,
        naming=(named - _GENERIC_STEMS or named) | {word for word in telling[:1] if word.isascii()},
        describing=frozenset([*described, *parameters]) - _GENERIC_STEMS,
    )


def fitting(tools: Sequence[Tool], turn: str) -> list[Tool]:
    """The tools a turn asks for, each with a word of its own; the best first."""
    scored = [(points, tool) for tool in tools if (points := score(tool, turn)) > 0]
    scored.sort(key=lambda pair: -pair[0])
    said = _said(turn)
    kept: list[Tool] = []
    spoken_for: set[str] = set()
    for points, tool in scored:
        telling = tool.naming & said or tool.describing & said
        if points >= _NAMED or not kept or telling - spoken_for:
            kept.append(tool)
            spoken_for |= tool.known & said
    if kept or not _wants_to_know(turn):
        return kept
    return [tool for tool in tools if _LOOKUP & set(stems(tool.name))][:1]


def score(tool: Tool, text: str) -> int:
    """How well a tool fits a text; 0 where it does not."""
    if re.search(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", text) and _is_telling(tool):
        return _NAMED
    said = _said(text)
    naming = len(tool.naming & said)
    # A pair of CJK characters is a word of its own, and tells more than one Latin word does.
    describing = sum(1 if word.isascii() else 2 for word in tool.describing & said)
    if naming or describing >= _ENOUGH_IN_DESCRIPTION:
        return 2 * naming + describing + (tool.naming <= said)
    return 0


def nearest(tools: Sequence[Tool], turn: str) -> Tool:
    """The tool to call when one must be: the one sharing most words, else the first."""
    said = _said(turn)
    return max(tools, key=lambda tool: (score(tool, turn), len(tool.known & said)))


def _is_telling(tool: Tool) -> bool:
    """Whether a tool's name in a text is no accident: not a plain word such as *get*."""
    return "_" in tool.name or "-" in tool.name or not tool.naming <= _GENERIC_STEMS


@lru_cache(maxsize=256)
def _said(text: str) -> frozenset[str]:
    """The stems of a text, with those of the operations its signs stand for."""
    spoken = " ".join(
        words for sign, words in _OPERATIONS if re.search(rf"\d\)?\s*{sign}\s*[-(]*\d", text)
    )
    return frozenset(stems(f"{text} {spoken}"))


def _wants_to_know(turn: str) -> bool:
    """Whether a turn asks for something, and says what."""
    asked = question(turn)
    return bool(stems(asked)) and (is_question(asked) or _ASKS.search(asked) is not None)
