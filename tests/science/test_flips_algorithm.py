"""The claims on Algorithm 1: measured as the chapters measure them, and with an error planted, which turns the verdict."""

import pytest
import torch

from demod.descent import THETA, default_step_size, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.landscape import (
    certified_strength,
    hessian,
    linear_rate,
    noise_gain,
    random_directions,
    tube,
    weakest,
)
from demod.objective import gradient
from demod.studies import starts
from demod.studies.random_problems import SUCCESS, recover_problems
from demod.studies.starts import recover_from_starts
from demod.studies.statistics import difference_interval, half_point, median_interval, share_interval
from demod_book.claims.judge import Verdict, judge
from demod_book.claims.ledger import LEDGER

SMALL = {"n": 4, "inner": 60, "ell": 800, "trials": 80, "iterations": 800, "tolerance": 1e-4}


def verdict(name, **measured):
    return judge(LEDGER[name], measured).verdict


def draw(count, rng, n=4, inner=40, ell=400):
    G1, G2 = (ReLUGenerator.gaussian((n, inner, ell), rng, batch=(count,)) for _ in range(2))
    h0, m0 = torch.nn.functional.normalize(torch.randn(2, count, n, generator=rng, dtype=torch.float64), dim=-1)
    return G1, G2, h0, m0, G1(h0) * G2(m0)


def recovered(rng, count=100, n=3, **settings):
    """The recovered of so many problems, from starts of norm 1."""
    G1, G2, h0, m0, y0 = draw(count, rng, n=n, inner=60, ell=600)
    eta = settings.pop("times", 1) * default_step_size(G1, G2, y0)
    run = descend(G1, G2, y0, step_size=eta, **({"iterations": 800, "tolerance": 1e-4, "rng": rng} | settings))
    error = outer_product_error(run.h, run.m, h0, m0)
    return run, share_interval(int((error <= SUCCESS).sum()), count, of=100)


def solved(norm, method, **changes):
    """How many of the problems `method` recovers from starts of a norm."""
    task = SMALL | {"start_norm": norm, "methods": [method]} | changes
    error = recover_from_starts(task, torch.Generator().manual_seed(1))["error"]
    return int((error <= SUCCESS).sum())


def test_a1_turns_with_a_step_beyond_stability(rng):
    _, share = recovered(rng)
    assert verdict("A1", problems=100, recovered=share) is Verdict.REPRODUCED
    _, share = recovered(rng, times=8, iterations=100)
    assert verdict("A1", problems=100, recovered=share) is Verdict.FALSIFIED


def test_a2_sees_a_dropped_sign_check(rng):
    shares = [recovered(rng, 60, n=1, reflect_every=every, iterations=300)[1] for every in (1, 0)]
    assert shares[0][1] > 90 > 50 > shares[1][2]


@pytest.mark.parametrize(("balance", "expected"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_a3_turns_with_a_dropped_balancing(balance, expected, rng):
    run, _ = recovered(rng, 20, balance=balance)
    assert verdict("A3", imbalance=float((run.h.norm(dim=-1) / run.m.norm(dim=-1) - 1).abs().max())) is expected


def test_a4_sees_steps_that_do_not_alternate(rng):
    counts = [int(recovered(rng, times=4, simultaneous=together, iterations=200)[1][0]) for together in (False, True)]
    assert difference_interval(*counts, 100, of=100)[1] > 0
    assert difference_interval(counts[0], counts[0], 100, of=100)[1] < 0


@pytest.mark.parametrize(("scale", "expected"), [(1.0, Verdict.REPRODUCED), (3.0, Verdict.FALSIFIED)])
def test_a5_turns_where_another_product_is_observed(scale, expected, rng, monkeypatch):
    monkeypatch.setattr(tube, "gradient", lambda G1, G2, h, m, y: gradient(G1, G2, h, m, scale * y))
    points = []
    for _ in range(20):
        G1, G2, h0, m0, _ = (value[0] if isinstance(value, torch.Tensor) else value for value in draw(1, rng))
        G1, G2 = (G.pick(torch.tensor(0)) for G in (G1, G2))
        points.append(weakest(G1, G2, h0, m0, 0.3, random_directions(16, h0, m0, rng), steps=31))
    points = torch.stack(points)
    assert verdict("A5", pairs=20, points=points.numel(), violations=int((points <= 0).sum())) is expected


def test_a6_turns_where_steps_do_not_follow_the_norms(monkeypatch):
    def share(norm):
        return share_interval(solved(norm, "relative"), SMALL["trials"])

    short, long = share(1e-3), share(1e3)
    assert verdict("A6", short=short, long=long, least=min(short, long)) is Verdict.REPRODUCED
    monkeypatch.setattr(starts, "descend", lambda *problem, relative_steps, **rule: descend(*problem, **rule))
    assert verdict("A6", short=short, long=share(1e3), least=share(1e3)) is Verdict.FALSIFIED


def test_a7_sees_noise_that_is_not_recovered_stably(rng):
    G1, G2, h0, m0, _ = draw(20, rng)
    task = {"n": 4, "p": 4, "ell": 400, "trials": 20, "iterations": 800}
    found = [20 * recover_problems(task | {"noise": 10 ** (-snr / 20)}, rng)["error"].log10().median() for snr in (40, 60)]
    assert -1.1 < (found[1] - found[0]).item() / 20 < -0.9
    assert found[0].item() + 40 == pytest.approx(20 * noise_gain(G1, G2, h0, m0).log10().median().item(), abs=2)


def test_a8_turns_with_a_wrong_weight_of_the_planted_code(monkeypatch):
    def certified():
        return {name: certified_strength(0.1, 0.69, d=d, s=d) for name, d in (("shallow", 2), ("deep", 5))}

    assert verdict("A8", **certified()) is Verdict.HOLDS
    right = tube.planted_weight
    monkeypatch.setattr(tube, "planted_weight", lambda theta, depth: right(theta, depth) / 2)
    assert verdict("A8", **certified()) is Verdict.FAILS


def test_a9_turns_where_widths_are_confused(rng):
    least = []
    for width in (20, 200):
        pairs = [draw(1, rng, inner=width, ell=10 * width) for _ in range(12)]
        least.append(
            [
                weakest(*(G.pick(torch.tensor(0)) for G in pair[:2]), pair[2][0], pair[3][0], 0.49, v, steps=12).min()
                for pair, v in ((pair, random_directions(6, pair[2][0], pair[3][0], rng)) for pair in pairs)
            ]
        )
    narrow, wide = (torch.stack(values) for values in least)
    for (low, high), expected in (((narrow, wide), Verdict.MET), ((wide, narrow), Verdict.MISSED)):
        above = share_interval(int((high > low.median()).sum()), len(high))
        assert verdict("A9", narrow=low.median().item(), wide=high.median().item(), gain=above) is expected


@pytest.mark.parametrize(("times", "expected"), [(1.0, Verdict.MET), (0.5, Verdict.MISSED)])
def test_a10_turns_with_the_rate_of_another_step(times, expected, rng):
    G1, G2, h0, m0, y0 = draw(20, rng)
    eta = default_step_size(G1, G2, y0)
    run = descend(G1, G2, y0, iterations=3000, tolerance=1e-12, rng=rng)
    residual = (2 * run.objective).sqrt() / y0.norm(dim=-1)
    first = (residual < 1e-8).double().argmax(0)
    ends = [residual.gather(0, k[None])[0] for k in (first, run.iterations)]
    measured = (ends[1] / ends[0]).log() / (run.iterations - first)
    predicted = linear_rate(G1, G2, h0, m0, y0, times * eta).log()
    deviation = (measured / predicted - 1).abs()[run.converged]
    measured = {"rate": median_interval(deviation.tolist()), "rate_worst": deviation.max().item()}
    assert verdict("A10", **measured) is expected


def test_a11_turns_with_a_step_of_another_length(monkeypatch):
    norms = (2.0, 3.0, 4.0, 10.0)

    def measured():
        counts = [solved(norm, "constant") for norm in norms]
        size, error = half_point([1 / norm for norm in norms], counts, SMALL["trials"])
        inside, outside = (share_interval(counts[k], SMALL["trials"]) for k in (0, -1))
        return {"inside": inside, "edge": (1 / size, error / size), "outside": outside}

    assert verdict("A11", **measured()) is Verdict.MET

    def longer(G1, G2, y, **rule):
        return descend(G1, G2, y, step_size=2.5 * default_step_size(G1, G2, y), **rule)

    monkeypatch.setattr(starts, "descend", longer)
    assert verdict("A11", **measured()) is Verdict.MISSED


@pytest.mark.parametrize(("iterations", "expected"), [(150, Verdict.MET), (5, Verdict.MISSED)])
def test_a12_turns_with_steps_that_are_too_few(iterations, expected):
    counts = [solved(norm, "second_order", iterations=iterations) for norm in (1e-3, 1e3)]
    assert verdict("A12", least=share_interval(min(counts), SMALL["trials"])) is expected


@pytest.mark.parametrize(("more", "expected"), [(0, Verdict.MET), (3, Verdict.MISSED)])
def test_a13_turns_with_a_wrong_count_of_unknowns(more, expected, rng):
    disagreements = 0
    for ell in (20, 25, 30, 35):
        G1, G2, h0, m0, y0 = draw(60, rng, inner=40, ell=ell)
        second = torch.linalg.eigvalsh(hessian(G1, G2, h0, m0, y0))[:, 1] * default_step_size(G1, G2, y0) / THETA
        disagreements += int(((second <= 1e-9) != ((y0 > 0).sum(-1) < 7 + more)).sum())
    assert verdict("A13", networks=660, disagreements=disagreements) is expected
