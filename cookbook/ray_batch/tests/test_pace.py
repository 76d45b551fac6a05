from __future__ import annotations

import pytest

from cookbook.ray_batch.bucket import Bucket
from cookbook.ray_batch.pace import Limits, Pace


def admitted(pace: Pace, tokens: float, seconds: float) -> list[float]:
    """When calls are let through if there is always one that waits."""
    moments, now = [], 0.0
    while now < seconds:
        if pace.admit([tokens], now):
            moments.append(now)
        else:
            now += max(pace.wait(tokens, now), 1e-6)
    return moments


@pytest.mark.parametrize("per_minute", [2, 7, 60, 90, 1000])
def test_no_minute_sees_more_calls_than_allowed(per_minute: int) -> None:
    moments = admitted(Pace(Limits(per_minute), 0.0), 1, 200)
    for start in moments:
        assert sum(start <= moment < start + 60 for moment in moments) <= per_minute
    saved = max(1, per_minute / 60)
    assert len(moments) >= int((per_minute - saved) * 200 / 60) - 1


def test_a_minute_in_which_the_limiter_is_started_again_is_no_exception() -> None:
    first = admitted(Pace(Limits(600), 0.0), 1, 30)
    again = admitted(Pace(Limits(600), 0.0), 1, 30)
    assert len(first) + len(again) <= 600


def test_tokens_are_limited_beside_calls() -> None:
    moments = admitted(Pace(Limits(6000, 6000), 0.0), 50, 60)
    assert 110 <= len(moments) <= 120


def test_tokens_beyond_the_estimate_are_waited_for() -> None:
    pace = Pace(Limits(None, 6000), 0.0)
    assert pace.admit([50], 30.0)
    pace.correct(1000)
    assert pace.wait(50, 30.0) == pytest.approx(1000 / (5900 / 60))


def test_a_call_larger_than_what_can_be_saved_up_waits_until_that_is_full() -> None:
    pace = Pace(Limits(None, 600), 0.0)
    assert pace.admit([10_000], 0.5) == 0
    assert pace.admit([10_000], 60.0) == 1
    assert pace.wait(1, 60.0) > 900


def test_several_calls_are_let_through_at_once_as_far_as_they_may() -> None:
    pace = Pace(Limits(600), 0.0)
    assert pace.admit([1] * 30, 60.0) == 10
    assert Pace(Limits(), 0.0).admit([1] * 30, 0.0) == 30


def test_a_pause_is_kept_to_its_end_and_no_burst_follows() -> None:
    pace = Pace(Limits(600), 0.0)
    pace.pause(30, 60.0)
    pace.pause(5, 61.0)
    assert pace.paused(62.0) == 28
    assert pace.admit([1], 89.9) == 0
    assert pace.admit([1] * 30, 90.05) == 0
    assert pace.admit([1] * 30, 90.5) == 4


def test_a_limit_that_cannot_be_kept_is_told() -> None:
    with pytest.raises(ValueError, match="from 2"):
        Bucket(1, 0.0)
