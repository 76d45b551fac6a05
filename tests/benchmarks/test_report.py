"""What a run looks like on paper, from figures that are known."""

from __future__ import annotations

import pytest

from benchmarks.measures import plan
from benchmarks.report import BEGIN, END, document, headlines, with_headlines
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
    return Run(False, "2026-01-02", "2 cores, Linux, Python 3.11", {"httpx": "0.28.1"}, measures)


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
    assert "CPU of the import" not in document(run)
    assert "## Import" not in document(run)


def test_a_measure_is_a_table_of_medians_and_ratios(run):
    ours = row(document(run), "**ChatSunra**", "12", "0.5")
    assert ours.endswith("| 0.1 (0.1 … 0.12) | 2 (1.5 … 2) |")
    assert row(document(run), "ChatOpenAI", "100").endswith("| — | — |")


def test_the_document_says_where_and_with_what(run):
    assert "2026-01-02, on 2 cores, Linux, Python 3.11. With httpx 0.28.1." in document(run)


def test_headlines_show_both_frameworks_side_by_side(run):
    assert row(headlines(run), "CPU per streamed text event, sync", "0.1", "0.333")
    assert row(headlines(run), "calls per second, 256 concurrent calls", "4", "—")


def test_only_what_is_between_the_marks_of_a_readme_changes(run):
    readme = f"# Before\n{BEGIN}\nold figures\n{END}\nafter\n"
    written = with_headlines(readme, run)
    assert written == f"# Before\n{BEGIN}\n{headlines(run)}\n{END}\nafter\n"
    assert with_headlines(written, run) == written


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_readme_without_marks_is_refused(run, readme):
    with pytest.raises(ValueError, match="benchmarks:begin"):
        with_headlines(readme, run)


def test_the_terminal_shows_ours_against_peer_and_floor(run):
    (stream,) = [measure for measure in plan(quick=False) if measure.name == "stream"]
    (ours,) = [line for line in lines(run, stream) if line.strip().startswith("ChatSunra ")]
    assert "0.100 [0.100-0.120] of ChatOpenAI; 2.000 [1.500-2.000] of LangChain alone" in ours


def test_a_run_survives_being_written_down(run, tmp_path):
    path = tmp_path / "benchmarks.json"
    run.save(path)
    assert Run.load(path) == run


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
