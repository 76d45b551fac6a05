"""An extension of Griffe: docstrings as the site shows them.

In the sources they follow what readers of each framework know: reStructuredText's `::` before a
block of code, and the sections of LangChain's chat models. Both become Markdown here.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_LONE_COLONS = re.compile(r"^::\n\n", re.MULTILINE)
_COLONS = re.compile(r"::$", re.MULTILINE)
_KEY_ARGS = re.compile(
    r"^Key init args — (?P<what>[\w ]+):\n(?P<args>(?:    .*\n|\n)+)", re.MULTILINE
)
_ARG = re.compile(r"^    (?P<names>\w[\w, \n]*):(?= )", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Turns each docstring of the package into Markdown when it has been read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe's hook for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """The docstring with what only its first readers know put into Markdown."""
    plain = _COLONS.sub(":", _LONE_COLONS.sub("", docstring))
    return _KEY_ARGS.sub(_listed, plain)


def _listed(section: re.Match[str]) -> str:
    """LangChain's section of arguments as a list, which Markdown would else run together."""
    items = _ARG.sub(lambda arg: f"- {_code(arg['names'])}:", section["args"])
    return f"**Key init args: {section['what']}**\n\n{re.sub('(?m)^    ', '', items)}\n"


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in re.split(r",\s*", names))
