# ruff: noqa: RUF001 - marks of other scripts are read here
"""Finds what a text mentions that could be an argument: quotes, numbers, names, dates, sums."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sunra_integrations.sandbox.tokens import CJK
from sunra_integrations.sandbox.words import STOPWORDS, stems, word_set

Kind: TypeAlias = Literal[
    "quoted", "url", "email", "uuid", "datetime", "date", "time", "path", "expression", "number",
    "name", "segment",
]  # fmt: skip

MOST_TEXT = 20_000
MOST_MENTIONS = 400


@dataclass(frozen=True)
class Mention:
    """Something mentioned: its kind, its exact words, and where they stand."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the words end."""
        return self.start + len(self.text)


_NUMBER = r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_OPERAND = rf"\(*\s*(?:{_NUMBER})\s*\)*"
_OPEN = "\"“”‘’'`「『«《"
_QUOTED = re.compile(
    r"\"([^\"\n]{1,400})\"|“([^”\n]{1,400})”|「([^」\n]{1,400})」|『([^』\n]{1,400})』"
    r"|«([^»\n]{1,400})»|《([^》\n]{1,400})》|`([^`\n]{1,400})`"
    r"|(?<!\w)'([^'\n]{1,400})'(?!\w)|(?<!\w)‘([^’\n]{1,400})’(?!\w)"
)
# In this order: what one pattern takes, later ones do not see.
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("url", re.compile(r"https?://[^\s<>\"'，。）)]+[^\s<>\"'，。）).,;:!?]")),
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("uuid", re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")),
    (
        "datetime",
        re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?"),
    ),
    (
        "date",
        re.compile(
            r"\b\d{4}-\d\d-\d\d\b|\b\d{4}年\d{1,2}月\d{1,2}日|\b\d{1,2}/\d{1,2}/\d{2,4}\b"
            r"|\b(?:today|tomorrow|yesterday|tonight|(?:next|last|this) (?:week|month|year))\b"
            r"|\b(?:(?:next|last|this) )?(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"
            r"|\b(?:January|February|March|April|May|June|July|August|September|October|November"
            r"|December) \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?\b"
            r"|今天|明天|昨天|后天"
        ),
    ),
    ("time", re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]m)?\b|\b\d{1,2}\s?[ap]m\b")),
    (
        "path",
        re.compile(
            r"(?<![\w/.-])(?:\.{0,2}/)?(?:[\w.-]{1,64}/){0,16}[\w.-]{1,64}\.[a-z]{1,5}\b(?!\()"
        ),
    ),
)
_EXPRESSION = re.compile(rf"(?<![\w.]){_OPERAND}(?:\s*(?:\*\*|[-+*/×÷^%])\s*{_OPERAND})+(?![\w])")
_LONE_NUMBER = re.compile(rf"(?<![A-Za-z0-9_.])(?:{_NUMBER})(?![A-Za-z_]*\d)")
_LATIN_WORD = re.compile(rf"(?:(?![{CJK}])[^\W_])(?:(?![{CJK}])[\w'’&-])*")
_STATE = re.compile(r",\s?[A-Z]{2,3}\b(?!['’])")
_SENTENCE_START = re.compile(r"(?:^|[.!?:。！？：\n])[\s\"'“‘(*-]*$")
_CONNECTORS = re.compile(r" (?:(?:of|de|la|du|von|van|der|the) )?")
_OPENERS = word_set(
    """add ask book buy call calculate change check compare compute convert count create delete
    describe divide do email explain extract fetch find forecast generate get give greet list look
    lookup make multiply name open play put read remember remind remove reply report respond return
    run save schedule search send set show subtract sum summarise summarize tell translate turn
    update use write january february march april may june july august september october november
    december dear json"""
)
_PARTICLES = re.compile(
    r"怎么样|怎麼樣|怎样|如何|什么|什麼|多少|哪里|哪裡|为什么|為什麼|请问|請問|告诉|告訴|帮我|幫我"
    r"|查询|查詢|查一下|一下|です|ます|ですか|ください|[的了吗嗎呢吧啊是在和与與跟及或请請我你您把给給有去到从從はがをにのでとへもか]"
)
_CJK_RUN = re.compile(rf"[{CJK}]+")


def find(text: str) -> list[Mention]:
    """The first things a text mentions, by position; a sum and its numbers are both there."""
    text = text[:MOST_TEXT]
    found = list(_quotes(text))
    rest = _mask(text, found)
    for kind, pattern in _PATTERNS:
        taken = [Mention(kind, match.group(), match.start()) for match in pattern.finditer(rest)]
        found += taken
        rest = _mask(rest, taken)
    found += [
        Mention("expression", match.group().strip(), match.start())
        for match in _EXPRESSION.finditer(rest)
    ]
    found += [Mention("number", m.group(), m.start()) for m in _LONE_NUMBER.finditer(rest)]
    found += _names(rest)
    found += _segments(rest)
    return sorted(found, key=lambda mention: mention.start)[:MOST_MENTIONS]


def _quotes(text: str) -> Iterator[Mention]:
    for match in _QUOTED.finditer(text):
        group = match.lastindex or 0
        yield Mention("quoted", match.group(group), match.start(group))


def _mask(text: str, taken: list[Mention]) -> str:
    """The text with what was taken blotted out, every other character where it was."""
    pieces: list[str] = []
    position = 0
    for mention in sorted(taken, key=lambda taken: taken.start):
        pieces += [text[position : mention.start], "\0" * len(mention.text)]
        position = mention.end
    return "".join([*pieces, text[position:]])


def _names(text: str) -> list[Mention]:
    """Capitalised words and phrases; a sentence's first word only when nothing else is one."""
    sure: list[Mention] = []
    unsure: list[Mention] = []
    run: list[re.Match[str]] = []
    for word in [*_LATIN_WORD.finditer(text), None]:
        follows = bool(run and word and _CONNECTORS.fullmatch(text[run[-1].end() : word.start()]))
        if word and _is_capital(word.group()) and (follows or not run):
            run.append(word)
            continue
        if word and follows and text[run[-1].end() : word.start()] == " " and _links(text, word):
            continue
        if run:
            _file_name(text, run, sure, unsure)
        run = [word] if word and _is_capital(word.group()) else []
    return sure or unsure


def _is_capital(word: str) -> bool:
    return word[0].isupper() and word not in {"I", "I'm", "I’m", "I'd", "I'll", "I've"}


def _links(text: str, word: re.Match[str]) -> bool:
    """Whether a small word stands inside a name, as in *Bank of Japan*."""
    after = text[word.end() : word.end() + 2]
    return word.group() in {"of", "de", "la", "du", "von", "van", "der"} and (
        after[:1] == " " and after[1:].isupper()
    )


def _file_name(
    text: str, run: list[re.Match[str]], sure: list[Mention], unsure: list[Mention]
) -> None:
    first = bool(_SENTENCE_START.search(text[max(0, run[0].start() - 12) : run[0].start()]))
    kept = run
    while (
        kept
        and kept[0].group().lower().rstrip("'’s") in STOPWORDS | _OPENERS
        and (first or kept[0].group().lower() in STOPWORDS)
    ):
        kept = kept[1:]
    if not kept:
        return
    end = kept[-1].end()
    state = _STATE.match(text, end)
    words = text[kept[0].start() : state.end() if state else end]
    words = re.sub(r"['’]s$", "", words)
    certain = not first or len(kept) > 1 or kept is not run
    (sure if certain else unsure).append(Mention("name", words, kept[0].start()))


def _segments(text: str) -> list[Mention]:
    """Stretches of CJK between particles: the nearest thing to names where nothing is a capital."""
    found: list[Mention] = []
    for run in _CJK_RUN.finditer(text):
        position = run.start()
        for piece in _PARTICLES.split(run.group()):
            start = text.find(piece, position) if piece else position
            if piece:
                found.append(Mention("segment", piece, start))
                position = start + len(piece)
    return found


def places(names: list[Mention], text: str) -> list[Mention]:
    """Names with *City, Country* joined to one, unless the commas are those of a list."""
    if len(names) != len(("city", "country")):
        return names
    first, second = names
    if text[first.end : second.start] in {", ", ","} and not re.match(
        r"\s*(?:,|and\b|or\b|&)", text[second.end :]
    ):
        return [Mention("name", text[first.start : second.end], first.start)]
    return names


def leftover(text: str, known: frozenset[str]) -> str:
    """The words of a text that are significant and not among ``known`` stems, in order."""
    kept = [
        word.group()
        for word in _LATIN_WORD.finditer(text[:MOST_TEXT])
        if (found := stems(word.group())) and found[0] not in known
    ]
    return " ".join(kept)
