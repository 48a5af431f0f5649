import numpy as np
import pytest

from demod.studies.statistics import difference_interval, median_interval, share_interval


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


@pytest.mark.parametrize("count", [6, 25, 60])
def test_an_interval_for_a_median_holds_it_at_least_95_times_in_100(count):
    draws = np.random.default_rng(1).exponential(size=(2000, count))
    held = [low <= np.log(2) <= high for _, low, high in map(median_interval, draws)]
    assert 0.935 < np.mean(held) < 0.99  # 2,000 draws: three standard errors are .015
    assert median_interval(draws[0])[0] == pytest.approx(np.median(draws[0]))


def test_counts_that_are_none_and_too_few_values_are_refused():
    with pytest.raises(ValueError, match="3 of 2 succeed"):
        share_interval(3, 2)
    with pytest.raises(ValueError, match="-1 of 2 succeed"):
        difference_interval(1, -1, 2)
    with pytest.raises(ValueError, match=r"5 entries.*takes 6"):
        median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
