"""An embedding without a model: texts that share words are near each other."""

from __future__ import annotations

import re
import zlib

from llama_index.core.base.embeddings.base import BaseEmbedding

_SIZE = 256


class WordEmbedding(BaseEmbedding):
    """Counts words, each at a place of its own (or nearly)."""

    def _embed(self, text: str) -> list[float]:
        counts = [0.0] * _SIZE
        for word in re.findall(r"\w+", text.lower()):
            counts[zlib.crc32(word.encode()) % _SIZE] += 1.0
        return counts

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embed(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._embed(query)
