"""What the chunks of a stream add up to, kept so that a response costs little per chunk.

`protocol.reply.Fold` joins its pieces anew whenever it is asked, which suits one question at the
end. Here the question comes with every chunk.
"""

from __future__ import annotations

from typing import Any

from sunra_integrations.llama_index.token_logprobs import LogProbs, logprobs
from sunra_integrations.protocol import responses
from sunra_integrations.protocol.accumulation import join_details
from sunra_integrations.protocol.reply import Choice, Fold, Reply, ToolCall
from sunra_integrations.protocol.responses import ChoiceDelta, Json, ToolCallDelta

ANSWER = 0
"""The choice that is the answer; with `n` above 1 the others stand beside it."""

_NOTHING_RARE = Choice(ANSWER)


class AnswerSoFar:
    """The answer of a stream; add chunks, ask for the reply at any time."""

    def __init__(self) -> None:
        self.usage: responses.Usage | None = None
        self.logprobs: LogProbs = []
        self._text = ""
        self._reasoning = ""
        self._reasoning_field: str | None = None
        self._refusal = ""
        self._calls: dict[int, ToolCall] = {}
        self._finish_reason: str | None = None
        self._details: list[Json] = []
        self._rarer = Fold()
        self._choice_extra: dict[str, Any] = {}
        self._others = Fold()
        self._extra: dict[str, Any] = {}
        self._request_id: str | None = None

    def add(self, piece: responses.Chunk) -> None:
        """Takes in one chunk."""
        for delta in piece.choices:
            if delta.choice_index == ANSWER:
                self._add(delta)
            else:
                self._others.add(responses.Chunk((delta,)))
        self.usage = piece.usage or self.usage
        self._request_id = piece.request_id
        if piece.extra:
            self._extra.update(piece.extra)

    def reply(self) -> Reply:
        """The sum, as a Reply; the other choices are in it once all of them are finished."""
        rarer = self._rarer.reply().choice if self._rarer.begun else _NOTHING_RARE
        answer = Choice(
            ANSWER,
            self._text,
            self._reasoning,
            tuple(self._calls[index] for index in sorted(self._calls)) if self._calls else (),
            self._finish_reason,
            None,
            self._refusal,
            rarer.parts,
            tuple(self._details),
            rarer.annotations,
            rarer.images,
            self._choice_extra,
            rarer.message_extra,
            self._reasoning_field,
        )
        others: tuple[Choice, ...] = ()
        if self._others.begun and not self._others.unfinished:
            others = self._others.reply().choices
        return Reply(
            (answer, *others), usage=self.usage, request_id=self._request_id, extra=self._extra
        )

    def _add(self, delta: ChoiceDelta) -> None:
        if delta.text:
            self._text += delta.text
        if delta.reasoning:
            self._reasoning += delta.reasoning
            self._reasoning_field = self._reasoning_field or delta.reasoning_field
        for call in delta.tool_calls:
            self._calls[call.call_index] = _longer(self._calls.get(call.call_index), call)
        if delta.finish_reason is not None:
            self._finish_reason = delta.finish_reason
        if delta.logprobs is not None:
            self.logprobs += logprobs(delta.logprobs) or ()
        if delta.reasoning_details:
            join_details(self._details, delta.reasoning_details)
        if delta.refusal:
            self._refusal += delta.refusal
        if delta.extra:
            self._choice_extra = {**self._choice_extra, **delta.extra}
        if delta.parts or delta.annotations or delta.images or delta.message_extra:
            self._rarer.add(
                responses.Chunk(
                    (
                        ChoiceDelta(
                            ANSWER,
                            parts=delta.parts,
                            annotations=delta.annotations,
                            images=delta.images,
                            message_extra=delta.message_extra,
                        ),
                    )
                )
            )


def _longer(call: ToolCall | None, delta: ToolCallDelta) -> ToolCall:
    if call is None:
        return ToolCall(delta.id or "", delta.name or "", delta.arguments, delta.extra)
    extra = {**call.extra, **delta.extra} if delta.extra else call.extra
    return ToolCall(
        call.id or delta.id or "",
        call.name + (delta.name or ""),
        call.arguments + delta.arguments,
        extra,
    )
