"""Events of a stream to LangChain's chunks, one message per stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from langchain_core.outputs import ChatGenerationChunk

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.langchain import from_sunra
from sunra_integrations.protocol.reply import Choice, Fold, Reply
from sunra_integrations.protocol.responses import ChoiceDelta, Chunk, ToolCallDelta

_NO_ARGUMENTS = frozenset(("null", "false"))


class StreamedMessage:
    """Follows the one choice that a stream's message is made of: choice 0.

    Another choice in the same stream was not asked for (several choices are never streamed), and
    its text must not run into this one's.
    """

    def __init__(self) -> None:
        self.so_far = Fold()
        """To be filled by whoever reads the stream."""
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

    def chunks(self, event: Chunk) -> Iterator[ChatGenerationChunk]:
        """What an event adds, as chunks."""
        for delta in self.deltas(event):
            chunk = from_sunra.chunk(delta)
            if chunk is not None:
                yield chunk

    def last_chunk(self) -> ChatGenerationChunk:
        """The chunk that ends the message."""
        return from_sunra.last_chunk(*self.finished())

    def finished(self) -> tuple[Choice, Reply]:
        """The choice that was followed, and the reply with that choice only.

        Raises:
            UnreadableResponse: The stream had other choices only.
        """
        reply = self.so_far.reply()
        if reply.choice.index != 0:
            raise UnreadableResponse(
                f"The stream's first choice is number {reply.choice.index}, and there is no choice "
                "0 to make a message of; what came is kept in `partial`.",
                request_id=reply.request_id,
                retryable=False,
                partial=reply,
            )
        return reply.choice, replace(reply, choices=(reply.choice,))

    def _call(self, delta: ToolCallDelta) -> ToolCallDelta:
        """The piece as core can join it: a call whose arguments are `null` has none."""
        if delta.arguments and delta.call_index not in self._begun:
            if delta.arguments.strip() in _NO_ARGUMENTS:
                return delta._replace(arguments="")
            self._begun.add(delta.call_index)
        return delta
