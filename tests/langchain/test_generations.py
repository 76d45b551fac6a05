"""Whole answers made without validation are what validation makes of the same values."""

from __future__ import annotations

import copy
import json
import pickle

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from pydantic import BaseModel

from sunra_integrations.langchain import generations
from sunra_integrations.langchain.generations import ai_message, chat_generation
from sunra_integrations.protocol import fast_path

CALL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "f"]),
        "args": st.dictionaries(st.sampled_from("ab"), st.one_of(st.integers(), st.none())),
        "id": st.sampled_from(["1", "2"]),
        "type": st.just("tool_call"),
    }
)
BROKEN = st.fixed_dictionaries(
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
VALUES = st.fixed_dictionaries(
    {
        "content": st.one_of(
            st.text(max_size=4), st.just([{"type": "text", "text": "a"}]), st.just([])
        ),
        "additional_kwargs": st.dictionaries(
            st.sampled_from(["reasoning_content", "refusal", "audio"]), st.text(max_size=2)
        ),
        "tool_calls": st.lists(CALL, max_size=2),
        "invalid_tool_calls": st.lists(BROKEN, max_size=2),
        "usage_metadata": st.one_of(st.none(), USAGE),
        "response_metadata": st.dictionaries(st.sampled_from(["id", "cost"]), st.integers()),
    }
)
INFO = st.one_of(st.none(), st.just({"finish_reason": "stop"}))


def everything(model: BaseModel) -> tuple[object, ...]:
    return (
        type(model),
        [(name, type(value)) for name, value in vars(model).items()],
        model.model_dump(),
        json.loads(model.model_dump_json(exclude_unset=True)),  # keys in any order
        model.model_fields_set,
        model.model_extra,
        model.__pydantic_private__,
    )


@given(VALUES, INFO)
def test_a_generation_is_what_validation_makes(values, info):
    reference = ChatGeneration(message=AIMessage(**copy.deepcopy(values)), generation_info=info)
    made = chat_generation(ai_message(copy.deepcopy(values)), info)
    assert everything(made) == everything(reference)
    assert everything(made.message) == everything(reference.message)
    assert made == reference


@given(VALUES, INFO)
def test_a_generation_is_copied_pickled_and_changed_like_any_other(values, info):
    reference = ChatGeneration(message=AIMessage(**copy.deepcopy(values)), generation_info=info)
    made = chat_generation(ai_message(copy.deepcopy(values)), info)
    made.message.id = reference.message.id = "run-1"
    again = pickle.loads(pickle.dumps(copy.deepcopy(made)))  # noqa: S301 - of our own making
    assert again == made == reference
    assert again.message.model_fields_set == reference.message.model_fields_set
    assert made.model_copy(deep=True) == reference.model_copy(deep=True)


def test_the_shortcut_is_taken_with_the_installed_langchain_core():
    validating = fast_path.validating_constructor(AIMessage).__qualname__
    makers = [generations._message, generations._generation]
    assert validating not in {make.__qualname__ for make in makers}
