"""Log probabilities, token by token, in LlamaIndex's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import LogProb

from sunra_integrations.llama_index import unvalidated
from sunra_integrations.protocol.responses import Json, objects

LogProbs = list[list[LogProb]]

_logprob_of = unvalidated.maker(LogProb, {"token": "a", "logprob": -0.5, "bytes": [97]})


def logprobs(given: Json | None) -> LogProbs | None:
    """Per token of the text: the one that was chosen, then the others that were considered."""
    tokens = given.get("content") if given else None
    if not isinstance(tokens, list):
        return None
    return [_considered(token) for token in tokens if isinstance(token, Mapping)]


def _considered(token: Mapping[str, Any]) -> list[LogProb]:
    chosen = _logprob(token)
    others = map(_logprob, objects(token.get("top_logprobs")))
    return [chosen, *(other for other in others if other.token != chosen.token)]


def _logprob(token: Mapping[str, Any]) -> LogProb:
    probability = token.get("logprob")
    codes = token.get("bytes") or []
    values = {
        "token": str(token.get("token") or ""),
        "logprob": probability if isinstance(probability, (int, float)) else float("-inf"),
        "bytes": codes,
    }
    if (
        type(values["logprob"]) is float
        and type(codes) is list
        and {int}.issuperset(map(type, codes))
    ):
        return _logprob_of(values | {"bytes": codes.copy()})
    return LogProb(**values)  # which converts what can be, and says what cannot
