"""Performance targets of the package."""

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
    """A target for one figure of a run.

    Args:
        what: Description.
        ours: Our class.
        measure: Name of the measure.
        case: Case of the measure.
        figure: Figure of the case.
        limit: The limit. None if there is no target.
        against: The class to divide by. None for the absolute figure.
        against_case: The case of that class, if different.
        against_figure: The figure of that class, if different.
        sense: Whether the limit is a maximum or a minimum.
    """

    what: str
    ours: str
    measure: str
    case: str
    figure: str
    limit: float | None
    against: str | None = None
    against_case: str | None = None
    against_figure: str | None = None
    sense: Sense = "at most"

    def found(self, run: Run) -> Spread | None:
        """The figure, or the ratio per round. None if not measured."""
        ours = run.rounds(self.measure, self.case, self.ours, self.figure)
        if self.against is None:
            return run.value(self.measure, self.case, self.ours, self.figure)
        case, figure = self.against_case or self.case, self.against_figure or self.figure
        return ratio(ours, run.rounds(self.measure, case, self.against, figure))

    def met(self, run: Run) -> bool | None:
        """Whether the target is met. None if there is no figure or no limit."""
        found = self.found(run)
        if found is None or self.limit is None:
            return None
        if self.sense == "at least":
            return found.middle >= self.limit
        return found.middle <= self.limit


@dataclass(frozen=True)
class _Side:
    """The classes of one framework."""

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
    """All targets."""
    return tuple(
        target
        for group in (
            _streams,
            _responses,
            _events,
            _answers,
            _starting,
            _crowds,
            _growth,
            _big,
            _latency,
        )
        for target in group()
    )


def _streams() -> Iterator[Target]:
    for side in _BOTH:
        for way in _WAYS:
            case = f"text, {MANY} events a write, {way}"
            what = f"CPU per streamed text event, {way}"
            limit = _TEXT[side.ours]
            yield Target(what, side.ours, "stream", case, "cpu_us", limit, side.peer)
            yield Target(what, side.ours, "stream", case, "cpu_us", 1.3, side.floor)
        for kind, limit in _OTHERS.items():
            for way in _WAYS:
                case = f"{kind}, {MANY} events a write, {way}"
                what = f"CPU per streamed event, {kind}, {way}"
                yield Target(what, side.ours, "stream", case, "cpu_us", limit, side.peer)


def _responses() -> Iterator[Target]:
    for side in _BOTH:
        for kind in ("text", "tools"):
            for way in _WAYS:
                what = f"CPU per streamed event of the Responses API, {kind}, {way}"
                case = f"{kind}, {way}"
                yield Target(what, side.ours, "responses", case, "cpu_us", None, side.peer)


def _events() -> Iterator[Target]:
    for way in _WAYS:
        what = f'CPU per stream event, `stream_events(version="v3")`, {way}'
        case = f"text, {way}"
        yield Target(what, "ChatSunra", "events", case, "cpu_us", 0.4, "ChatOpenAI")


def _answers() -> Iterator[Target]:
    for side in _BOTH:
        for way, limit in _ANSWER.items():
            what = f"CPU per small response, {way}"
            yield Target(what, side.ours, "invoke", way, "cpu_us", limit, side.peer)
        what = "CPU per small response, async"
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
            side.ours,
            against_figure="framework_cpu_us",
        )
        what = "memory of an instance after a call, different settings"
        yield Target(what, side.ours, "instances", distinct, "kb", 0.6, side.peer)
        what = "httpx clients added by instances with the same settings"
        yield Target(what, side.ours, "instances", "set alike", "clients_added", 0)
        what = "TLS contexts added by instances with the same settings"
        yield Target(what, side.ours, "instances", "set alike", "tls_added", 0)
    what = "CPU to create an instance, shared connection pool"
    case = "set alike"
    yield Target(what, "ChatSunra", "instances", case, "construct_us", 0.25, "ChatOpenAI")


def _crowds() -> Iterator[Target]:
    case, figure = "256 at once, async", "calls_per_second"
    for side in _BOTH:
        for ours, limit in ((side.ours, 3.0), (side.on_aiohttp, 8.0)):
            what = "calls per second, 256 concurrent calls"
            yield Target(what, ours, "crowd", case, figure, limit, side.peer, sense="at least")
            yield Target("errors, 256 concurrent calls", ours, "crowd", case, "errors", 0)


def _growth() -> Iterator[Target]:
    first, last, figure = "1,000 events", "100,000 events", "cpu_us"
    what = "CPU per event at 100,000 events, compared with 1,000"
    yield Target(what, "ChatSunra", "growth", last, figure, 1.1, "ChatSunra", first)
    yield Target(what, "Sunra", "growth", last, figure, None, "Sunra", first)
    yield Target(what, "LlamaIndex alone", "growth", last, figure, None, "LlamaIndex alone", first)
    what = "peak memory of 100,000 events, discarded"
    for side in _BOTH:
        yield Target(what, side.ours, "growth", last, "peak_kb", 1.1, side.floor)


def _big() -> Iterator[Target]:
    for side in _BOTH:
        what = "CPU of a call with 2,000 messages"
        yield Target(what, side.ours, "big", "2,000 messages", "cpu_us", 0.03, side.peer)
        what = "CPU of a call with a 10 MB image"
        case = "a 10 MB image"
        yield Target(what, side.ours, "big", case, "cpu_us", 0.4, side.peer)
        what = "copies of a 10 MB image during a call"
        yield Target(what, side.ours, "image", case, "copies", 2.05)
    what, case = "CPU of a call with 100 tools", "100 tools"
    yield Target(what, "ChatSunra", "big", case, "cpu_us", 0.2, "ChatOpenAI")
    yield Target(what, "Sunra", "big", case, "cpu_us", 1.05, "LlamaIndex alone")


def _latency() -> Iterator[Target]:
    for side in _BOTH:
        for way in _WAYS:
            what = f"latency from call to complete request (client to server), {way}"
            yield Target(what, side.ours, "latency", way, "whole_us", 0.4, side.peer)
            what = f"latency per streamed token (server send to your code), {way}"
            yield Target(what, side.ours, "latency", way, "flush_us", 0.5, side.peer)
