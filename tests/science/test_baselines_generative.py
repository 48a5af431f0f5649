"""The methods of the related work that take generators for priors, on problems planted in their range."""

from dataclasses import dataclass
from math import inf

import pytest
import torch

from demod.baselines import asim, csgm, inversion, phase_retrieval
from demod.descent import THETA, outer_product_error
from demod.generators import Magnitude, Measured, ReLUGenerator

SUCCESS = 1e-3  # relative error of the codes


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def draw(rng, n=4, inner=40, ell=200):
    return ReLUGenerator.gaussian((n, inner, ell), rng)


def code_error(h, h0):
    return (h - h0).norm(dim=-1) / h0.norm(dim=-1)


@dataclass(frozen=True)
class Smooth:
    """A generator of another kind, z ↦ 1 + tanh(W z + b)/2: smooth, with biases, not homogeneous."""

    W: torch.Tensor
    b: torch.Tensor
    homogeneous = False

    @property
    def widths(self):
        return self.W.shape[1], self.W.shape[0]

    def __call__(self, z):
        return 1 + torch.tanh(z @ self.W.T + self.b) / 2

    def vjp(self, z):
        t = torch.tanh(z @ self.W.T + self.b)
        return 1 + t / 2, lambda u: (u * (1 - t**2) / 2) @ self.W


def draw_smooth(rng, n=4, ell=200):
    return Smooth(normal(rng, ell, n) / n**0.5, normal(rng, ell) / 4)


# Recovery: four networks with five problems each, of which 19 in all must be recovered


def recovered(rng, attempt):
    errors = torch.cat([attempt(rng) for _ in range(4)])
    assert errors.shape == (20,)
    return (errors < SUCCESS).sum()


@pytest.mark.parametrize("prior", [draw, draw_smooth])
def test_csgm_recovers_the_code_from_a_known_modulator(rng, prior):
    def attempt(rng):
        G1, modulator = prior(rng), 0.5 + torch.rand(5, 200, generator=rng, dtype=torch.float64)
        h0 = normal(rng, 5, 4)
        estimate = csgm.solve(G1, modulator, G1(h0) * modulator, rng=rng)
        assert torch.equal(estimate.modulator, modulator)
        torch.testing.assert_close(estimate.signal, G1(estimate.h))
        return code_error(estimate.h, h0)

    assert recovered(rng, attempt) >= 19


def test_asim_recovers_both_codes_of_relu_networks_up_to_scaling(rng):
    def attempt(rng):
        G1, G2, h0, m0 = draw(rng), draw(rng), normal(rng, 5, 4), normal(rng, 5, 4)
        estimate = asim.solve(G1, G2, G1(h0) * G2(m0), rng=rng)
        return outer_product_error(estimate.h, estimate.m, h0, m0)

    assert recovered(rng, attempt) >= 19


def test_asim_recovers_both_codes_of_inhomogeneous_generators(rng):
    def attempt(rng):
        G1, G2, h0, m0 = draw_smooth(rng), draw_smooth(rng), normal(rng, 5, 4), normal(rng, 5, 4)
        estimate = asim.solve(G1, G2, G1(h0) * G2(m0), rng=rng)
        return torch.maximum(code_error(estimate.h, h0), code_error(estimate.m, m0))

    assert recovered(rng, attempt) >= 19


def test_inversion_recovers_the_code(rng):
    def attempt(rng):
        G, modulator, h0 = draw(rng), normal(rng, 5, 200), normal(rng, 5, 4)
        return code_error(inversion.solve(G, modulator, G(h0) * modulator, rng=rng).h, h0)

    assert recovered(rng, attempt) >= 19


def test_phase_retrieval_recovers_the_code_from_fewer_squares_than_the_generator_has_outputs(rng):
    def attempt(rng):
        G, A, h0 = draw(rng, inner=400, ell=800), normal(rng, 400, 800), normal(rng, 5, 4)
        estimate = phase_retrieval.solve(G, (G(h0) @ A.T) ** 2, A=A, iterations=1000, rng=rng)
        assert torch.equal(estimate.signal, G(estimate.h) @ A.T)
        return code_error(estimate.h, h0)

    assert recovered(rng, attempt) >= 19


# What the programs say


@pytest.mark.parametrize("units", [1e-12, 1.0, 1e12])
def test_adam_does_not_depend_on_the_units_of_the_observation(units, rng):
    G1, G2, h0, m0 = draw(rng), draw(rng), normal(rng, 5, 4), normal(rng, 5, 4)
    y = units * G1(h0) * G2(m0)
    known = csgm.solve(G1, G2(m0), y, rng=rng)
    blind = asim.solve(G1, G2, y, rng=rng)
    assert (code_error(known.h, units * h0) < SUCCESS).all()
    assert (outer_product_error(blind.h, blind.m, units * h0, m0) < SUCCESS).all()


def test_the_penalty_of_csgm_balances_the_residual_along_the_ray(rng):
    G1, modulator, h0 = draw(rng), normal(rng, 5, 200).abs(), normal(rng, 5, 4)
    y, weight = G1(h0) * modulator, 0.1
    estimate = csgm.solve(G1, modulator, y, weight=weight, iterations=1000, rng=rng)
    z = estimate.signal * modulator
    # the derivative of the program along c h at c = 1, which a homogeneous generator has at every minimiser
    fit, shrink = (z * (z - y)).sum(-1), weight * estimate.h.square().sum(-1)
    torch.testing.assert_close(-fit, shrink, rtol=1e-6, atol=0)  # Adam's last steps are short, not zero
    torch.testing.assert_close(estimate.objective, (z - y).square().sum(-1) + shrink)


def test_the_penalty_of_asim_splits_the_norms_by_its_weights(rng):
    G1, G2, h0, m0 = draw(rng), draw(rng), normal(rng, 5, 4), normal(rng, 5, 4)
    y, (gamma, lambda_) = G1(h0) * G2(m0), (1e-5, 4e-5)
    estimate = asim.solve(G1, G2, y, weights=(gamma, lambda_), iterations=2000, rng=rng)
    z = estimate.signal * estimate.modulator
    # along (c h, m/c) the least penalty is 2 √(γλ) ‖h‖‖m‖, at γ‖h‖² = λ‖m‖²
    penalty = 2 * (gamma * lambda_) ** 0.5 * estimate.h.norm(dim=-1) * estimate.m.norm(dim=-1)
    torch.testing.assert_close(estimate.objective, (z - y).square().sum(-1) + penalty)


def test_more_starts_never_fit_worse(rng):
    G1, G2 = draw(rng, n=2, inner=10, ell=40), draw(rng, n=2, inner=10, ell=40)
    y = G1(normal(rng, 30, 2)) * G2(normal(rng, 30, 2))
    y = y[y.norm(dim=-1) > 0]

    def residual(restarts):
        estimate = asim.solve(G1, G2, y, restarts=restarts, rng=torch.Generator().manual_seed(0))
        return (estimate.signal * estimate.modulator - y).norm(dim=-1) / y.norm(dim=-1)

    one, six = residual(1), residual(6)
    # the first of six starts is the one start; where both succeed they differ by rounding
    assert (six <= one + 1e-6).all()
    assert (six < one - 1e-2).any()


def test_a_batch_of_any_shape_gives_the_same_estimates(rng):
    G1, modulator, h0 = draw(rng), normal(rng, 6, 200).abs(), normal(rng, 6, 4)
    y = G1(h0) * modulator
    flat = csgm.solve(G1, modulator, y, iterations=20, rng=torch.Generator().manual_seed(1))
    square = csgm.solve(
        *(G1, modulator.reshape(2, 3, -1), y.reshape(2, 3, -1)), iterations=20, rng=torch.Generator().manual_seed(1)
    )
    torch.testing.assert_close(square.h.reshape(6, 4), flat.h)
    assert square.objective.shape == (2, 3)


# Inversion and phase retrieval


def test_the_default_step_size_is_theta_over_the_expected_curvature(rng):
    networks, n, ell = 400, 3, 60
    G = ReLUGenerator.gaussian((n, 40, ell), rng, batch=(networks,))
    x, h = normal(rng, ell).expand(networks, -1), normal(rng, networks, n)
    along = (G.active_map(h) * x[..., None]).square().sum((-2, -1)) / n
    expected = THETA / inversion.inversion_step_size(G, x)
    assert abs((along - expected).mean()) < 3 * along.std() / networks**0.5


def test_the_negation_check_leaves_the_wrong_side(rng):
    G = ReLUGenerator.gaussian((1, 100, 400), rng)
    h0, x0 = torch.ones(1, dtype=torch.float64), torch.ones(400, dtype=torch.float64)
    start = {"h": -h0, "iterations": 1000}
    stuck = inversion.solve(G, x0, G(h0), reflect_every=0, **start)
    free = inversion.solve(G, x0, G(h0), **start)
    assert stuck.h < 0
    assert not stuck.converged
    assert stuck.objective > 0.1 * G(h0).square().sum()
    torch.testing.assert_close(free.h, h0)
    assert free.converged


def test_without_a_matrix_phase_retrieval_of_a_relu_network_is_inversion_of_the_root(rng):
    G, h0, start = draw(rng), normal(rng, 5, 4), normal(rng, 5, 4)
    y = G(h0) ** 2
    squares = phase_retrieval.solve(G, y, h=start, iterations=50)
    roots = inversion.solve(G, torch.ones_like(y), y.sqrt(), h=start, iterations=50)
    torch.testing.assert_close(squares.h, roots.h)
    assert torch.equal(squares.m, squares.h)


def test_the_magnitude_of_measurements_pulls_back_as_autograd_does(rng):
    F = Magnitude(Measured(draw(rng), normal(rng, 30, 200)))
    z, u = normal(rng, 5, 4).requires_grad_(), normal(rng, 5, 30)
    value, pull = F.vjp(z.detach())
    torch.testing.assert_close(value, F(z.detach()))
    torch.testing.assert_close(pull(u), torch.autograd.grad((F(z) * u).sum(), z)[0])
    assert F.widths == (4, 40, 200, 30)


# Refusals


def refuse(match):
    return pytest.raises(ValueError, match=match)


def test_what_cannot_be_solved_is_refused_with_the_remedy(rng):
    G, y = draw(rng), torch.ones(5, 200, dtype=torch.float64)
    with refuse(r"modulator has shape \(200,\), y \(5, 200\).*expand_as"):
        csgm.solve(G, y[0], y, rng=rng)
    with refuse("the generator produces 200 entries"):
        csgm.solve(G, y[:, :9], y[:, :9], rng=rng)
    with refuse(r"y has shape \(5, 9\) but G1 produces 200 entries"):
        asim.solve(G, G, y[:, :9], rng=rng)
    with refuse("y is zero for some problem.*leave it out"):
        asim.solve(G, G, y * torch.arange(5.0)[:, None], rng=rng)
    with refuse("modulator has entries that are NaN or infinite"):
        csgm.solve(G, y * inf, y, rng=rng)
    with refuse("types.*convert"):
        csgm.solve(G, y.float(), y, rng=rng)
    for setting in ({"restarts": 0}, {"step_size": 0.0}, {"weights": (-1.0, 0.0)}, {"iterations": -1}):
        with refuse("required are restarts ≥ 1"):
            asim.solve(G, G, y, **setting, rng=rng)
    with refuse("h is None and so is rng"):
        inversion.solve(G, y, y)
    for solve in (lambda F: inversion.solve(F, y, y, rng=rng), lambda F: phase_retrieval.solve(F, y, rng=rng)):
        with refuse("ReLUGenerator.gaussian.*give step_size"):
            solve(draw_smooth(rng))
    with refuse("1000 negative entries.*clamp"):
        phase_retrieval.solve(G, -y, rng=rng)
    with refuse(r"A has shape \(7, 9\); required are \(rows, 200\)"):
        phase_retrieval.solve(G, y[:, :7], A=torch.ones(7, 9, dtype=torch.float64), rng=rng)


# Batches: problems that are done leave the computation, and the others keep their own network and factor


@pytest.mark.parametrize("batch", [(), (6,)], ids=["one network", "a network each"])
def test_inversions_in_a_batch_go_as_if_alone(rng, batch):
    G, h0, h = ReLUGenerator.gaussian((3, 30, 120), rng, batch=batch), normal(rng, 6, 3), normal(rng, 6, 3)
    x0 = normal(rng, 6, 120)
    y = G(h0) * x0
    together = inversion.solve(G, x0, y, h=h, iterations=300, tolerance=1e-6)
    assert len(together.iterations.unique()) > 1  # so some leave before others
    for k in range(6):
        alone = inversion.solve(G.pick(torch.tensor(k)), x0[k], y[k], h=h[k], iterations=300, tolerance=1e-6)
        torch.testing.assert_close(together.h[k], alone.h)


def test_phase_retrievals_in_a_batch_of_networks_go_as_if_alone(rng):
    G, h0, h = ReLUGenerator.gaussian((3, 30, 120), rng, batch=(4,)), normal(rng, 4, 3), normal(rng, 4, 3)
    A = normal(rng, 60, 120)
    y = Measured(G, A)(h0).square()
    together = phase_retrieval.solve(G, y, A=A, h=h, iterations=300, tolerance=1e-6)
    for k in range(4):
        one = G.pick(torch.tensor(k))
        alone = phase_retrieval.solve(one, y[k], A=A, h=h[k], iterations=300, tolerance=1e-6)
        torch.testing.assert_close(together.h[k], alone.h)


# Sizes and types


def methods(G1, G2, y, x, **settings):
    return {
        "csgm": lambda: csgm.solve(G1, x, y, **settings),
        "asim": lambda: asim.solve(G1, G2, y, **settings),
        "inversion": lambda: inversion.solve(G1, x, y, **settings),
        "phase_retrieval": lambda: phase_retrieval.solve(G1, y.abs(), **settings),
    }


@pytest.mark.parametrize("name", ["csgm", "asim", "inversion", "phase_retrieval"])
def test_networks_and_observations_that_ask_for_gradients_are_solved_like_others(name, rng):
    G1, G2 = draw(rng), draw(rng)
    y, x = G1(normal(rng, 2, 4)) * G2(normal(rng, 2, 4)), G2(normal(rng, 2, 4))
    asking = [ReLUGenerator([W.clone().requires_grad_() for W in G.weights], alpha=G.alpha) for G in (G1, G2)]
    runs = [
        methods(*networks, a, b, iterations=5, rng=torch.Generator().manual_seed(1))[name]()
        for networks, a, b in (((G1, G2), y, x), (asking, y.clone().requires_grad_(), x.clone().requires_grad_()))
    ]
    assert torch.equal(runs[0].h, runs[1].h)
    assert not runs[1].signal.requires_grad
    assert not runs[1].modulator.requires_grad
    with torch.inference_mode():
        inferred = methods(G1, G2, y, x, iterations=5, rng=torch.Generator().manual_seed(1))[name]()
    assert torch.equal(inferred.h, runs[0].h)


@pytest.mark.parametrize("name", ["csgm", "asim", "inversion"])
@pytest.mark.parametrize("c", [1e-200, 1e200])
def test_an_observation_whose_squares_are_lost_is_refused_with_the_remedy(name, c, rng):
    G1, G2 = draw(rng), draw(rng)
    y, x = G1(normal(rng, 4)) * G2(normal(rng, 4)), G2(normal(rng, 4))
    with refuse("y has largest entries .*bring them near 1"):
        methods(G1, G2, c * y, x, iterations=5, rng=rng)[name]()
