"""What a `ChatSunra` is made with: its fields, how they are checked, and how copies are made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from sunra_integrations import __version__
from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.parameters import RequestParameters
from sunra_integrations.protocol.request import (
    check_extra_body,
    check_parameters,
    not_a_dict,
    parameter_rules,
)
from sunra_integrations.transport import Settings, Timeouts
from sunra_integrations.transport.parameters import ConnectionParameters
from sunra_integrations.transport.settings import (
    check_loaded,
)

_SERIALIZED = "_serialized"
"""Where langchain-core keeps a model's serialised form, of which it makes answer-cache keys."""

_SERVICES = ("http_client", "http_async_client", "cache", "callbacks", "rate_limiter")
"""Fields that copies share."""


_WIRE_NAMES = {"model_name": "model", "stop_sequences": "stop"}

_FIELDS = tuple(name for name in RequestParameters.model_fields if name != "extra_body")

CALL_ONLY = frozenset(("messages", "tools", "tool_choice"))
"""Parameters that belong to a conversation, not to a model object."""


class Configuration(ConnectionParameters, RequestParameters, BaseChatModel):
    """The fields of `ChatSunra`, checked when it is made; `ChatSunra` documents them."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        defer_build=True,  # built with the first instance, so that an import costs little
    )

    _base_url_field: ClassVar[str] = "base_url"
    _async_client_field: ClassVar[str] = "http_async_client"

    model_name: str = Field(alias="model")
    stop: str | list[str] | None = Field(default=None, alias="stop_sequences")
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the request body that have no field here; sent as they are."""

    streaming: bool = False
    """Stream within `invoke` too, for callbacks that want tokens."""
    stream_usage: bool = True
    """Ask for token counts while streaming."""

    base_url: str | None = None
    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)

    @classmethod
    def _check_arguments(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        for name in given:
            if name in CALL_ONLY:
                raise InvalidParameter(
                    f"`{name}` belongs to a call, not to the model object: use `bind_tools`, or "
                    f"pass `{name}` when calling.",
                    parameter=name,
                    rule="passed per call",
                )
        arguments = super()._check_arguments(given)
        _check_model_kwargs(arguments.get("model_kwargs"), cls._argument_names())
        named = {_WIRE_NAMES.get(name, name): value for name, value in arguments.items()}
        rules = parameter_rules().keys() - {"messages"}
        check_parameters({name: value for name, value in named.items() if name in rules})
        return arguments

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Core's own check, for profiles of the user's; it takes as long as all the rest."""
        check = getattr(super(), "_check_profile_keys", None)
        return self if check is None or self._has_profile_of_its_model() else check()

    @model_validator(mode="after")
    def _keep_resolved_settings(self) -> Self:
        """Fails early where nothing could be sent, and keeps what the environment said."""
        settings = self._settings()
        if self.api_key is None and _comes_from_load():
            check_loaded(settings.base_url)
        self._keep_key(settings.api_key)
        if self.base_url is None and settings.base_url != Settings.base_url:
            self.base_url = settings.base_url
        return self

    @model_validator(mode="after")
    def _set_sunra_integrations_version(self) -> Self:
        """Names this package's version in traces, beside core's; core 1.4 names none."""
        add_version = getattr(self, "_add_version", None)
        if add_version is not None:
            add_version("sunra-integrations", __version__)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, changed where asked; a cached answer of this model does not pass for its own.

        Raises:
            InvalidParameter: A name is unknown; it names the closest.
        """
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop(_SERIALIZED, None)
        if "profile" not in (update or {}) and self._has_profile_of_its_model():
            copied.profile = copied._resolve_model_profile()  # noqa: SLF001 - of another self
        return copied

    def __setattr__(self, name: str, value: Any) -> None:
        follows = name == "model_name" and self._has_profile_of_its_model()
        super().__setattr__(name, value)
        vars(self).pop(_SERIALIZED, None)
        if follows:
            super().__setattr__("profile", self._resolve_model_profile())

    def _has_profile_of_its_model(self) -> bool:
        """Whether the profile is what is known of the model, not one of the user's."""
        return self.profile == self._resolve_model_profile()

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: all but the key, which a process that loads it takes from SUNRA_KEY."""
        state = super().__getstate__()
        fields = {name: one for name, one in state["__dict__"].items() if name != _SERIALIZED}
        return {**state, "__dict__": {**fields, "api_key": None}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy that shares HTTP clients and the like: they hold locks and connections."""
        memo = {} if memo is None else memo
        for service in map(self.__dict__.get, _SERVICES):
            memo[id(service)] = service
        return super().__deepcopy__(memo)

    def _defaults(self) -> dict[str, Any]:
        """The request parameters this model is set to, by the wire's names."""
        made = {
            name: getattr(self, name)
            for name in RequestParameters.model_fields
            if name != "extra_body"
        }
        if not self.stream_usage and self.stream_options is None:
            made["stream_options"] = {}
        extra_body = {**self.model_kwargs, **self.extra_body}
        return {"model": self.model_name, **made, "extra_body": extra_body}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialises the timeout, which is not JSON, as a dict."""
        return {"timeout": asdict(self.timeout)} if isinstance(self.timeout, Timeouts) else {}


def _comes_from_load() -> bool:
    """Whether `langchain_core.load` makes the object; it gives the class no other sign of it."""
    frame = inspect.currentframe()
    while frame is not None and (
        frame.f_code.co_name == "__init__"
        or frame.f_globals.get("__name__", "").startswith("sunra_integrations.")
    ):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "langchain_core.load.load"


def _check_model_kwargs(model_kwargs: Any, known: frozenset[str]) -> None:
    if model_kwargs is None:
        return
    if not isinstance(model_kwargs, Mapping):
        raise not_a_dict("model_kwargs", model_kwargs)
    check_extra_body(model_kwargs, "model_kwargs")
    for name in model_kwargs:
        if name in known:
            raise InvalidParameter(
                f"`{name}` is in `model_kwargs`; pass it to ChatSunra itself.",
                parameter=name,
                rule="an argument of ChatSunra",
            )
