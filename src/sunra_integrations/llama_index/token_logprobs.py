"""Log probabilities, token by token, in LlamaIndex's form."""

from __future__ import annotations

from typing import TypeVar

from llama_index.core.base.llms.types import LogProb
from pydantic import TypeAdapter, ValidationError

from sunra_integrations.protocol import fast_path
from sunra_integrations.protocol.json_text import Json

LogProbs = list[list[LogProb]]

_INTEGER = frozenset((int,))
_T = TypeVar("_T")
_number = TypeAdapter(float)
_codes = TypeAdapter(list[int])
_logprob_of = fast_path.constructor(LogProb, {"token": "a", "logprob": -0.5, "bytes": [97]})


def logprobs(given: Json | None) -> LogProbs | None:
    """Per token of the text: the one that was chosen, then the others that were considered."""
    tokens = given.get("content") if given else None
    if not isinstance(tokens, list):
        return None
    return [_considered(token) for token in tokens if isinstance(token, dict)]


def _considered(token: Json) -> list[LogProb]:
    considered = [_logprob(token)]
    others = token.get("top_logprobs")
    if isinstance(others, list):
        chosen = considered[0].token
        considered += [
            _logprob(other)
            for other in others
            if isinstance(other, dict) and str(other.get("token") or "") != chosen
        ]
    return considered


def _logprob(token: Json) -> LogProb:
    text, probability, codes = token.get("token"), token.get("logprob"), token.get("bytes")
    if (
        type(text) is str
        and type(probability) is float
        and type(codes) is list
        and _INTEGER.issuperset(map(type, codes))
    ):
        return _logprob_of({"token": text, "logprob": probability, "bytes": codes.copy()})
    # Converted where that is possible. What the class refuses is left out; `raw` has it as it came.
    return LogProb(
        token=str(text or ""),
        logprob=_fit(_number, probability, float("-inf")),
        bytes=_fit(_codes, codes, []),
    )


def _fit(adapter: TypeAdapter[_T], value: object, otherwise: _T) -> _T:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return otherwise
