from __future__ import annotations

import pytest

from sunra_integrations.protocol.history import reasoning_fields
from sunra_integrations.protocol.stream import ChunkStream
from tests.wire_cases import stream_bytes

DETAILS = [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln"}]


@pytest.mark.parametrize(
    ("text", "field", "details", "beside_calls", "fields"),
    [
        ("Hm.", "reasoning", [], True, {"reasoning": "Hm."}),
        ("Hm.", "reasoning_content", [], True, {"reasoning_content": "Hm."}),
        ("Hm.", None, [], True, {"reasoning": "Hm."}),
        ("Hm.", "reasoning_content", [], False, {}),
        ("Hm.", None, DETAILS, True, {"reasoning_details": DETAILS}),
        ("Hm.", None, DETAILS, False, {"reasoning_details": DETAILS}),
        (
            "Hm.",
            "reasoning",
            DETAILS,
            True,
            {"reasoning": "Hm.", "reasoning_details": DETAILS},
        ),
        ("", None, [], True, {}),
    ],
)
def test_reasoning_fields(text, field, details, beside_calls, fields):
    assert reasoning_fields(text, field, details, beside_calls=beside_calls) == fields


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("reasoning", "reasoning"),
        ("reasoning_content", "reasoning_content"),
        ("reasoning_in_two_spellings", "reasoning"),
        ("reasoning_details", None),
        ("plain", None),
    ],
)
def test_the_field_of_the_reasoning_is_kept(name, field):
    stream = ChunkStream()
    list(stream.feed(stream_bytes(name)))
    assert stream.so_far().choice.reasoning_field == field
