"""Wrong input to Algorithm 1, to the recovery of images and to the methods of the related work, each refused by name."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixture_calls import G1, G2, IMAGE, H, M, Y, refusal, stream

from demod import gauss_newton
from demod.baselines import (
    asim,
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
    power_factorization,
    trivial,
)
from demod.demodulation import BEST_SETTING, FIRST_ORDER_SETTING, align, drawn_problems, recover, score
from demod.descent import code_scale, default_step_size, descend, outer_product_error, relative_residual
from demod.generators import Constant, ReLUGenerator


class Plain:
    """A generator that is not homogeneous, through a torch module in single precision."""

    widths, homogeneous = (2, 12), False

    def __init__(self) -> None:
        self.W = torch.ones(12, 2)

    def __call__(self, z):
        return z @ self.W.mT + 1

    def vjp(self, z):
        return self(z), lambda u: u @ self.W


MANY = ReLUGenerator.gaussian((2, 6, 12), stream(), batch=(3,))
PIXELS = ReLUGenerator.gaussian((2, 4096), stream(), dtype=torch.float32)
B, C = torch.randn(2, 20, 3, generator=stream(), dtype=torch.float64)
Z = (B @ M) * (C @ M)
SEEN = torch.ones(64, 64, dtype=torch.bool)
BASIS = log_quadratic.polynomials(64, 64)
NETWORK = torch.nn.Linear(2, 12)


def run(first=G1, second=G2, y=Y, **settings):
    return descend(first, second, y, **({"rng": stream(), "iterations": 2} | settings))


def newton(first=G1, second=G2, y=Y, **settings):
    return gauss_newton.solve(first, second, y, **({"rng": stream(), "iterations": 2} | settings))


def pictures(y=IMAGE, **settings):
    return recover(y, **({"signal_prior": PIXELS, "modulator_prior": PIXELS} | settings))


SOLVED = run()

# name: (call, what the message must say, the argument first, and what to do last)
WRONG = {
    # Algorithm 1
    "a word for a generator": (lambda: run("digits"), r"G1 is 'digits', .*generator .*is required"),
    "a module for a generator": (lambda: run(NETWORK), r"G1 is a Linear, .*as_generator"),
    "no second generator": (lambda: run(second=None), r"G2 is None, .*generator .*is required"),
    "a function for a generator": (lambda: run(second=torch.relu), r"G2 is a .*generator .*is required"),
    "a list for an observation": (lambda: run(y=Y.tolist()), r"y is a list, .*as_tensor"),
    "half precision": (lambda: run(y=Y.half()), r"y is torch\.float16, .*use \.float"),
    "brain precision": (lambda: run(y=Y.bfloat16()), r"y is torch\.bfloat16, .*use \.float"),
    "three networks and two observations": (lambda: run(MANY, y=Y.expand(2, 12)), r"G1 is a batch \(3,\) .*expand y"),
    "three networks and one observation": (lambda: run(MANY), r"G1 is a batch \(3,\) .*expand y"),
    "a Boolean for iterations": (lambda: run(iterations=True), r"iterations is True, .*whole number"),
    "a Boolean for the sign check": (lambda: run(reflect_every=True), r"reflect_every is True, .*whole number"),
    "a word for momentum": (lambda: run(momentum="heavy"), r"momentum is 'heavy', .*number is required"),
    "a word for the tolerance": (lambda: run(tolerance="low"), r"tolerance is 'low', .*number is required"),
    "NaN for the tolerance": (lambda: run(tolerance=math.nan), r"tolerance is nan, .*finite number is required"),
    "a word for balancing": (lambda: run(balance="yes"), r"balance is 'yes', .*True or False"),
    "a number for simultaneous": (lambda: run(simultaneous=2), r"simultaneous is 2, .*True or False"),
    "complex steps": (lambda: run(step_size=torch.ones((), dtype=torch.complex64)), r"step_size is torch\.complex64"),
    "a start as an array": (lambda: run(h=H.numpy()), r"h is a ndarray, .*as_tensor"),
    "a generator of another precision": (
        lambda: run(Plain(), step_size=0.1),
        r"G1 does not take a code .*torch\.float64.*convert",
    ),
    "a tiny observation where the scale matters": (
        lambda: run(second=Constant(Y.new_ones(12)), y=1e-200 * Y, step_size=0.1),
        r"y has its largest entries at .*not homogeneous.*scale y",
    ),
    "the scale of images in half precision": (lambda: code_scale(G1, G2, Y.half()), r"y is torch\.float16"),
    "the step for an observation of zero": (lambda: default_step_size(G1, G2, 0 * Y), r"y is zero .*leave it out"),
    "the step for a module": (lambda: default_step_size(NETWORK, G2, Y), r"G1 is a Linear, .*as_generator"),
    "an error relative to zero": (lambda: outer_product_error(H, M, 0 * H, M), r"h0 or m0 is zero .*leave"),
    "an error of other codes": (lambda: outer_product_error(H, M, M, M), r"h has 2 entries and h0 3"),
    "a residual relative to zero": (lambda: relative_residual(SOLVED, 0 * Y), r"y is zero .*leave it out"),
    "a residual of another length": (lambda: relative_residual(SOLVED, Y[:3]), r"signal has 12 entries and y 3"),
    # damped Gauss–Newton
    "a word for a generator of least squares": (lambda: newton("digits"), r"G1 is 'digits', .*generator .*is required"),
    "no second generator of least squares": (lambda: newton(second=None), r"G2 is None, .*generator .*is required"),
    "a list for an observation of least squares": (lambda: newton(y=Y.tolist()), r"y is a list, .*as_tensor"),
    "half precision for least squares": (lambda: newton(y=Y.half()), r"y is torch\.float16, .*use \.float"),
    "three networks and one observation of least squares": (lambda: newton(MANY), r"G1 is a batch \(3,\) .*expand y"),
    "a Boolean for steps": (lambda: newton(iterations=True), r"iterations is True, .*whole number"),
    "a word for the tolerance of least squares": (
        lambda: newton(tolerance="low"),
        r"tolerance is 'low', .*number is required",
    ),
    "a Boolean for starts": (lambda: newton(starts=True), r"starts is True, .*whole number"),
    "a seed for the stream of starts": (lambda: newton(rng=3), r"rng is 3, .*manual_seed"),
    "a mask of ones": (lambda: newton(mask=torch.ones(12)), r"mask is torch\.float32 \(12,\).*use \.bool"),
    "a mask for two problems": (lambda: newton(mask=SEEN[:2, :12]), r"mask is torch\.bool \(2, 12\).*expand"),
    "a mask as NumPy has it": (lambda: newton(mask=SEEN[0, :12].numpy()), r"mask is a ndarray, .*as_tensor"),
    "a mask that hides all of y": (lambda: newton(mask=~SEEN[0, :12]), r"mask observes no entry .*leave"),
    "a tiny observation of least squares": (
        lambda: newton(second=Constant(Y.new_ones(12)), y=1e-200 * Y),
        r"y has its largest entries at .*not homogeneous.*scale y",
    ),
    # images
    "a word for a prior": (lambda: recover(IMAGE, signal_prior="digits"), r"signal_prior is 'digits', .*load_generator"),
    "a module for a prior": (lambda: pictures(modulator_prior=NETWORK), r"modulator_prior is a Linear, .*as_generator"),
    "a prior of other images": (lambda: recover(IMAGE, signal_prior=G1), r"signal_prior produces 12 .*4096"),
    "a word for a seed": (lambda: pictures(seed="a"), r"seed is 'a', .*whole number"),
    "a Boolean for a seed": (lambda: pictures(seed=True), r"seed is True, .*whole number"),
    "a seed that is too large": (lambda: pictures(seed=10**20), r"seed is 1000.*2\*\*63"),
    "a seed of problems that is too large": (lambda: drawn_problems(1, 10**20), r"seed is 1000.*2\*\*63"),
    "a mask that hides everything": (lambda: pictures(mask=~SEEN), r"mask observes no pixel .*leave that image out"),
    "a mask as an array": (lambda: pictures(mask=SEEN.numpy()), r"mask is a ndarray, .*as_tensor"),
    "a mask for other images": (lambda: pictures(mask=SEEN.expand(2, 64, 64)), r"mask is torch\.bool \(2, 64, 64\)"),
    "noise below 0": (lambda: pictures(IMAGE - 0.6), r"y is torch\.float32 in .*clip noise below 0 with \.clamp"),
    "an image in half precision": (lambda: pictures(IMAGE.half()), r"y is torch\.float16.*\.float\(\)"),
    "a complex image": (lambda: pictures(IMAGE.to(torch.complex64)), r"y is torch\.complex64 .*floats"),
    "a word for a setting": (lambda: recover(IMAGE, setting="best"), r"setting is 'best', .*BEST_SETTING.*replace"),
    "half a start": (lambda: replace(BEST_SETTING, starts=0.5), r"starts is 0\.5, .*give an int"),
    "no start": (lambda: replace(BEST_SETTING, starts=0), r"starts is 0, .*at least 1"),
    "a step back": (lambda: replace(FIRST_ORDER_SETTING, step=-1.0), r"step is -1\.0, .*positive"),
    "a word for a step": (lambda: replace(FIRST_ORDER_SETTING, step="big"), r"step is 'big', .*number is required"),
    "vectors to be aligned": (lambda: align(torch.ones(20, 300), torch.ones(20, 300)), r"\(20, 300\).*reshape vectors"),
    "vectors to be scored": (lambda: score(torch.ones(20, 300), torch.ones(20, 300)), r"\(20, 300\).*reshape vectors"),
    "a score of NaN": (lambda: score(IMAGE * math.nan, IMAGE), r"estimate has entries that are NaN"),
    "an array to be aligned": (lambda: align(IMAGE.numpy(), IMAGE), r"estimate is a ndarray, .*as_tensor"),
    # methods of the related work
    "a module to be inverted": (lambda: inversion.solve(NETWORK, Y, Y, rng=stream()), r"G is a Linear, .*as_generator"),
    "a word to be inverted": (lambda: csgm.solve("digits", Y, Y, rng=stream()), r"G is 'digits', .*load_generator"),
    "one word of two generators": (lambda: asim.solve(G1, "x", Y, rng=stream()), r"G2 is 'x', .*load_generator"),
    "an inversion in another precision": (
        lambda: csgm.solve(G1, Y.float(), Y.float(), rng=stream()),
        r"y is torch\.float32 on cpu, but G is torch\.float64.*convert",
    ),
    "one weight of two": (lambda: asim.solve(G1, G2, Y, weights=0.1, rng=stream()), r"weights is 0\.1, .*two numbers"),
    "half an iteration of Adam": (
        lambda: csgm.solve(G1, Y, Y, iterations=2.5, rng=stream()),
        r"iterations is 2\.5, .*give an int",
    ),
    "squares as a list": (lambda: phase_retrieval.solve(G1, [1.0], rng=stream()), r"y is a list, .*as_tensor"),
    "too few squares": (lambda: phase_retrieval.solve(G1, Y[:3].abs(), rng=stream()), r"y has shape \(3,\), but 12 squares"),
    "matrices as arrays": (lambda: lifted.solve(B.numpy(), C, Z), r"B is a ndarray, .*as_tensor"),
    "noise as a word": (lambda: lifted.solve(B, C, Z, noise="some"), r"noise is 'some', .*number"),
    "matrices in half precision": (lambda: bilinear_gradient.solve(B.half(), C.half(), Z.half()), r"B is torch\.float16"),
    "a tiny product": (lambda: bilinear_gradient.solve(B, C, 1e-200 * Z), r"y has largest entries .*bring them near 1"),
    "a huge product": (lambda: power_factorization.solve(B, C, 1e200 * Z, (3, 3)), r"y has largest entries .*near 1"),
    "signs as a list": (lambda: branchhull.solve(B, C, Z, [1.0] * 20), r"signs is a list, .*as_tensor"),
    "one sparsity of two": (lambda: power_factorization.solve(B, C, Z, 3), r"sparsity is 3, .*two counts"),
    "an anchor as a list": (lambda: phasemax.solve(C, Z.square(), [1.0]), r"anchor is a list, .*as_tensor"),
    "an image as a list": (lambda: homomorphic.solve([[0.5]]), r"y is a list, .*as_tensor"),
    "an image in half precision for a filter": (lambda: homomorphic.solve(IMAGE.half()), r"y is torch\.float16, .*\.float"),
    "a word for a width": (lambda: homomorphic.solve(IMAGE, width="wide"), r"width is 'wide', .*number"),
    "noise below 0 for a filter": (lambda: homomorphic.solve(IMAGE - 0.6), r"y is .*clip noise below 0"),
    "half a degree": (lambda: log_quadratic.solve(IMAGE, degree=0.5), r"degree is 0\.5, .*give an int"),
    "a matrix for a subspace": (lambda: log_subspace.solve(torch.eye(3), IMAGE), r"log_modulators is a Tensor, .*use"),
    "a seed for a stream of starts": (lambda: pca_als.solve(BASIS, BASIS, IMAGE, rng=3), r"rng is 3, .*manual_seed"),
    "candidates as an array": (
        lambda: trivial.nearest(np.ones((2, 64, 64)), IMAGE),
        r"candidates is a ndarray, .*as_tensor",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_by_name_with_what_to_do(name):
    refusal(*WRONG[name])
