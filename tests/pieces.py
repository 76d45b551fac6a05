"""Chunks of every kind, drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sunra_integrations.protocol.json_text import EMPTY
from sunra_integrations.protocol.reply import ChoiceDelta, Chunk, ToolCallDelta, Usage

words = st.sampled_from(["", "a", "Hé", " b"])
_values = st.recursive(
    st.none() | st.integers(0, 2) | words,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "data", "more"]), inner, max_size=2)
    ),
    max_leaves=4,
)
fields = st.just(EMPTY) | st.dictionaries(
    st.sampled_from(["signature", "vendor", "role"]), _values, min_size=1, max_size=2
)
_calls = st.builds(
    ToolCallDelta,
    st.integers(0, 3),
    st.none() | st.just("c1"),
    st.none() | st.just("add"),
    words,
    fields,
)
_details = st.sampled_from(
    [
        {"type": "reasoning.text", "text": "a", "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 0, "signature": None},
        {"type": "reasoning.text", "text": None, "index": 0, "signature": "s"},
        {"type": "reasoning.encrypted", "data": "x", "id": "r1"},
        {"type": "other"},
    ]
)
_tokens = st.builds(
    lambda token, others: {
        "token": token,
        "logprob": -0.5,
        "bytes": list(token.encode()),
        "top_logprobs": [{"token": other, "logprob": -1, "bytes": None} for other in others],
    },
    words,
    st.lists(words, max_size=2),
)
_rarer: dict[str, st.SearchStrategy[Any]] = {
    "reasoning": words,
    "reasoning_field": st.sampled_from([None, "reasoning", "reasoning_content"]),
    "tool_calls": st.lists(_calls, max_size=2).map(tuple),
    "finish_reason": st.sampled_from([None, "stop"]),
    "logprobs": st.fixed_dictionaries(
        {"content": st.lists(_tokens, max_size=2)}, optional={"refusal": st.just(None) | words}
    ),
    "refusal": words,
    "reasoning_details": st.lists(_details, max_size=3).map(tuple),
    "annotations": st.sampled_from([(), ({"type": "url_citation", "url": "https://a.example"},)]),
    "images": st.sampled_from([(), ({"image_url": {"url": "https://a.example/x.png"}},)]),
    "extra": fields,
    "message_extra": fields,
}
_parts = st.lists(
    words.map(lambda text: {"type": "text", "text": text})
    | st.sampled_from(
        [
            {"type": "image_url", "image_url": {"url": "https://a.example/y.png"}},
            {"type": "text", "text": "c", "annotations": []},
        ]
    ),
    max_size=3,
).map(tuple)


def _with_parts(parts: tuple[dict[str, Any], ...], rarer: dict[str, Any]) -> ChoiceDelta:
    return ChoiceDelta(
        0, text="".join(part.get("text", "") for part in parts), parts=parts, **rarer
    )


def deltas(indices: st.SearchStrategy[int]) -> st.SearchStrategy[ChoiceDelta]:
    """Pieces of these choices: mostly text, else anything that a piece can hold."""
    rarer = st.fixed_dictionaries({}, optional=_rarer)
    some = (
        words.map(lambda text: ChoiceDelta(0, text))
        | st.builds(lambda text, rest: ChoiceDelta(0, text, **rest), words, rarer)
        | st.builds(_with_parts, _parts, rarer)
    )
    return st.builds(lambda index, delta: delta._replace(choice_index=index), indices, some)


_usages = st.none() | st.just(Usage(1, 2, 3, completion_details={"reasoning_tokens": 2}))


def chunks(highest_choice: int = 2) -> st.SearchStrategy[Chunk]:
    """Chunks with pieces of the choices up to that one."""
    return st.fixed_dictionaries(
        {
            "choices": st.lists(deltas(st.integers(0, highest_choice)), max_size=2).map(tuple),
            "id": st.sampled_from([None, "gen-1"]),
            "model": st.sampled_from([None, "a/b"]),
            "created": st.sampled_from([None, 1]),
            "system_fingerprint": st.sampled_from([None, "fp"]),
            "usage": _usages,
            "request_id": st.sampled_from([None, "req-1"]),
            "extra": fields,
        }
    ).map(lambda given: Chunk(**given))
