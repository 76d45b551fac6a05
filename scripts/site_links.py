"""A hook of MkDocs: links from the documents to the rest of the repository.

The built site holds the documents only, so links that leave them are turned outward, as those of
the long description are. The test suite checks that their files are there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomllib
from repository_links import outward

_ROOT = Path(__file__).parents[1]
_NOT_SHOWN = (".ipynb", ".mdx")
"""What lies in `docs/` for others' sites."""


def on_config(config: Any) -> Any:
    """The site's `repo_url` is the repository that `pyproject.toml` names, if it names one."""
    with (_ROOT / "pyproject.toml").open("rb") as file:
        repository = tomllib.load(file)["project"]["urls"].get("Repository")
    if repository:
        config.repo_url, config.repo_name = repository, urlsplit(repository).path.strip("/")
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - named by MkDocs
    """The page with its links out of `docs/` turned to the code host."""
    return outward(
        markdown, repository=config.repo_url, page=f"docs/{page.file.src_uri}", stays=_is_shown
    )


def _is_shown(path: str) -> bool:
    return path.startswith("docs/") and not path.endswith(_NOT_SHOWN)
