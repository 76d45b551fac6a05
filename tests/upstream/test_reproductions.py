"""The bugs in `docs/upstream` still exist. If a test fails, its workaround can probably go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Seen in openinference-instrumentation-llama-index 4.6.1.
pytestmark = pytest.mark.filterwarnings("ignore:The `json` method is deprecated:DeprecationWarning")

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "upstream").glob("*.md"))
REPORT = re.compile(
    r"^## (?P<title>.+?)\n(?P<intro>(?:(?!^## ).)*?)"
    r"^```py\n(?P<code>.*?)^```\n\n^```text\n(?P<output>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
REPORTS = {
    f"{page.stem}: {report['title']}": report
    for page in PAGES
    for report in REPORT.finditer(page.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("title", REPORTS)
def test_the_bug_still_exists(title, capsys):
    report = REPORTS[title]
    code = compile(report["code"], f"docs/upstream, {title}", "exec", dont_inherit=True)
    exec(code, {"__name__": "reproduction"})  # noqa: S102 - our own document
    assert capsys.readouterr().out == report["output"], f"{title}: fixed? See docs/upstream."


@pytest.mark.parametrize("title", REPORTS)
def test_a_report_names_its_issue_or_says_that_there_is_none(title):
    intro = REPORTS[title]["intro"]
    assert "https://github.com/" in intro or "No issue found; ready to file." in intro


def test_every_reproduction_is_run():
    blocks = sum(page.read_text(encoding="utf-8").count("```py\n") for page in PAGES)
    assert len(REPORTS) == blocks > 0
