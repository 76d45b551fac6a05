# ruff: noqa: RUF001 - punctuation of other scripts
"""Finds entities in a text: quotes, numbers, names, dates, URLs, arithmetic expressions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sunra_integrations.sandbox.rule_based.text import CJK, STOPWORDS, stems, word_set

Kind: TypeAlias = Literal[
    "quoted", "url", "email", "uuid", "datetime", "date", "time", "path", "expression", "number",
    "name", "segment",
]  # fmt: skip

MAX_SCANNED = 20_000
"""How many characters of a text are searched."""

_MAX_ENTITIES = 400


@dataclass(frozen=True)
class Entity:
    """A stretch of text: its kind, its characters, and its position."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The position after its last character."""
        return self.start + len(self.text)


_NUMBER = r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_OPERAND = rf"\(*\s*(?:{_NUMBER})\s*\)*"
_QUOTED = re.compile(
    r"\"([^\"\n]{1,400})\"|“([^”\n]{1,400})”|「([^」\n]{1,400})」|『([^』\n]{1,400})』"
    r"|«([^»\n]{1,400})»|《([^》\n]{1,400})》|`([^`\n]{1,400})`"
    r"|(?<!\w)'([^'\n]{1,400})'(?!\w)|(?<!\w)‘([^’\n]{1,400})’(?!\w)"
)
# In this order: later patterns do not see what an earlier one matched.
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


def find_entities(text: str) -> list[Entity]:
    """The first entities of a text, by position. An expression's numbers are found too."""
    text = text[:MAX_SCANNED]
    found = list(_quotes(text))
    rest = _masked(text, found)
    for kind, pattern in _PATTERNS:
        matched = [Entity(kind, match.group(), match.start()) for match in pattern.finditer(rest)]
        found += matched
        rest = _masked(rest, matched)
    found += [
        Entity("expression", match.group().strip(), match.start())
        for match in _EXPRESSION.finditer(rest)
    ]
    found += [Entity("number", m.group(), m.start()) for m in _LONE_NUMBER.finditer(rest)]
    found += _names(rest)
    found += _segments(rest)
    return sorted(found, key=lambda entity: entity.start)[:_MAX_ENTITIES]


def join_city_and_country(names: list[Entity], text: str) -> list[Entity]:
    """Joins two names such as *Paris, France* to one, unless the commas separate a list."""
    if len(names) != len(("city", "country")):
        return names
    first, second = names
    if text[first.end : second.start] in {", ", ","} and not re.match(
        r"\s*(?:,|and\b|or\b|&)", text[second.end :]
    ):
        return [Entity("name", text[first.start : second.end], first.start)]
    return names


def significant_words(text: str, known: frozenset[str]) -> str:
    """The words of a text that are neither stop words nor have a known stem."""
    kept = [
        word.group()
        for word in _LATIN_WORD.finditer(text[:MAX_SCANNED])
        if (found := stems(word.group())) and found[0] not in known
    ]
    return " ".join(kept)


def _quotes(text: str) -> Iterator[Entity]:
    for match in _QUOTED.finditer(text):
        group = match.lastindex or 0
        yield Entity("quoted", match.group(group), match.start(group))


def _masked(text: str, found: list[Entity]) -> str:
    """The text with entities blanked out. All positions stay the same."""
    parts: list[str] = []
    position = 0
    for entity in sorted(found, key=lambda entity: entity.start):
        parts += [text[position : entity.start], "\0" * len(entity.text)]
        position = entity.end
    return "".join([*parts, text[position:]])


# ── names ────────────────────────────────────────────────────────────────────

_STATE = re.compile(r",\s?[A-Z]{2,3}\b(?!['’])")
_SENTENCE_START = re.compile(r"(?:^|[.!?:。！？：\n])[\s\"'“‘(*-]*$")
_CONNECTORS = re.compile(r" (?:(?:of|de|la|du|von|van|der|the) )?")
_SENTENCE_OPENERS = word_set(
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


def _names(text: str) -> list[Entity]:
    """Capitalised phrases. The first word of a sentence counts only if there are no others."""
    sure: list[Entity] = []
    unsure: list[Entity] = []
    run: list[re.Match[str]] = []
    for word in [*_LATIN_WORD.finditer(text), None]:
        gap = text[run[-1].end() : word.start()] if run and word else ""
        follows = bool(run and word and _CONNECTORS.fullmatch(gap))
        if word and _is_capitalised(word.group()) and (follows or not run):
            run.append(word)
            continue
        if word and follows and gap == " " and _is_inside_name(text, word):
            continue
        if run:
            _add_name(text, run, sure, unsure)
        run = [word] if word and _is_capitalised(word.group()) else []
    return sure or unsure


def _is_capitalised(word: str) -> bool:
    return word[0].isupper() and word not in {"I", "I'm", "I’m", "I'd", "I'll", "I've"}


def _is_inside_name(text: str, word: re.Match[str]) -> bool:
    """Whether a small word is part of a name, as in *Bank of Japan*."""
    after = text[word.end() : word.end() + 2]
    return word.group() in {"of", "de", "la", "du", "von", "van", "der"} and (
        after[:1] == " " and after[1:].isupper()
    )


def _add_name(
    text: str, run: list[re.Match[str]], sure: list[Entity], unsure: list[Entity]
) -> None:
    first = bool(_SENTENCE_START.search(text[max(0, run[0].start() - 12) : run[0].start()]))
    kept = run
    while (
        kept
        and kept[0].group().lower().rstrip("'’s") in STOPWORDS | _SENTENCE_OPENERS
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
    (sure if certain else unsure).append(Entity("name", words, kept[0].start()))


def _segments(text: str) -> list[Entity]:
    """Stretches of CJK between particles: these scripts have no capitals to show names."""
    found: list[Entity] = []
    for run in _CJK_RUN.finditer(text):
        position = run.start()
        for segment in _PARTICLES.split(run.group()):
            start = text.find(segment, position) if segment else position
            if segment:
                found.append(Entity("segment", segment, start))
                position = start + len(segment)
    return found
