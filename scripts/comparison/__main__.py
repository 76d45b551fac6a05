"""Run the comparison and write its documents: ``python -m scripts.comparison``."""

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

The tables compare how each class handles the same request and response. `make compare`
(`scripts/comparison/`) runs each class against the sandbox, set up as its documentation shows, and
writes this page. Responses come from our test fixtures, with the usual fields added.

Only the client is compared; no model or gateway is involved. "no" describes the default behaviour.
Some of it can be changed with a setting, and some is by design.
"""

Outcomes = dict[Claim, list[Seen]]


def main() -> None:
    """Run every claim with every class; write docs/comparison.md and the README table."""
    warnings.simplefilter("ignore")
    logging.disable()
    os.environ["SUNRA_KEY"] = "sandbox-key"  # our pickles do not contain the key
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
    """The README table: yes or no, and the test of our column."""
    yield f"| {framework} | {' | '.join(f'`{one.name}`' for one in contestants)} | our test |"
    yield f"|---|{':---:|' * len(contestants)}---|"
    for claim, seen in found.items():
        marks = " | ".join("yes" if one.held else "no" for one in seen)
        path = claim.held_by.partition("::")[0]
        yield f"| {claim.what} | {marks} | [{Path(path).stem}]({path}) |"


def _details(framework: str, contestants: Sequence[Contestant], found: Outcomes) -> Iterator[str]:
    """A section per claim, with what each class did."""
    yield f"## {framework}\n"
    for claim, seen in found.items():
        yield f"### {claim.what}\n"
        yield "| Class | Result | Observed |\n|---|---|---|"
        for contestant, one in zip(contestants, seen, strict=True):
            what = one.what.replace("`", "'").replace("|", "\\|")
            yield f"| `{contestant.name}` | {'yes' if one.held else 'no'} | `{what}` |"
        yield f"\nOur test: `{claim.held_by}`.\n"


def _put_into(document: Path, table: str) -> None:
    before, _, rest = document.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    document.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
