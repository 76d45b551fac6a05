"""Spans: one per call, named for the instance's class, with the instance, begun and ended right."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import root_dispatcher
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode as Mode
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import SimpleSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import BaseModel, Field

from sunra_integrations.errors import SunraError
from tests.llama_index.answers import call, said, streamed
from tests.llama_index.ways import ASKED, STREAMED, WAYS
from tests.recorded_transport import status

CURRENT: ContextVar[str | None] = ContextVar("current", default=None)


@dataclass
class Seen:
    """What was shown of a span."""

    instance: object
    parent: str | None
    arguments: dict[str, Any]
    ended: str = "open"


class Spans(BaseSpanHandler[SimpleSpan]):
    """Keeps what is shown of spans, and makes each current as OpenTelemetry's handlers do."""

    seen: dict[str, Any] = Field(default_factory=dict)
    tokens: dict[str, Any] = Field(default_factory=dict)
    failures: list[str] = Field(default_factory=list)

    def new_span(self, id_, bound_args, instance=None, parent_span_id=None, tags=None, **_):
        named = dict(bound_args.arguments)
        self.seen[id_] = Seen(instance, parent_span_id, named)
        self.tokens[id_] = CURRENT.set(id_)
        return SimpleSpan(id_=id_, parent_id=parent_span_id)

    def prepare_to_exit_span(self, id_, bound_args, instance=None, result=None, **_):
        return self.end(id_, instance, "exit")

    def prepare_to_drop_span(self, id_, bound_args, instance=None, err=None, **_):
        return self.end(id_, instance, type(err).__name__)

    def end(self, id_, instance, how) -> SimpleSpan:
        span = self.seen[id_]
        assert span.ended == "open"
        span.ended = how if instance is span.instance else f"{how} of another instance"
        token: Token[str | None] = self.tokens.pop(id_)
        try:
            CURRENT.reset(token)
        except ValueError as error:  # what OpenTelemetry logs as "Failed to detach context"
            self.failures.append(str(error))
        return self.open_spans[id_]

    @property
    def tree(self) -> list[tuple[str, str | None]]:
        """Each span's name and that of its parent, in the order in which they began."""
        return [(_name(id_), span.parent and _name(span.parent)) for id_, span in self.seen.items()]


def _name(id_: str) -> str:
    return id_.partition("-")[0]


@pytest.fixture
def spans() -> Iterator[Spans]:
    handler = Spans()
    root_dispatcher.add_span_handler(handler)
    yield handler
    root_dispatcher.span_handlers.remove(handler)


class Song(BaseModel):
    """A song."""

    title: str = ""


SONG = '{"title": "a"}'
PROMPT = PromptTemplate("A song.")


def sing(title: str = "") -> str:
    """Sings."""
    return title


SING = FunctionTool.from_defaults(sing)
CALLED = {"tool_calls": [call("c1", "sing", {"title": "a"}, index=0)]}
WHOLE, FLOWING = said(SONG), streamed('{"tit', 'le": "a"}')
WHOLE_CALL, FLOWING_CALL = said(None, **CALLED), streamed(CALLED, finish_reason="tool_calls")

Ask = Callable[[Any], Any]


async def _all(stream: Awaitable[Any]) -> list[Any]:
    return [one async for one in await stream]


def _chain(*names: str) -> list[tuple[str, str | None]]:
    return list(zip(names, (None, *names), strict=False))


# How a method is asked, and the spans that it makes, each within the one before.
CASES: dict[str, tuple[Any, Ask, list[str]]] = {
    "predict": (WHOLE, lambda m: m.predict(PROMPT), ["predict", "chat"]),
    "apredict": (WHOLE, lambda m: m.apredict(PROMPT), ["apredict", "achat"]),
    "stream": (FLOWING, lambda m: list(m.stream(PROMPT)), ["stream", "stream_chat"]),
    "astream": (FLOWING, lambda m: _all(m.astream(PROMPT)), ["astream", "astream_chat"]),
    "structured_predict": (
        WHOLE,
        lambda m: m.structured_predict(Song, PROMPT),
        ["structured_predict", "chat"],
    ),
    "astructured_predict": (
        WHOLE,
        lambda m: m.astructured_predict(Song, PROMPT),
        ["astructured_predict", "achat"],
    ),
    "stream_structured_predict": (
        FLOWING,
        lambda m: list(m.stream_structured_predict(Song, PROMPT)),
        ["stream_structured_predict", "stream_chat"],
    ),
    "astream_structured_predict": (
        FLOWING,
        lambda m: _all(m.astream_structured_predict(Song, PROMPT)),
        ["astream_structured_predict", "astream_chat"],
    ),
}
STRUCTURED: dict[str, tuple[Any, Ask, list[str]]] = {
    "chat": (
        WHOLE,
        lambda m: m.chat(ASKED),
        ["StructuredSunra.chat", "Sunra.structured_predict", "Sunra.chat"],
    ),
    "achat": (
        WHOLE,
        lambda m: m.achat(ASKED),
        ["StructuredSunra.achat", "Sunra.astructured_predict", "Sunra.achat"],
    ),
    "complete": (
        WHOLE,
        lambda m: m.complete("Hi"),
        [
            "StructuredSunra.complete",
            "StructuredSunra.chat",
            "Sunra.structured_predict",
            "Sunra.chat",
        ],
    ),
    "acomplete": (
        WHOLE,
        lambda m: m.acomplete("Hi"),
        [
            "StructuredSunra.acomplete",
            "StructuredSunra.achat",
            "Sunra.astructured_predict",
            "Sunra.achat",
        ],
    ),
    "stream_chat": (
        FLOWING,
        lambda m: list(m.stream_chat(ASKED)),
        ["StructuredSunra.stream_chat", "Sunra.stream_structured_predict", "Sunra.stream_chat"],
    ),
    "astream_chat": (
        FLOWING,
        lambda m: _all(m.astream_chat(ASKED)),
        ["StructuredSunra.astream_chat", "Sunra.astream_structured_predict", "Sunra.astream_chat"],
    ),
    "stream": (
        FLOWING,
        lambda m: list(m.stream(PROMPT)),
        [
            "StructuredSunra.stream",
            "StructuredSunra.stream_chat",
            "Sunra.stream_structured_predict",
            "Sunra.stream_chat",
        ],
    ),
    "astream": (
        FLOWING,
        lambda m: _all(m.astream(PROMPT)),
        [
            "StructuredSunra.astream",
            "StructuredSunra.astream_chat",
            "Sunra.astream_structured_predict",
            "Sunra.astream_chat",
        ],
    ),
}
WITH_TOOLS: dict[str, tuple[Any, Ask, list[tuple[str, str | None]]]] = {
    "chat_with_tools": (
        WHOLE_CALL,
        lambda m: m.chat_with_tools([SING], "Sing."),
        [("Sunra._prepare_chat_with_tools", None), ("Sunra.chat", None)],
    ),
    "stream_chat_with_tools": (
        FLOWING_CALL,
        lambda m: list(m.stream_chat_with_tools([SING], "Sing.")),
        [("Sunra._prepare_chat_with_tools", None), ("Sunra.stream_chat", None)],
    ),
    "predict_and_call": (
        WHOLE_CALL,
        lambda m: m.predict_and_call([SING], "Sing."),
        [
            ("Sunra.predict_and_call", None),
            ("Sunra._prepare_chat_with_tools", "Sunra.predict_and_call"),
            ("Sunra.chat", "Sunra.predict_and_call"),
        ],
    ),
    "apredict_and_call": (
        WHOLE_CALL,
        lambda m: m.apredict_and_call([SING], "Sing."),
        [
            ("Sunra.apredict_and_call", None),
            ("Sunra._prepare_chat_with_tools", "Sunra.apredict_and_call"),
            ("Sunra.achat", "Sunra.apredict_and_call"),
        ],
    ),
}


async def _ask(ask: Ask, llm: Any) -> None:
    answered = ask(llm)
    if isinstance(answered, Awaitable):
        await answered


def _all_ended(spans: Spans) -> bool:
    return {span.ended for span in spans.seen.values()} == {"exit"} and spans.failures == []


@pytest.mark.parametrize("way", WAYS)
async def test_one_of_the_eight_methods_is_one_span_of_its_instance(line, spans, way) -> None:
    llm = line(streamed("Hello") if way in STREAMED else said("Hello")).llm
    await WAYS[way](llm, temperature=0.5, extra_headers={"x-secret": "header-secret"})
    assert spans.tree == [(f"Sunra.{way}", None)]
    (span,) = spans.seen.values()
    assert span.instance is llm
    assert "self" not in span.arguments
    assert span.arguments["kwargs"]["temperature"] == 0.5
    assert "header-secret" not in str(span.arguments)
    assert _all_ended(spans)


@pytest.mark.parametrize("name", CASES)
async def test_a_method_over_them_is_one_span_with_theirs_in_it(line, spans, name) -> None:
    answer, ask, names = CASES[name]
    llm = line(answer).llm
    await _ask(ask, llm)
    assert spans.tree == _chain(*(f"Sunra.{one}" for one in names))
    assert all(span.instance is llm for span in spans.seen.values())
    assert _all_ended(spans)


@pytest.mark.parametrize("name", STRUCTURED)
async def test_a_structured_llm_is_one_span_with_those_of_its_llm_in_it(line, spans, name) -> None:
    answer, ask, names = STRUCTURED[name]
    llm = line(answer).llm
    structured = llm.as_structured_llm(Song)
    await _ask(ask, structured)
    assert spans.tree == _chain(*names)
    for id_, span in spans.seen.items():
        assert span.instance is (structured if id_.startswith("StructuredSunra.") else llm)
    assert _all_ended(spans)


@pytest.mark.parametrize("name", WITH_TOOLS)
async def test_chat_with_tools_makes_the_spans_of_any_llm(line, spans, name) -> None:
    answer, ask, tree = WITH_TOOLS[name]
    llm = line(answer).llm
    await _ask(ask, llm)
    assert [one for one in spans.tree if one[0].startswith("Sunra.")] == tree
    assert all(span.instance is llm for id_, span in spans.seen.items() if id_.startswith("Sunra."))
    assert _all_ended(spans)


async def test_a_mode_of_the_frameworks_own_is_one_span_too(line, spans) -> None:
    llm = line(WHOLE, pydantic_program_mode=Mode.OPENAI).llm  # needs a package that is not here
    with pytest.raises(ImportError):
        llm.structured_predict(Song, PROMPT)
    with pytest.raises(ImportError):
        await llm.astructured_predict(Song, PROMPT)
    assert spans.tree == [("Sunra.structured_predict", None), ("Sunra.astructured_predict", None)]


FAILED = status(400, b"No.")


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_drops_the_span(line, spans, way) -> None:
    with pytest.raises(SunraError):
        await WAYS[way](line(FAILED).llm)
    (span,) = spans.seen.values()
    assert span.ended == "BadRequest"
    assert spans.failures == []


@pytest.mark.parametrize("name", CASES)
async def test_an_error_drops_every_span_around_it(line, spans, name) -> None:
    with pytest.raises(SunraError):
        await _ask(CASES[name][1], line(FAILED).llm)
    assert {span.ended for span in spans.seen.values()} == {"BadRequest"}
    assert spans.failures == []


@pytest.mark.parametrize("name", STRUCTURED)
async def test_an_error_drops_every_span_of_a_structured_llm(line, spans, name) -> None:
    with pytest.raises(SunraError):
        await _ask(STRUCTURED[name][1], line(FAILED).llm.as_structured_llm(Song))
    assert {span.ended for span in spans.seen.values()} == {"BadRequest"}
    assert spans.failures == []


async def test_a_span_is_current_for_no_one_else_and_ends_where_it_began(line, spans) -> None:
    llm = line(streamed("Hel", "lo")).llm
    left, unread = llm.stream_chat(ASKED), llm.stream_chat(ASKED)
    aleft = await llm.astream_chat(ASKED)
    next(left)
    await anext(aleft)
    assert CURRENT.get() is None
    left.close()
    await aleft.aclose()
    del unread
    assert len(spans.seen) == 3
    assert _all_ended(spans)


class Events(BaseEventHandler):
    """Keeps how the span of each event had ended when the event came."""

    spans: Spans
    seen: list[str] = Field(default_factory=list)

    def handle(self, event, **_):
        self.seen.append(self.spans.seen[event.span_id].ended)


async def test_a_stream_that_is_dropped_half_read_ends_its_span_after_its_last_event(
    line, spans, monkeypatch
) -> None:
    events = Events(spans=spans)
    monkeypatch.setattr(root_dispatcher, "event_handlers", [events])
    llm = line(streamed("Hel", "lo")).llm
    left, aleft = llm.stream_chat(ASKED), await llm.astream_chat(ASKED)
    next(left)
    await anext(aleft)
    del left, aleft
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)  # the event loop closes the async one
    assert set(events.seen) == {"open"}
    assert _all_ended(spans)


def test_a_span_of_a_subclass_has_its_name(line, spans) -> None:
    llm = line().llm

    class Ours(type(llm)):
        """A class of the user's."""

    ours = Ours(**{**llm.__dict__, "api_key": llm.api_key})
    ours.chat([ChatMessage("Hi")])
    assert spans.tree == [("Ours.chat", None)]
