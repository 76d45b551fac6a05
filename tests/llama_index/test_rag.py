"""Query and chat engines on a strict endpoint."""

from __future__ import annotations

import pytest
from llama_index.core import MockEmbedding, SummaryIndex, VectorStoreIndex
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import Document
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from sunra_integrations.sandbox import CallTools

DOCUMENTS = [Document(text="Rain falls in spring."), Document(text="Snow falls in winter.")]


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(DOCUMENTS, embed_model=MockEmbedding(embed_dim=4))


async def test_a_query_engine_answers(sandbox, llm, index):
    sandbox.next("Spring.", "Spring.")
    engine = index.as_query_engine(llm=llm)
    assert str(engine.query("When does rain fall?")) == "Spring."
    assert str(await engine.aquery("When does rain fall?")) == "Spring."


async def test_a_query_engine_streams(sandbox, llm, index):
    sandbox.next("In the spring.", "In the spring.")
    engine = index.as_query_engine(llm=llm, streaming=True)
    assert "".join(engine.query("When?").response_gen) == "In the spring."
    flowing = await engine.aquery("When?")
    assert "".join([text async for text in flowing.response_gen]) == "In the spring."


def test_refining_streams_as_well(sandbox, llm):
    sandbox.next("First.", "Refined.")
    engine = SummaryIndex.from_documents(DOCUMENTS).as_query_engine(
        llm=llm, response_mode=ResponseMode.REFINE, streaming=True
    )
    assert "".join(engine.query("When?").response_gen) == "Refined."


class Season(BaseModel):
    """A season."""

    name: str


def test_a_query_engine_answers_with_an_object(sandbox, llm, index):
    sandbox.next('{"name": "spring"}')
    engine = index.as_query_engine(llm=llm, output_cls=Season, response_mode="compact")
    assert engine.query("When?").response == Season(name="spring")


@pytest.mark.parametrize(
    ("selector", "choice"),
    [
        (LLMSingleSelector, '[{"choice": 2, "reason": "snow"}]'),
        (PydanticSingleSelector, CallTools(("SingleSelection", {"index": 2, "reason": "snow"}))),
    ],
)
def test_a_router_selects(sandbox, llm, index, selector, choice):
    tools = [
        QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), name=name, description=name)
        for name in ("rain", "snow")
    ]
    sandbox.next(choice, "Winter.")
    engine = RouterQueryEngine(selector.from_defaults(llm=llm), tools, llm=llm)
    answer = engine.query("When does snow fall?")
    assert str(answer) == "Winter."
    assert answer.metadata["selector_result"].selections[0].index == 1


def test_sub_questions_are_asked(sandbox, llm, index):
    tool = QueryEngineTool.from_defaults(
        index.as_query_engine(llm=llm), name="weather", description="The weather."
    )
    questions = '{"items": [{"sub_question": "When is rain?", "tool_name": "weather"}]}'
    sandbox.next(f"```json\n{questions}\n```", "In spring.", "Rain is in spring.")
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        verbose=False,
        use_async=False,
    )
    assert str(engine.query("When?")) == "Rain is in spring."


async def test_a_chat_engine_remembers(sandbox, llm):
    engine = SimpleChatEngine.from_defaults(
        llm=llm,
        system_prompt="Be brief.",
        memory=ChatMemoryBuffer.from_defaults(token_limit=1000, tokenizer_fn=str.split),
    )
    sandbox.next("One.", "Two.", "Three.", "Four.")
    assert str(engine.chat("a")) == "One."
    assert "".join(engine.stream_chat("b").response_gen) == "Two."
    assert str(await engine.achat("c")) == "Three."
    flowing = await engine.astream_chat("d")
    assert "".join([text async for text in flowing.async_response_gen()]) == "Four."
    said = [message["content"] for message in sandbox.requests[-1].json["messages"]]
    assert said == ["Be brief.", "a", "One.", "b", "Two.", "c", "Three.", "d"]
