"""A hook of MkDocs: links between the documents and the rest of the repository.

The site contains the documents only. Links to other files of the repository lead to the code
host, as those of the package description do. Pages such as CONTRIBUTING.md are included in a
document, and their links to documents are made relative to it. The test suite checks that the
files exist.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, relpath
from typing import Any
from urllib.parse import urlsplit

import tomllib
from repository_links import outward

_ROOT = Path(__file__).parents[1]
_NOT_SHOWN = (".ipynb", ".mdx")
"""Files in `docs/` that are for other sites."""
_INCLUDE = re.compile(r'^--8<-- "(\w+\.md)"$', re.MULTILINE)
_TITLE = re.compile(r"\A# .*\n+")


def on_config(config: Any) -> Any:
    """The site's `repo_url` is the repository that `pyproject.toml` names, if it names one."""
    with (_ROOT / "pyproject.toml").open("rb") as file:
        repository = tomllib.load(file)["project"]["urls"].get("Repository")
    if repository:
        config.repo_url, config.repo_name = repository, urlsplit(repository).path.strip("/")
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - named by MkDocs
    """Turn links out of `docs/` to the code host, and include pages of the repository's root."""
    source = f"docs/{page.file.src_uri}"
    markdown = outward(markdown, repository=config.repo_url, page=source, stays=_is_shown)

    def included(found: re.Match[str]) -> str:
        text = _TITLE.sub("", (_ROOT / found[1]).read_text(encoding="utf-8"))  # the page has one
        text = outward(text, repository=config.repo_url, page=found[1], stays=_is_shown)
        return re.sub(
            r"\]\((docs/[^)#]*)", lambda link: f"]({relpath(link[1], dirname(source))}", text
        )

    return _INCLUDE.sub(included, markdown)


def _is_shown(path: str) -> bool:
    return path.startswith("docs/") and not path.endswith(_NOT_SHOWN)
