"""What a run looks like on paper, from figures that are known."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import draw
from benchmarks.headlines import HEADLINES
from benchmarks.measures import plan
from benchmarks.report import BEGIN, END, document, readme_block, verdict, with_block
from benchmarks.run import Run
from benchmarks.targets import Target, targets
from benchmarks.terminal import lines

TEXT = "text, 64 events a write, sync"


def figures(*rounds: float) -> dict[str, list[float | None]]:
    return {"cpu_us": list(rounds), "gc_us": [0.5] * len(rounds)}


@pytest.fixture
def run():
    stream = {
        "ChatSunra": figures(10.0, 20.0, 12.0),
        "ChatOpenAI": figures(100.0, 200.0, 100.0),
        "LangChain alone": figures(5.0, 10.0, 8.0),
        "Sunra": figures(30.0, 30.0, 30.0),
        "OpenAI": figures(90.0, 60.0, 100.0),
    }
    crowd = {
        "ChatSunra": {"calls_per_second": [400.0], "errors": [0]},
        "ChatOpenAI": {"calls_per_second": [100.0], "errors": [0]},
    }
    measures = {"stream": {TEXT: stream}, "crowd": {"256 at once, async": crowd}}
    versions = {
        "ChatSunra": {"sunra-integrations": "1.2.3", "httpx": "0.28.1"},
        "ChatOpenAI": {"langchain-openai": "1.7.4", "openai": "3.57.0"},
    }
    return Run(False, "2026-01-02", "2 cores, Linux, Python 3.11", versions, measures)


def row(text: str, *cells: str) -> str:
    (found,) = [
        line
        for line in text.splitlines()
        if [cell.strip() for cell in line.strip("|").split("|")][: len(cells)] == list(cells)
    ]
    return found


def test_each_target_is_told_with_what_was_measured_and_whether_it_is_kept(run):
    text = document(run)
    what = "CPU per streamed text event, sync"
    kept = row(text, what, "ChatSunra", "ChatOpenAI")
    assert kept.endswith("| at most 0.12 | 0.1 (0.1 … 0.12) | yes |")
    broken = row(text, what, "ChatSunra", "LangChain alone")
    assert broken.endswith("| at most 1.3 | 2 (1.5 … 2) | **no** |")
    more = row(text, "calls per second, 256 concurrent calls", "ChatSunra")
    assert more.endswith("| at least 3 | 4 | yes |")
    errors = row(text, "errors, 256 concurrent calls", "ChatSunra")
    assert errors.endswith("| at most 0 | 0 | yes |")


def test_what_was_not_measured_has_no_row(run):
    text = document(run)
    assert "CPU of the import" not in text
    assert "The import costs" not in text
    assert "| OpenAILike |" not in text


def test_an_import_is_compared_with_that_of_its_framework_alone(run):
    imports = {"ChatSunra": {"cpu_us": [530.0, 520.0], "framework_cpu_us": [500.0, 500.0]}}
    text = document(replace(run, measures={"import": {"import": imports}}))
    kept = row(text, "CPU of the import", "ChatSunra", "its framework alone")
    assert kept.endswith("| at most 1.08 | 1.05 (1.04 … 1.06) | yes |")


def test_missed_targets_come_first_and_are_counted(run):
    text = document(run)
    kept = re.findall(r"\| (yes|\*\*no\*\*) \|$", text, re.MULTILINE)
    assert kept == sorted(kept)
    assert verdict(run) == f"Targets: {kept.count('yes')} met, {kept.count('**no**')} missed"
    assert f"{verdict(run)}; see [Targets and results](#targets-and-results)." in text


def test_every_class_is_in_a_table_of_cpu_times(run):
    assert row(document(run), "**ChatSunra**", "12", "—", "—", "—")
    assert row(document(run), "ChatOpenAI", "100")


def test_the_document_says_when_and_where_it_was_measured(run):
    assert "Measured on 2026-01-02, on 2 cores, Linux, Python 3.11." in document(run)


def test_the_document_states_the_versions_of_each_class(run):
    assert row(document(run), "ChatSunra", "sunra-integrations 1.2.3, httpx 0.28.1")
    assert row(document(run), "ChatOpenAI", "langchain-openai 1.7.4, openai 3.57.0")


def test_the_figures_of_a_quick_run_are_called_rough(run):
    quick = replace(run, quick=True)
    assert "Rough figures" in document(quick)
    assert "Rough figures" in readme_block(quick)
    assert "Rough figures" not in document(run) + readme_block(run)


def test_the_page_begins_with_the_results_in_words(run):
    first_screen, _, _ = document(run).partition("## Method")
    text_event = (
        "- A streamed text event costs 10\u00a0% of the CPU time in LangChain and 33\u00a0% in"
    )
    assert f"\n{text_event} LlamaIndex.\n" in first_screen


def test_every_row_in_words_is_about_something_that_a_full_run_measures():
    measured = {
        (one.name, question.case) for one in plan(quick=False) for question in one.questions
    }
    assert {(one.measure, one.case) for one in HEADLINES} <= measured


def test_the_chart_shows_a_bar_and_a_percentage_for_each_framework(run):
    svg = ET.fromstring(draw(run))  # noqa: S314 - our own
    shown = ["".join(one.itertext()) for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert shown[-3:] == ["A streamed text event", "10 %", "33 %"]
    widths = {
        one.get("class"): float(one.get("width", "0"))
        for one in svg.iter("{http://www.w3.org/2000/svg}rect")
    }
    assert widths["LangChain"] == pytest.approx(widths["track"] * 0.1, abs=0.1)
    assert widths["LlamaIndex"] == pytest.approx(widths["track"] / 3, abs=0.1)


def test_a_bar_is_never_longer_than_its_track(run):
    slow = {name: figures(500.0) for name in ("ChatSunra", "Sunra")}
    slow |= {name: figures(100.0) for name in ("ChatOpenAI", "OpenAI")}
    svg = draw(replace(run, measures={"stream": {TEXT: slow}}))
    assert svg.count("500 %</text>") == 2
    width = float(re.search(r'viewBox="0 0 (\d+)', svg)[1])
    assert max(map(float, re.findall(r'<rect[^>]* width="([\d.]+)"', svg))) < width


def test_text_in_the_chart_is_readable_on_a_phone(run):
    # A column is 328 pixels wide on a screen of 360 pixels.
    svg = draw(run)
    scale = 328 / float(re.search(r'viewBox="0 0 (\d+)', svg)[1])
    sizes = [float(size) for size in re.findall(r"([\d.]+)px", svg)]
    assert sizes
    assert min(sizes) * scale >= 12


def test_the_chart_has_colours_for_light_and_for_dark(run):
    style = draw(run).partition("<style>")[2].partition("</style>")[0]
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    for kind in ("text", ".ground", ".track", ".LangChain", ".LlamaIndex"):
        assert f"{kind} {{" in light
        assert f"{kind} {{" in dark


def test_only_what_is_between_the_marks_of_a_readme_changes(run):
    readme = f"# Before\n{BEGIN}\nold figures\n{END}\nafter\n"
    written = with_block(readme, run)
    assert written == f"# Before\n{BEGIN}\n{readme_block(run)}\n{END}\nafter\n"
    assert with_block(written, run) == written


def test_the_readme_gets_the_chart_in_words_and_the_versions(run):
    block = readme_block(run)
    assert block.startswith(
        "![CPU time compared with ChatOpenAI and LlamaIndex's OpenAI. A streamed text"
    )
    assert "event: 10 % in LangChain, 33 % in LlamaIndex.](docs/benchmarks.svg)" in block
    assert "Measured on 2026-01-02 with sunra-integrations 1.2.3, langchain-openai 1.7.4." in block
    assert "|" not in block


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_readme_without_marks_is_refused(run, readme):
    with pytest.raises(ValueError, match="benchmarks:begin"):
        with_block(readme, run)


def test_the_terminal_shows_ours_against_peer_and_floor(run):
    (stream,) = [measure for measure in plan(quick=False) if measure.name == "stream"]
    (ours,) = [line for line in lines(run, stream) if line.strip().startswith("ChatSunra ")]
    assert "0.100 [0.100-0.120] of ChatOpenAI; 2.000 [1.500-2.000] of LangChain alone" in ours


def test_a_run_survives_being_written_down(run, tmp_path):
    path = tmp_path / "benchmarks.json"
    run.save(path)
    assert Run.load(path) == run
    assert '"cpu_us": [10.0, 20.0, 12.0],' in path.read_text(encoding="utf-8")


def test_a_target_without_a_limit_is_neither_kept_nor_broken(run):
    target = Target("what", "ChatSunra", "stream", TEXT, "cpu_us", None, "ChatOpenAI")
    assert target.met(run) is None
    assert target.found(run).middle == 0.1


@pytest.mark.parametrize("target", targets(), ids=lambda t: f"{t.what}, {t.ours}, {t.against}")
def test_every_target_is_about_something_that_a_full_run_measures(target):
    (measure,) = [one for one in plan(quick=False) if one.name == target.measure]
    cases = [question.case for question in measure.questions]
    assert target.case in cases
    assert (target.against_case or target.case) in cases
    assert target.figure in measure.figures
    assert not measure.without & {target.ours, target.against}
