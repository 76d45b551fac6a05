"""The sandbox's tokens: a word of up to 16 letters, a CJK character, or a mark of punctuation.

White space belongs to the token after it, so that joining a text's tokens gives the text back.
Usage, `max_tokens`, log probabilities and stream chunks all count in these. No real model's
tokeniser is imitated.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_TOKEN = re.compile(rf"\s*(?:[{CJK}]|(?:(?![{CJK}])\w){{1,16}}|[^\w\s])|\s+")
_FILLERS = (" the", " a", " and", " of", " to", " in", " is", " it", " on", " for", " as", " at")


def split(text: str) -> list[str]:
    """The tokens of a text, in order; joined they are the text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    return sum(1 for _ in _TOKEN.finditer(text))


def log_probabilities(text: str, alternatives: int) -> list[dict[str, Any]]:
    """Invented log probabilities of a text's tokens, in OpenAI's shape; the same every time."""
    return [_entry(token, alternatives) for token in split(text)]


def _entry(token: str, alternatives: int) -> dict[str, Any]:
    chosen = _scored(token, -_fraction(token))
    others = _others(token, alternatives - 1)
    ranked = [_scored(other, chosen["logprob"] - 1 - rank) for rank, other in enumerate(others)]
    return {**chosen, "top_logprobs": [chosen, *ranked] if alternatives else []}


def _others(token: str, wanted: int) -> Sequence[str]:
    """Distinct tokens other than the chosen one, to stand beside it."""
    spare = [filler for filler in _FILLERS if filler != token]
    numbered = [f" {number}" for number in range(wanted) if f" {number}" != token]
    return [*spare, *numbered][: max(wanted, 0)]


def _scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(logprob, 6), "bytes": list(token.encode())}


def _fraction(token: str) -> float:
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:4], "big") / 2**32
