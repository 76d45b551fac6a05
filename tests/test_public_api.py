"""The public API is what `docs/public_api.txt` lists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from scripts.public_api import MODULES, listing

DOCS = Path(__file__).parent.parent / "docs"


def test_the_listing_is_current():
    stored = (DOCS / "public_api.txt").read_text(encoding="utf-8").splitlines()
    now = "\n".join(listing()).strip().splitlines()
    assert stored == now, "A public name or signature differs. If that is intended: `make api`."


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_and_has_no_underscore(name):
    module = import_module(name)
    for public in module.__all__:
        assert hasattr(module, public)
        assert public == "__version__" or not public.startswith("_")


def test_every_module_of_the_reference_is_public():
    pages = (DOCS / "reference").glob("*.md")
    named = {
        found
        for page in pages
        for found in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    packages = tuple(f"{module}." for module in MODULES if "." in module)
    assert [name for name in sorted(named) if not f"{name}.".startswith(packages)] == []
