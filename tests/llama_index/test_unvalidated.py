"""What is made without validation is what validation would have made."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from sunra_integrations.llama_index import response as converters
from sunra_integrations.llama_index.response import FunctionCall, MessageToolCall
from sunra_integrations.protocol import fast_path

texts = st.text(max_size=20)
amounts = st.integers(-(2**63), 2**63 - 1)
json = st.recursive(
    st.none() | st.booleans() | amounts | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts.filter(lambda name: name != "images"), json, max_size=3)
logprobs = st.builds(
    LogProb, token=texts, logprob=st.floats(allow_nan=False), bytes=st.lists(amounts, max_size=4)
)
blocks = (
    st.builds(TextBlock, text=texts)
    | st.builds(ThinkingBlock, content=st.none() | texts)
    | st.builds(ToolCallBlock, tool_call_id=texts, tool_name=texts, tool_kwargs=texts)
)
messages = st.builds(
    ChatMessage,
    role=st.just(MessageRole.ASSISTANT),
    blocks=st.lists(blocks, max_size=3),
    additional_kwargs=objects,
)
probabilities = st.none() | st.lists(st.lists(logprobs, max_size=2), max_size=3)
functions = st.builds(FunctionCall, name=texts, arguments=texts)

MADE: dict[str, tuple[Any, type[BaseModel], dict[str, st.SearchStrategy[Any]]]] = {
    "text": (converters._text_block, TextBlock, {"text": texts}),
    "thinking": (
        converters._thinking_block,
        ThinkingBlock,
        {
            "content": st.none() | texts,
            "num_tokens": st.none() | amounts,
            "additional_information": objects,
        },
    ),
    "message": (
        converters._chat_message,
        ChatMessage,
        {
            "role": st.just(MessageRole.ASSISTANT),
            "blocks": st.lists(blocks, max_size=3),
            "additional_kwargs": objects,
        },
    ),
    "response": (
        converters._chat_response,
        ChatResponse,
        {
            "message": messages,
            "raw": objects,
            "delta": st.none() | texts,
            "logprobs": probabilities,
            "additional_kwargs": objects,
        },
    ),
    "completion": (
        converters._completion_response,
        CompletionResponse,
        {
            "text": texts,
            "additional_kwargs": objects,
            "raw": objects,
            "logprobs": probabilities,
            "delta": st.none() | texts,
        },
    ),
    "call block": (
        converters._tool_call_block,
        ToolCallBlock,
        {"tool_call_id": texts, "tool_name": texts, "tool_kwargs": texts},
    ),
    "called function": (
        converters._function_call,
        FunctionCall,
        {"name": texts, "arguments": texts},
    ),
    "called tool": (
        converters._message_tool_call,
        MessageToolCall,
        {"id": texts, "function": functions},
    ),
    "log probability": (
        converters._log_prob,
        LogProb,
        {
            "token": texts,
            "logprob": st.floats(allow_nan=False),
            "bytes": st.lists(amounts, max_size=4),
        },
    ),
}


def state(instance: BaseModel) -> list[object]:
    return [
        list(instance.__dict__.items()),
        instance.model_fields_set,
        instance.model_extra,
        instance.__pydantic_private__,
        type(instance),
        instance.model_dump(),
        repr(instance),
        str(instance),
    ]


@pytest.mark.parametrize("name", MADE)
@given(data=st.data())
def test_it_is_what_validation_makes(name, data) -> None:
    make, model, strategies = MADE[name]
    values = data.draw(st.fixed_dictionaries(strategies))
    made, reference = make(copy.deepcopy(values)), fast_path.validating_constructor(model)(values)
    assert made == reference
    assert state(made) == state(reference)
    assert made.model_dump(exclude_unset=True) == reference.model_dump(exclude_unset=True)
    for copied in (
        copy.copy,
        copy.deepcopy,
        lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301 - what was just pickled here
        lambda one: type(one).model_validate(one.model_dump()),
        lambda one: one.model_copy(update={}),
    ):
        assert state(copied(made)) == state(copied(reference))


@pytest.mark.parametrize("name", MADE)
@given(data=st.data())
def test_a_field_can_be_assigned_afterwards_as_in_any_instance(name, data) -> None:
    make, model, strategies = MADE[name]
    values = data.draw(st.fixed_dictionaries(strategies))
    both = make(copy.deepcopy(values)), model(**values)
    if model.model_config.get("frozen"):
        return
    field, value = next(iter(values.items()))
    for one in both:
        setattr(one, field, value)
    assert state(both[0]) == state(both[1])


def test_all_of_the_frameworks_classes_are_known_well_enough() -> None:
    for make, model, _ in MADE.values():
        assert make.__qualname__ != fast_path.validating_constructor(model).__qualname__


class Plain(BaseModel):
    text: str


class MoreDefaults(Plain):
    kept: list[str] = []
    made: dict[str, Any] = Field(default_factory=dict)
    chosen: MessageRole = MessageRole.USER
    number: int | None = None


class Extra(Plain):
    model_config = ConfigDict(extra="allow")


class Required(Plain):
    more: str


class Constrained(BaseModel):
    text: Annotated[str, StringConstraints(to_upper=True)]


class ValidatedField(Plain):
    @field_validator("text")
    @classmethod
    def _upper(cls, text: str) -> str:
        return text.upper()


class ValidatedModel(Plain):
    @model_validator(mode="after")
    def _upper(self) -> ValidatedModel:
        self.text = self.text.upper()
        return self


class OwnInit(Plain):
    def __init__(self, **values: Any) -> None:
        super().__init__(**{name: value.upper() for name, value in values.items()})


class AfterInit(Plain):
    def model_post_init(self, _: Any) -> None:
        self.text = self.text.upper()


class Private(Plain):
    _more: list[str] = PrivateAttr(default_factory=list)


class Stripped(Plain):
    model_config = ConfigDict(str_strip_whitespace=True)


class Renamed(BaseModel):
    text: str = Field(alias="Text", default="")


class Converted(BaseModel):
    text: MessageRole


@pytest.mark.parametrize("model", [Plain, MoreDefaults, Extra])
def test_a_class_that_gains_fields_with_defaults_is_known(model) -> None:
    make = fast_path.constructor(model, {"text": "a"})
    assert make.__qualname__ != fast_path.validating_constructor(model).__qualname__
    made, other = make({"text": "b"}), make({"text": "b"})
    assert state(made) == state(model(text="b"))
    for name, value in made.__dict__.items():
        if isinstance(value, list | dict):
            assert value is not other.__dict__[name]
    assert made.model_extra is None or made.model_extra is not other.model_extra


@pytest.mark.parametrize(
    "model",
    [Constrained, ValidatedField, ValidatedModel, OwnInit, AfterInit, Private, Stripped, Renamed],
)
def test_a_class_that_does_more_is_validated(model) -> None:
    make = fast_path.constructor(model, {"text": "a"})
    assert state(make({"text": "b"})) == state(model(text="b"))


@pytest.mark.parametrize(
    ("model", "sample"),
    [(Required, {"text": "a"}), (Converted, {"text": "user"}), (Plain, {"text": "a", "no": 1})],
)
def test_a_class_that_wants_something_else_is_validated(model, sample) -> None:
    make = fast_path.constructor(model, sample)
    assert make.__qualname__ == fast_path.validating_constructor(model).__qualname__


def test_what_is_known_to_be_harmless_is_no_reason_to_validate() -> None:
    make = fast_path.constructor(OwnInit, {"text": "A"}, known_validators=("__init__",))
    assert make.__qualname__ != fast_path.validating_constructor(OwnInit).__qualname__
    make = fast_path.constructor(OwnInit, {"text": "a"}, known_validators=("__init__",))
    assert make.__qualname__ == fast_path.validating_constructor(OwnInit).__qualname__


@given(
    token=st.fixed_dictionaries(
        {},
        optional={
            "token": st.none() | texts,
            "logprob": st.none() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.booleans(),
            "bytes": st.none() | st.lists(st.integers(0, 255) | st.booleans(), max_size=3),
        },
    )
)
def test_log_probabilities_are_read_as_validation_reads_them(token) -> None:
    ((read,),) = converters.logprobs({"content": [token]})
    logprob = token.get("logprob")
    reference = LogProb(
        token=token.get("token") or "",
        logprob=-math.inf if logprob is None else logprob,
        bytes=token.get("bytes") or [],
    )
    assert state(read) == state(reference)
    assert type(read.logprob) is float
