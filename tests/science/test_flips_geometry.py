"""Each claim of the groups M, F and L is measured twice, small: as its chapter does it, and with a planted error.

The verdict must flip. What the small measurement cannot count, as the number of networks, is set to what the ledger asks.
Claims without bounds (L10, L13, M4, M5) have no verdict that could flip.
"""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import linregress
from torch.nn.functional import normalize

from demod.expectation import angle, angle_map, contraction, expected_cosine
from demod.generators import ReLUGenerator
from demod.hyperbolas import curve_distances, curves, curves_of_theorem_3, hyperbola_distance
from demod.landscape import (
    branches,
    codes_at_kinks,
    codes_near_curves,
    deviations,
    directions_off_K,
    expected_branches,
    hessian,
    on_grid,
    radius,
    ripples,
    rounded,
    slopes_down,
    spurious_share,
    survey_networks,
    valley_grid,
    without_fall_off_K,
    without_way_down,
)
from demod.objective import half_squared_norm, objective
from demod.studies.identifiability import count_solutions
from demod.studies.statistics import exponent, limit, ratio_of_means, share_interval
from demod.wdc import exact_wdc
from demod_book.claims.judge import Verdict, judge
from demod_book.claims.ledger import LEDGER

DOUBLE = {"dtype": torch.float64}


def verdict(name, **measured):
    """Return the verdict on a claim whose other criteria are just met."""
    bounds = ((c.name, c.high if c.low is None else c.low) for c in LEDGER[name].criteria)
    return judge(LEDGER[name], {key: bound or 0.0 for key, bound in bounds} | measured).verdict


def stream(seed=1):
    return torch.Generator().manual_seed(seed)


def pair(rng, *widths, count=()):
    G1, G2 = (ReLUGenerator.gaussian(widths, rng, batch=count) for _ in range(2))
    return G1, G2, *normalize(torch.randn(2, *count, widths[0], generator=rng, **DOUBLE), dim=-1)


# The model


@pytest.mark.parametrize(("power", "expected"), [(1, Verdict.HOLDS), (0, Verdict.FAILS)])
def test_m1_fails_if_only_one_code_is_scaled(power, expected, rng):
    G1, G2, h0, m0 = pair(rng, 5, 20, 60)
    y, c = G1(h0) * G2(m0), torch.logspace(-3, 3, 7, **DOUBLE)[:, None]
    change = objective(G1, G2, -c * h0, m0 / c**power, y) - objective(G1, G2, -h0, m0, y)
    assert verdict("M1", relu=change.abs().max().item() / y.square().sum().item()) is expected


@pytest.mark.parametrize(("ell", "expected"), [(400, Verdict.REPRODUCED), (25, Verdict.FALSIFIED)])
def test_m2_is_falsified_by_too_few_measurements(ell, expected):
    _, others = count_solutions((5, 60, ell), stream(), networks=10, starts=20)
    assert verdict("M2", others=others) is expected


@pytest.mark.parametrize(
    ("across", "m3", "m6"), [(1, Verdict.REPRODUCED, Verdict.MET), (0, Verdict.FALSIFIED, Verdict.MISSED)]
)
def test_m3_and_m6_fail_without_the_part_of_the_hessian_that_couples_the_codes(across, m3, m6, rng):
    G1, G2, h0, m0 = pair(rng, 5, 20, 60)
    second = hessian(G1, G2, *torch.randn(2, 200, 5, generator=rng, **DOUBLE), G1(h0) * G2(m0))
    second[:, :5, 5:] *= across
    second[:, 5:, :5] *= across
    negative = int((torch.linalg.eigvalsh(second)[:, 0] < -1e-12).sum())
    assert verdict("M3", negative=negative) is m3
    assert verdict("M6", share=share_interval(negative, 200)) is m6


# Figure 1


@cache
def valleys():
    """The branches of 150 networks at three widths, (widths, position or height, networks, branches)."""
    rng, found = stream(2019), []
    for width in (40, 80, 160):
        G1, G2 = (ReLUGenerator.gaussian((1, width, 4 * width), rng, batch=(150,)) for _ in range(2))
        ones = torch.ones(150, 1, **DOUBLE)
        some = branches(G1, G2, G1(ones) * G2(ones))
        found.append(torch.stack([some.product, some.value]))
    return torch.stack(found).numpy()


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize(("name", "quantity"), [("F1", 0), ("F7", 1)])
def test_f1_and_f7_fail_with_the_constant_of_another_depth(name, quantity, depth):
    theory = expected_branches(depth, depth)
    exact = (theory.product, theory.value)[quantity]
    sample, deviation = valleys()[:, quantity], {}
    for k, branch in ((1, "h"), (2, "m"), (3, "both")):
        mean, error = sample[..., k].mean(1), sample[..., k].std(1, ddof=1) / 150**0.5
        value, _, spread = limit((40, 80, 160), mean, error)
        deviation[f"{branch}_deviation"] = abs(value - exact[k].item()) / spread
    assert (verdict(name, **deviation) in (Verdict.REPRODUCED, Verdict.MET)) == (depth == 2)


@pytest.mark.parametrize(
    ("sign", "f2", "f6"), [(1, Verdict.REPRODUCED, Verdict.HOLDS), (-1, Verdict.FALSIFIED, Verdict.FAILS)]
)
def test_f2_and_f6_fail_if_the_observation_belongs_to_another_quadrant(sign, f2, f6, rng):
    G1, G2 = (ReLUGenerator.gaussian((1, 40, 200), rng, batch=(50,)) for _ in range(2))
    ones = torch.ones(50, 1, **DOUBLE)
    found = branches(G1, G2, G1(sign * ones) * G2(ones))
    assert verdict("F2", failing=int((found.value[:, 1:] <= found.value[:, :1]).any(-1).sum())) is f2
    assert verdict("F6", product=(found.product[:, 0] - 1).abs().max(), height=found.value[:, 0].max()) is f6


def test_f3_is_falsified_at_depth_2_and_would_not_be_at_20():
    assert verdict("F3", close_to_one=contraction(2)) is Verdict.FALSIFIED
    assert verdict("F3", close_to_one=contraction(20)) is Verdict.REPRODUCED


def test_f4_is_falsified_by_a_constant_that_stays_away_from_1():
    assert verdict("F4", limit=1 - contraction(1000)) is Verdict.REPRODUCED
    assert verdict("F4", limit=1 - 0.999 * contraction(1000)) is Verdict.FALSIFIED


@pytest.mark.parametrize(("late", "expected"), [(0, Verdict.HOLDS), (1, Verdict.FAILS)])
def test_f5_fails_if_the_sum_has_one_layer_too_many(late, expected):
    opposite, gaps = torch.tensor(torch.pi, **DOUBLE), []
    for depth in range(1, 6):
        opposite = angle_map(opposite)
        gaps.append(abs(contraction(depth + late) - opposite.cos().item()))
    assert verdict("F5", rho_error=max(gaps)) is expected


# Where descents end. At these sizes most ends are far from the curves, so that r is that of half of them.


@cache
def ends(*widths, modulator=None, seed=3):
    return survey_networks(widths, stream(seed), networks=16, starts=8, iterations=60, modulator_widths=modulator)


def shapes(n):
    return (n, 16, 32), (n, 64, 512)


def typical_radii(curve=None, *, grow=True, **settings):
    narrow, wide = shapes(2)
    return [radius(ends(*some, **settings), share=0.5, curve=curve).item() for some in (narrow, wide if grow else narrow)]


@pytest.mark.parametrize("grow", [True, False])
def test_l1_l8_and_l9_fail_where_the_networks_do_not_grow(grow):
    r = typical_radii(grow=grow)
    epsilon = [exact_wdc(ReLUGenerator.gaussian((2, N), stream()).weights[0]).value for N in (16, 64)]
    assert (verdict("L1", radius_ratio=r[0] / r[1]) is Verdict.REPRODUCED) == grow
    assert (verdict("L9", radius_ratio=r[0] / r[1]) is Verdict.MET) == grow
    assert (verdict("L8", exponent=np.log(r[0] / r[1]) / np.log(epsilon[0] / epsilon[1])) is Verdict.REPRODUCED) == grow


def test_l1_fails_with_the_curves_in_the_wrong_place(monkeypatch):
    monkeypatch.setattr("demod.hyperbolas.contraction", lambda depth: 40.0)
    r = [radius(survey_networks(some, stream(3), networks=8, starts=8, iterations=60), share=0.5) for some in shapes(2)]
    assert verdict("L1", radius_ratio=(r[0] / r[1]).item()) is Verdict.FALSIFIED


def test_l1_fails_if_descents_are_not_polished(monkeypatch):
    monkeypatch.setattr("demod.landscape.surveys.ROUNDS", 0)
    found = survey_networks((2, 16, 32), stream(3), networks=4, starts=8, iterations=10)
    assert verdict("L1", gradient=ends(2, 16, 32).gradient.max().item()) is Verdict.REPRODUCED
    assert verdict("L1", gradient=found.gradient.max().item()) is Verdict.FALSIFIED


def test_l7_is_falsified_by_descents_that_have_the_sign_check(monkeypatch):
    from demod.landscape import surveys

    assert verdict("L7", elsewhere=int(ends(1, 16, 32).spurious.sum())) is Verdict.REPRODUCED
    plain = surveys.descend
    monkeypatch.setattr(surveys, "descend", lambda *a, **settings: plain(*a, **settings | {"reflect_every": 1}))
    checked = survey_networks((1, 16, 32), stream(3), networks=16, starts=8, iterations=60)
    assert verdict("L7", elsewhere=int(checked.spurious.sum())) is Verdict.FALSIFIED


@pytest.mark.parametrize("n", [2, 1])
def test_l17_is_missed_by_scalar_codes(n):
    share = [spurious_share(ends(*shape)).item() for shape in shapes(n)]
    errors = [(s * (1 - s) / 128) ** 0.5 / s for s in share]
    assert (verdict("L17", trend=exponent((16, 64), share, errors)) is Verdict.MET) == (n == 2)


@pytest.mark.parametrize("grow", [True, False])
def test_l19_fails_where_the_networks_do_not_grow(grow):
    both = ((2, 16, 32), (1, 16, 32)), ((2, 64, 512), (1, 64, 512))
    r = [radius(ends(*some, modulator=known), share=0.5, curve=1) for some, known in (both if grow else both[:1] * 2)]
    assert (verdict("L19", radius_ratio=(r[0] / r[1]).item()) is Verdict.REPRODUCED) == grow


@pytest.mark.parametrize("grow", [True, False])
def test_l18_is_missed_where_the_networks_do_not_grow(grow):
    rng, held, east = stream(8), [], torch.tensor([1.0, 0.0], **DOUBLE)
    turn = 2 * torch.pi * torch.arange(512, **DOUBLE) / 512
    around = torch.stack([turn.cos(), turn.sin()], -1)
    for N in (32, 128) if grow else (32, 32):
        for _ in range(150):
            G1, G2 = (ReLUGenerator.gaussian((2, N, 4 * N), rng) for _ in range(2))
            held.append(torch.stack(ripples(valley_grid(G1, G2, around, east[None], G1(east) * G2(east))[0])))
    narrow, wide = torch.stack(held).reshape(2, 150, 2).numpy()
    values, errors = zip(*(ratio_of_means(part[:, 0], np.ones(150)) for part in (narrow, wide)), strict=True)
    assert (verdict("L18", basins=exponent((32, 128), values, errors)[0]) is Verdict.MET) == grow


# Ways down


def ways(G1, G2, h, m, h0, m0, rng):
    """Return how many points are farther than 1/2 from all curves, and how many of them have no way down."""
    w = torch.randn(len(h), 6, generator=rng, **DOUBLE)
    far = (curve_distances(h, m, h0, m0, d=2, s=2) > 0.5).all(-1)
    return int(far.sum()), int((without_way_down(G1, G2, h, m, G1(h0) * G2(m0), w) & far).sum())


@pytest.mark.parametrize("count", [(300,), ()], ids=["a pair for each point", "one pair"])
@pytest.mark.parametrize("sign", [1, -1])
def test_l2_and_l11_are_falsified_by_the_wrong_sign_of_the_gradient(count, sign, rng, monkeypatch):
    from demod.landscape import pieces

    right = pieces.one_sided_gradient
    monkeypatch.setattr(pieces, "one_sided_gradient", lambda *a: tuple(sign * g for g in right(*a)))
    G1, G2 = (rounded(ReLUGenerator.gaussian((3, 30, 120), rng, batch=count)) for _ in range(2))
    h0, m0, *smooth = torch.randn(4, 300, 3, generator=rng, **DOUBLE)
    smooth = [on_grid(z) for z in smooth]
    kinks = [codes_at_kinks(G, z, rng) for G, z in zip((G1, G2), smooth, strict=True)]
    expected = Verdict.REPRODUCED if sign == 1 else Verdict.FALSIFIED
    for name, codes in (("smooth_failing", smooth), ("kink_failing", kinks)):
        points, failing = ways(G1, G2, *codes, h0, m0, rng)
        assert points > 200
        assert verdict("L2", **{name: failing}) is expected
        assert verdict("L11", failing=failing) is expected


def test_l2_is_falsified_on_the_global_curve(rng):
    G1, G2, h0, m0 = pair(rng, 3, 30, 120)
    stuck = without_way_down(G1, G2, h0[None], m0[None], G1(h0) * G2(m0), torch.ones(1, 6, **DOUBLE))
    assert verdict("L2", smooth_failing=int(stuck.sum())) is Verdict.FALSIFIED


@pytest.mark.parametrize(("factor", "expected"), [(1, Verdict.HOLDS), (2, Verdict.FAILS)])
def test_l12_fails_if_the_derivative_is_off_by_two(factor, expected, rng, monkeypatch):
    from demod.landscape import pieces

    right = pieces.directional_derivative
    monkeypatch.setattr(pieces, "directional_derivative", lambda *a: factor * right(*a))
    G1, G2 = (rounded(ReLUGenerator.gaussian((3, 30, 120), rng)) for _ in range(2))
    h0, m0, *smooth = torch.randn(4, 100, 3, generator=rng, **DOUBLE)
    kinks = [codes_at_kinks(G, on_grid(z), rng) for G, z in zip((G1, G2), smooth, strict=True)]
    w = torch.randn(100, 6, generator=rng, **DOUBLE)
    for name, codes in (("smooth", smooth), ("kinks", kinks)):
        s = slopes_down(G1, G2, *codes, G1(h0) * G2(m0), w)
        assert verdict("L12", **{name: ((s.quotient - s.exact).abs() / s.square).max().item()}) is expected


@pytest.mark.parametrize(("layers", "expected"), [((5, 50, 500), Verdict.REPRODUCED), ((5, 500), Verdict.FALSIFIED)])
def test_l3_is_falsified_by_a_single_layer(layers, expected, rng):
    G1, G2, h0, m0 = pair(rng, *layers)
    u, v = directions_off_K(h0, m0, 300, rng)
    assert verdict("L3", failing=int(without_fall_off_K(G1, G2, u, v, G1(h0) * G2(m0)).sum())) is expected


@pytest.mark.parametrize(("size", "expected"), [(0.01, Verdict.MET), (3.0, Verdict.MISSED)])
def test_l14_is_missed_by_long_steps(size, expected, rng):
    G1, G2, h0, m0 = pair(rng, 5, 50, 500)
    y, (u, v) = G1(h0) * G2(m0), directions_off_K(h0, m0, 300, rng)
    assert verdict("L14", increases=int((objective(G1, G2, u, size * v, y) > y.square().sum() / 2).sum())) is expected


@pytest.mark.parametrize("mistaken", [0, 1])
def test_l4_fails_if_a_depth_is_mistaken(mistaken, rng):
    h, m, h0, m0 = torch.randn(4, 20, 3, generator=rng, **DOUBLE)
    bases = curves(h0, m0, d=2, s=3), curves_of_theorem_3(h0, m0, d=2, s=3 + mistaken)
    first, third = (hyperbola_distance(h[:, None], m[:, None], *base) for base in bases)
    assert (verdict("L4", difference=(first - third).abs().max().item()) is Verdict.HOLDS) == (not mistaken)


@pytest.mark.parametrize(("sign", "expected"), [(1, Verdict.REPRODUCED), (-1, Verdict.FALSIFIED)])
def test_l5_is_falsified_by_the_observation_of_mirrored_codes(sign, expected, rng):
    G1, G2, h0, m0 = pair(rng, 5, 100, 1000)
    y = G1(sign * h0) * G2(m0)
    f = objective(G1, G2, *codes_near_curves(h0, m0, 30, rng, spread=0.1, d=2, s=2), y)
    flipped = objective(G1, G2, h0, m0, y) >= objective(G1, G2, -h0, m0, y)
    assert verdict("L5", failing=int(f[0].max() >= f[1:].min())) is expected
    assert verdict("L5", flipped=int(flipped)) is expected


def concentration(widths, rng, statistic):
    """Return the slope of a statistic of the deviations on a pair of networks, and its error; four pairs at each width."""
    sizes, errors = np.repeat((20, 40, 80, 160, 320)[: len(widths)], 4), []
    for width in np.repeat(widths, 4).tolist():
        G1, G2 = (ReLUGenerator.gaussian((5, width, 10 * width), rng) for _ in range(2))
        codes = normalize(torch.randn(4, 50, 5, generator=rng, **DOUBLE), dim=-1)
        errors.append(statistic(deviations(G1, G2, *codes)).item())
    fit = linregress(np.log(sizes), np.log(errors))
    return fit.slope, fit.stderr


def test_l6_is_not_reproduced_where_the_networks_do_not_grow():
    assert (
        verdict("L6", slope=concentration((20, 40, 80, 160, 320), stream(), lambda off: off.scaled.max()))
        is Verdict.REPRODUCED
    )
    same = concentration((40,) * 5, stream(), lambda off: off.scaled.max())
    assert verdict("L6", slope=same) in (Verdict.UNDECIDED, Verdict.FALSIFIED)


@pytest.mark.parametrize(("factor", "expected"), [(1, Verdict.MET), (2, Verdict.MISSED)])
def test_l16_is_missed_by_a_gradient_that_is_off_by_two(factor, expected, monkeypatch):
    from demod.landscape import concentration as module

    right = module.gradient
    monkeypatch.setattr(module, "gradient", lambda *a: tuple(factor * g for g in right(*a)))
    slope = concentration((20, 40, 80, 160, 320), stream(), lambda off: off.gradient.quantile(0.5))
    assert verdict("L16", slope=slope) is expected


@pytest.mark.parametrize("depth", [2, 1])
def test_l15_is_missed_with_the_cosines_of_another_depth(depth, rng):
    G1, G2 = (ReLUGenerator.gaussian((5, 400, 8000), rng) for _ in range(2))
    h, m, h0, m0 = normalize(torch.randn(4, 60, 5, generator=rng, **DOUBLE), dim=-1)
    y, kappa = G1(h0) * G2(m0), expected_cosine(angle(h, h0), depth) * expected_cosine(angle(m, m0), depth)
    off = objective(G1, G2, h, m, y) / half_squared_norm(y) / (2 * (1 - kappa)) - 1
    assert (verdict("L15", height=off.abs().quantile(0.5).item()) is Verdict.MET) == (depth == 2)
