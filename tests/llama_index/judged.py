"""The conformance tests for Sunra, or for a subclass of it with a bug."""

from __future__ import annotations

from typing import Any, ClassVar

from sunra_integrations.conformance.llama_index import FunctionCallingLLMTests
from sunra_integrations.errors import SunraError
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Sandbox


class SunraTests(FunctionCallingLLMTests):
    """Sunra has every capability."""

    failure = SunraError
    key_variable = "SUNRA_KEY"
    llm_class: ClassVar[type[Sunra]] = Sunra

    def make_llm(self, endpoint: Sandbox, **fields: Any) -> Sunra:
        given = {
            "model": "sandbox/echo",
            "api_key": endpoint.api_key,
            "api_base": endpoint.base_url,
            "max_retries": 0,
            "api": self.api,
            **fields,
        }
        return self.llm_class(**given)


class SunraWithResponsesTests(SunraTests):
    """Sunra with `api="responses"`, which has neither audio, videos nor images in replies."""

    api = "responses"
    takes_audio = False
    takes_video = False
    gives_images = False
