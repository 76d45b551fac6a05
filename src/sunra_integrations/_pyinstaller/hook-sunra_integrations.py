# ruff: noqa: N999 - PyInstaller looks for this name
"""A hook of PyInstaller: the data files; every import is a statement that it sees by itself."""

from pathlib import Path

_CATALOGUE = Path(__file__).parents[1] / "catalogue"

datas = [
    (str(_CATALOGUE / name), "sunra_integrations/catalogue") for name in ("models.json", "LICENSE")
]
