"""What the comparison says of this package holds, and the tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.comparison import langchain, llama_index
from scripts.comparison.claims import Claim, Contestant, outcome

ROOT = Path(__file__).parent.parent
OURS = [(langchain.OURS, claim) for claim in langchain.CLAIMS]
OURS += [(llama_index.OURS, claim) for claim in llama_index.CLAIMS]

pytestmark = [
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]


def named(value: object) -> str | None:
    return getattr(value, "name", None) or getattr(value, "what", None)


@pytest.mark.parametrize(("contestant", "claim"), OURS, ids=named)
def test_ours_keeps_what_is_claimed(contestant: Contestant, claim: Claim, monkeypatch):
    if "create_deep_agent" in claim.what:
        pytest.importorskip("deepagents", reason="needs Python 3.11")
    monkeypatch.setenv("SUNRA_KEY", "sandbox-key")  # pickles hold none
    seen = outcome(claim, contestant)
    assert seen.held, seen.what


@pytest.mark.parametrize(("contestant", "claim"), OURS, ids=named)
def test_a_claim_names_the_test_that_holds_it(contestant: Contestant, claim: Claim):
    path, _, test = claim.held_by.partition("::")
    assert re.search(rf"def {test}\b", (ROOT / path).read_text(encoding="utf-8"))


def test_every_claim_is_written_down():
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    assert [claim.what for _, claim in OURS if f"| {claim.what} |" not in text] == []


@pytest.mark.parametrize("document", ["README.md", "docs/why.md"])
def test_the_short_table_has_claims_about_both_frameworks(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| yes \|(?: \w+ \|){2} yes \|", text, re.MULTILINE)
    for part in (langchain, llama_index):
        assert set(rows) <= {claim.what for claim in part.CLAIMS}
    assert len(rows) == 5
