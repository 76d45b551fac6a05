"""SunraClient and AsyncSunraClient, side by side.

Both perform what `exchange` decides and hand the bytes to `protocol`. Each method of the one has
its twin in the other, a few lines long.
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
from typing_extensions import Self, Unpack

from sunra_integrations.errors import ConfigurationError, StreamInterrupted, SunraError, TimedOut
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.arguments import unknown_arguments
from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.error_parsing import sanitize
from sunra_integrations.protocol.reply import Chunk, Reply
from sunra_integrations.protocol.request import ChatRequest, as_request
from sunra_integrations.protocol.stream import ChunkStream
from sunra_integrations.transport import body, end_of_body
from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.flow import Answer, Attempt, exchange
from sunra_integrations.transport.faults import SENDING_FAULTS, HttpFault, typed_fault
from sunra_integrations.transport.key_redaction import KeyRedactor
from sunra_integrations.transport.deadline import Patience
from sunra_integrations.transport.prepared_request import BearerAuth, Post
from sunra_integrations.transport.connections.proxies import proxy_for
from sunra_integrations.transport.sending import send, send_async
from sunra_integrations.transport.settings import Options, Settings, check_http_client

_logger = logging.getLogger("sunra_integrations")


class _Client:
    """What both clients are: settings, and the decisions that need no waiting."""

    def __init__(
        self, settings: Settings | None, http_client: Any, options: dict[str, Any]
    ) -> None:
        self._http_client = http_client
        try:
            self._use(_settings(settings, options))
        except SunraError as error:
            failure = error.with_traceback(None)
        else:
            return
        options.clear()  # so that no frame of the traceback holds what was passed, a key among it
        raise failure

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self).get('settings')!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the settings, which leave the key out; a client of one's own cannot go along."""
        if self._http_client is not None:
            raise PicklingError(f"A {type(self).__name__} with an `http_client` cannot be pickled.")
        return type(self), (self.settings,)

    def __copy__(self) -> Self:
        """A client with the same settings, key included, and the same HTTP client."""
        return type(self)(self.settings, http_client=self._http_client)  # type: ignore[call-arg]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy`: settings never change, and an HTTP client holds locks and connections."""
        return self.__copy__()

    def _use(self, settings: Settings) -> None:
        self.settings = settings
        self._auth = BearerAuth(settings.api_key)
        self._key_redactor = KeyRedactor(settings.api_key)

    def _post(
        self, request: ChatRequest, *, stream: bool, headers: Mapping[str, str] | None
    ) -> Post:
        """The request to send, and the key for it."""
        if not self.settings.api_key.get_secret_value():  # unpickled without `SUNRA_KEY`
            self._use(self.settings.with_key())
        return Post.of(self.settings, request, stream=stream, headers=headers)

    def _patience(self) -> Patience:
        return Patience(self.settings.timeouts, time.monotonic, self.settings.endpoint)

    def _steps(self, patience: Patience) -> Generator[Attempt, Answer | SunraError, Answer]:
        return exchange(
            self.settings.retry,
            jitter=random.random,
            now=time.time,
            time_left=patience.time_left,
        )

    def _fault(self, error: HttpFault | TimedOut, patience: Patience) -> SunraError:
        if isinstance(error, TimedOut):
            return error
        url = self.settings.endpoint
        proxy = proxy_for(url) if self._http_client is None else None
        return typed_fault(error, url, patience, proxy)

    def _announced(self, attempt: Attempt, post: Post) -> Attempt:
        self._key_redactor.redact(attempt.cause)
        _logger.info(
            "Sunra: retrying in %.2f s (attempt %d), model %s, after %s: %s",
            attempt.wait,
            attempt.number,
            sanitize(post.model),
            type(attempt.cause).__name__,
            attempt.cause,
        )
        return attempt

    def _chunks(
        self, request: ChatRequest, response: httpx.Response, so_far: ReplyAccumulator | None
    ) -> ChunkStream:
        return ChunkStream(
            request_id=_request_id(response),
            requested_choices=request.n or 1,
            requested_model=request.model,
            max_event_bytes=self.settings.max_response_bytes,
            accumulator=so_far,
            fallback_id=_answer_id(),
            tool_names=request.own_tool_names,
        )


class SunraClient(_Client):
    """Sunra's chat completions, synchronously. Safe to share between threads, and cheap to make.

    Args:
        settings: From `Settings.resolve`; None makes them from `options` and the environment.
        http_client: A client of your own (proxies, certificates, …) in place of the shared one.
            It is never closed here.
        **options: What `Settings.resolve` takes (`api_key`, `base_url`, `timeout`, …), in place of
            `settings`.

    Raises:
        ConfigurationError: There is no usable key or base URL.
        InvalidParameter: An option is unknown (it names the closest), or the HTTP client is of
            another kind.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        http_client: httpx.Client | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_http_client(http_client, httpx.Client, "http_client")
        super().__init__(settings, http_client, cast("dict[str, Any]", options))
        self._http_client: httpx.Client | None = http_client

    def create(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """The whole answer at once.

        Args:
            request: What to ask; a dict is checked as a `ChatRequest` is.
            headers: Sent with this request, over the default ones.

        Raises:
            SunraError: Whatever went wrong, typed; see `sunra_integrations.errors`.
        """
        request = as_request(request)
        post = self._post(request, stream=False, headers=headers)
        patience = self._patience()
        try:
            with self._key_redactor:
                return self._create(request, post, patience)
        except BaseException:  # Ctrl-C may have come between any two steps
            connections.give_up(patience)
            raise

    def _create(self, request: ChatRequest, post: Post, patience: Patience) -> Reply:
        with closing(self._open(post, patience)) as response:
            try:
                content = body.whole(response, self.settings.max_response_bytes, patience)
            except (httpx.HTTPError, TimedOut) as error:
                fault = self._fault(error, patience)
                if _is_total(fault):
                    raise fault from fault.__cause__
                raise _broke_off(fault) from fault
            return _reply(request, response, content)

    def stream(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        so_far: ReplyAccumulator | None = None,
    ) -> Generator[Chunk, None, None]:
        """The answer piece by piece, as it comes.

        Nothing is sent before the first piece is asked for. Closing the generator closes the
        connection at once.

        Args:
            request: What to ask; a dict is checked as a `ChatRequest` is.
            headers: Sent with this request, over the default ones.
            so_far: Where the pieces are added up, for a reader who wants the sum as well.

        Raises:
            StreamInterrupted: The answer broke off; its `partial` holds what had arrived.
            SunraError: Whatever else went wrong, typed; see `sunra_integrations.errors`.
        """
        request = as_request(request)
        post = self._post(request, stream=True, headers=headers)
        patience = self._patience()
        try:
            with self._key_redactor:
                yield from self._stream(request, post, patience, so_far)
        except BaseException:  # Ctrl-C may have come between any two steps
            connections.give_up(patience)
            raise

    def _stream(
        self, request: ChatRequest, post: Post, patience: Patience, so_far: ReplyAccumulator | None
    ) -> Iterator[Chunk]:
        with closing(self._open(post, patience)) as response:
            chunks = self._chunks(request, response, so_far)
            pieces = body.pieces(response)
            broken_by: SunraError | None = None
            try:
                for piece in pieces:
                    yield from chunks.feed(piece)
                    broken_by = patience.run_out(chunks.data_received)
                    if chunks.done or broken_by:
                        break
            except (httpx.HTTPError, TimedOut) as error:
                broken_by = self._fault(error, patience)
            yield from chunks.close(broken_by)
            if chunks.done:
                end_of_body.take(response, pieces)

    def _open(self, post: Post, patience: Patience) -> httpx.Response:
        """The successful answer, its body still to be read."""
        steps = self._steps(patience)
        attempt = next(steps)
        while True:
            if attempt.wait:
                time.sleep(attempt.wait)
            response, outcome = self._send(post, patience)
            try:
                attempt = self._announced(steps.send(outcome), post)
            except StopIteration:
                return _opened(response, post, patience)

    def _send(
        self, post: Post, patience: Patience
    ) -> tuple[httpx.Response | None, Answer | SunraError]:
        """One attempt: the answer with its body unread if it is a success, else its failure."""
        try:
            response = send(post, self.settings, self._auth, self._http_client, patience)
        except (*SENDING_FAULTS, TimedOut) as error:
            return None, self._fault(error, patience)
        _logger.debug("Sunra: answered with %d", response.status_code)
        if response.is_success:
            return response, Answer(response.status_code)
        with closing(response):
            content, note = body.of_error(response, patience)
        return response, Answer(response.status_code, dict(response.headers), content, note)


class AsyncSunraClient(_Client):
    """Sunra's chat completions in asyncio. One instance serves any number of event loops.

    Other event loops, such as trio's, are not supported: a call raises `ConfigurationError`.

    Args:
        settings: From `Settings.resolve`; None makes them from `options` and the environment.
        http_client: A client of your own (proxies, certificates, …) in place of the shared ones.
            It is never closed here, and it belongs to one event loop.
        **options: What `Settings.resolve` takes (`api_key`, `base_url`, `timeout`, …), in place of
            `settings`.

    Raises:
        ConfigurationError: There is no usable key or base URL.
        InvalidParameter: An option is unknown (it names the closest), or the HTTP client is of
            another kind.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        http_client: httpx.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_http_client(http_client, httpx.AsyncClient, "http_client")
        super().__init__(settings, http_client, cast("dict[str, Any]", options))
        self._http_client: httpx.AsyncClient | None = http_client

    async def create(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """The whole answer at once; see `SunraClient.create`."""
        request = as_request(request)
        post = self._post(request, stream=False, headers=headers)
        with self._key_redactor:
            return await self._create(request, post, self._patience())

    async def _create(self, request: ChatRequest, post: Post, patience: Patience) -> Reply:
        async with aclosing(await self._open(post, patience)) as response:
            try:
                content = await body.whole_async(
                    response, self.settings.max_response_bytes, patience
                )
            except (httpx.HTTPError, TimedOut) as error:
                fault = self._fault(error, patience)
                if _is_total(fault):
                    raise fault from fault.__cause__
                raise _broke_off(fault) from fault
            return _reply(request, response, content)

    async def stream(
        self,
        request: ChatRequest | Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        so_far: ReplyAccumulator | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece, as it comes; see `SunraClient.stream`."""
        request = as_request(request)
        post = self._post(request, stream=True, headers=headers)
        patience = self._patience()
        with self._key_redactor:
            async with aclosing(await self._open(post, patience)) as response:
                chunks = self._chunks(request, response, so_far)
                broken_by: SunraError | None = None
                async with aclosing(body.AsyncPieces(response, patience)) as pieces:
                    try:
                        async for piece in pieces:
                            for chunk in chunks.feed(piece):
                                yield chunk
                            broken_by = patience.run_out(chunks.data_received)
                            if chunks.done or broken_by:
                                break
                    except (httpx.HTTPError, TimedOut) as error:
                        broken_by = self._fault(error, patience)
                    finally:
                        piece = b""  # it may quote the key, and tracebacks can show variables
                    for chunk in chunks.close(broken_by):
                        yield chunk
                    if chunks.done:
                        await end_of_body.take_async(response, pieces)

    async def _open(self, post: Post, patience: Patience) -> httpx.Response:
        """The successful answer, its body still to be read."""
        _require_asyncio()
        steps = self._steps(patience)
        attempt = next(steps)
        while True:
            if attempt.wait:
                await asyncio.sleep(attempt.wait)
            response, outcome = await self._send(post, patience)
            try:
                attempt = self._announced(steps.send(outcome), post)
            except StopIteration:
                return _opened(response, post, patience)

    async def _send(
        self, post: Post, patience: Patience
    ) -> tuple[httpx.Response | None, Answer | SunraError]:
        """One attempt: the answer with its body unread if it is a success, else its failure."""
        try:
            response = await send_async(
                post, self.settings, self._auth, self._http_client, patience
            )
        except (*SENDING_FAULTS, TimedOut) as error:
            return None, self._fault(error, patience)
        _logger.debug("Sunra: answered with %d", response.status_code)
        if response.is_success:
            return response, Answer(response.status_code)
        async with aclosing(response):
            content, note = await body.of_error_async(response, patience)
        return response, Answer(response.status_code, dict(response.headers), content, note)


def _settings(given: Any, options: Mapping[str, Any]) -> Settings:
    if given is None:
        known = (*Options.__annotations__, "http_client")
        unknown = unknown_arguments(options, known, of="the client")
        if unknown is not None:
            raise unknown
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
            "AsyncSunraClient runs on asyncio only; under trio, run it in a thread of its own with "
            "`asyncio.run`, or use SunraClient in `trio.to_thread`."
        ) from None


def _opened(response: httpx.Response | None, post: Post, patience: Patience) -> httpx.Response:
    if response is None:
        raise AssertionError("a flow that ends well has an answer")
    post.await_body(response, patience)
    return response


def _request_id(response: httpx.Response) -> str | None:
    request_id: str | None = response.headers.get("x-request-id")
    return request_id


def _reply(request: ChatRequest, response: httpx.Response, content: bytes) -> Reply:
    return parse_completion(
        content,
        request_id=_request_id(response),
        requested_model=request.model,
        fallback_id=_answer_id(),
        tool_names=request.own_tool_names,
    )


def _answer_id() -> str:
    """Distinguishes the ids made for tool calls in an answer that brings no id of any kind."""
    return secrets.token_hex(8)


def _broke_off(fault: SunraError) -> StreamInterrupted:
    """A 2xx whose body broke off: it is not asked for again, so nothing is paid for twice."""
    return StreamInterrupted(f"The answer broke off before it was whole. {fault.message}")


def _is_total(fault: SunraError) -> bool:
    return isinstance(fault, TimedOut) and fault.phase == "total"
