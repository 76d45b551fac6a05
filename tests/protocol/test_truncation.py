"""Which finish reasons mean that an answer was cut off, and the error that says so."""

from __future__ import annotations

import pytest

from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.reply import ChoiceDelta, Chunk, ToolCall, ToolCallDelta
from sunra_integrations.protocol.truncation import is_truncated, truncation_error

# reason: whether it is truncated if its JSON is whole, and if it is not
REASONS: dict[str | None, tuple[bool, bool]] = {
    "stop": (False, False),
    "STOP": (False, False),
    "tool_calls": (False, False),
    "function_call": (False, False),
    "end_turn": (False, False),
    "tool_use": (False, False),
    "stop_sequence": (False, False),
    "eos_token": (False, False),
    "COMPLETE": (False, False),
    "length": (True, True),
    "max_tokens": (True, True),
    "MAX_TOKENS": (True, True),
    "max_output_tokens": (True, True),
    "model_length": (True, True),
    "model_context_window_exceeded": (True, True),
    "content_filter": (True, True),
    "SAFETY": (True, True),
    "RECITATION": (True, True),
    "guardrail_intervened": (True, True),
    "refusal": (True, True),
    "error": (True, True),
    "abort": (True, True),
    "cancelled": (True, True),
    "insufficient_system_resource": (True, True),
    "pause_turn": (True, True),
    "never_seen_before": (False, True),
    "": (False, True),
    None: (False, True),
}


@pytest.mark.parametrize("reason", REASONS)
def test_an_unknown_finish_reason_leaves_the_decision_to_the_json(reason: str | None):
    assert (
        is_truncated(reason, lambda: True),
        is_truncated(reason, lambda: False),
    ) == REASONS[reason]


USAGE = {"prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23}
REASONED = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 20}}
SAYS = {
    "length": ("max_tokens or max_completion_tokens", "Raise the limit", False),
    "content_filter": ("the content filter", "Change the prompt", False),
    "network_error": ("the server ended it early", "Try again", True),
    "never_seen_before": ("'never_seen_before'", "Try again", True),
}


@pytest.mark.parametrize("reason", SAYS)
def test_the_error_names_the_cause_and_the_fix(reason: str):
    cause, advice, retryable = SAYS[reason]
    error = truncation_error(
        "Song", reason, text='{"title": "a', usage=USAGE, model="a/b", request_id="req-1"
    )
    assert "The Song is not complete" in error.message
    assert cause in error.message
    assert advice in error.message
    assert "20 tokens" in error.message
    assert '{"title": "a' in error.message
    assert error.retryable is retryable
    assert (error.finish_reason, error.text, error.usage) == (reason, '{"title": "a', USAGE)
    assert (error.request_id, error.partial.model, error.partial.text) == (
        "req-1",
        "a/b",
        '{"title": "a',
    )
    assert error.partial.usage.completion_tokens == 20


def test_a_reply_with_nothing_but_reasoning():
    error = truncation_error("Song", "length", text="", usage=REASONED)
    assert error.message.endswith("Received: nothing but 20 tokens of reasoning")
    assert truncation_error("Song", "length", text="").message.endswith("Received: nothing")


def test_the_text_of_a_truncated_call_is_its_arguments():
    call = ToolCall("c1", "Song", '{"title": "a')
    error = truncation_error("Song", "length", text="", calls=(call,))
    assert error.text == '{"title": "a'
    assert error.partial.choice.tool_calls == (call,)


def called(*arguments: str, finish_reason: str) -> list[dict[str, object] | None]:
    calls = tuple(ToolCallDelta(i, f"c{i}", "f", text) for i, text in enumerate(arguments))
    reply = accumulate([Chunk((ChoiceDelta(0, tool_calls=calls, finish_reason=finish_reason),))])
    return [call.parsed() for call in reply.choice.tool_calls]


def test_only_the_last_call_can_be_cut_off_before_its_arguments():
    assert called("", "", finish_reason="length") == [{}, None]
    assert called(" ", finish_reason="content_filter") == [None]
    assert called('{"a": 1}', finish_reason="length") == [{"a": 1}]
    assert called("", "", finish_reason="tool_calls") == [{}, {}]
    assert called("", finish_reason="never_seen_before") == [{}]
