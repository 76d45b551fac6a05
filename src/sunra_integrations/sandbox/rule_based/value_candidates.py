# ruff: noqa: RUF001 - punctuation of other scripts
"""Candidate values for the properties of a schema, taken from the entities of a text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from sunra_integrations.sandbox.contract.json_schema import count_steps
from sunra_integrations.sandbox.rule_based.entities import (
    MAX_SCANNED,
    Entity,
    Kind,
    find_entities,
    join_city_and_country,
    significant_words,
)
from sunra_integrations.sandbox.rule_based.text import (
    GENERIC,
    GENERIC_STEMS,
    question,
    stem,
    stem_set,
    stems,
    without_label,
)

# Stems in the name of a property, or in its description, and the kinds of entity they suggest.
_KINDS_BY_STEM: tuple[tuple[frozenset[str], tuple[Kind, ...]], ...] = (
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
_QUERY_STEMS = stem_set("query question search input prompt text topic q request")
_TITLE_STEMS = stem_set("name title label")
_PREPOSITIONS = {
    "from": stem_set("from origin source start departure sender"),
    "to": stem_set("to destination target end arrival recipient"),
}
# Too common to fill an optional property without further evidence.
_COMMON_KINDS: frozenset[Kind] = frozenset({"name", "segment", "quoted", "number"})
_CONTEXT = 24
_INTRODUCTION = re.compile(r"\b(?:named|called|titled) [\"'“‘「«]?$", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"^(?:please |can you |could you |i want to |use the tool (?:to )?)*"
    r"(?:search (?:the \w+ )?for|look up|find out|find|tell me(?: about)?|search|look for)\s+",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"(?:\bnot|\bno|\bwithout|n['’]t|\bnever|不)\W+(?:\w+\W+)?$", re.IGNORECASE)
_AFTER_LABEL = re.compile(
    r"\s*(?:=|:|：|\bis\b|\bto\b|\bof\b|\bnamed\b|\bcalled\b|为|是)*\s*[\"'“「]?"
)
_FREE_VALUE = re.compile(r"[^,;.\n，。；]{1,80}")


class ValueCandidates:
    """The entities of a text. Each is used for one property at most.

    Args:
        text: Where values come from.
        known: Stems that are not values, such as those of the tool's own name.
        prose: Sentences for properties that want prose.
    """

    def __init__(self, text: str, known: Iterable[str] = (), prose: Sequence[str] = ()) -> None:
        self.text: str = text[-MAX_SCANNED:]
        self._known = frozenset(known)
        self._prose = list(prose)
        self._used: set[Entity] = set()
        self._entities = find_entities(self.text)

    # ── values ───────────────────────────────────────────────────────────────

    def unused(self, *kinds: Kind) -> list[Entity]:
        """The unused entities of some kinds, in the order of the kinds."""
        found = [
            entity
            for kind in kinds
            for entity in self._entities
            if entity.kind == kind and entity not in self._used
        ]
        names = [entity for entity in found if entity.kind == "name"]
        only_names = bool(names) and len(names) == len(found)
        joined = join_city_and_country(names, self.text) if only_names else found
        return [entity for entity in joined if not self._is_known(entity)]

    def list_items(self) -> list[str]:
        """Items for a list: the quotes, or else the names. Marks them used."""
        entities = self.unused("quoted") or self.unused("name")
        for entity in entities:
            self._use(entity)
        return [entity.text for entity in entities]

    def numbers(self, name: str, description: str, *, optional: bool) -> Iterator[str]:
        """Numbers for a property. An optional property gets only numbers next to its name."""
        yield from (entity.text for entity in self._numbers_near(name, description))
        if not optional:
            yield from (entity.text for entity in self.unused("number", "quoted"))

    def strings(self, name: str, description: str, *, optional: bool) -> Iterator[str]:
        """Strings for a property, best first. An optional property gets only likely ones."""
        yield from self._labelled_values(name)
        yield from self._introduced_values(name)
        kinds = _suggested_kinds(name) or _suggested_kinds(description)
        is_query = bool((set(stems(name)) or {name.lower()}) & _QUERY_STEMS)
        if optional:
            likely: list[Kind] = [kind for kind in kinds if kind not in _COMMON_KINDS]
            yield from (entity.text for entity in self.unused(*likely))
            return
        yield from (entity.text for entity in self.unused(*kinds))
        if self._prose:
            yield self._prose[0]
        yield from (entity.text for entity in self.unused("quoted"))
        if is_query:
            yield self._subject()
        yield from (entity.text for entity in self.unused("name"))
        if not is_query:
            yield from (entity.text for entity in self.unused("segment", "date", "expression"))
        rest = significant_words(self._question(), self._known)
        if rest:
            yield rest
        yield from (entity.text for entity in self.unused("number"))
        yield self._subject()

    def mark_used(self, text: str) -> None:
        """Marks a value as used, so that the next property gets another."""
        for entity in self._entities:
            if entity.text == text and entity not in self._used:
                self._use(entity)
                return
        if text in self._prose and len(self._prose) > 1:
            self._prose.remove(text)

    def mentions(self, option: str) -> bool:
        """Whether the text has an enum's option, as a word or by its stems."""
        count_steps()
        spoken = re.sub(r"[_-]", " ", option).strip()
        if not spoken:
            return False
        # The cheap comparison comes first, because an enum may have thousands of options.
        if spoken.lower() in self._lower and re.search(
            rf"(?<!\w){re.escape(spoken)}(?!\w)", self.text, re.IGNORECASE
        ):
            return True
        if not option.isascii():
            return option in self.text
        wanted = [found for found in stems(option) if found not in GENERIC]
        return bool(wanted) and self._stems.issuperset(wanted)

    def boolean(self, name: str) -> bool | None:
        """Whether the text affirms or negates a property, or None if it does not mention it."""
        for word in stems(name):
            for match in re.finditer(rf"\b{re.escape(word)}\w*", self.text, re.IGNORECASE):
                after = self.text[match.end() : match.end() + 12].lower()
                if re.match(r"\W*(?:is |to )?(?:false|off|no\b)", after):
                    return False
                before = self.text[max(0, match.start() - _CONTEXT) : match.start()]
                return not _NEGATION.search(before)
        return None

    # ── matching ─────────────────────────────────────────────────────────────

    @cached_property
    def _lower(self) -> str:
        return self.text.lower()

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(stems(self.text))

    def _use(self, entity: Entity) -> None:
        """Marks an entity as used, with everything that overlaps it."""
        self._used |= {
            other
            for other in self._entities
            if other.start < entity.end and entity.start < other.end
        }

    def _is_known(self, entity: Entity) -> bool:
        if entity.kind not in {"name", "segment", "path"}:
            return False
        found = stems(entity.text)
        return bool(found) and set(found) <= self._known

    def _question(self) -> str:
        return without_label(question(self.text))

    def _subject(self) -> str:
        """The question without words such as *search for*."""
        asked = self._question()
        return _LEAD_IN.sub("", asked).strip().rstrip(".") or asked

    def _labelled_values(self, name: str) -> Iterator[str]:
        """Values labelled with the property's name: ``city: Paris``, ``title is "Dune"``."""
        words = re.sub(r"[_-]", " ", name).strip() or "\0"
        for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", self.text, re.IGNORECASE):
            gap = _AFTER_LABEL.match(self.text, match.end())
            start = gap.end() if gap else match.end()
            entity = next((e for e in self._entities if e.start == start), None)
            if entity and entity not in self._used and entity.kind != "segment":
                yield entity.text
            elif gap and re.search(r"[=:：]", gap.group()):
                free = _FREE_VALUE.match(self.text, start)
                if free and free.group().strip():
                    yield free.group().strip().rstrip("\"'”」")

    def _introduced_values(self, name: str) -> Iterator[str]:
        """Values whose introduction fits the property's name: ``named 'Dune'``, ``to Rome``."""
        if set(stems(name)) & _TITLE_STEMS:
            for entity in self.unused("quoted", "name"):
                if _INTRODUCTION.search(self._before(entity)):
                    yield entity.text
        for preposition, wanted in _PREPOSITIONS.items():
            if set(stems(name) or [name.lower()]) & wanted:
                for entity in self.unused("name"):
                    if re.search(rf"\b{preposition} $", self._before(entity), re.IGNORECASE):
                        yield entity.text

    def _numbers_near(self, name: str, description: str) -> list[Entity]:
        """Numbers next to a property's words: ``limit 5``, ``5 results``, ``a = 3``."""
        wanted = {*stems(name), *stems(description)} - GENERIC_STEMS | {name.lower()}
        found: list[Entity] = []
        for entity in self.unused("number"):
            before = re.findall(r"[^\W_]+", self._before(entity))
            after = re.findall(r"[^\W_]+", self.text[entity.end : entity.end + _CONTEXT])
            nearby = [*before[-2:], *after[:1]]
            is_labelled = name.lower() in (word.lower() for word in before[-2:])
            if is_labelled or {stem(word) for word in nearby if len(word) > 1} & wanted:
                found.append(entity)
        return found

    def _before(self, entity: Entity) -> str:
        return self.text[max(0, entity.start - _CONTEXT) : entity.start]


def _suggested_kinds(words: str) -> tuple[Kind, ...]:
    found = set(stems(words)) | {words.lower()}
    return next((kinds for wanted, kinds in _KINDS_BY_STEM if found & wanted), ())
