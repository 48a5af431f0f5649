"""Every generator of the package: its pullback is the transposed derivative of its values, for all shapes of batches.

A row of GENERATORS is all that another generator needs.
"""

from collections.abc import Callable

import pytest
import torch
from fixture_calls import stream
from torch import Tensor, nn

from demod.arguments import check_generator
from demod.dcgan import generator_network, load_generator, load_notebook_generator
from demod.generators import (
    BatchedGenerator,
    CentredGenerator,
    Constant,
    Generator,
    Magnitude,
    Measured,
    ReLUGenerator,
    Restricted,
    as_generator,
    jacobian,
    networks,
    pick,
    restrict,
)
from demod.priors.image import ImageGenerator, InstanceGenerator
from demod.priors.relu import ReLUPrior, load_prior

STEP = 1e-6


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def drawn(*, batch: tuple[int, ...] = (), seed: int = 3) -> ReLUGenerator:
    return ReLUGenerator.gaussian((4, 9, 30), stream(seed), batch=batch)


def network() -> nn.Sequential:
    """A DCGAN whose images differ visibly from code to code."""
    made = generator_network(5, 4).eval()
    for layer in made[::3]:  # transposed convolutions
        torch.nn.init.normal_(layer.weight, 0, layer.in_channels**-0.5, generator=stream())
        torch.nn.init.normal_(layer.bias, 0, 0.1, generator=stream())  # not of the global stream: a kink may be near z
    return made.double()


def decoder() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = [nn.Linear(6, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 48), nn.Unflatten(1, (3, 4, 4))]
        return nn.Sequential(*layers, nn.Conv2d(3, 3, 3, padding=1), nn.Sigmoid()).double()


GENERATORS: dict[str, Callable[[], Generator]] = {
    "ReLU": drawn,
    "ReLU, one layer": lambda: ReLUGenerator.gaussian((4, 30), stream()),
    "ReLU, a batch": lambda: drawn(batch=(2, 3)),
    "ReLU, a batch over one last layer": lambda: ReLUGenerator([normal(3, 9, 4), normal(30, 9)]),
    "Constant": lambda: Constant(normal(30)),
    "Constant, a batch": lambda: Constant(normal(2, 3, 30)),
    "Measured": lambda: Measured(drawn(), normal(7, 30)),
    "Measured, a batch": lambda: Measured(drawn(batch=(3,)), normal(7, 30)),
    "Magnitude": lambda: Magnitude(Measured(drawn(), normal(7, 30))),
    "Magnitude, a batch": lambda: Magnitude(Measured(drawn(batch=(3,)), normal(7, 30))),
    "Restricted": lambda: Restricted(Measured(drawn(), normal(7, 30)), normal(7).sign().clamp(min=0)),
    "Restricted, a batch": lambda: restrict(Measured(drawn(batch=(3,)), normal(7, 30)), normal(7).sign().clamp(min=0)),
    "Restricted, a mask for each": lambda: Restricted(Measured(drawn(), normal(7, 30)), normal(2, 3, 7).sign().clamp(min=0)),
    "Restricted, a mask and a network for each": lambda: Restricted(
        Measured(drawn(batch=(3,)), normal(7, 30)), normal(2, 3, 7).sign().clamp(min=0)
    ),
    "restrict, of ReLU, a mask for each": lambda: restrict(drawn(), normal(3, 30).sign().clamp(min=0)),
    "restrict, of ReLU": lambda: restrict(drawn(batch=(3,)), normal(30).sign().clamp(min=0)),
    "as_generator": lambda: as_generator(decoder(), 6),
    "as_generator, without weights": lambda: as_generator(nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Softplus()), 6),
    "ImageGenerator": lambda: ImageGenerator(network()),
    "InstanceGenerator": lambda: InstanceGenerator(network()),
    "ReLUPrior": lambda: ReLUPrior([normal(9, 4), normal(30, 9)], normal(4)),
    "load_generator": lambda: load_generator("distortions", dtype=torch.float64),
    "load_notebook_generator": lambda: InstanceGenerator(load_notebook_generator("distortions").network.double()),
    "load_prior": lambda: load_prior("bump").to(dtype=torch.float64),
}


class Bare:
    """A generator that has the least that is asked for."""

    def __init__(self, G: Generator) -> None:
        self.G, self.widths, self.homogeneous, self.vjp = G, G.widths, G.homogeneous, G.vjp

    def __call__(self, z: Tensor) -> Tensor:
        return self.G(z)


@pytest.fixture(params=GENERATORS)
def G(request):
    return GENERATORS[request.param]()


def shapes(G: Generator) -> list[tuple[int, ...]]:
    N = networks(G)
    return [N, (2, *N)] if N else [(), (3,), (2, 2)]


def test_it_is_a_generator(G):
    check_generator(G=G)
    assert isinstance(G, Generator)
    assert isinstance(G, CentredGenerator) == isinstance(G, ReLUPrior)


def test_the_pullback_is_the_transposed_derivative(G):
    for batch in shapes(G):
        z, v, u = normal(*batch, G.widths[0]), normal(*batch, G.widths[0], seed=2), normal(*batch, G.widths[-1], seed=3)
        value, pull = G.vjp(z)
        slope = (G(z + STEP * v) - G(z - STEP * v)) / (2 * STEP)
        torch.testing.assert_close(value, G(z))
        assert pull(u).shape == z.shape
        # central differences: an error of the order STEP² by curvature, and of 1e-16/STEP by rounding, for each entry
        torch.testing.assert_close((pull(u) * v).sum(-1), (slope * u).sum(-1), rtol=1e-5, atol=1e-8 * G.widths[-1] ** 0.5)


def test_the_pullback_is_that_of_automatic_differentiation(G):
    batch = shapes(G)[-1]
    z, u = normal(*batch, G.widths[0]).requires_grad_(), normal(*batch, G.widths[-1], seed=3)
    if (value := G(z)).requires_grad:
        (expected,) = torch.autograd.grad(value, z, u)
    else:
        expected = torch.zeros_like(z)  # a known factor
    torch.testing.assert_close(G.vjp(z)[1](u), expected, rtol=1e-10, atol=1e-12)


def test_a_pullback_is_linear_and_can_be_called_again(G):
    batch = shapes(G)[0]
    _, pull = G.vjp(normal(*batch, G.widths[0]))
    u, v = normal(2, *batch, G.widths[-1])
    torch.testing.assert_close(pull(2 * u - v), 2 * pull(u) - pull(v), rtol=1e-9, atol=1e-12)
    assert torch.equal(pull(u), pull(u))


def test_the_jacobian_is_the_pullback_of_every_unit_vector(G):
    for batch in shapes(G):
        z, u = normal(*batch, G.widths[0]), normal(*batch, G.widths[-1], seed=3)
        value, J = G.jacobian(z)
        torch.testing.assert_close(value, G(z))
        assert J.shape == (*batch, G.widths[-1], G.widths[0])
        torch.testing.assert_close((J.mT @ u[..., None])[..., 0], G.vjp(z)[1](u), rtol=1e-9, atol=1e-11)


def test_the_jacobian_is_that_of_automatic_differentiation(G):
    batch = shapes(G)[0]
    z = normal(*batch, G.widths[0])
    flat, J = G(z).flatten(0, -2) if batch else G(z)[None], G.jacobian(z)[1].reshape(-1, G.widths[-1], G.widths[0])
    for entry in (0, 3, G.widths[-1] - 1):
        z.requires_grad_().grad = None
        if (value := G(z)).requires_grad:
            (expected,) = torch.autograd.grad(value[..., entry].sum(), z)
        else:
            expected = torch.zeros_like(z)  # a known factor
        torch.testing.assert_close(J[:, entry], expected.reshape(len(flat), -1), rtol=1e-9, atol=1e-11)
    assert not J.requires_grad


def test_a_generator_without_a_jacobian_of_its_own_is_differentiated(G):
    z = normal(*shapes(G)[0], G.widths[0])
    torch.testing.assert_close(jacobian(Bare(G), z), G.jacobian(z), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("nothing", [(0,), (2, 0), (0, 3)])
def test_an_empty_batch_gives_empty_results(G, nothing):
    batch = (0, *networks(G)) if networks(G) else nothing
    z = torch.zeros(*batch, G.widths[0], dtype=torch.float64)
    value, pull = G.vjp(z)
    assert G(z).shape == value.shape == (*batch, G.widths[-1])
    assert pull(value).shape == z.shape
    value, J = G.jacobian(z)
    assert value.shape == (*batch, G.widths[-1])
    assert J.shape == (*batch, G.widths[-1], G.widths[0])


def test_a_batch_of_networks_is_one_network_for_each_problem(G):
    if not (isinstance(G, BatchedGenerator) and G.batch):
        assert pick(G, torch.arange(2)) is G
        return
    z = normal(*G.batch, G.widths[0])
    together, each = G(z).flatten(0, -2), z.flatten(0, -2)
    for k, code in enumerate(each):
        torch.testing.assert_close(pick(G, torch.tensor(k))(code), together[k])
    some = torch.tensor([len(each) - 1, 0])
    torch.testing.assert_close(pick(G, some)(each[some]), together[some])
