import doctest
from math import log

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2
from torch import nn

from demod.descent import descend
from demod.generators import (
    ReLUGenerator,
    as_generator,
    expansion_constants,
    measurement_constant,
    truncation_constant,
)
from demod.generators import module as demod_module

WIDTHS = [(3, 40), (3, 8, 40), (3, 8, 20, 40), (3, 8, 20, 30, 40), (3, 8, 20, 30, 35, 40)]


def forward(weights, z):
    """G(z) for one network and one code, entry by entry."""
    for W in weights:
        z = torch.stack([max(row @ z, torch.tensor(0.0, dtype=z.dtype)) for row in W])
    return z


def codes(G, rng, *batch):
    return torch.randn(*batch, G.widths[0], generator=rng, dtype=torch.float64)


@pytest.fixture(params=WIDTHS, ids=lambda widths: f"depth {len(widths) - 1}")
def G(request, rng):
    return ReLUGenerator.gaussian(request.param, rng)


# The network


def test_a_network_alternates_products_and_relu(G, rng):
    z = codes(G, rng, 5)
    torch.testing.assert_close(G(z), torch.stack([forward(G.weights, code) for code in z]))


def test_the_pullback_is_the_transposed_active_map(G, rng):
    z, u = codes(G, rng, 7), torch.randn(7, 40, generator=rng, dtype=torch.float64)
    value, pullback = G.vjp(z)
    torch.testing.assert_close(value, G(z))
    torch.testing.assert_close(pullback(u), (G.active_map(z).mT @ u[..., None]).squeeze(-1))


def test_the_active_map_reproduces_the_value(G, rng):
    z = codes(G, rng, 2, 3)
    torch.testing.assert_close((G.active_map(z) @ z[..., None]).squeeze(-1), G(z))


@pytest.mark.parametrize("c", [1e-8, 0.1, 7.0, 1e8])
def test_a_network_is_positively_homogeneous(G, rng, c):
    z = codes(G, rng, 5)
    torch.testing.assert_close(G(c * z), c * G(z), rtol=1e-12, atol=0)


def test_a_unit_whose_input_is_exactly_zero_counts_as_off():
    W = torch.tensor([[1.0, -1], [1, 1], [2, -2]])
    G = ReLUGenerator([W, torch.eye(3)])
    z = torch.tensor([3.0, 3])
    off = torch.tensor([[0.0, 0], [1, 1], [0, 0]])
    assert torch.equal(G.active_map(z), off)
    assert torch.equal(G.vjp(z)[1](torch.ones(3)), torch.tensor([1.0, 1]))


def test_nothing_is_active_at_the_zero_code(G):
    z = torch.zeros(3, dtype=torch.float64)
    assert not G.active_map(z).any()
    assert not G.vjp(z)[1](torch.ones(40, dtype=torch.float64)).any()


def test_a_batch_of_networks_equals_a_loop_over_networks(rng):
    batch = ReLUGenerator.gaussian((3, 10, 40), rng, batch=(2, 4))
    z, u = codes(batch, rng, 2, 4), torch.randn(2, 4, 40, generator=rng, dtype=torch.float64)
    value, pullback = batch.vjp(z)
    pulled, active = pullback(u), batch.active_map(z)
    for i in np.ndindex(2, 4):
        single = ReLUGenerator([W[i] for W in batch.weights])
        torch.testing.assert_close(value[i], single(z[i]))
        torch.testing.assert_close(batch(z)[i], single(z[i]))
        torch.testing.assert_close(pulled[i], single.vjp(z[i])[1](u[i]))
        torch.testing.assert_close(active[i], single.active_map(z[i]))


def test_one_code_goes_through_every_network_of_a_batch(rng):
    batch = ReLUGenerator.gaussian((3, 10, 40), rng, batch=(4,))
    z = codes(batch, rng)
    torch.testing.assert_close(batch(z), batch(z.expand(4, 3)))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_an_empty_batch_gives_empty_results(G, shape):
    z = torch.zeros(*shape, 3, dtype=torch.float64)
    value, pullback = G.vjp(z)
    assert G(z).shape == value.shape == (*shape, 40)
    assert pullback(value).shape == (*shape, 3)
    assert G.active_map(z).shape == (*shape, 40, 3)


def test_an_empty_batch_of_networks_gives_an_empty_result(rng):
    G = ReLUGenerator.gaussian((3, 8, 40), rng, batch=(0,))
    assert G(torch.zeros(0, 3, dtype=torch.float64)).shape == (0, 40)


def test_precision_changes_the_rounding_of_a_network_and_nothing_else(rng):
    G = ReLUGenerator.gaussian((3, 20, 40), rng)
    same = ReLUGenerator.gaussian((3, 20, 40), torch.Generator().manual_seed(2019), dtype=torch.float32)
    z = codes(G, rng, 6)
    assert all(torch.equal(W.float(), V) for W, V in zip(G.weights, same.weights, strict=True))
    assert torch.equal(G.to(dtype=torch.float32)(z.float()), same(z.float()))
    assert G.to(dtype=torch.float32).alpha == same.alpha == G.alpha
    torch.testing.assert_close(same(z.float()), G(z).float())


# The law of Theorem 2


def test_layer_i_has_independent_entries_of_variance_one_over_n_i(rng):
    G = ReLUGenerator.gaussian((20, 100, 300, 500), rng, truncate_last=False)
    for W in G.weights:
        scaled = W * W.shape[0] ** 0.5
        standard_error = W.numel() ** -0.5
        assert abs(scaled.mean()) < 4 * standard_error
        assert abs(scaled.var() - 1) < 4 * 2**0.5 * standard_error
        assert abs((scaled**4).mean() - 3) < 4 * 96**0.5 * standard_error  # Var z⁴ = 105 - 9
        assert abs((scaled[1:] * scaled[:-1]).mean()) < 4 * standard_error
    assert G.alpha == 1


def test_truncation_sets_long_rows_to_zero_as_a_whole_and_leaves_the_others(rng):
    plain = ReLUGenerator.gaussian((4, 2, 5000), torch.Generator().manual_seed(3), truncate_last=False)
    G = ReLUGenerator.gaussian((4, 2, 5000), torch.Generator().manual_seed(3))
    bound = 3 * (2 / 5000) ** 0.5
    long = plain.weights[-1].norm(dim=-1) > bound
    assert 0 < long.sum() < 5000
    assert not G.weights[-1][long].any()
    assert torch.equal(G.weights[-1][~long], plain.weights[-1][~long])
    assert G.weights[-1].norm(dim=-1).max() <= bound
    assert torch.equal(G.weights[0], plain.weights[0])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_share_of_zero_rows_is_the_tail_of_chi_squared(n, rng):
    rows = 1_000_000
    zero = ~ReLUGenerator.gaussian((n, rows), rng).weights[0].any(-1)
    share = chi2.sf(9 * n, n)
    assert abs(zero.double().mean() - share) <= 3 * (share / rows) ** 0.5


@pytest.mark.parametrize("n", [1, 2, 3])
def test_alpha_is_the_energy_that_truncated_rows_keep(n):
    # The lost share 1 - α is estimated, because its standard error is far below that of the kept one.
    rows = 1_000_000
    rng = torch.Generator().manual_seed(n)
    W = ReLUGenerator.gaussian((n, rows), rng, truncate_last=False).weights[0]
    G = ReLUGenerator.gaussian((n, rows), torch.Generator().manual_seed(n))
    lost = (W.square().sum(-1) - G.weights[0].square().sum(-1)) * rows / n
    assert lost.any()
    assert abs(lost.mean() - (1 - G.alpha)) <= 3 * lost.std() / rows**0.5


@pytest.mark.parametrize(("n", "alpha"), [(1, 0.97071), (2, 0.99877), (3, 0.999943), (10, 1.0)])
def test_alpha_has_its_tabulated_value_and_that_of_the_integral(n, alpha):
    digits = 0.5 * 10.0 ** -len(str(alpha).partition(".")[2]) if n < 10 else 1e-13
    assert truncation_constant(n) == pytest.approx(alpha, abs=digits)
    kept, _ = quad(lambda t: t / n * chi2.pdf(t, n), 0, 9 * n, epsabs=1e-13, epsrel=1e-12)
    assert truncation_constant(n) == pytest.approx(kept, abs=1e-10)


def test_a_drawn_network_knows_the_alpha_of_its_own_last_layer(rng):
    assert ReLUGenerator.gaussian((5, 1, 50), rng).alpha == truncation_constant(1)
    assert ReLUGenerator.gaussian((1, 5, 50), rng).alpha == truncation_constant(5)


# Assumptions A2 and A3


def test_a2_is_the_expansion_of_the_inner_layers():
    assert expansion_constants((10, 200, 5000, 123)) == pytest.approx((200 / (10 * log(10)), 5000 / (200 * log(200))))
    assert expansion_constants((10, 123)) == ()


def test_a2_is_vacuous_for_scalar_codes():
    assert expansion_constants((1, 2, 100))[0] == float("inf")


def test_a3_weighs_both_last_layers():
    need = (200 * log(200)) ** 2 + (30 * log(30)) ** 2
    assert measurement_constant((5, 200, 10**7), (4, 10, 30, 10**7)) == pytest.approx(10**7 / need)
    assert measurement_constant((1, 50), (1, 50)) == float("inf")


# Networks of one's own


def decoder(*layers, seed=1):
    """A network as people have it: single precision, weights that learn, in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(*(layer() for layer in layers))


OWN = {  # the step size, the shape of an image, and the layers
    "images of 64 × 64 by convolutions": (
        100.0,
        (64, 64),
        lambda: nn.Unflatten(1, (6, 1, 1)),
        lambda: nn.ConvTranspose2d(6, 8, 8, 8),
        lambda: nn.BatchNorm2d(8),
        lambda: nn.ReLU(),
        lambda: nn.ConvTranspose2d(8, 1, 8, 8),
        lambda: nn.Sigmoid(),
        lambda: nn.Flatten(1, 2),
    ),
    "a fully connected decoder": (1.0, (200,), lambda: nn.Linear(6, 40), nn.ReLU, lambda: nn.Linear(40, 200)),
    "another size": (0.1, (1, 20, 12), lambda: nn.Linear(6, 240), nn.Tanh, lambda: nn.Unflatten(1, (1, 20, 12))),
    "three channels": (0.1, (3, 16, 16), lambda: nn.Linear(6, 768), nn.Softplus, lambda: nn.Unflatten(1, (3, 16, 16))),
}


@pytest.mark.parametrize("name", OWN)
def test_a_network_of_ones_own_is_a_prior_in_five_lines(name, rng):
    step_size, shape, *layers = OWN[name]
    G1, G2 = (as_generator(decoder(*layers, seed=seed), 6) for seed in (1, 2))
    h0, m0, off = torch.randn(3, 5, 6, generator=rng)
    y = G1(h0) * G2(m0)
    run = descend(G1, G2, y, h=h0 + off / 10, m=m0 - off / 10, step_size=step_size, iterations=50)
    assert (run.objective[-1] < 0.05 * run.objective[0]).all()
    assert run.signal.unflatten(-1, G1.shape).shape == (5, *shape)


def test_a_module_is_evaluated_as_it_is_after_training(rng):
    own = decoder(
        lambda: nn.Linear(6, 8), lambda: nn.BatchNorm1d(8), lambda: nn.Dropout(0.5), lambda: nn.Linear(8, 9)
    ).double()
    own(codes(as_generator(own, 6), rng, 50))  # in training mode: moves the statistics
    G, z = as_generator(own, 6), codes(as_generator(own, 6), rng, 4)
    assert own.training
    torch.testing.assert_close(G(z), own.eval()(z))
    torch.testing.assert_close(G(z[2]), own(z[2:3])[0])
    with torch.no_grad():
        own[0].weight.zero_()
    assert not torch.equal(G(z), own(z))  # a copy


def test_a_modules_output_is_flattened_and_its_shape_kept():
    G = as_generator(nn.Unflatten(1, (2, 3)), 6)
    assert (G.widths, tuple(G.shape), G.homogeneous) == ((6, 6), (2, 3), False)
    assert as_generator(nn.ReLU(), 6, homogeneous=True).homogeneous
    z = torch.arange(12.0).reshape(2, 6)
    assert torch.equal(G(z), z)


def test_the_example_of_a_network_of_ones_own_runs():
    found = doctest.testmod(demod_module, extraglobs={"torch": torch, "nn": nn})
    assert found.attempted >= 4
    assert not found.failed


# Refusals


@pytest.mark.parametrize("widths", [(), (5,), (5, 0), (0, 5), (5, -2, 7), (5, 2.5)])
def test_widths_that_are_no_network_are_refused(widths, rng):
    with pytest.raises(ValueError, match=r"widths is .* two or more positive integers"):
        ReLUGenerator.gaussian(widths, rng)


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValueError, match="weights is empty; give one matrix per layer"):
        ReLUGenerator([])


def test_layers_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"weights\[1\] produces 5 entries but weights\[2\] takes 6"):
        ReLUGenerator([torch.ones(4, 3), torch.ones(5, 4), torch.ones(7, 6)])


@pytest.mark.parametrize("call", ["__call__", "vjp", "active_map", "kinks"])
def test_a_code_that_does_not_fit_is_refused(call, G):
    with pytest.raises(ValueError, match=r"z has shape \(2, 4\) but this network takes codes of 3 entries"):
        getattr(G, call)(torch.zeros(2, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"z is torch.float32 but the weights are torch.float64; convert one with .to"):
        getattr(G, call)(torch.zeros(2, 3))


def test_a_scalar_is_no_code(G):
    with pytest.raises(ValueError, match=r"z has shape \(\)"):
        G(torch.tensor(1.0, dtype=torch.float64))


def test_a3_needs_a_common_length():
    with pytest.raises(ValueError, match="G1 produces 40 entries and G2 50"):
        measurement_constant((3, 40), (3, 50))


# Kinks


def integers(rng, *shape):
    return torch.randint(-2, 3, shape, generator=rng).double()


@pytest.fixture
def kinked(rng):
    """A network of small integers, and 200 codes at which many of its units stand at a kink."""
    network = ReLUGenerator([integers(rng, 12, 4), integers(rng, 20, 12), integers(rng, 15, 20)])
    return network, integers(rng, 200, 4)


def test_the_one_sided_pullback_is_the_pullback_a_tiny_step_ahead(kinked, rng):
    G, z = kinked
    v, u = integers(rng, 200, 4), integers(rng, 200, 15)
    value, one_sided = G.one_sided_vjp(z, v)
    assert torch.equal(value, G(z))
    assert torch.equal(one_sided(u), G.vjp(z + 2.0**-20 * v)[1](u))  # exact: all inputs are integers times the step
    assert (one_sided(u) != G.vjp(z)[1](u)).any(-1).sum() > 50


def test_kinks_are_the_units_whose_input_is_zero(kinked):
    G, z = kinked
    a = z
    for W, found in zip(G.weights, G.kinks(z), strict=True):
        assert torch.equal(found, (a @ W.T == 0) & W.any(-1))
        a = (a @ W.T).relu()
    assert all(found.any() for found in G.kinks(z))


def test_a_tolerance_finds_the_kinks_that_rounding_moved(kinked, rng):
    G, z = kinked
    moved = ReLUGenerator([W * (1 + 1e-15 * torch.randn(W.shape, generator=rng, dtype=W.dtype)) for W in G.weights])
    for exact, near in zip(G.kinks(z), moved.kinks(z, tolerance=1e-13), strict=True):
        assert torch.equal(exact, near)


def test_rows_that_are_zero_are_no_kinks(rng):
    G = ReLUGenerator([torch.tensor([[1.0, 0.0], [0.0, 0.0]])])
    assert torch.equal(G.kinks(torch.tensor([0.0, 5.0]))[0], torch.tensor([True, False]))


def test_the_next_kink_is_where_the_piece_changes_first(rng):
    G = ReLUGenerator.gaussian((3, 9, 12, 20), rng)
    z, v = codes(G, rng, 40), codes(G, rng, 40)
    t, normal = G.next_kink(z, v)
    met = t < 1e6  # the others run away from all walls
    assert met.sum() > 30
    here = G.active_map(z)
    for reach, changed in ((0.5, False), (1 - 1e-9, False), (1 + 1e-9, True)):
        there = G.active_map(z + reach * t[:, None] * v)
        assert ((there != here).flatten(1).any(-1) == changed)[met].all()
    wall = z + t[:, None] * v
    assert ((normal * wall).sum(-1).abs() <= 1e-12 * wall.norm(dim=-1))[met].all()
    torch.testing.assert_close(normal[met].norm(dim=-1), torch.ones(int(met.sum()), dtype=torch.float64))


def test_walls_that_a_direction_runs_along_are_not_met():
    G = ReLUGenerator([torch.tensor([[1.0, 0.0], [1.0, 1.0]])])
    t, normal = G.next_kink(torch.tensor([0.0, 2.0]), torch.tensor([0.0, -1.0]))
    assert t == 2  # the wall of the second unit, at the origin; the code stands on that of the first
    torch.testing.assert_close(normal, torch.tensor([0.5**0.5, 0.5**0.5]))
    assert G.next_kink(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))[0] == torch.inf


def test_networks_that_follow_one_another_are_picked_without_a_copy_and_others_with_one():
    G = ReLUGenerator.gaussian((2, 5, 9), torch.Generator().manual_seed(1), batch=(2, 3))
    flat = [W.flatten(0, 1) for W in G.weights]
    for numbers, shared in (([1, 2, 3], True), ([4], True), ([3, 2, 1], False), ([0, 2, 4], False)):
        for W, picked in zip(flat, G.pick(torch.tensor(numbers)).weights, strict=True):
            assert torch.equal(picked, W[numbers])
            assert (picked.untyped_storage().data_ptr() == W.untyped_storage().data_ptr()) == shared
