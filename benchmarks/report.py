"""A run as Markdown: the targets, every measure, and the short table of the README."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.contestants import NAMED
from benchmarks.measures import Measure, plan
from benchmarks.ratios import Spread
from benchmarks.run import Run
from benchmarks.targets import Target, targets

BEGIN = "<!-- benchmarks:begin -->"
END = "<!-- benchmarks:end -->"

_UNITS = {
    "cpu_us": "CPU, µs",
    "gc_us": "garbage collector, µs",
    "kb": "memory, KB",
    "construct_us": "to make one, CPU µs",
    "first_call_us": "its first call, CPU µs",
    "clients_added": "httpx clients added",
    "tls_added": "TLS contexts added",
    "calls_per_second": "calls per second",
    "errors": "errors",
    "peak_kb": "peak memory, KB",
    "copies": "copies of the image",
    "traced_copies": "of them Python's",
    "whole_us": "to request whole, µs",
    "flush_us": "flush to user, µs",
}
_NOTHING = "—"
_WHOLE = 100
"""From here on, figures are shown without decimals."""
_MAIN_PEERS = {"langchain": "ChatOpenAI", "llama-index": "OpenAI"}
_FLOORS = {"langchain": "LangChain alone", "llama-index": "LlamaIndex alone"}

_HOW = """\
# Benchmarks

What a call costs on the client, ours and the peers', measured side by side. Made by `make bench`
(`benchmarks/`); the figures of every round are in [benchmarks.json](benchmarks.json).

![CPU time against the peers'](benchmarks.svg)

## How it is measured

- A server in a process of its own sends prebuilt bytes: a realistic stream of OpenAI-style chunks,
  or a small answer. It does next to nothing, so that the client's cost is what is seen.
- Each contestant runs in a process of its own, with the settings it comes with. They are asked in
  turn, round by round, and another one begins each round.
- A ratio is taken within a round, and the median of the rounds is shown with the lowest and the
  highest: what loads the machine for a while loads both, and cancels out. The microseconds are this
  machine's; the ratios travel better.
- CPU time is the process's, all threads together. The garbage collector runs as it does for a user;
  its time is shown apart.
- *LangChain alone* and *LlamaIndex alone* are floors: the smallest models that answer from memory,
  without I/O. For each event they make what the framework demands: one new `AIMessageChunk` in one
  new `ChatGenerationChunk`, or one new `ChatResponse` with a message that holds all text so far.
  *httpx* reads the bytes of the same answers and makes nothing of them.
- *[aiohttp]* carries async calls by aiohttp; sync calls never do. The others are on httpx.
- An import is compared with what any chat model with tools stands on: `BaseChatModel`, tools and
  output parsers, or `FunctionCallingLLM`. The interpreter's own start is not counted. Nothing but
  the contestants is installed: where rich is, httpx imports its command line as well.
- Instances are compared as each class makes them, with its own HTTP client; then each is called
  once. Their memory is what the process has grown by.
- In a crowd the server takes its time, as models do: without, few calls are really under way at
  once. Opening the connections is part of it.
- Latency is read from one clock by both processes. Events come 3 ms apart: none waits for another.
- `ChatSunra` makes LangChain's own events itself; other models, the floor among them, have theirs
  made from chunks by langchain-core.
- What comes out of a stream is dropped at once, as by a program that prints it.
"""


def document(run: Run) -> str:
    """`docs/benchmarks.md`."""
    parts = [_HOW, "\n".join(_circumstances(run)), "\n".join(_targets(run))]
    parts += ["\n".join(_measure(run, measure)) for measure in plan(quick=run.quick)]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def headlines(run: Run) -> str:
    """The README's table: what of the best-known peer's cost is ours."""
    found: dict[str, dict[str, str]] = {}
    for target in targets():
        spread = target.found(run)
        if target.headline and spread:
            framework = NAMED[target.ours].framework
            found.setdefault(target.headline, {})[framework] = _number(spread.middle)
    rows = (
        (headline, by.get("langchain", _NOTHING), by.get("llama-index", _NOTHING))
        for headline, by in found.items()
    )
    head = ("ours ÷ theirs", "`ChatSunra` ÷ `ChatOpenAI`", "`Sunra` ÷ `OpenAI` (LlamaIndex)")
    return "\n".join(_table(head, rows))


def with_headlines(readme: str, run: Run) -> str:
    """A README with its table between the marks made anew.

    Raises:
        ValueError: The marks are not there, once each and in order.
    """
    before, begun, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"the README needs the marks {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n{headlines(run)}\n{END}{after}"


def _circumstances(run: Run) -> Iterator[str]:
    yield "## Where and with what"
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    rough = " This was a rough check (`--quick`)." if run.quick else ""
    yield f"{run.began}, on {run.machine}.{rough} With {versions}."


def _targets(run: Run) -> Iterator[str]:
    yield "## What is promised, and whether it is kept"
    yield ""
    rows = [_target(target, run) for target in targets() if target.found(run)]
    yield from _table(("what", "ours", "against", "promised", "measured", "kept"), rows)


def _target(target: Target, run: Run) -> tuple[str, ...]:
    found = target.found(run)
    against = _NOTHING if target.against in {None, target.ours} else f"{target.against}"
    promised = _NOTHING if target.limit is None else f"{target.sense} {target.limit:g}"
    kept = {True: "yes", False: "**no**", None: _NOTHING}[target.met(run)]
    return (target.what, target.ours, against, promised, _spread(found), kept)


def _measure(run: Run, measure: Measure) -> Iterator[str]:
    results = run.measures.get(measure.name)
    if not results:
        return
    yield f"## {measure.title}"
    for case in results:
        yield ""
        if case != measure.name:
            yield f"**{case}**"
            yield ""
        head = ("", *(_UNITS[figure] for figure in measure.figures), "÷ peer", "÷ floor")
        yield from _table(head, _rows(run, measure, case))


def _rows(run: Run, measure: Measure, case: str) -> Iterator[tuple[str, ...]]:
    for name in run.measures[measure.name][case]:
        contestant = NAMED[name]
        cells = [_cell(run, measure, case, name, figure) for figure in measure.figures]
        others = (_MAIN_PEERS, _FLOORS) if contestant.role == "ours" else ({}, {})
        for other in others:
            against = other.get(contestant.framework, "")
            ratio = run.ratio(measure.name, case, measure.figures[0], name, against)
            cells.append(_spread(ratio))
        yield (f"**{name}**" if contestant.role == "ours" else name, *cells)


def _cell(run: Run, measure: Measure, case: str, name: str, figure: str) -> str:
    value = run.value(measure.name, case, name, figure)
    return _NOTHING if value is None else _number(value.middle)


def _spread(found: Spread | None) -> str:
    if found is None:
        return _NOTHING
    if found.low == found.high:
        return _number(found.middle)
    return f"{_number(found.middle)} ({_number(found.low)} … {_number(found.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] + ["---:"] * (len(head) - 1))
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
