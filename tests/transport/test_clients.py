"""Both clients, held to the same table: each case runs in the sync and in the async one."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback

import httpx
import pytest
from pydantic import SecretBytes, SecretStr

from sunra_integrations import __version__, errors
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient, Timeouts
from tests.module_stand_in import with_clock, without_waits
from tests.recorded_transport import Body, Recorded, completion, status, stream
from tests.wire_cases import completion_bytes, stream_bytes

KEY = "sk-very-secret"
ASKED = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}])
PLAIN, PLAIN_STREAM = completion_bytes("plain"), stream_bytes("plain")
# The role, "Hel", and the beginning of the event after it.
BEGINNING = PLAIN_STREAM[: PLAIN_STREAM.index(b"lo") - 5]
TWO_EVENTS = BEGINNING[: BEGINNING.rindex(b"\n\n") + 2]


class Sync:
    def __init__(self, transport, settings=None, **client):
        self.http = httpx.Client(transport=transport, **client)
        self.client = SunraClient(settings or Settings.resolve(KEY), http_client=self.http)

    def create(self, request=ASKED, **options) -> Reply:
        return self.client.create(request, **options)

    def stream(self, request=ASKED, **options):
        return list(self.client.stream(request, **options))

    def first_chunk_then_leave(self):
        chunks = self.client.stream(ASKED)
        next(chunks)
        chunks.close()


class Async:
    def __init__(self, transport, settings=None, **client):
        self.http = httpx.AsyncClient(transport=transport, **client)
        self.client = AsyncSunraClient(settings or Settings.resolve(KEY), http_client=self.http)

    def create(self, request=ASKED, **options) -> Reply:
        return asyncio.run(self.client.create(request, **options))

    def stream(self, request=ASKED, **options):
        async def collect():
            return [chunk async for chunk in self.client.stream(request, **options)]

        return asyncio.run(collect())

    def first_chunk_then_leave(self):
        async def leave():
            chunks = self.client.stream(ASKED)
            await anext(chunks)
            await chunks.aclose()

        asyncio.run(leave())


@pytest.fixture(params=[Sync, Async])
def client_of(request):
    return request.param


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    return without_waits(monkeypatch)


def test_a_plain_call_sends_the_request_as_the_contract_says(client_of):
    transport = Recorded(completion(PLAIN))
    reply = client_of(transport).create()
    (sent,) = transport.sent
    assert (sent.method, str(sent.url)) == ("POST", "https://api-llm.sunra.ai/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"] == f"sunra-integrations/{__version__}"
    assert transport.bodies == [{"model": "openai/gpt-4o", "messages": ASKED.messages}]
    assert (reply.text, reply.request_id) == ("Hello", "req-1")
    assert reply.raw["system_fingerprint"] == "fp_44709d6fcb"


def test_a_streamed_call_asks_for_a_stream_that_no_compressor_holds_back(client_of):
    transport = Recorded(stream(PLAIN_STREAM))
    chunks = client_of(transport).stream()
    assert accumulate(chunks).text == "Hello"
    assert {chunk.request_id for chunk in chunks} == {"req-1"}
    assert transport.bodies[0]["stream"] is True
    assert transport.bodies[0]["stream_options"] == {"include_usage": True}
    assert transport.sent[0].headers["accept"] == "text/event-stream"
    assert transport.sent[0].headers["accept-encoding"] == "identity"


def test_headers_of_settings_and_of_the_call_are_sent_and_the_call_s_win(client_of):
    settings = Settings.resolve(KEY, default_headers={"X-A": "settings", "X-B": "settings"})
    transport = Recorded(completion(PLAIN))
    client_of(transport, settings).create(headers={"X-B": "call"})
    headers = transport.sent[0].headers
    assert (headers["x-a"], headers["x-b"]) == ("settings", "call")


def test_a_header_of_the_call_that_could_smuggle_something_is_refused(client_of):
    transport = Recorded(completion(PLAIN))
    with pytest.raises(errors.ConfigurationError, match="X-A"):
        client_of(transport).create(headers={"X-A": "1\r\nX-B: 2"})
    assert transport.sent == []


@pytest.mark.parametrize("call", ["create", "stream"])
def test_failures_before_the_answer_are_tried_again_after_the_policy_s_waits(
    client_of, call, waits
):
    good = completion(PLAIN) if call == "create" else stream(PLAIN_STREAM)
    transport = Recorded(httpx.ConnectError("refused"), status(429, retry_after="7"), good)
    getattr(client_of(transport), call)()
    assert len(transport.sent) == 3
    assert 0.375 <= waits[0] <= 0.5
    assert waits[1:] == [7.0]
    assert len({request.content for request in transport.sent}) == 1


@pytest.mark.parametrize("call", ["create", "stream"])
def test_an_error_answer_is_raised_with_what_the_server_said(client_of, call):
    body = b'{"error": {"code": "MODEL_NOT_FOUND", "message": "No such model"}}'
    transport = Recorded(status(404, body, x_request_id="req-7"))
    with pytest.raises(errors.ModelNotFound, match="No such model") as caught:
        getattr(client_of(transport), call)()
    error = caught.value
    assert (error.status, error.request_id, error.attempts) == (404, "req-7", 1)
    assert error.response.body == body


@pytest.mark.parametrize("fault", [httpx.ReadError("reset"), httpx.ReadTimeout("late")])
def test_a_stream_that_breaks_is_never_asked_for_again_and_keeps_what_came(client_of, fault):
    body = Body([BEGINNING, fault])
    transport = Recorded(stream(body=body))
    with pytest.raises(errors.StreamInterrupted) as caught:
        client_of(transport).stream()
    assert len(transport.sent) == 1
    assert caught.value.partial.text == "Hel"
    assert isinstance(caught.value.__cause__, (errors.ConnectionFailed, errors.TimedOut))
    assert body.closed


def test_a_plain_answer_that_breaks_off_is_never_asked_for_again(client_of):
    transport = Recorded(stream(PLAIN[:50], httpx.ReadError("reset")))
    with pytest.raises(errors.StreamInterrupted, match="cut off"):
        client_of(transport).create()
    assert len(transport.sent) == 1


def test_a_connection_that_breaks_after_the_answer_was_whole_does_no_harm(client_of):
    whole = PLAIN_STREAM.removesuffix(b"data: [DONE]\n\n")
    transport = Recorded(stream(whole, httpx.ReadError("reset")))
    assert accumulate(client_of(transport).stream()).text == "Hello"


def test_a_connection_that_breaks_before_all_choices_were_seen_has_cut_the_answer(client_of):
    whole = PLAIN_STREAM.removesuffix(b"data: [DONE]\n\n")
    transport = Recorded(stream(whole, httpx.ReadError("reset")))
    two = ChatRequest(model="a/b", messages=ASKED.messages, n=2)
    with pytest.raises(errors.StreamInterrupted):
        client_of(transport).stream(two)


def test_leaving_a_stream_closes_its_connection_at_once(client_of):
    body = Body([TWO_EVENTS, PLAIN_STREAM[len(TWO_EVENTS) :]])
    client_of(Recorded(stream(body=body))).first_chunk_then_leave()
    assert body.closed


def test_nothing_is_sent_before_the_first_chunk_is_asked_for():
    transport = Recorded(stream(PLAIN_STREAM))
    chunks = Sync(transport).client.stream(ASKED)
    assert transport.sent == []
    assert accumulate(chunks).text == "Hello"


def test_a_redirect_is_not_followed_even_by_a_client_that_would(client_of):
    transport = Recorded(status(307, location="https://elsewhere.example/"), completion(PLAIN))
    with pytest.raises(errors.ConfigurationError, match="Redirects are not followed"):
        client_of(transport, follow_redirects=True).create()
    assert len(transport.sent) == 1


def test_credentials_of_a_custom_client_do_not_replace_the_key(client_of):
    transport = Recorded(completion(PLAIN))
    client_of(transport, auth=("user", "password")).create()
    assert transport.sent[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_custom_client_is_used_and_never_closed(client_of):
    transport = Recorded(completion(PLAIN))
    user = client_of(transport)
    user.create()
    del user.client
    assert not user.http.is_closed


def test_a_custom_client_that_was_closed_is_named_as_the_trouble(client_of):
    user = client_of(Recorded(completion(PLAIN)))
    user.http.close() if isinstance(user, Sync) else asyncio.run(user.http.aclose())
    with pytest.raises(errors.ConfigurationError, match="HTTP client cannot be used"):
        user.create()


def test_an_answer_beyond_the_limit_is_refused(client_of):
    settings = Settings(**{**vars(Settings.resolve(KEY)), "max_response_bytes": 100})
    with pytest.raises(errors.UnreadableResponse, match="max_response_bytes"):
        client_of(Recorded(completion(b"x" * 101)), settings).create()


def test_a_call_beyond_its_total_time_ends_with_what_had_come(client_of, monkeypatch):
    now = iter(range(1000))
    with_clock(monkeypatch, lambda: next(now))
    settings = Settings.resolve(KEY, total_timeout=6)
    pieces = [PLAIN_STREAM[i : i + 40] for i in range(0, len(PLAIN_STREAM), 40)]
    with pytest.raises(
        errors.StreamInterrupted, match="within 6 s \\(`total_timeout`\\)"
    ) as caught:
        client_of(Recorded(stream(*pieces)), settings).stream()
    assert caught.value.__cause__.phase == "total"


def test_pings_without_data_are_a_stall(client_of, monkeypatch):
    now = iter(range(1000))
    with_clock(monkeypatch, lambda: next(now))
    settings = Settings.resolve(KEY, stall_timeout=5)
    pieces = [TWO_EVENTS, *[b": ping\n\n"] * 50]
    with pytest.raises(
        errors.StreamInterrupted, match=r"waiting for more data from .* within 5 s"
    ) as caught:
        client_of(Recorded(stream(*pieces)), settings).stream()
    assert caught.value.partial.text == "Hel"


def test_every_wait_is_handed_to_the_http_library(client_of):
    timeouts = Timeouts(connect=1, read=2, write=3, pool=4, stall=5)
    transport = Recorded(stream(PLAIN_STREAM))
    client_of(transport, Settings.resolve(KEY, timeout=timeouts)).stream()
    # `read` has become `stall` by now: the headers are here, the body is awaited.
    expected = {"connect": 1, "read": 5, "write": 3, "pool": 4}
    assert transport.sent[0].extensions["timeout"] == expected


@pytest.mark.parametrize("bad", ["model", "nan"])
def test_a_request_that_cannot_be_written_sends_nothing(client_of, bad):
    transport = Recorded(completion(PLAIN))
    asked = ChatRequest(model="a/b", messages=ASKED.messages, extra_body={bad: float("nan")})
    with pytest.raises(errors.InvalidParameter, match=bad):
        client_of(transport).create(asked)
    assert transport.sent == []


async def test_a_cancelled_task_closes_its_connection():
    class Endless(Body):
        async def __aiter__(self):
            yield BEGINNING
            await asyncio.Event().wait()

    body = Endless([])
    client = Async(Recorded(stream(body=body))).client
    arrived = asyncio.Event()

    async def read():
        async for _ in client.stream(ASKED):
            arrived.set()

    task = asyncio.create_task(read())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.closed


def test_without_asyncio_the_async_client_says_that_it_is_needed():
    call = Async(Recorded(completion(PLAIN))).client.create(ASKED)
    with pytest.raises(errors.ConfigurationError, match="needs asyncio"):
        call.send(None)  # what another kind of event loop would do


@pytest.mark.parametrize("cls", [SunraClient, AsyncSunraClient])
def test_a_pickled_client_holds_no_key_and_takes_that_of_the_process_that_loads_it(
    cls, monkeypatch
):
    client = cls(Settings.resolve(KEY, max_retries=5))
    pickled = pickle.dumps(client)
    assert KEY.encode() not in pickled
    monkeypatch.setenv("SUNRA_KEY", KEY)
    assert pickle.loads(pickled).settings == client.settings  # noqa: S301 - our own bytes


def test_a_client_around_a_custom_http_client_says_that_it_cannot_be_pickled(client_of):
    with pytest.raises(pickle.PicklingError, match="http_client"):
        pickle.dumps(client_of(Recorded(completion(PLAIN))).client)


def test_a_stream_longer_than_allowed_is_refused_with_what_had_come(client_of):
    settings = Settings(**{**vars(Settings.resolve(KEY)), "max_response_bytes": 1000})
    events = [TWO_EVENTS, *[b": a comment is a part of the stream, too\n\n"] * 50]
    with pytest.raises(errors.UnreadableResponse, match=r"1,000 bytes\. .*max_resp") as caught:
        client_of(Recorded(stream(*events)), settings).stream()
    assert not caught.value.retryable
    assert caught.value.partial.text == "Hel"


def test_a_whole_answer_is_not_lost_when_the_time_runs_out_on_its_last_piece(
    client_of, monkeypatch
):
    now = [0.0]
    with_clock(monkeypatch, lambda: now[0])

    class Late(Body):
        def __iter__(self):
            yield PLAIN[:-3]
            now[0] = 7.0
            yield PLAIN[-3:]

    settings = Settings.resolve(KEY, total_timeout=6)
    answer = lambda: httpx.Response(200, stream=Late([]))  # noqa: E731
    assert client_of(Recorded(answer), settings).create().text == "Hello"


@pytest.mark.parametrize("broken_by", [httpx.ReadError("reset"), httpx.ReadTimeout("late")])
def test_nor_when_the_connection_breaks_behind_it(client_of, broken_by):
    answer = lambda: httpx.Response(200, stream=Body([PLAIN, broken_by]))  # noqa: E731
    assert client_of(Recorded(answer)).create().text == "Hello"


OWN = [RuntimeError("mine"), NotImplementedError("mine"), KeyError("mine")]


@pytest.mark.parametrize("error", OWN, ids=repr)
def test_an_exception_of_the_user_s_own_transport_stays_what_it_is(client_of, error):
    def fail():
        raise error

    for call in ("create", "stream"):
        with pytest.raises(type(error)) as caught:
            getattr(client_of(Recorded(fail)), call)()
        assert caught.value is error
        assert caught.value.__cause__ is None
        assert "fail" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize(
    "words",
    [
        "Cannot send a request, as the client has been closed.",
        "Event loop is closed",
        "<Lock> is bound to a different event loop",
        "Session is closed",
    ],
)
def test_a_client_that_cannot_be_used_any_more_is_named_as_the_trouble(client_of, words):
    def fail():
        raise RuntimeError(words)

    with pytest.raises(errors.ConfigurationError, match="HTTP client cannot be used"):
        client_of(Recorded(fail)).create()


# -- as people type them ---------------------------------------------------

CLIENTS = {"sync": (SunraClient, httpx.Client), "async": (AsyncSunraClient, httpx.AsyncClient)}


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_takes_the_settings_by_name(kind):
    client = CLIENTS[kind][0](api_key=KEY, base_url="https://a.example", timeout=5, max_retries=0)
    assert client.settings == Settings.resolve(KEY, "https://a.example", timeout=5, max_retries=0)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (((KEY,), {}), "Pass a key as `api_key=…`"),
        (((), {"openai_api_key": KEY}), "Did you mean `api_key`?"),
        (((), {"apikey": KEY}), "Did you mean `api_key`?"),
        (((Settings.resolve("k"),), {"api_key": KEY}), "cannot be combined with `api_key`"),
        (((), {"api_key": KEY, "timeout": 0}), "`timeout` must be a positive number"),
    ],
)
def test_a_client_that_cannot_be_made_says_why_and_shows_no_key(kind, given, says):
    args, options = given
    with pytest.raises(errors.SunraError, match=says) as caught:
        CLIENTS[kind][0](*args, **options)
    assert KEY not in str(caught.value)
    for frame in caught.traceback[1:]:
        assert KEY not in repr(frame.locals.get("options"))


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("given", ["the other kind", "the class", "another library's"])
def test_an_http_client_of_another_kind_is_refused(kind, given):
    cls, http = CLIENTS[kind]
    other = {
        "the other kind": (httpx.AsyncClient if kind == "sync" else httpx.Client)(),
        "the class": http,
        "another library's": pickle.Pickler,
    }[given]
    with pytest.raises(errors.InvalidParameter, match=f"must be an httpx.{http.__name__}"):
        cls(api_key=KEY, http_client=other)


@pytest.mark.parametrize("make", [Sync, Async])
def test_a_dict_is_a_request(make):
    asked = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    transport = Recorded(completion(PLAIN), stream(PLAIN_STREAM))
    side = make(transport)
    assert side.create(asked).text == "Hello"
    assert side.stream(asked)
    assert transport.bodies[0] == asked
    assert asked.items() <= transport.bodies[1].items()


@pytest.mark.parametrize("make", [Sync, Async])
@pytest.mark.parametrize("way", ["create", "stream"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temperature": 3}, "`temperature` must be a number"),
        ({"temprature": 1}, "Did you mean `temperature`?"),
        ({"stream": True}, r"Call `stream\(…\)`"),
        ({"timeout": 1}, "`timeout` is a setting of the model or client"),
        ({"top_k": 1}, "`extra_body="),
        ({"messages": []}, "`messages`"),
        ({"extra_body": {"messages": []}}, "`extra_body` cannot contain `messages`"),
        ({"extra_body": {"stream": True}}, "`extra_body` cannot contain `stream`"),
        ({"extra_body": {"api_key": KEY}}, "looks like a credential"),
        ({"extra_body": {"x": SecretStr(KEY)}}, "is a SecretStr"),
        ({"extra_body": {"x": [{"y": SecretStr(KEY)}]}}, "`x` contains a secret"),
        ({"extra_body": {"x": {"y": SecretBytes(KEY.encode())}}}, "`x` contains a secret"),
        ({"tools": [{"type": "function", "function": {"name": SecretStr(KEY)}}]}, "`tools`"),
        ({"extra_body": [1]}, "`extra_body` must be a dict of body parameters, got list"),
    ],
)
def test_a_dict_that_is_no_request_says_why_and_nothing_is_sent(make, way, change, says):
    transport = Recorded(completion(PLAIN))
    asked = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}], **change}
    with pytest.raises(errors.InvalidParameter, match=says) as caught:
        getattr(make(transport), way)(asked)
    assert KEY not in str(caught.value)
    assert not transport.sent


@pytest.mark.parametrize("make", [Sync, Async])
def test_what_is_neither_a_dict_nor_a_request_is_refused(make):
    with pytest.raises(errors.InvalidParameter, match="ChatRequest or a dict"):
        make(Recorded(completion(PLAIN))).create("Hi")


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copied_client_keeps_its_key_and_its_http_client(kind, copied, monkeypatch):
    cls, http = CLIENTS[kind]
    client = cls(api_key=KEY, http_client=http())
    monkeypatch.setenv("SUNRA_KEY", "sk-of-another-tenant")
    again = copied(client)
    assert again.settings.api_key.get_secret_value() == KEY
    assert again._http_client is client._http_client


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_is_loaded_without_a_key_and_its_first_call_says_what_is_missing(
    kind, monkeypatch
):
    pickled = pickle.dumps(CLIENTS[kind][0](api_key=KEY, base_url="http://127.0.0.1:9"))
    assert KEY.encode() not in pickled
    loaded = pickle.loads(pickled)  # noqa: S301 - our own bytes
    asked = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}

    def call():
        made = loaded.create(asked)
        return made if kind == "sync" else asyncio.run(made)

    with pytest.raises(errors.ConfigurationError, match="set SUNRA_KEY"):
        call()
    monkeypatch.setenv("SUNRA_KEY", "sk-of-this-process")
    with pytest.raises(errors.ConnectionFailed):
        call()
    assert loaded.settings.api_key.get_secret_value() == "sk-of-this-process"
