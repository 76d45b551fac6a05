"""The package from outside: what it exports and needs."""

from __future__ import annotations

import sunra_integrations.llama_index
from tests import children


def test_the_package_exports_the_llm() -> None:
    assert sunra_integrations.llama_index.__all__ == ["Sunra", "UsageHandler"]


def test_langchain_is_not_needed() -> None:
    script = (
        "import sys; sys.modules['sunra_integrations.langchain'] = None\n"
        "from sunra_integrations.llama_index import Sunra\n"
        "print(Sunra.class_name())"
    )
    done = children.python("-c", script)
    assert done.stdout.strip() == "Sunra_LLM"
