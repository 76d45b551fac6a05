"""Sunra's models in LlamaIndex.

::

    from sunra_integrations.llama_index import Sunra

    llm = Sunra(model="openai/gpt-4o")  # the key comes from SUNRA_KEY
    llm.complete("Hello")
"""

from sunra_integrations.requirements import requiring

with requiring(
    "Sunra for LlamaIndex", "pydantic", "httpx", "llama-index-core", extra="llama-index"
):
    from sunra_integrations.llama_index.llm import Sunra
    from sunra_integrations.llama_index.usage import UsageHandler

__all__ = ["Sunra", "UsageHandler"]
