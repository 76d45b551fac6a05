"""Tells PyInstaller, through the entry point `pyinstaller40`, where this package's hook is."""

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Return the folder with the hook."""
    return [str(Path(__file__).parent)]
