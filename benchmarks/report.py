"""A benchmark run as Markdown: targets, all measures, and the README table."""

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
    "construct_us": "creation, CPU µs",
    "first_call_us": "first call, CPU µs",
    "clients_added": "httpx clients added",
    "tls_added": "TLS contexts added",
    "calls_per_second": "calls per second",
    "errors": "errors",
    "peak_kb": "peak memory, KB",
    "copies": "copies of the image",
    "traced_copies": "copies in Python objects",
    "whole_us": "request latency, µs",
    "flush_us": "token latency, µs",
}
_NOTHING = "—"
_WHOLE = 100
"""Figures of at least this size have no decimals."""
_MAIN_PEERS = {"langchain": "ChatOpenAI", "llama-index": "OpenAI"}
_FLOORS = {"langchain": "LangChain alone", "llama-index": "LlamaIndex alone"}

_HOW = """\
# Benchmarks

Client-side cost of a call, compared with other integrations of the same framework. `make bench`
(`benchmarks/`) generates this page; [benchmarks.json](benchmarks.json) has the figures of each
round.

![CPU time compared with other integrations](benchmarks.svg)

## Method

- A server in a separate process sends prebuilt bytes: a realistic stream of OpenAI-style chunks, or
  a small response. It does almost no work, so the client dominates the cost.
- Each class runs in its own process, with its default settings. The classes take turns in each
  round, and each round starts with a different class.
- Each ratio is computed within a round, so that other load on the machine affects both sides. The
  tables show the median, the lowest and the highest round. Ratios are comparable between machines;
  microseconds are not.
- CPU time covers all threads of the process. The garbage collector runs normally, and its time is
  shown separately.
- *LangChain alone* and *LlamaIndex alone* are lower bounds: minimal models that return a response
  from memory. Per event they create only what the framework requires. For LangChain this is an
  `AIMessageChunk` in a `ChatGenerationChunk`. For LlamaIndex it is a `ChatResponse` with all text
  so far.
- *httpx* reads the same bytes and discards them.
- *[aiohttp]* uses aiohttp for async calls. All others use httpx.
- Imports are compared with the framework's parts that any chat model needs: `BaseChatModel`, tools
  and output parsers, or `FunctionCallingLLM`. The start of the interpreter is not included. No
  other packages are installed, because httpx imports rich if it is available.
- Instances are created with each class's own HTTP client and called once. Their memory is the
  growth of the process.
- With many concurrent calls, the server waits before it responds, as models do. Opening connections
  is included.
- Latency is measured with one clock for both processes. Events are sent 3 ms apart, so none waits
  for another.
- `ChatSunra` creates LangChain's own events itself. For other models, langchain-core creates them
  from chunks.
- The output of a stream is discarded immediately, as in a program that prints it.
"""


def document(run: Run) -> str:
    """`docs/benchmarks.md`."""
    parts = [_HOW, "\n".join(_circumstances(run)), "\n".join(_targets(run))]
    parts += ["\n".join(_measure(run, measure)) for measure in plan(quick=run.quick)]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def headlines(run: Run) -> str:
    """The README table: our cost as a fraction of the most widely used integration's."""
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
    """The README with the table between the markers replaced.

    Raises:
        ValueError: A marker is missing, or they are in the wrong order.
    """
    before, begun, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"README.md must contain {BEGIN} and then {END}")
    return f"{before}{BEGIN}\n{headlines(run)}\n{END}{after}"


def _circumstances(run: Run) -> Iterator[str]:
    yield "## Environment"
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    rough = " This was a quick run (`--quick`)." if run.quick else ""
    yield f"{run.began}, on {run.machine}.{rough} With {versions}."


def _targets(run: Run) -> Iterator[str]:
    yield "## Targets and results"
    yield ""
    rows = [_target(target, run) for target in targets() if target.found(run)]
    yield from _table(("Measure", "Class", "Compared with", "Target", "Result", "Met"), rows)


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
