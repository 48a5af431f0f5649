"""Damped Gauss–Newton: its step, its order of convergence, its starts and masks, against Algorithm 1 and plain algebra."""

from copy import deepcopy
from dataclasses import dataclass
from math import inf, nan

import pytest
import torch
from fixture_calls import refusal, stream
from torch import Tensor, nn

from demod.descent import blocks, code_scale, descend, outer_product_error, relative_residual
from demod.gauss_newton import product, solve
from demod.gauss_newton.damping import step
from demod.gauss_newton.product import LinearisedProduct
from demod.generators import Constant, Magnitude, Measured, ReLUGenerator, Restricted, as_generator, jacobian, restrict
from demod.objective import gradient, objective

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Problem:
    """Planted codes h0 (*B, n), m0 (*B, p), and others to start from."""

    G1: ReLUGenerator
    G2: ReLUGenerator
    h0: Tensor
    m0: Tensor
    h: Tensor
    m: Tensor

    @property
    def y(self):
        return self.G1(self.h0) * self.G2(self.m0)

    def solve(self, **settings):
        return solve(self.G1, self.G2, self.y, **({"h": self.h, "m": self.m} | settings))


def draw(*batch, n=3, p=4, inner=(20,), ell=200, networks=(), seed=2019):
    rng = stream(seed)
    G1 = ReLUGenerator.gaussian((n, *inner, ell), rng, batch=networks)
    G2 = ReLUGenerator.gaussian((p, *inner, ell), rng, batch=networks)
    h, h0 = torch.randn(2, *batch, n, generator=rng, dtype=torch.float64)
    m, m0 = torch.randn(2, *batch, p, generator=rng, dtype=torch.float64)
    return Problem(G1, G2, h0, m0, h, m)


def decoder(latent: int, ell: int, seed: int = 1) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(latent, 24), nn.SiLU(), nn.Linear(24, ell), nn.Sigmoid()).double()


# The normal equations


def dense(G1, G2, y, h, m):
    """JᵀJ and Jᵀr of the whole Jacobian of the product."""
    (w, of_h), (x, of_m) = jacobian(G1, h), jacobian(G2, m)
    J, r = torch.cat([x[..., None] * of_h, w[..., None] * of_m], -1), w * x - y
    return J.mT @ J, (J.mT @ r[..., None])[..., 0]


PAIRS = {
    "ReLU": lambda: draw(5),
    "ReLU, networks of their own": lambda: draw(5, networks=(5,)),
    "ReLU, three layers": lambda: draw(5, inner=(9, 20)),
    "ReLU, one layer": lambda: draw(5, inner=()),
    "ReLU, three layers of their own": lambda: draw(5, inner=(9, 20), networks=(5,)),
}


@pytest.mark.parametrize("cache", [1, 2**30])
@pytest.mark.parametrize("name", PAIRS)
def test_the_normal_equations_of_the_active_rows_are_those_of_the_whole_jacobian(name, cache, monkeypatch):
    monkeypatch.setitem(product.CACHE, "cpu", cache)
    some = PAIRS[name]()
    state = LinearisedProduct(some.G1, some.G2, some.y, some.h, some.m, None)
    numbers = torch.tensor([3, 0, 4])
    found = state.normal_equations(numbers)
    gram, slope = dense(some.G1, some.G2, some.y, some.h, some.m)
    torch.testing.assert_close(found, (gram[numbers], slope[numbers]))
    torch.testing.assert_close(found[1], torch.cat(gradient(some.G1, some.G2, some.h, some.m, some.y), -1)[numbers])


def test_the_normal_equations_of_other_generators_are_those_of_their_jacobians():
    G1, G2, y = as_generator(decoder(3, 40), 3), Magnitude(Measured(draw().G2, normal(40, 200))), normal(5, 40)
    h, m, seen = normal(5, 3), normal(5, 4, seed=2), normal(5, 40) > 0
    state = LinearisedProduct(G1, G2, torch.where(seen, y, 0), h, m, seen)
    gram, slope = dense(Restricted(G1, seen.double()), G2, torch.where(seen, y, 0), h, m)
    torch.testing.assert_close(state.normal_equations(torch.arange(5)), (gram, slope))


def test_after_line_3_the_normal_equations_are_those_of_the_mirrored_codes():
    some = draw(8)
    state = LinearisedProduct(some.G1, some.G2, some.y, some.h, some.m, None)
    state.reflect()
    h, m = state.first.z, state.second.z
    assert not torch.equal(h, some.h)
    assert not torch.equal(m, some.m)
    torch.testing.assert_close(state.normal_equations(torch.arange(8)), dense(some.G1, some.G2, some.y, h, m))


# The step


def along_the_hyperbola(h, m):
    return torch.cat([h, -m], -1)


def test_the_term_along_the_hyperbola_leaves_the_step_as_it_is():
    some = draw(5)
    gram, slope = dense(some.G1, some.G2, some.y, some.h, some.m)
    lam = torch.full((5,), 0.1, dtype=torch.float64)
    u = along_the_hyperbola(some.h, some.m)
    torch.testing.assert_close((gram @ u[..., None])[..., 0], torch.zeros_like(u), rtol=0, atol=1e-12)
    with_it, without = step(gram, slope, lam, u, 3)[0], step(gram, slope, lam, 0 * u, 3)[0]
    torch.testing.assert_close(with_it, without)


def test_the_step_does_not_depend_on_how_the_norm_is_shared():
    some, c = draw(5), 1e4
    lam = torch.full((5,), 0.1, dtype=torch.float64)
    here, there = (
        step(*dense(some.G1, some.G2, some.y, h, m), lam, along_the_hyperbola(h, m), 3)[0]
        for h, m in ((some.h, some.m), (c * some.h, some.m / c))
    )
    torch.testing.assert_close(there[:, :3], c * here[:, :3])
    torch.testing.assert_close(there[:, 3:], here[:, 3:] / c)


def test_the_fall_of_the_model_is_that_of_the_linear_least_squares():
    J, r, lam = normal(1, 30, 5), normal(1, 30, 1, seed=2), torch.tensor([0.3], dtype=torch.float64)
    delta, fall = step(J.mT @ J, (J.mT @ r)[..., 0], lam, torch.zeros(1, 5, dtype=torch.float64), 2)
    expected = (r.square().sum() - (r - J @ delta[..., None]).square().sum()) / 2
    torch.testing.assert_close(fall[0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_singular_matrix_raises(dtype):
    zero, one = torch.zeros(3, 4, 4, dtype=dtype), torch.ones(3, 4, dtype=dtype)
    zero[1, 0, 0], zero[2] = 1, 1  # none, one, and a rank of one
    delta, fall = step(zero, 0 * one, one[:, 0] * 0, 0 * one, 2)
    assert not delta.any()
    assert not fall.any()
    delta, fall = step(torch.full_like(zero, nan), one, one[:, 0], one, 2)
    assert not delta.any()
    assert (fall == inf).all()


# Convergence


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("networks", [(64,), ()])
def test_starts_of_algorithm_1_reach_the_planted_codes_within_a_few_steps(device, networks):
    """The acceptance test: n = p = 10, inner width 100, ℓ = 1000, and a relative residual of 1e-10."""
    planted = draw(64, n=10, p=10, inner=(100,), ell=1000, networks=networks, seed=7)
    G1, G2, y = planted.G1.to(device=device), planted.G2.to(device=device), planted.y.to(device)
    solution = solve(G1, G2, y, tolerance=1e-10, rng=stream(1))
    error = outer_product_error(solution.h, solution.m, planted.h0.to(device), planted.m0.to(device))
    recovered = solution.converged & (error < 1e-6)  # on the manifold, an error is a moderate multiple of the residual
    assert recovered.sum() >= 62
    assert solution.iterations[recovered].median() <= 10
    assert (relative_residual(solution, y)[solution.converged] <= 1e-10).all()


def test_convergence_is_of_order_two():
    planted = draw(32, n=10, p=10, inner=(100,), ell=1000)
    solution = planted.solve(iterations=30)
    relative = (2 * solution.objective).sqrt() / planted.y.norm(dim=-1)
    orders = []
    for rho in relative.T[solution.converged]:
        before, here, after = rho[rho > 1e-14].unique().flip(0)[-3:].log()  # what is smaller is rounding
        orders.append((after - here) / (here - before))
    assert len(orders) >= 31
    assert torch.stack(orders).median() >= 1.8


def test_the_solution_is_that_of_algorithm_1():
    some = draw(6, n=3, p=3, inner=(50,), ell=400)
    newton = some.solve(tolerance=1e-12)
    first_order = descend(some.G1, some.G2, some.y, h=some.h, m=some.m, iterations=3000, tolerance=1e-12)
    both = newton.converged & first_order.converged
    assert both.sum() >= 5
    # a residual of 1e-12 is an error of that order in the product; balanced codes are unique up to it
    torch.testing.assert_close(newton.h[both], first_order.h[both], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(newton.modulator[both], first_order.modulator[both], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gaussian", [True, False])
def test_starting_codes_are_those_of_algorithm_1(gaussian):
    some = draw(5)
    G1 = some.G1 if gaussian else ReLUGenerator(some.G1.weights)
    newton = solve(G1, some.G2, some.y, iterations=0, rng=stream(5))
    first_order = descend(G1, some.G2, some.y, iterations=0, step_size=1.0, rng=stream(5))
    assert torch.equal(newton.h, first_order.h)
    assert torch.equal(newton.m, first_order.m)
    assert torch.equal(newton.objective, first_order.objective)


def test_with_noise_it_ends_at_a_minimum_of_least_squares():
    some = draw(6, n=3, p=3, inner=(50,), ell=400)
    y = some.y + 0.01 * some.y.abs().mean() * normal(6, 400)
    solution = solve(some.G1, some.G2, y, h=some.h0, m=some.m0, iterations=200)
    assert not solution.converged.any()
    assert (solution.iterations < 200).all()
    slopes = torch.cat(gradient(some.G1, some.G2, solution.h, solution.m, y), -1).norm(dim=-1)
    at_the_start = torch.cat(gradient(some.G1, some.G2, some.h, some.m, y), -1).norm(dim=-1)
    assert (slopes <= 1e-6 * at_the_start).sum() >= 5  # of six, one may end in a kink, where the gradient is none


def test_any_generators_are_solved():
    G1, G2 = as_generator(decoder(3, 60), 3), as_generator(decoder(2, 60, seed=2), 2)
    h0, m0 = normal(8, 3), normal(8, 2, seed=2)
    y = G1(h0) * G2(m0)
    solution = solve(G1, G2, y, starts=5, tolerance=1e-10, iterations=100, rng=stream())
    assert solution.converged.sum() >= 7
    assert (relative_residual(solution, y)[solution.converged] <= 1e-10).all()


def test_a_known_factor_is_divided_out():
    some = draw(6, n=3, inner=(50,), ell=300)
    known = Constant(normal(6, 300))
    solution = solve(some.G1, known, some.G1(some.h0) * known.value, rng=stream(), starts=4)
    assert solution.converged.sum() >= 5
    torch.testing.assert_close(solution.h[solution.converged], some.h0[solution.converged])


# Batches


@pytest.mark.parametrize(("networks", "batch"), [((4,), (4,)), ((2, 2), (2, 2)), ((3, 1), (3, 3)), ((1,), (4,)), ((), (5,))])
@pytest.mark.parametrize("working_set", [1, 2**30])
def test_however_problems_share_networks_and_blocks_each_is_solved_as_alone(networks, batch, working_set, monkeypatch):
    monkeypatch.setitem(blocks.WORKING_SET, "cpu", working_set)
    some = draw(*batch, networks=networks)
    together = some.solve(tolerance=1e-9)
    assert together.iterations.unique().numel() > 1  # they leave the batch at different times
    for index in torch.cartesian_prod(*map(torch.arange, batch)).view(-1, len(batch)).tolist():
        index, network = tuple(index), tuple(0 if size == 1 else i for i, size in zip(index, networks, strict=False))
        G1, G2 = (ReLUGenerator([W[network] for W in G.weights], alpha=G.alpha) for G in (some.G1, some.G2))
        alone = solve(G1, G2, some.y[index], h=some.h[index], m=some.m[index], tolerance=1e-9)
        assert together.converged[index] == alone.converged
        if alone.converged:  # elsewhere it ends where steps do not lower f any more: that depends on rounding
            assert together.iterations[index] == alone.iterations
        torch.testing.assert_close(together.h[index], alone.h, rtol=1e-6, atol=1e-9)  # rounding grows over the iterations
        torch.testing.assert_close(together.objective[:8, *index], alone.objective[:8], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("batch", [(), (0,), (2, 3)])
def test_any_batch_shape_is_kept(batch, starts):
    some = draw(*batch)
    solution = solve(some.G1, some.G2, some.y, iterations=7, starts=starts, rng=stream())
    assert solution.h.shape == (*batch, 3)
    assert solution.m.shape == (*batch, 4)
    assert solution.signal.shape == solution.modulator.shape == (*batch, 200)
    assert solution.objective.shape == (8, *batch)
    assert solution.converged.shape == solution.diverged.shape == solution.iterations.shape == batch


def test_the_objective_is_recorded_after_each_iteration_and_never_rises():
    some = draw(6)
    solution = some.solve(tolerance=1e-9)
    f = solution.objective
    torch.testing.assert_close(f[0], objective(some.G1, some.G2, some.h, some.m, some.y))
    torch.testing.assert_close(f[-1], objective(some.G1, some.G2, solution.h, solution.m, some.y), rtol=1e-6, atol=1e-25)
    assert (f.diff(dim=0) <= 0).all()
    for i in range(6):
        spent, relative = solution.iterations[i], (2 * f[:, i]).sqrt() / some.y[i].norm()
        assert (f[spent:, i] == f[-1, i]).all()
        if solution.converged[i]:
            assert relative[spent] <= 1e-9 < relative[spent - 1]
    torch.testing.assert_close(solution.signal, some.G1(solution.h))
    torch.testing.assert_close(solution.modulator, some.G2(solution.m))


def test_codes_are_balanced_and_those_given_are_not_changed():
    some = draw(6)
    h, m = some.h.clone(), some.m.clone()
    solution = some.solve(h=1e4 * some.h)
    torch.testing.assert_close(solution.h.norm(dim=-1), solution.m.norm(dim=-1), rtol=1e-12, atol=0)
    some.solve()
    assert torch.equal(h, some.h)
    assert torch.equal(m, some.m)


def test_a_start_at_the_planted_codes_has_converged():
    some = draw(6)
    solution = some.solve(h=some.h0, m=some.m0)
    assert solution.converged.all()
    assert not solution.iterations.any()
    assert torch.equal(solution.h, some.h0)


def test_the_sign_check_saves_a_start_on_the_wrong_side():
    some = draw(n=1, p=1, inner=(50,), ell=400)
    for signs in ((1, -1), (-1, 1), (-1, -1)):
        assert some.solve(h=signs[0] * some.h0, m=signs[1] * some.m0).converged


# Starts


def test_of_several_starts_the_least_residual_is_returned():
    some = draw(6, n=5, p=5, inner=(30,), ell=60)
    h, m = normal(4, 6, 5), normal(4, 6, 5, seed=2)
    each = [some.solve(h=h[k], m=m[k], tolerance=0) for k in range(4)]
    together = some.solve(h=h, m=m, starts=4, tolerance=0)
    f = torch.stack([solution.objective[-1] for solution in each])
    assert f.argmin(0).unique().numel() > 1
    torch.testing.assert_close(together.objective[-1], f.min(0).values, rtol=1e-6, atol=1e-25)
    for i, k in enumerate(f.argmin(0)):
        torch.testing.assert_close(together.h[i], each[k].h[i], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("networks", [(), (6,)])
@pytest.mark.parametrize("working_set", [1, 2**30])
def test_a_start_that_converges_lets_the_others_of_its_problem_stop(networks, working_set, monkeypatch):
    monkeypatch.setitem(blocks.WORKING_SET, "cpu", working_set)
    steps, normal_equations = [], LinearisedProduct.normal_equations
    monkeypatch.setattr(
        LinearisedProduct,
        "normal_equations",
        lambda self, numbers: steps.append(len(numbers)) or normal_equations(self, numbers),
    )
    some = draw(6, networks=networks)
    h, m = (torch.stack([planted, *z]) for planted, z in ((some.h0, normal(9, 6, 3)), (some.m0, normal(9, 6, 4))))
    solution = some.solve(h=h, m=m, starts=10)
    assert solution.converged.all()
    assert not solution.iterations.any()
    assert not steps


def test_starts_find_what_one_start_misses():
    planted = draw(32, n=8, p=8, inner=(80,), ell=80, networks=(32,))  # ℓ = 5 (n + p)
    one, many = (
        solve(planted.G1, planted.G2, planted.y, starts=starts, tolerance=1e-10, rng=stream(3)) for starts in (1, 20)
    )
    found = [(outer_product_error(s.h, s.m, planted.h0, planted.m0) < 1e-3).sum() for s in (one, many)]
    assert found[0] < 10
    assert found[1] >= 16


# Masks


@pytest.mark.parametrize("networks", [(), (6,)])
@pytest.mark.parametrize("each", [False, True])
def test_a_mask_is_the_restriction_of_the_first_network(networks, each):
    some = draw(6, inner=(50,), ell=400, networks=networks)
    mask = torch.rand(*((6,) if each else ()), 400, generator=stream(4), dtype=torch.float64) < 0.7
    spoilt = torch.where(mask, some.y, nan)
    masked = solve(some.G1, some.G2, spoilt, h=some.h, m=some.m, mask=mask, tolerance=1e-9)
    seen = restrict(some.G1, mask.double())
    restricted = solve(seen, some.G2, torch.where(mask, some.y, 0), h=some.h, m=some.m, tolerance=1e-9)
    assert masked.converged.sum() >= 4
    assert torch.equal(masked.converged, restricted.converged)
    torch.testing.assert_close(masked.h[masked.converged], restricted.h[masked.converged], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(masked.objective[:6], restricted.objective[:6])
    torch.testing.assert_close(masked.signal, some.G1(masked.h))  # also where nothing was observed


def test_a_mask_serves_other_generators():
    G1, G2 = as_generator(decoder(3, 60), 3), as_generator(decoder(2, 60, seed=2), 2)
    h0, m0, mask = normal(4, 3), normal(4, 2, seed=2), normal(4, 60) > -0.5
    y = torch.where(mask, G1(h0) * G2(m0), inf)
    solution = solve(G1, G2, y, starts=5, mask=mask, tolerance=1e-10, iterations=100, rng=stream())
    assert solution.converged.sum() >= 3
    product = solution.signal * solution.modulator
    torch.testing.assert_close(
        product[solution.converged][mask[solution.converged]], y[solution.converged][mask[solution.converged]]
    )


def test_a_masked_start_has_the_scale_of_what_was_not_masked():
    some = draw(6, ell=4000)
    mask = torch.arange(4000) % 4 == 0
    solution = solve(some.G1, some.G2, some.y, mask=mask, iterations=0, rng=stream())
    expected = code_scale(some.G1, some.G2, some.y).sqrt()
    assert ((solution.h.norm(dim=-1) / expected - 1).abs() < 0.1).all()  # a quarter of the sum is a quarter to within 1/√ℓ


# Singular problems


def test_a_start_from_which_nothing_can_be_seen_stays_and_hurts_no_other():
    W = normal(30, 2).abs()
    W[:, 1] = 0  # G(z) = relu(z_1) |w|: nothing comes of a negative z_1 but by line 3, and z_2 does nothing
    G = ReLUGenerator([W])
    h0, m0 = torch.tensor([[1.0, 3], [2, 1], [1, 1]]).double(), torch.tensor([[2.0, 3], [2, 1], [1, 1]]).double()
    dead = torch.tensor([[-1.0, 2], [0, 1], [1.2, 1]]).double()  # one saved by line 3, one that sees nothing, and one alive
    solution = solve(G, G, G(h0) * G(m0), h=dead, m=m0)
    assert solution.converged.tolist() == [True, False, True]
    assert torch.equal(solution.h[1], dead[1])
    assert not solution.diverged.any()
    assert all(part.isfinite().all() for part in solution.tensors().values())


def test_two_known_factors_have_nothing_to_solve():
    y = normal(3, 20)
    solution = solve(Constant(y), Constant(y + 1), y, rng=stream())
    assert not solution.converged.any()
    assert (solution.iterations == 1).all()


def test_an_objective_that_is_not_finite_is_divergence_and_touches_no_other():
    some = draw(3, n=3, inner=(50,), ell=300)
    h = some.h.clone()
    h[1] *= 1e200
    m = some.m.clone()
    m[1] *= 1e200
    solution = some.solve(h=h, m=m)
    assert solution.diverged.tolist() == [False, True, False]
    assert torch.equal(solution.h[1], h[1])
    alone = some.solve()
    others = torch.tensor([0, 2])
    torch.testing.assert_close(solution.h[others], alone.h[others], rtol=1e-6, atol=1e-9)


# Scale and precision


@pytest.mark.parametrize("exponent", [-1000, -64, -20, 30, 110, 900])
def test_a_power_of_four_in_y_changes_no_digit(exponent):
    some = draw(6)
    plain, scaled = (solve(some.G1, some.G2, c * some.y, tolerance=1e-9, rng=stream(1)) for c in (1, 2.0**exponent))
    root = 2.0 ** (exponent // 2)
    assert torch.equal(scaled.h, root * plain.h)
    assert torch.equal(scaled.modulator, root * plain.modulator)
    assert torch.equal(scaled.iterations, plain.iterations)
    assert torch.equal(scaled.converged, plain.converged)


@pytest.mark.parametrize("c", [1e-300, 1e-160, 1e-20, 3.0, 1e20, 1e160, 1e300])
def test_problems_of_any_size_are_solved(c):
    planted = draw(8, inner=(50,), ell=250)
    solution = solve(planted.G1, planted.G2, c * planted.y, tolerance=1e-10, rng=stream())
    assert solution.converged.sum() >= 6
    assert (relative_residual(solution, c * planted.y)[solution.converged] <= 1.001e-10).all()
    assert not solution.diverged.any()


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-12])
def test_in_single_precision_what_rounding_allows_is_reached_and_then_it_ends(tolerance):
    planted = draw(8, inner=(50,), ell=250)
    G1, G2, y = planted.G1.to(dtype=torch.float32), planted.G2.to(dtype=torch.float32), planted.y.float()
    solution = solve(G1, G2, y, tolerance=tolerance, rng=stream())
    assert solution.h.dtype == torch.float32
    assert (solution.converged.sum() >= 6) == (tolerance > 1e-7)
    assert (relative_residual(solution, y) <= 1e-6 + tolerance).sum() >= 6
    assert (solution.iterations < 50).sum() >= 6


# Jacobians that serve for several steps, or come from another network


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("name", [*PAIRS, "other generators"])
def test_what_is_pulled_back_is_the_gradient(name, seen):
    if name == "other generators":
        G1, G2, h, m = as_generator(decoder(3, 200), 3), draw().G2, normal(5, 3), normal(5, 4, seed=2)
    else:
        some = PAIRS[name]()
        G1, G2, h, m = some.G1, some.G2, some.h, some.m
    observed = normal(5, 200) > 0 if seen else None
    y = normal(5, 200).abs() if observed is None else normal(5, 200).abs() * observed
    state = LinearisedProduct(G1, G2, y, h, m, observed)
    first = G1 if observed is None else Restricted(G1, observed.double())
    torch.testing.assert_close(state.slope(), torch.cat(gradient(first, G2, h, m, y), -1))


SAVING = {"linearise_every": 4, "dampings": 3}


@pytest.mark.parametrize("saving", [{"linearise_every": 3}, {"dampings": 2}, {"dampings": 3}, SAVING])
@pytest.mark.parametrize("networks", [(), (24,)])
def test_a_jacobian_that_serves_for_several_steps_leads_to_the_same_codes(networks, saving):
    some = draw(24, inner=(50,), ell=600, networks=networks)
    found, usual = some.solve(iterations=300, tolerance=1e-9, **saving), some.solve(tolerance=1e-9)
    assert found.converged.sum() >= 22
    both = found.converged & usual.converged
    error = outer_product_error(found.h, found.m, some.h0, some.m0)
    assert (error[both] <= 1e-6).all()
    assert (found.objective.diff(dim=0) <= 0).all()


def test_a_jacobian_is_made_once_for_as_many_iterations_as_asked(monkeypatch):
    some, made = draw(6), []
    whole = LinearisedProduct.normal_equations
    monkeypatch.setattr(
        LinearisedProduct, "normal_equations", lambda self, rows: made.append(len(rows)) or whole(self, rows)
    )
    some.solve(iterations=12, tolerance=0.0, linearise_every=4)
    assert len(made) <= 4  # at the start and after iterations 4, 8 and 12
    assert made[0] == 6


def test_of_several_dampings_the_best_step_is_taken():
    some = draw(32)
    one, three = (some.solve(iterations=1, tolerance=0.0, dampings=k).objective[1] for k in (1, 3))
    assert (three <= one).all()
    assert (three < one).any()


@pytest.mark.parametrize("kind", ["ReLU", "other", "ReLU, masked", "other, masked"])
def test_a_network_in_half_precision_points_the_way_and_the_answer_is_exact(kind):
    mask = stream_mask() if "masked" in kind else None
    if kind.startswith("ReLU"):
        some = draw(16, inner=(40,), ell=400)
        G1, G2, h0, m0 = some.G1, some.G2, some.h0, some.m0
        near = tuple(ReLUGenerator([W.bfloat16() for W in G.weights]) for G in (G1, G2))
    else:
        G1, G2 = as_generator(decoder(3, 400), 3), as_generator(decoder(2, 400, seed=2), 2)
        h0, m0 = normal(16, 3), normal(16, 2, seed=2)
        near = tuple(as_generator(rounded(G.module), G.widths[0]) for G in (G1, G2))
    found = solve(
        G1, G2, G1(h0) * G2(m0), starts=6, iterations=200, tolerance=1e-9, mask=mask, rng=stream(), jacobians_of=near
    )
    assert found.converged.sum() >= 12
    assert (relative_residual(found, G1(h0) * G2(m0))[found.converged] <= 1e-8).all()


def stream_mask():
    return torch.rand(400, generator=stream(7)) < 0.8


def rounded(module):
    """The same module with its weights rounded to bfloat16, and kept as float64."""
    module = deepcopy(module)
    for weight in module.parameters():
        weight.data = weight.data.bfloat16().double()
    return module


def test_with_noise_jacobians_of_other_networks_lead_to_a_point_where_the_exact_gradient_vanishes():
    G1, G2 = as_generator(decoder(3, 60), 3), as_generator(decoder(2, 60, seed=2), 2)
    near = tuple(as_generator(rounded(G.module), G.widths[0]) for G in (G1, G2))
    y = G1(normal(6, 3)) * G2(normal(6, 2, seed=2)) + 0.02 * normal(6, 60, seed=3)
    found = solve(G1, G2, y, iterations=400, tolerance=0.0, rng=stream(), jacobians_of=near, **SAVING)
    begun = solve(G1, G2, y, iterations=0, rng=stream())
    slopes = [torch.cat(gradient(G1, G2, run.h, run.m, y), -1).norm(dim=-1) for run in (found, begun)]
    assert (slopes[0] <= 1e-5 * slopes[1]).sum() >= 5


# Wrong calls

ONE = draw()
CALLS = {
    "no start": ({"starts": 0}, r"starts is 0, .*at least 1"),
    "half a start": ({"starts": 0.5}, r"starts is 0\.5, .*give an int"),
    "one code for three starts": ({"starts": 3}, r"h is \(3,\), one code for each problem, .*give codes for all"),
    "no stream": ({"h": None}, r"h is None and so is rng; give"),
    "a code of another type": ({"m": ONE.m.float()}, r"m is torch\.float32 .*y asks for"),
    "a start at zero": ({"h": 0 * ONE.h}, r"h is zero .*start elsewhere"),
    "a start of NaN": ({"h": nan * ONE.h}, r"h has entries that are NaN"),
    "fewer than no iterations": ({"iterations": -1}, r"iterations is -1, .*at least 0"),
    "a negative tolerance": ({"tolerance": -1.0}, r"tolerance is -1\.0, .*must be ≥ 0"),
    "a mask of numbers": ({"mask": torch.ones(200)}, r"mask is torch\.float32 \(200,\).*use \.bool"),
    "a mask of another length": ({"mask": torch.ones(20, dtype=torch.bool)}, r"mask is torch\.bool \(20,\).*expand"),
    "a mask as a list": ({"mask": [True] * 200}, r"mask is a list, .*as_tensor"),
    "a Jacobian for no iteration": ({"linearise_every": 0}, r"linearise_every is 0, .*at least 1"),
    "no damping": ({"dampings": 0}, r"dampings is 0, .*at least 1"),
    "half a damping": ({"dampings": 1.5}, r"dampings is 1\.5, .*give an int"),
    "Jacobians of one network": ({"jacobians_of": ONE.G1}, r"jacobians_of is .*two generators .*give \(C1, C2\)"),
    "Jacobians of no generator": ({"jacobians_of": (ONE.G1, "x")}, r"jacobians_of\[1\] is 'x', .*generator"),
    "Jacobians of other networks": ({"jacobians_of": (ONE.G1, ONE.G1)}, r"jacobians_of\[1\] is 3 → 200 and .*4 → 200"),
    "Jacobians of a batch": (
        {"jacobians_of": (draw(networks=(2,)).G1, ONE.G2)},
        r"jacobians_of\[0\] .*single networks .*give the same network",
    ),
    "a mask that hides everything": ({"mask": torch.zeros(200, dtype=torch.bool)}, r"mask observes no entry .*leave"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_refused_by_name_with_what_to_do(name):
    settings, said = CALLS[name]
    refusal(lambda: ONE.solve(**settings), said)


def test_what_is_wrong_with_y_is_refused_unless_it_is_masked():
    y = ONE.y
    y[3] = nan
    refusal(lambda: solve(ONE.G1, ONE.G2, y, h=ONE.h, m=ONE.m), r"y has entries that are NaN")
    refusal(lambda: solve(ONE.G1, ONE.G2, 0 * ONE.y, h=ONE.h, m=ONE.m), r"y is zero .*leave it out")
    refusal(lambda: solve(ONE.G1, ONE.G2, ONE.y[:50], h=ONE.h, m=ONE.m), r"produces 200 entries")
    refusal(lambda: solve(ONE.G1, "x", ONE.y, h=ONE.h, m=ONE.m), r"G2 is 'x', .*generator")
    assert solve(ONE.G1, ONE.G2, y, h=ONE.h, m=ONE.m, mask=~y.isnan()).objective.isfinite().all()
