"""Sunra, the LLM gateway, for LangChain and LlamaIndex.

Importing this package loads neither framework. Take what you need from::

    from sunra_integrations.langchain import ChatSunra  # the extra [langchain]
    from sunra_integrations.llama_index import Sunra  # the extra [llama-index]
    from sunra_integrations.transport import SunraClient  # no framework at all
    from sunra_integrations.errors import SunraError
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
