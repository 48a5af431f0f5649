import numpy as np
import pytest
import torch

from demod.studies.statistics import (
    NORMAL_POINT,
    difference_interval,
    limit,
    log_interval,
    median_interval,
    normal_interval,
    paired_difference_interval,
    ratio_of_means,
    share_interval,
    share_intervals,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 16), (3, 20), (50, 100), (16, 16)])
def test_the_ends_for_a_share_are_the_probabilities_at_which_it_is_two_errors_off(successes, trials):
    value, low, high = share_interval(successes, trials)
    assert value == successes / trials
    for p in {low, high} - {0.0, 1.0}:
        assert abs(value - p) == pytest.approx(1.959964 * (p * (1 - p) / trials) ** 0.5, rel=1e-5)  # z has 7 digits
    assert low <= value <= high
    assert high - low > 0.15  # also where all or none succeed


def test_a_share_in_per_cent_is_a_hundred_times_the_share():
    assert share_interval(7, 20, of=100) == pytest.approx([100 * number for number in share_interval(7, 20)])


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
def test_an_interval_for_a_difference_holds_it_about_95_times_in_100(p):
    q, trials = 0.8, 30
    first, second = np.random.default_rng(0).binomial(trials, [[p], [q]], (2, 1000))
    held = [
        low <= p - q <= high
        for _, low, high in (difference_interval(a, b, trials) for a, b in zip(first, second, strict=True))
    ]
    assert 0.93 < np.mean(held) < 0.99  # 1,000 draws: three standard errors are .02; Newcombe's is a little wide


def test_a_difference_of_two_perfect_shares_is_zero_with_an_interval():
    value, low, high = difference_interval(20, 20, 20, of=100)
    assert value == 0
    assert low == -high < -10


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_a_paired_interval_for_a_difference_holds_it_about_95_times_in_100(shared):
    rng, trials, held, widths = np.random.default_rng(1), 40, [], []
    for _ in range(600):
        common, own = rng.random(trials), rng.random((2, trials))
        luck = np.where(rng.random(trials) < shared, common, own)
        first, second = luck[0] < 0.9, luck[1] < 0.7
        _, low, high = paired_difference_interval(first, second)
        held.append(low <= 0.2 <= high)
        widths.append(high - low - np.diff(difference_interval(int(first.sum()), int(second.sum()), trials)[1:])[0])
    assert 0.92 < np.mean(held) < 0.995  # 600 draws: three standard errors are .03
    assert shared < 0.9 or np.mean(widths) < -0.03  # shorter than that of unpaired problems


def test_the_paired_interval_is_that_of_newcombes_example():
    first = [True] * 36 + [True] * 12 + [False] * 2 + [False] * 0
    second = [True] * 36 + [False] * 12 + [True] * 2 + [True] * 0
    value, low, high = paired_difference_interval(first, second)
    assert value == pytest.approx(0.2)
    unpaired = difference_interval(48, 38, 50)
    assert (low, high) == pytest.approx(unpaired[1:], abs=0.06)
    with pytest.raises(ValueError, match="pair them"):
        paired_difference_interval(first, second[1:])


@pytest.mark.parametrize("count", [6, pytest.param(25, marks=pytest.mark.nightly), 60])
def test_an_interval_for_a_median_holds_it_at_least_95_times_in_100(count):
    draws = np.random.default_rng(1).exponential(size=(2000, count))
    held = [low <= np.log(2) <= high for _, low, high in map(median_interval, draws)]
    assert 0.935 < np.mean(held) < 0.99  # 2,000 draws: three standard errors are .015
    assert median_interval(draws[0])[0] == pytest.approx(np.median(draws[0]))


def test_the_ends_for_a_median_are_two_of_the_values():
    values = [8.0, 1.0, 5.0, 3.0, 2.0, 13.0]
    assert median_interval(values) == (4.0, 1.0, 13.0)  # of six only the least and the largest hold it with 95 %
    _, low, high = median_interval(list(range(25)))
    assert (low, high) == (7.0, 17.0)  # as tables of the sign test have it: the 8th and the 18th of 25


def test_intervals_of_many_counts_are_those_of_each():
    counts = np.array([[0, 3, 16], [7, 8, 9]])
    intervals = share_intervals(counts, 16)
    assert intervals.shape == (2, 3, 3)
    assert all(tuple(intervals[index]) == share_interval(int(count), 16) for index, count in np.ndenumerate(counts))


def test_a_normal_interval_holds_its_value_95_times_in_100():
    drawn = np.random.default_rng(2).normal(3.0, 0.5, 4000)
    held = [low <= 3.0 <= high for _, low, high in (normal_interval(value, 0.5) for value in drawn)]
    assert 0.94 < np.mean(held) < 0.96  # 4,000 draws: three standard errors are .01


def test_an_interval_of_a_logarithm_is_a_normal_one_of_the_logarithm():
    value, error = np.array([1e-3, 4.0, 70.0]), np.array([0.2, 0.1, 0.05])
    expected = np.exp([np.log(value), np.log(value) - NORMAL_POINT * error, np.log(value) + NORMAL_POINT * error])
    np.testing.assert_allclose(log_interval(value, error), expected)


def test_counts_that_are_none_and_too_few_values_are_refused():
    with pytest.raises(ValueError, match="3 of 2 succeed"):
        share_interval(3, 2)
    with pytest.raises(ValueError, match="-1 of 2 succeed"):
        difference_interval(1, -1, 2)
    with pytest.raises(ValueError, match=r"5 entries.*takes 6"):
        median_interval([1.0, 2.0, 3.0, 4.0, 5.0])


def test_the_limit_of_a_line_in_one_over_the_size_is_its_value_at_zero(rng):
    sizes = [20, 40, 80, 160]
    value, slope, _ = limit(sizes, [3 + 5 / size for size in sizes], [0.1, 0.2, 0.1, 0.3])
    assert (value, slope) == (pytest.approx(3), pytest.approx(5))
    noise = 0.1 * torch.randn(2000, 4, generator=rng, dtype=torch.float64)
    found = [
        limit(sizes, [3 + 5 / size + e for size, e in zip(sizes, row, strict=True)], [0.1] * 4) for row in noise.tolist()
    ]
    assert np.std([value for value, _, _ in found]) == pytest.approx(found[0][2], rel=0.05)  # 1.6 % for 2000 fits


def test_the_error_of_a_ratio_of_means_is_that_of_its_logarithm(rng):
    draws = 1 + torch.rand(3000, 2, 50, generator=rng, dtype=torch.float64)
    found = np.array([ratio_of_means(*pair) for pair in draws.tolist()])
    assert np.log(found[:, 0]).mean() == pytest.approx(0, abs=0.003)
    assert np.log(found[:, 0]).std() == pytest.approx(found[:, 1].mean(), rel=0.05)  # 1.3 % for 3000 ratios
