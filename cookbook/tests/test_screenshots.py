"""What `make screenshots` finds on a page: `make browser`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="make browser installs it")
from scripts import screenshots
from scripts.browser import browser

FAULTS = {
    "wide": ("<div style='width: 500px'>wide</div>", "too wide: <div"),
    "lost": ("<img src='lost.png'>", "/lost.png has status 404"),
    "remote": ("<img src='http://localhost:9/a.png'>", "http://localhost:9/a.png is not on"),
    "console": ("<script>console.error('a complaint')</script>", "a complaint"),
    "error": ("<script>throw new Error('a bug')</script>", "a bug"),
}


def page_with(part: str) -> str:
    return f"<html><link rel='icon' href='data:,'><h1>Agents</h1><article>{part}</article></html>"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    scrolls = "<pre style='overflow: auto'><span style='padding: 500px'>code</span></pre>"
    (tmp_path / "index.html").write_text(page_with(f"{scrolls}<a href='agent.html'>go</a>"))
    (tmp_path / "agent.html").write_text(page_with("create_agent(model)"))
    return tmp_path


def test_each_fault_of_a_page_is_found_and_nothing_else(site: Path):
    for name, (part, _) in FAULTS.items():
        (site / f"{name}.html").write_text(page_with(part))
    with browser() as context:
        found = list(screenshots.all_pages(context, site))
    for name, (_, words) in FAULTS.items():
        assert any(line.startswith(f"{name}.html: ") and words in line for line in found), name
    assert {line.partition(".")[0] for line in found} == set(FAULTS)


def test_the_way_to_an_agent_is_clicked(site: Path, capsys: pytest.CaptureFixture[str]):
    with browser() as context:
        assert list(screenshots.first_agent(context, site)) == []
        assert "in 1 clicks: index.html → agent.html" in capsys.readouterr().out
        (site / "agent.html").write_text(page_with("no agent"))
        [line] = screenshots.first_agent(context, site)
    assert "has no create_agent(" in line


def test_screenshots_are_taken_and_a_missing_page_is_reported(site: Path):
    with browser() as context:
        found = list(screenshots.site_pages(context, site, site / "out"))
    assert len(found) == len(screenshots.PAGES) - 1
    assert all("is not in the site" in line for line in found)
    assert sorted(file.name for file in (site / "out").iterdir()) == [
        f"home-{size}-{scheme}.png" for size in ("desktop", "phone") for scheme in ("dark", "light")
    ]
