"""What the chunks of a stream add up to, as a response is made of it after every chunk."""

from __future__ import annotations

from llama_index.core.base.llms.types import ToolCallBlock

from sunra_integrations.llama_index.answer_blocks import MediaBlocks
from sunra_integrations.llama_index.shared_blocks import SharedBlocks
from sunra_integrations.llama_index.token_logprobs import LogProbs, logprobs
from sunra_integrations.llama_index.tool_calls import CalledTool, block, entry
from sunra_integrations.protocol.accumulator import (
    ChoiceAccumulator,
    ReplyAccumulator,
    ToolCallAccumulator,
)
from sunra_integrations.protocol.reply import Choice, ChoiceDelta


class AnswerSoFar(ReplyAccumulator):
    """The sum of a stream, with what is kept of it in LlamaIndex's form.

    Handed to the client, which adds each chunk before it gives it out: so there is one sum, of
    the responses as of an error's `partial`.

    Attributes:
        answer: The choice that is the answer; with `n` above 1 the others stand beside it.
        entries: The answer's tool calls by their indices, in order. An entry is frozen, so the
            responses share those that a chunk brings nothing for.
        calls: The same as blocks.
        media: The answer's sound, images and citations.
        logprobs: The answer's log probabilities.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answer: int = 0
        self.entries: dict[int, CalledTool] = {}
        self.calls: SharedBlocks[ToolCallBlock] = SharedBlocks()
        self.media: MediaBlocks = MediaBlocks()
        self.logprobs: LogProbs = []

    @property
    def choice(self) -> ChoiceAccumulator:
        """The answer, to be read until the next chunk is added."""
        begun = self._choices.get(self.answer)
        return ChoiceAccumulator() if begun is None else begun.joined()

    @property
    def others(self) -> list[Choice]:
        """The other choices, once all of them are finished."""
        if len(self._choices) == 1:
            return []
        others = [index for index in sorted(self._choices) if index != self.answer]
        if any(self._choices[index].finish_reason is None for index in others):
            return []
        return [self._choices[index].choice(index) for index in others]

    def takes_for_the_answer(self, index: int) -> bool:
        """Whether this choice, just finished, is the answer of a server that counts from 1."""
        if (
            self.answer in self._choices
            or len(self.started_choices) < self.requested_choices
            or self.unfinished
        ):
            return False
        if index != min(self._choices):
            return False
        self.answer = index
        for place, call in sorted(self.choice.tool_calls.items()):
            self._convert_call(place, call)
        self.logprobs = logprobs(self.choice.logprobs) or []
        return True

    def convert(self, delta: ChoiceDelta) -> None:
        """Takes in the calls and log probabilities in a piece of the answer that was added."""
        if delta.logprobs is not None:
            self.logprobs += logprobs(delta.logprobs) or ()
        if delta.tool_calls:
            calls = self._choices[self.answer].tool_calls
            begun = len(self.entries)
            for call in delta.tool_calls:
                self._convert_call(call.call_index, calls[call.call_index])
            if len(self.entries) > begun:
                self.entries = dict(sorted(self.entries.items()))

    def _convert_call(self, place: int, call: ToolCallAccumulator) -> None:
        self.entries[place] = entry(call)
        self.calls.put(place, block(self.entries[place]))
