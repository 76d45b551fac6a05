"""What the server says, as pure values: a scenario's name in a path, and the bytes it stands for.

A stream is made as OpenAI-style gateways make it: a first chunk with the role, one chunk per token,
one with the finish reason, one with the usage, and `[DONE]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from benchmarks import responses

Kind = Literal[
    "text",
    "tools",
    "logprobs",
    "reasoning",
    "completion",
    "late",
    "paced",
    "responses_text",
    "responses_tools",
]

MANY = 64
"""Events in one write, where many are sent together."""

MODEL = "gpt-4o"
WORDS = ("The", " river", " carried", " its", " boats", " past", " quiet", " gardens", ",", " and")
CLOCK_DIGITS = 20
"""Width of a clock reading (nanoseconds) inside a paced event, whose bytes are prebuilt."""


@dataclass(frozen=True)
class Scenario:
    """One way to answer; `str()` is its name in a base URL.

    Args:
        kind: What the answer is made of.
        events: Pieces of content in a stream; milliseconds until a late completion.
        per_write: Events in one write, which is one HTTP chunk.
        variant: Only to make base URLs differ.
    """

    kind: Kind
    events: int = 0
    per_write: int = 1
    variant: int = 0

    @property
    def is_of_responses(self) -> bool:
        """Whether `/v1/responses` sends it."""
        return self.kind.startswith("responses")

    def __str__(self) -> str:
        return f"{self.kind}-{self.events}-{self.per_write}-{self.variant}"

    @classmethod
    def parse(cls, name: str) -> Scenario:
        """The scenario of that name; `ValueError` where there is none."""
        kind, *numbers = name.split("-")
        if kind not in get_args(Kind):
            raise ValueError(f"no such kind of scenario: {kind!r}")
        return cls(kind, *map(int, numbers))  # type: ignore[arg-type]  # checked above


def word(number: int) -> str:
    """The text of the content event of that number."""
    return WORDS[number % len(WORDS)]


def chunks(kind: Kind, events: int) -> Iterator[dict[str, Any]]:
    """The chunks of a stream, in order, as objects."""
    yield _chunk(_opening(kind))
    for number in range(events):
        yield _content(kind, number)
    if kind == "tools":
        yield _arguments('"}')
    yield _chunk({}, finish_reason="tool_calls" if kind == "tools" else "stop")
    usage = {"prompt_tokens": 12, "completion_tokens": events, "total_tokens": 12 + events}
    yield {**_chunk({}), "choices": [], "usage": usage}


def completion() -> dict[str, Any]:
    """A small response without streaming."""
    content = "".join(WORDS)
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 10,
            "total_tokens": 22,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_benchmark",
    }


@lru_cache(maxsize=32)
def writes(scenario: Scenario) -> tuple[bytes, ...]:
    """A stream's body as the HTTP chunks to send, one a write; the last ends the body."""
    events = _response_events(scenario) if scenario.is_of_responses else _chunk_events(scenario)
    size = scenario.per_write
    groups = [b"".join(events[at : at + size]) for at in range(0, len(events), size)]
    return (*map(http_chunk, groups), b"0\r\n\r\n")


def _chunk_events(scenario: Scenario) -> list[bytes]:
    return [*map(_event, chunks(scenario.kind, scenario.events)), b"data: [DONE]\n\n"]


def _response_events(scenario: Scenario) -> list[bytes]:
    words = [word(number) for number in range(scenario.events)]
    found = (
        responses.events("text", words, MODEL)
        if scenario.kind == "responses_text"
        else responses.events("tools", ['{"text":"', *words, '"}'], MODEL)
    )
    return [f"event: {one['type']}\n".encode() + _event(one) for one in found]


def http_chunk(data: bytes) -> bytes:
    """Bytes in the framing of HTTP/1.1's chunked transfer encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=1)
def paced_event() -> tuple[bytes, bytes]:
    """The bytes of a paced event before and after the clock reading that is its text."""
    marker = "#" * CLOCK_DIGITS
    whole = http_chunk(_event(_chunk({"content": marker})))
    before, after = whole.split(marker.encode())
    return before, after


def paced_frame() -> tuple[bytes, bytes]:
    """What comes before and after the paced events of a stream."""
    role, finish, usage = map(_event, chunks("text", 0))
    return http_chunk(role), http_chunk(finish + usage + b"data: [DONE]\n\n") + b"0\r\n\r\n"


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_benchmark",
        "choices": [choice],
    }


def _opening(kind: Kind) -> dict[str, Any]:
    if kind != "tools":
        return {"role": "assistant", "content": "", "refusal": None}
    function = {"name": "write_down", "arguments": '{"text":"'}
    call = {"index": 0, "id": "call_benchmark", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _content(kind: Kind, number: int) -> dict[str, Any]:
    text = word(number)
    match kind:
        case "tools":
            return _arguments(text)
        case "reasoning":
            return _chunk({"reasoning_content": text})
        case "logprobs":
            chunk = _chunk({"content": text})
            chunk["choices"][0]["logprobs"] = {"content": [_token_logprob(text)], "refusal": None}
            return chunk
        case _:
            return _chunk({"content": text})


def _arguments(piece: str) -> dict[str, Any]:
    return _chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})


def _token_logprob(text: str) -> dict[str, Any]:
    def rated(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    top = [rated(text + "s" * place, -0.0123 - 1.75 * place) for place in range(5)]
    return {**rated(text, -0.0123), "top_logprobs": top}
