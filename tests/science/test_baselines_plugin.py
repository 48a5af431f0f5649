"""Inversion by a pullback without masks: what it does in expectation, and that it recovers."""

import pytest
import torch

from demod.baselines import inversion, plugin
from demod.descent import descend, outer_product_error
from demod.generators import ReLUGenerator

SUCCESS = 1e-3  # relative error of the codes


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def code_error(h, h0):
    return (h - h0).norm(dim=-1) / h0.norm(dim=-1)


@pytest.fixture
def wide(rng):
    """Two wide networks with planted codes and what they make of them."""
    G1, G2 = (ReLUGenerator.gaussian((2, 1000, 4000), rng) for _ in range(2))
    h0, m0 = normal(rng, 2, 2)
    return G1, G2, h0, m0, G1(h0) * G2(m0)


def test_in_a_wide_network_one_whole_step_of_plugin_finds_the_code_from_its_opposite(wide):
    G, _, h0, _, _ = wide
    found = plugin.solve(G, G(h0), h=-h0, relaxation=1.0, iterations=1)
    assert code_error(found.h, h0) < 0.2  # the distance was 2; the rest is of the order of 1/sqrt(1000), times some units


@pytest.mark.parametrize("relaxation", [0.25, 0.5, 1.2])
def test_in_a_wide_network_a_step_shrinks_the_error_by_one_minus_the_relaxation(wide, relaxation):
    G, _, h0, _, _ = wide
    start = torch.tensor([3.0, -1.0], dtype=torch.float64)
    found = plugin.solve(G, G(h0), h=start, relaxation=relaxation, iterations=1)
    left = found.h - h0 - (1 - relaxation) * (start - h0)
    assert left.norm() < 0.15 * relaxation * (start - h0).norm()  # of the order of 1/sqrt(1000)


@pytest.mark.parametrize("signs", [(1, -1), (-1, 1), (-1, -1)])
def test_the_spurious_curves_are_not_fixed_without_masks_and_are_for_the_gradient(wide, signs):
    G1, G2, h0, m0, y = wide
    h, m = signs[0] * h0 / 3, signs[1] * m0 / 3
    found = plugin.demodulate(G1, G2, y, h=h, m=m, iterations=60, tolerance=1e-6)
    assert outer_product_error(found.h, found.m, h0, m0) < SUCCESS
    walk = descend(G1, G2, y, h=h, m=m, iterations=60, reflect_every=0)
    assert outer_product_error(walk.h, walk.m, h0, m0) > 0.5


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_demodulation_without_masks_begins_at_any_length(wide, length):
    G1, G2, h0, m0, y = wide
    h, m = torch.tensor([[1.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
    found = plugin.demodulate(G1, G2, y, h=length * h, m=m, iterations=80, tolerance=1e-6)
    assert outer_product_error(found.h, found.m, h0, m0) < SUCCESS
    assert found.converged


def test_plugin_inverts_networks_that_narrow_after_the_first_layer(rng):
    G = ReLUGenerator.gaussian((3, 150, 60, 200), rng, batch=(20,))
    h0 = normal(rng, 20, 3)
    found = plugin.solve(G, G(h0), rng=rng)
    assert (code_error(found.h, h0) < SUCCESS).sum() >= 18
    torch.testing.assert_close(found.signal, G(found.h))


def test_problems_in_a_batch_go_as_if_alone(rng):
    G = ReLUGenerator.gaussian((3, 30, 100), rng, batch=(4,))
    h0, h = normal(rng, 2, 4, 3)
    together = plugin.solve(G, G(h0), h=h, iterations=40, tolerance=0)
    for k in range(4):
        alone = plugin.solve(G.pick(torch.tensor(k)), G(h0)[k], h=h[k], iterations=40, tolerance=0)
        torch.testing.assert_close(together.h[k], alone.h)


def test_the_starting_code_is_not_written_to(rng):
    G = ReLUGenerator.gaussian((3, 30, 100), rng)
    h0, h = normal(rng, 2, 3)
    before = h.clone()
    plugin.solve(G, G(h0), h=h, iterations=3)
    assert torch.equal(h, before)


def test_the_step_of_plugin_is_that_of_gradient_descent_on_average(rng):
    G = ReLUGenerator.gaussian((3, 30, 100), rng)
    ones = torch.ones(100, dtype=torch.float64)
    assert inversion.inversion_step_size(G, ones) == pytest.approx(0.25 * 4 / G.alpha)


G1 = ReLUGenerator.gaussian((3, 30, 100), torch.Generator().manual_seed(1))
Y = G1(torch.ones(3, dtype=torch.float64))
WRONG = {
    "a trained network": (lambda: plugin.solve(ReLUGenerator(G1.weights), Y, h=Y[:3]), ValueError, "G has no α"),
    "a network of another kind": (lambda: plugin.solve(torch.nn.Linear(3, 100), Y), TypeError, "G is a Linear"),
    "no start": (lambda: plugin.solve(G1, Y), ValueError, "h is None and so is rng"),
    "another size": (lambda: plugin.solve(G1, Y[:-1], h=Y[:3]), ValueError, "but G produces 100"),
    "a zero observation": (lambda: plugin.solve(G1, 0 * Y, h=Y[:3]), ValueError, "y is zero"),
    "a step of zero": (lambda: plugin.solve(G1, Y, relaxation=0), ValueError, "relaxation is 0"),
    "no number of iterations": (
        lambda: plugin.demodulate(G1, G1, Y, h=Y[:3], m=Y[:3], iterations=-1),
        ValueError,
        "iterations is -1",
    ),
    "a start of another size": (lambda: plugin.demodulate(G1, G1, Y, h=Y[:2], m=Y[:3]), ValueError, "h is torch.float64"),
}


@pytest.mark.parametrize("call", WRONG)
def test_what_plugin_cannot_take_is_named(call):
    attempt, kind, message = WRONG[call]
    with pytest.raises(kind, match=message):
        attempt()
