"""What every contestant is asked, and what it answers."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from benchmarks.scenarios import Scenario

KEY = "sk-benchmark-0000000000000000000000000000000000000000"
"""Made up; as long as a real one."""

PROMPT = "Tell me about the river."
HISTORY_MESSAGES = 2000
IMAGE_BYTES = 10_000_000
"""Length of the image as base64 text."""

Input = Literal["short", "history", "image"]


class NotOffered(Exception):
    """This contestant cannot be asked that."""


@dataclass(frozen=True)
class Wanted:
    """A call to make ready.

    Args:
        scenario: What the server will answer.
        prompt: What is sent.
        tools: Tools bound to the call.
        callbacks: Whether a handler of the framework listens to every token.
    """

    scenario: Scenario
    prompt: Input = "short"
    tools: int = 0
    callbacks: bool = False


class Call(Protocol):
    """A call made ready: each method makes it once more.

    The streams yield what a user gets; chunks are not kept.
    """

    def invoke(self) -> Any:
        """The whole answer."""

    async def ainvoke(self) -> Any:
        """The whole answer, async."""

    def stream(self) -> Iterable[Any]:
        """The answer, piece by piece."""

    def astream(self) -> AsyncIterable[Any]:
        """The answer, piece by piece, async."""

    def events(self) -> Iterable[Any]:
        """The answer as the framework's native events."""

    def aevents(self) -> AsyncIterable[Any]:
        """The answer as the framework's native events, async."""

    def text(self, piece: Any) -> str:
        """The text that a piece brings."""


Connect = Callable[[str, Wanted], Call]
"""Makes a client for a server's address (`http://127.0.0.1:8000`) and a call of it ready."""


def base_url(server: str, scenario: Scenario) -> str:
    """Where a scenario is asked for."""
    return f"{server}/{scenario}/v1"


def image_text() -> str:
    """The image, as base64 text."""
    return "iVBORw0KGgo" + "A" * (IMAGE_BYTES - 11)
