"""The suite can fail: it catches each of these bugs, which LlamaIndex LLMs have had."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sunra_integrations.conformance.llama_index import FunctionCallingLLMTests, calls
from sunra_integrations.llama_index import Sunra
from tests.llama_index import traps
from tests.llama_index.judged import SunraTests, SunraWithResponsesTests

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    """Collect the broken LLMs here, so that their warnings do not fail a later test."""
    yield
    gc.collect()


# The bug, the test of the suite that must catch it, and that test's parameters.
TRAPS: dict[str, tuple[type[Sunra], str, dict[str, Any]]] = {
    "doubled retries": (
        traps.RetriesTwice,
        "test_max_retries_is_the_number_of_retries",
        {"method": "chat", "retries": 2},
    ),
    "HTTP 200 with an error body": (
        traps.TakesAnErrorForAnAnswer,
        "test_an_error_body_with_status_200_raises",
        {"method": "chat"},
    ),
    "empty choices": (
        traps.TakesNoChoiceForAnAnswer,
        "test_a_response_without_choices_raises",
        {"method": "complete"},
    ),
    "empty choices, by an IndexError": (
        traps.StumblesOverNoChoice,
        "test_a_response_without_choices_raises",
        {"method": "chat"},
    ),
    "half a stream taken for all": (
        traps.TakesHalfAStreamForAll,
        "test_an_interrupted_stream_raises",
        {"method": "stream_chat", "done": True},
    ),
    "defaults of the client's own": (
        traps.SendsDefaults,
        "test_unset_parameters_are_not_sent",
        {"method": "chat"},
    ),
    "None temperature": (
        traps.NeedsATemperature,
        "test_a_temperature_of_none_is_not_sent",
        {"method": "chat"},
    ),
    "per-call kwargs losing to instance ones": (
        traps.InstanceWins,
        "test_a_keyword_of_the_call_overrides_the_field",
        {"method": "astream_complete"},
    ),
    "unknown model names": (
        traps.KnowsSomeModelsOnly,
        "test_an_unknown_model_name_works_and_has_metadata",
        {"model": "sandbox/unheard-of-9"},
    ),
    "n>1 interleaved": (
        traps.MixesChoices,
        "test_interleaved_choices_are_not_mixed",
        {"method": "stream_chat"},
    ),
    "interleaved indices": (
        traps.MixesInterleavedCalls,
        "test_all_streamed_tool_calls_are_read",
        {"method": "stream_chat_with_tools", "shape": "interleaved"},
    ),
    "repeated names": (
        traps.DoublesRepeatedNames,
        "test_all_streamed_tool_calls_are_read",
        {"method": "stream_chat_with_tools", "shape": "ids and names repeated in every chunk"},
    ),
    "second parallel call lost, in one event": (
        traps.ReadsTheFirstCallOnly,
        "test_all_streamed_tool_calls_are_read",
        {"method": "stream_chat_with_tools", "shape": "both complete in one chunk"},
    ),
    "second parallel call lost, in a whole answer": (
        traps.LosesTheSecondCall,
        "test_tool_calls_are_returned_in_both_forms",
        {"method": "chat_with_tools"},
    ),
    "usage on an earlier chunk": (
        traps.ForgetsUsage,
        "test_usage_on_an_earlier_chunk_is_on_the_last_response",
        {"method": "stream_complete"},
    ),
    "an empty response after the usage chunk": (
        traps.EndsEmpty,
        "test_the_last_response_is_complete_if_a_usage_chunk_follows",
        {"method": "stream_chat"},
    ),
    "mutated earlier responses": (
        traps.ChangesWhatWasGiven,
        "test_yielded_responses_never_change",
        {},
    ),
    "first reasoning delta lost in async": (
        traps.LosesTheFirstThought,
        "test_every_thinking_delta_is_yielded",
        {"method": "astream_chat", "field": "reasoning"},
    ),
    "a stream that reads on when it is left": (
        traps.LeavesTheConnectionOpen,
        "test_closing_a_stream_ends_its_request",
        {},
    ),
    "one form of tool calls missing": (
        traps.GivesOneFormOfCalls,
        "test_tool_calls_are_returned_in_both_forms",
        {"method": "chat_with_tools"},
    ),
    "chat_history mutated": (
        traps.ChangesTheHistory,
        "test_the_callers_history_is_not_changed",
        {"method": "achat_with_tools"},
    ),
    "keys of tools without tools": (
        traps.SpeaksOfNoTools,
        "test_a_request_without_tools_has_no_tool_parameters",
        {"method": "chat_with_tools"},
    ),
    "tool_required ignored": (
        traps.RequiresNothing,
        "test_tool_required_is_sent",
        {"method": "stream_chat_with_tools"},
    ),
    "several calls where one is allowed, in streams": (
        traps.KeepsCallsThatAreNotAllowed,
        "test_only_one_tool_call_is_returned_unless_parallel_calls_are_allowed",
        {"method": "stream_chat_with_tools"},
    ),
    "refusals": (
        traps.LosesRefusals,
        "test_a_refusal_raises_an_error_with_its_text",
        {"method": "structured_predict"},
    ),
    "fenced JSON": (
        traps.TakesNoFence,
        "test_an_object_is_found_in_a_code_fence_and_in_other_text",
        {
            "method": "structured_predict",
            "text": '```json\n{"title": "Rain", "verses": [{"words": "la la", "loud": true}]}\n```',
        },
    ),
    "the system prompt lost in async": (
        traps.ForgetsTheSystemPromptInAsync,
        "test_the_system_prompt_is_sent",
        {"method": "astructured_predict", "mode": "default"},
    ),
    "blocks dropped": (
        traps.DropsImages,
        "test_a_block_is_sent",
        {"method": "chat", "name": "an image"},
    ),
    "blocks dropped in a tool result": (
        traps.DropsImages,
        "test_an_image_in_a_tool_result_is_sent",
        {"name": "an image"},
    ),
    "rare blocks dropped": (
        traps.DropsAllButText,
        "test_a_rare_block_is_sent_or_raises",
        {"name": "a cache point"},
    ),
    "thinking not sent back": (
        traps.ForgetsThinking,
        "test_thinking_is_sent_back_unchanged_with_tool_calls",
        {"method": "chat"},
    ),
    "events twice": (traps.TellsTwice, "test_each_call_is_reported_once", {"method": "complete"}),
    "a header of the call in events": (
        traps.ShowsTheHeadersOfACall,
        "test_observers_see_no_secret",
        {"method": "chat"},
    ),
    "a key in payloads": (
        traps.ShowsTheKeyInPayloads,
        "test_the_payload_contains_no_secret",
        {},
    ),
    "a key in events": (
        traps.ShowsTheKeyInPayloads,
        "test_observers_see_no_secret",
        {"method": "astream_chat"},
    ),
    "spans without the instance": (
        traps.HidesFromSpans,
        "test_each_span_has_the_llm_and_ends",
        {"method": "chat"},
    ),
    "two spans for one prediction": (
        traps.PredictsInTwoSpans,
        "test_a_prediction_is_one_span",
        {"method": "structured_predict"},
    ),
    "a tool run on guesses": (
        traps.RunsOnGuesses,
        "test_an_agent_survives_invalid_arguments",
        {"arguments": '{"a": 2, "b": 3', "streaming": True},
    ),
    "an agent that ends at broken arguments": (
        traps.GivesUpOnBrokenCalls,
        "test_an_agent_survives_invalid_arguments",
        {"arguments": "[2, 3]", "streaming": False},
    ),
    "a pickle that does not load without a key": (
        traps.NeedsItsKeyToLoad,
        "test_a_pickle_loads_without_a_key",
        {"monkeypatch": None},
    ),
    "a key in to_dict": (traps.ShowsTheKeyInItsDict, "test_no_secret_is_printed_or_stored", {}),
    "a key in repr": (traps.ShowsTheKeyInItsRepr, "test_no_secret_is_printed_or_stored", {}),
    "a key in spans": (
        traps.ShowsTheKeyInItsRepr,
        "test_observers_see_no_secret",
        {"method": "complete"},
    ),
    "a header in repr": (traps.ShowsTheHeadersInItsRepr, "test_no_secret_is_printed_or_stored", {}),
    "usage that token counters do not find": (
        traps.NamesNoUsage,
        "test_the_token_counter_reports_the_servers_usage",
        {"method": "chat"},
    ),
    "event loop closed": (
        traps.KeepsOneAsyncClient,
        "test_one_llm_serves_several_event_loops",
        {},
    ),
    "deepcopy": (
        traps.CannotBeCopied,
        "test_a_copy_made_after_calls_works",
        {"how": "copy.deepcopy", "monkeypatch": None},
    ),
    "a changed key ignored": (
        traps.KeepsItsFirstKey,
        "test_a_changed_key_takes_effect",
        {"method": "chat"},
    ),
    "the user's client closed": (
        traps.ClosesTheUsersClient,
        "test_the_users_http_clients_are_used_and_not_closed",
        {},
    ),
}


@pytest.mark.parametrize("judge_class", [SunraTests, SunraWithResponsesTests])
@pytest.mark.parametrize("name", TRAPS)
def test_the_suite_catches(sandbox, monkeypatch, name: str, judge_class) -> None:
    monkeypatch.setattr(calls, "CLOSE_TIMEOUT", 0.2)
    broken, test, given = TRAPS[name]
    if "monkeypatch" in given:
        given = {**given, "monkeypatch": monkeypatch}
    judge = type("Judge", (judge_class,), {})()
    getattr(judge, test)(sandbox, **given)
    sandbox.clear()
    judge.llm_class = broken
    with pytest.raises((Exception, pytest.fail.Exception)):
        getattr(judge, test)(sandbox, **given)


def test_every_bug_is_tested() -> None:
    broken = {
        one
        for one in vars(traps).values()
        if isinstance(one, type) and issubclass(one, Sunra) and one not in {Sunra, traps.Rereads}
    }
    assert broken == {trap for trap, *_ in TRAPS.values()}


def test_a_disabled_capability_skips_its_tests(sandbox) -> None:
    judge = type("Judge", (SunraTests,), {"gives_logprobs": False})()
    with pytest.raises(pytest.skip.Exception, match="gives_logprobs = False"):
        judge.test_log_probabilities_are_returned_for_each_token(sandbox, method="chat")
    assert sandbox.requests == []


def test_a_suite_must_implement_make_llm(sandbox) -> None:
    with pytest.raises(NotImplementedError, match="FunctionCallingLLMTests"):
        FunctionCallingLLMTests().make_llm(sandbox)
