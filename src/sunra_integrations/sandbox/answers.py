# ruff: noqa: RUF001 - marks of other scripts are read here
"""Answers in words that are in the conversation: the nearest sentences, quoted as they stand."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from sunra_integrations.sandbox.conversation import Attachment, Conversation, ToolResult
from sunra_integrations.sandbox.words import (
    MOST_TEXT,
    is_question,
    question,
    sentences,
    stems,
    without_label,
)

_SHORT_RESULT = 600
_SECOND_BEST = 0.7
_LEAST_SHARE = 0.2
_INSTRUCTIONS = re.compile(r"(?i)^(?:context|context information is below|answer)\W*$")


def answer(conversation: Conversation) -> str:
    """A plain reply: tool results as they are, else the nearest sentences, else the turn itself."""
    if conversation.results:
        said = from_results(conversation.results, question(conversation.turn))
    else:
        said = " ".join(nearest(conversation)) or _echo(conversation.turn)
    seen = _attached(conversation.attachments)
    return "\n".join(part for part in (said, seen) if part) or "You said nothing."


def nearest(conversation: Conversation) -> list[str]:
    """The one or two sentences that share the rarest words with what the turn asks."""
    asked = question(conversation.turn)
    return ranked(asked, _context(conversation))


def ranked(asked: str, candidates: Sequence[str]) -> list[str]:
    """The best one or two candidates for a question, verbatim; none where nothing is shared."""
    wanted = set(stems(without_label(asked)))
    read = [set(stems(candidate)) for candidate in candidates]
    frequency = Counter(word for words in read for word in words & wanted)
    weight = {word: math.log(1 + len(read) / frequency[word]) for word in frequency}
    scores = [sum(weight[word] for word in words & wanted) for words in read]
    order = sorted(range(len(candidates)), key=lambda index: -scores[index])
    if not order or not wanted:
        return []
    best = scores[order[0]]
    shared = len(read[order[0]] & wanted) / len(wanted)
    if best <= 0 or shared < _LEAST_SHARE:
        return []
    second = [index for index in order[1:2] if scores[index] >= _SECOND_BEST * best]
    new = [index for index in second if read[index] - read[order[0]]]
    return [candidates[index] for index in sorted([order[0], *new])]


def from_results(results: Sequence[ToolResult], asked: str) -> str:
    """What tools answered: short texts whole, long ones by their nearest sentences."""
    if len(results) == 1:
        return _result(results[0], asked)
    return "\n".join(f"{result.name}: {_result(result, asked)}" for result in results)


def reasoning(conversation: Conversation, called: Sequence[str]) -> str:
    """What the sandbox did, in words: its stand-in for a model's reasoning."""
    asked = without_label(question(conversation.turn))
    words = ", ".join(dict.fromkeys(stems(asked)[:8])) or "no word of weight"
    if called:
        found = f"They point at {', '.join(dict.fromkeys(called))}."
    elif conversation.results:
        found = f"{len(conversation.results)} tool result(s) are there to answer with."
    else:
        found = f"Sentences sharing them: {len(nearest(conversation))}."
    return f"The turn asks: {asked} Stems: {words}. {found}"


def _context(conversation: Conversation) -> list[str]:
    """Every sentence that might answer: no question, no label, not what is asked itself."""
    asked = question(conversation.turn)
    whole = "\n".join([*conversation.earlier, conversation.turn])[-MOST_TEXT:]
    found = dict.fromkeys(sentences(whole))
    return [
        sentence
        for sentence in found
        if sentence != asked
        and not is_question(sentence)
        and not sentence.endswith((":", "："))
        and not _INSTRUCTIONS.match(sentence)
    ]


def _result(result: ToolResult, asked: str) -> str:
    text = result.text.strip()
    if len(text) > _SHORT_RESULT:
        text = " ".join(ranked(asked, sentences(text[-MOST_TEXT:]))) or text[:_SHORT_RESULT]
    return "\n".join(part for part in (text, _attached(result.attachments)) if part)


def _attached(attachments: Sequence[Attachment]) -> str:
    listed = ", ".join(attachment.description for attachment in attachments)
    return f"There is {listed}." if listed else ""


def _echo(turn: str) -> str:
    said = turn.strip()[:_SHORT_RESULT]
    return f"You said: {said}" if said else ""
