# ruff: noqa: RUF001 - marks of other scripts are read here
"""Hands out what a text mentions, each mention once, to the properties of a schema that ask."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from sunra_integrations.sandbox.mentions import MOST_TEXT, Kind, Mention, find, leftover, places
from sunra_integrations.sandbox.words import GENERIC, question, stem, stem_set, stems, without_label
from sunra_integrations.sandbox.work import spend

# Stems in a property's name (or description, where the name says nothing) and what they ask for.
_NATURES: tuple[tuple[frozenset[str], tuple[Kind, ...]], ...] = (
    (stem_set("url link uri website href"), ("url",)),
    (stem_set("email mail"), ("email",)),
    (stem_set("to cc bcc recipient sender"), ("email", "quoted", "name", "segment")),
    (stem_set("expression formula equation math calculation sum"), ("expression", "number")),
    (stem_set("date day when deadline"), ("datetime", "date")),
    (stem_set("time clock hour"), ("time", "datetime")),
    (stem_set("path file filename filepath directory"), ("path", "quoted")),
    (stem_set("id identifier key code reference number"), ("uuid", "quoted", "number")),
    (
        stem_set(
            """city location place country town region name person customer company user author
            origin destination"""
        ),
        ("name", "quoted", "segment"),
    ),
    (stem_set("title"), ("quoted", "name", "segment")),
)
_SUBJECT = stem_set("query question search input prompt text topic q request")
_CALLED_FOR = stem_set("name title label")
_PREPOSITIONS = {
    "from": stem_set("from origin source start departure sender"),
    "to": stem_set("to destination target end arrival recipient"),
}
_GENERIC_STEMS = frozenset(map(stem, GENERIC))
# Kinds that are too common to be taken for an optional property without more ado.
_UNSURE: frozenset[Kind] = frozenset({"name", "segment", "quoted", "number"})
_NEAR = 24
_CALLED = re.compile(r"\b(?:named|called|titled) [\"'“‘「«]?$", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"^(?:please |can you |could you |i want to |use the tool (?:to )?)*"
    r"(?:search (?:the \w+ )?for|look up|find out|find|tell me(?: about)?|search|look for)\s+",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"(?:\bnot|\bno|\bwithout|n['’]t|\bnever|不)\W+(?:\w+\W+)?$", re.IGNORECASE)
_KEYED_GAP = re.compile(
    r"\s*(?:=|:|：|\bis\b|\bto\b|\bof\b|\bnamed\b|\bcalled\b|为|是)*\s*[\"'“「]?"
)
_FREE_VALUE = re.compile(r"[^,;.\n，。；]{1,80}")


class Supply:
    """The mentions of a text, handed out in order.

    Args:
        text: Where values come from.
        known: Stems that are no values, such as those of the tool's own name.
        prose: Sentences for properties that want prose rather than an argument.
    """

    def __init__(self, text: str, known: Iterable[str] = (), prose: Sequence[str] = ()) -> None:
        self.text: str = text[-MOST_TEXT:]
        self._known = frozenset(known)
        self._prose = list(prose)
        self._used: set[Mention] = set()
        self._mentions = find(self.text)

    def unused(self, *kinds: Kind) -> list[Mention]:
        """The mentions of some kinds not yet handed out, the kinds in order of preference."""
        found = [
            mention
            for kind in kinds
            for mention in self._mentions
            if mention.kind == kind and mention not in self._used
        ]
        names = [mention for mention in found if mention.kind == "name"]
        joined = places(names, self.text) if names and len(names) == len(found) else found
        return [mention for mention in joined if not self._is_known(mention)]

    def take(self, mention: Mention) -> str:
        """A mention's words; whatever overlaps it is not handed out again."""
        self._used |= {
            other
            for other in self._mentions
            if other.start < mention.end and mention.start < other.end
        }
        return mention.text

    def listed(self) -> list[str]:
        """Several things of a kind to fill a list with: quotes, else names."""
        mentions = self.unused("quoted") or self.unused("name")
        return [self.take(mention) for mention in mentions]

    def numbers(self, name: str, description: str, *, optional: bool) -> Iterator[str]:
        """Numbers for a property; an optional one takes only a number that stands beside it."""
        keyed = [m for m in self._beside(name, description) if m.kind == "number"]
        yield from (mention.text for mention in keyed)
        if not optional:
            yield from (mention.text for mention in self.unused("number"))
            for mention in self.unused("quoted"):
                yield mention.text

    def texts(self, name: str, description: str, *, optional: bool) -> Iterator[str]:
        """Strings for a property, the best first; an optional one gets only a sure thing."""
        yield from self._keyed_texts(name)
        yield from self._introduced_texts(name)
        nature = _nature(name) or _nature(description)
        wanted = set(stems(name)) or {name.lower()}
        if optional:
            sure: list[Kind] = [kind for kind in nature if kind not in _UNSURE]
            yield from (mention.text for mention in self.unused(*sure))
            return
        yield from (mention.text for mention in self.unused(*nature))
        if self._prose:
            yield self._prose[0]
        yield from (mention.text for mention in self.unused("quoted"))
        if wanted & _SUBJECT:
            yield self.subject()
        yield from (mention.text for mention in self.unused("name"))
        if not wanted & _SUBJECT:
            yield from (mention.text for mention in self.unused("segment", "date", "expression"))
        rest = leftover(self.question(), self._known)
        if rest:
            yield rest
        yield from (mention.text for mention in self.unused("number"))
        yield self.subject()

    def consume(self, text: str) -> None:
        """Notes that a text was used, so that the next property gets another."""
        for mention in self._mentions:
            if mention.text == text and mention not in self._used:
                self.take(mention)
                return
        if text in self._prose and len(self._prose) > 1:
            self._prose.remove(text)

    def mentioned(self, option: str) -> bool:
        """Whether an enum's option is said, as a word of its own or in its stems."""
        spend()
        spoken = re.sub(r"[_-]", " ", option).strip()
        if not spoken:
            return False
        # Compared cheaply first: an enum may have thousands of options.
        if spoken.lower() in self._lower and re.search(
            rf"(?<!\w){re.escape(spoken)}(?!\w)", self.text, re.IGNORECASE
        ):
            return True
        if not option.isascii():
            return option in self.text
        asked = [found for found in stems(option) if found not in GENERIC]
        return bool(asked) and self._stems.issuperset(asked)

    @cached_property
    def _lower(self) -> str:
        return self.text.lower()

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(stems(self.text))

    def flag(self, name: str) -> bool | None:
        """True or False where a property's words are said, None where they are not."""
        for word in stems(name):
            for match in re.finditer(rf"\b{re.escape(word)}\w*", self.text, re.IGNORECASE):
                after = self.text[match.end() : match.end() + 12].lower()
                if re.match(r"\W*(?:is |to )?(?:false|off|no\b)", after):
                    return False
                return not _NEGATION.search(
                    self.text[max(0, match.start() - _NEAR) : match.start()]
                )
        return None

    def question(self) -> str:
        """What the text asks, without a label in front."""
        return without_label(question(self.text))

    def subject(self) -> str:
        """What the text asks about: its question without words such as *search for*."""
        asked = self.question()
        return _LEAD_IN.sub("", asked).strip().rstrip(".") or asked

    def _is_known(self, mention: Mention) -> bool:
        if mention.kind not in {"name", "segment", "path"}:
            return False
        found = stems(mention.text)
        return bool(found) and set(found) <= self._known

    def _keyed_texts(self, name: str) -> Iterator[str]:
        """Values said to be this property's: ``city: Paris``, ``title is "Dune"``."""
        words = re.sub(r"[_-]", " ", name).strip() or "\0"
        for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", self.text, re.IGNORECASE):
            gap = _KEYED_GAP.match(self.text, match.end())
            start = gap.end() if gap else match.end()
            mention = next((m for m in self._mentions if m.start == start), None)
            if mention and mention not in self._used and mention.kind != "segment":
                yield mention.text
            elif gap and re.search(r"[=:：]", gap.group()):
                free = _FREE_VALUE.match(self.text, start)
                if free and free.group().strip():
                    yield free.group().strip().rstrip("\"'”」")

    def _introduced_texts(self, name: str) -> Iterator[str]:
        """Values whose introduction says what they are: ``named 'Dune'``, ``to Rome``."""
        if set(stems(name)) & _CALLED_FOR:
            for mention in self.unused("quoted", "name"):
                if _CALLED.search(self._before(mention)):
                    yield mention.text
        for preposition, asked in _PREPOSITIONS.items():
            if set(stems(name) or [name.lower()]) & asked:
                for mention in self.unused("name"):
                    if re.search(rf"\b{preposition} $", self._before(mention), re.IGNORECASE):
                        yield mention.text

    def _before(self, mention: Mention) -> str:
        return self.text[max(0, mention.start - _NEAR) : mention.start]

    def _beside(self, name: str, description: str) -> Iterator[Mention]:
        """Numbers next to a property's words: ``limit 5``, ``5 results``, ``a = 3``."""
        asked = {*stems(name), *stems(description)} - _GENERIC_STEMS | {name.lower()}
        for mention in self.unused("number"):
            before = re.findall(r"[^\W_]+", self._before(mention))
            after = re.findall(r"[^\W_]+", self.text[mention.end : mention.end + _NEAR])
            near = [*before[-2:], *after[:1]]
            own = name.lower() in (word.lower() for word in before[-2:])
            if own or {stem(word) for word in near if len(word) > 1} & asked:
                yield mention


def _nature(words: str) -> tuple[Kind, ...]:
    found = set(stems(words)) | {words.lower()}
    return next((kinds for asked, kinds in _NATURES if found & asked), ())
