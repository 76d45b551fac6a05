"""What callbacks, events and spans get to see: each call once, its usage, and no secret."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from sunra_integrations.conformance.llama_index.asking import PREDICTIONS, WAYS, asked
from sunra_integrations.conformance.llama_index.observers import Callbacks, watching
from sunra_integrations.conformance.llama_index.suite import HEADER, KEY, LLMSuite
from sunra_integrations.sandbox import Http, Sandbox


class Rain(BaseModel):
    """How much it rains."""

    amount: int


class ObservationTests(LLMSuite):
    """Callbacks, events and spans in each of the eight ways."""

    @pytest.mark.parametrize("way", WAYS)
    def test_each_call_is_told_once(self, endpoint: Sandbox, way: str) -> None:
        callbacks = Callbacks()
        llm = self.make_llm(endpoint, callback_manager=CallbackManager([callbacks]))
        with watching() as (events, spans):
            WAYS[way](llm)
        kind = "Chat" if "chat" in way else "Completion"
        other = "Completion" if "chat" in way else "Chat"
        assert events.count(f"LLM{kind}StartEvent") == events.count(f"LLM{kind}EndEvent") == 1
        assert events.count(f"LLM{other}StartEvent") == events.count(f"LLM{other}EndEvent") == 0
        assert [when for when, _ in callbacks.seen] == ["start", "end"]
        assert spans.names == [f"{type(llm).__name__}.{way}"]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_span_has_the_llm_and_ends(self, endpoint: Sandbox, way: str) -> None:
        llm = self.make_llm(endpoint)
        with watching() as (_, spans):
            WAYS[way](llm)
        assert spans.instances
        assert all(instance is llm for instance in spans.instances)
        assert set(spans.ended) == {"exit"}
        assert len(spans.ended) == len(spans.seen)

    @pytest.mark.parametrize("way", PREDICTIONS)
    def test_a_prediction_is_one_span(self, endpoint: Sandbox, way: str) -> None:
        llm = self.make_llm(endpoint)
        with watching() as (_, spans):
            PREDICTIONS[way](llm, Rain, PromptTemplate("Rain of 7 mm."))
        own = [name for name in spans.names if name.endswith(f".{way}")]
        assert own == [f"{type(llm).__name__}.{way}"]
        assert all(
            instance is llm
            for name, instance in zip(spans.names, spans.instances, strict=True)
            if name in own
        )

    @pytest.mark.parametrize("way", WAYS)
    def test_events_tell_model_and_temperature(self, endpoint: Sandbox, way: str) -> None:
        llm = self.make_llm(endpoint, model="sandbox/echo", temperature=0.5)
        with watching() as (events, _):
            WAYS[way](llm)
        (start,) = (one for one in events.seen if "StartEvent" in one.class_name())
        assert start.model_dict["model"] == "sandbox/echo"
        assert start.model_dict["temperature"] == 0.5

    @pytest.mark.parametrize("way", WAYS)
    def test_no_secret_is_shown(self, endpoint: Sandbox, way: str) -> None:
        callbacks = Callbacks()
        fields: dict[str, Any] = {"api_key": KEY, "callback_manager": CallbackManager([callbacks])}
        call: dict[str, Any] = {}
        if self.takes_extra_headers:
            fields["default_headers"] = {"x-one": HEADER}
            call["extra_headers"] = {"x-two": HEADER}
        with watching() as (events, spans):
            WAYS[way](self.make_llm(endpoint, **fields), **call)
        shown = f"{events.seen} {spans.seen} {callbacks.seen}"
        shown += "".join(event.model_dump_json() for event in events.seen)
        assert events.seen
        assert KEY not in shown
        assert HEADER not in shown

    @pytest.mark.parametrize("way", WAYS)
    def test_tokens_are_counted_as_the_server_counted_them(
        self, endpoint: Sandbox, way: str
    ) -> None:
        counter = TokenCountingHandler(tokenizer=str.split)
        llm = self.make_llm(endpoint, callback_manager=CallbackManager([counter]))
        last = WAYS[way](llm)[-1]
        counted = (counter.prompt_llm_token_count, counter.completion_llm_token_count)
        told = last.additional_kwargs
        assert counted == (told["prompt_tokens"], told["completion_tokens"])

    @pytest.mark.parametrize("way", WAYS)
    def test_an_error_ends_what_was_begun(self, endpoint: Sandbox, way: str) -> None:
        callbacks = Callbacks()
        endpoint.next(Http(400, {"error": "No."}))
        llm = self.make_llm(endpoint, callback_manager=CallbackManager([callbacks]))
        with watching() as (_, spans), pytest.raises(self.failure):
            WAYS[way](llm)
        assert [when for when, _ in callbacks.seen] == ["start", "end"]
        assert "drop" in spans.ended
        assert len(spans.ended) == len(spans.seen)

    @pytest.mark.parametrize("way", PREDICTIONS)
    def test_structured_prediction_is_told_once(self, endpoint: Sandbox, way: str) -> None:
        llm = self.make_llm(endpoint)
        with watching() as (events, _):
            rain = PREDICTIONS[way](llm, Rain, PromptTemplate("Rain of 7 mm."))[-1]
        assert events.count("LLMStructuredPredictStartEvent") == 1
        assert events.count("LLMStructuredPredictEndEvent") == 1
        (end,) = (one for one in events.seen if one.class_name() == "LLMStructuredPredictEndEvent")
        assert end.output == rain

    def test_a_payload_holds_no_secret_and_is_plain(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint, api_key=KEY, temperature=0.5)
        llm.chat(asked())
        payload = llm.to_payload()
        assert KEY not in str(payload)
        assert {"model", "temperature"} <= payload.keys()
