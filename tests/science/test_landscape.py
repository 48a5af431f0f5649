from math import pi

import pytest
import torch

from demod.descent import default_step_size, descend
from demod.generators import ReLUGenerator
from demod.hyperbolas import curves
from demod.landscape import (
    QUADRANTS,
    branches,
    codes_at_kinks,
    codes_near_curves,
    deviations,
    directions_off_K,
    expected_branches,
    hessian,
    linear_rate,
    objective_grid,
    on_grid,
    over_networks,
    radius,
    ripples,
    rounded,
    scaled_gradient,
    slopes_down,
    spurious_share,
    survey,
    survey_networks,
    valley_grid,
    without_fall_off_K,
    without_way_down,
)
from demod.objective import gradient, objective, one_sided_gradient


def draw_pair(rng, *, depths=(2, 2), inner=50, ell=200, networks=()):
    G1, G2 = (ReLUGenerator.gaussian((1, *[inner] * (depth - 1), ell), rng, batch=networks) for depth in depths)
    ones = torch.ones(*networks, 1, dtype=torch.float64)
    return G1, G2, G1(ones) * G2(ones)


def test_each_branch_is_the_minimum_of_f_in_its_quadrant(rng):
    G1, G2, y = draw_pair(rng)
    energy, found = y.square().sum().item() / 2, branches(G1, G2, y)
    t = torch.linspace(0, 1.5, 30_001, dtype=torch.float64)[:, None]
    for k, (sign_h, sign_m) in enumerate(QUADRANTS):
        # the hyperbola is searched at an arbitrary place on it, |h| = 3 |m|
        f = objective(G1, G2, sign_h * (3 * t).sqrt(), sign_m * (t / 3).sqrt(), y)
        least, at = f.min(0)
        assert found.product[k].item() == pytest.approx(t[at].item(), abs=2.6e-5)
        assert energy * found.value[k].item() == pytest.approx(least.item(), abs=1e-8 * energy)


def test_the_branch_of_the_planted_codes_is_at_one_with_value_zero(rng):
    found = branches(*draw_pair(rng, networks=(20,)))
    torch.testing.assert_close(found.product[:, 0], torch.ones(20, dtype=torch.float64), rtol=1e-12, atol=0)
    assert (found.value[:, 0] < 1e-24).all()


def test_branches_of_many_networks_are_those_of_each(rng):
    G1, G2, y = draw_pair(rng, networks=(5,))
    together = branches(G1, G2, y)
    for i in range(5):
        alone = branches(ReLUGenerator([W[i] for W in G1.weights]), ReLUGenerator([W[i] for W in G2.weights]), y[i])
        torch.testing.assert_close(together.product[i], alone.product)
        torch.testing.assert_close(together.value[i], alone.value)


def test_every_branch_lies_between_the_planted_one_and_the_axes(rng):
    found = branches(*draw_pair(rng, networks=(100,)))
    assert (found.product > 0).all()
    assert (found.value < 1).all()
    assert (found.value[:, 1:] > 0).all()


@pytest.mark.parametrize("inner", [25, 100])
@pytest.mark.parametrize("depths", [(2, 2), (2, 3), (3, 3)])
def test_mean_branches_miss_the_theory_by_at_most_three_over_the_width(depths, inner, rng):
    # The theory is the limit of infinite width. The bias at a finite one, averaged over networks, is of the order 1/width,
    # with constants up to 2.5 in these cases; the spread of the mean comes on top.
    theory = expected_branches(*depths)
    found = branches(*draw_pair(rng, depths=depths, inner=inner, ell=5 * inner, networks=(200,)))
    for sample, expected in ((found.product, theory.product), (found.value, theory.value)):
        deviation = (sample.mean(0) - expected).abs()
        assert (deviation <= 3 / inner + 3 * sample.std(0) / 200**0.5).all()


def test_the_theory_of_figure_1_is_one_over_pi_twice_and_its_square():
    theory = expected_branches(2, 2)
    torch.testing.assert_close(theory.product, torch.tensor([1, 1 / pi, 1 / pi, 1 / pi**2], dtype=torch.float64))
    torch.testing.assert_close(
        theory.value, torch.tensor([0, 0.898679, 0.898679, 0.989734], dtype=torch.float64), rtol=0, atol=1e-6
    )


def test_a_negative_signal_code_belongs_to_the_depth_of_the_signals_network():
    d4s2, d2s4 = expected_branches(4, 2), expected_branches(2, 4)
    assert QUADRANTS == ((1, 1), (-1, 1), (1, -1), (-1, -1))
    assert d4s2.product[1] == d2s4.product[2] == pytest.approx(0.604826, abs=1e-6)
    assert d4s2.product[3] == d2s4.product[3]


def test_networks_of_different_depths_show_which_quadrant_is_which(rng):
    found = branches(*draw_pair(rng, depths=(4, 2), inner=100, ell=500, networks=(100,)))
    assert found.product[:, 1].mean() > 0.5 > 0.4 > found.product[:, 2].mean()


def test_the_grid_holds_the_objective_at_each_point_with_rows_along_m(rng):
    G1, G2, y = draw_pair(rng)
    h, m = torch.linspace(-2, 2, 7, dtype=torch.float64), torch.linspace(-1, 3, 5, dtype=torch.float64)
    grid = objective_grid(G1, G2, h, m, y)
    assert grid.shape == (5, 7)
    for i, m_i in enumerate(m):
        for j, h_j in enumerate(h):
            torch.testing.assert_close(grid[i, j], objective(G1, G2, h_j[None], m_i[None], y))


@pytest.mark.parametrize("widths", [((2, 9, 30), (1, 9, 30)), ((1, 9, 30), (3, 9, 30))])
def test_codes_of_more_than_one_entry_are_refused(widths, rng):
    G1, G2 = (ReLUGenerator.gaussian(w, rng) for w in widths)
    y, axis = torch.ones(30, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    with pytest.raises(ValueError, match="entries, but a grid needs n = p = 1"):
        objective_grid(G1, G2, axis, axis, y)
    with pytest.raises(ValueError, match="entries, but a grid needs n = p = 1"):
        branches(G1, G2, y)


# Any dimension


def draw_problem(rng, *, n=3, p=2, depths=(2, 3), inner=16, ell=64):
    G1, G2 = (ReLUGenerator.gaussian((k, *[inner] * (depth - 1), ell), rng) for k, depth in zip((n, p), depths, strict=True))
    h0, m0 = (torch.randn(k, generator=rng, dtype=torch.float64) for k in (n, p))
    return G1, G2, h0, m0


def random_codes(rng, count, *dimensions):
    return tuple(torch.randn(count, n, generator=rng, dtype=torch.float64) for n in dimensions)


def test_the_valley_is_the_least_objective_on_a_ray(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    (h, m), y = random_codes(rng, 6, 3, 2), G1(h0) * G2(m0)
    grid = valley_grid(G1, G2, h, m, y)
    t = torch.linspace(0, 40, 20_001, dtype=torch.float64)[:, None]
    for j, k in ((0, 0), (1, 4), (5, 2)):
        least = objective(G1, G2, t * h[j], m[k], y).min() / (y.square().sum() / 2)
        assert grid[k, j].item() == pytest.approx(least.item(), abs=1e-5)


def test_the_valleys_of_scalar_codes_are_the_branches(rng):
    G1, G2, y = draw_pair(rng)
    signs = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    torch.testing.assert_close(valley_grid(G1, G2, signs, signs, y).flatten(), branches(G1, G2, y).value, rtol=0, atol=1e-12)


def test_the_hessian_is_that_of_automatic_differentiation(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    (h, m), y = random_codes(rng, 5, 3, 2), G1(h0) * G2(m0)
    together = hessian(G1, G2, h, m, y)
    for i in range(5):

        def f(z):
            return objective(G1, G2, z[:3], z[3:], y)

        torch.testing.assert_close(together[i], torch.autograd.functional.hessian(f, torch.cat([h[i], m[i]])))


def test_in_one_code_alone_the_pieces_are_convex(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    H = hessian(G1, G2, *random_codes(rng, 200, 3, 2), G1(h0) * G2(m0))
    assert (torch.linalg.eigvalsh(H[:, :3, :3]) >= -1e-14).all()
    assert (torch.linalg.eigvalsh(H[:, 3:, 3:]) >= -1e-14).all()
    assert (torch.linalg.eigvalsh(H)[:, 0] < -1e-3 * H.abs().amax((1, 2))).double().mean() > 0.5  # but not in both together


def test_the_hessian_refuses_an_observation_that_does_not_fit(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    with pytest.raises(ValueError, match=r"y has shape \(63,\) but G1 produces 64 entries"):
        hessian(G1, G2, h0, m0, torch.ones(63, dtype=torch.float64))


@pytest.fixture(scope="module")
def surveyed():
    """A narrow pair of networks of different depths, which has minimisers of every kind, and 150 endpoints."""
    rng = torch.Generator().manual_seed(2019)
    G1, G2, h0, m0 = draw_problem(rng)
    return G1, G2, h0, m0, survey(G1, G2, h0, m0, starts=150, iterations=150, rng=rng)


def test_descents_end_at_stationary_points_inside_pieces_and_on_kinks(surveyed):
    found = surveyed[-1]
    assert (found.gradient <= 1e-8).all()
    assert (found.kinks == 0).any()
    assert (found.kinks == 1).any()
    assert (found.kinks >= 2).any()
    assert (found.objective < 1e-12).any()  # on the global curve
    assert (found.objective > 0.1).any()  # and elsewhere
    torch.testing.assert_close(found.h.norm(dim=-1), found.m.norm(dim=-1))


def test_no_point_near_an_endpoint_is_lower(surveyed, rng):
    G1, G2, h0, m0, found = surveyed
    y = G1(h0) * G2(m0)
    size = torch.cat([found.h, found.m], -1).norm(dim=-1, keepdim=True)
    for reach in (1e-6, 1e-5):
        around_h, around_m = (reach * size * torch.randn(300, 150, n, generator=rng, dtype=torch.float64) for n in (3, 2))
        f = objective(G1, G2, found.h + around_h, found.m + around_m, y) / (y.square().sum() / 2)
        assert (f > found.objective - 1e-13).all()


def test_endpoints_on_kinks_are_at_kinks(surveyed):
    G1, G2, _, _, found = surveyed
    at = sum(units.sum(-1) for G, z in ((G1, found.h), (G2, found.m)) for units in G.kinks(z, tolerance=1e-12))
    on_walls = found.kinks > 0
    assert (at[on_walls] >= found.kinks[on_walls]).all()
    slopes = torch.cat(gradient(G1, G2, found.h, found.m, G1(surveyed[2]) * G2(surveyed[3])), -1).norm(dim=-1)
    assert slopes[on_walls].median() > 1e6 * slopes[~on_walls].median()  # the gradient itself does not vanish there


def test_endpoints_on_the_global_curve_are_near_it_and_others_are_not(surveyed):
    found = surveyed[-1]
    on_global = found.objective < 1e-12
    assert (found.distances[on_global, 0] < 1e-6).all()
    assert (found.distances[~on_global, 0] > 0.05).all()
    torch.testing.assert_close(found.distance_to_K[on_global], torch.ones(int(on_global.sum()), dtype=torch.float64))


def test_the_scaled_gradient_is_the_same_in_all_units(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    (h, m), y, eye = random_codes(rng, 5, 3, 2), G1(h0) * G2(m0), torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(
        scaled_gradient(G1, G2, 1e3 * h, 1e3 * m, 1e6 * y, eye), scaled_gradient(G1, G2, h, m, y, eye), rtol=1e-10, atol=0
    )


def test_down_the_gradient_the_slope_is_minus_its_square_and_difference_quotients_agree(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    (h, m), y = random_codes(rng, 100, 3, 2), G1(h0) * G2(m0)
    found = slopes_down(G1, G2, h, m, y, torch.randn(100, 5, generator=rng, dtype=torch.float64))
    squares = torch.stack([part.square().sum(-1) for part in gradient(G1, G2, h, m, y)])
    torch.testing.assert_close(found.square, squares)
    torch.testing.assert_close(found.exact, -squares)
    assert ((found.quotient + squares).abs() <= 1e-5 * squares).all()  # rounding of f, divided by a step of 1e-7


def test_at_kinks_difference_quotients_agree_with_the_slope_and_not_with_the_square(rng):
    def integers(*shape):
        return torch.randint(-2, 3, shape, generator=rng).double()

    G1, G2 = (ReLUGenerator([integers(15, n), integers(40, 15)]) for n in (3, 2))
    h, m, y, w = integers(200, 3), integers(200, 2), 1 + integers(40).abs(), integers(200, 5)
    nonzero = h.any(-1) & m.any(-1)
    found = slopes_down(G1, G2, h[nonzero], m[nonzero], y, w[nonzero])
    assert ((found.quotient - found.exact).abs() <= 1e-5 * found.square).all()
    assert ((found.exact + found.square).abs() > 0.01 * found.square).double().mean() > 0.2


def test_stationary_points_have_no_slopes(rng):
    G1, G2, h0, m0 = draw_problem(rng)
    with pytest.raises(ValueError, match="g1 or g2 is zero at some point"):
        slopes_down(G1, G2, h0, m0, G1(h0) * G2(m0), torch.ones(5, dtype=torch.float64))


def test_directions_off_K_are_random_or_lead_backwards(rng):
    _, _, h0, m0 = draw_problem(rng)
    for directions, z0 in zip(directions_off_K(h0, m0, 400, rng), (h0, m0), strict=True):
        torch.testing.assert_close(directions.norm(dim=-1), torch.ones(400, dtype=torch.float64))
        cosine = directions @ z0 / z0.norm()
        assert cosine[::2].abs().mean() < 0.7
        assert cosine[1::2].max() < -0.8


def test_codes_at_kinks_stand_exactly_at_one_and_every_other_at_two(rng):
    for count in ((60,), ()):
        G = rounded(ReLUGenerator.gaussian((3, 20, 40), rng, batch=count))
        z = on_grid(torch.randn(60, 3, generator=rng, dtype=torch.float64))
        at_kink = G.kinks(codes_at_kinks(G, z, rng))[0].sum(-1)
        assert (at_kink[::2] == 1).all()
        assert (at_kink[1::2] == 2).all()


def test_codes_near_curves_are_as_far_from_their_base_points_as_asked(rng):
    h0, m0 = (torch.randn(n, generator=rng, dtype=torch.float64) for n in (3, 2))
    codes = codes_near_curves(h0, m0, 30, rng, spread=0.1, d=2, s=3)
    for z, base in zip(codes, curves(h0, m0, d=2, s=3), strict=True):
        off = (z - base[:, None]).norm(dim=-1) / base.norm(dim=-1)[:, None]
        torch.testing.assert_close(off, torch.full((4, 30), 0.1, dtype=torch.float64))


def test_no_way_down_is_left_where_both_one_sided_slopes_are_not_negative(rng):
    G1, G2 = (rounded(ReLUGenerator.gaussian((3, 8, 20), rng, batch=(4000,))) for _ in range(2))
    z, (h0, m0) = on_grid(torch.randn(2, 4000, 3, generator=rng, dtype=torch.float64)), random_codes(rng, 4000, 3, 3)
    h, m = (codes_at_kinks(G, part, rng) for G, part in zip((G1, G2), z, strict=True))
    y, w = G1(h0) * G2(m0), torch.randn(4000, 6, generator=rng, dtype=torch.float64)
    there = torch.stack([part.any(-1) for part in one_sided_gradient(G1, G2, h, m, y, w)]).all(0)
    G1, G2 = (G.pick(there.nonzero().squeeze(-1)) for G in (G1, G2))
    h, m, y, w = (part[there] for part in (h, m, y, w))
    slopes, stuck = slopes_down(G1, G2, h, m, y, w), without_way_down(G1, G2, h, m, y, w)
    clear = (slopes.quotient.abs() > 1e-4 * slopes.square).all(0)  # beyond the rounding of difference quotients
    assert clear.double().mean() > 0.95
    assert torch.equal(stuck[clear], (slopes.quotient > 0).all(0)[clear])
    assert stuck[clear].any()  # networks this narrow have such kinks


def test_f_falls_off_K_unless_the_outputs_do_not_overlap():
    G1, G2 = ReLUGenerator([torch.tensor([[1.0], [-1.0]])]), ReLUGenerator([torch.ones(2, 1)])
    y, one = torch.tensor([1.0, 0.0]), torch.ones(1)  # that of h0 = m0 = 1
    assert not without_fall_off_K(G1, G2, one, one, y)
    assert without_fall_off_K(G1, G2, -one, one, y)  # G1(-1) and y have no common support
    assert not without_fall_off_K(G1, G2, one, -one, y)  # G2(-1) = 0, f stays as it is


def test_a_floor_without_ripples_drains_to_its_lowest_point_and_a_dip_holds_what_lies_between_its_tops():
    turn = torch.arange(360, dtype=torch.float64) * pi / 180
    smooth = 1 - turn.cos()
    assert [part.item() for part in ripples(smooth)] == [0, 0]
    dipped = smooth - 0.5 * torch.exp(-50 * (turn - 2.5).square())  # a dip near 2.5, with a top on its far side
    tops = [k for k in range(1, 359) if dipped[k - 1] < dipped[k] > dipped[k + 1]]
    assert len(tops) == 2
    bottom = min(range(*tops), key=lambda k: dipped[k])
    share, turned = ripples(dipped)
    assert share.item() == pytest.approx((tops[1] - tops[0]) / 360, abs=2 / 360)
    assert (turned / share).item() == pytest.approx((180 - bottom) * pi / 180)


def test_deviations_from_the_limit_fall_like_the_inverse_root_of_the_width(rng):
    def typical(width):
        G1, G2 = (ReLUGenerator.gaussian((3, width, 10 * width), rng) for _ in range(2))
        off = deviations(G1, G2, *torch.nn.functional.normalize(torch.randn(4, 200, 3, generator=rng).double(), dim=-1))
        return torch.stack([off.gradient, off.scaled, off.pullback, off.objective]).quantile(0.5, dim=1)

    ratio = typical(20) / typical(500)
    assert (ratio > 2).all()
    assert (ratio < 12).all()  # sqrt(25) = 5, for one pair of networks each


@pytest.fixture(scope="module")
def surveyed_networks():
    rng = torch.Generator().manual_seed(7)
    return survey_networks((2, 16, 64), rng, networks=6, starts=10, iterations=60)


def test_a_survey_of_networks_holds_their_endpoints(surveyed_networks):
    assert surveyed_networks.objective.shape == (6, 10)
    assert surveyed_networks.distances.shape == (6, 10, 4)
    assert (surveyed_networks.gradient <= 1e-8).all()


def test_the_radius_holds_its_share_of_the_spurious_endpoints(surveyed_networks):
    found = surveyed_networks
    inside = found.distance[found.spurious] <= radius(found, share=0.8)
    assert 0.75 <= inside.double().mean() <= 0.85
    assert spurious_share(found).item() == found.spurious.sum().item() / 60


def test_the_radius_of_one_curve_is_that_of_the_endpoints_nearest_to_it(surveyed_networks):
    found = surveyed_networks
    near = found.spurious & (found.distances.argmin(-1) == 1)
    assert radius(found, share=1.0, curve=1) == found.distance[near].max()


def test_networks_of_a_survey_may_differ(rng):
    found = survey_networks((2, 8, 30), rng, networks=2, starts=4, iterations=20, modulator_widths=(1, 9, 30))
    assert found.h.shape == (2, 4, 2)
    assert found.m.shape == (2, 4, 1)


def test_the_distance_is_that_from_K_where_f_has_its_value_on_K(surveyed_networks):
    found = surveyed_networks.pick(torch.tensor([0]))
    found.objective[0, 0] = 1.0
    assert found.distance[0, 0] == found.distance_to_K[0, 0]
    assert found.distance[0, 1] == found.orbit[0, 1]


def test_networks_drawn_again_give_the_standard_error_of_a_mean(surveyed_networks, rng):
    value, again = over_networks(spurious_share, surveyed_networks, rng, resamples=4000)
    shares = surveyed_networks.spurious.double().mean(1)
    assert value == pytest.approx(shares.mean().item())
    expected = shares.std(correction=0) / 6**0.5  # the standard error of 4000 resamples is 1.1 %
    torch.testing.assert_close(again.std(), expected, rtol=0.05, atol=0)


# The linear rate of Algorithm 1


@pytest.fixture
def minimiser(rng):
    """Two networks, a balanced minimiser, y, and a step size."""
    G1, G2 = (ReLUGenerator.gaussian((n, 60, 400), rng) for n in (3, 4))
    h, m = (torch.nn.functional.normalize(torch.randn(n, generator=rng, dtype=torch.float64), dim=-1) for n in (3, 4))
    y = G1(h) * G2(m)
    return G1, G2, h, m, y, default_step_size(G1, G2, y)


def test_the_linear_rate_is_the_spectral_radius_of_the_jacobian_of_an_iteration(minimiser):
    G1, G2, h, m, y, eta = minimiser
    shifts = 1e-6 * torch.eye(7, dtype=torch.float64)  # small enough that no unit switches
    moved = []
    for sign in (1, -1):
        start = {"h": h + sign * shifts[:, :3], "m": m + sign * shifts[:, 3:]}
        run = descend(G1, G2, y.expand(7, -1), step_size=eta.item(), iterations=1, reflect_every=0, tolerance=0, **start)
        moved.append(torch.cat([run.h, run.m], -1))
    jacobian = (moved[0] - moved[1]) / 2e-6
    spectral_radius = torch.linalg.eigvals(jacobian).abs().max()
    torch.testing.assert_close(linear_rate(G1, G2, h, m, y, eta), spectral_radius, rtol=1e-5, atol=0)  # of the quotients


def test_algorithm_1_converges_at_the_linear_rate(minimiser, rng):
    G1, G2, h, m, y, eta = minimiser
    run = descend(G1, G2, y, iterations=2000, tolerance=1e-11, rng=rng)
    residuals = (2 * run.objective[: run.iterations + 1]).sqrt() / y.norm()
    late = residuals[residuals < 1e-7]
    measured = (late[-1] / late[0]) ** (1 / (len(late) - 1))
    assert measured.log().item() == pytest.approx(linear_rate(G1, G2, h, m, y, eta).log().item(), rel=0.05)


def test_the_rate_of_wide_networks_tends_to_one_minus_theta_like_the_inverse_root_of_the_width(rng):
    def excess(width):
        G1, G2 = (ReLUGenerator.gaussian((3, width, 4 * width), rng, batch=(12,)) for _ in range(2))
        h, m = torch.nn.functional.normalize(torch.randn(2, 12, 3, generator=rng, dtype=torch.float64), dim=-1)
        y = G1(h) * G2(m)
        return linear_rate(G1, G2, h, m, y, default_step_size(G1, G2, y)).mean() - 0.75

    assert 2.5 < excess(50) / excess(800) < 6  # sqrt(16) = 4


def test_a_minimiser_that_is_not_balanced_is_refused(minimiser):
    G1, G2, h, m, y, eta = minimiser
    with pytest.raises(ValueError, match="the norms of h and m differ; give a balanced minimiser"):
        linear_rate(G1, G2, 2 * h, m / 2, y, eta)
