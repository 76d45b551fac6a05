"""A hook of MkDocs: the cookbook as a section of the site, ordered as on `docs/cookbook.md`.

The section has the notebooks and the programs that it links to. A notebook can be downloaded too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.structure.files import File, InclusionLevel
from notebook_pages import fenced, page_of
from repository_links import SOURCES, outward, place_in_site

_ROOT = Path(__file__).parents[1]
_INDEX = "docs/cookbook.md"
_ENTRY = re.compile(
    r"^## (?P<heading>.+)$|^\| \[(?P<title>.+?)\]\(\.\./(?P<path>\S+?)\)", re.MULTILINE
)
_LINK = re.compile(r"\]\(([^):\s#]+)")
_TITLE = re.compile(r"# .+\n")


def on_config(config: Any) -> Any:
    """Replace the entry of the cookbook in the navigation by a section."""
    section: list[Any] = [_INDEX.removeprefix("docs/")]
    for entry in _ENTRY.finditer((_ROOT / _INDEX).read_text(encoding="utf-8")):
        if entry["heading"]:
            section.append({entry["heading"]: []})
        elif page := place_in_site(entry["path"]):
            [pages] = section[-1].values()
            pages.append({entry["title"]: page.removeprefix("docs/")})
    config.nav = _with_section(config.nav, section)
    return config


def _with_section(nav: Any, section: list[Any]) -> Any:
    if nav == section[0]:
        return section
    if isinstance(nav, dict):
        return {title: _with_section(entry, section) for title, entry in nav.items()}
    return [_with_section(entry, section) for entry in nav] if isinstance(nav, list) else nav


def on_files(files: Any, *, config: Any) -> Any:
    """Add the files that the cookbook's page links to, and the files that those link to."""
    seen = {_INDEX}
    waiting = [_INDEX]
    while waiting:
        path = waiting.pop()
        text, added = _shown(path, config)
        for file in added:
            files.append(file)
        linked = {normpath(PurePosixPath(path).parent / link) for link in _LINK.findall(text)}
        new = {one for one in linked - seen if one.startswith("cookbook/") and _is_shown(one)}
        seen |= new
        waiting += sorted(new)
    return files


def _is_shown(path: str) -> bool:
    return place_in_site(path) is not None and (_ROOT / path).is_file()


def _shown(path: str, config: Any) -> tuple[str, list[File]]:
    """The Markdown of a file of the repository, and the files of the site that show it."""
    source = _ROOT / path
    place = (place_in_site(path) or "").removeprefix("docs/")
    if source.suffix in {".png", ".svg"}:
        return "", [File.generated(config, place, abs_src_path=str(source))]
    text = source.read_text(encoding="utf-8")
    if path == _INDEX:
        return text, []
    if source.suffix == ".ipynb":
        text, pictures = page_of(json.loads(text), source.stem)
        folder = PurePosixPath(place).parent
        added = [File.generated(config, path, abs_src_path=str(source))]
        added += [
            File.generated(config, f"{folder / name}", content=pictures[name]) for name in pictures
        ]
        where = outward(f"[`{path}`]({source.name})", repository=config.repo_url, page=path)
        download = f'<a href="{source.name}" download>download</a>'
        text = _TITLE.sub(
            lambda title: f"{title[0]}\n*Notebook: {where}, {download}.*\n", text, count=1
        )
    else:
        added = []
    if language := SOURCES.get(source.suffix):
        text = f"# `{path}`\n\n{fenced(text, language)}"
    content = outward(
        text, repository=config.repo_url, page=path, shown_on=f"docs/{place}", place=place_in_site
    )
    in_nav = InclusionLevel.NOT_IN_NAV if language else InclusionLevel.UNDEFINED
    return text, [*added, File.generated(config, place, content=content, inclusion=in_nav)]
