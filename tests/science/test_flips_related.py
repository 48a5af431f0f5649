"""The claims on sample complexity and on related work can fail: each verdict flips when an error is planted."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import linregress

from demod.baselines import bilinear_gradient
from demod.data import random_distortions, resize
from demod.demodulation import drawn_problems
from demod.priors.image import draw_codes
from demod.priors.relu import ReLUPrior, load_prior
from demod.studies import comparison, sensing
from demod.studies.comparison import method_seconds, run_method
from demod.studies.cone import statistical_dimension
from demod.studies.one_generator import invert_measured
from demod.studies.random_problems import SUCCESS, recover_problems
from demod.studies.same_signal import fewest, fewest_of_both, relative_sparsities
from demod.studies.sensing import saving, sense
from demod.studies.statistics import exponent, half_point, log_interval, median_interval, share_interval
from demod_book.claims.judge import Verdict, judge
from demod_book.claims.ledger import LEDGER

WAVELETS = ("haar", "daubechies")


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def verdict(claim, **measured):
    return judge(LEDGER[claim], measured).verdict


def hits(run, task, seed=0):
    return int((run(task, stream(seed))["error"] <= SUCCESS).sum())


def test_s1_is_falsified_by_a_gradient_that_is_too_large():
    task = {"n": 10, "p": 10, "ell": 400, "trials": 80, "iterations": 900, "tolerance": 1e-6}
    right, wrong = (share_interval(hits(recover_problems, t), 80) for t in (task, task | {"theta": 4.0, "iterations": 50}))
    assert verdict("S1", success=right) is Verdict.REPRODUCED
    assert verdict("S1", success=wrong) is Verdict.FALSIFIED


@pytest.fixture(scope="module")
def sparse():
    """ℓ50 of sparse power factorisation for peaky codes of 2 and 4 nonzero entries, and the errors of its logarithm."""
    sizes = (16, 30, 56, 100)
    task = {"method": "power_factorization", "trials": 16, "codes": "peaky", "ambient": 40}
    counts = [[hits(run_method, task | {"n": k, "ell": ell}, k) for ell in sizes] for k in (2, 4)]
    return tuple(zip(*(half_point(sizes, row, 16) for row in counts), strict=True))


def test_s4_flips_with_the_units_of_the_measurements(sparse):
    (half, _), (error, _) = sparse
    ratio = np.array([0.5, 3.0]) * half / half  # of a rival that needs half of Algorithm 1's measurements, counted per row
    right, wrong = (tuple(log_interval(value, error)) for value in ratio)
    assert verdict("S4", branchhull=right, power_factorization=right) is Verdict.MISSED
    assert verdict("S4", branchhull=wrong, power_factorization=wrong) is Verdict.MET


def test_s5_and_s18_are_refused_by_steeper_laws():
    codes, errors = np.array((8.0, 11.0, 16.0)), (0.02,) * 3
    predicted, error = exponent(2 * codes, [statistical_dimension(int(n), int(n), stream(1)) for n in codes], errors)
    right, _ = exponent(2 * codes, [1.3 * statistical_dimension(int(n), int(n), stream(2)) for n in codes], errors)
    wrong, _ = exponent(2 * codes, codes**2.5, errors)
    assert verdict("S5", slope=(right, error)) is Verdict.REPRODUCED
    assert verdict("S5", slope=(wrong, error)) is Verdict.FALSIFIED
    assert verdict("S18", excess=(right - predicted, error)) is Verdict.MET
    assert verdict("S18", excess=(wrong - predicted, error)) is Verdict.MISSED


@pytest.mark.parametrize(("power", "expected"), [(3.5, Verdict.REPRODUCED), (2.0, Verdict.FALSIFIED)])
def test_s6_flips_with_the_power_of_the_time(power, expected, monkeypatch):
    codes, now = (8, 11, 16, 23), [0.0]

    def plant(method, n, ell, rng):
        return lambda: now.__setitem__(0, now[0] + n**power * (1 + 0.01 * (n % 2))), None, None

    monkeypatch.setattr(comparison, "plant", plant)
    monkeypatch.setattr(comparison.time, "perf_counter", lambda: now[0])
    fit = linregress(np.log(codes), np.log([method_seconds("lifted", n, 8 * n, stream()) for n in codes]))
    assert verdict("S6", time_exponent=(fit.slope, fit.stderr)) is expected


@pytest.fixture(scope="module")
def images():
    """Forty digits, drawn from the shipped generator, and forty of the paper's modulators."""
    return drawn_problems(40)[0], resize(random_distortions(40, 1))


def test_s7_s8_and_s9_flip_with_the_images(images):
    digits, modulators = images
    flat = torch.full_like(digits, 0.5)
    noise = torch.rand(digits.shape, generator=stream())
    right, smooth, rough = (relative_sparsities(*pair) for pair in ((digits, modulators), (flat, flat), (digits, noise)))
    assert verdict("S7", digits=fewest(right, "digits", WAVELETS)) is Verdict.REPRODUCED
    assert verdict("S7", digits=fewest(smooth, "digits", WAVELETS)) is Verdict.FALSIFIED
    for relative, expected in ((right, Verdict.MISSED), (rough, Verdict.MET)):
        measured = {
            "digits_cosine": fewest(relative, "digits", ("cosine",)),
            "bumps_wavelet": fewest(relative, "modulators", WAVELETS),
            "bumps_cosine": fewest(relative, "modulators", ("cosine",)),
        }
        assert verdict("S8", **measured) is expected
    for relative, expected in ((right, Verdict.REPRODUCED), (smooth, Verdict.FALSIFIED)):
        ratio = fewest_of_both(relative) * np.array((1.0, 0.9, 1.1))
        assert verdict("S9", branchhull=tuple(ratio), power_factorization=tuple(ratio)) is expected


def test_s10_is_falsified_by_a_prior_of_other_images(monkeypatch):
    prior, counts = load_prior("digits"), (200, 1400)
    images = prior(draw_codes(prior, (6,), stream())).reshape(6, 64, 64)
    monkeypatch.setattr(sensing, "image_problems", lambda first, count: (images, images, "drawn from the prior"))
    lasso = [sense({"digits": 6, "basis": "cosine", "measurements": k}, stream(k))["error"].numpy() for k in counts]
    task = {"digits": 6, "prior": "relu", "measurements": 200, "starts": 2, "iterations": 15}

    def ratio():
        csgm = sense(task, stream())["error"].numpy()
        return median_interval(saving(counts, np.array(lasso), csgm, 200).tolist())

    assert verdict("S10", ratio=ratio()) is Verdict.REPRODUCED
    *first, last = prior.weights
    shuffled = ReLUPrior([*first, last[torch.randperm(len(last), generator=stream())]], prior.centre)
    monkeypatch.setattr(sensing, "load_prior", lambda name: shuffled)
    assert verdict("S10", ratio=ratio()) is Verdict.FALSIFIED


def test_s12_is_falsified_by_measurements_counted_for_each_pair_of_entries(sparse):
    halves, errors = sparse
    right, wrong = (exponent((2, 4), np.array(halves) * factor, errors) for factor in ((1, 1), (4, 16)))
    assert verdict("S12", exponent=right, gain=1.0) is Verdict.REPRODUCED
    assert verdict("S12", exponent=wrong, gain=1.0) is Verdict.FALSIFIED


def test_s13_flips_where_no_descent_follows_the_start(monkeypatch):
    task = {"method": "bilinear_gradient", "n": 3, "ell": 60, "trials": 16}

    def measured():
        shares = [share_interval(hits(run_method, t), 16) for t in (task, task | {"random": True})]
        return dict(zip(("spectral", "random"), shares, strict=True))

    assert verdict("S13", **measured()) is Verdict.FALSIFIED
    monkeypatch.setattr(bilinear_gradient, "solve", partial(bilinear_gradient.solve, iterations=0))
    assert verdict("S13", **measured()) is Verdict.REPRODUCED


def test_s14_is_falsified_by_an_anchor_almost_at_a_right_angle():
    task = {"method": "phasemax", "n": 8, "ell": 64, "trials": 80}
    good, poor = (share_interval(hits(run_method, task | {"angle": angle}), 80) for angle in (45, 88))
    assert verdict("S14", good=good, poor=poor) is Verdict.REPRODUCED
    assert verdict("S14", good=poor, poor=poor) is Verdict.FALSIFIED


def test_s15_is_falsified_without_the_penalty():
    task = {"method": "asim", "n": 2, "ell": 60, "trials": 12}
    right, wrong = (
        median_interval(run_method(task | {"penalty": penalty}, stream())["imbalance"].tolist()) for penalty in (1e-2, 0.0)
    )
    assert verdict("S15", imbalance=right, without=wrong, recovered=0.0) is Verdict.REPRODUCED
    assert verdict("S15", imbalance=wrong, without=wrong, recovered=0.0) is Verdict.FALSIFIED


def test_s16_is_falsified_by_descents_that_are_cut_off():
    task = {"squared": False, "n": 12, "depth": 2, "ell": 200, "outputs": 400, "expansion": 20, "trials": 80}

    def ends(iterations):
        found = invert_measured(task | {"iterations": iterations, "reflect_every": 0}, stream(2))
        mirrored = (found["error"] > SUCCESS) & (found["mirrored"] <= 0.25)
        return share_interval(int((mirrored | (found["error"] <= SUCCESS)).sum()), 80)

    assert verdict("S16", ends=ends(800), negative=0.0) is Verdict.REPRODUCED
    assert verdict("S16", ends=ends(3), negative=0.0) is Verdict.FALSIFIED


def test_s17_is_falsified_by_a_law_in_the_square_of_the_dimension():
    task = {"squared": True, "depth": 1, "outputs": 100, "trials": 16, "iterations": 300}
    multiples = (2, 5, 12, 24)
    counts = {k: [hits(invert_measured, task | {"n": k, "ell": k * r}, k) for r in multiples] for k in (4, 16)}
    for power, expected in ((1, Verdict.REPRODUCED), (3, Verdict.FALSIFIED)):
        points = [half_point([k**power * r for r in multiples], row, 16) for k, row in counts.items()]
        by_dimension = exponent((4, 16), *zip(*points, strict=True))
        assert verdict("S17", dimension=by_dimension, depth=(1.0, 0.1)) is expected
