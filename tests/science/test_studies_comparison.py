"""Random problems for the methods of the related work: each in its class, and each solved where that is easy."""

import pytest
import torch

from demod.studies.comparison import GENERATORS, SPARSITY, SUBSPACES, method_seconds, nonzero_share, plant, run_method
from demod.studies.random_problems import SUCCESS
from demod.studies.sweeps import sweep

METHODS = SUBSPACES + SPARSITY + GENERATORS


@pytest.mark.parametrize("method", METHODS)
def test_every_method_recovers_most_problems_where_measurements_are_plenty(method, rng):
    errors = run_method({"method": method, "n": 3, "ell": 200, "trials": 5}, rng)["error"]
    assert errors.shape == (5,)
    assert (errors <= SUCCESS).sum() >= 4  # one start may end elsewhere


@pytest.mark.parametrize("method", SPARSITY)
def test_sparse_codes_have_n_nonzero_entries_of_ten_n(method, rng):
    _, h0, m0 = plant(method, 4, 50, rng)
    assert [code.shape for code in (h0, m0)] == [(40,), (40,)]
    assert [int((code != 0).sum()) for code in (h0, m0)] == [4, 4]


@pytest.mark.parametrize("method", ["phase_retrieval", "phasemax"])
def test_in_phase_retrieval_both_factors_are_the_same(method, rng):
    solve, h0, m0 = plant(method, 3, 60, rng)
    estimate = solve()
    assert torch.equal(h0, m0)
    assert torch.equal(estimate.h, estimate.m)


@pytest.mark.parametrize("method", ["inversion", "csgm"])
def test_where_the_modulator_is_known_the_error_is_that_of_the_signals_code(method):
    task = {"method": method, "n": 6, "ell": 12, "trials": 1}
    solve, h0, _ = plant(method, 6, 12, torch.Generator().manual_seed(7))
    expected = (solve().h - h0).norm() / h0.norm()
    (error,) = run_method(task, torch.Generator().manual_seed(7))["error"]
    assert expected > SUCCESS  # about six entries are not switched off: too few
    torch.testing.assert_close(error, expected)


def test_lifting_needs_more_measurements_than_there_are_unknowns(rng):
    few, many = (run_method({"method": "lifted", "n": 8, "ell": ell, "trials": 4}, rng)["error"] for ell in (12, 60))
    assert (few > SUCCESS).all()
    assert (many <= SUCCESS).all()


def test_a_quarter_of_the_observed_entries_is_not_zero(rng):
    assert abs(nonzero_share(5, 200, rng) - 1 / 4) < 0.01  # 200 problems: the standard error is about .002


def test_a_method_that_is_not_known_is_refused(rng):
    with pytest.raises(ValueError, match="'lifting'; required is one of lifted, "):
        plant("lifting", 3, 20, rng)


def test_a_time_is_the_median_of_fresh_problems(rng, monkeypatch):
    clock = iter([0.0, 50.0, 0.0, 1.0, 0.0, 7.0, 0.0, 2.0])  # the first solution, of 50 s, only warms up
    monkeypatch.setattr("demod.studies.comparison.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("demod.studies.comparison.plant", lambda *problem: (lambda: None, None, None))
    assert method_seconds("lifted", 3, 20, rng) == 2.0


def test_a_task_has_a_stream_of_its_own(tmp_path):
    tasks = [{"method": "bilinear_gradient", "n": 2, "ell": 20, "trials": trials} for trials in (2, 3)]
    forward = sweep(run_method, tasks, tmp_path / "forward", seed=1)
    backward = sweep(run_method, tasks[::-1], tmp_path / "backward", seed=1)[::-1]
    assert all(torch.equal(a["error"], b["error"]) for a, b in zip(forward, backward, strict=True))
