from math import pi

import pytest
import torch

from demod.descent.balancing import balanced
from demod.expectation import angle, expected_gradient, planted_weight
from demod.generators import ReLUGenerator
from demod.hyperbolas import hyperbola_distance, nearest_point
from demod.landscape import (
    around,
    certified_strength,
    curvature,
    expected_one_point,
    noise_gain,
    one_point,
    proved_strength,
    random_directions,
    weakest,
)
from demod.landscape import tube as tube_module
from demod.objective import objective

DEPTHS = [(2, 2), (2, 5), (3, 4)]


def draw_codes(rng, count, n=4, p=3):
    h, h0 = torch.randn(2, count, n, generator=rng, dtype=torch.float64)
    m, m0 = torch.randn(2, count, p, generator=rng, dtype=torch.float64)
    return (*balanced(h, m), *balanced(h0, m0))


def draw_problem(rng, n=4, p=3, inner=40, ell=400):
    G1, G2 = (ReLUGenerator.gaussian((k, inner, ell), rng) for k in (n, p))
    h0, m0 = (torch.randn(k, generator=rng, dtype=torch.float64) for k in (n, p))
    return G1, G2, *balanced(h0, m0)


def three_numbers(h, m, h0, m0):
    H0 = h0.norm(dim=-1) * m0.norm(dim=-1)
    return h.norm(dim=-1) / H0.sqrt(), angle(h, h0), angle(m, m0)


@pytest.mark.parametrize(("d", "s"), DEPTHS)
def test_the_closed_form_of_the_strength_is_that_of_the_expected_gradient(d, s, rng):
    h, m, h0, m0 = draw_codes(rng, 200)
    t = torch.cat(expected_gradient(h, m, h0, m0, d=d, s=s, ell=7), -1)
    L = h0.norm(dim=-1) * m0.norm(dim=-1) / 2 ** (d + s) / 7
    off = torch.cat([h - h0, m - m0], -1)
    seen = expected_one_point(*three_numbers(h, m, h0, m0), d=d, s=s)
    torch.testing.assert_close(seen.strength, (t * off).sum(-1) / L / off.square().sum(-1))
    torch.testing.assert_close(seen.steepness, t.norm(dim=-1) / L / off.norm(dim=-1))
    torch.testing.assert_close(seen.distance, off.norm(dim=-1) / torch.cat([h0, m0], -1).norm(dim=-1))


def test_the_strength_tends_to_the_closed_form_like_the_inverse_root_of_the_width(rng):
    deviations = []
    for width in (50, 800):
        square = 0.0
        for _ in range(8):
            G1, G2, h0, m0 = draw_problem(rng, inner=width, ell=10 * width)
            h, m = around(h0, m0, 0.5, random_directions(20, h0, m0, rng))
            expected = expected_one_point(*three_numbers(h, m, h0, m0), d=2, s=2)
            square += (one_point(G1, G2, h, m, h0, m0).strength / expected.strength - 1).square().mean().item()
        deviations.append(square**0.5)
    assert 2 < deviations[0] / deviations[1] < 8  # √(800/50) = 4


def test_the_strength_is_the_slope_of_f_on_the_way_home(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    h, m = around(h0, m0, 0.3, random_directions(10, h0, m0, rng))
    y0, t = G1(h0) * G2(m0), 1e-7
    there = objective(G1, G2, h + t * (h0 - h), m + t * (m0 - m), y0)
    back = objective(G1, G2, h - t * (h0 - h), m - t * (m0 - m), y0)
    square = (h - h0).square().sum(-1) + (m - m0).square().sum(-1)
    expected = (back - there) / (2 * t) / square / curvature(G1, G2, y0, h0, m0)
    torch.testing.assert_close(one_point(G1, G2, h, m, h0, m0).strength, expected, rtol=1e-5, atol=0)


def test_where_a_point_stands_on_its_hyperbola_does_not_matter(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    h, m = around(h0, m0, 0.4, random_directions(10, h0, m0, rng))
    here, moved = one_point(G1, G2, h, m, h0, m0), one_point(G1, G2, 3 * h, m / 3, h0 / 7, 7 * m0)
    torch.testing.assert_close(moved.strength, here.strength)
    torch.testing.assert_close(moved.distance, here.distance)


def test_the_nearest_point_of_the_hyperbola_is_nearer_than_any_other_and_near_the_balanced_one(rng):
    h, m, h0, m0 = draw_codes(rng, 100)
    P, R = nearest_point(h, m, h0, m0)
    c = torch.logspace(-4, 4, 4001, dtype=torch.float64)[:, None, None]
    others = (h - c * h0).square().sum(-1) + (m - m0 / c).square().sum(-1)
    distance = (h - P).square().sum(-1) + (m - R).square().sum(-1)
    assert (distance <= others.amin(0) * (1 + 1e-12)).all()
    torch.testing.assert_close(distance, others.amin(0), rtol=1e-4, atol=0)  # of a grid of ratio 1.005
    assert (hyperbola_distance(P, R, h0, m0) < 1e-7).all()


@pytest.mark.parametrize(("d", "s"), DEPTHS)
@pytest.mark.parametrize("r", [0.05, 0.2, 0.3])
def test_no_point_of_the_tube_passes_the_bounds_proved_by_hand(d, s, r, rng):
    h, m, h0, m0 = draw_codes(rng, 20_000)
    v = torch.cat([h, m], -1)
    h, m = around(h0, m0, r * torch.rand(20_000, 1, generator=rng, dtype=torch.float64), v)
    seen = expected_one_point(*three_numbers(h, m, h0, m0), d=d, s=s)
    bound = proved_strength(r, max(d, s))
    within = seen.distance <= r
    assert (seen.strength[within] >= bound).all()
    assert (seen.steepness[within] <= (1 + r) * (3 + r + max(d, s))).all()


def test_the_strength_proved_by_hand_tends_to_the_curvature_across_the_hyperbola_and_ends():
    assert proved_strength(0.0, 2) == 1
    assert proved_strength(0.43, 2) > 0 == proved_strength(0.46, 2)
    assert proved_strength(0.2, 2) > proved_strength(0.2, 3)


@pytest.mark.parametrize(("d", "s", "outer"), [(2, 2, 0.69), (2, 3, 0.5)])
def test_the_certified_strength_is_the_least_on_a_grid_to_within_its_accuracy(d, s, outer):
    x, *angles = (torch.linspace(low, high, 81, dtype=torch.float64) for low, high in ((0.2, 1.8), (0, 2.2), (0, 2.2)))
    seen = expected_one_point(x[:, None, None], angles[0][:, None], angles[1], d=d, s=s)
    least = seen.strength[(seen.distance >= 0.2) & (seen.distance <= outer)].min().item()
    certified = certified_strength(0.2, outer, d=d, s=s)
    assert least - 0.03 < certified <= least  # 2/2⁸ of the search, and what the grid misses


def test_boxes_certify_nothing_that_a_point_contradicts():
    low, high = torch.tensor([[0.8, 0.1, 0.0]], dtype=torch.float64), torch.tensor([[1.0, 0.5, 0.4]], dtype=torch.float64)
    product, least, most = tube_module._bounds(low, high, 2, 3)
    x, theta, phi = (torch.linspace(a, b, 21, dtype=torch.float64) for a, b in zip(low[0], high[0], strict=True))
    seen = expected_one_point(x[:, None, None], theta[:, None], phi, d=2, s=3)
    square = 2 * seen.distance.square()
    assert (seen.strength * square >= product).all()
    assert (square >= least - 1e-12).all()
    assert (square <= most + 1e-12).all()


def test_a_search_starts_at_its_directions_and_finds_weaker_ones(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    v = random_directions(6, h0, m0, rng)
    met = weakest(G1, G2, h0, m0, 0.4, v, steps=15)
    assert met.shape == (16, 6)
    torch.testing.assert_close(met[0], one_point(G1, G2, *around(h0, m0, 0.4, v), h0, m0).strength)
    assert (met.amin(0) < 0.8 * met[0]).all()


def test_a_search_descends_along_the_slope_of_the_strength(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    v = random_directions(5, h0, m0, rng)
    e = 1e-7 * torch.randn(v.shape, generator=rng, dtype=torch.float64)
    L = curvature(G1, G2, G1(h0) * G2(m0), h0, m0)
    ahead, behind = (L * one_point(G1, G2, *around(h0, m0, 0.3, v + k * e), h0, m0).strength for k in (1, -1))
    slope = tube_module._strength_slope(G1, G2, h0, m0, 0.3, v)
    torch.testing.assert_close((ahead - behind) / 2, (slope * e).sum(-1), rtol=1e-4, atol=0)  # a difference quotient


@pytest.mark.parametrize("relative", [True, False])
def test_in_the_limit_each_step_turns_both_codes_home_and_every_start_converges(relative, rng):
    h, m, h0, m0 = draw_codes(rng, 300)
    unit = (h0.norm(dim=-1) * m0.norm(dim=-1)).sqrt()[:, None]
    length = 10 ** ((4 if relative else 1) * torch.rand(300, 1, generator=rng, dtype=torch.float64) - (2 if relative else 1))
    h, m = (2 * length * unit * z / z.norm(dim=-1, keepdim=True) for z in (h, m))
    h, m = h * (h * h0).sum(-1, True).sign(), m * (m * m0).sum(-1, True).sign()  # line 3
    for _ in range(150):
        angles = angle(h, h0), angle(m, m0)
        for code in (0, 1):
            size = (m, h)[code].square().sum(-1, True) if relative else unit.square()
            step = 0.25 * 2**4 / size * expected_gradient(h, m, h0, m0, d=2, s=2, ell=1)[code]
            h, m = (h - step, m) if code == 0 else (h, m - step)
        h, m = balanced(h, m)
        assert (angle(h, h0) <= angles[0] + 1e-12).all()
        assert (angle(m, m0) <= angles[1] + 1e-12).all()
    assert (torch.cat([h - h0, m - m0], -1).norm(dim=-1) < 1e-9).all()


def test_the_weight_of_the_planted_code_is_what_the_proof_uses():
    theta = torch.linspace(0, pi, 500, dtype=torch.float64)
    for depth in (2, 3, 6):
        a = planted_weight(theta, depth)
        assert a[0] == 1
        assert (a.diff() < 1e-15).all()
        assert (a >= (1 - theta / pi) ** depth - 1e-12).all()


def test_noise_leaves_the_error_that_the_jacobian_predicts(rng):
    G1, G2, h0, m0 = draw_problem(rng, n=3, p=3)
    J1, J2 = G1.active_map(h0), G2.active_map(m0)
    J = torch.cat([G2(m0)[:, None] * J1, G1(h0)[:, None] * J2], -1)
    y0 = G1(h0) * G2(m0)
    e = 1e-3 * y0.norm() / 20 * torch.randn(400, 4000, generator=rng, dtype=torch.float64)  # ℓ = 400
    a, b = (torch.linalg.pinv(J) @ e).split(3)
    moved = a.T[:, :, None] * m0 + h0[:, None] * b.T[:, None, :]
    error = moved.square().sum((-2, -1)).mean().sqrt() / (h0.norm() * m0.norm())
    assert (error / 1e-3).item() == pytest.approx(noise_gain(G1, G2, h0, m0).item(), rel=0.03)  # of 4,000 draws


@pytest.mark.parametrize("radii", [(0.0, 0.5), (0.5, 0.4), (0.1, 1.0)])
def test_radii_that_bound_no_tube_are_refused(radii):
    with pytest.raises(ValueError, match=r"required are 0 < inner < outer < 1"):
        certified_strength(*radii, d=2, s=2)
