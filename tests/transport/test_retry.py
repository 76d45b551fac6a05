from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations import errors
from sunra_integrations.transport.flow import Attempt, Outcome, call_flow
from sunra_integrations.transport.retry import RetryPolicy

NOW = 1_800_000_000.0
POLICY = RetryPolicy()
OK = Outcome(200, {})


def answer(status, body=b"", **headers):
    return Outcome(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def flow_of(policy=POLICY, *, time_left=math.inf, jitter=0.0):
    return call_flow(policy, jitter=lambda: jitter, now=lambda: NOW, time_left=lambda: time_left)


def play(outcomes, **settings):
    """The attempts made for these outcomes, and the answer or error in the end."""
    flow = flow_of(**settings)
    attempts = [next(flow)]
    for outcome in outcomes:
        try:
            attempts.append(flow.send(outcome))
        except StopIteration as done:  # noqa: PERF203 - how a generator ends
            return attempts, done.value
        except errors.SunraError as error:
            return attempts, error
    raise AssertionError("the flow wants more outcomes than the test has")


def test_the_first_attempt_is_made_at_once():
    assert next(flow_of()) == Attempt(1, 0.0)


def test_a_503_is_tried_again_after_half_a_second():
    flow = flow_of()
    next(flow)
    assert flow.send(answer(503)) == Attempt(2, 0.5)


def test_a_success_ends_the_call():
    assert play([OK]) == ([Attempt(1)], OK)


def test_the_wait_doubles_until_its_bound():
    policy = RetryPolicy(max_retries=6)
    attempts, error = play([answer(500)] * 7, policy=policy)
    assert [attempt.wait for attempt in attempts] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert (type(error), error.attempts) == (errors.ServerFailed, 7)


def test_jitter_cuts_up_to_a_quarter_of_a_backoff():
    attempts, _ = play([answer(500), OK], jitter=1.0)
    assert attempts[1].wait == 0.375


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_tried_again(status):
    assert play([answer(status), OK])[1] is OK


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 302])
def test_a_lasting_failure_is_not_tried_again(status):
    attempts, error = play([answer(status)])
    assert len(attempts) == error.attempts == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after_ms": "1250"}, 1.25),
        ({"retry_after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry_after": "60"}, 60.0),
    ],
)
def test_a_429_waits_as_long_as_the_server_asks(headers, wait):
    attempts, _ = play([answer(429, **headers), OK], jitter=1.0)
    assert attempts[1] == Attempt(2, wait)


def test_a_wait_longer_than_allowed_raises_at_once_and_tells_it():
    attempts, error = play([answer(429, retry_after="61")])
    assert len(attempts) == 1
    assert (type(error), error.retry_after) == (errors.RateLimited, 61.0)


@pytest.mark.parametrize(
    ("status", "retryable", "attempts"), [(503, False, 1), (400, True, 3), (401, True, 3)]
)
def test_the_body_s_retryable_wins_over_the_status(status, retryable, attempts):
    body = b'{"error": {"message": "x", "retryable": %s}}' % str(retryable).lower().encode()
    made, error = play([answer(status, body)] * 3)
    assert len(made) == error.attempts == attempts


def test_a_connection_error_before_the_answer_is_tried_again():
    fault = errors.ConnectionFailed("refused")
    assert play([fault, OK])[1] is OK
    attempts, error = play([fault] * 3)
    assert error is fault
    assert error.attempts == len(attempts) == 3


def test_a_retry_that_would_come_too_late_is_not_waited_for():
    attempts, error = play([answer(503)], time_left=0.4)
    assert (len(attempts), type(error)) == (1, errors.Overloaded)


def test_no_retries_means_one_attempt():
    assert len(play([answer(503)], policy=RetryPolicy(max_retries=0))[0]) == 1


@pytest.mark.parametrize("name", ["max_retries", "first_wait", "longest_backoff", "longest_wait"])
@pytest.mark.parametrize("value", [-1, math.nan])
def test_a_negative_number_is_refused(name, value):
    with pytest.raises(errors.InvalidParameter, match=name):
        RetryPolicy(**{name: value})


OUTCOMES = st.one_of(
    st.builds(errors.ConnectionFailed, st.just("reset")),
    st.builds(errors.TimedOut, st.just("late")),
    st.builds(
        Outcome,
        st.integers(300, 599),
        st.dictionaries(
            st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=6)
        ),
        st.binary(max_size=20),
    ),
)


@given(
    policy=st.builds(
        RetryPolicy,
        max_retries=st.integers(0, 8),
        first_wait=st.floats(0, 10),
        longest_backoff=st.floats(0, 100),
        longest_wait=st.floats(0, 100),
    ),
    outcomes=st.lists(OUTCOMES, min_size=9, max_size=9),
    jitter=st.floats(0, 1),
)
def test_whatever_happens_attempts_and_waits_stay_within_the_policy(policy, outcomes, jitter):
    attempts, error = play(outcomes, policy=policy, jitter=jitter)
    assert error.attempts == len(attempts) <= policy.max_retries + 1
    assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
    for attempt in attempts[1:]:
        assert 0 <= attempt.wait <= max(policy.longest_backoff, policy.longest_wait)


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_a_backoff_is_finite_for_any_attempt_number(attempt, jitter):
    policy = RetryPolicy(max_retries=10**9)
    wait = policy.wait(attempt, errors.ServerFailed("x"), jitter=jitter)
    assert 0 <= wait <= policy.longest_backoff
