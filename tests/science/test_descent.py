from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np
import pytest
import torch

from demod.artifacts import load_tensors, save_tensors
from demod.descent import (
    THETA,
    Descent,
    Solution,
    blocks,
    code_scale,
    default_step_size,
    descend,
    outer_product_error,
    relative_residual,
)
from demod.generators import ReLUGenerator, restrict
from demod.objective import objective

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # the current one first, so that it wins a tie


@dataclass(frozen=True)
class Problem:
    """Planted codes, and others to start from: h, h0 (*B, n), m, m0 (*B, p), y (*B, ℓ)."""

    G1: ReLUGenerator
    G2: ReLUGenerator
    h0: torch.Tensor
    m0: torch.Tensor
    h: torch.Tensor
    m: torch.Tensor

    @property
    def y(self):
        return self.G1(self.h0) * self.G2(self.m0)

    def descend(self, **settings):
        return descend(self.G1, self.G2, self.y, **({"h": self.h, "m": self.m} | settings))


def draw(rng, *batch, n=3, p=4, inner=20, ell=100, networks=()):
    G1 = ReLUGenerator.gaussian((n, inner, ell), rng, batch=networks)
    G2 = ReLUGenerator.gaussian((p, inner, ell), rng, batch=networks)
    h, h0 = torch.randn(2, *batch, n, generator=rng, dtype=torch.float64)
    m, m0 = torch.randn(2, *batch, p, generator=rng, dtype=torch.float64)
    return Problem(G1, G2, h0, m0, h, m)


@pytest.fixture
def problem(rng):
    return draw(rng, 6)


def algorithm_1(G1, G2, y, h, m, *, step_size, iterations, momentum, reflect_every, balance, simultaneous, relative_steps):
    """Lines 2 to 6 for one problem, the gradients by automatic differentiation; return codes and the values of f."""

    def f(h, m):
        return (G1(h) * G2(m) - y).square().sum() / 2

    def partial(argument, h, m):
        h, m = h.clone().requires_grad_(), m.clone().requires_grad_()
        return torch.autograd.grad(f(h, m), (h, m)[argument])[0]

    v_h, v_m = torch.zeros_like(h), torch.zeros_like(m)
    history = [f(h, m)]
    for i in range(iterations):
        if reflect_every and i % reflect_every == 0:  # line 3
            s, t = min(SIGNS, key=lambda signs: f(signs[0] * h, signs[1] * m))
            h, v_h, m, v_m = s * h, s * v_h, t * m, t * v_m
        old_h = h
        v_h = momentum * v_h + partial(0, h, m)  # line 4
        h = h - step_size / (m.square().sum() if relative_steps else 1) * v_h
        seen = old_h if simultaneous else h
        v_m = momentum * v_m + partial(1, seen, m)
        m = m - step_size / (seen.square().sum() if relative_steps else 1) * v_m
        if balance:  # line 5
            c = (h.norm() / m.norm()).sqrt()
            h, v_h, m, v_m = h / c, v_h / c, m * c, v_m * c
        history.append(f(h, m))
    return h, m, torch.stack(history)


# The algorithm


@pytest.mark.parametrize("reflect_every", [0, 1, 3])
@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize(
    ("momentum", "simultaneous", "relative_steps"),
    [
        (0.0, False, False),
        (0.0, True, False),
        (0.7, False, False),
        (0.7, True, False),
        (0.0, False, True),
        (0.7, True, True),
    ],
)
def test_a_batch_descends_as_the_paper_writes_it_for_one_problem(
    problem, reflect_every, balance, momentum, simultaneous, relative_steps
):
    settings = {
        "iterations": 25,
        "momentum": momentum,
        "reflect_every": reflect_every,
        "balance": balance,
        "simultaneous": simultaneous,
        "relative_steps": relative_steps,
    }
    steps = default_step_size(problem.G1, problem.G2, problem.y, relative=relative_steps)
    steps = steps * torch.linspace(0.2, 0.8, 6, dtype=torch.float64)
    solution = problem.descend(step_size=steps, tolerance=0, **settings)
    for i in range(6):
        h, m, history = algorithm_1(
            problem.G1, problem.G2, problem.y[i], problem.h[i], problem.m[i], step_size=steps[i], **settings
        )
        # rounding grows a little over 25 steps
        torch.testing.assert_close(solution.h[i], h, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(solution.m[i], m, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(solution.objective[:, i], history, rtol=1e-9, atol=1e-15)


def test_by_default_line_5_runs_for_homogeneous_networks_and_only_for_them(problem):
    default, with_line_5 = problem.descend(iterations=20), problem.descend(iterations=20, balance=True)
    assert torch.equal(default.h, with_line_5.h)
    inhomogeneous = ReLUGenerator(problem.G1.weights)
    inhomogeneous.homogeneous = False
    start = {"h": problem.h, "m": problem.m, "step_size": 100.0, "iterations": 20}
    default = descend(inhomogeneous, problem.G2, problem.y, **start)
    without = problem.descend(iterations=20, step_size=100.0, balance=False)
    torch.testing.assert_close(default.h, without.h, rtol=1e-9, atol=1e-12)
    # where line 5 is asked for, an inhomogeneous network is evaluated at the balanced code: here, the same
    balanced = descend(inhomogeneous, problem.G2, problem.y, balance=True, **start)
    torch.testing.assert_close(balanced.h, problem.descend(iterations=20, step_size=100.0).h, rtol=1e-9, atol=1e-12)


def test_line_5_makes_the_norms_equal(problem):
    solution = replace(problem, h=1e4 * problem.h).descend(iterations=1, step_size=1e-12)
    torch.testing.assert_close(solution.h.norm(dim=-1), solution.m.norm(dim=-1), rtol=1e-12, atol=0)


def test_line_5_leaves_the_product_and_a_zero_code_alone(problem):
    h = problem.h.clone()
    h[0] = 0
    state = Descent(problem.G1, problem.G2, problem.y, h, problem.m)
    state.first.v, state.second.v = 2 * h, 3 * problem.m
    f = state.objective()
    state.balance()
    torch.testing.assert_close(state.objective(), f)
    torch.testing.assert_close(state.first.v, 2 * state.first.z)
    torch.testing.assert_close(state.second.v, 3 * state.second.z)
    assert not state.first.z[0].any()
    assert torch.equal(state.second.z[0], problem.m[0])


def test_line_3_moves_to_the_least_of_the_four_and_takes_the_velocity_along(problem):
    state = Descent(problem.G1, problem.G2, problem.y, problem.h, problem.m)
    state.first.v, state.second.v = 2 * problem.h, 3 * problem.m
    state.reflect()
    a, b = state.first, state.second
    four = torch.stack([objective(problem.G1, problem.G2, s * problem.h, t * problem.m, problem.y) for s, t in SIGNS])
    assert four.argmin(0).unique().numel() > 1
    torch.testing.assert_close(objective(problem.G1, problem.G2, a.z, b.z, problem.y), four.min(0).values)
    torch.testing.assert_close(state.objective(), four.min(0).values)
    assert torch.equal(a.z.abs(), problem.h.abs())
    assert torch.equal(a.v, 2 * a.z)
    assert torch.equal(b.v, 3 * b.z)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_the_four_objectives_of_line_3_are_those_of_the_mirrored_codes(problem, homogeneous):
    problem.G1.homogeneous = homogeneous
    four = [objective(problem.G1, problem.G2, s * problem.h, t * problem.m, problem.y) for s, t in SIGNS]
    found = Descent(problem.G1, problem.G2, problem.y, problem.h, problem.m).four_objectives()
    torch.testing.assert_close(found, torch.stack(four, -1) - problem.y.square().sum(-1, keepdim=True) / 2)


def test_line_3_keeps_the_signs_in_a_tie():
    even = ReLUGenerator([torch.tensor([[1.0], [-1]]), torch.ones(5, 2)])  # G(z) = |z| in each entry
    state = Descent(even, even, torch.ones(1, 5), torch.tensor([[-2.0]]), torch.tensor([[2.0]]))
    state.reflect()
    assert (state.first.z.item(), state.second.z.item()) == (-2, 2)


def test_the_sign_check_saves_a_scalar_problem_that_starts_on_the_wrong_side(rng):
    # For n = p = 1 the spurious branches are true minima: without line 3 the iterate stays on its own.
    scalar = draw(rng, n=1, p=1, inner=200, ell=1000)
    wrong = replace(scalar, h=-scalar.h0, m=scalar.m0)
    assert wrong.descend(iterations=300).converged
    stuck = wrong.descend(iterations=300, reflect_every=0)
    assert not stuck.converged
    assert stuck.h * scalar.h0 < 0
    # along its branch, f is a parabola in |h m| whose minimum is that of the projection of y onto w ⊙ x
    z = scalar.G1(-scalar.h0) * scalar.G2(scalar.m0)
    minimum = (scalar.y.square().sum() - (scalar.y @ z) ** 2 / z.square().sum()) / 2
    torch.testing.assert_close(stuck.objective[-1], minimum, rtol=1e-9, atol=0)


def test_reflecting_every_third_time_differs_from_always_only_after_the_first_two_steps(rng):
    scalar = draw(rng, n=1, p=1, inner=200, ell=1000)
    start = replace(scalar, h=-scalar.h0)
    always, sometimes = start.descend(iterations=2), start.descend(iterations=2, reflect_every=3)
    torch.testing.assert_close(always.objective[1], sometimes.objective[1], rtol=1e-9, atol=0)  # other matrix products


# Recovery


@pytest.mark.parametrize("device", DEVICES)
def test_random_starts_reach_the_planted_codes(device):
    """The acceptance test: fresh networks for each problem, n = p = 10, inner width 100, ℓ = 1000, default step size."""
    rng = torch.Generator().manual_seed(7)
    planted = draw(rng, 64, n=10, p=10, inner=100, ell=1000, networks=(64,))
    G1, G2, y = planted.G1.to(device=device), planted.G2.to(device=device), planted.y.to(device)
    solution = descend(G1, G2, y, iterations=2000, tolerance=1e-10, rng=rng)
    error = outer_product_error(solution.h, solution.m, planted.h0.to(device), planted.m0.to(device))
    recovered = solution.converged & (error < 1e-6)  # on the manifold, an error is a moderate multiple of the residual
    assert recovered.sum() >= 62
    assert (relative_residual(solution, y)[solution.converged] <= 1e-10).all()


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_descends_like_the_reference_on_the_cpu(device, problem):
    settings = {"momentum": 0.5, "iterations": 40, "reflect_every": 2, "balance": True, "simultaneous": False}
    settings["relative_steps"] = False
    G1, G2 = problem.G1.to(device=device), problem.G2.to(device=device)
    h, m, y = (t.to(device) for t in (problem.h, problem.m, problem.y))
    solution = descend(G1, G2, y, h=h, m=m, step_size=60.0, tolerance=0, **settings)
    for i in range(6):
        expected = algorithm_1(problem.G1, problem.G2, problem.y[i], problem.h[i], problem.m[i], step_size=60.0, **settings)
        torch.testing.assert_close(solution.h[i].cpu(), expected[0], rtol=1e-9, atol=1e-12)


def test_single_precision_follows_double_precision_to_its_own_accuracy(problem):
    double = problem.descend(iterations=100)
    y, h, m = problem.y.float(), problem.h.float(), problem.m.float()
    single = descend(problem.G1.to(dtype=torch.float32), problem.G2.to(dtype=torch.float32), y, h=h, m=m, iterations=100)
    assert single.h.dtype == torch.float32
    # 100 steps that contract at first order add up to a few hundred roundings of 6e-8
    torch.testing.assert_close(single.signal.double(), double.signal, rtol=0, atol=1e-4 * double.signal.abs().max())


def test_the_objective_is_recorded_at_the_start_and_after_each_iteration(problem):
    solution = problem.descend(iterations=400, tolerance=1e-3)
    history = solution.objective
    assert history.shape == (401, 6)
    torch.testing.assert_close(history[0], objective(problem.G1, problem.G2, problem.h, problem.m, problem.y))
    final = objective(problem.G1, problem.G2, solution.h, solution.m, problem.y)
    # balanced values are scaled, not evaluated anew: they differ by rounding, 1e-16 of ‖y‖² under the square
    torch.testing.assert_close(history[-1], final, rtol=1e-6, atol=1e-28)
    assert solution.converged.sum() >= 4
    for i in range(6):
        spent = solution.iterations[i]
        assert (history[spent:, i] == history[-1, i]).all()
        if solution.converged[i]:
            scaled = (2 * history[:, i]).sqrt() / problem.y[i].norm()
            assert scaled[spent] <= 1e-3 < scaled[spent - 1]


def test_signal_and_modulator_are_those_of_the_codes(problem):
    solution = problem.descend(iterations=30)
    torch.testing.assert_close(solution.signal, problem.G1(solution.h))
    torch.testing.assert_close(solution.modulator, problem.G2(solution.m))


def test_no_iterations_return_the_start(problem):
    solution = problem.descend(iterations=0)
    assert torch.equal(solution.h, problem.h)
    assert solution.objective.shape == (1, 6)
    assert not solution.iterations.any()


def test_a_start_at_the_planted_codes_has_converged(problem):
    solution = problem.descend(h=problem.h0, m=problem.m0, iterations=10)
    assert solution.converged.all()
    assert not solution.iterations.any()
    assert torch.equal(solution.h, problem.h0)


def test_tolerance_zero_runs_all_iterations(problem):
    solution = problem.descend(h=problem.h0, m=problem.m0, iterations=10, tolerance=0)
    assert (solution.iterations == 10).all()
    assert not solution.converged.any()


def test_the_codes_given_are_not_changed(problem):
    h, m, y = problem.h.clone(), problem.m.clone(), problem.y
    problem.descend(iterations=5)
    assert torch.equal(h, problem.h)
    assert torch.equal(m, problem.m)
    assert torch.equal(y, problem.y)


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)])
def test_any_batch_shape_is_kept(batch, rng):
    some = draw(rng, *batch)
    solution = descend(some.G1, some.G2, some.y, iterations=7, rng=rng)
    assert solution.h.shape == (*batch, 3)
    assert solution.m.shape == (*batch, 4)
    assert solution.signal.shape == solution.modulator.shape == (*batch, 100)
    assert solution.objective.shape == (8, *batch)
    assert solution.converged.shape == solution.diverged.shape == solution.iterations.shape == batch


def test_a_batch_of_two_dimensions_is_its_problems_one_by_one(rng):
    some = draw(rng, 2, 3)
    together = some.descend(iterations=30)
    for i in range(2):
        alone = replace(some, h0=some.h0[i], m0=some.m0[i], h=some.h[i], m=some.m[i]).descend(iterations=30)
        torch.testing.assert_close(together.h[i], alone.h, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("networks", "batch"), [((4,), (4,)), ((2, 2), (2, 2)), ((3, 1), (3, 5)), ((1,), (4,)), ((), (7,))])
@pytest.mark.parametrize("working_set", [1, 2**30])
def test_however_problems_share_networks_and_blocks_each_descends_as_alone(networks, batch, working_set, rng, monkeypatch):
    monkeypatch.setitem(blocks.WORKING_SET, "cpu", working_set)
    some = draw(rng, *batch, networks=networks)
    together = some.descend(iterations=300, tolerance=1e-2)
    assert together.iterations.unique().numel() > 1  # they leave the batch at different times
    for index in np.ndindex(batch):
        network = tuple(0 if size == 1 else i for i, size in zip(index, networks, strict=False))
        G1, G2 = (ReLUGenerator([W[network] for W in G.weights], alpha=G.alpha) for G in (some.G1, some.G2))
        alone = descend(G1, G2, some.y[index], h=some.h[index], m=some.m[index], iterations=300, tolerance=1e-2)
        # rounding grows over the iterations
        torch.testing.assert_close(together.h[index], alone.h, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(together.objective[:, *index], alone.objective, rtol=1e-5, atol=1e-12)
        assert together.iterations[index] == alone.iterations
        assert together.converged[index] == alone.converged


# Divergence


@pytest.mark.parametrize("step_size", [1e8, 1e300])
def test_one_problem_that_diverges_touches_no_other_and_is_reported(problem, step_size):
    steps = default_step_size(problem.G1, problem.G2, problem.y)
    huge = steps.clone()
    huge[2] = step_size
    healthy, sick = (problem.descend(step_size=eta, iterations=400, momentum=0.5) for eta in (steps, huge))
    others = torch.arange(6) != 2
    assert sick.diverged.tolist() == [False, False, True, False, False, False]
    assert not sick.converged[2]
    assert torch.equal(sick.converged[others], healthy.converged[others])
    # Not bit by bit: a batch in which any problem is reflected or put back is evaluated anew, where another batch scales
    # the values it has. That is one rounding per step.
    torch.testing.assert_close(sick.h[others], healthy.h[others], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(sick.m[others], healthy.m[others], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("step_size", [1e8, 1e300])
@pytest.mark.parametrize("reflect_every", [0, 1])
def test_a_problem_that_diverges_returns_its_last_finite_iterate(problem, step_size, reflect_every):
    solution = problem.descend(step_size=step_size, iterations=50, reflect_every=reflect_every)
    assert solution.diverged.all()
    assert (solution.iterations < 50).all()
    for tensor in (solution.h, solution.m, solution.signal, solution.modulator, solution.objective):
        assert tensor.isfinite().all()
    final = objective(problem.G1, problem.G2, solution.h, solution.m, problem.y)
    torch.testing.assert_close(solution.objective[-1], final)


def test_an_infinite_code_whose_objective_is_finite_counts_as_divergence():
    # A step of -∞ switches every unit off: G(h) = 0, and f = ‖y‖²/2 is finite although h is not.
    ones = ReLUGenerator([torch.ones(5, 1, dtype=torch.float64)])
    z = torch.tensor([1e10], dtype=torch.float64)
    y = torch.ones(5, dtype=torch.float64)
    solution = descend(ones, ones, y, h=z, m=z, step_size=1e300, iterations=3, balance=False, reflect_every=0)
    assert solution.diverged
    assert torch.equal(solution.h, z)


def test_a_problem_that_is_done_keeps_its_signs(problem):
    # Half of the problems meet this tolerance at the start, although line 3 could still lower f for some of them.
    tolerance = 1.001 * relative_residual(problem.descend(iterations=0), problem.y).sort().values[2].item()
    solution = problem.descend(iterations=5, tolerance=tolerance)
    done = solution.iterations == 0
    assert done.sum() == 3
    four = torch.stack([objective(problem.G1, problem.G2, s * problem.h, t * problem.m, problem.y) for s, t in SIGNS])
    assert four.argmin(0)[done].any()
    assert torch.equal(solution.h[done], problem.h[done])
    assert torch.equal(solution.m[done], problem.m[done])


# The rules from the data alone


def test_code_scale_estimates_the_product_of_the_planted_norms(rng):
    # Ĥ0² / H0² has mean one and a relative spread of the order of 1/√width and √(log ℓ/ℓ)
    planted = draw(rng, 200, n=5, p=5, inner=1000, ell=2000)
    ratio = code_scale(planted.G1, planted.G2, planted.y) / (planted.h0.norm(dim=-1) * planted.m0.norm(dim=-1))
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert (ratio - 1).abs().max() < 0.3


def test_code_scale_counts_the_layers_and_the_truncation_of_both_networks(rng):
    G1, G2 = ReLUGenerator.gaussian((5, 1, 50), rng), ReLUGenerator.gaussian((5, 20, 30, 50), rng, truncate_last=False)
    y = torch.ones(2, 50, dtype=torch.float64)
    expected = (50 * 2 ** (2 + 3) / (G1.alpha * 1) * 50) ** 0.5
    torch.testing.assert_close(code_scale(G1, G2, y), torch.full((2,), expected, dtype=torch.float64))


def test_the_default_step_size_is_theta_over_the_curvature_and_scales_inversely_with_y(problem):
    eta, H0 = (rule(problem.G1, problem.G2, problem.y) for rule in (default_step_size, code_scale))
    alpha = problem.G1.alpha * problem.G2.alpha
    torch.testing.assert_close(eta, THETA * 2**4 * 100 / (alpha * H0))
    torch.testing.assert_close(default_step_size(problem.G1, problem.G2, 7 * problem.y), eta / 7)


def test_random_starts_are_balanced_have_the_scale_of_the_data_and_follow_the_seed(problem):
    starts = [
        descend(problem.G1, problem.G2, problem.y, iterations=0, rng=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    scale = code_scale(problem.G1, problem.G2, problem.y).sqrt()
    torch.testing.assert_close(starts[0].h.norm(dim=-1), scale)
    torch.testing.assert_close(starts[0].m.norm(dim=-1), scale)
    assert torch.equal(starts[0].h, starts[1].h)
    assert not torch.equal(starts[0].h, starts[2].h)


def test_a_scaled_observation_scales_the_whole_descent(problem):
    scaled = descend(problem.G1, problem.G2, 100 * problem.y, h=10 * problem.h, m=10 * problem.m, iterations=20)
    torch.testing.assert_close(scaled.h, 10 * problem.descend(iterations=20).h, rtol=1e-9, atol=1e-12)


# Scores


@pytest.mark.parametrize("c", [1e-3, 1.0, 50.0])
def test_the_outer_product_error_is_zero_on_the_hyperbola_and_sees_signs(problem, c):
    h0, m0 = problem.h0, problem.m0
    assert (outer_product_error(c * h0, m0 / c, h0, m0) < 1e-14).all()
    torch.testing.assert_close(outer_product_error(-c * h0, m0 / c, h0, m0), torch.full((6,), 2.0, dtype=torch.float64))
    torch.testing.assert_close(outer_product_error(0 * h0, m0, h0, m0), torch.ones(6, dtype=torch.float64))


def test_the_relative_residual_is_the_root_of_the_objective(problem):
    solution = problem.descend(iterations=5)
    expected = (2 * solution.objective[-1]).sqrt() / problem.y.norm(dim=-1)
    torch.testing.assert_close(relative_residual(solution, problem.y), expected)


# Refusals


@pytest.mark.parametrize("name", ["y", "h", "m"])
@pytest.mark.parametrize("entry", [nan, inf, -inf])
def test_input_that_is_not_finite_is_refused_by_name(problem, name, entry):
    arguments = {"y": problem.y, "h": problem.h.clone(), "m": problem.m.clone()}
    arguments[name][3, 1] = entry
    with pytest.raises(ValueError, match=f"^{name} has entries that are NaN or infinite"):
        descend(problem.G1, problem.G2, **arguments)


def test_integers_are_refused(problem):
    with pytest.raises(ValueError, match=r"y is torch\.int64, but real floating-point numbers are required"):
        descend(problem.G1, problem.G2, torch.ones(6, 100, dtype=torch.long), h=problem.h, m=problem.m)


def test_an_observation_of_zero_is_refused(problem):
    y = problem.y
    y[4] = 0
    with pytest.raises(ValueError, match=r"y is zero for some problem.*leave it out"):
        descend(problem.G1, problem.G2, y, h=problem.h, m=problem.m)


def test_an_observation_of_another_length_is_refused(problem):
    with pytest.raises(ValueError, match="produces 100 entries"):
        descend(problem.G1, problem.G2, problem.y[:, :50], h=problem.h, m=problem.m)


@pytest.mark.parametrize("name", ["h", "m"])
def test_a_random_start_needs_a_stream(problem, name):
    with pytest.raises(ValueError, match=f"{name} is None and so is rng; give a starting code, or a torch.Generator"):
        problem.descend(**{name: None})


@pytest.mark.parametrize("name", ["h", "m"])
def test_a_start_of_another_shape_or_type_is_refused(problem, name):
    start = getattr(problem, name)
    for other in (start[:2], start[0], start[:, :2], start.float()):
        with pytest.raises(ValueError, match=f"{name} is torch.float.* but y asks for torch.float64"):
            problem.descend(**{name: other})


@pytest.mark.parametrize("side", ["G1", "G2"])
def test_without_a_step_size_networks_that_are_not_gaussian_are_refused_with_the_remedy(problem, side):
    other = replace(problem, **{side: ReLUGenerator(getattr(problem, side).weights)})
    with pytest.raises(ValueError, match=f"step_size is None.*{side} is none: give step_size.*and h and m or rng"):
        other.descend()
    assert other.descend(step_size=60.0, iterations=3).objective.isfinite().all()


@pytest.mark.parametrize("step_size", [0.0, -1.0, nan, inf, torch.ones(5), torch.ones(6, 1)])
def test_a_step_size_that_is_not_positive_or_does_not_fit_is_refused(problem, step_size):
    with pytest.raises(
        ValueError, match=r"(?s)step_size is .*required is a positive number, or a tensor of them, shape \(6,\)"
    ):
        problem.descend(step_size=step_size)


@pytest.mark.parametrize("setting", [{"momentum": 1.0}, {"momentum": -0.1}, {"iterations": -1}, {"reflect_every": -1}])
def test_settings_out_of_range_are_refused(problem, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=rf"^{name} is {setting[name]}, but it must be "):
        problem.descend(**setting)


# Relative steps


def test_relative_steps_solve_from_starts_of_any_norm_where_a_constant_step_diverges(rng):
    problem = draw(rng, 8, n=5, p=5, inner=60, ell=600, networks=(8,))
    for norm in (1e-3, 1e3):
        h, m = (norm * z / z.norm(dim=-1, keepdim=True) for z in (problem.h, problem.m))
        solution = problem.descend(h=h, m=m, relative_steps=True, iterations=1500, tolerance=1e-8)
        assert (outer_product_error(solution.h, solution.m, problem.h0, problem.m0) < 1e-6).all()
    assert not problem.descend(h=h, m=m, iterations=1500, tolerance=1e-8).converged.any()


def test_at_balanced_codes_of_the_scale_of_the_data_both_rules_take_the_same_first_step(problem):
    scale = code_scale(problem.G1, problem.G2, problem.y).sqrt()[:, None]
    start = {name: scale * z / z.norm(dim=-1, keepdim=True) for name, z in (("h", problem.h), ("m", problem.m))}
    constant, relative = (
        problem.descend(**start, iterations=1, simultaneous=True, relative_steps=rule) for rule in (False, True)
    )
    torch.testing.assert_close(relative.h, constant.h)
    torch.testing.assert_close(relative.m, constant.m)


@pytest.mark.parametrize("c", [2.0**-300, 2.0**40])
def test_a_relative_step_means_the_same_at_every_size(c, problem):
    settings = {"iterations": 12, "step_size": 100.0, "relative_steps": True, "tolerance": 0}
    small = problem.descend(**settings)
    scaled = descend(problem.G1, problem.G2, c * c * problem.y, h=c * problem.h, m=c * problem.m, **settings)
    assert torch.equal(scaled.h, c * small.h)


def test_relative_steps_are_refused_where_slopes_do_not_grow_with_codes(problem):
    with pytest.raises(ValueError, match=r"relative_steps is True, but G1 or G2 is not homogeneous"):
        descend(Shifted(problem.G1), problem.G2, problem.y, h=problem.h, m=problem.m, step_size=1.0, relative_steps=True)


# Scale and units


class Shifted:
    """A generator that is not homogeneous: G(z) + 1, through autograd."""

    homogeneous = False

    def __init__(self, G):
        self.G, self.widths = G, G.widths

    def __call__(self, z):
        return self.G(z) + 1

    def vjp(self, z):
        value, pull = self.G.vjp(z)
        return value + 1, pull


def doubled(solution, y):
    """‖signal ⊙ modulator - y‖/‖y‖ in double precision and in units of y."""
    root = y.abs().max().double().sqrt()
    product, target = (solution.signal.double() / root) * (solution.modulator.double() / root), y.double() / root / root
    return (product - target).norm(dim=-1) / target.norm(dim=-1)


@pytest.mark.parametrize("exponent", [-100, -64, -20, 30, 110])
def test_in_single_precision_a_power_of_four_in_y_changes_no_digit_of_the_descent(exponent, problem):
    G1, G2, y = problem.G1.to(dtype=torch.float32), problem.G2.to(dtype=torch.float32), problem.y.float()
    plain, scaled = (
        descend(G1, G2, c * y, iterations=60, tolerance=1e-3, rng=torch.Generator().manual_seed(1))
        for c in (1, 2.0**exponent)
    )
    root = 2.0 ** (exponent // 2)
    assert torch.equal(scaled.h, root * plain.h)
    assert torch.equal(scaled.modulator, root * plain.modulator)
    assert torch.equal(scaled.converged, plain.converged)
    assert torch.equal(scaled.iterations, plain.iterations)
    assert torch.equal(relative_residual(scaled, y * 2.0**exponent), relative_residual(plain, y))


@pytest.mark.parametrize("c", [1e-300, 1e-160, 1e-20, 1e20, 1e160, 1e300])
def test_in_double_precision_problems_of_any_size_are_solved(c, rng):
    planted = draw(rng, 8, inner=50, ell=250)
    y = c * planted.y
    solution = descend(planted.G1, planted.G2, y, iterations=1000, tolerance=1e-8, rng=rng)
    assert solution.converged.sum() >= 6
    assert (doubled(solution, y)[solution.converged] <= 1.001e-8).all()
    assert (doubled(solution, y)[~solution.converged] > 1e-8).all()
    assert not solution.diverged.any()


@pytest.mark.parametrize("c", [1e-36, 1e-22, 1e-20, 1.0, 1e20, 1e36])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-12])
def test_in_single_precision_converged_means_the_tolerance_that_was_asked(c, tolerance, rng):
    planted = draw(rng, 8, inner=50, ell=250)
    G1, G2, y = planted.G1.to(dtype=torch.float32), planted.G2.to(dtype=torch.float32), planted.y.float() * c
    solution = descend(G1, G2, y, iterations=800, tolerance=tolerance, rng=rng)
    assert (solution.converged.sum() >= 6) == (tolerance > 1e-7)
    # signal and modulator are rounded once more, to 6e-8
    assert (doubled(solution, y)[solution.converged] <= 1.01 * tolerance + 2e-7).all()


def test_a_given_step_means_the_same_at_every_size(problem):
    plain = problem.descend(step_size=40.0, iterations=30)
    c = 2.0**-600
    scaled = descend(
        problem.G1,
        problem.G2,
        c * problem.y,
        h=2.0**-300 * problem.h,
        m=2.0**-300 * problem.m,
        step_size=40.0 / c,
        iterations=30,
    )
    assert torch.equal(scaled.h, 2.0**-300 * plain.h)


def test_observations_of_many_sizes_share_a_batch(problem):
    sizes = 2.0 ** torch.tensor([-900, -300, 0, 2, 300, 900], dtype=torch.float64)
    h, m = (z * sizes[:, None].sqrt() for z in (problem.h, problem.m))
    together = descend(problem.G1, problem.G2, problem.y * sizes[:, None], h=h, m=m, iterations=200, tolerance=1e-3)
    assert torch.equal(together.iterations, problem.descend(iterations=200, tolerance=1e-3).iterations)


@pytest.mark.parametrize("c", [1e-20, 1e20])
def test_where_the_scale_matters_an_observation_whose_squares_are_lost_is_refused(c, problem):
    G1, G2 = (Shifted(G.to(dtype=torch.float32)) for G in (problem.G1, problem.G2))
    with pytest.raises(ValueError, match=r"y has its largest entries at .*not homogeneous"):
        descend(G1, G2, c * problem.y.float(), h=problem.h.float(), m=problem.m.float(), step_size=0.1)
    assert not descend(
        G1, G2, 1e-9 * problem.y.float(), h=problem.h.float(), m=problem.m.float(), step_size=0.1, iterations=3
    ).converged.any()


@pytest.mark.parametrize("c", [1e-300, 1e-170, 1e170, 1e300])
def test_scores_and_scales_do_not_depend_on_units(c, problem):
    root = c**0.5
    error = outer_product_error(problem.h, problem.m, problem.h0, problem.m0)
    scaled = outer_product_error(root * problem.h, root * problem.m, root * problem.h0, root * problem.m0)
    torch.testing.assert_close(scaled, error)
    scale = code_scale(problem.G1, problem.G2, c * problem.y) / c
    torch.testing.assert_close(scale, code_scale(problem.G1, problem.G2, problem.y))
    step = default_step_size(problem.G1, problem.G2, c * problem.y) * c
    torch.testing.assert_close(step, default_step_size(problem.G1, problem.G2, problem.y))


# What a caller may hand over


def test_networks_and_observations_that_ask_for_gradients_descend_like_others(problem):
    G1, G2 = (
        ReLUGenerator([W.clone().requires_grad_() for W in G.weights], alpha=G.alpha) for G in (problem.G1, problem.G2)
    )
    asking = descend(
        G1, G2, problem.y.requires_grad_(), h=problem.h.clone().requires_grad_(), m=problem.m.clone(), iterations=9
    )
    assert not any(tensor.requires_grad for tensor in asking.tensors().values())
    assert torch.equal(asking.h, problem.descend(iterations=9).h)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_inference_mode_changes_nothing(homogeneous, problem):
    wrap = (lambda G: G) if homogeneous else Shifted
    arguments = {"h": problem.h, "m": problem.m, "step_size": 2.0, "iterations": 9}
    plain = descend(wrap(problem.G1), wrap(problem.G2), problem.y, **arguments)
    with torch.inference_mode():
        inferred = descend(wrap(problem.G1), wrap(problem.G2), problem.y, **arguments)
    assert torch.equal(inferred.h, plain.h)


def test_the_default_device_and_type_of_torch_change_nothing(problem):
    plain = descend(problem.G1, problem.G2, problem.y, iterations=9, rng=torch.Generator().manual_seed(1))
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    try:
        other = descend(problem.G1, problem.G2, problem.y, iterations=9, rng=torch.Generator("cpu").manual_seed(1))
    finally:
        torch.set_default_device("cpu")
        torch.set_default_dtype(torch.float32)
    assert torch.equal(other.h, plain.h)


def test_a_solution_is_stored_and_read_again(problem, tmp_path):
    solution = problem.descend(iterations=9)
    save_tensors(tmp_path / "solution.safetensors", solution.tensors(), {})
    again = Solution(**load_tensors(tmp_path / "solution.safetensors")[0])
    assert all(torch.equal(getattr(again, name), tensor) for name, tensor in solution.tensors().items())


@pytest.mark.parametrize("many", [False, True])
def test_restricted_generators_leave_the_missing_entries_of_each_observation_out(problem, many, rng):
    observed = (torch.rand(*((6,) if many else ()), 100, generator=rng) < 0.8).double()
    arguments = {"h": problem.h, "m": problem.m, "step_size": 60.0, "iterations": 20}
    for G in (problem.G1, Shifted(problem.G1)):
        runs = [
            descend(restrict(G, observed), problem.G2, observed * (problem.y + noise), **arguments)
            for noise in (0, (1 - observed) * 7)
        ]
        assert torch.equal(runs[0].h, runs[1].h)
        alone = descend(
            restrict(G, observed[4] if many else observed), problem.G2, (observed * problem.y)[4],
            **(arguments | {"h": problem.h[4], "m": problem.m[4]}),
        )  # fmt: skip
        torch.testing.assert_close(runs[0].h[4], alone.h, rtol=1e-9, atol=1e-12)
