"""Bytes to server-sent events, incrementally and bounded.

Lines end in CR, LF or CRLF and in nothing else: U+2028 inside JSON is text. Works on bytes, so a
character split between two reads is never looked at in halves. After the WHATWG event stream
format, with one leniency: an event that the end of the stream cuts off before its blank line is
still delivered, because servers of this family end that way.

A line that the format does not know is passed on in its place as a `STRAY`: between events it is
the remainder of a damaged one, and without any event the body is not a stream.
"""

from __future__ import annotations

from typing import NamedTuple

from sunra_integrations.errors import UnreadableResponse

DEFAULT_MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Room for a few base64 images in one event."""

STRAY = "\n"
"""The event name for a line that is not a known field; real events cannot have it."""

_BOM = b"\xef\xbb\xbf"
_DATA = (b"data: {", b"data:{", b'"choices"', b'"delta"', b'"finish_reason"')
"""What no comment or other field holds, unless it is the remainder of a damaged event."""
_STRAY_LIMIT = 64 * 1024


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    """The `event:` field; empty if there was none, `STRAY` for a line that is not a field."""
    data: bytes


class SSEDecoder:
    """Turns the bytes of a response, in pieces of any size, into its events.

    Args:
        max_event_bytes: An event or line longer than this raises `UnreadableResponse`.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._unfinished: list[bytes] = []  # pieces of a line whose end has not come
        self._unfinished_size = 0
        self._skip_line_feed = False  # the last piece ended in CR; its LF may still come
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._data_size = 0
        self._stray: list[bytes] = []
        self._stray_size = 0
        self._refusal: UnreadableResponse | None = None
        self.data_received: int = 0
        """Bytes of lines that carry data: comments and blank lines are no sign of progress."""

    @property
    def stray(self) -> bytes:
        """Lines that belong to no event, such as a JSON or HTML body sent in place of a stream."""
        return b"\n".join(self._stray)

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes, in order.

        Raises:
            UnreadableResponse: An event is too long. Events that were complete before it are
                returned first; the next call raises.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._skip_line_feed and piece:
            self._skip_line_feed = False
            if piece[:1] == b"\n":
                piece = piece[1:]
        if not piece:
            return []
        lines = piece.splitlines()
        self._skip_line_feed = piece.endswith(b"\r")
        rest = b"" if piece.endswith((b"\n", b"\r")) else lines.pop()
        events: list[Event] = []
        try:
            if lines and self._unfinished:
                self._keep_unfinished(lines[0])
                lines[0] = self._take_unfinished()
            self._take(lines, events)
            if rest:
                self._keep_unfinished(rest)
        except UnreadableResponse as refusal:
            if not events:
                raise
            self._refusal = refusal
        return events

    def _take(self, lines: list[bytes], events: list[Event]) -> None:
        """Takes in whole lines, and appends the events that they complete."""
        data, limit = self._data, self._max_event_bytes
        for line in lines:
            if not line:
                if data:
                    events.append(
                        Event(self._name, data[0] if len(data) == 1 else b"\n".join(data))
                    )
                    data.clear()
                    self._data_size = 0
                self._name = ""
                self._at_start = False
            elif data or self._at_start or len(line) > limit or not line.startswith(b"data: "):
                self._line(line, events)
            else:  # the first line of an event's data, and nearly always the only one
                data.append(line[6:])
                self._data_size = len(line) - 5
                self.data_received += len(line)

    def close(self) -> list[Event]:
        """The event left unfinished when the bytes ended, if any."""
        if self._refusal is not None:
            raise self._refusal
        events: list[Event] = []
        if self._unfinished:
            self._line(self._take_unfinished(), events)
        self._take([b""], events)
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        """Takes in a line that is not blank."""
        if len(line) > self._max_event_bytes:
            self._refuse_size()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            self.data_received += len(line)
            self._keep_data(line[6:] if line.startswith(b" ", 5) else line[5:])
        elif line.strip():
            self._other_field(line, events)

    def _other_field(self, line: bytes, events: list[Event]) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case _ if any(piece in line for piece in _DATA):
                self._keep_stray(line, events)
            case b"data":
                self._keep_data(b"")
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"" | b"id" | b"retry":
                pass  # comments; and this protocol does not resume
            case b"error" if value.startswith(b"{"):
                # llama.cpp sends errors in this field: https://github.com/ggml-org/llama.cpp
                self.data_received += len(line)
                events.append(Event("error", value))
            case _:
                self._keep_stray(line, events)

    def _keep_data(self, value: bytes) -> None:
        self._data.append(value)
        # An empty line takes room too: it is a line feed of the event's data.
        self._data_size += len(value) + 1
        if self._data_size > self._max_event_bytes:
            self._refuse_size()

    def _keep_unfinished(self, piece: bytes) -> None:
        self._unfinished.append(piece)
        self._unfinished_size += len(piece)
        if not self._unfinished[0].startswith(b":"):
            self.data_received += len(piece)
        if self._unfinished_size > self._max_event_bytes:
            self._refuse_size()

    def _take_unfinished(self) -> bytes:
        line = b"".join(self._unfinished)
        self._unfinished.clear()
        self._unfinished_size = 0
        return line

    def _keep_stray(self, line: bytes, events: list[Event]) -> None:
        self.data_received += len(line)
        events.append(Event(STRAY, line))
        if self._stray_size < _STRAY_LIMIT:
            self._stray.append(line[:_STRAY_LIMIT])
            self._stray_size += len(line)

    def _refuse_size(self) -> None:
        raise UnreadableResponse(
            f"The server sent an event of more than {self._max_event_bytes:,} bytes. "
            "Raise the limit with `max_response_bytes` if events of that size are expected.",
            retryable=False,
        )
