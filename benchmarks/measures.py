"""The plan: which cases are measured for which classes, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.contestants import ALL, Contestant
from benchmarks.scenarios import MANY, Kind, Scenario

_ASYNC = {"astream", "ainvoke", "aevents", "tasks", "alatency"}
_MAIN_PEERS = {"ChatOpenAI", "OpenAI"}
_WAYS = {"": "sync", "a": "async"}
_WRITES = {MANY: f"{MANY} events a write", 1: "one event a write"}
_THINKING = 20
"""Milliseconds that the server of a crowd takes: with none, few calls are really under way."""
_STREAMS: tuple[Kind, ...] = ("text", "tools", "logprobs", "reasoning")
_COMMON = {"text", "tools"}
"""The kinds of streams that are measured for all classes."""


@dataclass(frozen=True)
class Question:
    """One thing to measure.

    Args:
        case: What it is called in tables and results.
        task: What the worker is told.
        main_peers: Whether only the best-known peer of each framework is asked it.
    """

    case: str
    task: dict[str, Any]
    main_peers: bool = False

    def suits(self, contestant: Contestant) -> bool:
        """Whether it is worth asking: sync calls never go through aiohttp."""
        if self.main_peers and contestant.role == "peer" and contestant.name not in _MAIN_PEERS:
            return False
        return not contestant.aiohttp or self.task["task"] in _ASYNC


@dataclass(frozen=True)
class Measure:
    """A group of questions, asked of the same contestants in turn.

    Args:
        name: For `--only`.
        title: For people.
        questions: In their order.
        rounds: How often each is asked of each.
        figures: What is shown of the answers, by its name in them.
        without: Who has no part, by role, name or framework.
        fresh: Whether each question needs a process that has done nothing else.
        main_peers: Whether only the best-known peer of each framework takes part.
    """

    name: str
    title: str
    questions: tuple[Question, ...]
    rounds: int
    figures: tuple[str, ...]
    without: frozenset[str] = frozenset()
    fresh: bool = False
    main_peers: bool = False

    def contestants(self, framework: str | None = None) -> tuple[Contestant, ...]:
        """Who is asked; of one framework only, where it is given, and of none."""
        return tuple(
            one
            for one in ALL
            if not self.without & {one.name, one.role, one.framework}
            and (framework is None or one.framework in {framework, "none"})
            and (not self.main_peers or one.role != "peer" or one.name in _MAIN_PEERS)
        )


def plan(*, quick: bool) -> tuple[Measure, ...]:
    """All measures, in order; `quick` for rough figures in about a minute."""
    return tuple(_quick_plan() if quick else _full_plan())


def _full_plan() -> Iterator[Measure]:
    yield _imports(rounds=5)
    yield _instances(rounds=3, equal=1000, distinct=50)
    yield Measure("invoke", "Small response", tuple(_answers(50)), 9, _CPU)
    yield Measure("stream", "Streams, per event", tuple(_streams(1000, 2)), 5, _CPU)
    yield _responses(rounds=5, events=1000)
    yield _events(rounds=7, events=1000)
    yield _callbacks(rounds=5, events=1000)
    yield _big(rounds=5, times=3)
    yield _image_memory(rounds=3)
    yield _growth(rounds=3, sizes=(1_000, 10_000, 100_000))
    yield _latency(rounds=7, times=5)
    yield _crowds(rounds=3, calls={1: 64, 32: 512, 256: 2048}, threads=1024)


def _quick_plan() -> Iterator[Measure]:
    yield replace(_imports(rounds=1), main_peers=True)
    yield replace(_instances(rounds=1, equal=50, distinct=5), fresh=False)
    answers = tuple(_answers(20))
    yield Measure("invoke", "Small response", answers, 3, _CPU, main_peers=True)
    # The rare kinds differ little by how they are written.
    streams = tuple(
        question
        for question in _streams(300, 1)
        if question.case.startswith("text") or _WRITES[MANY] in question.case
    )
    yield Measure("stream", "Streams, per event", streams, 2, _CPU, _ON_AIOHTTP, main_peers=True)
    yield _responses(rounds=2, events=300)
    yield _events(rounds=2, events=300)
    yield _callbacks(rounds=2, events=300)
    yield _big(rounds=1, times=1)
    yield replace(_image_memory(rounds=1), fresh=False)
    yield replace(_growth(rounds=1, sizes=(1_000, 5_000)), fresh=False)
    yield _latency(rounds=2, times=2)
    yield _crowds(rounds=1, calls={1: 16, 32: 64, 256: 512}, threads=64)


_CPU = ("cpu_us", "gc_us")
_ON_AIOHTTP = frozenset({"httpx[aiohttp]", "ChatSunra[aiohttp]", "Sunra[aiohttp]"})


def _ask(case: str, task: str, **told: Any) -> Question:
    return Question(case, {"task": task, **told})


def _imports(rounds: int) -> Measure:
    without = frozenset({"none", "floor"})  # each class imports its framework alone, too
    questions = (_ask("import", "import"),)
    figures = ("cpu_us", "kb", "framework_cpu_us")
    return Measure("import", "Import", questions, rounds, figures, without)


def _instances(rounds: int, equal: int, distinct: int) -> Measure:
    questions = (
        _ask("set alike", "equal", times=equal),
        _ask("each with a base URL of its own", "distinct", times=distinct),
    )
    figures = ("construct_us", "first_call_us", "kb", "clients_added", "tls_added")
    without = frozenset({"none", *_ON_AIOHTTP})
    return Measure(
        "instances", "Instances", questions, rounds, figures, without, fresh=True, main_peers=True
    )


def _answers(times: int) -> Iterator[Question]:
    scenario = str(Scenario("completion"))
    for prefix, way in _WAYS.items():
        yield _ask(way, f"{prefix}invoke", scenario=scenario, times=times)


def _streams(events: int, times: int) -> Iterator[Question]:
    for kind in _STREAMS:
        for per_write, writes in _WRITES.items():
            scenario = str(Scenario(kind, events, per_write))
            for prefix, way in _WAYS.items():
                case = f"{kind}, {writes}, {way}"
                told = {"task": f"{prefix}stream", "scenario": scenario, "times": times}
                common = per_write == MANY and kind in _COMMON
                yield Question(case, told, main_peers=not common)


def _responses(rounds: int, events: int) -> Measure:
    kinds: tuple[tuple[str, Kind], ...] = (("text", "responses_text"), ("tools", "responses_tools"))
    questions = tuple(
        _ask(
            f"{name}, {way}",
            f"{prefix}stream",
            scenario=str(Scenario(kind, events, MANY)),
            times=1,
        )
        for name, kind in kinds
        for prefix, way in _WAYS.items()
    )
    title = 'Streams of the Responses API (`api="responses"`), per event'
    without = frozenset({"none", "floor", *_ON_AIOHTTP})
    return Measure("responses", title, questions, rounds, _CPU, without, main_peers=True)


def _events(rounds: int, events: int) -> Measure:
    questions = tuple(
        _ask(
            f"{kind}, {way}",
            f"{prefix}events",
            scenario=str(Scenario(kind, events, MANY)),
            times=1,
        )
        for kind in _STREAMS
        if kind in _COMMON
        for prefix, way in _WAYS.items()
    )
    title = 'LangChain\'s own events (`stream_events(version="v3")`), per stream event'
    without = frozenset({"none", "llama-index", *_ON_AIOHTTP})
    return Measure("events", title, questions, rounds, _CPU, without, main_peers=True)


def _callbacks(rounds: int, events: int) -> Measure:
    scenario = str(Scenario("text", events, MANY))
    listened = {"callbacks": True}
    questions = tuple(
        _ask(f"text, {way}", f"{prefix}stream", scenario=scenario, times=1, wanted=listened)
        for prefix, way in _WAYS.items()
    )
    title = "Streams with a callback handler attached, per event"
    without = frozenset({"none", *_ON_AIOHTTP})
    return Measure("callbacks", title, questions, rounds, _CPU, without, main_peers=True)


def _crowds(rounds: int, calls: dict[int, int], threads: int) -> Measure:
    late = str(Scenario("late", _THINKING))
    questions = [
        _ask(f"{at_once} at once, async", "tasks", scenario=late, at_once=at_once, times=times)
        for at_once, times in calls.items()
    ]
    threaded = _ask("32 threads", "threads", scenario=late, at_once=32, times=threads)
    title = f"Concurrent small responses, each {_THINKING} ms after its request"
    figures = ("cpu_us", "calls_per_second", "errors")
    without = frozenset({"LangChain alone", "LlamaIndex alone"})
    return Measure(
        "crowd", title, (*questions, threaded), rounds, figures, without, main_peers=True
    )


def _big(rounds: int, times: int) -> Measure:
    scenario = str(Scenario("completion"))
    wanted: dict[str, dict[str, Any]] = {
        "2,000 messages": {"prompt": "history"},
        "a 10 MB image": {"prompt": "image"},
        "100 tools": {"tools": 100},
    }
    questions = tuple(
        _ask(case, "invoke", scenario=scenario, times=times, wanted=asked)
        for case, asked in wanted.items()
    )
    title = "Large inputs, per call"
    return Measure("big", title, questions, rounds, _CPU, _ON_AIOHTTP, main_peers=True)


def _image_memory(rounds: int) -> Measure:
    scenario, image = str(Scenario("completion")), {"prompt": "image"}
    question = _ask("a 10 MB image", "invoke_memory", scenario=scenario, wanted=image)
    figures = ("peak_kb", "copies", "traced_copies")
    title = "Peak memory of a large input"
    without = frozenset({"LangChain alone", "LlamaIndex alone", *_ON_AIOHTTP})
    return Measure("image", title, (question,), rounds, figures, without, True, main_peers=True)


def _growth(rounds: int, sizes: tuple[int, ...]) -> Measure:
    questions = tuple(
        _ask(f"{size:,} events", "stream_memory", scenario=str(Scenario("text", size, MANY)))
        for size in sizes
    )
    figures = ("cpu_us", "gc_us", "peak_kb")
    title = "Long streams, chunks discarded"
    return Measure(
        "growth", title, questions, rounds, figures, _ON_AIOHTTP, fresh=True, main_peers=True
    )


def _latency(rounds: int, times: int) -> Measure:
    scenario = str(Scenario("paced", 10))
    questions = tuple(
        _ask(way, f"{prefix}latency", scenario=scenario, times=times)
        for prefix, way in _WAYS.items()
    )
    figures = ("whole_us", "flush_us")
    title = "Latency of requests and streamed tokens"
    without = frozenset({"LangChain alone", "LlamaIndex alone"})
    return Measure("latency", title, questions, rounds, figures, without, main_peers=True)
