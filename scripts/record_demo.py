"""Draws `docs/images/demo.svg`: what the demo prints, as a terminal shows it.

``python -m scripts.record_demo`` runs the real demo, on the sandbox, and records its console.
"""

from __future__ import annotations

import os
import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cookbook.demo import __main__ as demo
from cookbook.demo.terminal import console

_PICTURE = Path(__file__).parents[1] / "docs" / "images" / "demo.svg"
_WIDTH = 112
_FONT_FACES = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
"""Rich would have the picture fetch a font of a public server."""


def main() -> None:
    """Runs parts (a) and (d) of the demo and draws what they printed."""
    os.environ.pop("SUNRA_KEY", None)
    sys.argv[1:] = ["--parts", "ad"]
    console.record = True
    console.width = _WIDTH
    demo.main()

    # Printed once more, because lines that a terminal would wrap are cut off in a picture.
    terminal = Console(record=True, width=_WIDTH, file=StringIO(), highlight=False)
    terminal.print("[bold]$[/] make demo DEMO_ARGS='--parts ad'")
    terminal.print(Text.from_ansi(console.export_text(styles=True).strip()))
    picture = terminal.export_svg(title="sunra-integrations", unique_id="demo")
    _PICTURE.parent.mkdir(exist_ok=True)
    _PICTURE.write_text(_FONT_FACES.sub("", picture), encoding="utf-8")


if __name__ == "__main__":
    main()
