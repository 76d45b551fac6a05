"""A LlamaIndex retriever that ranks by shared words: BM25, from the library `bm25s`.

LlamaIndex's own package for it, `llama-index-retrievers-bm25`, has more settings, and needs a
release of PyStemmer that Python 3.14 cannot install without a compiler (seen with 0.8.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import snowballstemmer
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle

_STEMMER = snowballstemmer.stemmer("english")


class BM25Retriever(BaseRetriever):
    """Finds the nodes that share the most and the rarest words with a question.

    Args:
        nodes: What to search: their text, and their metadata as an embedding model would see it.
        similarity_top_k: The number of nodes to return.
    """

    def __init__(self, nodes: Sequence[BaseNode], similarity_top_k: int = 2) -> None:
        super().__init__()
        self._nodes = list(nodes)
        self._top_k = min(similarity_top_k, len(self._nodes))
        self._index = bm25s.BM25()
        texts = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in self._nodes]
        self._index.index(_words_of(texts), show_progress=False)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found, scores = self._index.retrieve(
            _words_of([query_bundle.query_str]), k=self._top_k, show_progress=False
        )
        return [
            NodeWithScore(node=self._nodes[position], score=float(score))
            for position, score in zip(found[0], scores[0], strict=True)
        ]


def _words_of(texts: list[str]) -> bm25s.tokenization.Tokenized:
    return bm25s.tokenize(texts, stopwords="en", stemmer=_STEMMER, show_progress=False)
