"""Every Python block of the documents runs, in order, against the sandbox."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md"])
def test_the_python_blocks_of_a_document_run(name, sunra_sandbox, tmp_path):
    blocks = BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert len(blocks) > 5
    program = tmp_path / "document.py"
    program.write_text("\n\n".join(blocks), encoding="utf-8")
    ran = subprocess.run(  # noqa: S603 - our own document
        [sys.executable, program],
        env={"SUNRA_KEY": sunra_sandbox.api_key, "SUNRA_BASE_URL": sunra_sandbox.base_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "It is sunny in Oslo." in ran.stdout
    assert "name='Ada' age=36" in ran.stdout
    assert "Second time lucky.\n2\n" in ran.stdout


def test_the_demo_answers_through_all_four_parts_and_says_where_from():
    ran = subprocess.run(
        [sys.executable, "-m", "cookbook.demo"],
        cwd=ROOT,
        env={"COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].startswith("Answers come from the local sandbox")
    assert "attained to the Age of thirty Years" in ran.stdout
    assert "search_constitution: [Amendment IV]" in ran.stdout
    assert "years_between: 205" in ran.stdout
    assert "sole Power of Impeachment" in ran.stdout
    assert "source [Article I, Section 2]" in ran.stdout
    assert "years_between: 14" in ran.stdout
    assert len(re.findall(r"model calls? · [\d,]+ tokens in, [\d,]+ out", ran.stdout)) == 4
