"""What callbacks, events and spans get to see: each call once, and no secret."""

from __future__ import annotations

import inspect

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import root_dispatcher
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import SimpleSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import BaseModel, Field

from sunra_integrations.errors import RateLimited
from tests.llama_index.answers import call, said, streamed
from tests.llama_index.conftest import KEY
from tests.llama_index.ways import ASKED, STREAMED, WAYS
from tests.recorded_transport import completion, status


class Events(BaseEventHandler):
    seen: list = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event, **kwargs):
        self.seen.append(event)

    @property
    def names(self) -> list[str]:
        return [event.class_name() for event in self.seen]


class Spans(BaseSpanHandler[SimpleSpan]):
    seen: list = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Spans"

    def new_span(self, id_, bound_args, instance=None, parent_span_id=None, tags=None, **kwargs):
        self.seen.append((id_.partition("-")[0], str(bound_args), repr(instance)))
        return SimpleSpan(id_=id_, parent_id=parent_span_id)

    def prepare_to_exit_span(self, id_, bound_args, instance=None, result=None, **kwargs):
        return None

    def prepare_to_drop_span(self, id_, bound_args, instance=None, err=None, **kwargs):
        return None


class Callbacks(BaseCallbackHandler):
    def __init__(self) -> None:
        super().__init__([], [])
        self.seen = []

    def on_event_start(self, event_type, payload=None, event_id="", parent_id="", **kwargs):
        self.seen.append(("start", event_type, payload))
        return event_id

    def on_event_end(self, event_type, payload=None, event_id="", **kwargs):
        self.seen.append(("end", event_type, payload))

    def start_trace(self, trace_id=None):
        return None

    def end_trace(self, trace_id=None, trace_map=None):
        return None


@pytest.fixture
def watching():
    events, spans = Events(), Spans()
    root_dispatcher.add_event_handler(events)
    root_dispatcher.add_span_handler(spans)
    yield events, spans
    root_dispatcher.event_handlers.remove(events)
    root_dispatcher.span_handlers.remove(spans)


def answer(way: str):
    return streamed("Hel", "lo") if way in STREAMED else said("Hello")


@pytest.mark.parametrize("way", WAYS)
async def test_every_call_is_told_once_to_events_spans_and_callbacks(line, watching, way) -> None:
    events, spans = watching
    callbacks = Callbacks()
    llm = line(answer(way), callback_manager=CallbackManager([callbacks])).llm
    await WAYS[way](llm)
    kind = "LLMChat" if "chat" in way else "LLMCompletion"
    assert events.names.count(f"{kind}StartEvent") == 1
    assert events.names.count(f"{kind}EndEvent") == 1
    assert [name for name in events.names if "Start" in name] == [f"{kind}StartEvent"]
    assert [name for name, *_ in spans.seen] == [f"Sunra.{way}"]
    assert [(when, kind) for when, kind, _ in callbacks.seen] == [
        ("start", CBEventType.LLM),
        ("end", CBEventType.LLM),
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_no_secret_reaches_them(line, watching, way) -> None:
    events, spans = watching
    callbacks = Callbacks()
    llm = line(
        answer(way),
        callback_manager=CallbackManager([callbacks]),
        default_headers={"x-secret": "header-secret"},
    ).llm
    await WAYS[way](llm, extra_headers={"x-other": "header-secret"}, temperature=0)
    seen = [
        *map(str, events.seen),
        *(event.model_dump_json() for event in events.seen),
        str(spans.seen),
        str(callbacks.seen),
    ]
    for secret in (KEY, "header-secret"):
        assert not [text for text in seen if secret in text]
    (start,) = [event for event in events.seen if "Start" in event.class_name()]
    assert start.additional_kwargs["temperature"] == 0
    assert "x-other" in str(start.additional_kwargs)
    assert start.model_dict["model"] == "openai/gpt-4o"


class Song(BaseModel):
    """A song."""

    title: str


HEADERS = {"extra_headers": {"x-other": "header-secret"}}
PROMPT = PromptTemplate("A song.")
SING = FunctionTool.from_defaults(fn=lambda: "la", name="sing")
SUNG = said(None, tool_calls=[call("c1", "sing", {})])
TITLED, FLOWING = said('{"title": "a"}'), streamed('{"title": "a"}')


async def drained(stream):
    return [one async for one in await stream]


ELSEWHERE = {
    "structured_predict": (TITLED, lambda m: m.structured_predict(Song, PROMPT, HEADERS)),
    "structured_predict, by name": (
        TITLED,
        lambda m: m.structured_predict(Song, PROMPT, llm_kwargs=HEADERS),
    ),
    "astructured_predict": (TITLED, lambda m: m.astructured_predict(Song, PROMPT, HEADERS)),
    "stream_structured_predict": (
        FLOWING,
        lambda m: list(m.stream_structured_predict(Song, PROMPT, HEADERS)),
    ),
    "astream_structured_predict": (
        FLOWING,
        lambda m: drained(m.astream_structured_predict(Song, PROMPT, HEADERS)),
    ),
    "structured chat": (TITLED, lambda m: m.as_structured_llm(Song).chat(ASKED, **HEADERS)),
    "structured achat": (TITLED, lambda m: m.as_structured_llm(Song).achat(ASKED, **HEADERS)),
    "structured complete": (TITLED, lambda m: m.as_structured_llm(Song).complete("a", **HEADERS)),
    "structured acomplete": (
        TITLED,
        lambda m: m.as_structured_llm(Song).acomplete("a", **HEADERS),
    ),
    "structured stream_chat": (
        FLOWING,
        lambda m: list(m.as_structured_llm(Song).stream_chat(ASKED, **HEADERS)),
    ),
    "structured astream_complete": (
        FLOWING,
        lambda m: drained(m.as_structured_llm(Song).astream_complete("a", **HEADERS)),
    ),
    "chat_with_tools": (SUNG, lambda m: m.chat_with_tools([SING], "Sing.", **HEADERS)),
    "predict_and_call": (SUNG, lambda m: m.predict_and_call([SING], "Sing.", **HEADERS)),
    "apredict_and_call": (SUNG, lambda m: m.apredict_and_call([SING], "Sing.", **HEADERS)),
}


@pytest.mark.parametrize("name", ELSEWHERE)
async def test_no_secret_of_other_methods_reaches_them_either(line, watching, name) -> None:
    events, spans = watching
    answer, ask = ELSEWHERE[name]
    told = line(answer)
    asked = ask(told.llm)
    if inspect.isawaitable(asked):
        await asked
    assert told.wire.sent[-1].headers["x-other"] == "header-secret"
    assert spans.seen
    assert "header-secret" not in str(events.seen)
    assert "header-secret" not in str(spans.seen)


@pytest.mark.parametrize("way", WAYS)
async def test_tokens_are_counted_as_the_server_counted_them(line, way) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    await WAYS[way](line(answer(way), callback_manager=CallbackManager([counter])).llm)
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (3, 2)


def test_tool_calls_without_usage_can_be_counted(line) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = line(
        streamed({"tool_calls": [call("c1", "add", {"a": 1}, index=0)]}),
        completion({"choices": [{"message": {"content": "1"}, "finish_reason": "stop"}]}),
        callback_manager=CallbackManager([counter]),
        stream_options={},
    ).llm
    *_, last = llm.stream_chat(ASKED)
    result = ChatMessage(role="tool", content="1", additional_kwargs={"tool_call_id": "c1"})
    llm.chat([*ASKED, last.message, result])
    assert counter.total_llm_token_count > 0


def test_an_error_ends_the_event(line, watching) -> None:
    callbacks = Callbacks()
    llm = line(status(429, b"{}"), callback_manager=CallbackManager([callbacks])).llm
    with pytest.raises(RateLimited):
        llm.chat(ASKED)
    with pytest.raises(RateLimited):
        list(llm.stream_chat(ASKED))
    calls = [when for when, kind, _ in callbacks.seen if kind == CBEventType.LLM]
    assert calls == ["start", "end"] * 2


def test_structured_prediction_is_told(line, watching) -> None:
    events, _ = watching
    line(said('{"title": "a"}')).llm.structured_predict(Song, PromptTemplate("A song."))
    assert events.names.count("LLMStructuredPredictStartEvent") == 1
    assert events.names.count("LLMStructuredPredictEndEvent") == 1
    *_, end = events.seen
    assert end.output == Song(title="a")


async def test_streamed_structured_prediction_is_told(line, watching) -> None:
    events, _ = watching
    llm = line(streamed('{"tit', 'le": "a"}')).llm
    list(llm.stream_structured_predict(Song, PromptTemplate("A song.")))
    async for _ in await llm.astream_structured_predict(Song, PromptTemplate("A song.")):
        pass
    assert events.names.count("LLMStructuredPredictStartEvent") == 2
    assert events.names.count("LLMStructuredPredictEndEvent") == 2
    assert "LLMStructuredPredictInProgressEvent" in events.names
