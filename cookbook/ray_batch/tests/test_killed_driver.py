from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cookbook.ray_batch.__main__ import COMPLETE, INCOMPLETE
from cookbook.ray_batch.tests.conftest import CHUNK, Batch
from sunra_integrations.sandbox import Scripted

pytestmark = pytest.mark.network

_ROOT = Path(__file__).parents[3]


def command(prompts: Batch) -> list[str]:
    options = ["--model", "sandbox/echo", "--calls-in-flight", "4", "--chunk-size", str(CHUNK)]
    files = [str(prompts.source), str(prompts.answers)]
    return [sys.executable, "-m", "cookbook.ray_batch", *files, *options]


def test_a_killed_driver_loses_no_part_and_the_next_goes_on_where_it_was(prompts: Batch) -> None:
    prompts.of(*[f"Say {number}" for number in range(300)])
    prompts.sandbox.answer_with(lambda _: Scripted(None, wait=0.1))
    with subprocess.Popen(command(prompts), cwd=_ROOT) as driver:  # noqa: S603 - our own command
        while len(list(prompts.answers.glob("part-*"))) < 5:
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
    there = {row["prompt"] for row in prompts.rows()}

    again = subprocess.run(  # noqa: S603 - our own command
        command(prompts), cwd=_ROOT, capture_output=True, text=True, check=False
    )

    assert again.returncode == COMPLETE, again.stderr
    assert "300 of 300 answers are in" in again.stdout
    prompts.assert_all_answered_once()
    assert 50 <= len(there) < 300
    assert {prompts.asked()[str(prompt)] for prompt in there} == {1}
    assert not list(prompts.answers.glob(".*.unfinished"))
    assert os.environ["SUNRA_KEY"] not in again.stdout + again.stderr


def test_ctrl_c_finishes_what_is_open_so_that_nothing_is_ever_asked_twice(prompts: Batch) -> None:
    prompts.of(*[f"Say {number}" for number in range(300)])
    prompts.sandbox.answer_with(lambda _: Scripted(None, wait=0.1))
    # As a terminal does it: the signal goes to the whole group, Ray's own processes included.
    with subprocess.Popen(  # noqa: S603 - our own command
        command(prompts), cwd=_ROOT, start_new_session=True
    ) as driver:
        while len(list(prompts.answers.glob("part-*"))) < 5:
            assert driver.poll() is None
            time.sleep(0.05)
        os.killpg(driver.pid, signal.SIGINT)
    assert driver.returncode == INCOMPLETE
    assert 50 <= len(prompts.rows()) < 300

    again = subprocess.run(command(prompts), cwd=_ROOT, check=False)  # noqa: S603 - our own

    assert again.returncode == COMPLETE
    prompts.assert_all_answered_once()
    assert set(prompts.asked().values()) == {1}
