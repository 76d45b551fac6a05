"""The fields of `Sunra`: what they may hold, what is shown and stored of them, and the clients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, ClassVar

import httpx
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import (
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.llama_index.hidden_headers import EXTRA_HEADERS
from sunra_integrations.llama_index.metadata import metadata
from sunra_integrations.llama_index.parameters import PARAMETERS, check_known, merged
from sunra_integrations.protocol.parameters import RequestParameters
from sunra_integrations.protocol.request import check_parameters, not_a_dict, parameter_rules
from sunra_integrations.transport.parameters import ConnectionParameters
from sunra_integrations.transport.settings import (
    check_loaded,
    resolved_base_url,
)

_SERVICES = ("http_client", "async_http_client", "callback_manager", "rate_limiter")
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


class SunraConfiguration(ConnectionParameters, RequestParameters, FunctionCallingLLM):
    """What a `Sunra` is set to; see there for each field."""

    _base_url_field: ClassVar[str] = "api_base"
    _async_client_field: ClassVar[str] = "async_http_client"

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
    async_http_client: SkipJsonSchema[httpx.AsyncClient | None] = Field(
        default=None, exclude=True, repr=False, description="Your own, in place of the shared one."
    )

    @classmethod
    def _argument_names(cls) -> frozenset[str]:
        return super()._argument_names() | {_NO_FIELD}

    @classmethod
    def _check_arguments(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        arguments = super()._check_arguments(given)
        arguments.pop(_NO_FIELD, None)
        more = arguments.get("additional_kwargs") or {}
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
        own = {name: arguments[name] for name in PARAMETERS if name in arguments}
        check_parameters(merged(more, own) | {"model": own.get("model")})
        if not own.get("model"):
            rule = parameter_rules()["model"]
            raise InvalidParameter(f"`model` is required: {rule}.", parameter="model", rule=rule)
        return arguments | {"additional_kwargs": dict(more)}

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
