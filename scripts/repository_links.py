"""Links between the files of this repository, for readers who are not on its code host.

On the code host `[the guide](docs/guides/errors.md)` works as it is. On the package index and on
the site of documents it cannot: there it leads to the code host, if `Repository` under
`[project.urls]` in `pyproject.toml` says which, and is plain text that names the file if not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from posixpath import normpath

_BRANCH = "main"
_CODE = r"^ *(?P<fence>```+|~~~+).*?^ *(?P=fence)|`+[^`]+`+"
_LINK = r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^):\s#]*)(?P<anchor>#[^)\s]*)?\)"
_CODE_OR_LINK = re.compile(f"{_LINK}|{_CODE}", re.DOTALL | re.MULTILINE)


def outward(
    markdown: str,
    *,
    repository: str | None,
    page: str = "README.md",
    stays: Callable[[str], bool] = lambda _: False,
) -> str:
    """The text of a page with its relative links turned outward; code is left as it is.

    Args:
        markdown: The page's text.
        repository: The address of the repository, or None where it is not known.
        page: The page's path in the repository.
        stays: Whether a link to this path in the repository is left as it is.
    """
    folder = PurePosixPath(page).parent

    def turned(found: re.Match[str]) -> str:
        text, anchor = found["text"], found["anchor"] or ""
        if text is None or not (found["target"] or anchor):
            return found[0]
        path = normpath(folder / found["target"]) if found["target"] else page
        if stays(path):
            return found[0]
        if repository:
            kind = "raw" if found["image"] else "blob"
            address = f"{repository.rstrip('/')}/{kind}/{_BRANCH}/{path}{anchor}"
            return f"{found['image']}[{text}]({address})"
        return text if path in text or path == page else f"{text} (`{path}`)"

    return _CODE_OR_LINK.sub(turned, markdown)
