"""Replies that a test queues for the sandbox, and the log of its requests."""

import copy
import inspect
import json
import re
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

# ── replies ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class TextReply:
    """A text reply, streamed if the request asks for a stream.

    Args:
        text: The content.
        reasoning: The reasoning before it. Defaults to none.
        finish_reason: The finish reason. Defaults to ``stop``.
    """

    text: str
    reasoning: str | None = None
    finish_reason: str = "stop"

    def message(self) -> dict[str, Any]:
        """The assistant message."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.reasoning is not None:
            detail = {"type": "reasoning.text", "text": self.reasoning, "index": 0}
            message |= {"reasoning": self.reasoning, "reasoning_details": [detail]}
        return message


Say = TextReply
"""The former name of `TextReply`."""


@dataclass(frozen=True, init=False)
class CallTools:
    """A reply that calls tools: ``CallTools(("get_weather", {"city": "Paris"}))``.

    Args:
        calls: Pairs of name and arguments. Arguments are an object, or a string sent unchanged.
        text: Content beside the calls. Defaults to none.
        finish_reason: The finish reason. Defaults to ``tool_calls``.
    """

    calls: tuple[tuple[str, Mapping[str, Any] | str], ...]
    text: str | None
    finish_reason: str

    def __init__(
        self,
        *calls: tuple[str, Mapping[str, Any] | str],
        text: str | None = None,
        finish_reason: str = "tool_calls",
    ) -> None:
        object.__setattr__(self, "calls", calls)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "finish_reason", finish_reason)

    def message(self, call_id: Callable[[int], str]) -> dict[str, Any]:
        """The assistant message, with ids from ``call_id``."""
        calls = [
            {
                "id": call_id(index),
                "type": "function",
                "function": {"name": name, "arguments": _encode_arguments(arguments)},
            }
            for index, (name, arguments) in enumerate(self.calls)
        ]
        return {"role": "assistant", "content": self.text, "refusal": None, "tool_calls": calls}


def _encode_arguments(arguments: Mapping[str, Any] | str) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Message:
    """A reply with exactly this assistant message, streamed if the request asks for a stream.

    Args:
        message: The message as it is sent.
        finish_reason: The finish reason. Defaults to ``tool_calls`` if the message has any,
            otherwise to ``stop``.
    """

    message: Mapping[str, Any]
    finish_reason: str | None = None


@dataclass(frozen=True)
class Http:
    """Exactly this HTTP response, for example an error or an HTML page.

    Args:
        status: The status, 200 to 599.
        body: Bytes and text are sent unchanged. A list of bytes is sent item by item, each flushed
            on its own. Any other value is sent as JSON.
        headers: The headers. A content type is added if there is none.

    Raises:
        TypeError: HTTP cannot carry this response.
    """

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.status not in _STATUSES:
            raise TypeError(f"`status` must be between 200 and 599, got {_safe_repr(self.status)}.")
        for name, value in self.headers.items():
            if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
                raise TypeError(f"Invalid header {_safe_repr(name)}: {_safe_repr(value)}.")
        if self._is_chunked() and not all(isinstance(one, bytes) for one in self.body):
            raise TypeError("A body sent in chunks must be a list of bytes only.")

    def body_chunks(self) -> Sequence[bytes]:
        """The body, each chunk flushed on its own."""
        match self.body:
            case bytes(body):
                return [body]
            case str(text):
                return [text.encode()]
            case [bytes(), *_]:
                return list(self.body)
            case other:
                return [json.dumps(other, ensure_ascii=False).encode()]

    def all_headers(self) -> dict[str, str]:
        """The headers in lower case, with a content type."""
        kind = "text/plain; charset=utf-8"
        if not isinstance(self.body, bytes | str) and not self._is_chunked():
            kind = "application/json"
        given = {name.lower(): value for name, value in self.headers.items()}
        return {"content-type": kind, **given}

    def _is_chunked(self) -> bool:
        return isinstance(self.body, list) and bool(self.body) and isinstance(self.body[0], bytes)


_STATUSES = range(200, 600)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def sse(*chunks: bytes, status: int = 200) -> Http:
    """An event stream of exactly these bytes, each chunk flushed on its own."""
    return Http(status, list(chunks) or b"", {"content-type": "text/event-stream; charset=utf-8"})


def completion(body: Mapping[str, Any]) -> Http:
    """Exactly this JSON body with status 200, even if the request asks for a stream."""
    return Http(200, dict(body))


@dataclass(frozen=True)
class HangUp:
    """No response: the connection ends before the headers."""


Answer: TypeAlias = str | TextReply | CallTools | Message | Http | HangUp
CutMode: TypeAlias = Literal["close", "reset", "complete"]


@dataclass(frozen=True)
class Scripted:
    """A reply and how it is delivered.

    Args:
        answer: What to reply. None sends the sandbox's default reply.
        wait: Seconds before the headers.
        pause: Seconds between chunks of the body (events of a stream).
        cut_after: Bytes of body to send before the cut. None sends everything.
        cut: How a cut, or a `HangUp`, ends: ``close`` closes the connection, ``reset`` resets it,
            and ``complete`` ends the response as if it were complete.
        model: Reply only to requests for this model. None replies to any.

    Raises:
        TypeError: An argument has the wrong type.
    """

    answer: Answer | None = None
    wait: float = 0.0
    pause: float = 0.0
    cut_after: int | None = None
    cut: CutMode = "close"
    model: str | None = None

    def __post_init__(self) -> None:
        if not _is_answer(self.answer):
            raise TypeError(
                f"{_safe_repr(self.answer)} is not a reply. Use a text, TextReply, CallTools, "
                "Message, Http, HangUp, Scripted, or None for the default reply."
            )
        _check_type("wait", self.wait, int | float, "a number of seconds")
        _check_type("pause", self.pause, int | float, "a number of seconds")
        _check_type("cut_after", self.cut_after, int | None, "a number of bytes")
        _check_type("model", self.model, str | None, "the name of a model")
        if self.cut not in get_args(CutMode):
            known = ", ".join(get_args(CutMode))
            raise TypeError(f"`cut` must be one of {known}, got {_safe_repr(self.cut)}.")


def _is_answer(value: object) -> bool:
    return value is None or isinstance(value, str | TextReply | CallTools | Message | Http | HangUp)


def _check_type(name: str, value: object, kind: Any, expected: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be {expected}, got {_safe_repr(value)}.")


def _safe_repr(value: object) -> str:
    try:
        return f"{value!r:.200}"
    except Exception:  # noqa: BLE001 - a broken repr must not hide the mistake
        return f"a {type(value).__name__}"


# ── the handler ──────────────────────────────────────────────────────────────

Handler: TypeAlias = Callable[[dict[str, Any]], "Scripted | Answer | None"]


class HandlerError(Exception):
    """The handler of `answer_with` failed. The message has the exception and its location."""


def _call_handler(handler: Handler, request: dict[str, Any]) -> Scripted:
    try:
        answer = handler(request)
    except BaseException as error:
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
        raise HandlerError(
            f"The `answer_with` handler raised {text} ({_location(handler, error)})"
        ) from error
    try:
        return answer if isinstance(answer, Scripted) else Scripted(answer)
    except TypeError as error:
        name = getattr(handler, "__qualname__", _safe_repr(handler))
        if inspect.iscoroutine(answer):
            answer.close()  # Python warns about a coroutine that is never awaited
            error = TypeError(f"{error} A handler must be a plain function, not an async one.")
        raise HandlerError(f"The `answer_with` handler {name} returned: {error}") from error


def _location(handler: Handler, error: BaseException) -> str:
    """The innermost line in the handler's own file, or else the innermost line."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    code = getattr(handler, "__code__", None)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if not (own or frames):
        return _safe_repr(handler)
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}, in {frame.name}"


# ── what a test queues and sees ──────────────────────────────────────────────


class ReplyQueue:
    """The queued replies and the handler. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Scripted] = deque()
        self._handler: Handler | None = None

    def add(self, *replies: Scripted) -> None:
        """Queues replies for the next accepted requests."""
        with self._lock:
            self._queue.extend(replies)

    def set_handler(self, handler: Handler | None) -> None:
        """Sets the function that replies while the queue is empty."""
        with self._lock:
            self._handler = handler

    def clear(self) -> None:
        """Removes the queued replies and the handler."""
        with self._lock:
            self._queue.clear()
            self._handler = None

    def next_for(self, request: dict[str, Any]) -> Scripted:
        """The reply to a request: from the queue, from the handler, or the default reply.

        Raises:
            HandlerError: The handler failed.
        """
        with self._lock:
            for index, queued in enumerate(self._queue):
                if queued.model in {None, request["model"]}:
                    del self._queue[index]
                    return queued
            handler = self._handler
        if handler is None:
            return Scripted()
        # A copy, because a handler that changes it must not change the default reply.
        return _call_handler(handler, copy.deepcopy(request))


@dataclass(eq=False)
class Received:
    """A request as it was received. Refused requests are included.

    Args:
        method: The HTTP method.
        path: The path, without query.
        headers: The headers, names in lower case.
        body: The bytes of the body, as far as they were received.
        status: The status of the response. None until there is one.
        disconnected: Set when the client disconnects before the response is complete.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None
    disconnected: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class RequestLog:
    """The requests received. Safe to use from any thread.

    Args:
        keep: How many of the latest requests to keep. None keeps all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._lock = threading.Lock()
        self._requests: deque[Received] = deque(maxlen=keep)

    @property
    def requests(self) -> list[Received]:
        """The requests so far, in order."""
        with self._lock:
            return list(self._requests)

    def add(self, received: Received) -> None:
        """Adds a request."""
        with self._lock:
            self._requests.append(received)

    def clear(self) -> None:
        """Removes all requests."""
        with self._lock:
            self._requests.clear()
