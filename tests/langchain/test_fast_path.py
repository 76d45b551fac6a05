"""Objects created without validation equal those that validation creates."""

from __future__ import annotations

import copy
import json
import pickle
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from pydantic import BaseModel

from sunra_integrations.langchain import fast_path
from sunra_integrations.langchain.messages import Constructors, MessageChunk
from sunra_integrations.protocol.fast_path import validating_constructor

FAST, REFERENCE = fast_path.FastConstructors(), Constructors()

NAME = st.one_of(st.none(), st.sampled_from(["", "f", "g"]))
ARGUMENTS = st.one_of(
    st.sampled_from(
        ["", " ", "{", '{"a"', '{"a": 1}', "\n {}", "}", '"a"', "1", "null", "\ufeff{}"]
    ),
    st.text(max_size=4),
)
CALL_CHUNK = st.builds(
    ToolCallChunk,
    name=NAME,
    args=ARGUMENTS,
    id=NAME,
    index=st.integers(0, 2),
    type=st.just("tool_call_chunk"),
)
CHUNK = st.fixed_dictionaries(
    {
        "content": st.one_of(st.text(max_size=4), st.just([{"type": "text", "text": "a"}])),
        "additional_kwargs": st.dictionaries(st.sampled_from(["reasoning_content"]), st.text()),
        "response_metadata": st.dictionaries(st.sampled_from(["model_provider"]), st.text()),
        "tool_call_chunks": st.lists(CALL_CHUNK, max_size=3),
    }
)


CALL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "f"]),
        "args": st.dictionaries(st.sampled_from("ab"), st.one_of(st.integers(), st.none())),
        "id": st.sampled_from(["1", "2"]),
        "type": st.just("tool_call"),
    }
)
INVALID_CALL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "f"]),
        "args": st.sampled_from(["", "{"]),
        "id": st.sampled_from(["1", "2"]),
        "error": st.just("The arguments are no JSON object."),
        "type": st.just("invalid_tool_call"),
    }
)
USAGE = st.fixed_dictionaries(
    {"input_tokens": st.integers(0), "output_tokens": st.integers(0), "total_tokens": st.just(3)},
    optional={"output_token_details": st.just({"reasoning": 1, "odd": 2})},
)
MESSAGE = st.fixed_dictionaries(
    {
        "content": st.one_of(
            st.text(max_size=4), st.just([{"type": "text", "text": "a"}]), st.just([])
        ),
        "additional_kwargs": st.dictionaries(
            st.sampled_from(["reasoning_content", "refusal", "audio"]), st.text(max_size=2)
        ),
        "tool_calls": st.lists(CALL, max_size=2),
        "invalid_tool_calls": st.lists(INVALID_CALL, max_size=2),
        "usage_metadata": st.one_of(st.none(), USAGE),
        "response_metadata": st.dictionaries(st.sampled_from(["id", "cost"]), st.integers()),
    }
)
INFO = st.one_of(st.none(), st.just({"finish_reason": "stop"}))


def chunk_state(model: BaseModel) -> tuple[object, ...]:
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


def message_state(model: BaseModel) -> tuple[object, ...]:
    return (
        type(model),
        [(name, type(value)) for name, value in vars(model).items()],
        model.model_dump(),
        json.loads(model.model_dump_json(exclude_unset=True)),  # keys in any order
        model.model_fields_set,
        model.model_extra,
        model.__pydantic_private__,
    )


@given(CHUNK)
def test_a_chunk_is_what_validation_makes(values):
    made, reference = (f(**copy.deepcopy(values)) for f in (FAST.chunk, REFERENCE.chunk))
    assert chunk_state(made) == chunk_state(reference)
    assert chunk_state(made.message) == chunk_state(reference.message)
    assert made == reference


@given(CHUNK)
def test_a_chunk_is_copied_pickled_and_changed_like_any_other(values):
    made, reference = (f(**copy.deepcopy(values)) for f in (FAST.chunk, REFERENCE.chunk))
    made.message.id = reference.message.id = "run-1"
    again = pickle.loads(pickle.dumps(copy.deepcopy(made)))  # noqa: S301 - of our own making
    assert again == made == reference
    assert again.message.model_fields_set == reference.message.model_fields_set
    assert made.model_copy(deep=True) == reference.model_copy(deep=True)


@given(st.lists(CHUNK.filter(lambda v: isinstance(v["content"], str)), min_size=1, max_size=4))
def test_chunks_add_up_to_the_same_message(many):
    made, reference = (
        merge_chat_generation_chunks([f(**copy.deepcopy(values)) for values in many])
        for f in (FAST.chunk, REFERENCE.chunk)
    )
    assert made == reference


def test_no_chunk_shares_anything_that_could_change_with_another():
    first, second = (FAST.chunk("a", {}, {}, []) for _ in range(2))
    first.message.additional_kwargs["x"] = first.message.response_metadata["x"] = 1
    first.message.tool_calls.append({"name": "f", "args": {}, "id": "1", "type": "tool_call"})
    first.message.name = "changed"
    first.message.extra_field = 1
    assert chunk_state(second.message) == chunk_state(REFERENCE.chunk("a", {}, {}, []).message)


@given(MESSAGE, INFO)
def test_a_generation_is_what_validation_makes(values, info):
    reference = ChatGeneration(message=AIMessage(**copy.deepcopy(values)), generation_info=info)
    made = FAST.generation(FAST.message(copy.deepcopy(values)), info)
    assert message_state(made) == message_state(reference)
    assert message_state(made.message) == message_state(reference.message)
    assert made == reference


@given(MESSAGE, INFO)
def test_a_generation_is_copied_pickled_and_changed_like_any_other(values, info):
    reference = ChatGeneration(message=AIMessage(**copy.deepcopy(values)), generation_info=info)
    made = FAST.generation(FAST.message(copy.deepcopy(values)), info)
    made.message.id = reference.message.id = "run-1"
    again = pickle.loads(pickle.dumps(copy.deepcopy(made)))  # noqa: S301 - of our own making
    assert again == made == reference
    assert again.message.model_fields_set == reference.message.model_fields_set
    assert made.model_copy(deep=True) == reference.model_copy(deep=True)


def test_the_fast_path_is_taken_with_the_installed_langchain_core():
    validating = validating_constructor(AIMessage).__qualname__
    constructors = [
        *fast_path._chunk.values(),
        fast_path._generation_chunk,
        fast_path._message,
        fast_path._generation,
    ]
    assert validating not in {one.__qualname__ for one in constructors}


@given(CHUNK)
def test_where_langchain_core_is_not_as_known_validation_makes_the_same(values):
    slow = validating_constructor(MessageChunk)
    with (
        patch.dict(fast_path._chunk, dict.fromkeys(fast_path._chunk, slow)),
        patch.object(fast_path, "_generation_chunk", validating_constructor(ChatGenerationChunk)),
    ):
        made = FAST.chunk(**copy.deepcopy(values))
    assert chunk_state(made) == chunk_state(REFERENCE.chunk(**copy.deepcopy(values)))
