"""Events of a stream to LangChain's v3 message events, without a detour over chunks.

langchain-core can make these events from chunks, but then only the last token's logprobs survive,
parallel calls under one index become one invalid call, and text hides a call that comes with it.
Each block gets an index when it begins; all are finished, in that order, when the answer is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from sunra_integrations.langchain import from_sunra
from sunra_integrations.langchain.content_blocks import (
    CALL_LIKE,
    citation,
    image_block,
    part_block,
    refusal_block,
)
from sunra_integrations.langchain.streamed import StreamedMessage
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.content import thinking_text
from sunra_integrations.protocol.reply import Choice, ChoiceDelta, Chunk, ToolCall, ToolCallDelta

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

Block = dict[str, Any]

_TEXT = "text"
_REASONING = "reasoning"
_PLAIN = len(("type", "text"))
_PLACEHOLDERS: dict[str, Block] = {"non_standard": {"value": {}}, "refusal": {"refusal": ""}}


class MessageEvents:
    """Turns one streamed answer into `message-start`, content blocks and `message-finish`.

    Args:
        message_id: The id of the message, which LangChain gives.
    """

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._streamed = StreamedMessage()
        self.so_far: ReplyAccumulator = self._streamed.so_far
        """To be filled by whoever reads the stream."""
        self._started = False
        self._indices: dict[str | int, int] = {}
        self._whole: dict[int, Block] = {}
        self._spoken: dict[str | int, list[str]] = {}
        self._open = {_TEXT: _TEXT, _REASONING: _REASONING}
        """The key of the block that text of a kind continues."""

    def events(self, chunk: Chunk) -> Iterator[MessagesData]:
        """The events that one event of the wire stands for."""
        if not self._started:
            self._started = True
            yield self._start(chunk)
        for delta in self._streamed.deltas(chunk):
            yield from self._of_delta(delta)

    def end(self) -> Iterator[MessagesData]:
        """The events that finish every block and the message."""
        for delta in self._streamed.rest():
            yield from self._of_delta(delta)
        choice, reply = self._streamed.finished()
        for block in [
            *(image_block(image) for image in choice.images),
            *([refusal_block(choice.refusal)] if choice.refusal else []),
        ]:
            yield self._begin_whole(block)
        if choice.reasoning_details and _REASONING not in self._indices:
            yield from self._said(_REASONING, "")
        if choice.annotations and _TEXT not in self._indices:
            yield from self._said(_TEXT, "")
        calls = self._finished_calls(choice)
        for key, index in self._indices.items():
            block = calls[key] if isinstance(key, int) else self._finished(key, choice)
            yield _event("content-block-finish", index=index, content=block)
        metadata = from_sunra.metadata(choice, reply)
        if choice.logprobs is not None:
            metadata["logprobs"] = dict(choice.logprobs)
        said = from_sunra.said_once(choice)
        if choice.refusal:
            said["refusal"] = choice.refusal
        usage = from_sunra.usage(reply.usage)
        yield _event(
            "message-finish",
            metadata=metadata,
            **({"usage": usage} if usage is not None else {}),
            **({"additional_kwargs": said} if said else {}),
        )

    def _start(self, chunk: Chunk) -> MessagesData:
        metadata: Block = {"provider": from_sunra.MODEL_PROVIDER}
        if chunk.model is not None:
            metadata["model"] = chunk.model
        return _event("message-start", role="ai", id=self._message_id, metadata=metadata)

    def _of_delta(self, delta: ChoiceDelta) -> Iterator[MessagesData]:
        if delta.reasoning and not any(map(thinking_text, delta.parts)):  # else it is in these
            yield from self._said(_REASONING, delta.reasoning)
        if from_sunra.has_parts_of_other_kinds(delta):
            for part in delta.parts:
                block = part_block(part)
                if block is not None and block["type"] in self._open:
                    kind = block["type"]
                    if len(block) == _PLAIN:
                        yield from self._said(kind, block[kind])
                    else:
                        yield from self._said_apart(kind, block)
                elif block is not None and block["type"] in CALL_LIKE:
                    yield self._begin_whole({"type": "non_standard", "value": block})
                    self._close_words()
                elif block is not None:
                    yield self._begin_whole(block)
                    self._close_words()
        elif delta.text:
            yield from self._said(_TEXT, delta.text)
        for call in delta.tool_calls:
            yield from self._called(call)

    def _said(self, kind: str, piece: str) -> Iterator[MessagesData]:
        key = self._open[kind]
        if key not in self._indices:
            self._spoken[key] = []
            yield self._begin(key, {"type": kind, kind: ""})
        if piece:
            self._spoken[key].append(piece)
            yield _delta(self._indices[key], {"type": f"{kind}-delta", kind: piece})

    def _said_apart(self, kind: str, block: Block) -> Iterator[MessagesData]:
        """Text with fields of its own, to be replayed together."""
        index = len(self._indices)
        self._whole[index] = block
        yield self._begin(f"whole {index}", {"type": kind, kind: ""})
        if block[kind]:
            yield _delta(index, {"type": f"{kind}-delta", kind: block[kind]})
        self._close_words()

    def _close_words(self) -> None:
        """Lets later text begin a new block, so that content keeps its order."""
        for kind, key in self._open.items():
            if key in self._indices:
                self._open[kind] = f"{kind} {len(self._indices)}"

    def _called(self, call: ToolCallDelta) -> Iterator[MessagesData]:
        if call.call_index not in self._indices:
            start = {"type": "tool_call_chunk", "id": call.id, "name": call.name, "args": ""}
            yield self._begin(call.call_index, {**start, "index": call.call_index})
        if call.arguments:
            index = self._indices[call.call_index]
            yield _delta(index, {"type": "tool-call-delta", "args": call.arguments})

    def _begin(self, key: str | int, block: Block) -> MessagesData:
        index = len(self._indices)
        self._indices[key] = index
        return _event("content-block-start", index=index, content=block)

    def _begin_whole(self, block: Block) -> MessagesData:
        """Begins a block that comes in one piece; its weight travels with its finish only."""
        self._whole[len(self._indices)] = block
        light = {k: v for k, v in block.items() if k not in {"base64", "value", "data"}}
        placeholder = _PLACEHOLDERS.get(block["type"], {})
        return self._begin(f"whole {len(self._indices)}", {**light, **placeholder})

    def _finished(self, key: str, choice: Choice) -> Block:
        if key not in self._spoken:
            return self._whole[self._indices[key]]
        kind = key.partition(" ")[0]
        block: Block = {"type": kind, kind: "".join(self._spoken[key])}
        if key == _REASONING:
            # also on the block: an older core drops the message's `additional_kwargs`
            extras = {
                from_sunra.REASONING_FIELD: choice.reasoning_field,
                "reasoning_details": list(choice.reasoning_details),
            }
            block["extras"] = {name: value for name, value in extras.items() if value}
        if key == self._last_text() and choice.annotations:
            block["annotations"] = [citation(one) for one in choice.annotations]
        return block

    def _last_text(self) -> str | int | None:
        return next((k for k in reversed(self._spoken) if str(k).startswith(_TEXT)), None)

    def _finished_calls(self, choice: Choice) -> dict[int, Block]:
        """The whole calls by index; a choice holds its calls in the order of their indices."""
        begun = sorted(key for key in self._indices if isinstance(key, int))
        return dict(zip(begun, map(_called, choice.tool_calls), strict=True))


def _called(call: ToolCall) -> Block:
    arguments = call.parsed()
    if arguments is None:
        block: Block = {**from_sunra.invalid_tool_call(call)}
    else:
        block = {"type": "tool_call", "id": call.id, "name": call.name, "args": arguments}
    return {**block, "extras": dict(call.extra)} if call.extra else block


def keep_refusal(stream: Any, event: MessagesData) -> None:
    """Puts a refusal into the message that core assembles of the events.

    langchain-core 1.8 passes over blocks of this type there, so that nobody who reads the finished
    message would see that the model declined.

    Args:
        stream: Core's accumulator, which has taken in the event.
        event: The event.
    """
    block: Any = event.get("content") if event["event"] == "content-block-finish" else None
    if isinstance(block, dict) and block.get("type") == "refusal":
        index = cast("dict[str, Any]", event)["index"]
        stream._blocks.setdefault(index, {**block, "index": index})  # noqa: SLF001 - see above


def _event(name: str, **fields: Any) -> MessagesData:
    return cast("MessagesData", {"event": name, **fields})


def _delta(index: int, delta: Block) -> MessagesData:
    return _event("content-block-delta", index=index, delta=delta)
