"""A hook of MkDocs: links between the documents and the rest of the repository.

The site contains the documents and the cookbook. Links to other files of the repository lead to the
code host, as those of the package description do. Pages such as CONTRIBUTING.md are included in a
document, and their links to documents are made relative to it. The test suite checks that the
files exist.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomllib
from repository_links import outward, pages_of, place_in_site

_ROOT = Path(__file__).parents[1]
_INCLUDE = re.compile(r'^--8<-- "(\w+\.md)"$', re.MULTILINE)
_TITLE = re.compile(r"\A# .*\n+")


def on_config(config: Any) -> Any:
    """Take the addresses of the repository and the site from `pyproject.toml`, if it has them."""
    with (_ROOT / "pyproject.toml").open("rb") as file:
        repository = tomllib.load(file)["project"]["urls"].get("Repository")
    if repository:
        config.repo_url, config.repo_name = repository, urlsplit(repository).path.strip("/")
        config.site_url = pages_of(repository)
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - named by MkDocs
    """Turn links out of the site to the code host, and include pages of the repository's root."""
    source = f"docs/{page.file.src_uri}"

    def linked(text: str, path: str) -> str:
        return outward(
            text, repository=config.repo_url, page=path, shown_on=source, place=place_in_site
        )

    def included(found: re.Match[str]) -> str:
        text = _TITLE.sub("", (_ROOT / found[1]).read_text(encoding="utf-8"))  # the page has one
        return linked(text, found[1])

    return _INCLUDE.sub(included, linked(markdown, source))
