"""Connection parameters: the fields that both adapters' model classes inherit.

CONTRIBUTING.md says how to add a connection setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler  # in `pydantic` since 2.10.4
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from sunra_integrations import transport
from sunra_integrations.budget import Budget
from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.arguments import check_known, unknown_arguments, with_timeout
from sunra_integrations.protocol.parameters import RequestArguments
from sunra_integrations.protocol.request import invalid_argument
from sunra_integrations.transport.api_key import KeyFunction, StoredKey, stored_key
from sunra_integrations.transport.http_library import (
    HttpClient,
    HttpClientField,
    check_http_client,
)
from sunra_integrations.transport.settings import (
    AsyncTransport,
    ConnectionArguments,
    Settings,
    checked_headers,
)
from sunra_integrations.transport.timeouts import AnyTimeout, Timeout, read_timeout

__all__ = ["ConnectionParameters", "ModelArguments", "StoredKeyField"]

StoredKeyField = SecretStr | SkipJsonSchema[KeyFunction] | None


class ModelArguments(RequestArguments, ConnectionArguments, total=False):
    """The constructor arguments that both model classes accept, for type checkers."""

    request_timeout: AnyTimeout | None
    http_client: HttpClient | None
    budget: Budget | None


class ConnectionParameters(BaseModel):
    """How a model object reaches Sunra, and how it keeps its key secret.

    A subclass adds the base URL and the async HTTP client, because the two frameworks have
    different names for them.
    """

    # A validation error must not show the input, which can be the key.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True, hide_input_in_errors=True, defer_build=True
    )

    _base_url_field: ClassVar[str]
    _async_client_field: ClassVar[str]

    api_key: StoredKeyField = Field(
        default=None,
        description="API key, or a sync or async function that returns it, which is called for "
        "each attempt. Defaults to `SUNRA_KEY`. Example: "
        '`api_key=lambda: os.environ["OTHER_KEY"]`.',
    )
    timeout: Timeout = Field(
        default=None,
        description="Seconds for a response to begin, on each attempt, and for each silence "
        "within it. Also `Timeouts`, an `httpx.Timeout` or `(connect, read)`. Alias "
        "`request_timeout`. Defaults to 600, then 300. Example: `timeout=30`.",
    )
    stall_timeout: float | None = Field(
        default=None,
        description="Seconds for each silence within a response. Defaults to `timeout`. Example: "
        "`stall_timeout=20`.",
    )
    total_timeout: float | None = Field(
        default=None,
        description="Seconds for the whole call, retries included. Defaults to no limit. Example: "
        "`total_timeout=120`.",
    )
    max_retries: int = Field(
        default=2,
        description="Retries after the first attempt, only before a response begins. Defaults to "
        "2. Example: `max_retries=0`.",
    )
    default_headers: dict[str, str] | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Headers for every request. Hidden in reprs, dumps and traces. Example: "
        '`default_headers={"X-Team": "search"}`.',
    )
    include_response_headers: bool = Field(
        default=False,
        description="Include all headers of the response in its metadata, except cookies and "
        "credentials. Defaults to False: only those about rate limits. Example: "
        "`include_response_headers=True`.",
    )
    allow_http: bool = Field(
        default=False,
        description="Permit plain http to another machine. The key is then readable on the "
        "network. Defaults to `SUNRA_ALLOW_HTTP`. Example: `allow_http=True`.",
    )
    max_connections: int | None = Field(
        default=None,
        description="Maximum number of open connections per key, for each process (sync) or "
        "event loop (async). Defaults to no limit. Example: `max_connections=20`.",
    )
    max_response_bytes: int | None = Field(
        default=None,
        description="Maximum size of a response after decompression, streamed or not. Defaults to "
        "256 MiB. Example: `max_response_bytes=10_000_000`.",
    )
    async_transport: AsyncTransport = Field(
        default="auto",
        description="HTTP library for async calls, `httpx` or `aiohttp`. Defaults to aiohttp if "
        'it is installed. Example: `async_transport="httpx"`.',
    )
    http_client: SkipJsonSchema[HttpClientField | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Your own client of httpx or httpx2 for sync calls. It is never closed here. "
        'Example: `http_client=httpx.Client(proxy="http://localhost:8080")`.',
    )
    budget: SkipJsonSchema[Budget | None] = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Limits on cost, tokens and calls. Can be shared with other models and "
        "clients. Example: `budget=Budget(usd=5)`.",
    )

    def __init__(self, *positional: Any, **given: Any) -> None:
        if positional:
            del positional, given  # as below
            raise TypeError(
                f"{type(self).__name__} takes keyword arguments only, such as "
                "model='openai/gpt-4o'."
            )
        try:
            super().__init__(**given)
        except SunraError as error:
            failure = error.with_traceback(None)
        else:
            return
        del given  # no frame of the traceback may hold the arguments: the key is one of them
        raise failure

    @model_validator(mode="before")
    @classmethod
    def _check_before_validation(cls, data: Any) -> Any:
        return cls._check_arguments(data) if isinstance(data, Mapping) else data

    @model_validator(mode="wrap")
    @classmethod
    def _raise_typed_errors(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            failure = invalid_argument(error)
        raise failure  # outside of `except`: the ValidationError as its context shows the values

    @classmethod
    def _check_arguments(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments without None, after the checks that pydantic cannot do.

        Raises:
            InvalidParameter: A name is unknown, or an HTTP client has the wrong class.
            ConfigurationError: A header is not valid.
        """
        arguments = with_timeout(given)
        check_known(arguments, cls._argument_names(), of=cls.__name__, sendable=True)
        arguments = {name: value for name, value in arguments.items() if value is not None}
        sync_name, async_name = "http_client", cls._async_client_field
        check_http_client(arguments.get(sync_name), "Client", sync_name, other_name=async_name)
        check_http_client(
            arguments.get(async_name), "AsyncClient", async_name, other_name=sync_name
        )
        checked_headers(arguments.get("default_headers") or {})
        return arguments

    @classmethod
    def _argument_names(cls) -> frozenset[str]:
        aliases = {field.alias for field in cls.model_fields.values() if field.alias is not None}
        return frozenset({*cls.model_fields, *aliases})

    def _settings(self, changes: Mapping[str, Any] | None = None) -> Settings:
        """The settings of a client.

        Args:
            changes: Settings of one call, out of `CALL_SETTINGS`.
        """
        given = {name: getattr(self, name) for name in ConnectionArguments.__annotations__}
        return Settings.resolve(
            base_url=getattr(self, self._base_url_field), **given | dict(changes or {})
        )

    def _keep_key(self, key: StoredKey) -> None:
        self.api_key = key

    # A client is created for each call: it takes microseconds and holds no connection, so a
    # changed key takes effect at once, and copies and pickles have no client to take along.

    def _client(self, changes: Mapping[str, Any] | None = None) -> transport.SunraClient:
        return transport.SunraClient(
            self._settings(changes), http_client=self.http_client, budget=self.budget
        )

    def _async_client(self, changes: Mapping[str, Any] | None = None) -> transport.AsyncSunraClient:
        http_client = getattr(self, self._async_client_field)
        return transport.AsyncSunraClient(
            self._settings(changes), http_client=http_client, budget=self.budget
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed.

        Args:
            update: New values by field name or alias.
            deep: Copy the values too. HTTP clients, callbacks and the budget are shared anyway.

        Raises:
            InvalidParameter: A name is unknown. The error suggests the closest one.
        """
        if deep:  # pydantic does not call `__deepcopy__` if it copies and changes in one step
            return deepcopy(self).model_copy(update=update)
        changes = with_timeout(update or {})
        unknown = unknown_arguments(changes, self._argument_names(), of=type(self).__name__)
        if unknown is not None:
            del update, changes  # no frame of the traceback may hold a key
            raise unknown
        aliases = {field.alias: name for name, field in type(self).model_fields.items()}
        named = {aliases.get(name, name): value for name, value in changes.items()}
        return super().model_copy(
            update={name: _storable(name, value) for name, value in named.items()}
        )

    if not TYPE_CHECKING:  # the pydantic plugin of mypy generates a signature from the fields

        def copy(self, *, update: Any = None, deep: bool = False, **fields: Any) -> Any:
            """As `model_copy`. Pydantic's older method, which can also exclude fields."""
            copied = self.model_copy(update=update, deep=deep)
            return super(ConnectionParameters, copied).copy(**fields) if fields else copied

        @classmethod
        def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Any:
            """An instance without validation. The key is stored in its hidden form anyway."""
            stored = {name: _storable(name, value) for name, value in values.items()}
            return super().model_construct(_fields_set, **stored)

    def model_post_init(self, context: Any, /) -> None:
        """Calls the framework's hook: pydantic 2.9.2 looks for one in the first base class only."""
        super().model_post_init(context)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _storable(name, value))


def _storable(name: str, value: Any) -> Any:
    """A field's value, converted as pydantic does on validation: assignments are not validated."""
    if name == "api_key":
        return stored_key(value)
    return read_timeout(value) if name == "timeout" else value
