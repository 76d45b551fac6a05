"""What the chunks of a stream add up to, kept so that a response costs little per chunk.

`protocol.reply.Fold` joins its pieces anew whenever it is asked, which suits one question at the
end. Here the question comes with every chunk, so the sums stand ready, under the names they have
in a `Reply` and a `Choice`.
"""

from __future__ import annotations

from typing import Any

from sunra_integrations.llama_index.token_logprobs import LogProbs, logprobs
from sunra_integrations.llama_index.tool_calls import CalledTool, longer
from sunra_integrations.protocol import responses
from sunra_integrations.protocol.accumulation import join_details
from sunra_integrations.protocol.reply import Choice, Fold
from sunra_integrations.protocol.responses import NOTHING, ChoiceDelta, Json, ToolCallDelta

ANSWER = 0
"""The choice that is the answer; with `n` above 1 the others stand beside it."""

_NOTHING_BUT_TEXT = ChoiceDelta(ANSWER)[2:]
"""What follows index and text in nearly every delta."""


class AnswerSoFar:
    """The answer of a stream, read as a `Reply` is; what it gives out may be read until `add`."""

    __slots__ = ("_others", "choice", "extra", "logprobs", "request_id", "usage")

    def __init__(self) -> None:
        self.choice = ChoiceSoFar()
        self.usage: responses.Usage | None = None
        self.request_id: str | None = None
        self.extra: dict[str, Any] = {}
        self.logprobs: LogProbs = []
        self._others = Fold()

    @property
    def others(self) -> tuple[Choice, ...]:
        """The other choices, once all of them are finished."""
        if not self._others.begun or self._others.unfinished:
            return ()
        return self._others.reply().choices

    def add(self, piece: responses.Chunk) -> None:
        """Takes in one chunk."""
        for delta in piece.choices:
            if delta.choice_index != ANSWER:
                self._others.add(responses.Chunk((delta,)))
                continue
            self.choice.add(delta)
            if delta.logprobs is not None:
                self.logprobs += logprobs(delta.logprobs) or ()
        self.usage = piece.usage or self.usage
        self.request_id = piece.request_id
        if piece.extra:
            self.extra.update(piece.extra)


class ChoiceSoFar:
    """One choice of a stream, read as a `Choice` is, but for its calls: they are entries already.

    An entry is frozen, so the responses share those that a chunk brings nothing for.
    """

    __slots__ = (
        "_calls",
        "_rarer",
        "annotations",
        "extra",
        "finish_reason",
        "images",
        "message_extra",
        "parts",
        "reasoning",
        "reasoning_details",
        "reasoning_field",
        "refusal",
        "text",
        "tool_calls",
    )

    def __init__(self) -> None:
        self.text = ""
        self.reasoning = ""
        self.reasoning_field: str | None = None
        self.reasoning_details: list[Json] = []
        self.refusal = ""
        self.finish_reason: str | None = None
        self.tool_calls: tuple[CalledTool, ...] = ()
        self.extra: Json = NOTHING
        self.parts: tuple[Json, ...] = ()
        self.annotations: tuple[Json, ...] = ()
        self.images: tuple[Json, ...] = ()
        self.message_extra: Json = NOTHING
        self._calls: dict[int, CalledTool] = {}
        self._rarer = Fold()

    def add(self, delta: ChoiceDelta) -> None:
        """Takes in what one chunk adds to the choice."""
        if delta.text:
            self.text += delta.text
        if delta[2:] == _NOTHING_BUT_TEXT:
            return
        if delta.reasoning:
            self.reasoning += delta.reasoning
            self.reasoning_field = self.reasoning_field or delta.reasoning_field
        if delta.tool_calls:
            self._add_calls(delta.tool_calls)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if delta.reasoning_details:
            join_details(self.reasoning_details, delta.reasoning_details)
        if delta.refusal:
            self.refusal += delta.refusal
        if delta.extra:
            self.extra = {**self.extra, **delta.extra}
        if delta.parts or delta.annotations or delta.images or delta.message_extra:
            self._add_rarer(delta)

    def _add_calls(self, deltas: tuple[ToolCallDelta, ...]) -> None:
        calls = self._calls
        begun = len(calls)
        for delta in deltas:
            calls[delta.call_index] = longer(calls.get(delta.call_index), delta)
        if len(calls) > begun:  # kept in the order of their indices
            self._calls = calls = dict(sorted(calls.items()))
        self.tool_calls = tuple(calls.values())

    def _add_rarer(self, delta: ChoiceDelta) -> None:
        rare = ChoiceDelta(
            ANSWER,
            parts=delta.parts,
            annotations=delta.annotations,
            images=delta.images,
            message_extra=delta.message_extra,
        )
        self._rarer.add(responses.Chunk((rare,)))
        joined = self._rarer.reply().choice
        self.parts = joined.parts
        self.annotations = joined.annotations
        self.images = joined.images
        self.message_extra = joined.message_extra
