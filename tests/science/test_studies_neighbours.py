"""The studies of what related work needs: a cone's dimension, terms of images, sensing, one generator."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from demod.data import random_distortions, resize
from demod.expectation import contraction
from demod.studies.comparison import Plan, plant_plan, run_method
from demod.studies.cone import statistical_dimension
from demod.studies.one_generator import invert_measured
from demod.studies.random_problems import SUCCESS
from demod.studies.same_signal import LATENT, fewest, fewest_of_both, quality, relative_sparsities
from demod.studies.sensing import saving


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_statistical_dimension_of_two_by_two_matrices_has_a_closed_form():
    tau = np.linspace(0, 3, 3001)  # of one Gaussian number, E max(|z| - τ, 0)² is known
    expected = 3 + min(tau**2 + 2 * ((1 + tau**2) * norm.cdf(-tau) - tau * norm.pdf(tau)))
    assert statistical_dimension(2, 2, stream()) == pytest.approx(expected, abs=0.1)


def test_the_statistical_dimension_tends_to_three_times_the_unknowns_and_is_steeper_than_linear_before():
    dimension = {n: statistical_dimension(n, n, stream()) for n in (8, 16, 28, 112)}
    slopes = [np.log(dimension[b] / dimension[a]) / np.log(b / a) for a, b in ((8, 16), (28, 112))]
    assert slopes == pytest.approx([1.22, 1.10], abs=0.02)  # 400 draws leave an error of .01
    assert 2.4 < dimension[112] / 224 < 3


def test_relative_sparsities_are_terms_over_the_latent_dimension_and_the_smallest_median_counts():
    images = resize(random_distortions(9, 3))
    relative = relative_sparsities(images, images)
    for (factor, _), by_basis in relative.items():
        for values in by_basis.values():
            terms = values * LATENT[factor == "modulators"]
            np.testing.assert_allclose(terms, terms.round())
    value, low, high = fewest(relative, "modulators", ("cosine", "haar"))
    assert value == min(np.median(relative["modulators", kind][b]) for kind in ("relu", "dcgan") for b in ("cosine", "haar"))
    assert low <= value <= high
    assert (
        fewest_of_both(relative)
        <= 2 / 3 * relative["digits", "dcgan"]["haar"].max() + relative["modulators", "dcgan"]["haar"].max() / 3
    )
    assert quality("relu-bump") < quality("distortions") < quality("digits")


def test_the_saving_is_the_ratio_of_measurements_at_equal_error():
    counts = (100, 400, 1600)
    lasso = np.array([[1.0, 1.0, 1.0], [0.25, 0.25, 0.25], [1 / 16, 1 / 16, 1 / 16]])  # error 100/k
    csgm = np.array([0.5, 0.125, 1e-6])
    np.testing.assert_allclose(saving(counts, lasso, csgm, 100), [2, 8, 16])  # the last is the most that was tried


def test_inversion_recovers_from_fewer_measurements_than_outputs_and_may_end_at_the_mirrored_code():
    task = {"n": 2, "depth": 2, "ell": 150, "outputs": 300, "expansion": 40, "trials": 40, "iterations": 1500}
    checked, free = (invert_measured(task | {"squared": False, "reflect_every": every}, stream(1)) for every in (1, 0))
    assert (checked["error"] <= SUCCESS).sum() >= 38
    mirrored = free["error"] > SUCCESS
    assert mirrored.any()
    torch.testing.assert_close(  # around -ρ h0 the error is that of the distance to the truth
        free["error"][mirrored], torch.full_like(free["error"][mirrored], 1 + contraction(2)), rtol=0.35, atol=0
    )


def test_phase_retrieval_needs_enough_squares():
    task = {"squared": True, "n": 3, "depth": 1, "outputs": 60, "trials": 16, "iterations": 400}
    few, many = (invert_measured(task | {"ell": ell}, stream())["error"] for ell in (3, 60))
    assert (few <= SUCCESS).sum() <= 4
    assert (many <= SUCCESS).sum() >= 12


# Starts and codes of the comparison


def test_more_starts_solve_no_fewer_of_the_same_problems():
    def solved(starts):
        hits = 0
        for seed in range(6):
            solve, h0, m0 = plant_plan(Plan("asim", 3, 30, starts=starts), stream(seed))
            estimate = solve()
            hits += int((torch.outer(estimate.h, estimate.m) - torch.outer(h0, m0)).norm() <= 1e-2 * h0.norm() * m0.norm())
        return hits

    assert solved(1) < solved(4)


def test_codes_are_flat_or_peaky_as_asked():
    _, flat, _ = plant_plan(Plan("power_factorization", 6, 40, codes="flat"), stream())
    assert set(flat[flat != 0].abs().tolist()) == {1.0}
    _, peaky, _ = plant_plan(Plan("power_factorization", 6, 40, codes="peaky", ambient=90), stream())
    assert peaky.shape == (90,)
    largest = peaky.abs().max()
    assert largest / (peaky.square().sum() - largest**2).sqrt() == pytest.approx(4)


def test_the_anchor_of_phasemax_stands_at_the_angle_that_the_task_names(monkeypatch):
    seen = []
    monkeypatch.setattr("demod.baselines.phasemax.solve", lambda C, y, anchor: seen.append(anchor))
    for angle in (0, 30, 90):
        solve, _, m0 = plant_plan(Plan("phasemax", 5, 30, angle=angle), stream())
        solve()
        cosine = (seen[-1] @ m0 / m0.norm()).clamp(-1, 1)
        assert torch.rad2deg(torch.arccos(cosine)).item() == pytest.approx(angle, abs=1e-4)


def test_the_imbalance_is_that_of_the_codes_as_returned():
    balanced = run_method({"method": "bilinear_gradient", "n": 3, "ell": 60, "trials": 3}, stream())
    free = run_method({"method": "asim", "n": 3, "ell": 60, "trials": 3, "penalty": 0.0}, stream())
    assert (balanced["imbalance"] < 1e-9).all()
    assert (free["imbalance"] > 1e-3).any()
