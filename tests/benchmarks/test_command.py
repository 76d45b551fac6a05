"""The command publishes whole results only, and says what to commit."""

from __future__ import annotations

import sys

import pytest

from benchmarks import __main__ as command
from benchmarks.report import BEGIN, END
from benchmarks.run import Run

STREAM = {"ChatSunra": {"cpu_us": [10.0]}, "ChatOpenAI": {"cpu_us": [100.0]}}
MEASURES = {"stream": {"text, 64 events a write, sync": STREAM}}


@pytest.fixture(autouse=True)
def repository(monkeypatch, tmp_path):
    """A repository with a README and saved figures."""
    monkeypatch.setattr(command, "_DOCS", tmp_path / "docs")
    monkeypatch.setattr(command, "_README", tmp_path / "README.md")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"# Title\n{BEGIN}\nold\n{END}\n", encoding="utf-8")
    save(tmp_path, quick=False)
    return tmp_path


def save(repository, *, quick: bool) -> Run:
    run = Run(quick, "2026-01-02", "2 cores", {"ChatSunra": {}}, MEASURES)
    run.save(repository / "docs" / "benchmarks.json")
    return run


@pytest.fixture
def main(monkeypatch):
    """Runs the command with arguments."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        return command.main()

    return run


def test_the_documents_are_written_from_the_saved_figures(main, repository, capsys):
    assert main("--render") == 0
    assert "costs 10\u00a0% of the CPU time" in (repository / "docs/benchmarks.md").read_text(
        "utf-8"
    )
    assert "10 %</text>" in (repository / "docs/benchmarks.svg").read_text("utf-8")
    readme = (repository / "README.md").read_text("utf-8")
    assert readme.startswith(f"# Title\n{BEGIN}\n![CPU time compared with")
    assert "old" not in readme
    printed = capsys.readouterr().out
    assert "Targets: 1 met, 0 missed." in printed
    assert (
        "git add docs/benchmarks.json docs/benchmarks.md docs/benchmarks.svg README.md" in printed
    )
    assert 'git commit -m "Benchmarks of 2026-01-02"' in printed


def test_a_quick_run_is_not_to_be_committed(main, repository, capsys):
    save(repository, quick=True)
    assert main("--render") == 0
    printed = capsys.readouterr().out
    assert "git checkout docs/benchmarks.json" in printed
    assert "git commit" not in printed


@pytest.mark.parametrize("part", [("--only", "stream"), ("--framework", "langchain")])
def test_a_part_of_the_measures_is_not_published(main, capsys, part):
    with pytest.raises(SystemExit):
        main("--publish", *part)
    assert "--publish needs all measures" in capsys.readouterr().err


def test_nothing_is_published_if_a_measurement_failed(main, repository, monkeypatch, capsys):
    def run(options, chosen, fail):
        fail("stream, text, ChatOpenAI: ended with status 1")

    monkeypatch.setattr(command, "_run", run)
    assert main("--publish") == 1
    printed = capsys.readouterr().err
    assert "Not measured:\nstream, text, ChatOpenAI: ended with status 1\n" in printed
    assert "python -m benchmarks --render" in printed
    assert "old" in (repository / "README.md").read_text("utf-8")


def test_a_readme_without_markers_is_an_error_before_anything_is_measured(main, repository):
    (repository / "README.md").write_text("# Title\n", encoding="utf-8")
    with pytest.raises(ValueError, match="benchmarks:begin"):
        main("--publish", "--environments", str(repository / "none"))


def test_a_missing_environment_is_an_error_without_a_traceback(main, repository, capsys):
    assert main("--no-install", "--environments", str(repository / "none")) == 1
    printed = capsys.readouterr().err
    assert "ChatSunra: " in printed
    assert "Run `make bench`" in printed
