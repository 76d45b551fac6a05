"""One call: what is sent, and what is told of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from sunra_integrations.conformance.llama_index.asking import (
    PROMPT,
    WAYS,
    asked,
    text_of,
    usage_of,
)
from sunra_integrations.conformance.llama_index.suite import LLMSuite, sent
from sunra_integrations.sandbox import Sandbox

_NEEDED = {"model", "messages", "stream", "stream_options"}
_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")


class CallTests(LLMSuite):
    """One call in each of the eight ways."""

    @pytest.mark.parametrize("way", WAYS)
    def test_the_answer_is_what_the_model_said(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next("Hello there.")
        responses = WAYS[way](self.make_llm(endpoint))
        assert text_of(responses[-1]) == "Hello there."
        assert sent(endpoint)["messages"] == [{"role": "user", "content": PROMPT}]

    @pytest.mark.parametrize("way", WAYS)
    def test_what_is_not_set_is_not_sent(self, endpoint: Sandbox, way: str) -> None:
        WAYS[way](self.make_llm(endpoint))
        assert set(sent(endpoint)) <= _NEEDED

    @pytest.mark.parametrize("way", WAYS)
    def test_a_value_of_the_call_wins_over_the_instances(self, endpoint: Sandbox, way: str) -> None:
        llm = self.make_llm(endpoint, temperature=0.9, max_tokens=50)
        WAYS[way](llm, temperature=0, max_tokens=40)
        assert (sent(endpoint)["temperature"], sent(endpoint)["max_tokens"]) == (0, 40)
        WAYS[way](llm)
        assert (sent(endpoint)["temperature"], sent(endpoint)["max_tokens"]) == (0.9, 50)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_temperature_of_none_is_not_sent(self, endpoint: Sandbox, way: str) -> None:
        WAYS[way](self.make_llm(endpoint, temperature=None))
        assert "temperature" not in sent(endpoint)

    def test_none_leaves_a_parameter_out_of_one_call(self, endpoint: Sandbox) -> None:
        self.make_llm(endpoint, temperature=0.9).chat(asked(), temperature=None)
        assert "temperature" not in sent(endpoint)

    def test_extra_bodies_are_merged_and_the_calls_wins(self, endpoint: Sandbox) -> None:
        self.needs("takes_extra_body")
        llm = self.make_llm(endpoint, extra_body={"top_k": 1, "min_p": 0.1})
        llm.chat(asked(), extra_body={"top_k": 2})
        assert (sent(endpoint)["top_k"], sent(endpoint)["min_p"]) == (2, 0.1)

    @pytest.mark.parametrize("way", WAYS)
    def test_headers_of_the_instance_and_of_the_call_are_sent(
        self, endpoint: Sandbox, way: str
    ) -> None:
        self.needs("takes_extra_headers")
        llm = self.make_llm(endpoint, default_headers={"x-one": "1", "x-two": "1"})
        WAYS[way](llm, extra_headers={"x-two": "2"})
        headers = endpoint.requests[-1].headers
        assert (headers["x-one"], headers["x-two"]) == ("1", "2")

    @pytest.mark.parametrize("model", ["sandbox/unheard-of-9", "no-such-vendor/x:free"])
    def test_any_model_name_has_metadata_and_is_asked(self, endpoint: Sandbox, model: str) -> None:
        llm = self.make_llm(endpoint, model=model)
        metadata = llm.metadata
        assert metadata.model_name == model
        assert metadata.context_window > 0
        assert metadata.is_function_calling_model
        llm.complete(PROMPT)
        assert sent(endpoint)["model"] == model

    def test_a_context_window_that_is_given_is_told_and_not_sent(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint, context_window=4321)
        assert llm.metadata.context_window == 4321
        llm.complete(PROMPT)
        assert "4321" not in endpoint.requests[-1].body.decode()

    def test_a_misspelt_field_is_an_error_that_names_the_right_one(self, endpoint: Sandbox) -> None:
        self.needs("refuses_misspelt_names")
        with pytest.raises(Exception, match=r"\btemperature\b"):
            self.make_llm(endpoint, temprature=1)

    def test_a_misspelt_parameter_of_a_call_is_an_error_that_names_the_right_one(
        self, endpoint: Sandbox
    ) -> None:
        self.needs("refuses_misspelt_names")
        misspelt: dict[str, Any] = {"temprature": 1}
        with pytest.raises(Exception, match=r"\btemperature\b"):
            self.make_llm(endpoint).chat(asked(), **misspelt)
        assert endpoint.requests == []

    @pytest.mark.parametrize("way", WAYS)
    def test_usage_and_the_reason_of_the_end_are_told(self, endpoint: Sandbox, way: str) -> None:
        last = WAYS[way](self.make_llm(endpoint))[-1]
        counts = usage_of(last)
        assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"] > 0
        assert {name: last.additional_kwargs.get(name) for name in _TOKENS} == {
            name: counts[name] for name in _TOKENS
        }
        assert last.additional_kwargs.get("finish_reason") == "stop"

    @pytest.mark.parametrize("way", WAYS)
    def test_log_probabilities_are_given_for_each_token(self, endpoint: Sandbox, way: str) -> None:
        self.needs("gives_logprobs")
        endpoint.next("Hello there.")
        last = WAYS[way](self.make_llm(endpoint), logprobs=True, top_logprobs=2)[-1]
        assert last.logprobs
        assert "".join(tokens[0].token for tokens in last.logprobs) == "Hello there."

    @pytest.mark.parametrize("way", WAYS)
    def test_a_prompt_or_history_is_left_as_it_was(self, endpoint: Sandbox, way: str) -> None:
        history = asked()
        before = [message.model_dump() for message in history]
        llm = self.make_llm(endpoint, system_prompt="Be brief.")
        llm.chat(history)
        WAYS[way](llm)
        assert [message.model_dump() for message in history] == before
