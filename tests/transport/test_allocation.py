from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.transport.allocation import Allocation


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def allocation(clock, limit=None, places_per_pool=4.0):
    return Allocation(
        lambda places: f"pool of {places}",
        limit=limit,
        places_per_pool=places_per_pool,
        expiry=30.0,
        clock=clock,
    )


def places(pools):
    return [pool.places for pool in pools.pools]


def test_calls_one_after_another_go_to_one_pool(clock):
    pools = allocation(clock)
    for _ in range(10):
        pools.give_back(pools.take(1), 1)
    assert places(pools) == [4]


def test_a_crowd_is_spread_over_pools_no_pool_carries_more_than_its_places(clock):
    pools = allocation(clock)
    for call in range(10):
        pools.take(call)
    assert [pool.in_flight for pool in pools.pools] == [4, 4, 2]


def test_the_first_pool_with_a_place_is_taken(clock):
    pools = allocation(clock)
    taken = [pools.take(call) for call in range(9)]
    pools.give_back(taken[0], 0)
    assert pools.take(9) is taken[0]


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, [1]), (4, [4]), (5, [4, 1]), (10, [4, 4, 2]), (None, [4, 4, 4])]
)
def test_the_places_of_all_pools_add_up_to_the_limit(clock, limit, expected):
    pools = allocation(clock, limit)
    taken = [pools.take(call) for call in range(12)]
    assert places(pools) == expected
    assert taken.count(None) == 12 - min(limit or 12, 12)


def test_a_pool_may_be_without_limit(clock):
    pools = allocation(clock, places_per_pool=math.inf)
    for call in range(1000):
        pools.take(call)
    assert places(pools) == [math.inf]


def test_pools_that_a_crowd_left_behind_are_forgotten_except_the_first(clock):
    pools = allocation(clock)
    for call, pool in enumerate([pools.take(call) for call in range(12)]):
        pools.give_back(pool, call)
    assert pools.forgotten() == []
    clock.now = 30.0
    assert pools.forgotten() == ["pool of 4.0", "pool of 4.0"]
    assert places(pools) == [4]


def test_a_pool_in_use_is_never_forgotten_nor_one_used_a_moment_ago(clock):
    pools = allocation(clock)
    taken = [pools.take(call) for call in range(12)]
    for call in range(7):
        pools.give_back(taken[call], call)
    clock.now = 29.0
    pools.give_back(taken[8], 8)  # of the third, which has three more in flight
    pools.give_back(taken[7], 7)
    clock.now = 31.0
    assert pools.forgotten() == []
    assert len(pools.pools) == 3


def test_a_spoiled_pool_takes_no_more_calls_and_is_forgotten_once_it_is_empty(clock):
    pools = allocation(clock, 4)
    first = pools.take(1)
    pools.take(2)
    pools.give_back(first, 1, spoiled=True)
    assert pools.take(3) is None
    assert pools.forgotten() == []
    pools.give_back(first, 2)
    assert pools.forgotten() == ["pool of 4"]
    assert pools.take(4) is not first


def test_a_place_that_is_given_back_twice_is_free_once(clock):
    pools = allocation(clock, 2)
    first = pools.take(1)
    pools.take(2)
    for _ in range(2):
        pools.give_back(first, 1, spoiled=True)
    assert first.in_flight == 1
    assert pools.held_by(1) is None
    assert pools.held_by(2) is first


def test_a_pool_that_cannot_be_made_takes_no_places(clock):
    def fail(_):
        raise OSError

    pools = Allocation(fail, limit=1, places_per_pool=1, expiry=1, clock=clock)
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011 - our own
            pools.take(1)
    assert pools.pools == []


@given(
    limit=st.one_of(st.none(), st.integers(1, 12)),
    steps=st.lists(st.one_of(st.just("take"), st.integers(0, 20), st.floats(0.1, 100))),
)
def test_whatever_happens_no_place_is_lost_and_none_invented(limit, steps):
    clock = Clock()
    pools = allocation(clock, limit)
    held = []
    for call, step in enumerate(steps):
        if step == "take":
            pool = pools.take(call)
            if not any(pool.is_spoiled for pool in pools.pools):
                assert (pool is None) == (len(held) == limit)
            if pool is not None:
                held.append((pool, call))
        elif isinstance(step, int):
            if held:
                pools.give_back(*held.pop(step % len(held)), spoiled=step % 5 == 0)
        else:
            clock.now += step
            pools.forgotten()
        assert all(pool in pools.pools for pool, _ in held)
        assert sum(pool.in_flight for pool in pools.pools) == len(held)
        assert all(0 <= pool.in_flight <= pool.places for pool in pools.pools)
        assert limit is None or sum(places(pools)) <= limit
