"""Paired studies: what is shared is the same, and what differs is what the task says."""

import pytest
import torch

from demod.generators import ReLUGenerator
from demod.priors.relu import load_prior
from demod.studies.prior_starts import STARTS, starting_codes
from demod.studies.variants import demodulate_both, draw_codes, draw_problems, invert_both, recover_orders


def gaussian(widths, rng):
    return ReLUGenerator.gaussian(widths, rng, batch=(6,))


def test_starts_have_the_norm_that_the_data_suggest_times_the_length_asked_for(rng):
    codes = draw_codes(3, 6, rng)
    problems = draw_problems(gaussian, (3, 30, 200), codes, seed=1)
    near, far = problems.starts(codes), problems.starts(codes, 100.0)
    torch.testing.assert_close(far, tuple(100 * code for code in near))
    planted = (codes.h0.norm(dim=-1) * codes.m0.norm(dim=-1)).log().mean()
    assert (near[0].norm(dim=-1) * near[1].norm(dim=-1)).log().mean() == pytest.approx(planted.item(), abs=0.3)


def test_problems_of_one_seed_are_the_same(rng):
    codes = draw_codes(3, 6, rng)
    first, second = (draw_problems(gaussian, (3, 30, 200), codes, seed=1) for _ in range(2))
    assert torch.equal(first.y, second.y)
    assert not torch.equal(first.y, draw_problems(gaussian, (3, 30, 200), codes, seed=2).y)


def test_an_order_that_reads_the_same_backwards_gives_the_same_errors(rng):
    found = recover_orders({"n": 2, "inner": [20, 20], "ell": 100, "trials": 4}, rng)
    assert torch.equal(found["given"], found["reversed"])


@pytest.mark.parametrize("run", [demodulate_both, invert_both])
def test_networks_that_switch_off_count_as_failures_of_both(rng, run):
    found = run({"n": 3, "inner": [1], "ell": 40, "trials": 12}, rng)
    assert all(error.shape == (12,) for error in found.values())
    assert all((error > 0.1).all() for error in found.values())


def test_starts_on_relu_priors_differ_as_their_names_say():
    G1, G2, y = load_prior("digits"), load_prior("bump"), torch.full((3, 4096), 0.5)
    codes = {name: starting_codes(name, G1, G2, y, torch.Generator().manual_seed(1)) for name in STARTS}
    assert torch.equal(codes["mirrored"][0], -codes["centre"][0])
    torch.testing.assert_close(codes["isotropic"][1].norm(dim=-1), torch.full((3,), 50**0.5))
    h, m = codes["fitted"]
    product = G1(h) * G2(m)
    torch.testing.assert_close((y * product).sum(-1), product.square().sum(-1), rtol=1e-3, atol=0)  # single precision
    with pytest.raises(ValueError, match="name is 'elsewhere', but it must be one of centre"):
        starting_codes("elsewhere", G1, G2, y, torch.Generator())
