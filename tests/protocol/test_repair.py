"""How many repairs there may be, and what a model is sent about its reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.repair import (
    call_repair,
    check_repairs,
    describe_error,
    not_repaired,
)


class Order(BaseModel):
    title: str
    sizes: list[int]

    @field_validator("title")
    @classmethod
    def _not_empty(cls, title: str) -> str:
        if not title:
            raise ValueError("a title is required")
        return title


def caught(given: str) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Order.model_validate_json(given)
    return raised.value


@pytest.mark.parametrize("value", [0, 1, 10])
def test_a_number_of_repairs_is_from_0_to_10(value: int):
    assert check_repairs(value) == value


@pytest.mark.parametrize("value", [-1, 11, True, 1.0, "1", None])
def test_another_number_of_repairs_is_refused_by_name(value: Any):
    with pytest.raises(InvalidParameter, match=r"`repair` must be an int from 0 to 10, got") as got:
        check_repairs(value)
    assert (got.value.parameter, got.value.value) == ("repair", value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('{"title": "a"}', "- sizes: Field required"),
        (
            '{"title": "", "sizes": [1, "x"]}',
            """- title: Value error, a title is required
- sizes.1: Input should be a valid integer, unable to parse string as an integer""",
        ),
        ("[]", "- Input should be an object"),
    ],
)
def test_each_wrong_field_is_one_line(given: str, expected: str):
    assert describe_error(caught(given)) == expected


def test_only_the_first_wrong_fields_are_listed():
    lines = describe_error(caught(json.dumps({"title": "a", "sizes": ["x"] * 100}))).splitlines()
    assert len(lines) == 20


def test_the_cause_of_a_parsing_error_is_described():
    error = ValueError("Could not parse")
    error.__cause__ = caught('{"title": "a"}')
    assert describe_error(error) == "- sizes: Field required"
    error.__cause__ = json.JSONDecodeError("Expecting value", "{", 1)
    assert describe_error(error).startswith("It is not valid JSON: Expecting value: line 1")


def test_a_long_description_is_cut():
    assert describe_error(ValueError("x" * 1000)) == "x" * 500


@pytest.mark.parametrize(
    ("number", "problem", "message"),
    [
        (
            1,
            "It is blue.",
            "The model's replies were invalid once. The last error: It is blue. (…)",
        ),
        (
            3,
            call_repair("It is blue."),
            (
                "The model's replies were invalid 3 times in a row. The last error: "
                "The call is invalid:\nIt is blue. (…)"
            ),
        ),
    ],
)
def test_the_error_without_a_repair_left_says_how_often_and_why(number, problem, message):
    error = not_repaired("replies", number, problem, setting="…")
    assert (str(error), error.retryable) == (message, False)
