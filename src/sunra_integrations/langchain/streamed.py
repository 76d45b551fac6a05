"""Events of a stream to LangChain's chunks, one message per stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from langchain_core.outputs import ChatGenerationChunk

from sunra_integrations.langchain import from_sunra
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.json_text import NO_ARGUMENTS
from sunra_integrations.protocol.reply import Choice, ChoiceDelta, Chunk, Reply, ToolCallDelta


class StreamedMessage:
    """Follows the one choice that a stream's message is made of: choice 0.

    Another choice in the same stream was not asked for (several choices are never streamed), and
    its text must not run into this one's. If there is no choice 0, the first one is the message,
    as in a whole answer; that is known at the end, so it is shown then.
    """

    def __init__(self) -> None:
        self.so_far: ReplyAccumulator = ReplyAccumulator()
        """To be filled by whoever reads the stream."""
        self._others: list[ChoiceDelta] = []  # what came of other choices before choice 0 began
        self._begun: set[int] = set()

    def deltas(self, event: Chunk) -> Iterator[ChoiceDelta]:
        """What an event adds to the choice that is followed, which may be there several times."""
        for delta in event.choices:
            if delta.choice_index == 0:
                for call in delta.tool_calls:
                    if call.call_index not in self._begun:
                        yield delta._replace(tool_calls=tuple(map(self._call, delta.tool_calls)))
                        break
                else:
                    yield delta
            elif 0 not in self.so_far.started_choices:
                self._others.append(delta)

    def rest(self) -> Iterator[ChoiceDelta]:
        """The whole choice of a server that counts from 1, which is shown at the end only."""
        answer = self.finished()[0].index
        for delta in self._others:
            if delta.choice_index == answer:
                yield delta._replace(tool_calls=tuple(map(self._call, delta.tool_calls)))

    def chunks(self, event: Chunk) -> Iterator[ChatGenerationChunk]:
        """What an event adds, as chunks."""
        for delta in self.deltas(event):
            chunk = from_sunra.chunk(delta)
            if chunk is not None:
                yield chunk

    def last_chunks(self) -> Iterator[ChatGenerationChunk]:
        """The chunks that end the message."""
        for delta in self.rest():
            chunk = from_sunra.chunk(delta)
            if chunk is not None:
                yield chunk
        yield from_sunra.last_chunk(*self.finished())

    def finished(self) -> tuple[Choice, Reply]:
        """The choice that was followed, and the reply with that choice only."""
        reply = self.so_far.reply()
        choice = next((one for one in reply.choices if one.index == 0), reply.choice)
        return choice, replace(reply, choices=(choice,))

    def _call(self, delta: ToolCallDelta) -> ToolCallDelta:
        """The piece as core can join it: a call whose arguments are `null` has none."""
        if delta.arguments and delta.call_index not in self._begun:
            if delta.arguments.strip() in NO_ARGUMENTS:
                return delta._replace(arguments="")
            self._begun.add(delta.call_index)
        return delta
