"""The suite can fail: each known bug of the kind, put into Sunra, is caught by the test named."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sunra_integrations.conformance.llama_index import FunctionCallingLLMTests, streaming
from sunra_integrations.llama_index import Sunra
from tests.llama_index import traps
from tests.llama_index.judged import SunraTests

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    """Broken LLMs leave broken things behind; collected in a later test, they would fail it."""
    yield
    gc.collect()


# The bug, the test of the suite that must catch it, and that test's parameters.
TRAPS: dict[str, tuple[type[Sunra], str, dict[str, Any]]] = {
    "doubled retries": (
        traps.RetriesTwice,
        "test_a_busy_server_is_asked_as_often_as_max_retries_says",
        {"way": "chat", "retries": 2},
    ),
    "HTTP 200 with an error body": (
        traps.TakesAnErrorForAnAnswer,
        "test_an_error_with_the_status_of_success_is_an_error",
        {"way": "chat"},
    ),
    "empty choices": (
        traps.TakesNoChoiceForAnAnswer,
        "test_an_answer_without_choices_is_an_error",
        {"way": "complete"},
    ),
    "empty choices, by an IndexError": (
        traps.StumblesOverNoChoice,
        "test_an_answer_without_choices_is_an_error",
        {"way": "chat"},
    ),
    "half a stream taken for all": (
        traps.TakesHalfAStreamForAll,
        "test_a_stream_that_breaks_off_is_an_error",
        {"way": "stream_chat", "done": True},
    ),
    "defaults of the client's own": (
        traps.SendsDefaults,
        "test_what_is_not_set_is_not_sent",
        {"way": "chat"},
    ),
    "None temperature": (
        traps.NeedsATemperature,
        "test_a_temperature_of_none_is_not_sent",
        {"way": "chat"},
    ),
    "per-call kwargs losing to instance ones": (
        traps.InstanceWins,
        "test_a_value_of_the_call_wins_over_the_instances",
        {"way": "astream_complete"},
    ),
    "unknown model names": (
        traps.KnowsSomeModelsOnly,
        "test_any_model_name_has_metadata_and_is_asked",
        {"model": "sandbox/unheard-of-9"},
    ),
    "n>1 interleaved": (
        traps.MixesChoices,
        "test_choices_that_take_turns_are_never_mixed",
        {"way": "stream_chat"},
    ),
    "interleaved indices": (
        traps.MixesInterleavedCalls,
        "test_streamed_calls_are_all_read",
        {"way": "stream_chat_with_tools", "shape": "their pieces interleaved"},
    ),
    "repeated names": (
        traps.DoublesRepeatedNames,
        "test_streamed_calls_are_all_read",
        {"way": "stream_chat_with_tools", "shape": "ids and names repeated in every piece"},
    ),
    "second parallel call lost, in one event": (
        traps.ReadsTheFirstCallOnly,
        "test_streamed_calls_are_all_read",
        {"way": "stream_chat_with_tools", "shape": "both whole in one event"},
    ),
    "second parallel call lost, in a whole answer": (
        traps.LosesTheSecondCall,
        "test_calls_are_given_in_both_forms",
        {"way": "chat_with_tools"},
    ),
    "usage on an earlier chunk": (
        traps.ForgetsUsage,
        "test_usage_on_an_earlier_chunk_is_on_the_last_response",
        {"way": "stream_complete"},
    ),
    "an empty response after the usage chunk": (
        traps.EndsEmpty,
        "test_the_last_response_is_complete_though_a_usage_chunk_follows",
        {"way": "stream_chat"},
    ),
    "mutated earlier responses": (
        traps.ChangesWhatWasGiven,
        "test_responses_already_given_never_change",
        {},
    ),
    "first reasoning delta lost in async": (
        traps.LosesTheFirstThought,
        "test_every_delta_of_thinking_is_given_the_first_included",
        {"way": "astream_chat", "field": "reasoning"},
    ),
    "a stream that reads on when it is left": (
        traps.LeavesTheConnectionOpen,
        "test_a_stream_that_is_left_ends_its_request",
        {},
    ),
    "one form of tool calls missing": (
        traps.GivesOneFormOfCalls,
        "test_calls_are_given_in_both_forms",
        {"way": "chat_with_tools"},
    ),
    "chat_history mutated": (
        traps.ChangesTheHistory,
        "test_the_callers_history_is_left_alone",
        {"way": "achat_with_tools"},
    ),
    "keys of tools without tools": (
        traps.SpeaksOfNoTools,
        "test_without_tools_nothing_is_said_of_tools",
        {"way": "chat_with_tools"},
    ),
    "tool_required ignored": (
        traps.RequiresNothing,
        "test_a_required_call_is_required",
        {"way": "stream_chat_with_tools"},
    ),
    "several calls where one is allowed, in streams": (
        traps.KeepsCallsThatAreNotAllowed,
        "test_one_call_is_given_where_several_are_not_allowed",
        {"way": "stream_chat_with_tools"},
    ),
    "refusals": (
        traps.LosesRefusals,
        "test_a_refusal_is_an_error_that_tells_it",
        {"way": "structured_predict"},
    ),
    "fenced JSON": (
        traps.TakesNoFence,
        "test_an_object_is_found_in_a_fence_and_among_words",
        {
            "way": "structured_predict",
            "text": '```json\n{"title": "Rain", "verses": [{"words": "la la", "loud": true}]}\n```',
        },
    ),
    "the system prompt lost in async": (
        traps.ForgetsTheSystemPromptInAsync,
        "test_the_system_prompt_is_kept",
        {"way": "astructured_predict", "mode": "default"},
    ),
    "blocks dropped": (
        traps.DropsImages,
        "test_a_block_is_sent",
        {"way": "chat", "name": "an image"},
    ),
    "blocks dropped in a tool result": (
        traps.DropsImages,
        "test_an_image_in_a_tool_result_is_sent",
        {"name": "an image"},
    ),
    "rare blocks dropped": (
        traps.DropsAllButText,
        "test_a_rare_block_is_sent_or_is_an_error",
        {"name": "a cache point"},
    ),
    "thinking not sent back": (
        traps.ForgetsThinking,
        "test_thinking_goes_back_as_it_came_beside_calls",
        {"way": "chat"},
    ),
    "events twice": (traps.TellsTwice, "test_each_call_is_told_once", {"way": "complete"}),
    "a header of the call in events": (
        traps.ShowsTheHeadersOfACall,
        "test_no_secret_is_shown",
        {"way": "chat"},
    ),
    "a key in payloads": (
        traps.ShowsTheKeyInPayloads,
        "test_a_payload_holds_no_secret_and_is_plain",
        {},
    ),
    "a key in events": (
        traps.ShowsTheKeyInPayloads,
        "test_no_secret_is_shown",
        {"way": "astream_chat"},
    ),
    "spans without the instance": (
        traps.HidesFromSpans,
        "test_a_span_has_the_llm_and_ends",
        {"way": "chat"},
    ),
    "two spans for one prediction": (
        traps.PredictsInTwoSpans,
        "test_a_prediction_is_one_span",
        {"way": "structured_predict"},
    ),
    "a tool run on guesses": (
        traps.RunsOnGuesses,
        "test_an_agent_survives_broken_arguments",
        {"written": '{"a": 2, "b": 3', "streaming": True},
    ),
    "an agent that ends at broken arguments": (
        traps.GivesUpOnBrokenCalls,
        "test_an_agent_survives_broken_arguments",
        {"written": "[2, 3]", "streaming": False},
    ),
    "a pickle that does not load without a key": (
        traps.NeedsItsKeyToLoad,
        "test_a_pickle_loads_where_there_is_no_key",
        {"monkeypatch": None},
    ),
    "a key in to_dict": (traps.ShowsTheKeyInItsDict, "test_no_secret_is_shown_or_stored", {}),
    "a key in repr": (traps.ShowsTheKeyInItsRepr, "test_no_secret_is_shown_or_stored", {}),
    "a key in spans": (
        traps.ShowsTheKeyInItsRepr,
        "test_no_secret_is_shown",
        {"way": "complete"},
    ),
    "a header in repr": (traps.ShowsTheHeadersInItsRepr, "test_no_secret_is_shown_or_stored", {}),
    "usage that token counters do not find": (
        traps.NamesNoUsage,
        "test_tokens_are_counted_as_the_server_counted_them",
        {"way": "chat"},
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
        {"way": "chat"},
    ),
    "the user's client closed": (
        traps.ClosesTheUsersClient,
        "test_clients_of_the_users_own_are_used_and_not_closed",
        {},
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_the_suite_catches(sandbox, monkeypatch, name: str) -> None:
    monkeypatch.setattr(streaming, "PATIENCE", 0.2)
    broken, test, given = TRAPS[name]
    if "monkeypatch" in given:
        given = {**given, "monkeypatch": monkeypatch}
    judge = type("Judge", (SunraTests,), {})()
    getattr(judge, test)(sandbox, **given)
    sandbox.clear()
    judge.llm_class = broken
    with pytest.raises((Exception, pytest.fail.Exception)):
        getattr(judge, test)(sandbox, **given)


def test_every_bug_is_tried() -> None:
    broken = {
        one
        for one in vars(traps).values()
        if isinstance(one, type) and issubclass(one, Sunra) and one not in {Sunra, traps.Rereads}
    }
    assert broken == {trap for trap, *_ in TRAPS.values()}


def test_what_an_llm_is_said_not_to_do_is_skipped(sandbox) -> None:
    judge = type("Judge", (SunraTests,), {"gives_logprobs": False})()
    with pytest.raises(pytest.skip.Exception, match="gives_logprobs = False"):
        judge.test_log_probabilities_are_given_for_each_token(sandbox, way="chat")
    assert sandbox.requests == []


def test_a_suite_must_say_how_its_llm_is_made(sandbox) -> None:
    with pytest.raises(NotImplementedError, match="FunctionCallingLLMTests"):
        FunctionCallingLLMTests().make_llm(sandbox)
