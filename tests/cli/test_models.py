"""`sunra models`: facts about models, and the gateway's list."""

from __future__ import annotations

import http.server
import json
import re
import threading

import pytest

from sunra_integrations.cli import models
from sunra_integrations.data import last_updated, model_facts, model_names
from tests import platforms
from tests.cli.conftest import KEY
from tests.waiting import DEADLINE

ESCAPES = re.compile(r"\x1b\[[\d;]*m")
NOTE = "Sunra does not document a list of models (GET /v1/models), and this gateway has none."


def listed(ended):
    return [line.split("\t")[0] for line in ended.out.splitlines()]


def named(ended):
    return [one["model"] for one in json.loads(ended.out)["models"]]


def test_all_known_models_are_listed_without_a_request(sunra, sunra_sandbox, environment):
    environment.delenv("SUNRA_KEY")
    environment.setenv("SUNRA_MODEL", "openai/gpt-4o")  # used by chat only
    ended = sunra("models")
    assert ended.status == 0
    assert listed(ended) == model_names()
    assert ended.err.startswith(f"{len(model_names())} models from packaged facts")
    assert "Next: run `sunra models -m VENDOR/NAME`" in ended.err
    assert sunra_sandbox.requests == []


def test_a_piped_list_has_fields_separated_by_tabs(sunra):
    [line] = sunra("models", "gpt-4o-mini", "--vendor", "openai").out.splitlines()[:1]
    facts = model_facts("openai/gpt-4o-mini")
    assert line.split("\t") == [
        "openai/gpt-4o-mini",
        f"{facts['max_input_tokens']:,}",
        f"{facts['max_output_tokens']:,}",
        "text, image, pdf",
        "tools, structured-output",
    ]


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (["CLAUDE", "sonnet"], lambda name, _: "claude" in name and "sonnet" in name),
        (["--vendor", "OpenAI"], lambda name, _: name.startswith("openai/")),
        (
            ["--vendor", "google", "--vendor", "x-ai"],
            lambda name, _: name.startswith(("google/", "x-ai/")),
        ),
        (["--can", "pdf"], lambda _, facts: facts.get("pdf_inputs")),
        (
            ["--can", "audio", "--can", "tools"],
            lambda _, facts: facts["audio_inputs"] and facts["tool_calling"],
        ),
        (["--can", "open-weights"], lambda _, facts: facts["open_weights"]),
    ],
)
def test_filters_are_combined(sunra, arguments, holds):
    ended = sunra("models", *arguments, "--json")
    expected = [name for name in model_names() if holds(name, model_facts(name))]
    assert expected
    assert named(ended) == expected


def test_a_text_matches_the_display_name_too(sunra):
    assert model_facts("openai/gpt-5.6")["name"] == "GPT-5.6"
    assert "openai/gpt-5.6" in listed(sunra("models", "GPT-5.6"))


def test_json_has_all_facts(sunra):
    ended = sunra("models", "-m", "openai/gpt-5.6", "--json")
    assert ended.err == ""
    assert json.loads(ended.out) == {
        "source": "packaged",
        "facts_updated": last_updated().isoformat(),
        "models": [{"model": "openai/gpt-5.6", "facts": model_facts("openai/gpt-5.6")}],
    }


def test_the_details_of_a_model_say_what_is_not_packaged_and_what_comes_next(sunra):
    ended = sunra("models", "-m", "openai/gpt-5.6")
    details = dict(re.split(r"  +", line, maxsplit=1) for line in ended.out.splitlines())
    assert ended.status == 0
    assert details["context"] == "1,050,000 tokens"
    assert details["inputs"] == "text, image, pdf"
    assert details["not supported"] == "temperature"
    assert details["default effort"] == "medium"
    assert details["prices"] == "not in the packaged data; see https://sunra.ai/models"
    assert "tools only with reasoning effort" in details["API"]
    assert "gateway" not in details
    assert ended.err.startswith("Next: run `sunra chat -m openai/gpt-5.6`")


def test_every_restriction_of_the_model_data_has_words(sunra):
    found = {model_facts(name).get("chat_completions_tools") for name in model_names()} - {None}
    assert found == models._TOOLS_ON_CHAT.keys()


def test_a_version_has_the_facts_of_its_model(sunra):
    ended = sunra("models", "-m", "openai/gpt-4o-2024-11-20", "--json")
    assert json.loads(ended.out)["models"][0]["facts"] == model_facts("openai/gpt-4o-2024-11-20")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "openai/gpt-4o-mimi"], "Similar names: openai/gpt-4o-mini"),
        (["-m", "nobody/nothing"], "which may work all the same."),
        (["nothing-like-this"], "Run `sunra models` to list all of them."),
        (["--vendor", "nobody"], "No known model matches."),
    ],
)
def test_no_model_is_an_error_with_a_next_step(sunra, arguments, message):
    ended = sunra("models", *arguments)
    assert (ended.status, ended.out) == (1, "")
    assert message in ended.err
    as_json = sunra("models", *arguments, "--json")
    assert (as_json.status, named(as_json)) == (1, [])


@platforms.terminals
@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("arguments", [["gpt-5.6"], ["-m", "openai/gpt-5.6"]])
def test_a_list_is_wrapped_at_the_width_of_the_terminal(start, terminal, columns, arguments):
    env = {"TERM": "xterm", "COLUMNS": str(columns)}
    process = start("models", *arguments, env=env, **terminal.streams())
    terminal.see("Next:")
    assert process.wait(DEADLINE) == 0
    lines = ESCAPES.sub("", terminal.seen).splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(" ".join(lines).split())
    assert "openai/gpt-5.6" in words
    assert "1,050,000" in words
    assert "…" not in words


# ── the gateway's list ───────────────────────────────────────────────────────


def test_a_gateway_without_a_list_is_noted_and_the_packaged_facts_are_shown(sunra, sunra_sandbox):
    ended = sunra("models", "--gateway", "--json")
    assert ended.status == 0
    assert ended.err == f"{NOTE} Showing the packaged facts.\n"
    assert json.loads(ended.out)["source"] == "packaged"
    assert named(ended) == model_names()
    [request] = sunra_sandbox.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "content-length" not in request.headers


class Gateway(http.server.BaseHTTPRequestHandler):
    """Responds to every GET with the server's `reply`: a status and a body."""

    def do_GET(self):
        status, body = self.server.reply
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway(environment):
    """Set the body and the status of a gateway's response to every GET."""

    def gateway(body, status=200):
        server.reply = (status, body.encode())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        environment.setenv("SUNRA_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield gateway
        server.shutdown()
        thread.join()


LIST = {"object": "list", "data": [{"id": "new/one"}, {"id": "openai/gpt-4o"}, {"id": 7}, "x"]}


def test_the_gateways_list_is_shown_with_the_facts_that_are_known(sunra, gateway):
    gateway(json.dumps(LIST))
    ended = sunra("models", "--gateway", "--json")
    assert json.loads(ended.out)["source"] == "gateway"
    assert json.loads(ended.out)["models"] == [
        {"model": "new/one", "facts": None},
        {"model": "openai/gpt-4o", "facts": model_facts("openai/gpt-4o")},
    ]
    assert "2 models from the gateway's list" in sunra("models", "--gateway").err
    assert named(sunra("models", "--gateway", "--can", "tools", "--json")) == ["openai/gpt-4o"]


def test_the_details_say_whether_the_gateway_lists_the_model(sunra, gateway):
    gateway(json.dumps(LIST))
    for name, words in (
        ("new/one", ["in its list", "none packaged"]),
        ("openai/gpt-4o", ["in its list"]),
        ("openai/gpt-4o-mini", ["not in its list"]),
    ):
        ended = sunra("models", "--gateway", "-m", name)
        assert ended.status == 0
        for part in words:
            assert f"  {part}\n" in ended.out
    assert sunra("models", "--gateway", "-m", "nobody/nothing").status == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [("{}", 404), ("no", 405), ("<html>", 200), ('{"data": "none"}', 200), ("[]", 200)],
)
def test_a_response_that_is_not_a_list_counts_as_none(sunra, gateway, body, status):
    gateway(body, status)
    ended = sunra("models", "--gateway", "-m", "openai/gpt-4o")
    assert ended.status == 0
    assert ended.err.startswith(NOTE)


def test_another_error_of_the_gateway_is_an_error(sunra, gateway):
    gateway(json.dumps({"error": {"message": f"Incorrect key: {KEY}"}}), 401)
    ended = sunra("models", "--gateway")
    assert (ended.status, ended.out) == (1, "")
    assert "Incorrect key: [the key] (HTTP 401)" in ended.err


def test_the_names_of_a_gateway_lose_their_control_characters(sunra, gateway):
    gateway(json.dumps({"data": [{"id": "a/\x1b[31mb\n"}]}))
    assert sunra("models", "--gateway").out.split("\t")[0] == "a/[31mb"
    assert "\x1b" not in sunra("models", "--gateway", "-m", "a/\x1b[31mb\n").out
