from __future__ import annotations

import pytest

from sunra_integrations.protocol.parameters import merged


@pytest.mark.parametrize(
    ("settings", "call", "sent"),
    [
        ({"temperature": 1}, {}, {"temperature": 1}),
        ({"temperature": 1}, {"temperature": 0}, {"temperature": 0}),
        ({"temperature": 1}, {"temperature": None}, {"temperature": None}),
        (
            {"max_tokens": 5},
            {"max_completion_tokens": 9},
            {"max_tokens": None, "max_completion_tokens": 9},
        ),
        (
            {"max_completion_tokens": 5},
            {"max_tokens": 9},
            {"max_completion_tokens": None, "max_tokens": 9},
        ),
        (
            {"logprobs": True, "top_logprobs": 3},
            {"logprobs": False},
            {"logprobs": False, "top_logprobs": None},
        ),
        (
            {"extra_body": {"a": 1, "b": 1}},
            {"extra_body": {"b": 2}},
            {"extra_body": {"a": 1, "b": 2}},
        ),
        ({}, {"extra_body": "no mapping"}, {"extra_body": "no mapping"}),
    ],
)
def test_a_call_wins_over_the_instance(settings, call, sent):
    before = repr((settings, call))
    assert merged(settings, call) == {"extra_body": {}, **sent}
    assert repr((settings, call)) == before


def test_both_limits_of_one_call_are_left_for_the_request_to_refuse():
    both = {"max_tokens": 1, "max_completion_tokens": 1}
    assert merged({}, both) == {**both, "extra_body": {}}
