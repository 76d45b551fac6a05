"""What PyInstaller must know of this package; it asks by the entry point `pyinstaller40`."""

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """The folder with the hook."""
    return [str(Path(__file__).parent)]
