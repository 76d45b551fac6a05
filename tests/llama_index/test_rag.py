"""Query and chat engines on a strict endpoint."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import SummaryIndex, VectorStoreIndex
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.evaluation import (
    CorrectnessEvaluator,
    FaithfulnessEvaluator,
    RelevancyEvaluator,
)
from llama_index.core.extractors import (
    KeywordExtractor,
    QuestionsAnsweredExtractor,
    SummaryExtractor,
    TitleExtractor,
)
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import Document
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from sunra_integrations.sandbox import CallTools
from tests.llama_index.word_embedding import WordEmbedding

DOCUMENTS = [Document(text="Rain falls in spring."), Document(text="Snow falls in winter.")]


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(DOCUMENTS, embed_model=WordEmbedding())


def test_the_retriever_finds_by_what_is_said(index):
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("When does snow fall?")
    assert "winter" in found.text


async def test_what_was_retrieved_is_sent(sandbox, llm, index):
    engine = index.as_query_engine(llm=llm, similarity_top_k=1)
    answer = await engine.aquery("When does snow fall?")
    assert "winter" in str(answer)
    assert "Snow falls in winter." in str(sandbox.requests[-1].json["messages"])
    assert "spring" not in str(sandbox.requests[-1].json["messages"])


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


SYNTHESES = {
    "compact": ['{"name": "spring"}'],
    "refine": ['{"name": "winter"}', '{"name": "spring"}'],
    "tree_summarize": ['{"name": "spring"}'],
}


@pytest.mark.parametrize("mode", SYNTHESES)
async def test_every_synthesis_answers_with_an_object(sandbox, llm, mode):
    engine = SummaryIndex.from_documents(DOCUMENTS).as_query_engine(
        llm=llm, output_cls=Season, response_mode=mode
    )
    sandbox.next(*SYNTHESES[mode], *SYNTHESES[mode])
    assert engine.query("When?").response == Season(name="spring")
    assert (await engine.aquery("When?")).response == Season(name="spring")
    assert len(sandbox.requests) == 2 * len(SYNTHESES[mode])


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
async def test_every_synthesis_streams(sandbox, llm, mode):
    engine = SummaryIndex.from_documents(DOCUMENTS).as_query_engine(
        llm=llm, response_mode=mode, streaming=True
    )
    sandbox.answer_with(lambda request: "In the spring.")
    assert "".join(engine.query("When?").response_gen) == "In the spring."
    flowing = await engine.aquery("When?")
    text = [one async for one in flowing.async_response_gen()]
    assert "".join(text) == "In the spring."


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


SUB_QUESTIONS = '{"items": [{"sub_question": "When is rain?", "tool_name": "weather"}]}'


@pytest.mark.parametrize("awaited", [False, True])
async def test_sub_questions_are_asked(sandbox, llm, index, awaited):
    tool = QueryEngineTool.from_defaults(
        index.as_query_engine(llm=llm), name="weather", description="The weather."
    )
    sandbox.next(f"```json\n{SUB_QUESTIONS}\n```", "In spring.", "Rain is in spring.")
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        verbose=False,
        use_async=awaited,
    )
    answer = await engine.aquery("When?") if awaited else engine.query("When?")
    assert str(answer) == "Rain is in spring."
    assert "When is rain?" in str(sandbox.requests[1].json["messages"])


async def test_citations_are_numbered(sandbox, llm, index):
    engine = CitationQueryEngine.from_args(index, llm=llm, similarity_top_k=2)
    sandbox.next("Rain falls in spring [1].", "Rain falls in spring [1].")
    for answer in (engine.query("When?"), await engine.aquery("When?")):
        assert str(answer) == "Rain falls in spring [1]."
        assert [node.text[:9] for node in answer.source_nodes] == ["Source 1:", "Source 2:"]
    assert "Source 1:" in str(sandbox.requests[-1].json["messages"])


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


def memory() -> ChatMemoryBuffer:
    return ChatMemoryBuffer.from_defaults(token_limit=1000, tokenizer_fn=str.split)


async def test_a_condensing_chat_engine_with_context_remembers(sandbox, llm, index):
    engine = index.as_chat_engine(
        chat_mode="condense_plus_context", llm=llm, memory=memory(), similarity_top_k=1
    )
    sandbox.next(
        *("In spring.", "When does snow fall?", "In winter."),
        *("And rain?", "As I said.", "And then?", "Nothing."),
    )
    assert str(engine.chat("When does rain fall?")) == "In spring."
    assert str(await engine.achat("And snow?")) == "In winter."
    assert "".join(engine.stream_chat("And rain?").response_gen) == "As I said."
    flowing = await engine.astream_chat("And then?")
    assert "".join([text async for text in flowing.async_response_gen()]) == "Nothing."
    condensed, answered = (request.json["messages"] for request in sandbox.requests[1:3])
    assert "And snow?" in str(condensed)
    assert "Snow falls in winter." in str(answered)
    said = [message["content"] for message in sandbox.requests[-1].json["messages"]]
    assert "As I said." in said


@pytest.mark.parametrize("mode", ["context", "condense_question"])
async def test_every_chat_engine_answers_and_streams(sandbox, llm, index, mode):
    sandbox.answer_with(lambda request: "In spring.")
    engine = index.as_chat_engine(chat_mode=mode, llm=llm, memory=memory())
    assert str(engine.chat("When?")) == "In spring."
    assert str(await engine.achat("When?")) == "In spring."
    assert "".join(engine.stream_chat("When?").response_gen) == "In spring."
    flowing = await engine.astream_chat("When?")
    assert "".join([text async for text in flowing.async_response_gen()]) == "In spring."


async def test_metadata_is_extracted_in_a_pipeline(sandbox, llm):
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=100, chunk_overlap=0),
            TitleExtractor(llm=llm, num_workers=1, show_progress=False),
            KeywordExtractor(llm=llm, num_workers=1, show_progress=False),
            SummaryExtractor(llm=llm, num_workers=1, show_progress=False),
            QuestionsAnsweredExtractor(llm=llm, num_workers=1, show_progress=False),
        ]
    )
    for nodes in (
        await pipeline.arun(documents=DOCUMENTS, show_progress=False),
        await asyncio.to_thread(pipeline.run, documents=DOCUMENTS, show_progress=False),
    ):
        extracted = {"document_title", "excerpt_keywords", "section_summary"}
        extracted |= {"questions_this_excerpt_can_answer"}
        assert [set(node.metadata) for node in nodes] == [extracted, extracted]
        assert all(node.metadata["section_summary"] for node in nodes)


@pytest.mark.parametrize(("word", "passing"), [("YES", True), ("NO", False)])
async def test_answers_are_evaluated(sandbox, llm, index, word, passing):
    sandbox.next("In spring.")
    answer = await index.as_query_engine(llm=llm).aquery("When does rain fall?")
    sandbox.answer_with(lambda request: word)
    faithful = await FaithfulnessEvaluator(llm=llm).aevaluate_response(response=answer)
    relevant = await RelevancyEvaluator(llm=llm).aevaluate_response(
        query="When does rain fall?", response=answer
    )
    assert (faithful.passing, relevant.passing) == (passing, passing)


async def test_answers_are_graded(sandbox, llm):
    sandbox.next("4.5\nIt says when.")
    graded = await CorrectnessEvaluator(llm=llm).aevaluate(
        query="When?", response="In spring.", reference="Rain falls in spring."
    )
    assert (graded.score, graded.feedback) == (4.5, "It says when.")
