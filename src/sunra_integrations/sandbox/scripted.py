"""What a test can have the sandbox answer instead of its script, and how it is delivered."""

import inspect
import json
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args


@dataclass(frozen=True)
class Say:
    """A text reply, streamed or not as the request asks.

    Args:
        text: The content.
        reasoning: Reasoning to go with it.
        finish_reason: Why it ends.
    """

    text: str
    reasoning: str | None = None
    finish_reason: str = "stop"

    def message(self) -> dict[str, Any]:
        """The assistant message."""
        said: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.reasoning is not None:
            detail = {"type": "reasoning.text", "text": self.reasoning, "index": 0}
            said |= {"reasoning": self.reasoning, "reasoning_details": [detail]}
        return said


@dataclass(frozen=True, init=False)
class CallTools:
    """A reply that calls tools: ``CallTools(("get_weather", {"city": "Paris"}))``.

    Args:
        calls: Pairs of name and arguments; arguments as an object, or as a string sent as it is.
        text: Content beside the calls.
        finish_reason: Why it ends.
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
        """The assistant message, its calls named by ``call_id``."""
        calls = [
            {
                "id": call_id(index),
                "type": "function",
                "function": {"name": name, "arguments": _arguments(arguments)},
            }
            for index, (name, arguments) in enumerate(self.calls)
        ]
        return {"role": "assistant", "content": self.text, "refusal": None, "tool_calls": calls}


@dataclass(frozen=True)
class Message:
    """A reply around this assistant message, key for key, streamed or not.

    Args:
        message: The message as it goes on the wire.
        finish_reason: Why it ends; by default ``tool_calls`` if it has any, else ``stop``.
    """

    message: Mapping[str, Any]
    finish_reason: str | None = None


@dataclass(frozen=True)
class Http:
    """Exactly this HTTP response, whatever was asked: an error, a page, a completion.

    Args:
        status: The status.
        body: Bytes or text as they are, or anything else as JSON; a list of bytes is sent
            piece by piece, each flushed on its own.
        headers: The headers; a content type is added where none is given.

    Raises:
        TypeError: It is not a response that HTTP can carry.
    """

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.status not in _STATUSES:
            raise TypeError(f"{_shown(self.status)} is not a status; give a number from 200 to 599")
        for name, value in self.headers.items():
            if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
                raise TypeError(f"{_shown(name)}: {_shown(value)} is not a header")
        if self._is_pieces() and not all(isinstance(one, bytes) for one in self.body):
            raise TypeError("a body in pieces is a list of bytes only")

    def pieces(self) -> Sequence[bytes]:
        """The body as it is flushed."""
        match self.body:
            case bytes(whole):
                return [whole]
            case str(text):
                return [text.encode()]
            case [bytes(), *_]:
                return list(self.body)
            case other:
                return [json.dumps(other, ensure_ascii=False).encode()]

    def all_headers(self) -> dict[str, str]:
        """The headers, lower-case, with a content type."""
        kind = "text/plain; charset=utf-8"
        if not isinstance(self.body, bytes | str) and not self._is_pieces():
            kind = "application/json"
        given = {name.lower(): value for name, value in self.headers.items()}
        return {"content-type": kind, **given}

    def _is_pieces(self) -> bool:
        return isinstance(self.body, list) and bool(self.body) and isinstance(self.body[0], bytes)


def sse(*pieces: bytes, status: int = 200) -> Http:
    """Exactly these bytes as an event stream, each piece flushed on its own."""
    return Http(status, list(pieces) or b"", {"content-type": "text/event-stream; charset=utf-8"})


def completion(body: Mapping[str, Any]) -> Http:
    """Exactly this JSON body with status 200, even where a stream was asked for."""
    return Http(200, dict(body))


@dataclass(frozen=True)
class HangUp:
    """No answer: the connection ends before the headers."""


_STATUSES = range(200, 600)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

Answer: TypeAlias = str | Say | CallTools | Message | Http | HangUp
End: TypeAlias = Literal["close", "reset", "complete"]


@dataclass(frozen=True)
class Scripted:
    """An answer with the manner of its delivery.

    Args:
        answer: What to answer; None for what the script would have said.
        wait: Seconds before the headers.
        pause: Seconds between one piece (event) and the next.
        cut_after: Bytes of body after which to stop; None sends everything.
        cut: How a cut ends: ``close`` (the connection is closed), ``reset`` (it is torn down),
            ``complete`` (the response is ended politely, as if that were all). Also how a
            `HangUp` ends.
        model: Only requests for this model are answered with it; None for any.

    Raises:
        TypeError: The answer is none of the kinds there are, or its delivery cannot be played.
    """

    answer: Answer | None = None
    wait: float = 0.0
    pause: float = 0.0
    cut_after: int | None = None
    cut: End = "close"
    model: str | None = None

    def __post_init__(self) -> None:
        if not _is_answer(self.answer):
            raise TypeError(
                f"{_shown(self.answer)} is not an answer. Give a text, Say, CallTools, Message, "
                "Http, HangUp, Scripted, or None for the default reply."
            )
        _check("wait", self.wait, int | float, "seconds")
        _check("pause", self.pause, int | float, "seconds")
        _check("cut_after", self.cut_after, int | None, "a number of bytes")
        _check("model", self.model, str | None, "the name of a model")
        if self.cut not in get_args(End):
            known = ", ".join(get_args(End))
            raise TypeError(f"`cut` must be one of {known}, not {_shown(self.cut)}")


def _check(name: str, given: object, kind: Any, what: str) -> None:
    if not isinstance(given, kind):
        raise TypeError(f"`{name}` must be {what}, not {_shown(given)}")


def _shown(given: object) -> str:
    try:
        return f"{given!r:.200}"
    except Exception:  # noqa: BLE001 - a broken repr must not hide the mistake
        return f"a {type(given).__name__}"


def _is_answer(given: object) -> bool:
    return given is None or isinstance(given, str | Say | CallTools | Message | Http | HangUp)


Handler: TypeAlias = Callable[[dict[str, Any]], "Scripted | Answer | None"]


def as_scripted(answer: Scripted | Answer | None) -> Scripted:
    """An answer with a delivery, the plain one where none was given."""
    return answer if isinstance(answer, Scripted) else Scripted(answer)


class HandlerFault(Exception):
    """A handler given to `answer_with` has failed; the message says how, and where."""


def asked(handler: Handler, request: dict[str, Any]) -> Scripted:
    """What a handler answers a request with.

    Raises:
        HandlerFault: It raises, or returns something that is not an answer.
    """
    try:
        answer = handler(request)
    except BaseException as error:
        fault = "".join(traceback.format_exception_only(type(error), error)).strip()
        raise HandlerFault(
            f"The `answer_with` handler raised {fault} ({_place(handler, error)})"
        ) from error
    try:
        return as_scripted(answer)
    except TypeError as error:
        name = getattr(handler, "__qualname__", _shown(handler))
        if inspect.iscoroutine(answer):
            answer.close()  # it is never awaited, which Python would warn about
            error = TypeError(f"{error} A handler is a plain function, not an async one.")
        raise HandlerFault(f"The `answer_with` handler {name} returned: {error}") from error


def _place(handler: Handler, error: BaseException) -> str:
    """Where in the handler's own file it raised; elsewhere where that never was."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    code = getattr(handler, "__code__", None)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if not (own or frames):
        return _shown(handler)
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}, in {frame.name}"


def _arguments(arguments: Mapping[str, Any] | str) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False)
