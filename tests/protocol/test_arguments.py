"""Names that are not known: what was meant, and what must never reach a body."""

from __future__ import annotations

import pytest

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.arguments import (
    check_call,
    check_no_credentials,
    looks_like_credential,
    split_call,
    unknown_argument,
)

CREDENTIALS = [
    "api_key",
    "openai_api_key",
    "sunra_api_key",
    "x-api-key",
    "apiKey",
    "openaiapikey",
    "OPENAI_API_KEY",
    "key",
    "private_key",
    "token",
    "hf_token",
    "authToken",
    "access_tokens",
    "secret",
    "client_secret",
    "password",
    "Authorization",
    "auth_header",
    "accesskey",
    "secretkey",
    "aws_access_key_id",
    "privatekey",
    "oauth",
    "cookie",
    "jwt",
    "api_keys",
    "hf_token_1",
    "openai_key_2",
    "aws_credentials",
    "bearer",
]
OTHERS = [
    "max_tokens",
    "max_token",
    "max_completion_tokens",
    "min_tokens",
    "eos_token",
    "stop_token_ids",
    "skip_special_tokens",
    "return_tokens_as_token_ids",
    "prompt_cache_key",
    "idempotency_key",
    "cache_salt",
    "keyboard",
    "monkey",
    "tokenizer",
    "author",
    "top_k",
    "",
    "output_key",
    "primary_key",
    "routing_key",
    "required_keys",
    "audio_token",
    "tool_call_token",
    "num_speculative_tokens",
    "process_tokens",
]
VALUES_THAT_ARE_NO_SECRETS = {
    "enable_secrets_detection": True,
    "password_check": False,
    "api_key": None,
    "my_special_key": 7,
    "marker_token": 151656,
    "odd_token": 0.5,
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_name_that_tells_of_a_secret_is_refused_without_its_value(name):
    assert looks_like_credential(name)
    with pytest.raises(InvalidParameter, match=name) as wrong:
        check_no_credentials({name: "sk-hush"}, where="`extra_body`")
    assert "hush" not in f"{wrong.value}{vars(wrong.value)}"


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_that_tells_of_something_else_is_let_through(name):
    assert not looks_like_credential(name)


@pytest.mark.parametrize("name", VALUES_THAT_ARE_NO_SECRETS)
def test_a_value_that_cannot_be_a_secret_is_let_through_under_any_name(name):
    check_no_credentials({name: VALUES_THAT_ARE_NO_SECRETS[name]}, where="`extra_body`")
    with pytest.raises(InvalidParameter, match=name):
        check_no_credentials({name: "sk-hush"}, where="`extra_body`")


@pytest.mark.parametrize("call", [{"my_secret": 1}, {"extra_body": {"my_secret": 1}}])
def test_a_call_is_searched_for_credentials_with_its_extra_body(call):
    with pytest.raises(InvalidParameter, match="`my_secret`"):
        check_call(call)


@pytest.mark.parametrize("call", [{}, {"extra_body": None}, {"extra_body": "api_key"}])
def test_a_call_without_any_is_let_through(call):
    check_call(call)


KNOWN = (
    "model", "api_key", "base_url", "timeout", "max_tokens", "temperature", "http_client",
    "reasoning", "reasoning_effort", "stream_options", "parallel_tool_calls",
)  # fmt: skip
ADVICE = {
    "openai_api_key": "Did you mean `api_key`?",
    "apikey": "Did you mean `api_key`?",
    "openai_api_base": "Did you mean `base_url`?",
    "azure_endpoint": "Did you mean `base_url`?",
    "model_id": "Did you mean `model`?",
    "max_output_tokens": "Did you mean `max_tokens`?",
    "client": "Did you mean `http_client`?",
    "temprature": "Did you mean `temperature`?",
    "verbosity": 'pass `extra_body={"verbosity": …}`',
    "top_k": 'pass `extra_body={"top_k": …}`',
    "xyzzy": 'pass `extra_body={"xyzzy": …}`',
    "use_responses_api": 'Pass `api="responses"`',
    "track_previous_responses": '`extra_body={"store": True}` in the call before it',
    "previous_response_id": 'Pass `extra_body={"previous_response_id": …}`',
    "instructions": "Use a system message.",
    "input": "Pass the conversation as `messages`.",
    "call_metadata": 'Pass `extra_body={"metadata": …}`.',
    "max_tool_calls": 'pass `extra_body={"max_tool_calls": …}`',
    "reasoning_options": "Did you mean `reasoning`?",
    "proxies": "`http_client`",
    "default_headers": "is a setting of the model or client",
}


@pytest.mark.parametrize("name", ADVICE)
def test_an_unknown_name_says_what_to_do_instead(name):
    error = unknown_argument(name, KNOWN, of="ChatSunra", sendable=True)
    assert str(error).startswith(f"`{name}` is not a parameter of ChatSunra. ")
    assert ADVICE[name] in str(error)
    assert error.parameter == name


@pytest.mark.parametrize("name", ["api_key", "openai_api_key", "base_url", "timeout", "my_secret"])
def test_a_setting_or_a_secret_is_never_advised_to_go_into_the_body(name):
    advice = str(unknown_argument(name, ("temperature",), of="a call", sendable=True))
    assert "extra_body" not in advice
    assert "model_copy" in advice


def test_what_changes_the_client_is_told_from_what_changes_the_request():
    request, settings, _ = split_call({"temperature": 0, "request_timeout": 5, "max_retries": 1})
    assert request == {"temperature": 0}
    assert settings == {"timeout": 5, "max_retries": 1}


def test_two_names_of_one_timeout_that_differ_are_refused():
    with pytest.raises(InvalidParameter, match="same setting"):
        split_call({"timeout": 1, "request_timeout": 2})
