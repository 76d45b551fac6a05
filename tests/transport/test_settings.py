from __future__ import annotations

import pickle

import pytest
from pydantic import SecretStr

from sunra_integrations.errors import ConfigurationError
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
        ("ftp://api-llm.sunra.ai", "no base URL"),
        ("api-llm.sunra.ai", "no base URL"),
        ("https://", "no base URL"),
        ("https://a.example/v1?key=1", "no base URL"),
        ("https://user:pass@a.example", "user name or password"),
        ("https://a.example:port", "cannot be read"),
        ("https://[::1", "cannot be read"),
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
        ("", "is empty"),
        (f"{KEY}\n", "line break"),
        (f" {KEY}", "space"),
        ("sk\tx", "holds"),
        ("sk-\x00", "holds"),
        ("ключ", "holds"),
    ],
)
def test_a_key_that_no_header_could_carry_is_refused_without_being_shown(key, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        Settings.resolve(key)
    assert not key.strip() or key.strip() not in str(caught.value)


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
    ],
)
def test_headers_that_could_smuggle_something_are_refused_without_their_value(headers, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        Settings.resolve(KEY, default_headers=headers)
    assert "Injected" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_number_of_seconds_is_the_wait_for_the_answer_to_begin():
    timeouts = Settings.resolve(KEY, timeout=5, stall_timeout=7, total_timeout=9).timeouts
    assert (timeouts.read, timeouts.connect, timeouts.stall, timeouts.total) == (5, 5, 7, 9)


def test_all_timeouts_can_be_given():
    timeouts = Timeouts(connect=1, read=2, write=3, pool=4, stall=5, total=6)
    assert Settings.resolve(KEY, timeout=timeouts).timeouts == timeouts


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_that_is_no_time_is_refused(seconds):
    with pytest.raises(ConfigurationError, match="above 0"):
        Settings.resolve(KEY, timeout=seconds)


@pytest.mark.parametrize("name", ["max_connections", "max_response_bytes"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_limit_that_would_let_nothing_through_is_refused(name, number):
    with pytest.raises(ConfigurationError, match=f"`{name}` was {number}"):
        Settings.resolve(KEY, **{name: number})


def test_the_number_of_retries_changes_that_alone_of_a_policy():
    policy = RetryPolicy(max_retries=9, first_wait=3)
    settings = Settings.resolve(KEY, retry=policy, max_retries=1)
    assert (settings.retry.max_retries, settings.retry.first_wait) == (1, 3)


def test_no_repr_shows_the_key_or_the_headers():
    shown = repr(Settings.resolve(KEY, default_headers={"X-Secret": "hush"}))
    assert KEY not in shown
    assert "hush" not in shown


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
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"sunra-integrations\[aiohttp\]"):
        Settings.resolve("k", async_transport="aiohttp")
    assert Settings.resolve("k").async_transport == "auto"
