from math import cos, sin

import pytest
import torch

from demod.expectation import contraction
from demod.hyperbolas import (
    curve_distances,
    curves,
    curves_of_theorem_3,
    hyperbola_distance,
    in_neighbourhood,
    orbit_distance,
)

NORMS = (1e-6, 1e-3, 1.0, 1e3, 1e6)


def normal(rng, *shape):
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def normal_of_any_size(rng, count, n):
    """Random codes whose norms run over twelve orders of magnitude."""
    return normal(rng, count, n) * 10 ** (12 * torch.rand(count, 1, generator=rng, dtype=torch.float64) - 6)


def ratio(c, h, m, h0, m0):
    """The relative distance in (3) for given c, from its definition."""
    near = torch.cat([c * h0, m0 / c], -1)
    return (torch.cat([h, m], -1) - near).norm(dim=-1) / near.norm(dim=-1)


def least_ratio_by_scanning(h, m, h0, m0):
    """Minimise over c on a logarithmic grid round the balance of the base point, and refine the best place five times."""
    centre = (m0.norm(dim=-1, keepdim=True) / h0.norm(dim=-1, keepdim=True)).sqrt().log()
    reach, steps = 60.0, torch.linspace(-1, 1, 2401, dtype=torch.float64)
    for _ in range(6):
        grid = (centre + reach * steps)[..., None].exp()
        values = ratio(grid, *(z[:, None].expand(-1, len(steps), -1) for z in (h, m, h0, m0)))
        best = values.min(-1)
        centre = centre + reach * steps[best.indices, None]
        reach *= 1e-2
    return best.values.clamp(max=1)


def assert_least(points, *, atol=1e-12):
    # the scan ends on a grid of step 5e-12 in log c round the minimum, where r is flat
    torch.testing.assert_close(hyperbola_distance(*points), least_ratio_by_scanning(*points), rtol=1e-10, atol=atol)


@pytest.mark.parametrize(("n", "p"), [(1, 1), (1, 4), (3, 2)])
def test_the_distance_is_the_least_relative_distance_of_3(n, p, rng):
    points = normal(rng, 300, n), normal(rng, 300, p), normal(rng, 300, n), normal(rng, 300, p)
    assert_least(points)
    assert 0.1 < (hyperbola_distance(*points) < 1).double().mean() < 1


def test_codes_of_all_sizes_keep_their_digits(rng):
    assert_least((*(normal_of_any_size(rng, 300, n) for n in (3, 2)), *(normal_of_any_size(rng, 300, n) for n in (3, 2))))


def test_points_near_a_curve_of_any_scale_keep_their_digits(rng):
    h0, m0 = normal_of_any_size(rng, 300, 3), normal_of_any_size(rng, 300, 2)
    c = 10 ** (6 * torch.rand(300, 1, generator=rng, dtype=torch.float64) - 3)
    assert_least((c * h0 * (1 + 1e-3 * normal(rng, 300, 3)), m0 / c * (1 + 1e-3 * normal(rng, 300, 2)), h0, m0))


@pytest.mark.parametrize("case", ["b", "e", "both"])
def test_codes_at_right_angles_to_the_base_point_make_the_sextic_lose_its_ends(case, rng):
    h, m, h0, m0 = normal(rng, 100, 4), normal(rng, 100, 4), normal(rng, 100, 4), normal(rng, 100, 4)
    if case in ("b", "both"):
        h[:, 2:], h0[:, :2] = 0, 0
    if case in ("e", "both"):
        m[:, 2:], m0[:, :2] = 0, 0
    assert_least((h, m, h0, m0))
    if case == "both":  # then every point of the curve is farther than its own length
        assert (hyperbola_distance(h, m, h0, m0) >= 1 - 1e-15).all()


@pytest.mark.parametrize("c", [1e-6, 1e-2, 1.0, 31.0, 1e6])
@pytest.mark.parametrize("h_norm", NORMS)
@pytest.mark.parametrize("m_norm", NORMS)
def test_points_of_the_curve_have_distance_zero(c, h_norm, m_norm, rng):
    h0, m0 = h_norm * normal(rng, 20, 3), m_norm * normal(rng, 20, 2)
    assert (hyperbola_distance(c * h0, m0 / c, h0, m0) <= 1e-14).all()


def test_the_distance_does_not_care_which_point_of_the_curve_is_its_base(rng):
    h, m, h0, m0 = normal(rng, 50, 3), normal(rng, 50, 2), normal(rng, 50, 3), normal(rng, 50, 2)
    torch.testing.assert_close(hyperbola_distance(h, m, 1e5 * h0, m0 / 1e5), hyperbola_distance(h, m, h0, m0))


def test_the_distance_is_that_of_the_exchanged_codes(rng):
    h, m, h0, m0 = normal(rng, 50, 3), normal(rng, 50, 2), normal(rng, 50, 3), normal(rng, 50, 2)
    torch.testing.assert_close(hyperbola_distance(m, h, m0, h0), hyperbola_distance(h, m, h0, m0))


def test_the_distance_of_the_opposite_branch_and_of_the_origin_is_the_limit_one(rng):
    h0, m0 = normal(rng, 3), normal(rng, 2)
    assert hyperbola_distance(-h0, -m0, h0, m0) == 1
    assert hyperbola_distance(0 * h0, 0 * m0, h0, m0) == 1


def test_for_scalar_codes_on_a_balanced_ray_the_distance_is_known():
    # (t, t) against (c, 1/c): r(1) = |t - 1|, and for t near 1 nothing is nearer than c = 1
    t, one = torch.linspace(0.5, 1.5, 11, dtype=torch.float64)[:, None], torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(hyperbola_distance(t, t, one, one), (t - 1).abs().squeeze(-1), rtol=1e-12, atol=1e-15)


def test_single_precision_codes_are_measured_in_double(rng):
    points = tuple(normal(rng, 20, n).float() for n in (3, 2, 3, 2))
    torch.testing.assert_close(hyperbola_distance(*points), hyperbola_distance(*(z.double() for z in points)))


def test_a_point_is_in_the_neighbourhood_exactly_up_to_its_distance(rng):
    points = normal(rng, 50, 3), normal(rng, 50, 2), normal(rng, 50, 3), normal(rng, 50, 2)
    r = hyperbola_distance(*points)
    for epsilon in (0.5, 0.9, 0.99):
        assert torch.equal(in_neighbourhood(*points, epsilon), r <= epsilon)
    assert in_neighbourhood(*points, 1.01).all()


def test_at_one_a_neighbourhood_leaves_out_the_points_that_no_c_brings_within_reach(rng):
    # r(c)² - 1 = (S c² - 2b c³ - 2e c)/(c⁴ + 1) is positive for every c where neither code has a component along its base
    h, m, h0, m0 = (normal(rng, 400, n) for n in (2, 2, 2, 2))
    c = torch.logspace(-4, 4, 4001, dtype=torch.float64)[:, None, None]
    reached = (ratio(c, h, m, h0, m0) < 1 - 1e-12).any(0)  # beyond rounding
    inside = in_neighbourhood(h, m, h0, m0, 1.0)
    assert torch.equal(inside, reached)
    assert 0.6 < inside.double().mean() < 0.9  # three quarters
    assert not in_neighbourhood(-h0, -m0, h0, m0, 1.0).any()
    assert in_neighbourhood(-h0, -m0, h0, m0, 1.001).all()
    assert in_neighbourhood(0 * h0, 0 * m0, h0, m0, 1.0).all()  # as far as it is long, for every c


def test_an_orbit_is_as_far_as_the_farthest_of_its_points(rng):
    h, m, h0, m0 = (normal(rng, 40, n) for n in (3, 2, 3, 2))
    h[:20], m[:20] = h0[:20] + 0.2 * h[:20], m0[:20] + 0.2 * m[:20]  # near the global curve
    c = torch.linspace(-9, 9, 1801, dtype=torch.float64).exp()[:, None, None]
    scanned = curve_distances(c * h, m / c, h0, m0, d=2, s=2).amin(-1).amax(0)
    found = orbit_distance(h, m, h0, m0, d=2, s=2)
    assert (found - scanned).abs().max() < 5e-3  # the scan's steps of 0.01 in log c
    torch.testing.assert_close(orbit_distance(5 * h, m / 5, h0, m0, d=2, s=2), found, rtol=0, atol=2e-3)


def test_a_turn_of_a_code_is_seen_in_full_at_the_end_of_the_orbit_and_not_at_its_balanced_point():
    one, turned = torch.tensor([[1.0, 0.0], [cos(0.1), sin(0.1)]], dtype=torch.float64)
    assert orbit_distance(turned, one, one, one, d=2, s=2).item() == pytest.approx(sin(0.1), rel=1e-12)
    assert curve_distances(turned, one, one, one, d=2, s=2)[0].item() == pytest.approx(0.0706, abs=1e-4)


@pytest.mark.parametrize(("d", "s"), [(2, 2), (2, 5), (4, 3)])
def test_both_notations_of_the_curves_are_the_same_sets(d, s, rng):
    h, m, h0, m0 = (normal_of_any_size(rng, 100, n) for n in (3, 2, 3, 2))
    for of_one, of_three in zip(curves(h0, m0, d=d, s=s), curves_of_theorem_3(h0, m0, d=d, s=s), strict=True):
        assert of_one.shape == of_three.shape == (100, 4, of_one.shape[-1])
    distances = [
        hyperbola_distance(h[:, None], m[:, None], *base)
        for base in (curves(h0, m0, d=d, s=s), curves_of_theorem_3(h0, m0, d=d, s=s))
    ]
    torch.testing.assert_close(*distances, rtol=0, atol=1e-12)


def test_the_four_curves_come_in_the_order_of_theorem_1(rng):
    h0, m0 = (z / z.norm() for z in (normal(rng, 3), normal(rng, 2)))
    points = [(h0, m0), (-contraction(2) * h0, m0), (h0, -contraction(4) * m0), (-contraction(2) * h0, -contraction(4) * m0)]
    r = torch.stack([curve_distances(1.2 * h, m / 1.2, h0, m0, d=2, s=4) for h, m in points])
    assert (r.diagonal() <= 1e-15).all()
    assert (r + torch.eye(4) > 0.1).all()


def test_a_base_point_with_a_zero_code_is_refused(rng):
    h, m = normal(rng, 2, 3), normal(rng, 2, 2)
    m0 = m.clone()
    m0[1] = 0
    with pytest.raises(ValueError, match="a hyperbola needs a base point of two nonzero codes"):
        hyperbola_distance(h, m, h, m0)
