"""Initial inputs for fuzzing: wire fixtures, and inputs that once broke something."""

from collections.abc import Iterator
from pathlib import Path

_HERE = Path(__file__).parent
CORPUS = _HERE / "corpus"
"""Inputs by target, each named for what it broke or exercises."""
_FIXTURES = _HERE.parent / "tests" / "wire"

# A fixture becomes an input of a target with this prefix.
_HEADS = {
    "event_stream": (".sse", b"\x07"),
    "chunk_stream": (".sse", b"\x07"),
    "completion": (".json", b""),
    "error_answer": (".json", b"d\nx-request-id: r\nretry-after: 3\n\n"),
}


def inputs(target: str) -> Iterator[tuple[str, bytes]]:
    """The inputs of a target, with their names."""
    suffix, head = _HEADS.get(target, ("", b""))
    for path in sorted(_FIXTURES.glob(f"*{suffix}")) if suffix else ():
        yield path.name, head + path.read_bytes()
    for path in sorted((CORPUS / target).glob("*")):
        yield path.name, path.read_bytes()
