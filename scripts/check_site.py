"""Check the built site: ``python -m scripts.check_site site``.

MkDocs checks the links of the sources. This reads the pages that it wrote. Each link, anchor and
image must exist, nothing may be loaded from another host, and each page has one main heading. The
search must find the parts of the reference, and a new user the first agent within three clicks.
"""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

HOME = "index.html"
FIRST_AGENT = "create_agent("
"""It is on a page that has agents in its title, not on one that only mentions them."""
CLICKS = 3
FOUND_BY = {
    "402": "reference/errors.html#sunra_integrations.errors.InsufficientCredit",
    "429": "reference/errors.html#sunra_integrations.errors.RateLimited",
    "Name or service not known": "troubleshooting.html#name-or-service-not-known",
    "temperature": "reference/langchain.html#sunra_integrations.langchain.ChatSunra--temperature",
    "max_retries": "reference/llama_index.html#sunra_integrations.llama_index.Sunra--max_retries",
    "SUNRA_BASE_URL": "environment.html",
}
"""A part of the site by the words that must find it."""
_LISTED = re.compile(r"^- \[.+\]\((\S+)\)$", re.MULTILINE)
_HOST = "https://site.test/"
_LOADED = {"src", "srcset", "poster", "data"}
_NOT_LOADED = {"next", "prev", "canonical", "alternate"}
"""Relations of `<link>` that a browser does not load."""


class Page(HTMLParser):
    """What a page links to, what it loads, and what can be linked on it."""

    def __init__(self, html: str) -> None:
        """Read the page."""
        super().__init__()
        self.links: list[str] = []
        self.links_in_text: list[str] = []
        self.loads: list[str] = []
        self.anchors = {"", "top"}
        self.headings = 0
        self.title = ""
        self.text = ""
        self._in_text = self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links and files."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.headings += tag == "h1"
        self._in_text |= tag == "article"
        self._in_title |= tag == "h1"
        self.loads += [values[name].split()[0] for name in sorted(_LOADED) if values.get(name)]
        if tag == "link" and not _NOT_LOADED & set(values.get("rel", "").split()):
            self.loads.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
            if self._in_text:
                self.links_in_text.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        """Leave the text or the title."""
        self._in_text &= tag != "article"
        self._in_title &= tag != "h1"

    def handle_data(self, data: str) -> None:
        """Note the text and the title."""
        self.text += data * self._in_text
        self.title += data * self._in_title

    def shows_an_agent(self) -> bool:
        """Whether a new user finds a first agent here."""
        return FIRST_AGENT in self.text and "agent" in self.title.lower()


def read(folder: Path) -> dict[str, Page]:
    """The pages by path. The page for missing pages has absolute links and is left out."""
    files = sorted(file for file in folder.rglob("*.html") if file.name != "404.html")
    return {
        file.relative_to(folder).as_posix(): Page(file.read_text(encoding="utf-8"))
        for file in files
    }


def problems(pages: Mapping[str, Page], folder: Path) -> Iterator[str]:
    """What is wrong with the pages."""
    for path, page in pages.items():
        if page.headings != 1:
            yield f"{path}: {page.headings} main headings instead of one"
        for link in page.loads:
            if _target(path, link) is None and not link.startswith("data:"):
                yield f"{path}: loads {link} from another host"
        for link in dict.fromkeys([*page.links, *page.loads]):
            match _target(path, link):
                case None:
                    pass
                case (target, _) if not (folder / target).is_file():
                    yield f"{path}: {link} does not exist"
                case (target, anchor) if target in pages and anchor not in pages[target].anchors:
                    yield f"{path}: {link} has no such anchor"
    way = clicks_to_agent(pages)
    if way is None or len(way) > CLICKS:
        yield f"{HOME}: more than {CLICKS} clicks to {FIRST_AGENT}…): {way}"


def search_problems(folder: Path, found_by: Mapping[str, str] = FOUND_BY) -> Iterator[str]:
    """The parts of the site that the search does not find."""
    index = json.loads((folder / "search" / "search_index.json").read_text(encoding="utf-8"))
    for words, location in found_by.items():
        entries = [one for one in index["docs"] if words in f"{one['title']} {one['text']}"]
        if location not in {entry["location"] for entry in entries}:
            yield f"the search does not find {location} by {words!r}"


def list_problems(folder: Path) -> Iterator[str]:
    """What is wrong with `llms.txt`: it has no pages, or a link that leads nowhere."""
    file = folder / "llms.txt"
    links = _LISTED.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    if not links:
        yield "llms.txt lists no pages"
    for link in links:
        if "://" not in link and not (folder / link).is_file():
            yield f"llms.txt links to {link}, which does not exist"


def clicks_to_agent(pages: Mapping[str, Page]) -> list[str] | None:
    """The links that lead from the home page to a first agent, each in the text of a page."""
    ways: deque[tuple[str, list[str]]] = deque([(HOME, [])])
    seen = {HOME}
    while ways:
        path, way = ways.popleft()
        if pages[path].shows_an_agent():
            return way
        for link in pages[path].links_in_text:
            target, _ = _target(path, link) or (path, "")
            if target in pages and target not in seen:
                seen.add(target)
                ways.append((target, [*way, link]))
    return None


def _target(path: str, link: str) -> tuple[str, str] | None:
    """The file and the anchor of a link, or None if it leads elsewhere."""
    url = urljoin(_HOST + path, link)
    if not url.startswith(_HOST):
        return None
    parts = urlsplit(url)
    file = unquote(parts.path).removeprefix("/")
    return (file + "index.html" if file.endswith("/") or not file else file), unquote(
        parts.fragment
    )


def main(folder: Path) -> int:
    """Print the problems; the exit status is 1 if there are any."""
    if not (folder / "index.html").is_file():
        print(f"{folder} is not a built site: it has no index.html. `make docs` builds one.")
        return True
    pages = read(folder)
    found = [*problems(pages, folder), *search_problems(folder), *list_problems(folder)]
    print("\n".join(found) or f"{len(pages)} pages: no broken link, nothing from elsewhere.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
