"""A hook of MkDocs: `llms.txt`, a list of the pages for language models, and each page as Markdown.

https://llmstxt.org describes the form.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

_navs: list[Any] = []
"""The navigation of this build. MkDocs passes it to no event after the pages exist."""


def on_nav(nav: Any, *, config: Any, files: Any) -> None:  # noqa: ARG001 - named by MkDocs
    """Keep the navigation."""
    _navs[:] = [nav]


def on_post_build(*, config: Any) -> None:
    """Write `llms.txt`, and beside each page its Markdown."""
    site = Path(config.site_dir)
    for page in _navs[0].pages:
        if _has_markdown(page):
            (site / page.file.src_uri).write_text(page.markdown, encoding="utf-8")
    lines = "\n".join(_lines(config, _navs[0]))
    (site / "llms.txt").write_text(lines, encoding="utf-8")


def _lines(config: Any, nav: Any) -> Iterator[str]:
    yield f"# {config.site_name}\n\n> {config.site_description}\n"
    for item in nav:
        if item.is_section:
            yield f"\n## {item.title}\n"
        yield from (_link(config, page) for page in _pages(item))


def _pages(item: Any) -> Iterator[Any]:
    if item.is_page:
        yield item
    for child in item.children or ():
        yield from _pages(child)


def _link(config: Any, page: Any) -> str:
    address = page.file.src_uri if _has_markdown(page) else page.url
    return f"- [{page.title}]({urljoin(config.site_url or '', address)})"


def _has_markdown(page: Any) -> bool:
    """Whether a page is written by hand. Reference pages consist of directives."""
    return page.file.src_uri.endswith(".md") and "\n::: " not in f"\n{page.markdown}"
