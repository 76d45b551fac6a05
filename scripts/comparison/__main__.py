"""Runs the comparison and writes it down: ``python -m scripts.comparison``."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.comparison import langchain, llama_index
from scripts.comparison.claims import Claim, Contestant, Seen, outcome

_ROOT = Path(__file__).parents[2]
_BEGIN, _END = "<!-- comparison:begin -->", "<!-- comparison:end -->"
_PARTS = (("LangChain", langchain), ("LlamaIndex", llama_index))

_HOW = """\
# Comparison

What becomes of the same request and the same answer in this package and in the classes people use
today. Every cell was found out by running the class named, made as its documentation has it,
against the sandbox: `make compare` (`scripts/comparison/`) does it again and writes this page.
Answers are the wire recordings of the test suite, filled up with the fields they leave out, so
that only what is asked about is out of the ordinary.

What is compared is the client. No model and no gateway was asked. A *no* says what was seen and is
no judgement: some of it is a setting away, some is meant so.
"""

Outcomes = dict[Claim, list[Seen]]


def main() -> None:
    """Asks every contestant everything."""
    warnings.simplefilter("ignore")
    logging.disable()
    os.environ["SUNRA_KEY"] = "sandbox-key"  # a pickle of ours takes it from there
    page, tables = [_HOW, _versions()], []
    for framework, part in _PARTS:
        contestants = (part.OURS, *part.PEERS)
        found = {claim: [outcome(claim, one) for one in contestants] for claim in part.CLAIMS}
        tables.append("\n".join(_table(framework, contestants, found)))
        page.append("\n".join(_details(framework, contestants, found)))
    (_ROOT / "docs" / "comparison.md").write_text("\n".join(page), encoding="utf-8")
    _put_into(_ROOT / "README.md", "\n\n".join(tables))


def _versions() -> str:
    contestants = [one for _, part in _PARTS for one in part.PEERS]
    return (
        f"Run with {', '.join(f'{one.package} {version(one.package)}' for one in contestants)}.\n"
    )


def _table(framework: str, contestants: Sequence[Contestant], found: Outcomes) -> Iterator[str]:
    """The short form: yes or no, and the test that holds our column."""
    yield f"| {framework} | {' | '.join(f'`{one.name}`' for one in contestants)} | held by |"
    yield f"|---|{':---:|' * len(contestants)}---|"
    for claim, seen in found.items():
        marks = " | ".join("yes" if one.held else "no" for one in seen)
        path = claim.held_by.partition("::")[0]
        yield f"| {claim.what} | {marks} | [{Path(path).stem}]({path}) |"


def _details(framework: str, contestants: Sequence[Contestant], found: Outcomes) -> Iterator[str]:
    """The long form: what was seen of each."""
    yield f"## {framework}\n"
    for claim, seen in found.items():
        yield f"### {claim.what}\n"
        yield "| | | seen |\n|---|---|---|"
        for contestant, one in zip(contestants, seen, strict=True):
            told = one.what.replace("`", "'").replace("|", "\\|")
            yield f"| `{contestant.name}` | {'yes' if one.held else 'no'} | `{told}` |"
        yield f"\nHeld by `{claim.held_by}`.\n"


def _put_into(document: Path, table: str) -> None:
    before, _, rest = document.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    document.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
