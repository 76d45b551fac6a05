"""Runs notebooks, and saves what they print into them: `python -m cookbook.notebooks [NAME …]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
_PATIENCE = 240
"""Seconds for a cell."""
_VARIABLES = ("SUNRA_KEY", "SUNRA_BASE_URL")


def paths() -> list[Path]:
    """All notebooks, by name."""
    return sorted(HERE.glob("*.ipynb"))


def executed(path: Path) -> NotebookNode:
    """The notebook as it is after a run; the one on disk stays as it is.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    # In tests, ipykernel gives stderr no file descriptor. MCP clients pass it on to their server.
    environment = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
    NotebookClient(
        notebook,
        timeout=_PATIENCE,
        kernel_name="python3",
        resources=folder,
        coalesce_streams=True,  # in how many pieces a text was flushed is chance
    ).execute(env=environment)
    return notebook


def main(names: list[str]) -> None:
    """Runs the notebooks whose names hold one of these, or all, without a key, and saves them.

    On the sandbox, whatever the environment holds: what is saved must be the same for everybody.
    """
    for variable in _VARIABLES:
        os.environ.pop(variable, None)
    for path in paths():
        if not names or any(name in path.stem for name in names):
            print(path.stem)
            nbformat.write(_tidy(executed(path)), path)


def _tidy(notebook: NotebookNode) -> NotebookNode:
    """Without what changes from run to run and says nothing, such as the times of cells."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    return notebook


if __name__ == "__main__":
    main(sys.argv[1:])
