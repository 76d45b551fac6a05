"""A small picture of a number, which cannot be told without seeing it."""

from __future__ import annotations

import struct
import zlib

_DIGITS = {
    "1": ("010", "110", "010", "010", "111"),
    "2": ("111", "001", "111", "100", "111"),
    "4": ("101", "101", "111", "001", "001"),
    "7": ("111", "001", "001", "010", "010"),
}
_SCALE = 16
_BLACK, _WHITE = b"\x00", b"\xff"


def picture_of(number: str) -> bytes:
    """A PNG of a number made of the digits 1, 2, 4 and 7, black on white."""
    rows = [f"0{'0'.join(_DIGITS[digit][row] for digit in number)}0" for row in range(5)]
    blank = "0" * len(rows[0])
    dots = [blank, *rows, blank]
    lines = [b"".join((_BLACK if dot == "1" else _WHITE) * _SCALE for dot in row) for row in dots]
    unfiltered = b"".join((b"\x00" + line) * _SCALE for line in lines)
    grey_of_8_bits = struct.pack(">IIBBBBB", len(lines[0]), len(lines) * _SCALE, 8, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", grey_of_8_bits),
            _chunk(b"IDAT", zlib.compress(unfiltered, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
