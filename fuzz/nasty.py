"""Bodies of about a megabyte that make a careless parser slow, or use much memory."""

import json
from collections.abc import Callable
from typing import Any

MEGABYTE = 1_000_000


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(**delta: Any) -> bytes:
    return _event({"id": "gen-1", "choices": [{"index": 0, "delta": delta}]})


def _call(index: int | None = None, call_id: str | None = None, **function: Any) -> bytes:
    entry: dict[str, Any] = {"function": function}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry["id"] = call_id
    return _delta(tool_calls=[entry])


def _repeated(event: bytes) -> bytes:
    return event * (MEGABYTE // len(event))


def _numbered(event: Callable[[int], bytes]) -> bytes:
    events: list[bytes] = []
    size = 0
    while size < MEGABYTE:
        events.append(event(len(events)))
        size += len(events[-1])
    return b"".join(events)


def _half_then(first: bytes, event: bytes) -> bytes:
    return first + event * ((MEGABYTE - len(first)) // len(event))


_HALF = "a" * (MEGABYTE // 2)
_END = _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})

STREAMS: dict[str, Callable[[], bytes]] = {
    "carriage returns": lambda: b"\r" * MEGABYTE,
    "line feeds": lambda: b"\n" * MEGABYTE,
    "comments": lambda: _repeated(b":\n"),
    "one line without an end": lambda: b"data: " + b"a" * MEGABYTE,
    "one line of no field": lambda: b"a" * MEGABYTE,
    "lines of no field": lambda: _repeated(b"a\n"),
    "data lines of one event": lambda: _repeated(b"data: 1\n"),
    "data lines that are empty": lambda: _repeated(b"data\n"),
    "a hundred thousand events": lambda: _repeated(b"data: {}\n\n"),
    "event names": lambda: _repeated(b"event: error\n"),
    "text deltas": lambda: _repeated(_delta(content="a")) + _END,
    "content parts in many events": lambda: (
        _repeated(_delta(content=[{"type": "text", "text": "a"}])) + _END
    ),
    "content parts in one event": lambda: _delta(content=["a"] * (MEGABYTE // 5)) + _END,
    "content parts after half a megabyte of text": lambda: _half_then(
        _delta(content=[_HALF]), _delta(content=["a"])
    ),
    "reasoning details of one kind": lambda: _delta(
        reasoning_details=[{"text": "a"}] * (MEGABYTE // 15)
    ),
    "reasoning details after half a megabyte": lambda: _half_then(
        _delta(reasoning_details=[{"text": _HALF}]), _delta(reasoning_details=[{"text": "a"}])
    ),
    "an unknown text that goes on": lambda: _half_then(_delta(x=_HALF), _delta(x="a")),
    "an unknown list that goes on": lambda: _half_then(
        _delta(x=[0] * (MEGABYTE // 6)), _delta(x=[1])
    ),
    "ever new unknown fields": lambda: _numbered(lambda n: _delta(**{f"x{n}": 1})),
    "an unknown object that grows": lambda: _numbered(lambda n: _delta(x={f"x{n}": 1})),
    "logprobs": lambda: _repeated(
        _event({"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [1]}}]})
    ),
    "calls by nothing": lambda: _repeated(_call(name="f", arguments="{}")),
    "calls by nothing, never complete": lambda: _repeated(_call(name="f", arguments="{")),
    "calls by nothing that seem complete": lambda: _half_then(
        _call(name="f", arguments='{"a": "' + _HALF), _call(name="f", arguments="}")
    ),
    "calls by nothing in one event": lambda: _delta(
        tool_calls=[{"function": {"name": "f"}}] * (MEGABYTE // 30)
    ),
    "calls by ever new ids": lambda: _numbered(lambda n: _call(0, f"c{n}", name="f")),
    "calls by ever new indexes": lambda: _numbered(lambda n: _call(n, name="f", arguments="")),
    "calls by huge indexes": lambda: _numbered(lambda n: _call(10**18 + n, name="f")),
    "a name in a thousand pieces": lambda: _half_then(_call(0, name=_HALF), _call(0, name="b")),
    "choices of huge indexes": lambda: _numbered(
        lambda n: _event({"choices": [{"index": 10**18 + n, "delta": {"content": "a"}}]})
    ),
    "choices that call, under a long id": lambda: _event(
        {
            "id": _HALF,
            "choices": [{"delta": {"tool_calls": [{}]}}] * (MEGABYTE // 80),
        }
    ),
    "an integer of a megabyte": lambda: b"data: " + b"9" * MEGABYTE + b"\n\n",
    "nesting": lambda: b"data: " + b"[" * MEGABYTE + b"\n\n",
    "nesting within what is allowed": lambda: _repeated(
        b'data: {"choices": [{"delta": {"x": ' + b"[" * 150 + b"]" * 150 + b"}}]}\n\n"
    ),
}

COMPLETIONS: dict[str, Callable[[], bytes]] = {
    "choices": lambda: b'{"choices": [' + b"{   }," * (MEGABYTE // 6) + b"{}]}",
    "calls": lambda: json.dumps(
        {"choices": [{"message": {"tool_calls": [{}] * (MEGABYTE // 4)}}]}
    ).encode(),
    "content parts": lambda: json.dumps(
        {"choices": [{"message": {"content": ["a"] * (MEGABYTE // 5)}}]}
    ).encode(),
    "reasoning details": lambda: json.dumps(
        {"choices": [{"message": {"reasoning_details": [{"text": "a"}] * (MEGABYTE // 15)}}]}
    ).encode(),
    "choices of one index that grow": lambda: json.dumps(
        {"choices": [{"index": 0, "message": {"x": {str(n): 0}}} for n in range(MEGABYTE // 45)]}
    ).encode(),
    "blank space": lambda: b" " * MEGABYTE,
    "nesting": lambda: b'{"a":' * (MEGABYTE // 5),
}

ERRORS: dict[str, Callable[[], bytes]] = {
    "a page of openings": lambda: b"<title" * (MEGABYTE // 6),
    "a message without end": lambda: b'{"error": {"message": "' + b"a" * MEGABYTE + b'"}}',
    "a code without end": lambda: b'{"error": {"code": "' + b"a" * MEGABYTE + b'"}}',
    "words of an overflow that never come": lambda: (
        b'{"error": "' + b"exceed the maximum " * (MEGABYTE // 19) + b'"}'
    ),
    "findings": lambda: b'{"detail": [' + b'{"msg": "a"},' * (MEGABYTE // 13) + b"1]}",
    "control characters": lambda: b'{"error": "' + b"\\u0000" * (MEGABYTE // 6) + b'"}',
    "blank space": lambda: b" " * MEGABYTE,
}
