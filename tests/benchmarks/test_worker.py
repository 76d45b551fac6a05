"""Contestants in processes of their own; the peers are not installed where the suite runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.contestants import NAMED
from benchmarks.measures import Measure, Question
from benchmarks.rounds import Crew, measured, server
from tests import platforms

pytestmark = [pytest.mark.network, platforms.pipes]
LINUX = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from /proc"
)

OURS_AND_FLOORS = ("ChatSunra", "LangChain alone", "Sunra", "LlamaIndex alone", "httpx")
STREAM = {"scenario": "text-20-4"}
ANSWER = {"scenario": "completion"}


@pytest.fixture(scope="module")
def crew():
    with server() as address, Crew(address, lambda _: sys.executable) as crew:
        yield crew


@pytest.mark.parametrize("name", OURS_AND_FLOORS)
@pytest.mark.parametrize(
    ("task", "shown"),
    [
        ({"task": "stream", **STREAM}, {"cpu_us", "gc_us", "wall_us"}),
        ({"task": "astream", **STREAM}, {"cpu_us", "gc_us", "wall_us"}),
        ({"task": "invoke", **ANSWER, "times": 2}, {"cpu_us", "gc_us", "wall_us"}),
        ({"task": "ainvoke", **ANSWER, "times": 2}, {"cpu_us", "gc_us", "wall_us"}),
        ({"task": "tasks", **ANSWER, "times": 8, "at_once": 4}, {"calls_per_second", "errors"}),
        ({"task": "threads", **ANSWER, "times": 8, "at_once": 4}, {"calls_per_second", "errors"}),
        pytest.param(
            {"task": "equal", "times": 3},
            {"construct_us", "first_call_us", "kb", "tls_added"},
            marks=LINUX,
        ),
        pytest.param({"task": "stream_memory", **STREAM}, {"cpu_us", "peak_kb"}, marks=LINUX),
    ],
    ids=lambda value: value["task"] if isinstance(value, dict) else "",
)
def test_a_worker_answers_with_figures(crew, name, task, shown):
    figures = crew.ask(NAMED[name], task)
    assert shown <= set(figures)
    assert not figures.get("errors")


@pytest.mark.parametrize("name", ["ChatSunra", "Sunra"])
@pytest.mark.parametrize("kind", ["responses_text", "responses_tools"])
def test_streams_of_the_responses_api_are_measured(crew, name, kind):
    assert "cpu_us" in crew.ask(NAMED[name], {"task": "stream", "scenario": f"{kind}-20-4"})


@pytest.mark.parametrize("name", ["ChatSunra", "Sunra", "httpx"])
@pytest.mark.parametrize("task", ["latency", "alatency"])
def test_what_arrives_arrives_after_it_was_sent(crew, name, task):
    figures = crew.ask(NAMED[name], {"task": task, "scenario": "paced-3"})
    assert figures["whole_us"] > 0
    assert figures["flush_us"] > 0


def test_what_a_contestant_cannot_do_is_said_and_no_failure(crew):
    assert crew.ask(NAMED["Sunra"], {"task": "events", **STREAM}) == {"not_offered": True}


def test_a_failure_names_its_cause_and_the_worker_goes_on(crew):
    failed = crew.ask(NAMED["httpx"], {"task": "stream", "scenario": "nothing"})
    assert failed == {"failed": "ValueError: no such kind of scenario: 'nothing'"}
    assert "cpu_us" in crew.ask(NAMED["httpx"], {"task": "invoke", **ANSWER})


def test_every_round_asks_each_and_notes_its_figures(crew):
    asked = {"task": "stream", **STREAM}
    measure = Measure("stream", "Streams", (Question("text", asked),), 3, ("cpu_us",))
    said: list[str] = []
    failed: list[str] = []
    both = [NAMED["httpx"], NAMED["ChatSunra"]]
    results = measured(measure, both, crew, said.append, failed.append)
    rounds = {name: len(figures["cpu_us"]) for name, figures in results["text"].items()}
    assert rounds == {"httpx": 3, "ChatSunra": 3}
    assert said == [f"stream: round {number} of 3" for number in (1, 2, 3)]
    assert not failed


def test_a_failed_measurement_is_reported_with_its_class_and_cause(crew):
    measure = Measure("stream", "Streams", (Question("text", {"task": "none", **STREAM}),), 1, ())
    failed: list[str] = []
    assert measured(measure, [NAMED["httpx"]], crew, print, failed.append) == {}
    assert failed == ["stream, text, httpx: ValueError: no such task: 'none'"]


@LINUX
def test_an_import_is_measured_with_that_of_its_framework_alone(crew):
    measure = Measure("import", "Import", (Question("import", {"task": "import"}),), 1, ("kb",))
    results = measured(measure, [NAMED["ChatSunra"]], crew, print, pytest.fail)
    figures = results["import"]["ChatSunra"]
    assert figures["kb"][0] > figures["framework_kb"][0] > 0
    assert figures["cpu_us"][0] > 0
    assert figures["framework_cpu_us"][0] > 0


def test_a_worker_runs_in_the_environment_of_its_contestant():
    crew = Crew("http://127.0.0.1:9", lambda one: f"/nowhere/{one.name}/python")
    with pytest.raises(FileNotFoundError, match="/nowhere/httpx/python"):
        crew.ask(NAMED["httpx"], {"task": "invoke", **ANSWER})
