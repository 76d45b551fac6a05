"""A finished reply, before it is put on the wire whole or in chunks."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """One choice: the assistant message as it goes on the wire, and why it ends."""

    message: Message
    finish_reason: str
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Reply:
    """Everything a completion says, streamed or not."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: dict[str, Any]


def completion(reply: Reply) -> dict[str, Any]:
    """The reply as one ``chat.completion`` object."""
    return {
        **envelope(reply, "chat.completion"),
        "choices": [
            {
                "index": index,
                "message": choice.message,
                "finish_reason": choice.finish_reason,
                "logprobs": wire_logprobs(choice.logprobs),
            }
            for index, choice in enumerate(reply.choices)
        ],
        "usage": reply.usage,
    }


def envelope(reply: Reply, kind: str) -> dict[str, Any]:
    """What every completion and chunk carries; it says plainly that no model answered."""
    return {
        "id": reply.id,
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": "sandbox",
        "provider": "sandbox",
    }


def wire_logprobs(content: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Log probabilities as the wire wraps them."""
    return None if content is None else {"content": content, "refusal": None}
