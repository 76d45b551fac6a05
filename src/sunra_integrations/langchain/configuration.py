"""What a `ChatSunra` is made with: its fields, how they are checked, and how copies are made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler  # in `pydantic` from 2.10.4
from typing_extensions import Self

from sunra_integrations import __version__
from sunra_integrations.errors import SunraError
from sunra_integrations.langchain.parameters import REQUEST_FIELDS, checked
from sunra_integrations.protocol.arguments import CALL_SETTINGS, unknown_arguments, with_timeout
from sunra_integrations.protocol.parameters import RequestParameters
from sunra_integrations.protocol.request import invalid_argument
from sunra_integrations.transport import Settings, Timeouts
from sunra_integrations.transport.settings import (
    AsyncTransport,
    Timeout,
    as_kept,
    check_loaded,
)

_SERIALIZED = "_serialized"
"""Where langchain-core keeps a model's serialised form, of which it makes answer-cache keys."""

_SERVICES = ("http_client", "http_async_client", "cache", "callbacks", "rate_limiter")
"""Fields that copies share."""

_OWN_NAMES = {"model": "model_name", "stop_sequences": "stop"}


class Configuration(RequestParameters, BaseChatModel):
    """The fields of `ChatSunra`, checked when it is made; `ChatSunra` documents them."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        defer_build=True,  # built with the first instance, so that an import costs little
    )

    model_name: str = Field(alias="model")
    stop: str | list[str] | None = Field(default=None, alias="stop_sequences")
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the request body that have no field here; sent as they are."""

    streaming: bool = False
    """Stream within `invoke` too, for callbacks that want tokens."""
    stream_usage: bool = True
    """Ask for token counts while streaming."""

    api_key: SecretStr | None = None
    base_url: str | None = None
    timeout: Timeout = None
    stall_timeout: float | None = None
    total_timeout: float | None = None
    max_retries: int = 2
    max_connections: int | None = None
    """Connections open at once, per process (sync) or event loop (async)."""
    max_response_bytes: int | None = None
    """The longest answer, or event of a stream, that is taken in."""
    async_transport: AsyncTransport = "auto"
    """What carries async calls, `httpx` or `aiohttp`; `auto`: aiohttp where it is installed."""
    allow_http: bool = False
    """Permit a `base_url` of plain http to another machine."""
    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)
    http_client: httpx.Client | None = Field(default=None, exclude=True, repr=False)
    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)

    # -- construction ------------------------------------------------------

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
            if given.get("api_key") is None and _comes_from_load():
                check_loaded(self._settings().base_url)
        except SunraError as error:
            failure = error.with_traceback(None)
        else:
            return
        del given  # so that no frame of the traceback holds what was passed, a key among it
        raise failure

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Mapping):
            data = checked(data, _argument_names(cls))
        try:
            return handler(data)
        except ValidationError as error:
            failure = invalid_argument(error)
        raise failure  # out here, so that it does not carry the other one, which holds the value

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Core's own check, for profiles of the user's; it takes as long as all the rest."""
        check = getattr(super(), "_check_profile_keys", None)
        return self if check is None or self._has_profile_of_its_model() else check()

    @model_validator(mode="after")
    def _keep_resolved_settings(self) -> Self:
        """Fails early where nothing could be sent, and keeps what the environment said."""
        settings = self._settings()
        self.api_key = settings.api_key
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

    if not TYPE_CHECKING:  # mypy's pydantic plugin makes a signature of all fields

        @classmethod
        def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Any:
            """An instance that is not checked; a key that is text is hidden all the same."""
            kept = {name: as_kept(name, value) for name, value in values.items()}
            return super().model_construct(_fields_set, **kept)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, changed where asked; a cached answer of this model does not pass for its own.

        Raises:
            InvalidParameter: A name is unknown; it names the closest.
        """
        if deep:  # pydantic's own way to copy and change at once leaves `__deepcopy__` out
            return deepcopy(self).model_copy(update=update)
        given = with_timeout(update or {})
        unknown = unknown_arguments(given, _argument_names(type(self)), of="ChatSunra")
        if unknown is not None:
            del update, given  # so that no frame of the traceback holds a key
            raise unknown
        changes = {_OWN_NAMES.get(name, name): value for name, value in given.items()}
        changes = {name: as_kept(name, value) for name, value in changes.items()}
        copied = super().model_copy(update=changes)
        vars(copied).pop(_SERIALIZED, None)
        if "profile" not in changes and self._has_profile_of_its_model():
            copied.profile = copied._resolve_model_profile()  # noqa: SLF001 - of another self
        return copied

    if not TYPE_CHECKING:

        def copy(self, *, update: Any = None, deep: bool = False, **fields: Any) -> Any:
            """As `model_copy`; pydantic's older way, which can also leave fields out."""
            copied = self.model_copy(update=update, deep=deep)
            return super(Configuration, copied).copy(**fields) if fields else copied

    def __setattr__(self, name: str, value: Any) -> None:
        value = as_kept(name, value)
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
        made = {name: getattr(self, name) for name in REQUEST_FIELDS}
        if not self.stream_usage and self.stream_options is None:
            made["stream_options"] = {}
        extra_body = {**self.model_kwargs, **self.extra_body}
        return {"model": self.model_name, **made, "extra_body": extra_body}

    def _settings(self, of_call: Mapping[str, Any] | None = None) -> Settings:
        """The settings of the client.

        Args:
            of_call: Those that a call changes, of `CALL_SETTINGS`.
        """
        changed = {name: getattr(self, name) for name in CALL_SETTINGS} | dict(of_call or {})
        return Settings.resolve(
            self.api_key,
            self.base_url,
            default_headers=self.default_headers,
            allow_http=self.allow_http,
            max_connections=self.max_connections,
            max_response_bytes=self.max_response_bytes,
            async_transport=self.async_transport,
            **changed,
        )

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialises the timeout, which is not JSON, as a dict."""
        return {"timeout": asdict(self.timeout)} if isinstance(self.timeout, Timeouts) else {}


def _comes_from_load() -> bool:
    """Whether `langchain_core.load` makes the object; it gives the class no other sign of it."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name in {"_comes_from_load", "__init__"}:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "langchain_core.load.load"


def _argument_names(cls: type[BaseModel]) -> set[str]:
    aliases = {field.alias for field in cls.model_fields.values() if field.alias is not None}
    return {*cls.model_fields, *aliases}
