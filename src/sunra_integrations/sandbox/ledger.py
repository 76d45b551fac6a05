"""What a test queues for the sandbox and what it sees of it, safe to touch from any thread."""

import copy
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sunra_integrations.sandbox.scripted import Handler, Scripted, asked


@dataclass(eq=False)
class Received:
    """A request as it arrived, refused ones included.

    Args:
        method: The HTTP method.
        path: The path, without query.
        headers: The headers, names in lower case.
        body: The exact bytes of the body (as much as arrived).
        status: The status it was answered with, None while (or if) there is none.
        disconnected: Set when the client left before the answer was complete.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None
    disconnected: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


class Ledger:
    """The queue of scripted answers, the handler, and the requests received.

    Args:
        keep: How many requests to remember, the latest ones; None for all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Scripted] = deque()
        self._handler: Handler | None = None
        self._received: deque[Received] = deque(maxlen=keep)

    @property
    def received(self) -> list[Received]:
        """The requests so far, in order of arrival."""
        with self._lock:
            return list(self._received)

    def record(self, received: Received) -> None:
        """Notes a request."""
        with self._lock:
            self._received.append(received)

    def queue(self, *answers: Scripted) -> None:
        """Adds answers for the next accepted requests."""
        with self._lock:
            self._queue.extend(answers)

    def handle_with(self, handler: Handler | None) -> None:
        """Sets who is asked when the queue is empty."""
        with self._lock:
            self._handler = handler

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._queue.clear()
            self._handler = None
            self._received.clear()

    def next_for(self, request: dict[str, Any]) -> Scripted:
        """What to answer: the queue first, then the handler, then nothing in particular.

        Raises:
            HandlerFault: The handler failed.
        """
        with self._lock:
            for place, queued in enumerate(self._queue):
                if queued.model in {None, request["model"]}:
                    del self._queue[place]
                    return queued
            handler = self._handler
        # A copy: what a handler does to it must not change the answer.
        return Scripted() if handler is None else asked(handler, copy.deepcopy(request))
