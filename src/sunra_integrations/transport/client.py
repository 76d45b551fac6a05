"""SunraClient and AsyncSunraClient, side by side: the only file that sends or waits.

Both perform what `call_flow` decides and hand the bytes to `protocol`. Each method of one class has
its twin in the other.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from pickle import PicklingError
from typing import Any, cast

import httpx
from pydantic import SecretStr
from typing_extensions import Self, Unpack

from sunra_integrations.budget import Budget, Charge, charge_for, check_budget
from sunra_integrations.errors import (
    ConfigurationError,
    StreamInterrupted,
    SunraError,
    TimedOut,
    UnreadableResponse,
)
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.arguments import check_known
from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.error_parsing import sanitize
from sunra_integrations.protocol.json_text import read_json
from sunra_integrations.protocol.reply import Chunk, Reply, rate_limit_headers, safe_headers
from sunra_integrations.protocol.request import ChatRequest, as_request
from sunra_integrations.protocol.stream import ChunkStream
from sunra_integrations.transport import body
from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.connections.proxies import proxy_for
from sunra_integrations.transport.deadline import AsyncTimeout, Deadline
from sunra_integrations.transport.faults import typed_fault
from sunra_integrations.transport.flow import Attempt, Outcome, call_flow
from sunra_integrations.transport.http_library import (
    AsyncHttpClient,
    HttpClient,
    check_http_client,
    http_errors,
    sending_errors,
)
from sunra_integrations.transport.key_redaction import KeyRedactor
from sunra_integrations.transport.prepared_request import BearerAuth, PreparedRequest
from sunra_integrations.transport.settings import Options, Settings

_logger = logging.getLogger("sunra_integrations")


class _Client:
    """Settings, and decisions that do not wait, for both clients."""

    def __init__(
        self,
        settings: Settings | None,
        http_client: Any,
        budget: Budget | None,
        options: dict[str, Any],
    ) -> None:
        self._http_client = http_client
        try:
            self._budget = check_budget(budget)
            self.settings: Settings = _settings(settings, options)
        except SunraError as error:
            failure = error.with_traceback(None)
        else:
            return
        options.clear()  # no frame of the traceback may hold the key
        raise failure

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self).get('settings')!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the settings, without the key. A user's own HTTP client cannot be pickled."""
        if self._http_client is not None:
            raise PicklingError(f"A {type(self).__name__} with an `http_client` cannot be pickled.")
        if self._budget is not None:
            self._budget.__reduce__()  # raises
        return type(self), (self.settings,)

    def __copy__(self) -> Self:
        """A client with the same settings, key included, and the same HTTP client and budget."""
        shared: dict[str, Any] = {"http_client": self._http_client, "budget": self._budget}
        return type(self)(self.settings, **shared)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy`: settings never change, and an HTTP client cannot be copied."""
        return self.__copy__()

    def _prepare(
        self, request: ChatRequest, *, stream: bool, headers: Mapping[str, str] | None
    ) -> PreparedRequest:
        """Encodes the request."""
        if not self.settings.api_key.get_secret_value():  # unpickled without `SUNRA_KEY`
            self.settings = self.settings.with_key()
        return PreparedRequest.from_chat(self.settings, request, stream=stream, headers=headers)

    def _deadline(self, prepared: PreparedRequest) -> Deadline:
        return Deadline(self.settings.timeouts, time.monotonic, prepared.url)

    def _flow(self, deadline: Deadline) -> Generator[Attempt, Outcome | SunraError, Outcome]:
        return call_flow(
            self.settings.retry,
            jitter=random.random,
            now=time.time,
            time_left=deadline.time_left,
            url=deadline.url,
        )

    def _fault(self, error: Exception, deadline: Deadline) -> SunraError:
        if isinstance(error, TimedOut):
            return error
        url = deadline.url
        proxy = proxy_for(url) if self._http_client is None else None
        return typed_fault(error, url, deadline, proxy)

    def _announced(self, attempt: Attempt, prepared: PreparedRequest) -> Attempt:
        KeyRedactor(prepared.keys.used).redact(attempt.cause)
        if attempt.cause is not None:
            _logger.info(
                "Sunra: retrying in %.2f s (attempt %d), model %s, after %s: %s",
                attempt.wait,
                attempt.number,
                sanitize(prepared.model),
                _cause_for_log(attempt.cause),
                attempt.cause,
            )
        return attempt

    def _headers(self, response: httpx.Response, prepared: PreparedRequest) -> dict[str, str]:
        """The headers for the reply."""
        kept = safe_headers if self.settings.include_response_headers else rate_limit_headers
        headers = kept(response.headers)
        return KeyRedactor(prepared.keys.used).redact_headers(headers) if headers else headers

    def _reply(
        self,
        request: ChatRequest,
        prepared: PreparedRequest,
        response: httpx.Response,
        content: bytes,
    ) -> Reply:
        return parse_completion(
            content,
            request_id=_request_id(response),
            headers=self._headers(response, prepared),
            requested_model=request.model,
            fallback_id=_answer_id(),
            tool_names=request.own_tool_names,
            api=request.api,
        )

    def _chunks(
        self,
        request: ChatRequest,
        prepared: PreparedRequest,
        response: httpx.Response,
        so_far: ReplyAccumulator,
    ) -> ChunkStream:
        return ChunkStream(
            request_id=_request_id(response),
            headers=self._headers(response, prepared),
            requested_choices=request.n or 1,
            requested_model=request.model,
            max_event_bytes=self.settings.max_response_bytes,
            accumulator=so_far,
            fallback_id=_answer_id(),
            tool_names=request.own_tool_names,
            api=request.api,
        )


class SunraClient(_Client):
    """A synchronous client for Sunra's text endpoints. Thread-safe, and cheap to create.

    Args:
        settings: From `Settings.resolve`. Defaults to settings from `options` and the environment.
        http_client: Your own HTTP client (for proxies, certificates, …). You close it. Defaults to
            connections shared by all clients with the same settings.
        budget: Limits for the calls. Can be shared with other clients and models.
        **options: Arguments of `Settings.resolve` (`api_key`, `base_url`, `timeout`, …), instead of
            `settings`.

    Raises:
        ConfigurationError: The key or base URL is missing or invalid.
        InvalidParameter: An option is unknown (the message suggests the closest), or `http_client`
            is not an `httpx.Client` or `httpx2.Client`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        http_client: HttpClient | None = None,
        budget: Budget | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_http_client(http_client, "Client", "http_client")
        super().__init__(settings, http_client, budget, cast("dict[str, Any]", options))
        self._http_client: HttpClient | None = http_client

    def create(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Returns the complete reply.

        Args:
            request: The request. A dict is validated as a `ChatRequest`.
            headers: Extra headers for this request. They override the default headers.

        Raises:
            SunraError: The call failed; see `sunra_integrations.errors` for the subclasses.
        """
        request = as_request(request)
        prepared = self._prepare(request, stream=False, headers=headers)
        deadline = self._deadline(prepared)
        try:
            with KeyRedactor(prepared.keys.used), charge_for(self._budget, request) as charge:
                return self._create(request, prepared, deadline, charge)
        except BaseException:  # Ctrl-C may have come between any two steps
            registry.give_up(deadline)
            raise

    def _create(
        self, request: ChatRequest, prepared: PreparedRequest, deadline: Deadline, charge: Charge
    ) -> Reply:
        with closing(self._open(prepared, deadline)) as response:
            charge.may_be_billed()
            try:
                content = body.read_body(response, self.settings.max_response_bytes, deadline)
            except http_errors(TimedOut) as error:
                fault = self._fault(error, deadline)
                if _is_total(fault):
                    raise fault from fault.__cause__
                raise _broke_off(fault) from fault
            reply = self._reply(request, prepared, response, content)
            charge.completed(reply)
            return reply

    def stream(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        so_far: ReplyAccumulator | None = None,
    ) -> Generator[Chunk, None, None]:
        """Yields chunks of the reply as they arrive.

        The request is sent when the first chunk is requested. Closing the generator closes the
        connection immediately.

        Args:
            request: The request. A dict is validated as a `ChatRequest`.
            headers: Extra headers for this request. They override the default headers.
            so_far: Accumulates the chunks, if you want the complete reply as well.

        Raises:
            StreamInterrupted: The stream was cut off. The partial reply is in `partial`.
            SunraError: The call failed; see `sunra_integrations.errors` for the subclasses.
        """
        request = as_request(request)
        prepared = self._prepare(request, stream=True, headers=headers)
        deadline = self._deadline(prepared)
        try:
            with KeyRedactor(prepared.keys.used), charge_for(self._budget, request) as charge:
                yield from self._stream(request, prepared, deadline, so_far, charge)
        except BaseException:  # Ctrl-C may have come between any two steps
            registry.give_up(deadline)
            raise

    def _stream(
        self,
        request: ChatRequest,
        prepared: PreparedRequest,
        deadline: Deadline,
        so_far: ReplyAccumulator | None,
        charge: Charge,
    ) -> Iterator[Chunk]:
        with closing(self._open(prepared, deadline)) as response:
            so_far = so_far or ReplyAccumulator()
            charge.may_be_billed(so_far)
            chunks = self._chunks(request, prepared, response, so_far)
            parts = body.iter_body(response)
            broken_by: SunraError | None = None
            try:
                for part in parts:
                    yield from chunks.feed(part)
                    broken_by = deadline.expired(chunks.data_received)
                    if chunks.done or broken_by:
                        break
            except http_errors(TimedOut) as error:
                broken_by = self._fault(error, deadline)
            yield from chunks.close(broken_by)
            if broken_by is None:
                charge.completed(so_far)
            if chunks.done:
                body.drain(response, parts)

    def _open(self, prepared: PreparedRequest, deadline: Deadline) -> httpx.Response:
        """The successful response, its body unread."""
        flow = self._flow(deadline)
        attempt = next(flow)
        while True:
            if attempt.wait:
                time.sleep(attempt.wait)
            response, outcome = self._attempt(prepared, deadline)
            try:
                attempt = self._announced(flow.send(outcome), prepared)
            except StopIteration:
                return _opened(response, prepared, deadline)

    def _attempt(
        self, prepared: PreparedRequest, deadline: Deadline
    ) -> tuple[httpx.Response | None, Outcome | SunraError]:
        """One attempt: its response, with the body unread after a success, and its outcome."""
        auth = BearerAuth(prepared.keys.for_attempt())
        try:
            response = self._send(prepared, auth, deadline)
        except sending_errors(TimedOut) as error:
            return None, self._fault(error, deadline)
        _logger.debug("Sunra: responded with %d", response.status_code)
        if response.is_success:
            return response, Outcome(response.status_code)
        with closing(response):
            content, note = body.read_error_body(response, deadline)
        return response, Outcome(response.status_code, dict(response.headers), content, note)

    def _send(
        self, prepared: PreparedRequest, auth: BearerAuth, deadline: Deadline
    ) -> httpx.Response:
        """The response, its body unread."""
        deadline.attempt_started()
        if self._http_client is not None:
            request = prepared.build_with(self._http_client, deadline)
            response: httpx.Response = self._http_client.send(
                request, auth=auth, stream=True, follow_redirects=False
            )
            return response
        request = auth(prepared.build(deadline))
        return registry.sync_pool(self.settings).send(request, holder=deadline)


class JsonClient(SunraClient):
    """Gets JSON from paths that Sunra does not document. Only the command line uses it."""

    def get(self, path: str) -> Any:
        """Returns the JSON at a path below the base URL.

        Raises:
            UnreadableResponse: The response is not valid JSON.
            SunraError: The call failed.
        """
        prepared = PreparedRequest.to_get(self.settings, path)
        deadline = self._deadline(prepared)
        with KeyRedactor(prepared.keys.used), closing(self._open(prepared, deadline)) as response:
            try:
                content = body.read_body(response, self.settings.max_response_bytes, deadline)
                return read_json(content)
            except http_errors(TimedOut) as error:
                raise self._fault(error, deadline) from None
            except ValueError:
                raise UnreadableResponse(
                    f"The response from {prepared.url} is not valid JSON.",
                    status=response.status_code,
                ) from None


class AsyncSunraClient(_Client):
    """An asyncio client for Sunra's text endpoints. It may be used in any number of event loops.

    Trio is not supported: calls raise `ConfigurationError`.

    Args:
        settings: From `Settings.resolve`. Defaults to settings from `options` and the environment.
        http_client: Your own HTTP client (for proxies, certificates, …). You close it, and it can
            be used in one event loop only. Defaults to connections shared by all clients with the
            same settings.
        budget: Limits for the calls. Can be shared with other clients and models.
        **options: Arguments of `Settings.resolve` (`api_key`, `base_url`, `timeout`, …), instead of
            `settings`.

    Raises:
        ConfigurationError: The key or base URL is missing or invalid.
        InvalidParameter: An option is unknown (the message suggests the closest), or `http_client`
            is not an `httpx.AsyncClient` or `httpx2.AsyncClient`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        http_client: AsyncHttpClient | None = None,
        budget: Budget | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_http_client(http_client, "AsyncClient", "http_client")
        super().__init__(settings, http_client, budget, cast("dict[str, Any]", options))
        self._http_client: AsyncHttpClient | None = http_client

    async def create(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Returns the complete reply; see `SunraClient.create`."""
        request = as_request(request)
        prepared = self._prepare(request, stream=False, headers=headers)
        with KeyRedactor(prepared.keys.used), charge_for(self._budget, request) as charge:
            return await self._create(request, prepared, self._deadline(prepared), charge)

    async def _create(
        self, request: ChatRequest, prepared: PreparedRequest, deadline: Deadline, charge: Charge
    ) -> Reply:
        async with aclosing(await self._open(prepared, deadline)) as response:
            charge.may_be_billed()
            try:
                content = await body.read_body_async(
                    response, self.settings.max_response_bytes, deadline
                )
            except http_errors(TimedOut) as error:
                fault = self._fault(error, deadline)
                if _is_total(fault):
                    raise fault from fault.__cause__
                raise _broke_off(fault) from fault
            reply = self._reply(request, prepared, response, content)
            charge.completed(reply)
            return reply

    async def stream(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        so_far: ReplyAccumulator | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Yields chunks of the reply as they arrive; see `SunraClient.stream`."""
        request = as_request(request)
        prepared = self._prepare(request, stream=True, headers=headers)
        deadline = self._deadline(prepared)
        with KeyRedactor(prepared.keys.used), charge_for(self._budget, request) as charge:
            async with aclosing(await self._open(prepared, deadline)) as response:
                so_far = so_far or ReplyAccumulator()
                charge.may_be_billed(so_far)
                chunks = self._chunks(request, prepared, response, so_far)
                broken_by: SunraError | None = None
                async with aclosing(body.AsyncBodyIterator(response, deadline)) as parts:
                    try:
                        async for part in parts:
                            for chunk in chunks.feed(part):
                                yield chunk
                            broken_by = deadline.expired(chunks.data_received)
                            if chunks.done or broken_by:
                                break
                    except http_errors(TimedOut) as error:
                        broken_by = self._fault(error, deadline)
                    finally:
                        part = b""  # it may quote the key, and tracebacks may show variables
                    for chunk in chunks.close(broken_by):
                        yield chunk
                    if broken_by is None:
                        charge.completed(so_far)
                    if chunks.done:
                        await body.drain_async(response, parts)

    async def _open(self, prepared: PreparedRequest, deadline: Deadline) -> httpx.Response:
        """The successful response, its body unread."""
        _require_asyncio()
        flow = self._flow(deadline)
        attempt = next(flow)
        while True:
            if attempt.wait:
                await asyncio.sleep(attempt.wait)
            response, outcome = await self._attempt(prepared, deadline)
            try:
                attempt = self._announced(flow.send(outcome), prepared)
            except StopIteration:
                return _opened(response, prepared, deadline)

    async def _attempt(
        self, prepared: PreparedRequest, deadline: Deadline
    ) -> tuple[httpx.Response | None, Outcome | SunraError]:
        """One attempt: its response, with the body unread after a success, and its outcome."""
        auth = BearerAuth(await self._key(prepared, deadline))
        try:
            response = await self._send(prepared, auth, deadline)
        except sending_errors(TimedOut) as error:
            return None, self._fault(error, deadline)
        _logger.debug("Sunra: responded with %d", response.status_code)
        if response.is_success:
            return response, Outcome(response.status_code)
        async with aclosing(response):
            content, note = await body.read_error_body_async(response, deadline)
        return response, Outcome(response.status_code, dict(response.headers), content, note)

    async def _key(self, prepared: PreparedRequest, deadline: Deadline) -> SecretStr:
        """The key for one attempt. A user's function has the call's total time."""
        if isinstance(self.settings.api_key, SecretStr):
            return prepared.keys.for_attempt()
        deadline.attempt_started()
        with AsyncTimeout(deadline):
            return await prepared.keys.for_async_attempt()

    async def _send(
        self, prepared: PreparedRequest, auth: BearerAuth, deadline: Deadline
    ) -> httpx.Response:
        """The response, its body unread."""
        deadline.attempt_started()
        if self._http_client is not None:
            with AsyncTimeout(deadline) as timeout:
                request = prepared.build_with(self._http_client, deadline, trace=timeout.trace)
                response: httpx.Response = await self._http_client.send(
                    request, auth=auth, stream=True, follow_redirects=False
                )
                return response
        pool = await registry.async_pool(self.settings)
        with AsyncTimeout(deadline) as timeout:
            request = auth(prepared.build(deadline, trace=timeout.trace))
            return await pool.send(request)


def _settings(given: Any, options: Mapping[str, Any]) -> Settings:
    if given is None:
        known = (*Options.__annotations__, "http_client", "budget")
        check_known(options, known, of="the client")
        return Settings.resolve(**options)
    if not isinstance(given, Settings):
        raise ConfigurationError(
            f"The first argument must be Settings, not a {type(given).__name__}. Pass a key as "
            "`api_key=…`, and the other settings by their names."
        )
    if options:
        raise ConfigurationError(
            f"`settings` cannot be combined with {', '.join(f'`{name}`' for name in options)}; "
            "give everything to `Settings.resolve`, or everything to the client."
        )
    return given


def _require_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "AsyncSunraClient needs asyncio. Under trio, use SunraClient in `trio.to_thread`, or "
            "run AsyncSunraClient in its own thread with `asyncio.run`."
        ) from None


def _opened(
    response: httpx.Response | None, prepared: PreparedRequest, deadline: Deadline
) -> httpx.Response:
    if response is None:
        raise AssertionError("a successful flow has a response")
    prepared.use_stall_timeout(response, deadline)
    return response


def _request_id(response: httpx.Response) -> str | None:
    request_id: str | None = response.headers.get("x-request-id")
    return request_id


def _answer_id() -> str:
    """Makes the ids of tool calls unique if the response has no id of any kind."""
    return secrets.token_hex(8)


def _cause_for_log(error: SunraError) -> str:
    """The class of an error, with the exception behind it and the wait that the server requested.

    Its message has the HTTP status. An exception of the HTTP library is named by its class only.
    """
    behind = error.__cause__
    facts = [
        f"{type(behind).__module__}.{type(behind).__name__}" if behind is not None else "",
        f"Retry-After: {error.retry_after:g} s" if error.retry_after is not None else "",
    ]
    named = ", ".join(filter(None, facts))
    return f"{type(error).__name__} ({named})" if named else type(error).__name__


def _broke_off(fault: SunraError) -> StreamInterrupted:
    """The error for a 2xx whose body was cut off. A retry would be paid for twice."""
    return StreamInterrupted(f"The response was cut off. {fault.message}")


def _is_total(fault: SunraError) -> bool:
    return isinstance(fault, TimedOut) and fault.phase == "total"
