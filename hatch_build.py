"""A hook of hatchling: the README as the long description, with links that work away from it."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_WHERE_FILES_ARE = "Files named on this page, such as `docs/cli.md`, are in the source archive."


class LongDescription(MetadataHookInterface):
    """Fills in `readme`, which `pyproject.toml` calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Hatchling hands over `[project]` to be completed."""
        root = Path(self.root)
        links = runpy.run_path(str(root / "scripts" / "repository_links.py"))
        readme = (root / "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        text = links["outward"](readme, repository=repository)
        if not repository:
            text += f"\n{_WHERE_FILES_ARE}\n"
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
