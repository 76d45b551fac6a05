from __future__ import annotations

from typing import get_type_hints

import pytest

from sunra_integrations.protocol.parameters import (
    RequestArguments,
    RequestParameters,
    merge_parameters,
)
from sunra_integrations.protocol.request import ChatRequest, parameter_rules


def test_the_arguments_for_type_checkers_are_the_fields():
    fields = {
        name: get_type_hints(RequestParameters)[name] for name in RequestParameters.model_fields
    }
    assert fields == get_type_hints(RequestArguments)


def test_every_parameter_has_a_rule_and_a_description():
    assert parameter_rules().keys() == ChatRequest.model_fields.keys()
    assert all(parameter_rules().values())
    assert all(field.description for field in ChatRequest.model_fields.values())


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
    assert merge_parameters(settings, call) == {"extra_body": {}, **sent}
    assert repr((settings, call)) == before


def test_both_limits_of_one_call_are_left_for_the_request_to_refuse():
    both = {"max_tokens": 1, "max_completion_tokens": 1}
    assert merge_parameters({}, both) == {**both, "extra_body": {}}
