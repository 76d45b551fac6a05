"""Plain calls: the request, the response, streams and failures."""

from __future__ import annotations

import inspect
import itertools
import traceback
from typing import Any

import pytest
from llama_index.core.llms.function_calling import FunctionCallingLLM

from sunra_integrations.conformance.llama_index import bodies
from sunra_integrations.conformance.llama_index.suite import (
    CHAT_METHODS,
    KEY,
    METHODS,
    PROMPT,
    STREAMING_METHODS,
    WHOLE_METHODS,
    LLMSuite,
    collect,
    messages,
    run,
    sent,
    text_of,
    usage_of,
)
from sunra_integrations.sandbox import HangUp, Http, Sandbox, TextReply

# ── request and response ─────────────────────────────────────────────────────

_REQUIRED = {
    "chat": {"model", "messages", "stream", "stream_options"},
    "responses": {"model", "messages", "stream", "store", "include"},
}
_TOKEN_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class CallTests(LLMSuite):
    """One call, with each of the eight methods."""

    @pytest.mark.parametrize("method", METHODS)
    def test_the_text_of_the_reply_is_returned(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next("Hello there.")
        responses = METHODS[method](self.make_llm(endpoint))
        assert text_of(responses[-1]) == "Hello there."
        assert sent(endpoint)["messages"] == [{"role": "user", "content": PROMPT}]

    @pytest.mark.parametrize("method", METHODS)
    def test_unset_parameters_are_not_sent(self, endpoint: Sandbox, method: str) -> None:
        METHODS[method](self.make_llm(endpoint))
        assert set(sent(endpoint)) <= _REQUIRED[self.api]

    @pytest.mark.parametrize("method", METHODS)
    def test_a_keyword_of_the_call_overrides_the_field(
        self, endpoint: Sandbox, method: str
    ) -> None:
        llm = self.make_llm(endpoint, temperature=0.9, max_tokens=50)
        METHODS[method](llm, temperature=0, max_tokens=40)
        assert (sent(endpoint)["temperature"], sent(endpoint)["max_tokens"]) == (0, 40)
        METHODS[method](llm)
        assert (sent(endpoint)["temperature"], sent(endpoint)["max_tokens"]) == (0.9, 50)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_temperature_of_none_is_not_sent(self, endpoint: Sandbox, method: str) -> None:
        METHODS[method](self.make_llm(endpoint, temperature=None))
        assert "temperature" not in sent(endpoint)

    def test_none_omits_a_parameter_from_one_call(self, endpoint: Sandbox) -> None:
        self.make_llm(endpoint, temperature=0.9).chat(messages(), temperature=None)
        assert "temperature" not in sent(endpoint)

    def test_extra_bodies_are_merged_and_the_call_wins(self, endpoint: Sandbox) -> None:
        self.needs("takes_extra_body")
        llm = self.make_llm(endpoint, extra_body={"top_k": 1, "min_p": 0.1})
        llm.chat(messages(), extra_body={"top_k": 2})
        assert (sent(endpoint)["top_k"], sent(endpoint)["min_p"]) == (2, 0.1)

    @pytest.mark.parametrize("method", METHODS)
    def test_headers_of_the_instance_and_of_the_call_are_sent(
        self, endpoint: Sandbox, method: str
    ) -> None:
        self.needs("takes_extra_headers")
        llm = self.make_llm(endpoint, default_headers={"x-one": "1", "x-two": "1"})
        METHODS[method](llm, extra_headers={"x-two": "2"})
        headers = endpoint.requests[-1].headers
        assert (headers["x-one"], headers["x-two"]) == ("1", "2")

    @pytest.mark.parametrize("model", ["sandbox/unheard-of-9", "no-such-vendor/x:free"])
    def test_an_unknown_model_name_works_and_has_metadata(
        self, endpoint: Sandbox, model: str
    ) -> None:
        llm = self.make_llm(endpoint, model=model)
        metadata = llm.metadata
        assert metadata.model_name == model
        assert metadata.context_window > 0
        assert metadata.is_function_calling_model
        llm.complete(PROMPT)
        assert sent(endpoint)["model"] == model

    def test_a_given_context_window_is_in_the_metadata_and_is_not_sent(
        self, endpoint: Sandbox
    ) -> None:
        llm = self.make_llm(endpoint, context_window=4321)
        assert llm.metadata.context_window == 4321
        llm.complete(PROMPT)
        assert "4321" not in endpoint.requests[-1].body.decode()

    def test_a_misspelled_field_raises_an_error_that_names_the_right_one(
        self, endpoint: Sandbox
    ) -> None:
        self.needs("refuses_misspelt_names")
        with pytest.raises(Exception, match=r"\btemperature\b"):
            self.make_llm(endpoint, temprature=1)

    def test_a_misspelled_keyword_raises_an_error_that_names_the_right_one(
        self, endpoint: Sandbox
    ) -> None:
        self.needs("refuses_misspelt_names")
        misspelled: dict[str, Any] = {"temprature": 1}
        with pytest.raises(Exception, match=r"\btemperature\b"):
            self.make_llm(endpoint).chat(messages(), **misspelled)
        assert endpoint.requests == []

    @pytest.mark.parametrize("method", METHODS)
    def test_usage_and_finish_reason_are_in_the_response(
        self, endpoint: Sandbox, method: str
    ) -> None:
        last = METHODS[method](self.make_llm(endpoint))[-1]
        counts = usage_of(last)
        assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"] > 0
        assert {name: last.additional_kwargs.get(name) for name in _TOKEN_COUNTS} == {
            name: counts[name] for name in _TOKEN_COUNTS
        }
        assert last.additional_kwargs.get("finish_reason") == "stop"

    @pytest.mark.parametrize("method", METHODS)
    def test_log_probabilities_are_returned_for_each_token(
        self, endpoint: Sandbox, method: str
    ) -> None:
        self.needs("gives_logprobs")
        endpoint.next("Hello there.")
        last = METHODS[method](self.make_llm(endpoint), logprobs=True, top_logprobs=2)[-1]
        assert last.logprobs
        assert "".join(tokens[0].token for tokens in last.logprobs) == "Hello there."

    @pytest.mark.parametrize("method", METHODS)
    def test_the_callers_messages_are_not_changed(self, endpoint: Sandbox, method: str) -> None:
        history = messages()
        before = [message.model_dump() for message in history]
        llm = self.make_llm(endpoint, system_prompt="Be brief.")
        llm.chat(history)
        METHODS[method](llm)
        assert [message.model_dump() for message in history] == before


# ── streams ──────────────────────────────────────────────────────────────────

CLOSE_TIMEOUT = 5.0
"""Seconds within which the sandbox must notice that a stream was closed."""

_STREAMING_CHAT_METHODS = tuple(name for name in CHAT_METHODS if "stream" in name)
_LONG = TextReply("word " * 60)
_EVERYTHING = (
    bodies.chunk({"role": "assistant", "reasoning": "Let "}),
    bodies.chunk({"reasoning": "me think."}),
    bodies.chunk("Hel"),
    bodies.chunk("lo."),
    bodies.tool_call_chunk(bodies.tool_call("c1", "add", '{"a": ', 0)),
    bodies.tool_call_chunk(
        bodies.tool_call(None, None, "1}", 0), bodies.tool_call("c2", "sub", "{}", 1)
    ),
    bodies.chunk(finish_reason="tool_calls"),
    bodies.usage_chunk(),
)


class StreamTests(LLMSuite):
    """Streams, with each of the four methods."""

    def test_streams_are_generators(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        for stream in (llm.stream_chat(messages()), llm.stream_complete(PROMPT)):
            assert inspect.isgenerator(stream)
            assert list(stream)
        run(self._check_async_generators(llm))

    async def _check_async_generators(self, llm: FunctionCallingLLM) -> None:
        for stream in (await llm.astream_chat(messages()), await llm.astream_complete(PROMPT)):
            assert inspect.isasyncgen(stream)
            assert await collect(stream)

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_each_response_has_the_text_so_far_and_the_new_delta(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next(self.stream(*_EVERYTHING[2:4], bodies.chunk(finish_reason="stop")))
        responses = METHODS[method](self.make_llm(endpoint))
        deltas = itertools.accumulate(response.delta or "" for response in responses)
        assert [text_of(response) for response in responses] == list(deltas)
        assert text_of(responses[-1]) == "Hello."

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_the_last_response_is_complete_if_a_usage_chunk_follows(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next(self.stream(*_EVERYTHING))
        last = METHODS[method](self.make_llm(endpoint))[-1]
        assert text_of(last) == "Hello."
        assert usage_of(last)["total_tokens"] == 50
        assert last.additional_kwargs["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_usage_on_an_earlier_chunk_is_on_the_last_response(
        self, endpoint: Sandbox, method: str
    ) -> None:
        self.needs_chat_completions()
        early = (bodies.chunk("Hel", usage=bodies.USAGE), bodies.chunk("lo."))
        endpoint.next(bodies.stream(*early, bodies.chunk(finish_reason="stop")))
        assert usage_of(METHODS[method](self.make_llm(endpoint))[-1])["total_tokens"] == 50

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_usage_on_every_chunk_is_not_summed(self, endpoint: Sandbox, method: str) -> None:
        self.needs_chat_completions()
        chunks = (bodies.chunk(text, usage=bodies.USAGE) for text in ("Hel", "lo."))
        endpoint.next(bodies.stream(*chunks, bodies.chunk(finish_reason="stop")))
        last = METHODS[method](self.make_llm(endpoint))[-1]
        assert last.additional_kwargs["total_tokens"] == 50

    def test_yielded_responses_never_change(self, endpoint: Sandbox) -> None:
        endpoint.next(*[self.stream(*_EVERYTHING)] * 4)
        llm = self.make_llm(endpoint)
        for stream in (llm.stream_chat(messages()), llm.stream_complete(PROMPT)):
            _check_unchanged([(given, given.model_dump_json()) for given in stream])
        run(self._check_unchanged_async(llm))

    async def _check_unchanged_async(self, llm: FunctionCallingLLM) -> None:
        for stream in (await llm.astream_chat(messages()), await llm.astream_complete(PROMPT)):
            _check_unchanged([(given, given.model_dump_json()) async for given in stream])

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_interleaved_choices_are_not_mixed(self, endpoint: Sandbox, method: str) -> None:
        self.needs_chat_completions()
        turns = [("a1", 0), ("b1", 1), ("a2", 0), ("b2", 1)]
        ends = [bodies.chunk(finish_reason="stop", index=index) for index in (0, 1)]
        endpoint.next(bodies.stream(*[bodies.chunk(text, index=i) for text, i in turns], *ends))
        responses = METHODS[method](self.make_llm(endpoint), n=2)
        assert [text_of(response) for response in responses if response.delta] == ["a1", "a1a2"]
        assert text_of(responses[-1]) == "a1a2"

    def test_the_other_choices_are_available(self, endpoint: Sandbox) -> None:
        self.needs_chat_completions()
        endpoint.next(
            bodies.completion(
                bodies.choice({"content": "a"}), bodies.choice({"content": "b"}, index=1)
            )
        )
        response = self.make_llm(endpoint).chat(messages(), n=2)
        assert text_of(response) == "a"
        assert "'b'" in str(response.raw) + str(response.additional_kwargs)

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_empty_and_null_chunks_are_skipped(self, endpoint: Sandbox, method: str) -> None:
        self.needs_chat_completions()
        odd: list[bodies.Chunk] = [
            {**bodies.chunk(), "choices": None},
            {**bodies.chunk(), "choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            bodies.chunk({"content": None}),
            bodies.usage_chunk(),
        ]
        endpoint.next(
            bodies.stream(*odd, bodies.chunk("Hello."), bodies.chunk(finish_reason="stop"))
        )
        assert text_of(METHODS[method](self.make_llm(endpoint))[-1]) == "Hello."

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
    @pytest.mark.parametrize("method", _STREAMING_CHAT_METHODS)
    def test_every_thinking_delta_is_yielded(
        self, endpoint: Sandbox, method: str, field: str
    ) -> None:
        self.needs("gives_thinking")
        if field != "reasoning":
            self.needs_chat_completions()
        thoughts = [bodies.chunk({field: text}) for text in ("Let ", "me ", "think.")]
        endpoint.next(
            self.stream(*thoughts, bodies.chunk("Hello."), bodies.chunk(finish_reason="stop"))
        )
        responses = METHODS[method](self.make_llm(endpoint))
        deltas = [response.additional_kwargs.get("thinking_delta") for response in responses]
        assert [delta for delta in deltas if delta] == ["Let ", "me ", "think."]

    def test_closing_a_stream_ends_its_request(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        for call in (lambda: llm.stream_chat(messages()), lambda: llm.stream_complete(PROMPT)):
            endpoint.next(_LONG, pause=0.02)
            stream: Any = call()
            next(stream)
            stream.close()
            assert endpoint.requests[-1].disconnected.wait(CLOSE_TIMEOUT)

    def test_closing_an_async_stream_ends_its_request(self, endpoint: Sandbox) -> None:
        run(self._check_closed(endpoint, self.make_llm(endpoint)))

    async def _check_closed(self, endpoint: Sandbox, llm: FunctionCallingLLM) -> None:
        for call in (lambda: llm.astream_chat(messages()), lambda: llm.astream_complete(PROMPT)):
            endpoint.next(_LONG, pause=0.02)
            stream: Any = await call()
            await anext(stream)
            await stream.aclose()
            assert endpoint.requests[-1].disconnected.wait(CLOSE_TIMEOUT)


def _check_unchanged(given: list[tuple[Any, str]]) -> None:
    """Check that each response is the same as when it was yielded."""
    assert given
    assert [response.model_dump_json() for response, _ in given] == [then for _, then in given]


# ── failures ─────────────────────────────────────────────────────────────────

_ERROR = {"error": {"message": "The provider went away.", "code": 502}}
_BUSY = Http(503, {"error": {"message": "Busy."}}, {"retry-after-ms": "1", "retry-after": "0"})
_BUGS = (IndexError, KeyError, TypeError, AttributeError, UnboundLocalError, AssertionError)


class FailureTests(LLMSuite):
    """Calls that fail, with each of the eight methods."""

    @pytest.mark.parametrize("retries", [0, 2])
    @pytest.mark.parametrize("method", METHODS)
    def test_max_retries_is_the_number_of_retries(
        self, endpoint: Sandbox, method: str, retries: int
    ) -> None:
        endpoint.answer_with(lambda _: _BUSY)
        self._fails(self.make_llm(endpoint, max_retries=retries), method)
        assert len(endpoint.requests) == retries + 1

    @pytest.mark.parametrize("method", METHODS)
    def test_a_retried_call_succeeds(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(_BUSY, "Hello.")
        METHODS[method](self.make_llm(endpoint, max_retries=1))
        assert [request.status for request in endpoint.requests] == [503, 200]

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
    @pytest.mark.parametrize("method", ["chat", "astream_chat"])
    def test_an_error_status_raises(self, endpoint: Sandbox, method: str, status: int) -> None:
        endpoint.next(Http(status, {"error": {"message": "No."}}))
        self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_connection_closed_before_the_response_raises(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next(HangUp())
        self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("method", METHODS)
    def test_an_error_body_with_status_200_raises(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(Http(200, _ERROR))
        assert "The provider went away" in self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_an_error_event_in_a_stream_raises(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(self.stream(bodies.chunk("Hel"), _ERROR))
        assert "The provider went away" in self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("method", WHOLE_METHODS)
    def test_a_response_without_choices_raises(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(bodies.completion())
        self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_a_stream_without_choices_raises(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(self.stream(bodies.usage_chunk()))
        self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("done", [True, False])
    @pytest.mark.parametrize("method", STREAMING_METHODS)
    def test_an_interrupted_stream_raises(self, endpoint: Sandbox, method: str, done: bool) -> None:
        endpoint.next(self.stream(bodies.chunk("Hel"), done=done))
        self._fails(self.make_llm(endpoint), method)

    @pytest.mark.parametrize("method", METHODS)
    def test_an_error_does_not_contain_the_key(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(Http(401, {"error": {"message": "Wrong key."}}))
        assert KEY not in self._fails(self.make_llm(endpoint, api_key=KEY), method)
        assert endpoint.requests[-1].headers["authorization"] == f"Bearer {KEY}"

    def _fails(self, llm: object, method: str) -> str:
        """Return the message of the error that a call raises, with its causes.

        Exceptions that are a bug of the LLM, such as `IndexError`, do not count.
        """
        with pytest.raises(self.failure) as failed:
            METHODS[method](llm)
        assert not isinstance(failed.value, _BUGS)
        return "".join(traceback.format_exception(failed.value))
