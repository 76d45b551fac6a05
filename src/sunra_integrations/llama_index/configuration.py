"""The fields of `Sunra`: what they may hold, what is shown and stored of them, and the clients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import httpx
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from sunra_integrations import transport
from sunra_integrations.errors import InvalidParameter, SunraError
from sunra_integrations.llama_index.hidden_headers import EXTRA_HEADERS
from sunra_integrations.llama_index.metadata import metadata
from sunra_integrations.llama_index.parameters import PARAMETERS, check_known, merged
from sunra_integrations.protocol.arguments import unknown_arguments, with_timeout
from sunra_integrations.protocol.parameters import RequestParameters
from sunra_integrations.protocol.request import check_parameters, invalid_argument, not_a_dict
from sunra_integrations.transport import Settings
from sunra_integrations.transport.http_client import check_http_client
from sunra_integrations.transport.settings import (
    AsyncTransport,
    Timeout,
    as_kept,
    check_loaded,
    checked_headers,
    resolved_base_url,
)

_CONNECTION = (
    "api_key",
    "api_base",
    "timeout",
    "stall_timeout",
    "total_timeout",
    "max_retries",
    "default_headers",
    "allow_http",
    "max_connections",
    "max_response_bytes",
    "async_transport",
)
_SERVICES = ("http_client", "async_http_client", "callback_manager", "rate_limiter")
_rest = attrgetter(*(name for name in _CONNECTION if name not in {"api_key", "default_headers"}))
_NOT_SHOWN = frozenset(("messages", "tools", "response_format", "extra_body", "user"))
_NO_FIELD = "class_name"  # written by to_dict, read by nobody

_loading: ContextVar[bool] = ContextVar("sunra_loading", default=False)


@contextmanager
def _loaded() -> Generator[None, None, None]:
    """Instances made meanwhile need no key yet: dicts and pickles never contain one."""
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


class SunraConfiguration(RequestParameters, FunctionCallingLLM):
    """What a `Sunra` is set to; see there for each field."""

    # A wrong value's error would otherwise show what was passed, a key among it. The validator is
    # built by the first instance, not on import, and not for the classes that `Sunra` is made of.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True, hide_input_in_errors=True, defer_build=True
    )

    model: str = Field(description="Model to ask, as 'vendor/name'.")
    api_key: SecretStr | None = Field(
        default=None, exclude=True, repr=False, description="The key; else from SUNRA_KEY."
    )
    api_base: str | None = Field(
        default=None, description="Base URL; else from SUNRA_BASE_URL, else Sunra's own."
    )
    tools: list[dict[str, Any]] | None = Field(
        default=None, description="Tools of every call, in the wire's form."
    )
    tool_choice: str | dict[str, Any] | None = Field(
        default=None, description="none, auto, required, or an object naming a function."
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="More parameters, by name; the fields above win."
    )
    strict: bool | None = Field(
        default=None,
        description="Hold tool arguments and structured output to their schema.",
    )
    context_window: int | None = Field(
        default=None, description="Tokens the model takes, prompt and answer."
    )
    num_output: int | None = Field(
        default=None, description="Tokens LlamaIndex keeps free for the answer; never sent."
    )
    is_function_calling_model: bool = Field(
        default=True, description="Whether the model takes tools."
    )
    tokenizer: Annotated[Callable[[str], list[Any]] | None, WithJsonSchema({"type": "string"})] = (
        Field(
            default=None,
            exclude=True,
            repr=False,
            description="Counts tokens, for those who ask the LLM for one; not used here.",
        )
    )
    timeout: Timeout = Field(
        default=None,
        description="Seconds for the answer to begin, per attempt, and for each silence within it.",
    )
    stall_timeout: float | None = Field(
        default=None, description="Seconds for each silence within an answer, if not `timeout`."
    )
    total_timeout: float | None = Field(
        default=None, description="Seconds for a call as a whole, retries included."
    )
    max_retries: int = Field(default=2, description="Tries after the first one.")
    default_headers: dict[str, str] | None = Field(
        default=None, exclude=True, repr=False, description="Sent with every request."
    )
    max_connections: int | None = Field(
        default=None, description="Connections open at once; no limit unless set."
    )
    max_response_bytes: int | None = Field(
        default=None, description="The longest answer, streamed or not, that is taken in."
    )
    async_transport: AsyncTransport = Field(
        default="auto", description="What carries async calls; auto: aiohttp if it is installed."
    )
    allow_http: bool = Field(
        default=False, description="Permit plain http to another machine; the key is readable."
    )
    http_client: SkipJsonSchema[httpx.Client | None] = Field(
        default=None, exclude=True, repr=False, description="Your own, in place of the shared one."
    )
    async_http_client: SkipJsonSchema[httpx.AsyncClient | None] = Field(
        default=None, exclude=True, repr=False, description="Your own, in place of the shared one."
    )

    _clients: tuple[tuple[Any, ...], transport.SunraClient, transport.AsyncSunraClient] | None = (
        PrivateAttr(default=None)
    )

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except SunraError as error:
            failure = error.with_traceback(None)
        except ValidationError as error:
            failure = invalid_argument(error)
        else:
            return
        del given  # so that no frame of the traceback holds what was passed, a key among it
        raise failure

    @model_validator(mode="before")
    @classmethod
    def _check_names_and_values(cls, data: Any) -> Any:
        """Runs before pydantic's own checks, so that errors are the core's and name the rule."""
        if not isinstance(data, Mapping):
            return data
        data = with_timeout(data)
        check_known(data, (*cls.model_fields, _NO_FIELD), of=cls.__name__)
        data = {name: value for name, value in data.items() if value is not None}
        _check_connection_arguments(data)
        more = data.get("additional_kwargs") or {}
        if not isinstance(more, Mapping):
            raise not_a_dict("additional_kwargs", more)
        if EXTRA_HEADERS in more:
            raise InvalidParameter(
                "`additional_kwargs` is stored and shown, so headers do not belong there; "
                "use `default_headers`.",
                parameter=EXTRA_HEADERS,
                rule="headers go into default_headers, or extra_headers of a call",
            )
        check_known(more, PARAMETERS, of="additional_kwargs")
        given = {name: data[name] for name in PARAMETERS if name in data}
        check_parameters(merged(more, given) | {"model": given.get("model")})
        if not given.get("model"):
            raise InvalidParameter(
                "`model` is required: the model to ask, such as 'openai/gpt-4o'.",
                parameter="model",
                rule="a non-empty string such as 'openai/gpt-4o'",
            )
        known = {name: value for name, value in data.items() if name != _NO_FIELD}
        return known | {"additional_kwargs": dict(more)}

    @model_validator(mode="after")
    def _check_connection(self) -> Self:
        """A missing key is reported here, except where an instance is loaded or copied."""
        if not _loading.get():
            self._settings()
        return self

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """The LLM that `to_dict` gave this of; a missing key is reported by its first call.

        Args:
            data: The stored dict. Its base URL is not trusted, so the key in `SUNRA_KEY`
                goes there only if it is Sunra's, this machine's, or the one in `SUNRA_BASE_URL`.
            **kwargs: Fields that go before those of `data`, such as `api_key`.

        Raises:
            ConfigurationError: The key would go elsewhere.
        """
        with _loaded():
            llm: Self = super().from_dict(data, **kwargs)
        if {**data, **kwargs}.get("api_key") is None and kwargs.get("api_base") is None:
            check_loaded(resolved_base_url(llm.api_base, allow_http=llm.allow_http))
        return llm

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex stores and loads this LLM."""
        return "Sunra_LLM"

    @property
    def metadata(self) -> LLMMetadata:
        """Context window, output size and abilities, for any model name."""
        return metadata(
            self.model,
            context_window=self.context_window,
            num_output=self.num_output,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            is_function_calling_model=self.is_function_calling_model,
        )

    def to_payload(self) -> dict[str, Any]:
        """What callbacks and events are shown of this LLM: no key, no header, no end user."""
        parameters = {
            name: value
            for name, value in self._parameters().items()
            if value is not None and name not in _NOT_SHOWN
        }
        return {**super().to_payload(), "temperature": None, **parameters}

    def _parameters(self) -> dict[str, Any]:
        """The parameters of every call, those of the fields over `additional_kwargs`."""
        fields = {name: getattr(self, name) for name in PARAMETERS}
        given = {name: value for name, value in fields.items() if value is not None}
        return merged(self.additional_kwargs, given)

    def _settings(self, of_call: Mapping[str, Any] | None = None) -> Settings:
        given = {name: getattr(self, name) for name in _CONNECTION} | dict(of_call or {})
        return Settings.resolve(base_url=given.pop("api_base"), **given)

    def _connection(self) -> tuple[Any, ...]:
        key = self.api_key
        shown = key.get_secret_value() if isinstance(key, SecretStr) else key
        headers = tuple((self.default_headers or {}).items())
        return (shown, headers, self.http_client, self.async_http_client, *_rest(self))

    def _both_clients(self) -> tuple[transport.SunraClient, transport.AsyncSunraClient]:
        """The clients for what the fields say now, so a changed key takes effect at once."""
        connection = self._connection()
        kept = self._clients
        if kept is None or kept[0] != connection:
            settings = self._settings()
            kept = self._clients = (
                connection,
                transport.SunraClient(settings, http_client=self.http_client),
                transport.AsyncSunraClient(settings, http_client=self.async_http_client),
            )
        return kept[1:]

    @property
    def _client(self) -> transport.SunraClient:
        return self._both_clients()[0]

    @property
    def _async_client(self) -> transport.AsyncSunraClient:
        return self._both_clients()[1]

    def _client_for(self, changed: Mapping[str, Any]) -> transport.SunraClient:
        """The client, for a call that changes these settings."""
        if not changed:
            return self._client
        return transport.SunraClient(self._settings(changed), http_client=self.http_client)

    def _async_client_for(self, changed: Mapping[str, Any]) -> transport.AsyncSunraClient:
        """As `_client_for`."""
        if not changed:
            return self._async_client
        settings = self._settings(changed)
        return transport.AsyncSunraClient(settings, http_client=self.async_http_client)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, changed where asked.

        Raises:
            InvalidParameter: A name is unknown; it names the closest.
        """
        if deep:  # pydantic's own way to copy and change at once leaves `__deepcopy__` out
            return copy.deepcopy(self).model_copy(update=update)
        given = with_timeout(update or {})
        unknown = unknown_arguments(given, type(self).model_fields, of=type(self).__name__)
        if unknown is not None:
            del update, given  # so that no frame of the traceback holds a key
            raise unknown
        return super().model_copy(update={name: as_kept(name, one) for name, one in given.items()})

    if not TYPE_CHECKING:

        def copy(self, *, update: Any = None, deep: bool = False, **fields: Any) -> Any:
            """As `model_copy`; pydantic's older way, which can also leave fields out."""
            copied = self.model_copy(update=update, deep=deep)
            return super(SunraConfiguration, copied).copy(**fields) if fields else copied

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, as_kept(name, value))

    def __getstate__(self) -> dict[str, Any]:
        """All but the key, and what belongs to this process: clients, callbacks, limiter."""
        left_out = (*_SERVICES, "api_key")
        fields = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return {"__dict__": fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Makes the instance anew from its fields; the key comes from `SUNRA_KEY`.

        Without it the instance is loaded all the same, and its first call reports what is missing:
        a pool whose worker fails to load its task never hands back an error.
        """
        # Through __init__, so that what was pickled elsewhere is checked as anything else is.
        with _loaded():
            self.__init__(**state["__dict__"])  # type: ignore[misc]

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with its own settings; clients, callbacks and limiter are the same objects."""
        services = {name: getattr(self, name) for name in _SERVICES}
        memo = {} if memo is None else memo
        fields = {
            name: copy.deepcopy(value, memo)
            for name, value in self.__dict__.items()
            if name not in services
        }
        with _loaded():
            return type(self)(**fields, **services)


def _check_connection_arguments(data: Mapping[str, Any]) -> None:
    sync_name, async_name = "http_client", "async_http_client"
    check_http_client(data.get(sync_name), httpx.Client, sync_name, other_name=async_name)
    check_http_client(data.get(async_name), httpx.AsyncClient, async_name, other_name=sync_name)
    checked_headers(data.get("default_headers") or {})
