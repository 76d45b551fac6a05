"""Starting and stopping the server from Python, a shell and pytest."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import httpx
import pytest

from sunra_integrations import sandbox as package
from sunra_integrations.sandbox import Sandbox, sse
from tests import children, platforms
from tests.waiting import DEADLINE, until, until_async

pytest_plugins = ["pytester"]


def post(sandbox, body, key=None):
    headers = {"authorization": f"Bearer {key or sandbox.api_key}"}
    url = f"{sandbox.base_url}/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=DEADLINE)


def serving_threads():
    return [thread for thread in threading.enumerate() if thread.name == "sunra-sandbox"]


def test_it_starts_and_stops_and_leaves_no_thread(body):
    before = len(serving_threads())
    with Sandbox() as sandbox:
        assert post(sandbox, body()).status_code == 200
        assert len(serving_threads()) == before + 1
    assert len(serving_threads()) == before
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.base_url


def test_it_stops_at_once_though_streams_are_open_and_answers_awaited(body):
    with Sandbox() as sandbox, httpx.Client(timeout=DEADLINE) as client:
        sandbox.next("slow " * 100, pause=10 * DEADLINE)
        headers = {"authorization": "Bearer k"}
        url = f"{sandbox.base_url}/chat/completions"
        request = client.build_request("POST", url, json=body(stream=True), headers=headers)
        response = client.send(request, stream=True)
        sandbox.stop()  # would wait longer than a test may take
        response.close()


def test_it_can_be_started_again_and_stopped_twice(body):
    sandbox = Sandbox()
    sandbox.start()
    with pytest.raises(RuntimeError, match="already running"):
        sandbox.start()
    sandbox.stop()
    sandbox.stop()
    with sandbox:
        assert post(sandbox, body()).status_code == 200


async def test_it_serves_asynchronous_clients_side_by_side(body):
    async with Sandbox() as sandbox, httpx.AsyncClient(timeout=DEADLINE) as client:
        sandbox.next("late", wait=10 * DEADLINE, model="a/late")
        headers = {"authorization": "Bearer k"}
        url = f"{sandbox.base_url}/chat/completions"
        late = asyncio.create_task(client.post(url, json=body(model="a/late"), headers=headers))
        await until_async(lambda: sandbox.requests)
        posts = [client.post(url, json=body(), headers=headers) for _ in range(20)]
        responses = await asyncio.gather(*posts)
        assert {response.status_code for response in responses} == {200}
        assert not late.done()
        late.cancel()
        await asyncio.wait([late])


def test_a_key_or_a_model_given_as_text_is_the_only_one(body):
    with Sandbox(models="a/b", keys="right-key") as sandbox:
        assert sandbox.api_key == "right-key"
        assert post(sandbox, body(model="a/b")).status_code == 200
        assert post(sandbox, body(model="a/b"), key="g").status_code == 401
        assert post(sandbox, body(model="a/c")).status_code == 404


def test_models_and_keys_can_be_restricted(body):
    with Sandbox(models=["a/b"], keys={"k1", "k2"}) as sandbox:
        assert sandbox.api_key == "k1"
        assert post(sandbox, body(model="a/b"), "k2").status_code == 200
        unknown = post(sandbox, body(model="a/c"))
        assert unknown.json()["error"]["code"] == "MODEL_NOT_FOUND"
        assert "a/b" in unknown.json()["error"]["message"]
        assert post(sandbox, body(model="a/b"), "k3").status_code == 401


def test_a_chosen_port_is_listened_on_and_a_taken_one_is_an_error(body):
    with Sandbox() as first:
        port = int(first.base_url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match=r"[Aa]ddress"):
            Sandbox(port).start()
    with Sandbox(port) as second:
        assert second.base_url == f"http://127.0.0.1:{port}/v1"
        assert post(second, body()).status_code == 200


def test_a_key_may_not_be_left_out(body):
    with Sandbox() as sandbox:
        url = f"{sandbox.base_url}/chat/completions"
        assert httpx.post(url, json=body(), timeout=DEADLINE).status_code == 401


def test_a_reply_does_not_wait_for_a_slow_handler_of_another(body):
    release = threading.Event()

    def handler(request):
        if request["messages"][0]["content"] == "slow":
            release.wait(DEADLINE)

    with Sandbox() as sandbox:
        sandbox.answer_with(handler)
        slow = threading.Thread(
            target=post, args=(sandbox, body(messages=[{"role": "user", "content": "slow"}]))
        )
        slow.start()
        try:
            until(lambda: sandbox.requests)
            assert post(sandbox, body()).status_code == 200
            assert slow.is_alive()
        finally:
            release.set()
            slow.join()


def test_the_package_says_what_it_exports():
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sandbx'"):
        _ = package.Sandbx


def python(code, **environment):
    return children.python("-c", code, env={**os.environ, **environment})


def test_the_pytest_plugin_loads_nothing_heavy_and_the_sandbox_nothing_of_the_client():
    code = (
        "import sys, sunra_integrations.sandbox.pytest_plugin\n"
        "heavy = {'uvicorn', 'starlette', 'jsonschema', 'pydantic', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from sunra_integrations.sandbox import Sandbox\n"
        "rooms = {n.split('.')[1] for n in sys.modules if n.startswith('sunra_integrations.')}\n"
        "assert rooms == {'sandbox', 'requirements', 'errors'}, rooms\n"
    )
    assert python(code).stderr == ""


# ── the shell ────────────────────────────────────────────────────────────────


def served(*arguments):
    return children.started(
        [sys.executable, "-W", "error", "-m", "sunra_integrations.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@platforms.signals
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_module_prints_its_url_serves_and_ends_quietly(body, ending):
    with served("--port", "0", "--key", "k1") as process:
        base_url = process.stdout.readline().strip()
        usage = process.stdout.readline().strip()
        headers = {"authorization": "Bearer k1"}
        url = f"{base_url}/chat/completions"
        response = httpx.post(url, json=body(), headers=headers, timeout=DEADLINE)
        process.send_signal(ending)
        _, complaints = process.communicate(timeout=DEADLINE)
    assert base_url.startswith("http://127.0.0.1:")
    assert base_url.endswith("/v1")
    assert usage == f"export SUNRA_BASE_URL={base_url} SUNRA_KEY=k1"
    assert response.status_code == 200
    assert (process.returncode, complaints) == (0, "")


def test_the_module_says_when_a_port_is_taken():
    with Sandbox() as sandbox:
        port = sandbox.base_url.split(":")[2].split("/")[0]
        with served("--port", port) as process:
            _, complaints = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert complaints.startswith(f"Error: Cannot listen on 127.0.0.1:{port}")


def test_the_help_says_that_there_is_no_model():
    with served("--help") as process:
        told, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "emulates the API, not a model" in told
    assert "SUNRA_BASE_URL" in told


# ── pytest ───────────────────────────────────────────────────────────────────


def test_the_fixture_starts_each_test_afresh_on_one_server(pytester):
    pytester.makepyfile(
        """
        import urllib.request, json

        urls = []

        def ask(sandbox):
            body = {"model": "a/b", "messages": [{"role": "user", "content": "Hello"}]}
            request = urllib.request.Request(
                sandbox.base_url + "/chat/completions",
                json.dumps(body).encode(),
                {"authorization": "Bearer k", "content-type": "application/json"},
            )
            with urllib.request.urlopen(request) as response:
                return json.load(response)["choices"][0]["message"]["content"]

        def test_one(sunra_sandbox):
            urls.append(sunra_sandbox.base_url)
            sunra_sandbox.next("one", "left over")
            assert ask(sunra_sandbox) == "one"

        def test_two(sunra_sandbox):
            assert sunra_sandbox.base_url == urls[0]
            assert sunra_sandbox.requests == []
            assert ask(sunra_sandbox) == "You said: Hello"
        """
    )
    # On Python 3.14 langsmith's plugin warns while it is loaded (seen in langsmith 0.15.1).
    others = ("asyncio", "cacheprovider", "langsmith_plugin", "randomly")
    without = [f"-pno:{name}" for name in others]
    ended = pytester.runpytest_subprocess("-W", "error", *without, timeout=DEADLINE)
    ended.assert_outcomes(passed=2)


def test_a_piece_of_a_stream_arrives_while_the_rest_is_held_back(sandbox, http, body):
    sandbox.next(sse(b"data: 1\n\n", b"data: 2\n\n"), pause=10 * DEADLINE)
    with http.stream("POST", "/chat/completions", json=body(stream=True)) as response:
        assert next(response.iter_raw()) == b"data: 1\n\n"
