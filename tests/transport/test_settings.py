from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from sunra_integrations import requirements
from sunra_integrations.errors import ConfigurationError, InvalidParameter
from sunra_integrations.transport import RetryPolicy, Settings, Timeouts, settings

KEY = "sk-very-secret"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (None, "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai", "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai/", "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai/v1", "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai/v1/", "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai/v1/chat/completions", "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai/v1/responses", "https://api-llm.sunra.ai/v1"),
        ("https://api-llm.sunra.ai/v1/responses/", "https://api-llm.sunra.ai/v1"),
        (" https://proxy.example/sunra ", "https://proxy.example/sunra/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
    ],
)
def test_a_base_url_is_taken_with_or_without_its_version(given, used):
    settings = Settings.resolve(KEY, given)
    assert settings.base_url == used
    assert settings.endpoint == f"{used}/chat/completions"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("http://api-llm.sunra.ai", "allow_http=True"),
        ("http://127.0.0.1.evil.example", "allow_http=True"),
        ("http://192.168.1.5:8000", "allow_http=True"),
        ("http://evil.localhost", "allow_http=True"),
        ("http://10.0.0.5", "SUNRA_ALLOW_HTTP=1"),
        (b"https://a.example", "must be a string, got bytes"),
        ("ftp://api-llm.sunra.ai", "Invalid base URL"),
        ("api-llm.sunra.ai", "Invalid base URL"),
        ("https://", "Invalid base URL"),
        ("https://a example", "Invalid base URL"),
        ("http://local\thost", "Invalid base URL"),
        ("https://a.example\\b", "Invalid base URL"),
        ("https://a.example/v1?key=1", "Invalid base URL"),
        ("https://user:pass@a.example", "user name or password"),
        ("https://a.example:port", "Invalid base URL: "),
        ("https://[::1", "Invalid base URL: "),
    ],
)
def test_a_base_url_that_cannot_be_used_says_why(given, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        Settings.resolve(KEY, given)
    assert "pass@" not in str(caught.value)


def test_plain_http_to_another_machine_is_possible_for_who_asks():
    assert (
        Settings.resolve(KEY, "http://10.0.0.5", allow_http=True).base_url == "http://10.0.0.5/v1"
    )


@pytest.mark.parametrize(
    ("said", "allowed"), [("1", True), ("true", True), (" ON ", True), ("0", False), ("", False)]
)
def test_plain_http_can_be_permitted_by_the_environment(monkeypatch, said, allowed):
    monkeypatch.setenv("SUNRA_ALLOW_HTTP", said)
    if allowed:
        assert Settings.resolve(KEY, "http://10.0.0.5").base_url == "http://10.0.0.5/v1"
    else:
        with pytest.raises(ConfigurationError, match="SUNRA_ALLOW_HTTP=1"):
            Settings.resolve(KEY, "http://10.0.0.5")


def test_a_permission_that_cannot_be_read_is_no_permission(monkeypatch):
    monkeypatch.setenv("SUNRA_ALLOW_HTTP", "maybe")
    with pytest.raises(ConfigurationError, match=r"SUNRA_ALLOW_HTTP must be 1.*'maybe'"):
        Settings.resolve(KEY, "http://10.0.0.5")


def test_key_and_base_url_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("SUNRA_KEY", KEY)
    monkeypatch.setenv("SUNRA_BASE_URL", "http://localhost:1")
    settings = Settings.resolve()
    assert settings.api_key.get_secret_value() == KEY
    assert settings.base_url == "http://localhost:1/v1"


def test_arguments_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("SUNRA_KEY", "other")
    monkeypatch.setenv("SUNRA_BASE_URL", "http://localhost:1")
    settings = Settings.resolve(SecretStr(KEY), "http://localhost:2")
    assert settings.api_key.get_secret_value() == KEY
    assert settings.base_url == "http://localhost:2/v1"


def test_no_other_vendor_s_key_is_ever_read(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "ANTHROPIC_API_KEY", "SUNRA_API_KEY"):
        monkeypatch.setenv(name, KEY)
    with pytest.raises(ConfigurationError, match=r"SUNRA_KEY.*dashboard/api-tokens"):
        Settings.resolve()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "`api_key` is an empty string"),
        (
            b"sk-very-secret",
            "must be a string or a SecretStr, or a function that returns one, got bytes",
        ),
        (f"{KEY}\n", "line break"),
        (f" {KEY}", "space"),
        ("sk\tx", "contains"),
        ("sk-\x00", "contains"),
        ("ключ", "contains"),
    ],
)
def test_a_key_that_no_header_could_carry_is_refused_without_being_shown(key, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        Settings.resolve(key)
    assert KEY not in str(caught.value)


def test_an_empty_variable_is_told_from_an_empty_argument(monkeypatch):
    monkeypatch.setenv("SUNRA_KEY", "")
    with pytest.raises(ConfigurationError, match="SUNRA_KEY is an empty string") as caught:
        Settings.resolve()
    assert "line break" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"X-A": "1\r\nX-Injected: 2"}, "X-A"),
        ({"X-A": "1\n"}, "X-A"),
        ({"X-A": "\u2028"}, "X-A"),
        ({"X-A": "é"}, "ASCII"),
        ({"X A": "1"}, "X A"),
        ({"": "1"}, "name"),
        ({"authorization": "Bearer hush"}, "api_key"),
        ({"X-A": b"hush"}, "'X-A' must be a string, got bytes"),
        ({1: "hush"}, "Invalid name of an HTTP header: 1"),
        ("hush", "got str"),
        ([("X-A", "hush")], "got list"),
    ],
)
def test_headers_that_could_smuggle_something_are_refused_without_their_value(headers, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        Settings.resolve(KEY, default_headers=headers)
    assert "Injected" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "Transfer-Encoding",
        "content-length",
        "Content-Encoding",
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "proxy-connection",
        "TE",
        "Trailer",
        "Upgrade",
    ],
)
def test_headers_of_the_connection_are_refused_by_name(name):
    with pytest.raises(ConfigurationError, match=name):
        Settings.resolve(KEY, default_headers={name: "x"})


def test_a_number_of_seconds_bounds_every_wait_for_the_server():
    timeouts = Settings.resolve(KEY, timeout=2.5).timeouts
    assert timeouts == Timeouts(connect=2.5, read=2.5, write=2.5, stall=2.5)


def test_a_longer_time_makes_connecting_and_sending_no_slower():
    assert Settings.resolve(KEY, timeout=900).timeouts == Timeouts(read=900, stall=900)


def test_the_silence_within_an_answer_may_differ_from_the_wait_for_it():
    timeouts = Settings.resolve(KEY, timeout=5, stall_timeout=7, total_timeout=9).timeouts
    assert (timeouts.read, timeouts.connect, timeouts.stall, timeouts.total) == (5, 5, 7, 9)


def test_without_a_timeout_the_defaults_stand():
    assert Settings.resolve(KEY).timeouts == Timeouts(read=600, stall=300)


ALL_SIX = Timeouts(connect=1, read=2, write=3, pool=4, stall=5, total=6)
FORMS = {
    "Timeouts": (ALL_SIX, ALL_SIX),
    "their dict": (vars(ALL_SIX), ALL_SIX),
    "httpx's": (
        httpx.Timeout(5, connect=1),
        Timeouts(connect=1, read=5, write=5, pool=5, stall=5),
    ),
    "httpx's without any": (httpx.Timeout(None), Timeouts(None, None, None, None, None)),
    "a pair": ((1, 5), Timeouts(connect=1, read=5, stall=5)),
    "a pair from JSON": ([1, 5], Timeouts(connect=1, read=5, stall=5)),
    "httpx's four": ((1, 2, 3, 4), Timeouts(connect=1, read=2, write=3, pool=4, stall=2)),
    "a number in words": ("2.5", Timeouts(connect=2.5, read=2.5, write=2.5, stall=2.5)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_timeout_is_taken_in_every_usual_form(form):
    given, used = FORMS[form]
    assert Settings.resolve(KEY, timeout=given).timeouts == used


@pytest.mark.parametrize("given", ["soon", True, (1,), (1, 2, 3, 4, 5), object(), {"conect": 1}])
def test_what_is_no_timeout_is_refused(given):
    with pytest.raises(InvalidParameter) as caught:
        Settings.resolve(KEY, timeout=given)
    assert caught.value.parameter == "timeout"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12])
@pytest.mark.parametrize("name", ["timeout", "stall_timeout", "total_timeout"])
def test_a_timeout_that_is_no_time_is_refused_by_its_name(name, seconds):
    with pytest.raises(
        ConfigurationError, match=f"`{name}` must be a positive number.*got {seconds}"
    ):
        Settings.resolve(KEY, **{name: seconds})


@pytest.mark.parametrize("given", [(0, 5), httpx.Timeout(5, read=0)])
def test_a_part_of_a_timeout_that_is_no_time_is_refused(given):
    with pytest.raises(ConfigurationError, match="got 0"):
        Settings.resolve(KEY, timeout=given)


@pytest.mark.parametrize("name", ["max_connections", "max_response_bytes"])
@pytest.mark.parametrize("number", [0, -1, "5", 1.5, True])
def test_a_limit_that_would_let_nothing_through_is_refused(name, number):
    with pytest.raises(
        ConfigurationError, match=f"`{name}` must be an integer of at least 1.*got {number!r}"
    ):
        Settings.resolve(KEY, **{name: number})


def test_the_number_of_retries_changes_that_alone_of_a_policy():
    policy = RetryPolicy(max_retries=9, first_wait=3)
    settings = Settings.resolve(KEY, retry=policy, max_retries=1)
    assert (settings.retry.max_retries, settings.retry.first_wait) == (1, 3)


def test_no_repr_shows_the_key_or_the_headers():
    shown = repr(Settings.resolve(KEY, default_headers={"X-Secret": "hush"}))
    assert KEY not in shown
    assert "hush" not in shown


def test_a_key_given_as_text_after_the_fact_is_hidden_too():
    settings = replace(Settings.resolve(KEY), api_key="sk-another")
    assert "another" not in repr(settings)
    assert settings.api_key.get_secret_value() == "sk-another"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("elsewhere", [None, "sk-of-another-tenant"])
def test_a_copy_keeps_its_own_key(copied, elsewhere, monkeypatch):
    settings = Settings.resolve(KEY)
    if elsewhere:
        monkeypatch.setenv("SUNRA_KEY", elsewhere)
    assert copied([settings])[0].api_key.get_secret_value() == KEY


LOADED = {
    "Sunra's": ("https://api-llm.sunra.ai/v1", True),
    "this machine's": ("http://127.0.0.1:8000/v1", True),
    "the environment's": ("https://gateway.example/v1", True),
    "another's": ("https://evil.example/v1", False),
    "one that looks like Sunra's": ("https://api-llm.sunra.ai.evil.example/v1", False),
    "one that looks like this machine's": ("https://localhost.evil.example/v1", False),
}


@pytest.mark.parametrize("whose", LOADED)
def test_the_key_of_a_process_goes_to_no_stored_address_but_the_trusted(whose, monkeypatch):
    monkeypatch.setenv("SUNRA_BASE_URL", "https://gateway.example")
    base_url, trusted = LOADED[whose]
    if trusted:
        settings.check_loaded(base_url)
    else:
        with pytest.raises(ConfigurationError, match="SUNRA_BASE_URL"):
            settings.check_loaded(base_url)


def test_the_digest_of_headers_depends_on_names_values_and_key():
    key = SecretStr(KEY)
    of = settings.headers_digest
    assert of({"A": "1", "b": "2"}, key) == of({"B": "2", "a": "1"}, key)
    others = [({"A": "2"}, key), ({"B": "1"}, key), ({"A": "1"}, SecretStr("sk-another"))]
    assert len({of({"A": "1"}, key), *(of(*other) for other in others)}) == 4


def test_equal_settings_are_equal_and_hashable():
    one, two = (Settings.resolve(KEY, default_headers={"A": "b"}) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)


def test_pickled_settings_hold_no_key_and_take_that_of_the_process_that_loads_them(monkeypatch):
    settings = Settings.resolve(KEY, "http://localhost:1", max_retries=7)
    pickled = pickle.dumps(settings)
    assert KEY.encode() not in pickled
    loaded = pickle.loads(pickled)  # noqa: S301 - our own bytes
    with pytest.raises(ConfigurationError, match="SUNRA_KEY"):
        loaded.with_key()
    monkeypatch.setenv("SUNRA_KEY", KEY)
    assert pickle.loads(pickled) == settings == loaded.with_key()  # noqa: S301 - our own bytes


def test_an_unknown_carrier_of_async_calls_is_refused():
    with pytest.raises(ConfigurationError, match="auto, httpx, aiohttp"):
        Settings.resolve("k", async_transport="curl")


def test_aiohttp_that_is_asked_for_and_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(requirements, "_met", set())
    monkeypatch.setattr(requirements, "version", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"sunra-integrations\[aiohttp\]"):
        Settings.resolve("k", async_transport="aiohttp")
    assert Settings.resolve("k").async_transport == "auto"
