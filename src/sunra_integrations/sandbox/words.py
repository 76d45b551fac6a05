# ruff: noqa: RUF001 - marks of other scripts are read here
"""Reads text as words and sentences: what is significant in it, and what two texts share."""

import re

from sunra_integrations.sandbox.tokens import CJK


def word_set(text: str) -> frozenset[str]:
    """The words of a list written out as text."""
    return frozenset(text.split())


# Words that say nothing about a turn's subject, the scaffolding of prompts included.
STOPWORDS = word_set(
    """a about above after again all also am an and answer any are as asked at based be because
    been below both but by can context could did do does down each else few for from further get
    give given had has have he hello help her here hers hey hi him his how i if in information
    into is it its just know let like make may me might more most much must my need no nor not
    now of off ok okay on once only or other our out over own please prior query question same
    say shall she should so some such take tell than thank thanks that the their them then there
    these they this those through to too tool tools under until up us use used using value very
    want was we were what when where which while who whom whose why will with would yes you your
    yours user assistant system following provided knowledge
    的 了 吗 呢 是 我 你 他 她 它 们 在 有 和 与 请"""
)
# Verbs and nouns half the tools of the world are named with.
GENERIC = word_set(
    """call calculate check compute create data execute fetch find function get input list load
    look lookup make number object output perform query read result return run search send set
    show string text update write"""
)

MOST_TEXT = 200_000

_WORD = re.compile(rf"[{CJK}]+|(?:(?![{CJK}])[^\W_])+(?:['’](?:(?![{CJK}])[^\W_])+)?")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_|(?<=[a-zA-Z])(?=\d)")
_SENTENCE = re.compile(r"[^\n。！？]*?(?:[.!?؟]+[\"'”’)\]]*(?=\s|$)|[。！？]+[”’」』)]*|(?=\n)|$)")
_LABEL = re.compile(r"^\s*[^\W\d_]{1,12}\s*[:：]\s*")
_SUFFIXES = ("ation", "ing", "ion", "er", "or", "ed", "es", "s", "e")
_SHORTEST_STEM = 3
_CJK_START = re.compile(rf"[{CJK}]")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, verbatim, without the blanks around them."""
    found = (match.group().strip() for match in _SENTENCE.finditer(text))
    return [sentence for sentence in found if any(sign.isalnum() for sign in sentence)]


def is_question(sentence: str) -> bool:
    """Whether a sentence ends in a question mark of some script."""
    return sentence.rstrip("\"'”’)]」』 ").endswith(("?", "？", "؟"))


def question(text: str) -> str:
    """What a turn asks: its last question, else its last sentence that is more than a label."""
    found = sentences(text[-MOST_TEXT:])
    asked = [sentence for sentence in found if is_question(sentence)]
    said = [sentence for sentence in found if not sentence.endswith((":", "："))]
    return (asked or said or found or [text.strip()])[-1]


def without_label(sentence: str) -> str:
    """A sentence without a label such as ``Query:`` in front."""
    return _LABEL.sub("", sentence) or sentence


def stems(text: str) -> list[str]:
    """The significant words of a text, lower-case and cut to a stem; CJK in pairs of characters."""
    found: list[str] = []
    for word in _WORD.findall(_CAMEL.sub(" ", text)):
        if _CJK_START.match(word):
            found.extend(_pairs(word))
        elif word.lower() not in STOPWORDS:
            found.append(stem(word))
    return found


def stem(word: str) -> str:
    """A word's crude stem: the same for ``calculate``, ``calculation`` and ``calculator``."""
    plain = re.sub(r"['’]s$", "", word.lower())
    if plain.endswith("ies") and len(plain) > len("ties"):
        plain = plain[:-3] + "y"
    elif plain.endswith("s") and not plain.endswith("ss") and len(plain) > _SHORTEST_STEM:
        plain = plain[:-1]
    for suffix in _SUFFIXES:
        if plain.endswith(suffix) and len(plain) - len(suffix) >= _SHORTEST_STEM:
            return plain[: -len(suffix)]
    return plain


def stem_set(text: str) -> frozenset[str]:
    """The stems of a list written out as text."""
    return frozenset(map(stem, text.split()))


def _pairs(run: str) -> list[str]:
    pairs = [run[index : index + 2] for index in range(len(run) - 1)] or [run]
    return [pair for pair in pairs if pair not in STOPWORDS]
