"""Chunks made without validation are what validation makes of the same values."""

from __future__ import annotations

import copy
import pickle
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from pydantic import BaseModel

from sunra_integrations.langchain import generation_chunks
from sunra_integrations.langchain.broken_calls import MessageChunk
from sunra_integrations.langchain.generation_chunks import generation_chunk, validated
from sunra_integrations.protocol import fast_path

NAME = st.one_of(st.none(), st.sampled_from(["", "f", "g"]))
ARGUMENTS = st.one_of(
    st.sampled_from(
        ["", " ", "{", '{"a"', '{"a": 1}', "\n {}", "}", '"a"', "1", "null", "\ufeff{}"]
    ),
    st.text(max_size=4),
)
PIECE = st.builds(
    ToolCallChunk,
    name=NAME,
    args=ARGUMENTS,
    id=NAME,
    index=st.integers(0, 2),
    type=st.just("tool_call_chunk"),
)
VALUES = st.fixed_dictionaries(
    {
        "content": st.one_of(st.text(max_size=4), st.just([{"type": "text", "text": "a"}])),
        "additional_kwargs": st.dictionaries(st.sampled_from(["reasoning_content"]), st.text()),
        "response_metadata": st.dictionaries(st.sampled_from(["model_provider"]), st.text()),
        "tool_call_chunks": st.lists(PIECE, max_size=3),
    }
)


def everything(model: BaseModel) -> tuple[object, ...]:
    return (
        type(model),
        vars(model)
        if not isinstance(model, ChatGenerationChunk)
        else (model.text, type(model.text)),
        model.model_dump(),
        model.model_dump_json(exclude_unset=True),
        model.model_fields_set,
        model.model_extra,
        model.__pydantic_private__,
        repr(model),
    )


@given(VALUES)
def test_a_chunk_is_what_validation_makes(values):
    made, reference = (f(**copy.deepcopy(values)) for f in (generation_chunk, validated))
    assert everything(made) == everything(reference)
    assert everything(made.message) == everything(reference.message)
    assert made == reference


@given(VALUES)
def test_a_chunk_is_copied_pickled_and_changed_like_any_other(values):
    made, reference = (f(**copy.deepcopy(values)) for f in (generation_chunk, validated))
    made.message.id = reference.message.id = "run-1"
    again = pickle.loads(pickle.dumps(copy.deepcopy(made)))  # noqa: S301 - of our own making
    assert again == made == reference
    assert again.message.model_fields_set == reference.message.model_fields_set
    assert made.model_copy(deep=True) == reference.model_copy(deep=True)


@given(st.lists(VALUES.filter(lambda v: isinstance(v["content"], str)), min_size=1, max_size=4))
def test_chunks_add_up_to_the_same_message(many):
    made, reference = (
        merge_chat_generation_chunks([f(**copy.deepcopy(values)) for values in many])
        for f in (generation_chunk, validated)
    )
    assert made == reference


def test_no_chunk_shares_anything_that_could_change_with_another():
    first, second = (generation_chunk("a", {}, {}, []) for _ in range(2))
    first.message.additional_kwargs["x"] = first.message.response_metadata["x"] = 1
    first.message.tool_calls.append({"name": "f", "args": {}, "id": "1", "type": "tool_call"})
    first.message.name = "changed"
    first.message.extra_field = 1
    assert everything(second.message) == everything(validated("a", {}, {}, []).message)


def test_the_shortcut_is_taken_with_the_installed_langchain_core():
    validating = fast_path.validating_constructor(AIMessageChunk).__qualname__
    makers = [*generation_chunks._message.values(), generation_chunks._generation]
    assert validating not in {make.__qualname__ for make in makers}


@given(VALUES)
def test_where_langchain_core_is_not_as_known_validation_makes_the_same(values):
    slow = fast_path.validating_constructor(MessageChunk)
    with (
        patch.dict(generation_chunks._message, dict.fromkeys(generation_chunks._message, slow)),
        patch.object(
            generation_chunks, "_generation", fast_path.validating_constructor(ChatGenerationChunk)
        ),
    ):
        made = generation_chunk(**copy.deepcopy(values))
    assert everything(made) == everything(validated(**copy.deepcopy(values)))
