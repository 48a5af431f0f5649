from math import acos, cos, pi, prod, sin

import pytest
import torch

from demod.expectation import (
    angle,
    angle_map,
    contraction,
    expected_cosine,
    expected_gradient,
    expected_gram,
    expected_pullback,
    population_objective,
    population_profile,
)
from demod.generators import ReLUGenerator
from demod.objective import gradient, half_squared_norm, objective

RHO = {
    2: 0.318310,
    3: 0.493731,
    4: 0.604826,
    5: 0.680954,
    6: 0.735946,
    7: 0.777229,
    8: 0.809148,
    9: 0.834416,
    10: 0.854809,
    100: 0.996357,
}


def iterated_angles(count: int) -> list[float]:
    """θ̌_0 = π, θ̌_1, …, from the formula of the angle map."""
    angles = [pi]
    for _ in range(count):
        angles.append(acos(((pi - angles[-1]) * cos(angles[-1]) + sin(angles[-1])) / pi))
    return angles


@pytest.mark.parametrize(("depth", "rho"), RHO.items())
def test_rho_has_its_tabulated_value(depth, rho):
    assert contraction(depth) == pytest.approx(rho, abs=1e-6)


def test_rho_is_zero_at_one_layer_and_one_over_pi_at_two():
    assert contraction(1) == pytest.approx(0, abs=1e-15)
    assert contraction(2) == pytest.approx(1 / pi, rel=1e-15)


@pytest.mark.parametrize("depth", range(1, 30))
def test_rho_is_the_sum_of_theorem_3(depth):
    angles = iterated_angles(depth)
    terms = [sin(angles[i]) / pi * prod((pi - angles[j]) / pi for j in range(i + 1, depth)) for i in range(depth)]
    assert contraction(depth) == pytest.approx(sum(terms), abs=1e-14)


@pytest.mark.parametrize("depth", [*range(1, 30), 100, 1000])
def test_rho_is_the_cosine_of_the_iterated_angle(depth):
    # acos loses digits as the angles shrink: 1e-16/θ̌ at each of `depth` layers
    assert contraction(depth) == pytest.approx(cos(iterated_angles(depth)[depth]), abs=1e-12)


@pytest.mark.parametrize(("depth", "within"), [(10_000, 1e-2), pytest.param(100_000, 1e-3, marks=pytest.mark.nightly)])
def test_rho_rises_to_one_as_one_minus_nine_pi_squared_over_two_d_squared(depth, within):
    ratios = [(1 - contraction(d)) * 2 * d**2 / (9 * pi**2) for d in (depth // 100, depth // 10, depth)]
    assert ratios == sorted(ratios)
    assert all(ratio < 1 for ratio in ratios)
    assert ratios[-1] == pytest.approx(1, abs=within)  # the next term is of the order of log d/d


def test_iterated_angles_lie_between_the_bounds_of_the_proof():
    theta = torch.tensor(pi, dtype=torch.float64)
    for i in range(300):
        assert pi / (i + 1) - 1e-12 <= theta <= 3 * pi / (i + 3) + 1e-12
        theta = angle_map(theta)


def test_the_angle_map_fixes_zero_sends_pi_to_a_right_angle_and_contracts():
    theta = torch.linspace(0, pi, 1001, dtype=torch.float64)
    image = angle_map(theta)
    assert image[0] == 0
    assert image[-1].item() == pytest.approx(pi / 2, abs=1e-15)
    assert (image.diff() > 0).all()
    assert (image[1:] < theta[1:]).all()


def test_the_angle_map_is_cubically_flat_at_opposite_codes():
    delta = torch.tensor([0.2, 0.1, 0.05], dtype=torch.float64)
    remainder = pi / 2 - angle_map(pi - delta) - delta**3 / (3 * pi)
    assert (remainder.abs() < delta**5).all()


@pytest.mark.parametrize("theta", [0.3, 1.2, 2.0, 2.9, pi])
def test_a_wide_random_layer_turns_angles_as_the_angle_map_says(theta, rng):
    z = torch.tensor([[1.0, 0, 0], [cos(theta), sin(theta), 0]], dtype=torch.float64)
    W = torch.randn(50, 10_000, 3, generator=rng, dtype=torch.float64)
    a, b = (z @ W.mT).relu().unbind(1)
    cosines = torch.nn.functional.cosine_similarity(a, b, dim=-1)
    error = cosines.mean() - angle_map(torch.tensor(theta, dtype=torch.float64)).cos()
    assert error.abs() <= 4 * cosines.std() / 50**0.5 + 1e-15  # four standard errors; exact at θ = π


def test_a_network_without_layers_has_no_rho():
    with pytest.raises(ValueError, match="depth is 0, but it must be at least 1"):
        contraction(0)


# Q of (5)


def vectors(count, *shape, rng):
    return [torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(count)]


def test_q_of_equal_codes_is_half_the_identity(rng):
    (x,) = vectors(1, 7, 5, rng=rng)
    half = torch.eye(5, dtype=torch.float64).expand(7, 5, 5) / 2
    torch.testing.assert_close(expected_gram(x, 3 * x), half, rtol=0, atol=1e-15)


def test_q_of_opposite_codes_is_zero(rng):
    (x,) = vectors(1, 7, 5, rng=rng)
    torch.testing.assert_close(expected_gram(x, -2 * x), torch.zeros(7, 5, 5, dtype=torch.float64), rtol=0, atol=1e-15)


def test_q_is_built_of_a_map_that_swaps_the_codes_and_forgets_what_is_orthogonal_to_both(rng):
    x, y, z = vectors(3, 20, 5, rng=rng)
    theta = angle(x, y)[:, None]
    identity, swap = (pi - theta) / (2 * pi), theta.sin() / (2 * pi)
    x, y = x / x.norm(dim=-1, keepdim=True), y / y.norm(dim=-1, keepdim=True)
    plane = torch.linalg.qr(torch.stack([x, y], -1)).Q
    z = z - (plane @ (plane.mT @ z[..., None])).squeeze(-1)
    Q = expected_gram(x, y)
    torch.testing.assert_close((Q @ x[..., None]).squeeze(-1), identity * x + swap * y)
    torch.testing.assert_close((Q @ y[..., None]).squeeze(-1), identity * y + swap * x)
    torch.testing.assert_close((Q @ z[..., None]).squeeze(-1), identity * z)


@pytest.mark.parametrize("theta", [0.4, 1.5, 2.6])
def test_q_is_the_expectation_of_the_masked_gram_matrix(theta, rng):
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    y = torch.tensor([cos(theta), sin(theta), 0], dtype=torch.float64)
    W = torch.randn(200, 5_000, 3, generator=rng, dtype=torch.float64) / 5_000**0.5
    both = W * ((W @ x > 0) & (W @ y > 0))[..., None]
    samples = both.mT @ both
    error = (samples.mean(0) - expected_gram(x, y)).abs()
    assert (error <= 4 * samples.std(0) / 200**0.5 + 1e-15).all()  # four standard errors, entry by entry


@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-9, 1e-12])
def test_q_keeps_its_digits_as_the_codes_become_parallel_or_opposite(delta):
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    y = torch.tensor([cos(delta), sin(delta), 0], dtype=torch.float64)
    assert angle(x, y).item() == pytest.approx(delta, rel=1e-12)
    assert pi - angle(x, -y).item() == pytest.approx(delta, abs=1e-15)
    expected = (pi - delta) / (2 * pi) + sin(delta) / (2 * pi) * cos(delta)  # x̂ᵀ Q x̂
    assert expected_gram(x, y)[0, 0].item() == pytest.approx(expected, abs=1e-15)
    assert expected_gram(x, y)[2, 2].item() == pytest.approx((pi - delta) / (2 * pi), abs=1e-15)


# The expected gradient and the population landscape

SIZES = {"d": 2, "s": 3, "ell": 40, "alpha": 0.9}


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_the_expected_cosine_is_that_of_the_iterated_angle(depth):
    theta = torch.linspace(0, pi, 101, dtype=torch.float64)
    image = theta
    for _ in range(depth):
        image = angle_map(image)
    torch.testing.assert_close(expected_cosine(theta, depth), image.cos(), rtol=0, atol=1e-14)


def test_the_expected_pullback_has_the_inner_product_of_the_expected_outputs(rng):
    h, h0 = vectors(2, 50, 4, rng=rng)
    inner = 2.0**-3 * h.norm(dim=-1) * h0.norm(dim=-1) * expected_cosine(angle(h, h0), 3)
    torch.testing.assert_close((h * expected_pullback(h, h0, 3)).sum(-1), inner)


def test_the_expected_gradient_is_the_gradient_of_the_population_objective(rng):
    h, m, h0, m0 = vectors(4, 50, 4, rng=rng)
    h.requires_grad_(), m.requires_grad_()
    f = population_objective(h, m, h0, m0, **SIZES)
    for found, expected in zip(expected_gradient(h, m, h0, m0, **SIZES), torch.autograd.grad(f.sum(), (h, m)), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("sign_h", "sign_m"), [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_the_expected_gradient_vanishes_on_the_four_curves_with_the_values_of_the_theory(sign_h, sign_m, rng):
    h0, m0 = vectors(2, 20, 4, rng=rng)
    kappa = (1 if sign_h > 0 else contraction(2)) * (1 if sign_m > 0 else contraction(3))
    c = torch.logspace(-2, 2, 20, dtype=torch.float64)[:, None]
    h, m = c * sign_h * kappa * h0, sign_m * m0 / c
    size = torch.cat(expected_gradient(2 * h, m, h0, m0, **SIZES), -1).norm(dim=-1)
    assert (torch.cat(expected_gradient(h, m, h0, m0, **SIZES), -1).norm(dim=-1) <= 1e-12 * size).all()
    axes = population_objective(1e-9 * h, 1e-9 * m, h0, m0, **SIZES)  # f̄ is constant on K
    expected = torch.full((20,), 1 - kappa**2, dtype=torch.float64)
    torch.testing.assert_close(population_objective(h, m, h0, m0, **SIZES) / axes, expected, rtol=0, atol=1e-14)


def test_the_expected_gradient_vanishes_nowhere_else(rng):
    h, m, h0, m0 = vectors(4, 2_000, 2, rng=rng)
    t1, t2 = expected_gradient(h, m, h0, m0, **SIZES)
    slope = torch.cat([t1, t2], -1).norm(dim=-1) * torch.cat([h, m], -1).norm(dim=-1)
    assert (slope > 1e-3 * population_objective(1e-9 * h, 1e-9 * m, h0, m0, **SIZES)).all()


def test_the_gradient_of_wide_networks_converges_to_the_expected_one_like_the_inverse_root_of_the_width(rng):
    h, m, h0, m0 = vectors(4, 20, 3, rng=rng)

    def relative_error(width):
        widths = (3, width, 10 * width)
        G1, G2 = (ReLUGenerator.gaussian(widths, rng, batch=(20,), truncate_last=False) for _ in range(2))
        found = torch.cat(gradient(G1, G2, h, m, G1(h0) * G2(m0)), -1)
        expected = torch.cat(expected_gradient(h, m, h0, m0, d=2, s=2, ell=10 * width), -1)
        return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).median()

    assert 2 < relative_error(20) / relative_error(320) < 8  # √16 = 4


def test_the_objective_of_wide_networks_converges_to_the_population_objective(rng):
    h, m, h0, m0 = vectors(4, 10, 3, rng=rng)
    G1, G2 = (ReLUGenerator.gaussian((3, 1_000, 4_000), rng) for _ in range(2))
    y = G1(h0) * G2(m0)
    expected = population_objective(h, m, h0, m0, d=2, s=2, ell=4_000, alpha=G1.alpha * G2.alpha)
    error = (objective(G1, G2, h, m, y) - expected).abs() / (expected + half_squared_norm(y))
    assert (error < 0.15).all()  # about three times 1/√1000 + 1/√4000


def test_the_population_profile_has_its_lowest_product_at_kappa():
    theta = torch.tensor([0.5, 2.0], dtype=torch.float64)
    kappa = expected_cosine(theta, 2) * expected_cosine(theta, 3)
    for shift in (-1e-3, 1e-3):
        higher = population_profile(kappa + shift, theta, theta, d=2, s=3)
        assert (higher > population_profile(kappa, theta, theta, d=2, s=3)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ell": 0}, "ell is 0"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"d": 0}, "depth is 0"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(change, message, rng):
    codes = vectors(4, 3, rng=rng)
    for function in (expected_gradient, population_objective):
        with pytest.raises(ValueError, match=message):
            function(*codes, **(SIZES | change))


def test_a_zero_code_has_no_expectation(rng):
    h, m, h0, m0 = vectors(4, 3, rng=rng)
    with pytest.raises(ValueError, match="y is zero somewhere"):
        expected_gram(h, 0 * h)
    with pytest.raises(ValueError, match="is zero somewhere"):
        expected_gradient(0 * h, m, h0, m0, **SIZES)
