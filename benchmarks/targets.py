"""What the package promises of its speed, each promise as a figure of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.ratios import Spread, ratio
from benchmarks.run import Run
from benchmarks.scenarios import MANY

Sense = Literal["at most", "at least"]


@dataclass(frozen=True)
class Target:
    """One promise.

    Args:
        what: In words.
        ours: Who must keep it.
        measure: Where the figure is found.
        case: Where the figure is found.
        figure: Where the figure is found.
        limit: The bound; None where it is only measured.
        against: Whose figure ours is divided by; None for our figure as it is.
        against_case: The other's case, where it is another one.
        sense: Which side of the limit is good.
        headline: Its row in the README's table, if it has one.
    """

    what: str
    ours: str
    measure: str
    case: str
    figure: str
    limit: float | None
    against: str | None = None
    against_case: str | None = None
    sense: Sense = "at most"
    headline: str | None = None

    def found(self, run: Run) -> Spread | None:
        """The figure, or the median of the ratios within each round; None if not measured."""
        ours = run.rounds(self.measure, self.case, self.ours, self.figure)
        if self.against is None:
            return run.value(self.measure, self.case, self.ours, self.figure)
        case = self.against_case or self.case
        return ratio(ours, run.rounds(self.measure, case, self.against, self.figure))

    def met(self, run: Run) -> bool | None:
        """Whether it is kept; None where that cannot be said."""
        found = self.found(run)
        if found is None or self.limit is None:
            return None
        if self.sense == "at least":
            return found.middle >= self.limit
        return found.middle <= self.limit


@dataclass(frozen=True)
class _Side:
    """One framework's contestants."""

    ours: str
    peer: str
    floor: str

    @property
    def on_aiohttp(self) -> str:
        return f"{self.ours}[aiohttp]"


_LANGCHAIN = _Side("ChatSunra", "ChatOpenAI", "LangChain alone")
_LLAMA_INDEX = _Side("Sunra", "OpenAI", "LlamaIndex alone")
_BOTH = (_LANGCHAIN, _LLAMA_INDEX)
_WAYS = ("sync", "async")
_TEXT = {"ChatSunra": 0.12, "Sunra": 0.16}
_OTHERS = {"tools": 0.15, "logprobs": 0.2}
_ANSWER = {"sync": 0.35, "async": 0.42}


def targets() -> tuple[Target, ...]:
    """All of them."""
    return tuple(
        target
        for group in (_streams, _events, _answers, _starting, _crowds, _growth, _big, _latency)
        for target in group()
    )


def _streams() -> Iterator[Target]:
    for side in _BOTH:
        for way in _WAYS:
            case = f"text, {MANY} events a write, {way}"
            what = f"CPU per streamed text event, {way}"
            yield Target(
                what,
                side.ours,
                "stream",
                case,
                "cpu_us",
                _TEXT[side.ours],
                side.peer,
                headline=what,
            )
            yield Target(what, side.ours, "stream", case, "cpu_us", 1.3, side.floor)
        for kind, limit in _OTHERS.items():
            for way in _WAYS:
                case = f"{kind}, {MANY} events a write, {way}"
                what = f"CPU per streamed event, {kind}, {way}"
                headline = f"CPU per tool-call delta, {way}" if kind == "tools" else None
                yield Target(
                    what, side.ours, "stream", case, "cpu_us", limit, side.peer, headline=headline
                )


def _events() -> Iterator[Target]:
    for way in _WAYS:
        what = f'CPU per event of the wire, `stream_events(version="v3")`, {way}'
        case = f"text, {way}"
        yield Target(what, "ChatSunra", "events", case, "cpu_us", 0.4, "ChatOpenAI")


def _answers() -> Iterator[Target]:
    for side in _BOTH:
        for way, limit in _ANSWER.items():
            what = f"CPU per small answer, {way}"
            yield Target(what, side.ours, "invoke", way, "cpu_us", limit, side.peer, headline=what)
        what = "CPU per small answer, async"
        yield Target(what, side.on_aiohttp, "invoke", "async", "cpu_us", 0.3, side.peer)


def _starting() -> Iterator[Target]:
    distinct = "each with a base URL of its own"
    for side in _BOTH:
        yield Target(
            "CPU of the import",
            side.ours,
            "import",
            "import",
            "cpu_us",
            1.08,
            side.floor,
            headline="CPU of the import, against the framework's core alone",
        )
        what = "memory of an instance after a call, each set differently"
        yield Target(what, side.ours, "instances", distinct, "kb", 0.6, side.peer, headline=what)
        what = "httpx clients added by instances set alike"
        yield Target(what, side.ours, "instances", "set alike", "clients_added", 0)
        what = "TLS contexts added by instances set alike"
        yield Target(what, side.ours, "instances", "set alike", "tls_added", 0)
    what = "CPU to make an instance, sharing one pool"
    case = "set alike"
    yield Target(
        what, "ChatSunra", "instances", case, "construct_us", 0.25, "ChatOpenAI", headline=what
    )


def _crowds() -> Iterator[Target]:
    case, figure = "256 at once, async", "calls_per_second"
    for side in _BOTH:
        for ours, limit in ((side.ours, 3.0), (side.on_aiohttp, 8.0)):
            what = "calls per second, 256 at once"
            yield Target(
                what,
                ours,
                "crowd",
                case,
                figure,
                limit,
                side.peer,
                sense="at least",
                headline=f"{what}, on aiohttp" if ours == side.on_aiohttp else what,
            )
            yield Target("errors, 256 at once", ours, "crowd", case, "errors", 0)


def _growth() -> Iterator[Target]:
    first, last, figure = "1,000 events", "100,000 events", "cpu_us"
    what = "CPU per event at 100,000 events, against 1,000"
    yield Target(what, "ChatSunra", "growth", last, figure, 1.1, "ChatSunra", first)
    yield Target(what, "Sunra", "growth", last, figure, None, "Sunra", first)
    yield Target(what, "LlamaIndex alone", "growth", last, figure, None, "LlamaIndex alone", first)
    what = "peak memory of 100,000 events, dropped"
    for side in _BOTH:
        yield Target(what, side.ours, "growth", last, "peak_kb", 1.1, side.floor)


def _big() -> Iterator[Target]:
    for side in _BOTH:
        what = "CPU of a call with 2,000 messages"
        yield Target(
            what, side.ours, "big", "2,000 messages", "cpu_us", 0.03, side.peer, headline=what
        )
        what = "CPU of a call with a 10 MB image"
        case = "a 10 MB image"
        yield Target(what, side.ours, "big", case, "cpu_us", 0.4, side.peer, headline=what)
        what = "copies of a 10 MB image made by a call, at its peak"
        yield Target(what, side.ours, "image", case, "copies", 2.05)
    what, case = "CPU of a call with 100 tools", "100 tools"
    yield Target(what, "ChatSunra", "big", case, "cpu_us", 0.2, "ChatOpenAI", headline=what)
    yield Target(what, "Sunra", "big", case, "cpu_us", 1.05, "LlamaIndex alone")


def _latency() -> Iterator[Target]:
    for side in _BOTH:
        for way in _WAYS:
            what = f"call to request whole at the server, {way}"
            yield Target(what, side.ours, "latency", way, "whole_us", 0.4, side.peer, headline=what)
            what = f"flush of an event to the user holding it, {way}"
            yield Target(what, side.ours, "latency", way, "flush_us", 0.5, side.peer, headline=what)
