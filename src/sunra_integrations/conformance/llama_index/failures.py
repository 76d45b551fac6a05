"""Calls that fail: how often they are tried, and that they do not pass for an answer."""

from __future__ import annotations

import traceback

import pytest

from sunra_integrations.conformance.llama_index import wire
from sunra_integrations.conformance.llama_index.asking import STREAMED, WAYS, WHOLE
from sunra_integrations.conformance.llama_index.suite import KEY, LLMSuite
from sunra_integrations.sandbox import HangUp, Http, Sandbox

_ERROR = {"error": {"message": "The provider went away.", "code": 502}}
_BUSY = Http(503, {"error": {"message": "Busy."}}, {"retry-after-ms": "1", "retry-after": "0"})
_ACCIDENTS = (IndexError, KeyError, TypeError, AttributeError, UnboundLocalError, AssertionError)


class FailureTests(LLMSuite):
    """Calls that fail, in each of the eight ways."""

    @pytest.mark.parametrize("retries", [0, 2])
    @pytest.mark.parametrize("way", WAYS)
    def test_a_busy_server_is_asked_as_often_as_max_retries_says(
        self, endpoint: Sandbox, way: str, retries: int
    ) -> None:
        endpoint.answer_with(lambda _: _BUSY)
        self._fails(self.make_llm(endpoint, max_retries=retries), way)
        assert len(endpoint.requests) == retries + 1

    @pytest.mark.parametrize("way", WAYS)
    def test_a_server_that_is_busy_once_answers_in_the_end(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(_BUSY, "Hello.")
        WAYS[way](self.make_llm(endpoint, max_retries=1))
        assert [request.status for request in endpoint.requests] == [503, 200]

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
    @pytest.mark.parametrize("way", ["chat", "astream_chat"])
    def test_an_error_status_is_an_error(self, endpoint: Sandbox, way: str, status: int) -> None:
        endpoint.next(Http(status, {"error": {"message": "No."}}))
        self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_connection_that_ends_before_the_answer_is_an_error(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(HangUp())
        self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("way", WAYS)
    def test_an_error_with_the_status_of_success_is_an_error(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(Http(200, _ERROR))
        assert "The provider went away" in self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("way", STREAMED)
    def test_an_error_within_a_stream_is_an_error(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(wire.streamed(wire.chunk("Hel"), _ERROR))
        assert "The provider went away" in self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("way", WHOLE)
    def test_an_answer_without_choices_is_an_error(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(wire.whole())
        self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("way", STREAMED)
    def test_a_stream_without_choices_is_an_error(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(wire.streamed(wire.usage_chunk()))
        self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("done", [True, False])
    @pytest.mark.parametrize("way", STREAMED)
    def test_a_stream_that_breaks_off_is_an_error(
        self, endpoint: Sandbox, way: str, done: bool
    ) -> None:
        endpoint.next(wire.streamed(wire.chunk("Hel"), done=done))
        self._fails(self.make_llm(endpoint), way)

    @pytest.mark.parametrize("way", WAYS)
    def test_an_error_holds_no_key(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(Http(401, {"error": {"message": "Wrong key."}}))
        assert KEY not in self._fails(self.make_llm(endpoint, api_key=KEY), way)
        assert endpoint.requests[-1].headers["authorization"] == f"Bearer {KEY}"

    def _fails(self, llm: object, way: str) -> str:
        """The words of the error that a call ends in, causes included; no slip of the LLM's own."""
        with pytest.raises(self.failure) as failed:
            WAYS[way](llm)
        assert not isinstance(failed.value, _ACCIDENTS)
        return "".join(traceback.format_exception(failed.value))
