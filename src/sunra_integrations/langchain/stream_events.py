"""Convert stream deltas to LangChain's v3 message events, directly rather than through chunks.

langchain-core 1.8 can make these events from chunks, but then only the last token's logprobs
survive, parallel calls with one index become one invalid call, and text hides a call beside it.
A block gets its index when it starts; all blocks finish, in that order, when the message is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from sunra_integrations.langchain import response
from sunra_integrations.langchain.content_blocks import (
    CALL_LIKE,
    citation,
    image_block,
    part_block,
    refusal_block,
)
from sunra_integrations.langchain.messages import MODEL_PROVIDER, REASONING_FIELD
from sunra_integrations.langchain.response import StreamState
from sunra_integrations.protocol.content import thinking_text
from sunra_integrations.protocol.reply import Choice, ChoiceDelta, Chunk, ToolCall, ToolCallDelta

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

Block = dict[str, Any]

_TEXT = "text"
_REASONING = "reasoning"
_PLAIN_FIELDS = len(("type", "text"))
_PLACEHOLDERS: dict[str, Block] = {"non_standard": {"value": {}}, "refusal": {"refusal": ""}}


class MessageEvents:
    """Converts one stream to `message-start`, content block events and `message-finish`.

    Args:
        message_id: The message's id, chosen by LangChain.
    """

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self.state: StreamState = StreamState()
        self._started = False
        self._indices: dict[str | int, int] = {}
        """The index of each block, by its key: the call's index, or a name."""
        self._whole: dict[int, Block] = {}
        """Blocks that arrived whole, by index."""
        self._texts: dict[str | int, list[str]] = {}
        """The text of each text or reasoning block so far, by key."""
        self._open = {_TEXT: _TEXT, _REASONING: _REASONING}
        """The key of the block that further text or reasoning continues."""

    def events(self, chunk: Chunk) -> Iterator[MessagesData]:
        """The message events for one event of the stream."""
        if not self._started:
            self._started = True
            yield self._start_message(chunk)
        for delta in self.state.deltas(chunk):
            yield from self._delta(delta)

    def end(self) -> Iterator[MessagesData]:
        """The events that finish all blocks and the message."""
        for delta in self.state.remaining_deltas():
            yield from self._delta(delta)
        reply = self.state.message_reply()
        choice = reply.choice
        for block in [
            *(image_block(image) for image in choice.images),
            *([refusal_block(choice.refusal)] if choice.refusal else []),
        ]:
            yield self._start_whole(block)
        if choice.reasoning_details and _REASONING not in self._indices:
            yield from self._continue(_REASONING, "")
        if choice.annotations and _TEXT not in self._indices:
            yield from self._continue(_TEXT, "")
        calls = self._finished_calls(choice)
        for key, index in self._indices.items():
            block = calls[key] if isinstance(key, int) else self._finished_block(key, choice)
            yield _event("content-block-finish", index=index, content=block)
        metadata = response.metadata(choice, reply)
        if choice.logprobs is not None:
            metadata["logprobs"] = dict(choice.logprobs)
        additional_kwargs = response.final_only_fields(choice)
        if choice.refusal:
            additional_kwargs["refusal"] = choice.refusal
        usage = response.usage(reply.usage)
        yield _event(
            "message-finish",
            metadata=metadata,
            **({"usage": usage} if usage is not None else {}),
            **({"additional_kwargs": additional_kwargs} if additional_kwargs else {}),
        )

    def _start_message(self, chunk: Chunk) -> MessagesData:
        metadata: Block = {"provider": MODEL_PROVIDER}
        if chunk.model is not None:
            metadata["model"] = chunk.model
        return _event("message-start", role="ai", id=self._message_id, metadata=metadata)

    def _delta(self, delta: ChoiceDelta) -> Iterator[MessagesData]:
        # Thinking parts have the same text as `reasoning`, and go through `_part`.
        if delta.reasoning and not any(map(thinking_text, delta.parts)):
            yield from self._continue(_REASONING, delta.reasoning)
        if response.has_other_parts(delta):
            for part in delta.parts:
                block = part_block(part)
                if block is not None:
                    yield from self._part(block)
        elif delta.text:
            yield from self._continue(_TEXT, delta.text)
        for call in delta.tool_calls:
            yield from self._call(call)

    def _part(self, block: Block) -> Iterator[MessagesData]:
        kind = block["type"]
        if kind in self._open and len(block) == _PLAIN_FIELDS:
            yield from self._continue(kind, block[kind])
            return
        if kind in self._open:
            yield from self._text_with_fields(kind, block)
        elif kind in CALL_LIKE:
            yield self._start_whole({"type": "non_standard", "value": block})
        else:
            yield self._start_whole(block)
        self._close_texts()

    def _continue(self, kind: str, text: str) -> Iterator[MessagesData]:
        """Adds to the open text or reasoning block, which is started if necessary."""
        key = self._open[kind]
        if key not in self._indices:
            self._texts[key] = []
            yield self._start(key, {"type": kind, kind: ""})
        if text:
            self._texts[key].append(text)
            yield _delta(self._indices[key], {"type": f"{kind}-delta", kind: text})

    def _text_with_fields(self, kind: str, block: Block) -> Iterator[MessagesData]:
        """A block of its own for text that has further fields, which are replayed together."""
        index = len(self._indices)
        self._whole[index] = block
        yield self._start(f"whole {index}", {"type": kind, kind: ""})
        if block[kind]:
            yield _delta(index, {"type": f"{kind}-delta", kind: block[kind]})

    def _close_texts(self) -> None:
        """Lets further text start a new block, so that the content keeps its order."""
        for kind, key in self._open.items():
            if key in self._indices:
                self._open[kind] = f"{kind} {len(self._indices)}"

    def _call(self, call: ToolCallDelta) -> Iterator[MessagesData]:
        if call.call_index not in self._indices:
            start = {"type": "tool_call_chunk", "id": call.id, "name": call.name, "args": ""}
            yield self._start(call.call_index, {**start, "index": call.call_index})
        if call.arguments:
            index = self._indices[call.call_index]
            yield _delta(index, {"type": "tool-call-delta", "args": call.arguments})

    def _start(self, key: str | int, block: Block) -> MessagesData:
        index = len(self._indices)
        self._indices[key] = index
        return _event("content-block-start", index=index, content=block)

    def _start_whole(self, block: Block) -> MessagesData:
        """Starts a block that arrived whole; large values are sent only when it finishes."""
        self._whole[len(self._indices)] = block
        light = {k: v for k, v in block.items() if k not in {"base64", "value", "data"}}
        placeholder = _PLACEHOLDERS.get(block["type"], {})
        return self._start(f"whole {len(self._indices)}", {**light, **placeholder})

    def _finished_block(self, key: str, choice: Choice) -> Block:
        if key not in self._texts:
            return self._whole[self._indices[key]]
        kind = key.partition(" ")[0]
        block: Block = {"type": kind, kind: "".join(self._texts[key])}
        if key == _REASONING:
            # In the block too: an older langchain-core drops the event's `additional_kwargs`.
            extras = {
                REASONING_FIELD: choice.reasoning_field,
                "reasoning_details": list(choice.reasoning_details),
            }
            block["extras"] = {name: value for name, value in extras.items() if value}
        if key == self._last_text() and choice.annotations:
            block["annotations"] = [citation(one) for one in choice.annotations]
        return block

    def _last_text(self) -> str | int | None:
        return next((k for k in reversed(self._texts) if str(k).startswith(_TEXT)), None)

    def _finished_calls(self, choice: Choice) -> dict[int, Block]:
        """The whole calls by index; a choice has its calls in the order of their indices."""
        indices = sorted(key for key in self._indices if isinstance(key, int))
        return dict(zip(indices, map(_call_block, choice.tool_calls), strict=True))


def _call_block(call: ToolCall) -> Block:
    arguments = call.parsed()
    if arguments is None:
        block: Block = {**response.invalid_tool_call(call)}
    else:
        block = {"type": "tool_call", "id": call.id, "name": call.name, "args": arguments}
    return {**block, "extras": dict(call.extra)} if call.extra else block


def keep_refusal(stream: Any, event: MessagesData) -> None:
    """Adds a refusal to the message that langchain-core assembles from the events.

    langchain-core 1.8 ignores blocks of this type there, so the finished message would not show
    that the model declined; see docs/upstream/langchain-core.md.

    Args:
        stream: langchain-core's accumulator, after it processed the event.
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
