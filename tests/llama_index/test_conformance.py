"""Sunra held to everything LlamaIndex may ask of an LLM."""

from __future__ import annotations

from tests.llama_index.judged import SunraTests


class TestSunra(SunraTests):
    """What is judged, and how, stands in `sunra_integrations.conformance.llama_index`."""
