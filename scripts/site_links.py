"""A hook of MkDocs: links from the documents to the rest of the repository.

On the code host, `../cookbook/x.ipynb` is a link that works. The built site holds the documents
only, so there such a link leads to the code host where `repo_url` says which, and is plain text
where it does not. The test suite checks that the file is there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_DOCS = _ROOT / "docs"
_NOT_SHOWN = {".ipynb", ".mdx"}
"""What lies in `docs/` for others' sites."""
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^):#]+)(?P<anchor>#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - named by MkDocs
    """The page with its links out of `docs/` turned to the code host."""
    folder = (_DOCS / page.file.src_uri).parent

    def turned(found: re.Match[str]) -> str:
        target = (folder / found["target"]).resolve()
        if target.is_relative_to(_DOCS) and target.suffix not in _NOT_SHOWN:
            return found[0]
        path = target.relative_to(_ROOT).as_posix()
        if not config.repo_url:
            return f"{found['text']} (`{path}`)" if path not in found["text"] else found["text"]
        return f"[{found['text']}]({config.repo_url.rstrip('/')}/blob/main/{path})"

    return _LINK.sub(turned, markdown)
