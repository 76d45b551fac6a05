from __future__ import annotations

import math
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError, from_json, to_json

from sunra_integrations.protocol import fast_path as module
from sunra_integrations.protocol import request as module_of_request
from sunra_integrations.protocol.fast_path import LONG_STRING, encode_json
from sunra_integrations.protocol.request import ChatRequest

TEXT = st.text(st.sampled_from(["a", '"', "\\", "\n", "\0", "é", "水", "🙂"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(TEXT | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.fixture(autouse=True)
def _few_characters_are_long(monkeypatch):
    monkeypatch.setattr(module, "LONG_STRING", 3)
    monkeypatch.setattr(module, "_PART", 2)


def outcome(encode, value):
    try:
        return encode(value)
    except ValueError as error:
        return type(error)


@given(VALUES)
def test_encoding_in_parts_gives_the_same_bytes(value):
    expected = outcome(lambda one: to_json(one, inf_nan_mode="constants"), value)
    assert outcome(encode_json, value) == expected


@pytest.mark.parametrize("value", ["ab\ud800cd", ["abcd", object()], {"abcd": {1, object()}}])
def test_a_value_without_a_json_form_is_a_value_error(value):
    with pytest.raises(PydanticSerializationError):
        encode_json(value)


def test_a_circular_body_is_a_value_error():
    message = {"content": [{"text": "a long text"}]}
    message["content"].append(message)
    with pytest.raises(ValueError, match="Circular"):
        encode_json(message)


def test_nan_beside_a_long_string():
    assert encode_json(["a long text", math.nan]) == b'["a long text",NaN]'


def test_a_string_of_many_parts(monkeypatch):
    monkeypatch.undo()
    body = {"messages": [{"role": "user", "content": [{"text": "é🙂" * LONG_STRING}]}]}
    assert encode_json(body) == to_json(body)


FILES = {
    "image": {"type": "image_url", "image_url": {"url": "A" * LONG_STRING}},
    "sound": {"type": "input_audio", "input_audio": {"data": "A" * LONG_STRING, "format": "wav"}},
    "document": {"type": "file", "file": {"filename": "a.pdf", "file_data": "A" * LONG_STRING}},
    "video": {"type": "video_url", "video_url": {"url": "A" * LONG_STRING}},
}
NO_FILES = {
    "words": "A" * LONG_STRING,
    "parts": [{"type": "text", "text": "A"}, {"type": "image_url", "image_url": {"url": "A"}}],
}


def encoded(content: object) -> tuple[bytes, bool]:
    """The body of a request, and whether it was written in parts."""
    request = ChatRequest(model="m", messages=[{"role": "user", "content": content}])
    with patch.object(module_of_request, "encode_json", wraps=encode_json) as in_parts:
        return request.encode(stream=False), in_parts.called


@pytest.mark.parametrize("part", FILES.values(), ids=FILES)
def test_a_request_with_a_file_is_encoded_in_parts(monkeypatch, part):
    monkeypatch.undo()
    body, in_parts = encoded([{"type": "text", "text": "Look"}, part])
    assert in_parts
    assert from_json(body)["messages"][0]["content"][1] == part


@pytest.mark.parametrize("content", NO_FILES.values(), ids=NO_FILES)
def test_a_request_without_files_is_not_searched_for_long_strings(monkeypatch, content):
    monkeypatch.undo()
    body, in_parts = encoded(content)
    assert not in_parts
    assert from_json(body)["messages"][0]["content"] == content
