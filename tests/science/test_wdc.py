from math import exp, log, pi, sin

import pytest
import torch

from demod.expectation import angle, expected_gram
from demod.generators import ReLUGenerator
from demod.wdc import (
    bound_wdc,
    estimate_joint_wdc,
    estimate_wdc,
    exact_wdc,
    fit_alpha,
    joint_wdc_residual,
    seen_wdc_residual,
    wdc_residual,
)
from demod.wdc.ensembles import ENSEMBLES, draw_network
from demod.wdc.exact import supremum
from demod.wdc.joint import _move_weight
from demod.wdc.search import directions, move_mask, quadratic_form
from demod.wdc.theorem import guaranteed_probability, required_epsilon


def gaussian(rows, columns, rng):
    """A matrix with the scale of the paper, entries N(0, 1/l)."""
    return torch.randn(rows, columns, generator=rng, dtype=torch.float64) / rows**0.5


def unit(*shape, rng):
    z = torch.randn(*shape, generator=rng, dtype=torch.float64)
    return z / z.norm(dim=-1, keepdim=True)


def rotation(n, rng):
    return torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=torch.float64)).Q


def on_circle(t):
    return torch.stack([t.cos(), t.sin()], -1)


def printed_q(x, y):
    """Q_{x,y} as the paper defines it, with M given by what it does to x̂, ŷ and their complement."""
    x, y = x / x.norm(), y / y.norm()
    theta = torch.arccos((x @ y).clamp(-1, 1)).item()
    basis = torch.linalg.qr(torch.stack([x, y, *torch.eye(len(x), dtype=x.dtype)], -1)).Q[:, : len(x)]
    xy = torch.stack([x, y], -1)
    M = torch.stack([y, x], -1) @ torch.linalg.pinv(xy)  # x̂ → ŷ, ŷ → x̂, and the complement of their span → 0
    assert torch.allclose(M @ basis[:, 2:], torch.zeros(1, dtype=x.dtype), atol=1e-9)
    return (pi - theta) / (2 * pi) * torch.eye(len(x), dtype=x.dtype) + sin(theta) / (2 * pi) * M


# One pair


@pytest.mark.parametrize("alpha", [1.0, 0.7])
def test_the_residual_is_the_norm_of_5_as_printed(alpha, rng):
    W, x, y = gaussian(12, 3, rng), *torch.randn(2, 3, generator=rng, dtype=torch.float64)
    E = -alpha * printed_q(x, y)
    for w in W:
        E += (w @ x > 0) * (w @ y > 0) * torch.outer(w, w)
    assert wdc_residual(W, x, y, alpha).item() == pytest.approx(torch.linalg.matrix_norm(E, 2).item(), rel=1e-12)


def test_the_joint_residuals_are_the_norms_of_6_and_7_as_printed(rng):
    ell, alpha = 15, 0.8
    B, C = gaussian(ell, 3, rng), gaussian(ell, 4, rng)
    h, x = torch.randn(2, 3, generator=rng, dtype=torch.float64)
    m, y = torch.randn(2, 4, generator=rng, dtype=torch.float64)

    def plus(V, z):
        return torch.diag((V @ z > 0).double()) @ V

    E6 = plus(B, h).T @ torch.diag(plus(C, m) @ m * (plus(C, y) @ y)) @ plus(B, x)
    E6 -= alpha / ell * (m @ printed_q(m, y) @ y) * printed_q(h, x)
    E7 = plus(C, m).T @ torch.diag(plus(B, h) @ h * (plus(B, x) @ x)) @ plus(C, y)
    E7 -= alpha / ell * (h @ printed_q(h, x) @ x) * printed_q(m, y)
    sixth, seventh = joint_wdc_residual(B, C, h, x, m, y, alpha)
    expected = torch.linalg.matrix_norm(E6, 2) * ell / (m.norm() * y.norm())
    assert sixth.item() == pytest.approx(expected.item(), rel=1e-10)
    expected = torch.linalg.matrix_norm(E7, 2) * ell / (h.norm() * x.norm())
    assert seventh.item() == pytest.approx(expected.item(), rel=1e-10)


def test_residuals_of_many_pairs_are_those_of_each_whatever_the_lengths_of_the_codes(rng):
    W, x, y = gaussian(30, 4, rng), *torch.randn(2, 5, 8, 4, generator=rng, dtype=torch.float64)
    together = wdc_residual(W, 7 * x, 0.01 * y[:, :1])
    assert together.shape == (5, 8)
    for i in range(5):
        for j in range(8):
            torch.testing.assert_close(together[i, j], wdc_residual(W, x[i, j], y[i, 0]))


@pytest.mark.parametrize("alpha", [0.3, 0.97071])
def test_the_residual_scales_as_section_3_says(alpha, rng):
    W, x, y = gaussian(40, 5, rng), *unit(2, 100, 5, rng=rng)
    torch.testing.assert_close(wdc_residual(W / alpha**0.5, x, y), wdc_residual(W, x, y, alpha) / alpha)


def test_the_residual_of_gaussian_rows_decays_like_the_inverse_root_of_their_number(rng):
    x, y = unit(2, 50, 4, rng=rng)
    few, many = (torch.stack([wdc_residual(gaussian(rows, 4, rng), x, y) for _ in range(20)]).mean() for rows in (200, 3200))
    assert 3.4 < few / many < 4.6  # sqrt(3200 / 200) = 4


def test_q_is_lipschitz_with_constant_one_over_pi_in_the_angle(rng):
    x, y, z = unit(3, 5000, 6, rng=rng)
    moved = x + 10 ** (-6 * torch.rand(5000, 1, generator=rng, dtype=torch.float64)) * z
    change = torch.linalg.matrix_norm(expected_gram(moved, y) - expected_gram(x, y), 2)
    assert (change <= angle(x, moved) / pi + 1e-14).all()
    t = torch.linspace(0.1, 3.0, 30, dtype=torch.float64)
    rate = torch.linalg.matrix_norm(
        expected_gram(on_circle(t + 1e-5), on_circle(0 * t)) - expected_gram(on_circle(t), on_circle(0 * t)), 2
    )
    torch.testing.assert_close(rate / 1e-5, torch.full_like(rate, 1 / pi), rtol=1e-4, atol=0)  # difference quotient: 1e-5


# The supremum for two columns


def corner_residuals(W, alpha):
    """The largest residual (5) at pairs of codes next to the switches of rows."""
    switch = torch.atan2(W[:, 1], W[:, 0])
    t = torch.cat([switch + side * pi / 2 + step for side in (1, -1) for step in (1e-9, -1e-9)])
    return wdc_residual(W, on_circle(t)[:, None], on_circle(t), alpha).max().item()


@pytest.mark.parametrize("alpha", [1.0, 0.6])
def test_the_exact_constant_is_the_largest_corner_and_no_grid_exceeds_it(alpha, rng):
    grid = on_circle(torch.arange(150, dtype=torch.float64) * 2 * pi / 150)
    for rows in range(1, 61, 4):
        W = gaussian(rows, 2, rng)
        exact = exact_wdc(W, alpha)
        # the corners lie 1e-9 inside their cells; F changes at most at the rate α/π per radian in each angle
        assert exact.value == pytest.approx(corner_residuals(W, alpha), abs=2e-9)
        assert wdc_residual(W, exact.x, exact.y, alpha).item() == pytest.approx(exact.value, abs=2e-9)
        assert wdc_residual(W, grid[:, None], grid, alpha).max() <= exact.value + 1e-12


def test_the_exact_constant_does_not_see_rotations_the_order_of_rows_and_zero_rows(rng):
    for rows in (1, 7, 50):
        W = gaussian(rows, 2, rng)
        value = exact_wdc(W).value
        assert exact_wdc(W @ rotation(2, rng)).value == pytest.approx(value, rel=1e-9)
        assert exact_wdc(W[torch.randperm(rows, generator=rng)]).value == pytest.approx(value, rel=1e-12)
        assert exact_wdc(torch.cat([W, torch.zeros(3, 2, dtype=W.dtype)])).value == pytest.approx(value, rel=1e-12)


def test_the_exact_constant_scales_as_section_3_says(rng):
    W = gaussian(25, 2, rng)
    assert exact_wdc(W / 0.3**0.5).value == pytest.approx(exact_wdc(W, 0.3).value / 0.3, rel=1e-12)


def test_parallel_rows_count_as_one():
    directions = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1], [0.6, 0.8]], dtype=torch.float64)
    doubled = exact_wdc(torch.cat([directions, 2 * directions]))
    assert doubled.value == pytest.approx(exact_wdc(5**0.5 * directions).value, rel=1e-12)
    assert doubled.value == pytest.approx(corner_residuals(5**0.5 * directions, 1.0), abs=1e-8)


def test_without_rows_the_constant_is_half_of_alpha():
    assert exact_wdc(torch.zeros(4, 2, dtype=torch.float64), 0.8).value == pytest.approx(0.4, rel=1e-12)


# The search


def test_the_quadratic_form_of_q_is_that_of_the_matrix(rng):
    x, y, u = unit(3, 300, 5, rng=rng)
    x[:20] = y[:20]
    x[20:40] = -y[20:40]
    x[40:60] = y[40:60] + 1e-5 * x[40:60]
    x = x / x.norm(dim=-1, keepdim=True)
    form = quadratic_form((x * y).sum(-1), (u * x).sum(-1), (u * y).sum(-1))
    expected = torch.einsum("bi,bij,bj->b", u, expected_gram(x, y), u)
    # the cosine of a small angle is known to 1e-16, so the angle to 1e-8
    torch.testing.assert_close(form, expected, rtol=0, atol=3e-8)


def circles_of(x, towards, rng_state, count=3, points=4000):
    """Codes on the circles that a move with the same random stream looks at, shape (S, circles * points, n)."""
    z = directions(x, towards, count, torch.Generator().manual_seed(rng_state))
    t = torch.linspace(0, 2 * pi, points, dtype=torch.float64)[:, None]
    return (t.cos() * x[:, None, None] + t.sin() * z[:, :, None]).flatten(1, 2)


def test_a_move_goes_to_the_best_point_of_its_circles(rng):
    W, alpha = gaussian(40, 4, rng), 0.9
    x, y, u = unit(3, 10, 4, rng=rng)
    weights = torch.rand(10, 40, generator=rng, dtype=torch.float64)
    sigma = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)

    def quotient(z):
        gram = torch.einsum("sk...l,sl->sk", (z @ W.mT > 0).double(), weights * (u @ W.mT).square())
        Q = expected_gram(z, y[:, None])
        return sigma[:, None] * (gram - alpha * torch.einsum("si,skij,sj->sk", u, Q, u))

    circles = directions(x, (u, y), 3, torch.Generator().manual_seed(5))
    moved = move_mask(W, x, circles, y, weights, u, sigma, alpha)
    # between two switches the quotient is smooth and may rise above its ends, by half an arc times its rate at most: a
    # half circle has 40 switches, the rate is at most α/π
    assert (quotient(moved[:, None])[:, 0] >= quotient(circles_of(x, (u, y), 5)).amax(-1) - 0.03).all()
    assert (quotient(moved[:, None])[:, 0] >= quotient(circles_of(x, (u, y), 5)).amax(-1) - 1e-9).sum() >= 5


def test_a_move_of_a_weight_goes_to_the_best_point_of_its_circles(rng):
    C, scale = gaussian(40, 4, rng), torch.rand(10, generator=rng, dtype=torch.float64)
    m, y = unit(2, 10, 4, rng=rng)
    weights = torch.rand(10, 40, generator=rng, dtype=torch.float64)
    sigma = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)

    def quotient(z):
        energy = torch.einsum("ski,skij,sj->sk", z, expected_gram(z, y[:, None]), y)
        sums = torch.einsum("skl,sl->sk", (z @ C.mT).relu(), weights * (y @ C.mT).relu())
        return sigma[:, None] * (sums - scale[:, None] * energy)

    circles = directions(m, (y,), 3, torch.Generator().manual_seed(5))
    moved = _move_weight(C, m, circles, y, weights, sigma, scale)
    # a smooth maximum between a switch and the middle of an arc is missed by the square of half an arc at most
    assert (quotient(moved[:, None])[:, 0] >= quotient(circles_of(m, (y,), 5)).amax(-1) - 2e-2).all()


@pytest.mark.parametrize(("matrices", "least"), [(10, 9), pytest.param(50, 48, marks=pytest.mark.nightly)])
def test_the_search_reaches_99_percent_of_the_exact_constant_on_nearly_all_matrices(rng, matrices, least):
    reached = 0
    for _ in range(matrices):
        W = gaussian(int(torch.randint(2, 60, (1,), generator=rng)), 2, rng)
        found, exact = estimate_wdc(W, rng, starts=32, rounds=6), exact_wdc(W)
        assert found.value <= exact.value + 1e-12
        reached += found.value >= 0.99 * exact.value
    assert reached >= least


@pytest.mark.parametrize(
    ("sizes", "least"), [((50, 100, 200), 3), pytest.param((50, 100, 200, 400, 800) * 2, 9, marks=pytest.mark.nightly)]
)
def test_the_search_beats_twenty_thousand_random_pairs_on_nearly_all_matrices(rng, sizes, least):
    won = 0
    for rows in sizes:
        W = gaussian(rows, 10, rng)
        found = estimate_wdc(W, rng, starts=16, rounds=8)
        assert wdc_residual(W, found.x, found.y).item() == pytest.approx(found.value, rel=1e-12)
        won += found.value > wdc_residual(W, *unit(2, 20_000, 10, rng=rng)).max()
    assert won >= least


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_for_one_column_the_search_compares_the_four_pairs_of_signs(rows, rng):
    W = gaussian(rows, 1, rng)
    signs = torch.tensor([[1.0], [-1.0]], dtype=W.dtype)
    assert estimate_wdc(W, rng, starts=4).value == pytest.approx(wdc_residual(W, signs[:, None], signs).max().item())


def test_the_search_ignores_zero_rows_and_finds_the_same_with_the_same_stream(rng):
    W = gaussian(30, 3, rng)
    padded = torch.cat([W, torch.zeros(20, 3, dtype=W.dtype)])
    found = [estimate_wdc(V, torch.Generator().manual_seed(3), starts=8) for V in (W, W, padded)]
    assert found[0].value == found[1].value
    assert torch.equal(found[0].x, found[1].x)
    assert found[2].value == pytest.approx(found[0].value, rel=0.05)  # rounding may lead the search elsewhere


def test_the_joint_search_returns_a_witness_better_than_random_quadruples(rng):
    B, C = gaussian(150, 6, rng), gaussian(150, 5, rng)
    found = estimate_joint_wdc(B, C, rng, alpha=0.9, starts=16, rounds=8)
    both = joint_wdc_residual(B, C, found.h, found.x, found.m, found.y, 0.9)
    assert both[found.equation - 6].item() == pytest.approx(found.value, rel=1e-12)
    h, m = unit(10_000, 6, rng=rng), unit(10_000, 5, rng=rng)
    for x, y in ((h, m), (h.flip(0), m.flip(0))):
        assert all(found.value > value.max() for value in joint_wdc_residual(B, C, h, x, m, y, 0.9))


def test_the_joint_search_exchanges_its_equations_with_its_matrices(rng):
    B, C = gaussian(40, 2, rng), gaussian(40, 3, rng)
    one, other = (estimate_joint_wdc(*pair, rng, starts=32, rounds=16) for pair in ((B, C), (C, B)))
    assert {one.equation, other.equation} == {6, 7}
    assert one.value == pytest.approx(other.value, rel=0.03)  # two runs of a search


# The guarantee


@pytest.mark.parametrize(("rows", "alpha"), [(5, 1.0), (20, 0.7), pytest.param(60, 1.0, marks=pytest.mark.nightly)])
def test_for_two_columns_the_bracket_holds_the_exact_constant(rows, alpha, rng):
    W = gaussian(rows, 2, rng)
    exact, bracket = exact_wdc(W, alpha).value, bound_wdc(W, rng, alpha=alpha, gap=1e-3)
    assert bracket.lower.value <= exact + 1e-12
    assert exact <= bracket.upper
    assert bracket.upper <= 1.001 * bracket.lower.value or bracket.evaluations >= 200_000


@pytest.mark.parametrize("rows", [pytest.param(15, marks=pytest.mark.nightly), 30, 60])
def test_for_three_columns_the_bracket_is_a_tenth_wide_and_no_pair_exceeds_it(rows, rng):
    W = gaussian(rows, 3, rng)
    bracket = bound_wdc(W, rng)
    assert bracket.upper <= 1.1 * bracket.lower.value * (1 + 1e-9)
    x, y = unit(2, 200_000, 3, rng=rng)
    assert wdc_residual(W, x, y).max() <= bracket.upper
    assert wdc_residual(W, x, x).max() <= bracket.upper


def test_a_smaller_budget_gives_a_weaker_but_valid_guarantee(rng):
    W = gaussian(40, 4, rng)
    uppers = [bound_wdc(W, torch.Generator().manual_seed(1), gap=0.01, evaluations=n).upper for n in (100, 2000, 20_000)]
    assert uppers == sorted(uppers, reverse=True)
    assert uppers[-1] < uppers[0]
    assert wdc_residual(W, *unit(2, 100_000, 4, rng=rng)).max() <= uppers[-1]


# The best α


def test_the_best_alpha_for_two_columns_is_the_minimiser_of_the_exact_constant(rng):
    W = gaussian(80, 2, rng)
    fit = fit_alpha(W, rng, tolerance=1e-6)
    assert fit.bound.value == pytest.approx(supremum(W, fit.alpha).value, rel=1e-6)
    around = [supremum(W, fit.alpha + step).value for step in (-0.2, -0.02, 0.02, 0.2)]
    assert min(around) >= fit.floor
    assert fit.floor == pytest.approx(fit.bound.value, rel=1e-6)


def test_the_best_alpha_scales_with_the_square_of_the_matrix(rng):
    W = gaussian(40, 2, rng)
    one, scaled = (fit_alpha(V, rng, tolerance=1e-9, searches=50) for V in (W, 3 * W))
    assert scaled.bound.value == pytest.approx(9 * one.bound.value, rel=1e-6)
    assert scaled.alpha == pytest.approx(9 * one.alpha, rel=1e-2)  # flat: ε is known to 1e-9, its minimiser less well


@pytest.mark.parametrize("columns", [2, 5])
def test_the_best_alpha_never_fits_worse_than_alpha_one(columns, rng):
    W = gaussian(60, columns, rng)
    fit = fit_alpha(W, rng)
    assert fit.floor <= fit.bound.value
    assert fit.bound.value <= 1.01 * (exact_wdc(W) if columns == 2 else estimate_wdc(W, rng)).value  # 1 %: two searches


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_truncated_rows_have_the_constant_of_the_chi_squared_law(columns, rng):
    G = ReLUGenerator.gaussian((columns, 400_000), rng)
    energy = G.weights[0].square().sum(-1) * 400_000 / columns
    assert (energy.mean() - G.alpha).abs() <= 3 * energy.std() / 400_000**0.5


# Other laws, and what Theorem 2 requires


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_weights_of_every_law_have_mean_zero_and_variance_one_over_the_rows(ensemble, rng):
    W = draw_network(ensemble, (40, 500), rng, batch=(50,)).weights[0]
    assert W.shape == (50, 500, 40)
    assert W.mean().abs() <= 4 * W.std() / W.numel() ** 0.5  # four standard errors
    # the heaviest law is Student's, whose fourth moment is 9: the mean of 10⁶ squares is known to 0.3 %
    assert (500 * W.square().mean()).item() == pytest.approx(1, abs=0.012)


def test_each_law_is_what_its_name_says(rng):
    draws = {ensemble: draw_network(ensemble, (40, 500), rng).weights[0] * 500**0.5 for ensemble in ENSEMBLES}
    assert draws["uniform"].abs().max() <= 3**0.5
    assert (draws["rademacher"].abs() - 1).abs().max() < 1e-12
    assert draws["student"].abs().max() > 8  # a Gaussian sample of this size stays below 5
    columns = draws["orthogonal"].T @ draws["orthogonal"] / 500
    torch.testing.assert_close(columns, torch.eye(40, dtype=columns.dtype))


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_every_law_is_made_of_the_normal_numbers_of_the_gaussian_network_with_its_seed(ensemble):
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    normal = ReLUGenerator.gaussian((5, 60, 400), first, truncate_last=False)
    other = draw_network(ensemble, (5, 60, 400), second)
    for W, V in zip(normal.weights, other.weights, strict=True):
        assert torch.corrcoef(torch.stack([W.flatten(), V.flatten()]))[0, 1] > 0.75  # the least, √(2/π), is that of signs


def test_a_network_that_sees_all_directions_sees_the_norm_of_5(rng):
    G, W = ReLUGenerator.gaussian((4, 7), rng, truncate_last=False), gaussian(30, 7, rng)
    a, b = torch.randn(2, 20, 4, generator=rng, dtype=torch.float64)
    seen, whole = seen_wdc_residual(W, G, a, b), wdc_residual(W, G(a), G(b))
    full = (torch.linalg.matrix_rank(torch.cat([G.active_map(a), G.active_map(b)], -1)) == 7) & (seen > 0)
    assert full.sum() >= 3
    torch.testing.assert_close(seen[full], whole[full])
    assert (seen <= whole * (1 + 1e-12)).all()


def test_what_a_network_sees_of_a_layer_that_narrows_is_less_than_half_of_all(rng):
    G = ReLUGenerator.gaussian((3, 60, 30), rng, truncate_last=False)
    first, W = ReLUGenerator(G.weights[:1]), G.weights[1]
    a, b = torch.randn(2, 50, 3, generator=rng, dtype=torch.float64)
    assert seen_wdc_residual(W, first, a, b).max() < wdc_residual(W, first(a), first(b)).max() / 2
    with pytest.raises(ValueError, match="W takes 30 entries but G produces 60"):
        seen_wdc_residual(W.T, first, a, b)


def test_theorem_2_requires_less_than_a_millionth_of_a_millionth_at_depth_two():
    assert required_epsilon(2, 2) == pytest.approx(1024.0**-4, rel=1e-12)
    assert required_epsilon(2, 3) == required_epsilon(3, 2)
    assert required_epsilon(3, 4, K1=2) * 2**4 == pytest.approx(required_epsilon(3, 4), rel=1e-12)
    epsilon = required_epsilon(3, 4)
    assert (3**7 * 4**2 + 3**2 * 4**7) * epsilon**0.25 == pytest.approx(1, rel=1e-12)


def test_the_guaranteed_probability_is_the_sum_of_theorem_2():
    expected = 1 - (20 * exp(-3) + 300 * exp(-20)) - (25 * exp(-4) + 300 * exp(-25))
    expected -= exp(-300 / (20 * log(20) + 25 * log(25)))
    assert guaranteed_probability((3, 20, 300), (4, 25, 300)) == pytest.approx(expected, rel=1e-12)


def test_the_guaranteed_probability_falls_as_the_first_layer_widens():
    bounds = [guaranteed_probability(w, w) for w in ((10, 10**k, 10 ** (k + 2)) for k in (3, 4, 5, 6))]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0


# Input that does not fit


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda W, rng: exact_wdc(torch.ones(4, 3)), "3 columns"),
        (lambda W, rng: exact_wdc(torch.ones(2, 4, 2)), "required is one finite"),
        (lambda W, rng: wdc_residual(W, torch.ones(4, dtype=W.dtype), torch.ones(3, dtype=W.dtype)), "x is .* codes of 3"),
        (lambda W, rng: wdc_residual(W, torch.zeros(3, dtype=W.dtype), torch.ones(3, dtype=W.dtype)), "is zero somewhere"),
        (lambda W, rng: joint_wdc_residual(W, W[1:], W[0], W[0], W[0], W[0]), "B has 9 rows and C 8"),
        (lambda W, rng: estimate_wdc(W, rng, starts=0), "starts is 0"),
        (lambda W, rng: estimate_wdc(W * torch.nan, rng), "finite"),
        (lambda W, rng: estimate_joint_wdc(W, W[1:], rng), "B has 9 rows and C 8"),
        (lambda W, rng: bound_wdc(W[:, :1], rng), "W has 1 columns, but two or more are required"),
        (lambda W, rng: fit_alpha(0 * W, rng), "W is zero"),
        (lambda W, rng: draw_network("cauchy", (3, 9), rng), "ensemble is 'cauchy'"),
        (lambda W, rng: draw_network("orthogonal", (9, 3), rng), "orthogonal columns need"),
        (lambda W, rng: required_epsilon(1, 2), "Theorem 2 requires"),
        (lambda W, rng: guaranteed_probability((2, 9, 30), (2, 9, 40)), "the same l"),
        (lambda W, rng: guaranteed_probability((2, 1, 30), (2, 1, 30)), "log 1 = 0"),
    ],
)
def test_input_that_does_not_fit_is_refused_with_a_reason(call, message, rng):
    with pytest.raises(ValueError, match=message):
        call(gaussian(9, 3, rng), rng)
