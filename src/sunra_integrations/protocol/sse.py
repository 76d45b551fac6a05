"""Bytes to server-sent events, incrementally and with a limit on their size.

Implements https://html.spec.whatwg.org/multipage/server-sent-events.html on bytes, with one
exception: an event at the end of the stream needs no blank line after it, because some servers end
without one. Lines end in CR, LF or CRLF only, so U+2028 inside JSON is text. httpx splits there
(https://github.com/florimondmanca/httpx-sse/issues/34).

A line that is not a known field becomes an event named `STRAY`. Between events it is the rest of a
damaged one. Without any event, the body is not a stream.
"""

from __future__ import annotations

from typing import NamedTuple

from sunra_integrations.errors import UnreadableResponse

DEFAULT_MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Room for a few base64 images in one event."""

STRAY = "\n"
"""Name of the event for a line that is not a known field. No event of a server has this name."""

_BOM = b"\xef\xbb\xbf"
_DATA = (b"data: {", b"data:{", b'"choices"', b'"delta"', b'"finish_reason"')
"""Marks of a damaged event, which no comment or other field contains."""
_STRAY_LIMIT = 64 * 1024


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    """The `event` field; empty if there was none. `STRAY` for a line that is not a field."""
    data: bytes


class SSEDecoder:
    """Decodes the events of a response, from blocks of any size.

    Args:
        max_event_bytes: Longest event or line. A longer one raises `UnreadableResponse`.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._unfinished: list[bytes] = []  # blocks of a line that is not complete
        self._unfinished_size = 0
        self._skip_line_feed = False  # the last block ended in CR, maybe of a CRLF
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._data_size = 0
        self._stray: list[bytes] = []
        self._stray_size = 0
        self._error: UnreadableResponse | None = None
        self.data_received: int = 0
        """Bytes of lines with data. Comments and blank lines do not count as progress."""

    @property
    def stray(self) -> bytes:
        """Lines outside of events, such as those of a JSON or HTML body instead of a stream."""
        return b"\n".join(self._stray)

    def feed(self, block: bytes) -> list[Event]:
        """The events that this block completes, in order.

        Raises:
            UnreadableResponse: An event is too long. Complete events before it are returned first,
                and the next call raises.
        """
        if self._error is not None:
            raise self._error
        if self._skip_line_feed and block:
            self._skip_line_feed = False
            if block[:1] == b"\n":
                block = block[1:]
        if not block:
            return []
        lines = block.splitlines()
        self._skip_line_feed = block.endswith(b"\r")
        rest = b"" if block.endswith((b"\n", b"\r")) else lines.pop()
        events: list[Event] = []
        try:
            if lines and self._unfinished:
                self._keep_unfinished(lines[0])
                lines[0] = self._pop_unfinished()
            self._read_lines(lines, events)
            if rest:
                self._keep_unfinished(rest)
        except UnreadableResponse as error:
            if not events:
                raise
            self._error = error
        return events

    def _read_lines(self, lines: list[bytes], events: list[Event]) -> None:
        """Reads whole lines, and appends the events that they complete."""
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
                self._read_line(line, events)
            else:  # the first line of data, and nearly always the only one
                data.append(line[6:])
                self._data_size = len(line) - 5
                self.data_received += len(line)

    def close(self) -> list[Event]:
        """The event that was not complete when the body ended, if any."""
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        if self._unfinished:
            self._read_line(self._pop_unfinished(), events)
        self._read_lines([b""], events)
        return events

    def _read_line(self, line: bytes, events: list[Event]) -> None:
        """Reads a line that is not blank."""
        if len(line) > self._max_event_bytes:
            self._raise_too_long()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            self.data_received += len(line)
            self._keep_data(line[6:] if line.startswith(b" ", 5) else line[5:])
        elif line.strip():
            self._read_other_field(line, events)

    def _read_other_field(self, line: bytes, events: list[Event]) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case _ if any(mark in line for mark in _DATA):
                self._keep_stray(line, events)
            case b"data":
                self._keep_data(b"")
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"" | b"id" | b"retry":
                pass  # comments, and the fields for resuming a stream
            case b"error" if value.startswith(b"{"):
                # llama.cpp until https://github.com/ggml-org/llama.cpp/pull/16109
                self.data_received += len(line)
                events.append(Event("error", value))
            case _:
                self._keep_stray(line, events)

    def _keep_data(self, value: bytes) -> None:
        self._data.append(value)
        # An empty line counts too: it becomes a line feed in the data.
        self._data_size += len(value) + 1
        if self._data_size > self._max_event_bytes:
            self._raise_too_long()

    def _keep_unfinished(self, block: bytes) -> None:
        self._unfinished.append(block)
        self._unfinished_size += len(block)
        if not self._unfinished[0].startswith(b":"):
            self.data_received += len(block)
        if self._unfinished_size > self._max_event_bytes:
            self._raise_too_long()

    def _pop_unfinished(self) -> bytes:
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

    def _raise_too_long(self) -> None:
        raise UnreadableResponse(
            f"The server sent an event of more than {self._max_event_bytes:,} bytes. "
            "Raise `max_response_bytes` if you expect events of this size.",
            retryable=False,
        )
