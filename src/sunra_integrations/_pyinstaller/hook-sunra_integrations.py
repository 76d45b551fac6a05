# ruff: noqa: N999 - PyInstaller looks for this name
"""PyInstaller's hook: adds the licence of the model data. PyInstaller finds the imports itself."""

from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"

datas = [(str(_DATA / "LICENSE"), "sunra_integrations/data")]
