"""Links between the files of this repository, for readers who are not on its code host.

On the code host `[the guide](docs/guides/errors.md)` works as it is. On the package index and on
the site of documents it cannot: there it leads to the code host, if `Repository` under
`[project.urls]` in `pyproject.toml` says which, and is plain text that names the file if not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from posixpath import dirname, normpath, relpath
from urllib.parse import urlsplit

_BRANCH = "main"
_NOT_SHOWN = (".ipynb", ".mdx")
"""Files in `docs/` that are for other sites."""
SOURCES = {".py": "python", ".html": "html", ".css": "css", ".js": "javascript"}
"""Programs that the site shows, with their languages."""
_CODE = r"^ *(?P<fence>```+|~~~+).*?^ *(?P=fence)|`+[^`]+`+"
_LINK = r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^):\s#]*)(?P<anchor>#[^)\s]*)?\)"
_CODE_OR_LINK = re.compile(f"{_LINK}|{_CODE}", re.DOTALL | re.MULTILINE)


def pages_of(repository: str) -> str | None:
    """The address where GitHub Pages serves the site of a repository; None for another host."""
    address = urlsplit(repository)
    owner, _, name = address.path.strip("/").partition("/")
    return f"https://{owner.lower()}.github.io/{name}/" if address.netloc == "github.com" else None


def outward(
    markdown: str,
    *,
    repository: str | None,
    page: str = "README.md",
    shown_on: str | None = None,
    place: Callable[[str], str | None] = lambda _: None,
) -> str:
    """The text of a page with its relative links turned outward; code is left as it is.

    Args:
        markdown: The page's text.
        repository: The address of the repository, or None where it is not known.
        page: The page's path in the repository.
        shown_on: The page of the site that shows the text. It keeps the links within itself.
        place: Returns the path of the page that shows a file of the repository. Links to the file
            lead to this page. Returns None for files that no page shows.
    """
    folder = PurePosixPath(page).parent

    def turned(found: re.Match[str]) -> str:
        text, anchor = found["text"], found["anchor"] or ""
        if text is None or not (found["target"] or (anchor and not shown_on)):
            return found[0]
        path = normpath(folder / found["target"]) if found["target"] else page
        if shown := place(path):
            target = relpath(shown, dirname(shown_on or page) or ".")
            return f"{found['image']}[{text}]({target}{anchor})"
        if repository:
            kind = "raw" if found["image"] else "blob"
            address = f"{repository.rstrip('/')}/{kind}/{_BRANCH}/{path}{anchor}"
            return f"{found['image']}[{text}]({address})"
        return text if path in text or path == page else f"{text} (`{path}`)"

    return _CODE_OR_LINK.sub(turned, markdown)


def place_in_site(path: str) -> str | None:
    """The path of the page, or picture, that shows a file of the repository. None if none does.

    Files of the cookbook have the path that they would have if the cookbook were in `docs/`.
    """
    file = PurePosixPath(path)
    if path.startswith("docs/"):
        return None if file.suffix in _NOT_SHOWN else path
    if not path.startswith("cookbook/"):
        return None
    if file.suffix == ".ipynb":
        return f"docs/{file.with_suffix('.md')}"
    if file.suffix in SOURCES:
        return f"docs/{path}.md"
    return f"docs/{path}" if file.suffix in {".md", ".png", ".svg"} else None
