# ruff: noqa: RUF001 - punctuation of other scripts
"""Text as tokens, words and sentences. No model's tokenizer is imitated."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

# ── tokens ───────────────────────────────────────────────────────────────────

# White space belongs to the token after it, so that the tokens join to the text.
_TOKEN = re.compile(rf"\s*(?:[{CJK}]|(?:(?![{CJK}])\w){{1,16}}|[^\w\s])|\s+")
_FILLERS = (" the", " a", " and", " of", " to", " in", " is", " it", " on", " for", " as", " at")


def split_tokens(text: str) -> list[str]:
    """The tokens of a text: words of up to 16 letters, CJK characters, punctuation marks.

    Usage, ``max_tokens``, log probabilities and stream chunks all count in these.
    """
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    return sum(1 for _ in _TOKEN.finditer(text))


def log_probabilities(text: str, alternatives: int) -> list[dict[str, Any]]:
    """Made-up log probabilities of a text's tokens, in OpenAI's format."""
    return [_logprob_entry(token, alternatives) for token in split_tokens(text)]


def _logprob_entry(token: str, alternatives: int) -> dict[str, Any]:
    digest = hashlib.sha256(token.encode()).digest()
    chosen = _logprob(token, -int.from_bytes(digest[:4], "big") / 2**32)
    others = _other_tokens(token, alternatives - 1)
    ranked = [_logprob(other, chosen["logprob"] - 1 - rank) for rank, other in enumerate(others)]
    return {**chosen, "top_logprobs": [chosen, *ranked] if alternatives else []}


def _other_tokens(token: str, count: int) -> Sequence[str]:
    fillers = [filler for filler in _FILLERS if filler != token]
    numbered = [f" {number}" for number in range(count) if f" {number}" != token]
    return [*fillers, *numbered][: max(count, 0)]


def _logprob(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(logprob, 6), "bytes": list(token.encode())}


# ── sentences ────────────────────────────────────────────────────────────────

MAX_TEXT = 200_000

_SENTENCE = re.compile(r"[^\n。！？]*?(?:[.!?؟]+[\"'”’)\]]*(?=\s|$)|[。！？]+[”’」』)]*|(?=\n)|$)")
_LABEL = re.compile(r"^\s*[^\W\d_]{1,12}\s*[:：]\s*")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, stripped of white space."""
    found = (match.group().strip() for match in _SENTENCE.finditer(text))
    return [sentence for sentence in found if any(sign.isalnum() for sign in sentence)]


def is_question(sentence: str) -> bool:
    """Whether a sentence ends in a question mark of some script."""
    return sentence.rstrip("\"'”’)]」』 ").endswith(("?", "？", "؟"))


def question(text: str) -> str:
    """The last question of a text, or its last sentence that is not a label."""
    found = sentences(text[-MAX_TEXT:])
    questions = [sentence for sentence in found if is_question(sentence)]
    statements = [sentence for sentence in found if not sentence.endswith((":", "："))]
    return (questions or statements or found or [text.strip()])[-1]


def without_label(sentence: str) -> str:
    """A sentence without a label such as ``Query:`` in front."""
    return _LABEL.sub("", sentence) or sentence


# ── words ────────────────────────────────────────────────────────────────────


def word_set(text: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(text.split())


# Words that say nothing about the subject of a text, including the scaffolding of prompts.
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
# Verbs and nouns that occur in the names of many tools.
GENERIC = word_set(
    """call calculate check compute create data execute fetch find function get input list load
    look lookup make number object output perform query read result return run search send set
    show string text update write"""
)

_WORD = re.compile(rf"[{CJK}]+|(?:(?![{CJK}])[^\W_])+(?:['’](?:(?![{CJK}])[^\W_])+)?")
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_|(?<=[a-zA-Z])(?=\d)")
_SUFFIXES = ("ation", "ing", "ion", "er", "or", "ed", "es", "s", "e")
_MIN_STEM = 3
_CJK_START = re.compile(rf"[{CJK}]")


def stems(text: str) -> list[str]:
    """The stems of the significant words of a text. CJK text gives pairs of characters."""
    found: list[str] = []
    for word in _WORD.findall(_CAMEL_CASE.sub(" ", text)):
        if _CJK_START.match(word):
            found.extend(_character_pairs(word))
        elif word.lower() not in STOPWORDS:
            found.append(stem(word))
    return found


def stem(word: str) -> str:
    """A rough stem: the same for ``calculate``, ``calculation`` and ``calculator``."""
    plain = re.sub(r"['’]s$", "", word.lower())
    if plain.endswith("ies") and len(plain) > len("ties"):
        plain = plain[:-3] + "y"
    elif plain.endswith("s") and not plain.endswith("ss") and len(plain) > _MIN_STEM:
        plain = plain[:-1]
    for suffix in _SUFFIXES:
        if plain.endswith(suffix) and len(plain) - len(suffix) >= _MIN_STEM:
            return plain[: -len(suffix)]
    return plain


def stem_set(text: str) -> frozenset[str]:
    """The stems of a text that lists words."""
    return frozenset(map(stem, text.split()))


GENERIC_STEMS = frozenset(map(stem, GENERIC))


def _character_pairs(run: str) -> list[str]:
    pairs = [run[index : index + 2] for index in range(len(run) - 1)] or [run]
    return [pair for pair in pairs if pair not in STOPWORDS]
