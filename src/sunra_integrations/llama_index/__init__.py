"""Sunra's models in LlamaIndex.

::

    from sunra_integrations.llama_index import Sunra

    llm = Sunra(model="openai/gpt-4o")  # the key comes from SUNRA_KEY
    llm.complete("Hello")
"""

try:
    from sunra_integrations.llama_index.llm import Sunra
except ModuleNotFoundError as _error:
    if not (_error.name or "").startswith("llama_index"):
        raise
    raise ImportError(
        "Sunra for LlamaIndex needs llama-index-core: "
        "pip install 'sunra-integrations[llama-index]'",
        name=_error.name,
    ) from _error

__all__ = ["Sunra"]
