"""Parts (a) and (b): a retrieval chain and an agent, in LangChain."""

from __future__ import annotations

from operator import itemgetter

import bm25s
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForRetrieverRun, UsageMetadataCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from cookbook.demo import terminal
from cookbook.demo.passages import Passage
from cookbook.demo.tools import search_with, years_between
from sunra_integrations.langchain import ChatSunra

PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from these passages of the US Constitution only:\n\n{passages}"),
        ("human", "{question}"),
    ]
)


class BM25Retriever(BaseRetriever):
    """LangChain's retriever interface over the bm25s library."""

    documents: list[Document]
    index: bm25s.BM25
    k: int = 3

    @classmethod
    def of(cls, passages: list[Passage]) -> BM25Retriever:
        """An index of these passages."""
        index = bm25s.BM25()
        index.index(_tokens([passage.text for passage in passages]), show_progress=False)
        documents = [Document(text, metadata={"place": place}) for place, text in passages]
        return cls(documents=documents, index=index)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the framework's hook
    ) -> list[Document]:
        found, _ = self.index.retrieve(
            _tokens([query]), corpus=self.documents, k=self.k, show_progress=False
        )
        return list(found[0])


def chain(llm: ChatSunra, passages: list[Passage], question: str) -> None:
    """(a) A retrieval chain, streamed, with its sources."""
    prompt = {
        "passages": itemgetter("sources") | RunnableLambda(_joined),
        "question": itemgetter("question"),
    }
    rag = RunnablePassthrough.assign(
        sources=itemgetter("question") | BM25Retriever.of(passages)
    ).assign(answer=prompt | PROMPT | llm | StrOutputParser())
    usage = UsageMetadataCallbackHandler()
    with terminal.part(
        "a", "LangChain: retrieval chain, streamed, with sources", question
    ) as tally:
        terminal.answer_begins()
        sources: list[Document] = []
        for step in rag.stream({"question": question}, config={"callbacks": [usage]}):
            sources += step.get("sources", [])
            terminal.stream(step.get("answer", ""))
        terminal.answer_ends()
        for source in sources:
            terminal.note("source", f"[{source.metadata['place']}] {source.page_content}")
        for counted in usage.usage_metadata.values():
            tally.add(counted["input_tokens"], counted["output_tokens"])


def agent(llm: ChatSunra, passages: list[Passage], question: str) -> None:
    """(b) An agent with two tools, its steps and tokens as they come."""
    retriever = BM25Retriever.of(passages)
    search = search_with(
        lambda query: [(doc.metadata["place"], doc.page_content) for doc in retriever.invoke(query)]
    )
    graph = create_agent(llm, tools=[search, years_between])
    with terminal.part("b", "LangChain: agent with two tools", question) as tally:
        asked = {"messages": [{"role": "user", "content": question}]}
        answering = False
        for mode, event in graph.stream(asked, stream_mode=["updates", "messages"]):
            if mode == "messages":
                piece, _ = event
                if isinstance(piece, AIMessageChunk) and piece.text:
                    if not answering:
                        terminal.answer_begins()
                    answering = True
                    terminal.stream(piece.text)
                continue
            for message in (one for step in event.values() for one in step["messages"]):
                answering = _show_step(message, tally, answering=answering)


def _show_step(message: object, tally: terminal.Tally, *, answering: bool) -> bool:
    """Shows a finished message; tells whether an answer is still streaming in."""
    if isinstance(message, AIMessage):
        if answering:
            terminal.answer_ends()
        for call in message.tool_calls:
            terminal.note("calls", f"{call['name']}({call['args']})")
        if message.usage_metadata:
            tally.add(
                message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]
            )
        return False
    if isinstance(message, ToolMessage):
        terminal.note("gets", f"{message.name}: {message.text}")
    return answering


def _joined(documents: list[Document]) -> str:
    return "\n\n".join(f"[{doc.metadata['place']}] {doc.page_content}" for doc in documents)


def _tokens(texts: list[str]) -> bm25s.tokenization.Tokenized:
    return bm25s.tokenize(texts, stopwords="en", show_progress=False)
