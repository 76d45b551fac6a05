"""What is done in a shorter way is what the longer way does."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
)

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.llama_index import content_parts, request
from sunra_integrations.llama_index import response as converters
from sunra_integrations.llama_index.response import StreamState
from sunra_integrations.protocol.accumulator import accumulate
from tests.pieces import chunks


@given(st.lists(chunks(highest_choice=0), max_size=8))
def test_each_response_of_a_stream_is_what_its_chunks_add_up_to(pieces) -> None:
    so_far = StreamState()
    for number, piece in enumerate(pieces, 1):
        so_far.add(piece)
        response = converters.chunk(piece, so_far)
        whole = converters.chat_response(accumulate(pieces[:number]))
        assert response.message == whole.message
        assert response.message.model_dump() == whole.message.model_dump()
        known = {n: v for n, v in response.additional_kwargs.items() if n != "thinking_delta"}
        assert known == whole.additional_kwargs
        assert response.delta == "".join(delta.text for delta in piece.choices)
        assert response.logprobs == (whole.logprobs or None)


@given(st.lists(chunks(), max_size=8))
def test_what_is_made_into_responses_adds_up_to_the_reply_of_all_chunks(pieces) -> None:
    so_far = StreamState()
    for number, piece in enumerate(pieces, 1):
        so_far.add(piece)
        converters.chunk(piece, so_far)
        assert so_far.reply() == accumulate(pieces[:number])


@given(st.lists(chunks(highest_choice=0), max_size=8))
def test_what_a_reader_does_to_a_response_changes_no_later_one(pieces) -> None:
    untouched, so_far = StreamState(), StreamState()
    for piece in pieces:
        untouched.add(piece)
        so_far.add(piece)
        reference, response = converters.chunk(piece, untouched), converters.chunk(piece, so_far)
        assert response == reference
        for block in response.message.blocks:
            block.__dict__.clear()
        response.message.blocks.clear()
        for entries in response.message.additional_kwargs.values():
            if isinstance(entries, list):
                entries.clear()
        response.message.additional_kwargs.clear()
        response.additional_kwargs.clear()
        response.raw.clear()


blocks = st.lists(
    st.sampled_from(
        [
            TextBlock(text="a"),
            TextBlock(text=""),
            ThinkingBlock(content="Hm"),
            ImageBlock(url="https://a.example/x.png"),
            CachePoint(cache_control={"type": "ephemeral"}),
        ]
    ),
    max_size=2,
)
kwargs = st.dictionaries(st.sampled_from(["name", "tool_call_id", "refusal"]), st.just("c1"))


def outcome(convert: Any, *given_: Any) -> object:
    try:
        return convert(*given_)
    except (InvalidParameter, UnsupportedContent) as error:
        return type(error)


@given(role=st.sampled_from(list(MessageRole)), blocks=blocks, kwargs=kwargs)
def test_a_plain_message_is_what_any_message_would_be(role, blocks, kwargs) -> None:
    message = ChatMessage(role=role, blocks=blocks, additional_kwargs=kwargs)
    shorter = outcome(request.messages, [message])
    longer = outcome(request.message, message)
    assert shorter == (longer if isinstance(longer, type) else [longer])


@given(st.lists(st.sampled_from([*b"AAAAZz09+/==\n-\x89"]), max_size=12).map(bytes))
@example(b"AAAA=")  # decodes, and is not well-formed
@example(b"AAA=AAAA")
def test_bytes_go_out_as_base64_of_what_the_framework_reads_in_them(content) -> None:
    try:
        read = base64.b64decode(content, validate=True)
    except binascii.Error:
        read = content
    sent = content_parts._as_base64_text(content)
    assert well_formed_base64(sent)
    assert base64.b64decode(sent) == read


@given(st.lists(st.sampled_from([*b"AAAAZz09+/==\n-\x89"]), max_size=12).map(bytes))
@example(b"AAAA=")
def test_base64_that_is_well_formed_is_known_as_such(content) -> None:
    assert content_parts._is_base64(content) is well_formed_base64(content.decode("latin-1"))


def well_formed_base64(text: str) -> bool:
    return (
        re.fullmatch(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text)
        is not None
    )


@pytest.mark.parametrize("size", [0, 1, 2, 3, 300])
def test_base64_of_any_length_is_known_as_such(size) -> None:
    assert content_parts._is_base64(base64.b64encode(bytes(range(256)) * 2)[: size * 4 or None])
    assert content_parts._is_base64(base64.b64encode(b"\xff" * size))
