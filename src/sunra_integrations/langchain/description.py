"""What LangChain asks of a model: its names, profile, traces, cache key and token counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import BaseMessage

from sunra_integrations.data import model_facts
from sunra_integrations.langchain import from_sunra, to_sunra
from sunra_integrations.langchain.configuration import Configuration
from sunra_integrations.langchain.errors import raised_as_model_errors
from sunra_integrations.langchain.token_counting import count_tokens
from sunra_integrations.protocol.arguments import check_call, split_call
from sunra_integrations.transport.settings import headers_digest, resolved_base_url

_CHARACTERS_PER_TOKEN = 4

if TYPE_CHECKING:
    _Configured = Configuration
else:
    # Pydantic takes milliseconds for every class of models, so what has no fields is none.
    _Configured = object


class Description(_Configured):
    """How a configured model presents itself to LangChain."""

    @property
    def model(self) -> str:
        """The model's name; also `model_name`."""
        return self.model_name

    @property
    def _llm_type(self) -> str:
        return "sunra-chat"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The key is serialised as the name of its environment variable."""
        return {"api_key": "SUNRA_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """It can be dumped and loaded, without the key."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where loading finds the class."""
        return ["sunra_integrations", "langchain"]

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that changes the answer, and no secret."""
        defaults = self._defaults()
        set_ones = {name: value for name, value in defaults.items() if value not in (None, {})}
        base_url = resolved_base_url(self.base_url, allow_http=self.allow_http)
        described = {**set_ones, "model_name": self.model_name, "base_url": base_url}
        if self.default_headers:
            described["default_headers"] = self._digest(self.default_headers)
        return described

    def _resolve_model_profile(self) -> ModelProfile | None:
        """What the catalogue knows of the model, in the fields this langchain-core has.

        It decides, among others, whether `create_agent` asks for structured answers natively.
        """
        known = model_facts(self.model_name)
        if known is None:
            return None
        fields = ModelProfile.__annotations__
        return cast("ModelProfile", {k: v for k, v in known.items() if k in fields})

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        kwargs.pop("extra_headers", None)  # these go into traces, and a header may hold a secret
        with raised_as_model_errors():  # before a callback sees what looks like a credential
            check_call(kwargs)
        made = super()._get_invocation_params(stop=stop, **kwargs)
        return {**made, "stop": self.stop} if stop is None else made

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # They may change the answer, so they are in the key of a cached answer; how long an answer
        # may take is not.
        given = kwargs.pop("extra_headers", None)
        headers = {**(self.default_headers or {}), **(given if isinstance(given, Mapping) else {})}
        if headers:
            kwargs["headers"] = self._digest(headers)
        parameters, _ = split_call(kwargs)
        return super()._get_llm_string(stop, **parameters)

    def _digest(self, headers: Mapping[str, str]) -> str:
        return headers_digest(headers, self._settings().api_key)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        said = {**self._defaults(), **kwargs}
        made = LangSmithParams(
            ls_provider=from_sunra.MODEL_PROVIDER,
            ls_model_name=said["model"],
            ls_model_type="chat",
        )
        if said.get("temperature") is not None:
            made["ls_temperature"] = said["temperature"]
        limit = said.get("max_tokens") or said.get("max_completion_tokens")
        if limit:
            made["ls_max_tokens"] = limit
        stops = stop or said.get("stop")
        if stops:
            made["ls_stop"] = [stops] if isinstance(stops, str) else list(stops)
        return made

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text has, counted offline for any model."""
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens(text)
        return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """About how many tokens messages and tools have, counted offline for any model.

        Four characters of text are one token. An image is 85 tokens, every other file 1,000,
        whatever its size.
        """
        return count_tokens(messages, [to_sunra.tool(one) for one in tools or ()])
