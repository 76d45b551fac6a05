"""A response in the words of the table that all readers of the wire share."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatResponse, ThinkingBlock, ToolCallBlock

from sunra_integrations.protocol.json_text import parse_arguments
from tests.wire_cases import Seen


def seen(response: ChatResponse) -> Seen:
    """What a LlamaIndex user sees, in the words of the shared table."""
    message, known = response.message, response.additional_kwargs
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    entries = message.additional_kwargs.get("tool_calls", [])
    assert [(e.id, e.function.name, e.function.arguments) for e in entries] == [
        (b.tool_call_id, b.tool_name, b.tool_kwargs) for b in blocks
    ]
    counts = tuple(known.get(f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    return Seen(
        text=message.content or "",
        finish_reason=known.get("finish_reason"),
        usage=counts if any(counts) else None,
        reasoning="".join(
            block.content or "" for block in message.blocks if isinstance(block, ThinkingBlock)
        ),
        calls=tuple(
            (b.tool_call_id, b.tool_name, parse_arguments(b.tool_kwargs) if b.tool_name else None)
            for b in blocks
        ),
        refusal=message.additional_kwargs.get("refusal", ""),
    )
