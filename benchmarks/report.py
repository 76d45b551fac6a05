"""A benchmark run as Markdown: the page, and the block of the README."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.chart import in_words
from benchmarks.contestants import ALL, NAMED
from benchmarks.headlines import OTHERS, measured
from benchmarks.ratios import Spread
from benchmarks.run import Run
from benchmarks.scenarios import MANY
from benchmarks.targets import Target, targets

BEGIN = "<!-- benchmarks:begin -->"
END = "<!-- benchmarks:end -->"

_NOTHING = "—"
_WHOLE = 100
"""Figures of at least this size have no decimals."""
_QUICK = """\
!!! warning "Rough figures"

    These are from a quick run (`--quick`): few rounds, on a machine that may have been busy."""
_METHOD = """\
## Method

- A server in a separate process sends prebuilt bytes: a realistic stream of OpenAI-style chunks,
  or a small response. It does almost no work, so the client dominates the cost.
- Each class runs in its own process, in a virtual environment with the newest version of its
  package and the dependencies that this version selects. Ours is installed from a wheel.
- Classes have their default settings. They take turns in each round, and each round starts with
  another class.
- A ratio is computed within each round, so that other load on the machine affects both sides.
  Results are the median, with the lowest and the highest round in parentheses. Ratios are
  comparable between machines; microseconds are not.
- CPU time covers all threads of the process, without the garbage collector, which runs normally.
- *LangChain alone* and *LlamaIndex alone* are lower bounds: minimal models that return a response
  from memory, in the environment of our class. Per event they create only what the framework
  requires: an `AIMessageChunk` in a `ChatGenerationChunk`, or a `ChatResponse` with all text so
  far.
- *httpx* and *httpx2* read the same bytes and discard them.
- *[aiohttp]* uses aiohttp for async calls. The other rows of `ChatSunra` and `Sunra` use httpx.
  LlamaIndex installs aiohttp, so `Sunra` uses it by default.
- The import of a class is compared with the framework's parts that any chat model needs, imported
  in the same environment: `BaseChatModel`, tools and output parsers, or `FunctionCallingLLM`. The
  start of the interpreter is not included.
- Instances are created with each class's own HTTP client and called once. Their memory is the
  growth of the process.
- With many concurrent calls, the server waits 20 ms before it responds, as models do. Opening
  connections is included.
- Latency is measured with one clock for both processes. Events are sent 3 ms apart, so none waits
  for another.
- Chunks of a stream are discarded immediately, as in a program that prints them.

`make bench` measures on your machine and writes this page. [benchmarks.json](benchmarks.json) has
every figure of each round."""


def document(run: Run) -> str:
    """`docs/benchmarks.md`."""
    parts = ("\n".join(part(run)) for part in (_first_screen, _targets, _classes, _versions))
    first, *details = parts
    return "\n\n".join(part.strip() for part in (first, _METHOD, *details) if part.strip()) + "\n"


def readme_block(run: Run) -> str:
    """The chart, and a line that says what was compared."""
    versions = ", ".join(
        f"{package} {run.versions[name][package]}"
        for name in ("ChatSunra", *OTHERS.values())
        if (package := NAMED[name].package.partition("[")[0]) in run.versions.get(name, {})
    )
    rough = " Rough figures of a quick run." if run.quick else ""
    return (
        f"![{in_words(run)}](docs/benchmarks.svg)\n\n"
        f"Measured on {run.began} with {versions}.{rough}\n"
        "[Benchmarks](docs/benchmarks.md) describes the method and lists the targets we miss."
    )


def with_block(readme: str, run: Run) -> str:
    """The README with the text between the markers replaced.

    Raises:
        ValueError: A marker is missing, or they are in the wrong order.
    """
    before, begun, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"README.md must contain {BEGIN} and then {END}")
    return f"{before}{BEGIN}\n{readme_block(run)}\n{END}{after}"


def verdict(run: Run) -> str:
    """How many targets are met and missed."""
    met = [one.met(run) for one in targets()]
    return f"Targets: {met.count(True)} met, {met.count(False)} missed"


def _first_screen(run: Run) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    if run.quick:
        yield _QUICK
        yield ""
    yield "The client-side cost of `ChatSunra`, compared with LangChain's `ChatOpenAI`, and of"
    yield "`Sunra`, compared with LlamaIndex's `OpenAI`:"
    yield ""
    for row in measured(run):
        yield f"- {row.sentence(run)}"
    yield ""
    yield f"![{in_words(run)}](benchmarks.svg)"
    yield ""
    yield f"{verdict(run)}; see [Targets and results](#targets-and-results)."
    yield f"Measured on {run.began}, on {run.machine}."


def _targets(run: Run) -> Iterator[str]:
    yield "## Targets and results"
    yield ""
    yield f"{verdict(run)}. The table lists missed targets first."
    yield ""
    found = [target for target in targets() if target.found(run)]
    found.sort(key=lambda target: target.met(run) is not False)
    head = ("Measure", "Class", "Compared with", "Target", "Result", "Met")
    yield from _folded("All targets", _table(head, (_target(one, run) for one in found)))


def _target(target: Target, run: Run) -> tuple[str, ...]:
    found = target.found(run)
    against = _compared_with(target)
    promised = _NOTHING if target.limit is None else f"{target.sense} {target.limit:g}"
    kept = {True: "yes", False: "**no**", None: _NOTHING}[target.met(run)]
    return (target.what, target.ours, against, promised, _spread(found), kept)


def _compared_with(target: Target) -> str:
    if target.against_figure:
        return "its framework alone"
    return _NOTHING if target.against in {None, target.ours} else f"{target.against}"


_COLUMNS = {
    "Streamed text event": ("stream", f"text, {MANY} events a write, sync", 1),
    "Small response": ("invoke", "sync", 1),
    "Small response, async": ("invoke", "async", 1),
    "Import, ms": ("import", "import", 1000),
}


def _classes(run: Run) -> Iterator[str]:
    """CPU times of every class, for readers who use another one."""
    yield "## All classes"
    yield ""
    yield "CPU time in microseconds on this machine, of the import in milliseconds."
    yield ""
    rows = (
        (f"**{one.name}**" if one.role == "ours" else one.name, *_times(run, one.name))
        for one in ALL
    )
    shown = (row for row in rows if set(row[1:]) != {_NOTHING})
    yield from _folded("CPU times of all classes", _table(("Class", *_COLUMNS), shown))


def _times(run: Run, name: str) -> Iterator[str]:
    for measure, case, divisor in _COLUMNS.values():
        value = run.value(measure, case, name, "cpu_us")
        yield _NOTHING if value is None else _number(value.middle / divisor)


def _versions(run: Run) -> Iterator[str]:
    yield "## Versions"
    yield ""
    yield "The packages in the environment of each class that matter here."
    yield ""
    rows = (
        (name, ", ".join(f"{package} {version}" for package, version in versions.items()))
        for name, versions in run.versions.items()
    )
    yield from _folded("Versions by class", _table(("Class", "Versions"), rows, align="---"))


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Collapsed lines, on GitHub and on the site, which needs the extension md_in_html."""
    yield f'<details markdown="1"><summary>{title}</summary>'
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def _spread(found: Spread | None) -> str:
    if found is None:
        return _NOTHING
    if found.low == found.high:
        return _number(found.middle)
    return f"{_number(found.middle)} ({_number(found.low)} … {_number(found.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---:"
) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] + [align] * (len(head) - 1))
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
