from __future__ import annotations

import os
import signal

import pytest

from cookbook.ray_batch.__main__ import COMPLETE, INCOMPLETE
from cookbook.ray_batch.tests.conftest import LONGEST, ROOT, Batch, command
from sunra_integrations.sandbox import Scripted
from tests import children
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.network


def test_a_killed_driver_loses_no_part_and_the_next_goes_on_where_it_was(prompts: Batch) -> None:
    prompts.of(*[f"Say {number}" for number in range(300)])
    prompts.sandbox.answer_with(lambda _: Scripted(None, wait=0.1))
    with children.started(command(prompts), cwd=ROOT, deadline=LONGEST) as driver:
        until(lambda: prompts.parts() >= 5 or driver.poll() is not None)
        assert driver.poll() is None
        driver.kill()
        driver.wait(DEADLINE)
    there = {row["prompt"] for row in prompts.rows()}

    again = children.run(command(prompts), cwd=ROOT, timeout=LONGEST)

    assert again.returncode == COMPLETE, again.stderr
    assert "300 of 300 answers are in" in again.stdout
    prompts.assert_all_answered_once()
    assert 50 <= len(there) < 300
    assert {prompts.asked()[str(prompt)] for prompt in there} == {1}
    assert os.environ["SUNRA_KEY"] not in again.stdout + again.stderr


def test_ctrl_c_finishes_what_is_open_so_that_nothing_is_ever_asked_twice(prompts: Batch) -> None:
    prompts.of(*[f"Say {number}" for number in range(300)])
    prompts.sandbox.answer_with(lambda _: Scripted(None, wait=0.1))
    # As a terminal does it: the signal goes to the whole group, Ray's own processes included.
    with children.started(command(prompts), cwd=ROOT, deadline=LONGEST) as driver:
        until(lambda: prompts.parts() >= 5 or driver.poll() is not None)
        assert driver.poll() is None
        os.killpg(driver.pid, signal.SIGINT)
        driver.wait(DEADLINE)
    assert driver.returncode == INCOMPLETE
    assert 50 <= len(prompts.rows()) < 300

    again = children.run(command(prompts), cwd=ROOT, timeout=LONGEST)

    assert again.returncode == COMPLETE
    prompts.assert_all_answered_once()
    assert set(prompts.asked().values()) == {1}
