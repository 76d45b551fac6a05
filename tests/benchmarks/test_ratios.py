"""Many rounds made into few figures."""

from __future__ import annotations

import pytest

from benchmarks.ratios import Spread, ratio, spread


def test_a_spread_is_the_median_between_the_lowest_and_the_highest():
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_rounds_without_a_figure_are_left_out():
    assert spread([None, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([None, None]) is None
    assert spread([]) is None


def test_a_ratio_is_taken_within_each_round():
    # The machine was ten times as slow in the second round. Medians of the figures would give
    # 20 / 100; within the rounds it was 1/5, 1/5 and 3/10.
    assert ratio([20.0, 200.0, 30.0], [100.0, 1000.0, 100.0]) == Spread(0.2, 0.2, 0.3)


def test_a_round_that_one_of_the_two_lacks_has_no_ratio():
    assert ratio([1.0, None, 3.0], [2.0, 2.0, None]) == Spread(0.5, 0.5, 0.5)
    assert ratio([1.0], []) is None


def test_nothing_is_divided_by_zero():
    assert ratio([1.0], [0.0]) is None


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_equals_have_a_ratio_of_one(rounds):
    figures = [float(n + 1) for n in range(rounds)]
    assert ratio(figures, figures) == Spread(1.0, 1.0, 1.0)
