"""The package from outside: what it exports and needs."""

from __future__ import annotations

import subprocess
import sys

import sunra_integrations.llama_index


def run(script: str) -> subprocess.CompletedProcess[str]:
    # The script is this test's own.
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )


def test_the_package_exports_the_llm() -> None:
    assert sunra_integrations.llama_index.__all__ == ["Sunra"]


def test_langchain_is_not_needed() -> None:
    script = (
        "import sys; sys.modules['sunra_integrations.langchain'] = None\n"
        "from sunra_integrations.llama_index import Sunra\n"
        "print(Sunra.class_name())"
    )
    done = run(script)
    assert done.stdout.strip() == "Sunra_LLM"
