"""What callbacks and events hear of a stream is the same whether or not each response is told."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.schema import EventPayload
from llama_index.core.instrumentation import root_dispatcher
from llama_index.core.llms import callbacks as framework
from llama_index.core.llms.callbacks import llm_chat_callback

from sunra_integrations.llama_index import Sunra, fast_path
from sunra_integrations.llama_index.instrumentation import awith_callbacks, with_callbacks
from tests.llama_index.test_events import Callbacks, Events

ASKED = [ChatMessage("Hi")]


class Broken(Exception):
    pass


@contextmanager
def listening() -> Iterator[Events]:
    events = Events()
    root_dispatcher.add_event_handler(events)
    try:
        yield events
    finally:
        root_dispatcher.event_handlers.remove(events)


def responses(length: int, broken: bool) -> Generator[ChatResponse, None, None]:
    for number in range(length):
        yield ChatResponse(message=ChatMessage(str(number)), delta=str(number))
    if broken:
        raise Broken


async def aresponses(length: int, broken: bool):
    for response in responses(length, broken):
        yield response


def model() -> tuple[Sunra, Callbacks]:
    callbacks = Callbacks()
    return Sunra(model="a/b", api_key="k", callback_manager=CallbackManager([callbacks])), callbacks


def drain(llm: Sunra, length: int, broken: bool) -> list[str | None]:
    def stream(_: object) -> Generator[ChatResponse, None, None]:
        return responses(length, broken)

    read: list[str | None] = []
    try:
        read.extend(r.delta for r in with_callbacks(llm, llm_chat_callback(), stream, ASKED))
    except Broken:
        read.append(None)
    return read


async def adrain(llm: Sunra, length: int, broken: bool) -> list[str | None]:
    read: list[str | None] = []
    opened = awith_callbacks(llm, llm_chat_callback(), lambda _: aresponses(length, broken), ASKED)
    try:
        async for response in await opened:
            read += [response.delta]
    except Broken:
        read.append(None)
    return read


def told(callbacks: Callbacks) -> list[tuple[str, object, object]]:
    return [
        (
            when,
            (payload or {}).get(EventPayload.RESPONSE),
            type(payload.get(EventPayload.EXCEPTION)),
        )
        for when, _, payload in callbacks.seen
    ]


@given(length=st.integers(0, 5), broken=st.booleans())
async def test_callbacks_are_told_the_same_with_and_without_listeners(length, broken) -> None:
    read, heard = [], []
    for listened in (False, True):
        (llm, callbacks), (allm, acallbacks) = model(), model()
        if listened:
            with listening():
                read += [drain(llm, length, broken), await adrain(allm, length, broken)]
        else:
            read += [drain(llm, length, broken), await adrain(allm, length, broken)]
        heard += [told(callbacks), told(acallbacks)]
    whole = [*map(str, range(length)), *([None] if broken else [])]
    assert read == [whole] * 4
    assert heard == [heard[0]] * 4


@pytest.mark.parametrize("listened", [False, True])
async def test_a_stream_that_is_left_ends_its_event_and_is_closed(listened) -> None:
    closed: list[str] = []

    def stream(_: object) -> Generator[ChatResponse, None, None]:
        try:
            yield from responses(5, broken=False)
        finally:
            closed.append("sync")

    async def astream(_: object):
        try:
            for response in responses(5, broken=False):
                yield response
        finally:
            closed.append("async")

    async def leave_both() -> list[Callbacks]:
        (llm, callbacks), (allm, acallbacks) = model(), model()
        left = with_callbacks(llm, llm_chat_callback(), stream, ASKED)
        aleft = await awith_callbacks(allm, llm_chat_callback(), astream, ASKED)
        for _ in range(3):
            next(left)
            await anext(aleft)
        left.close()
        await aleft.aclose()
        return [callbacks, acallbacks]

    if listened:
        with listening():
            both = await leave_both()
    else:
        both = await leave_both()
    assert closed == ["sync", "async"]
    for callbacks in both:
        *_, (when, _, payload) = callbacks.seen
        assert when == "end"
        assert isinstance(payload[EventPayload.EXCEPTION], GeneratorExit)


@given(heard=st.lists(st.booleans(), max_size=8))
async def test_every_response_comes_once_however_listeners_come_and_go(heard) -> None:
    def come_and_go(stream):
        for listened in heard:
            if listened:
                with listening() as events:
                    yield next(stream), events
            else:
                yield next(stream), None

    length = len(heard)
    llm, callbacks = model()
    read = []
    stream = with_callbacks(
        llm, llm_chat_callback(), lambda _: responses(length, broken=False), ASKED
    )
    for response, events in come_and_go(stream):
        read.append(response.delta)
        if events is not None:
            assert [e.response for e in events.seen if "InProgress" in e.class_name()][-1:] == [
                response
            ]
    assert next(stream, None) is None
    assert read == [*map(str, range(length))]
    assert told(callbacks)[-1][1] == (response if heard else None)


async def test_while_nobody_listens_no_event_is_made_for_each_response(monkeypatch) -> None:
    made = []
    event = framework.LLMChatInProgressEvent
    monkeypatch.setattr(
        framework, "LLMChatInProgressEvent", lambda **of: made.append(1) or event(**of)
    )
    llm, _ = model()
    assert len(drain(llm, 50, broken=False)) == 50
    assert len(await adrain(llm, 50, broken=False)) == 50
    assert len(made) == 4  # the first and the last of each


def test_it_is_the_decorators_own_dispatcher_that_is_asked_for_listeners() -> None:
    assert fast_path._dispatcher is framework.dispatcher
    assert not fast_path.has_event_handlers(fast_path.event_dispatchers())
    with listening():
        assert fast_path.has_event_handlers(fast_path.event_dispatchers())
    framework.dispatcher.add_event_handler(events := Events())
    try:
        assert fast_path.has_event_handlers(fast_path.event_dispatchers())
    finally:
        framework.dispatcher.event_handlers.remove(events)
    assert not fast_path.has_event_handlers(fast_path.event_dispatchers())
