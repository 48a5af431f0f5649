from math import acos, cos, pi, prod, sin

import pytest
import torch

from demod.expectation import angle_map, contraction

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


def test_rho_rises_to_one_as_one_minus_nine_pi_squared_over_two_d_squared():
    ratios = [(1 - contraction(depth)) * 2 * depth**2 / (9 * pi**2) for depth in (100, 1_000, 10_000, 100_000)]
    assert ratios == sorted(ratios)
    assert all(ratio < 1 for ratio in ratios)
    assert ratios[-1] == pytest.approx(1, abs=1e-3)


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
    with pytest.raises(ValueError, match="depth is 0, but a network has at least one layer"):
        contraction(0)
