"""Log probabilities, token by token, in LlamaIndex's form."""

from __future__ import annotations

from collections.abc import Mapping

from llama_index.core.base.llms.types import LogProb

from sunra_integrations.llama_index import unvalidated
from sunra_integrations.protocol.responses import Json, objects

LogProbs = list[list[LogProb]]

_INTEGER = frozenset((int,))
_logprob_of = unvalidated.maker(LogProb, {"token": "a", "logprob": -0.5, "bytes": [97]})


def logprobs(given: Json | None) -> LogProbs | None:
    """Per token of the text: the one that was chosen, then the others that were considered."""
    tokens = given.get("content") if given else None
    if not isinstance(tokens, list):
        return None
    return [_considered(token) for token in tokens if isinstance(token, Mapping)]


def _considered(token: Json) -> list[LogProb]:
    chosen = _logprob(token)
    others = objects(token.get("top_logprobs"))
    return [chosen, *[_logprob(other) for other in others if _text(other) != chosen.token]]


def _logprob(token: Json) -> LogProb:
    probability = token.get("logprob")
    if not isinstance(probability, (int, float)):
        probability = float("-inf")
    codes = token.get("bytes") or []
    if type(probability) is float and type(codes) is list and _INTEGER.issuperset(map(type, codes)):
        return _logprob_of({"token": _text(token), "logprob": probability, "bytes": codes.copy()})
    # Converted where that is possible, and what is wrong is said where it is not.
    return LogProb(token=_text(token), logprob=probability, bytes=codes)


def _text(token: Json) -> str:
    return str(token.get("token") or "")
