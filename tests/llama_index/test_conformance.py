"""Sunra passes the conformance tests."""

from __future__ import annotations

from tests.llama_index.judged import SunraTests, SunraWithResponsesTests


class TestSunra(SunraTests):
    """The tests are in `sunra_integrations.conformance.llama_index`."""


class TestSunraWithResponses(SunraWithResponsesTests):
    """The same tests with `api="responses"`."""
