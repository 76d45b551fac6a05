"""Checks the built site: ``python scripts/check_site.py SITE``.

Each page has one title, the search finds the parts of the reference, and no page loads anything
from another host.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(https?://[^\"]+)"
    r"|<link\b[^>]*\brel=\"(?:stylesheet|preload|icon)\"[^>]*\bhref=\"(https?://[^\"]+)"
)
_FOUND_BY = {
    "402": "reference/errors.html#sunra_integrations.errors.InsufficientCredit",
    "429": "reference/errors.html#sunra_integrations.errors.RateLimited",
    "Name or service not known": "troubleshooting.html#name-or-service-not-known",
    "temperature": "reference/langchain.html#sunra_integrations.langchain.ChatSunra--temperature",
    "max_retries": "reference/llama_index.html#sunra_integrations.llama_index.Sunra--max_retries",
    "SUNRA_BASE_URL": "environment.html",
}
"""A part of the site by the words that must find it."""


def problems(site: Path) -> Iterator[str]:
    """What is wrong with the site."""
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(site)
        titles = len(re.findall(r"<h1\b", text))
        if titles != 1 and name.name != "404.html":
            yield f"{name}: {titles} titles"
        for script, link in _FETCHED.findall(text):
            yield f"{name}: fetched from another host: {script or link}"
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    for words, location in _FOUND_BY.items():
        found = {entry["location"] for entry in index["docs"] if words in _text(entry)}
        if location not in found:
            yield f"the search does not find {location} by {words!r}"


def _text(entry: dict[str, str]) -> str:
    return f"{entry['title']} {entry['text']}"


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
