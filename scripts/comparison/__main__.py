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
_IN_SHORT = (
    "A truncated stream raises an error",
    "Structured output truncated by `max_tokens` raises an error",
    "An error with status 200 is raised with its message",
    "Token usage is reported when streaming, by default",
    "A budget stops calls before they are sent",
)
"""Claims about both frameworks' classes, for the README."""

_HOW = """\
# Comparison

The tables compare how each class handles the same request and response. [Why not `ChatOpenAI`
with a base URL?](why.md) explains the differences. `make compare` (`scripts/comparison/`) runs each
class against the sandbox, set up as its documentation shows, and writes this page. Responses come
from our test fixtures, with the usual fields added.

Only the client is compared; no model or gateway is involved. "no" describes the default behaviour.
Some of it can be changed with a setting, and some is by design.
"""

Outcomes = dict[Claim, list[Seen]]


def main() -> None:
    """Run every claim with every class; write docs/comparison.md and the short table."""
    warnings.simplefilter("ignore")
    logging.disable()
    os.environ["SUNRA_KEY"] = "sandbox-key"  # our pickles do not contain the key
    tables, details = [], []
    seen: dict[str, list[Seen]] = {what: [] for what in _IN_SHORT}
    for framework, part in _PARTS:
        contestants = (part.OURS, *part.PEERS)
        found = {claim: [outcome(claim, one) for one in contestants] for claim in part.CLAIMS}
        tables.append("\n".join(_table(framework, contestants, found)))
        details.append("\n".join(_details(framework, contestants, found)))
        for claim, each in found.items():
            if claim.what in seen:
                seen[claim.what] += each
    page = "\n".join((_HOW, _versions(), *(f"{table}\n" for table in tables), *details))
    (_ROOT / "docs" / "comparison.md").write_text(page, encoding="utf-8")
    for document in ("README.md", "docs/why.md"):
        _put_into(_ROOT / document, "\n".join(_short_table(seen)))


def _versions() -> str:
    contestants = [one for _, part in _PARTS for one in part.PEERS]
    return (
        f"Run with {', '.join(f'{one.package} {version(one.package)}' for one in contestants)}.\n"
    )


def _table(framework: str, contestants: Sequence[Contestant], found: Outcomes) -> Iterator[str]:
    """Yes or no for each claim, and the test of our column."""
    yield f"| {framework} | {' | '.join(f'`{one.name}`' for one in contestants)} | our test |"
    yield f"|---|{':---:|' * len(contestants)}---|"
    for claim, seen in found.items():
        marks = " | ".join("yes" if one.held else "no" for one in seen)
        path = claim.held_by.partition("::")[0]
        yield f"| {claim.what} | {marks} | [{Path(path).stem}](../{path}) |"


def _short_table(seen: dict[str, list[Seen]]) -> Iterator[str]:
    """The claims of the README: both frameworks' classes beside each other."""
    names = [one.name for _, part in _PARTS for one in (part.OURS, *part.PEERS)]
    yield f"| | {' | '.join(f'`{name}`' for name in names)} |"
    yield f"|---|{':---:|' * len(names)}"
    for what, each in seen.items():
        yield f"| {what} | {' | '.join('yes' if one.held else 'no' for one in each)} |"


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
