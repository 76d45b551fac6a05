"""Notebooks as Markdown pages, with their saved outputs. Nothing is executed."""

from __future__ import annotations

import base64
import re
from typing import Any

_TABLE_STYLE = re.compile(r"<style.*?</style>|(?<=<table)[^>]*|(?<=<tr)[^>]*", re.DOTALL)
"""Style of a pandas table. Without it, the site's theme applies."""


def page_of(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its pictures by file name.

    Args:
        notebook: The notebook's JSON.
        name: The first part of the names of pictures.
    """
    blocks: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            blocks.append(source)
            continue
        blocks.append(fenced(source, "python"))
        for output in cell["outputs"]:
            picture = output.get("data", {}).get("image/png")
            if picture:
                file = f"{name}_{len(pictures) + 1}.png"
                pictures[file] = base64.b64decode("".join(picture))
                blocks.append(f"![Output of the cell above]({file})")
            else:
                blocks.append(_output(output))
    return "\n\n".join(filter(None, blocks)) + "\n", pictures


def fenced(text: str, language: str) -> str:
    """A code block, with a fence that is longer than any in the text."""
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _output(output: dict[str, Any]) -> str:
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if html := data.get("text/html"):
        return _TABLE_STYLE.sub("", html).strip()
    if markdown := data.get("text/markdown"):
        return markdown
    text = "".join(output.get("text", "")) or data.get("text/plain", "")
    return fenced(text.rstrip(), 'text title="Output"') if text.strip() else ""
