"""Whatever state torch is in, public functions work and give the same numbers, bit for bit.

To cover another function, add a row to CALLS: its name, and a call without arguments that returns numbers. Tensors that a
caller would hand over come from `given`, so that they are made in the state, and require gradients where the state says so.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from fixture_calls import stream
from torch import Tensor, nn

from demod import expectation, gauss_newton, hyperbolas, landscape, wdc
from demod.baselines import (
    asim,
    bias_field,
    bilinear_gradient,
    branchhull,
    csgm,
    homomorphic,
    inversion,
    lifted,
    log_quadratic,
    log_subspace,
    pca_als,
    phase_retrieval,
    phasemax,
    plugin,
    power_factorization,
    trivial,
)
from demod.baselines.subspaces import Subspace, principal_subspace
from demod.data import FAMILIES, distortion, distortion_images, invert, modulator_images, random_distortions, resize
from demod.dcgan import discriminator_network, generator_network, load_generator, load_notebook_generator
from demod.demodulation import Recovery, Setting, align, infer, recover, score
from demod.descent import code_scale, default_step_size, descend, outer_product_error, relative_residual
from demod.generators import (
    Constant,
    Magnitude,
    Measured,
    ReLUGenerator,
    Restricted,
    as_generator,
    jacobian,
    networks,
    restrict,
)
from demod.objective import directional_derivative, gradient, half_squared_norm, objective, one_sided_gradient
from demod.priors.encoder import Encoder, encoder_network, filled, load_encoder
from demod.priors.image import ImageGenerator, InstanceGenerator, closest_in_range, draw_codes, representation_error
from demod.priors.relu import ReLUPrior, image_prior, load_prior
from demod.studies.comparison import SPARSITY, SUBSPACES, run_method
from demod.studies.random_problems import recover_problems
from demod.training.adversarial import Training, TrainingSettings
from demod.training.autoencoder import AutoencoderSettings, Autoencoding
from demod.training.encoder import EncoderSettings, Encoding
from demod.wdc.ensembles import ENSEMBLES, draw_network

SIZES = {"d": 2, "s": 2}
QUICK = Setting(step=1.0, momentum=0.5, iterations=3, reflect_every=2, balance=True, starts=2)
ENCODING = EncoderSettings("relu-bump", "relu-edge", steps=2, channels=(2,), hidden=3, batch_size=2, warm_up=1)
learning = False  # whether what is given requires gradients


def given(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """What a caller hands over: normal numbers on the CPU."""
    numbers = torch.randn(*shape, generator=stream(seed), dtype=torch.float64, device="cpu").to(dtype)
    return numbers.requires_grad_(learning)


# The states


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def gradients() -> Iterator[None]:
    global learning
    learning = True
    try:
        with torch.set_grad_enabled(True):
            yield
    finally:
        learning = False


STATES: dict[str, Callable[[], AbstractContextManager]] = {
    "default device meta": lambda: default_device("meta"),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype float16": lambda: default_dtype(torch.float16),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "no gradients": torch.no_grad,
    "inputs that require gradients": gradients,
}


# The functions


def network(n: int = 4, *, seed: int = 1, ell: int = 60) -> ReLUGenerator:
    """A network of the caller's own weights."""
    return ReLUGenerator([given(10, n, seed=seed), given(ell, 10, seed=seed + 100)], alpha=1.0)


def drawn(n: int = 4, *, seed: int = 1) -> ReLUGenerator:
    return ReLUGenerator.gaussian((n, 10, 60), stream(seed))


def module() -> nn.Module:
    """A module of the caller's own: trainable, with batch normalisation, its output an image."""
    with torch.inference_mode(False):
        layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 60), nn.Unflatten(1, (3, 4, 5))]
        result = nn.Sequential(*layers).to_empty(device="cpu").double()
        for k, value in enumerate([*result.parameters(), *result.buffers()]):
            value.data.copy_(torch.rand(value.shape, generator=stream(k), dtype=torch.float64, device="cpu"))
    return result


def trained(*, kind: type = ImageGenerator) -> ImageGenerator | InstanceGenerator:
    """A small network of the caller's own, its weights not what a seed of torch's own stream makes them."""
    made = generator_network(5, 4)
    for k, value in enumerate(made.parameters()):
        value.data.copy_(torch.randn(value.shape, generator=stream(k), dtype=torch.float32, device="cpu") / 4)
    return kind(made)


def seeing() -> Encoder:
    """A small encoder of the caller's own, to codes of five entries each."""
    made = encoder_network((2, 3), 4, 10)
    for k, value in enumerate(made.parameters()):
        value.data.copy_(torch.randn(value.shape, generator=stream(k), dtype=torch.float32, device="cpu") / 4)
    return Encoder(made, (5, 5))


def both_ways(G: Any, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Values, pullbacks and Jacobians, for some codes and for an empty batch of them."""
    z, u = given(3, G.widths[0], seed=5, dtype=dtype), given(3, G.widths[-1], seed=6, dtype=dtype)
    value, pull = G.vjp(z)
    if networks(G):
        return G(z), value, pull(u), *G.jacobian(z)
    nothing, pull_nothing = G.vjp(z[:0])
    return G(z), value, pull(u), nothing, pull_nothing(u[:0]), *G.jacobian(z), *G.jacobian(z[:0])


class Bare:
    """A generator that has no Jacobian of its own."""

    widths, homogeneous = (4, 60), True

    def __init__(self) -> None:
        self.G = network()
        self.vjp = self.G.vjp

    def __call__(self, z: Tensor) -> Tensor:
        return self.G(z)


def codes() -> dict[str, Tensor]:
    return {name: given(3, n, seed=k) for k, (name, n) in enumerate({"h": 4, "m": 3, "h0": 4, "m0": 3}.items())}


def problem() -> tuple[ReLUGenerator, ReLUGenerator, Tensor, Tensor, Tensor]:
    G1, G2 = network(4, seed=1), network(3, seed=2)
    return G1, G2, given(5, 4, seed=3), given(5, 3, seed=4), given(5, 60, seed=5)


def scalar_problem() -> tuple[ReLUGenerator, ReLUGenerator, Tensor]:
    return network(1, seed=1), network(1, seed=2), given(60, seed=5)


def piece() -> tuple[ReLUGenerator, ReLUGenerator, Tensor, Tensor, Tensor]:
    """Networks as the surveys ask for them, and three points of equal norms."""
    G1, G2, h, m = drawn(4, seed=1), drawn(3, seed=2), given(3, 4, seed=3), given(3, 3, seed=4)
    h, m = h / h.norm(dim=-1, keepdim=True), m / m.norm(dim=-1, keepdim=True)
    return G1, G2, h, m, G1(given(4, seed=6)) * G2(given(3, seed=7)) + torch.zeros_like(G1(h))


def surveyed(**kind: Any) -> landscape.Endpoints:
    return landscape.survey_networks((2, 6, 30), stream(), networks=2, starts=4, iterations=20, **kind)


def images(count: int = 2) -> Tensor:
    return given(count, 64, 64, dtype=torch.float32).sigmoid()


def seeded(call: Callable[[], nn.Module]) -> list[Tensor]:
    """The weights that torch's own stream draws, which is put back."""
    before = torch.get_rng_state()
    torch.manual_seed(3)
    state = [*call().state_dict().values()]
    torch.set_rng_state(before)
    return state


def product() -> tuple[ReLUGenerator, ReLUGenerator, Tensor]:
    """Networks drawn as Theorem 2 has them, and three products."""
    return drawn(4, seed=1), drawn(3, seed=2), given(3, 60, seed=5).abs()


def single(problem: tuple[ReLUGenerator, ReLUGenerator, Tensor]) -> tuple[ReLUGenerator, ReLUGenerator, Tensor]:
    G1, G2, y = problem
    return G1.to(dtype=torch.float32), G2.to(dtype=torch.float32), y.float()


def matrices() -> tuple[Tensor, Tensor, Tensor]:
    B, C = given(20, 2), given(20, 2, seed=2)
    return B, C, (B @ given(2)) * (C @ given(2, seed=2))


def subspace(*, seed: int = 1) -> Subspace:
    return principal_subspace(given(9, 4, 5, seed=seed), 3)


def without_seconds(found: Recovery) -> list[Tensor]:
    return [getattr(found, field.name) for field in fields(found) if field.name != "seconds"]


def one_step(run: Training | Autoencoding | Encoding) -> list[Any]:
    """The losses of a step, and what the networks are after it."""
    losses = run.advance()
    network = run.average if isinstance(run, Training) else run.decoder if isinstance(run, Autoencoding) else run.network
    return [*losses.values(), *network.state_dict().values()]


CALLS: dict[str, Callable[[], Any]] = {
    # generators
    "ReLUGenerator.gaussian": lambda: ReLUGenerator.gaussian((2, 5, 9), stream(), batch=(3,)).weights,
    "ReLUGenerator.gaussian, single": lambda: ReLUGenerator.gaussian((2, 5), stream(), dtype=torch.float32).weights,
    "ReLUGenerator": lambda: both_ways(network()),
    "ReLUGenerator, a batch": lambda: both_ways(
        ReLUGenerator([given(3, 8, 4), given(9, 8)]).pick(torch.arange(3, device="cpu"))
    ),
    "ReLUGenerator.one_sided_vjp": lambda: network().one_sided_vjp(given(3, 4), given(3, 4, seed=2))[1](given(3, 60)),
    "ReLUGenerator.kinks": lambda: network().kinks(given(3, 4), tolerance=0.1),
    "ReLUGenerator.next_kink": lambda: network().next_kink(given(3, 4), given(3, 4, seed=2)),
    "ReLUGenerator.active_map": lambda: network().active_map(given(3, 4)),
    "ReLUGenerator.to": lambda: network().to(dtype=torch.float32).weights,
    "Constant": lambda: both_ways(Constant(given(3, 60))),
    "Measured": lambda: both_ways(Measured(network(), given(7, 60, seed=9))),
    "Magnitude": lambda: both_ways(Magnitude(Measured(network(), given(7, 60, seed=9)))),
    "Restricted": lambda: both_ways(Restricted(Measured(network(), given(7, 60, seed=9)), given(7))),
    "restrict": lambda: both_ways(restrict(network(), given(60))),
    "as_generator": lambda: both_ways(as_generator(module(), 4)),
    "as_generator.to": lambda: both_ways(as_generator(module(), 4).to(dtype=torch.float32), torch.float32),
    # the objective
    "objective": lambda: objective(*problem()),
    "gradient": lambda: gradient(*problem()),
    "one_sided_gradient": lambda: one_sided_gradient(*problem(), given(5, 7, seed=8)),
    "directional_derivative": lambda: directional_derivative(*problem(), given(5, 7, seed=8)),
    "half_squared_norm": lambda: half_squared_norm(given(4, 3)),
    # expectations
    "angle": lambda: expectation.angle(given(5, 3), given(3, seed=2)),
    "expected_gram": lambda: expectation.expected_gram(given(5, 3), given(3, seed=2)),
    "angle_map": lambda: expectation.angle_map(given(5).sigmoid()),
    "expected_cosine": lambda: expectation.expected_cosine(given(5).sigmoid(), 3),
    "contraction": lambda: [expectation.contraction(depth) for depth in range(1, 6)],
    "expected_pullback": lambda: expectation.expected_pullback(given(5, 3), given(3, seed=2), 2),
    "expected_gradient": lambda: expectation.expected_gradient(**codes(), **SIZES, ell=60, alpha=0.9),
    "population_objective": lambda: expectation.population_objective(**codes(), **SIZES, ell=60, alpha=0.9),
    "population_profile": lambda: expectation.population_profile(
        given(3).exp(), given(3, seed=2).sigmoid(), given(3, seed=3).sigmoid(), **SIZES
    ),
    # the four curves
    "hyperbola_distance": lambda: hyperbolas.hyperbola_distance(**codes()),
    "hyperbola_distance, single": lambda: hyperbolas.hyperbola_distance(*(z.float() for z in codes().values())),
    "in_neighbourhood": lambda: hyperbolas.in_neighbourhood(**codes(), epsilon=0.9),
    "curves": lambda: hyperbolas.curves(given(5, 4), given(5, 3), **SIZES),
    "curves_of_theorem_3": lambda: hyperbolas.curves_of_theorem_3(given(5, 4), given(5, 3), **SIZES),
    "curve_distances": lambda: hyperbolas.curve_distances(**codes(), **SIZES),
    "orbit_distance": lambda: hyperbolas.orbit_distance(**codes(), **SIZES),
    # the distribution conditions
    "wdc_residual": lambda: wdc.wdc_residual(given(20, 3), given(5, 3), given(3, seed=2), 0.8),
    "seen_wdc_residual": lambda: wdc.seen_wdc_residual(given(20, 60), drawn(), given(4), given(4, seed=2)),
    "joint_wdc_residual": lambda: wdc.joint_wdc_residual(
        given(20, 3), given(20, 2), given(3), given(3, seed=2), given(2), given(2, seed=2)
    ),
    "estimate_wdc": lambda: wdc.estimate_wdc(given(20, 3), stream(), starts=4, rounds=2),
    "estimate_wdc, single": lambda: wdc.estimate_wdc(given(20, 3, dtype=torch.float32), stream(), starts=4, rounds=2),
    "exact_wdc": lambda: wdc.exact_wdc(given(20, 2), 0.7),
    "exact_wdc, single": lambda: wdc.exact_wdc(given(20, 2, dtype=torch.float32)),
    "bound_wdc": lambda: wdc.bound_wdc(given(9, 2), stream(), evaluations=200),
    "fit_alpha": lambda: wdc.fit_alpha(given(9, 2), stream(), searches=4),
    "fit_alpha, three columns": lambda: wdc.fit_alpha(given(9, 3), stream(), searches=1),
    "estimate_joint_wdc": lambda: wdc.estimate_joint_wdc(given(20, 3), given(20, 2), stream(), starts=2, rounds=1),
    **{f"draw_network, {name}": lambda name=name: draw_network(name, (3, 8, 9), stream()).weights for name in ENSEMBLES},
    # the landscape
    "objective_grid": lambda: landscape.objective_grid(*scalar_problem()[:2], given(3), given(4), scalar_problem()[2]),
    "branches": lambda: landscape.branches(*scalar_problem()),
    "valley_grid": lambda: landscape.valley_grid(*problem()[:4], given(60)),
    "expected_branches": lambda: landscape.expected_branches(2, 3),
    "hessian": lambda: landscape.hessian(*problem()),
    "linear_rate": lambda: landscape.linear_rate(*piece(), given(3).exp()),
    "slopes_down": lambda: landscape.slopes_down(*problem(), given(5, 7, seed=8)),
    "without_way_down": lambda: landscape.without_way_down(*problem(), given(5, 7, seed=8)),
    "without_fall_off_K": lambda: landscape.without_fall_off_K(*problem()),
    "ripples": lambda: landscape.ripples(given(3, 20)),
    "deviations": lambda: landscape.deviations(*problem()[:4], given(5, 4, seed=8), given(5, 3, seed=9)),
    "rounded": lambda: landscape.rounded(drawn(4)).weights,
    "codes_at_kinks": lambda: landscape.codes_at_kinks(drawn(3), landscape.on_grid(given(5, 3)), stream()),
    "codes_near_curves": lambda: landscape.codes_near_curves(given(4), given(3), 4, stream(), spread=0.1, **SIZES),
    "directions_off_K": lambda: landscape.directions_off_K(given(4), given(3), 4, stream()),
    "directions_off_K, single": lambda: landscape.directions_off_K(given(4).float(), given(3).float(), 4, stream()),
    "polish": lambda: landscape.polish(*piece(), stream()),
    "scaled_gradient": lambda: landscape.scaled_gradient(*problem(), given(5, 7, 7)),
    "survey": lambda: landscape.survey(
        drawn(4), drawn(3, seed=2), given(4, seed=6), given(3, seed=7), starts=5, iterations=20, rng=stream()
    ),
    "survey_networks": surveyed,
    "over_networks": lambda: landscape.over_networks(landscape.spurious_share, surveyed(), stream(), resamples=5),
    # priors
    "generator_network": lambda: seeded(lambda: generator_network(3, 2)),
    "discriminator_network": lambda: seeded(lambda: discriminator_network(2)),
    "ImageGenerator": lambda: both_ways(trained(), torch.float32),
    "ImageGenerator.to": lambda: both_ways(trained().to("cpu", torch.float64)),
    "InstanceGenerator": lambda: both_ways(trained(kind=InstanceGenerator), torch.float32),
    "InstanceGenerator.to": lambda: both_ways(trained(kind=InstanceGenerator).to("cpu"), torch.float32),
    "load_generator": lambda: both_ways(load_generator("distortions"), torch.float32),
    "load_notebook_generator": lambda: both_ways(load_notebook_generator("distortions"), torch.float32),
    "ReLUPrior": lambda: both_ways(ReLUPrior([given(60, 4)], given(4)).to(dtype=torch.float32), torch.float32),
    "image_prior": lambda: both_ways(
        image_prior([given(8, 4).float(), given(784, 8).float()], given(4).float()), torch.float32
    ),
    "load_prior": lambda: both_ways(load_prior("bump"), torch.float32),
    "encoder_network": lambda: seeded(lambda: encoder_network((2, 3), 4, 5)),
    "Encoder": lambda: seeing()(images()),
    "Encoder.to": lambda: seeing().to("cpu", torch.float64)(images()),
    "filled": lambda: filled(images(), images(1)[0] > 0.4),
    "load_encoder": lambda: load_encoder("relu-encoder")(images()),
    "draw_codes": lambda: draw_codes(trained(), (2, 3), stream()),
    "draw_codes, around a centre": lambda: draw_codes(ReLUPrior([given(6, 4).float()], given(4).float()), (2,), stream()),
    "closest_in_range": lambda: closest_in_range(trained(), images(), starts=2, iterations=3),
    "closest_in_range, a module": lambda: closest_in_range(
        as_generator(module(), 4).to(dtype=torch.float32), given(2, 60).float(), iterations=2
    ),
    "representation_error": lambda: representation_error(trained(kind=InstanceGenerator), images(), starts=1, iterations=2),
    # the descent
    "descend": lambda: descend(*product(), iterations=20, rng=stream()),
    "descend, single": lambda: descend(*single(product()), iterations=20, rng=stream()),
    "descend, a module": lambda: descend(
        *[as_generator(module(), 4).to(dtype=torch.float32)] * 2,
        given(3, 60).float(),
        step_size=0.1,
        iterations=5,
        rng=stream(),
    ),
    "gauss_newton.solve": lambda: gauss_newton.solve(*product(), iterations=20, starts=2, rng=stream()),
    "gauss_newton.solve, single": lambda: gauss_newton.solve(*single(product()), iterations=9, rng=stream()),
    "gauss_newton.solve, a mask": lambda: gauss_newton.solve(
        *product(), mask=given(60) > -1, iterations=9, starts=2, rng=stream()
    ),
    "gauss_newton.solve, a module": lambda: gauss_newton.solve(
        *[as_generator(module(), 4).to(dtype=torch.float32)] * 2, given(3, 60).float(), iterations=5, rng=stream()
    ),
    "jacobian": lambda: jacobian(Bare(), given(3, 4)),
    "code_scale": lambda: code_scale(*product()),
    "default_step_size": lambda: default_step_size(*product()),
    "outer_product_error": lambda: outer_product_error(*(codes()[name] for name in ("h", "m", "h0", "m0"))),
    "relative_residual": lambda: relative_residual(descend(*product(), iterations=2, rng=stream()), product()[2]),
    # images
    "recover": lambda: without_seconds(
        recover(images(), setting=QUICK, signal_prior=trained(), modulator_prior=trained(), seed=3)
    ),
    "recover, a mask": lambda: without_seconds(
        recover(images(), setting=QUICK, signal_prior=trained(), modulator_prior=trained(), mask=images(1)[0] > 0.4)
    ),
    "infer": lambda: without_seconds(infer(images(), encoder=seeing(), signal_prior=trained(), modulator_prior=trained())),
    "align": lambda: align(images(), images(1)),
    "score": lambda: score(images(), images(1)),
    "distortion": lambda: distortion(np.linspace(-1, 1, 3), 25.0),
    "distortion_images": lambda: distortion_images()[::900],
    "random_distortions": lambda: random_distortions(2, seed=1),
    **{f"modulator_images, {name}": lambda name=name: modulator_images(name, 2, seed=1) for name in FAMILIES[:-1]},
    "resize": lambda: resize(invert(random_distortions(2, seed=1))),
    # the methods of the related work
    "asim": lambda: asim.solve(*product(), iterations=5, rng=stream()),
    "csgm": lambda: csgm.solve(trained(), given(2, 4096).float(), given(2, 4096).float(), iterations=3, rng=stream()),
    "inversion": lambda: inversion.solve(drawn(), given(60), given(60, seed=2), iterations=9, rng=stream()),
    "plugin": lambda: plugin.solve(drawn(), given(60), iterations=9, rng=stream()),
    "plugin.demodulate": lambda: plugin.demodulate(*product(), h=given(3, 4), m=given(3, 3), iterations=5),
    "phase_retrieval": lambda: phase_retrieval.solve(
        drawn(), given(9).square(), A=given(9, 60, seed=2), iterations=9, rng=stream()
    ),
    "lifted": lambda: lifted.solve(*matrices()),
    "branchhull": lambda: branchhull.solve(*matrices(), (matrices()[0] @ given(2)).sign(), "l1"),
    "phasemax": lambda: phasemax.solve(
        given(20, 2), given(20).square(), phasemax.spectral_anchor(given(20, 2), given(20).square())
    ),
    "bilinear_gradient": lambda: bilinear_gradient.solve(*matrices(), iterations=9),
    "power_factorization": lambda: power_factorization.solve(*matrices(), (1, 2), iterations=9),
    "principal_subspace": lambda: principal_subspace(given(9, 5, 4), 3),
    "pca_als": lambda: pca_als.solve(subspace(), subspace(seed=2), images(1)[:, :4, :5], iterations=3, rng=stream()),
    "log_subspace": lambda: log_subspace.solve(subspace(), images(1)[:, :4, :5], iterations=3),
    "log_quadratic": lambda: log_quadratic.solve(images(1), iterations=3),
    "homomorphic": lambda: homomorphic.solve(images(1)),
    "bias_field": lambda: bias_field.solve(images(1)[:, :16, :16], levels=1, iterations=2),
    "trivial": lambda: [trivial.unchanged(images()), trivial.constant(images()), trivial.nearest(images(), images(1))],
    # studies and trainings
    "recover_problems": lambda: recover_problems({"n": 2, "p": 2, "ell": 40, "trials": 2, "iterations": 9}, stream()),
    **{
        f"run_method, {name}": lambda name=name: run_method({"method": name, "n": 1, "ell": 20, "trials": 1}, stream())
        for name in (*SUBSPACES, *SPARSITY)
    },
    "Training": lambda: one_step(Training(random_distortions(4, seed=1), TrainingSettings(latent=3, base_width=2, steps=1))),
    "Autoencoding": lambda: one_step(
        Autoencoding(random_distortions(4, seed=1), AutoencoderSettings((3, 8), steps=1, encoder=5, batch_size=2))
    ),
    "Encoding": lambda: one_step(Encoding(random_distortions(4, seed=1), ENCODING)),
}


def numbers(result: Any) -> Iterator[Tensor]:
    """All the tensors of a result, in order; numbers count as such."""
    if result is None:
        return
    if isinstance(result, Tensor):
        yield result.detach()
    elif is_dataclass(result):
        yield from numbers([getattr(result, field.name) for field in fields(result)])
    elif isinstance(result, np.ndarray):
        yield torch.from_numpy(result.copy())
    elif isinstance(result, dict):
        yield from numbers([*result.values()])
    elif isinstance(result, list | tuple):
        for part in result:
            yield from numbers(part)
    else:
        yield torch.tensor(float(result), dtype=torch.float64, device="cpu")


@cache
def plainly(name: str) -> list[Tensor]:
    """What a call gives where nobody has changed torch's state."""
    return [*numbers(CALLS[name]())]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", CALLS)
def test_a_function_gives_the_same_numbers_in_every_state_of_torch(name, state):
    plain = plainly(name)
    with STATES[state]():
        there = [*numbers(CALLS[name]())]
    assert plain
    assert len(there) == len(plain)
    for found, expected in zip(there, plain, strict=True):
        assert (found.dtype, found.device, found.shape) == (expected.dtype, expected.device, expected.shape)
        assert torch.equal(found.nan_to_num(), expected.nan_to_num())


# What is made in inference mode serves outside of it, and what is trainable stays so

MADE: dict[str, Callable[[], Any]] = {
    "ReLUGenerator.gaussian": lambda: drawn().to(dtype=torch.float32),
    "ReLUGenerator": lambda: network().to(dtype=torch.float32),
    "as_generator": lambda: as_generator(module(), 4).to(dtype=torch.float32),
    "ImageGenerator": lambda: trained().to("cpu"),
    "InstanceGenerator": lambda: trained(kind=InstanceGenerator).to("cpu"),
    "load_generator": lambda: load_generator("distortions"),
    "load_prior": lambda: load_prior("bump"),
}


@pytest.mark.parametrize("name", MADE)
def test_a_generator_made_in_inference_mode_is_differentiable_outside_of_it(name):
    with torch.inference_mode():
        G = MADE[name]()
    z, u = given(3, G.widths[0], dtype=torch.float32).requires_grad_(), given(3, G.widths[-1], dtype=torch.float32)
    (slope,) = torch.autograd.grad(G(z), z, u)
    torch.testing.assert_close(slope, G.vjp(z)[1](u), rtol=1e-3, atol=1e-5)  # two orders of summation in single precision


def test_codes_made_in_inference_mode_serve_networks_that_are_trained():
    with torch.inference_mode():
        z = given(3, 4)
    W = given(9, 4).requires_grad_()
    ReLUGenerator([W])(z).sum().backward()
    assert W.grad.any()


@pytest.mark.parametrize("name", ["ReLUGenerator", "as_generator", "Measured", "Magnitude", "Restricted", "Constant"])
def test_values_can_be_differentiated_and_what_is_pulled_back_by_hand_holds_no_graph(name):
    with gradients():
        value, *by_hand = CALLS[name]()
    assert value.requires_grad
    assert not any(part.requires_grad for part in by_hand)


def test_a_generator_leaves_the_callers_module_as_it_is():
    own = module().train()
    before = {key: value.clone() for key, value in own.state_dict().items()}
    G = as_generator(own, 4)
    G.vjp(given(3, 4))[1](given(3, 60))
    closest_in_range(G.to(dtype=torch.float32), given(2, 60).float(), iterations=2)
    assert own.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in own.parameters())
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
