"""Wrong input to public functions: each is refused in one or two sentences that name the argument and what to do."""

import math
import re

import numpy as np
import pytest
import torch

from demod.artifacts import save_arrays
from demod.baselines import csgm, inversion, lifted, phase_retrieval
from demod.data import distortion, invert, load_mnist, random_distortions, read_idx, resize
from demod.dcgan import load_generator
from demod.demodulation import drawn_problems, mnist_problems, recover, score
from demod.descent import descend
from demod.expectation import angle, contraction, expected_gradient, expected_gram, population_objective
from demod.generators import ReLUGenerator, measurement_constant, truncation_constant
from demod.hyperbolas import hyperbola_distance, in_neighbourhood
from demod.objective import gradient, objective, one_sided_gradient
from demod.studies.random_problems import recover_problems
from demod.studies.statistics import exponent, half_point
from demod.wdc import estimate_wdc, exact_wdc, joint_wdc_residual, wdc_residual
from demod_book.chapter import begin
from demod_book.claims.judge import judge
from demod_book.claims.ledger import LEDGER


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(2019)


def ones(*shape: int, **kind) -> torch.Tensor:
    return torch.ones(*shape, **({"dtype": torch.float64} | kind))


GAUSSIAN = ReLUGenerator.gaussian
G1, G2, LONGER = (GAUSSIAN(widths, stream()) for widths in ((2, 6, 12), (3, 6, 12), (3, 6, 13)))
SINGLE = G1.to(dtype=torch.float32)
H, M = ones(2), ones(3)
Y = G1(H) * G2(M) + 0.1
W = torch.randn(20, 3, generator=stream(), dtype=torch.float64)
IMAGE = torch.full((64, 64), 0.5)
DEPTHS = {"d": 2, "s": 2}


def run(y=Y, **settings):
    return descend(G1, G2, y, **({"rng": stream(), "iterations": 2} | settings))


def start(**settings):
    return begin("x", **({"profile": "quick", "device": "cpu", "seed": 1} | settings))


# name: (call, what the message must say, the argument first, and what to do last)
WRONG = {
    # networks
    "a width that is no integer": (lambda: GAUSSIAN((2, 3.0), stream()), r"widths is \(2, 3\.0\), .*positive integers"),
    "no widths": (lambda: GAUSSIAN((), stream()), r"widths is \(\), .*two or more"),
    "a width alone": (lambda: GAUSSIAN(5, stream()), r"widths is 5, .*two or more"),
    "a negative width": (lambda: GAUSSIAN((2, -3), stream()), r"widths is \(2, -3\), .*positive"),
    "a seed for a stream": (lambda: GAUSSIAN((2, 3), 2019), r"rng is 2019, .*manual_seed"),
    "no stream": (lambda: GAUSSIAN((2, 3), None), r"rng is None, .*manual_seed"),
    "weights of integers": (
        lambda: GAUSSIAN((2, 3), stream(), dtype=torch.int64),
        r"dtype is torch\.int64, .*use torch\.float64",
    ),
    "complex weights": (
        lambda: GAUSSIAN((2, 3), stream(), dtype=torch.complex64),
        r"dtype is torch\.complex64, .*use torch",
    ),
    "a negative batch": (lambda: GAUSSIAN((2, 3), stream(), batch=(-1,)), r"batch is \(-1,\), .*write \(5,\)"),
    "a number for a batch": (lambda: GAUSSIAN((2, 3), stream(), batch=4), r"batch is 4, .*write \(5,\)"),
    "no layers": (lambda: ReLUGenerator([]), r"weights is empty; give"),
    "layers that do not chain": (
        lambda: ReLUGenerator([ones(3, 2), ones(4, 5)]),
        r"weights\[0\] produces 3 .*weights\[1\] takes 5",
    ),
    "a vector for a layer": (lambda: ReLUGenerator([ones(3)]), r"weights\[0\] has shape \(3,\), .*reshape"),
    "an array for a layer": (lambda: ReLUGenerator([np.ones((3, 2))]), r"weights\[0\] is a ndarray, .*use torch\.as_tensor"),
    "layers of two types": (
        lambda: ReLUGenerator([ones(3, 2), ones(4, 3).float()]),
        r"weights\[0\], weights\[1\] are .*with \.to",
    ),
    "batches of two sizes": (
        lambda: ReLUGenerator([ones(5, 3, 2), ones(4, 4, 3)]),
        r"weights\[0\], weights\[1\] have .*expand",
    ),
    "NaN in a layer": (
        lambda: ReLUGenerator([ones(3, 2) * math.nan]),
        r"weights\[0\] has entries that are NaN .*leave them out",
    ),
    "α above 1": (lambda: ReLUGenerator([ones(3, 2)], alpha=1.5), r"alpha is 1\.5, .*\(0, 1\]; give None"),
    "codes of another length": (lambda: G1(M), r"z has shape \(3,\) .*takes codes of 2 entries"),
    "codes in another precision": (lambda: G1(H.float()), r"z is torch\.float32 .*convert"),
    "integers for codes": (lambda: G1(torch.ones(2, dtype=torch.int64)), r"z is torch\.int64 .*convert"),
    "complex codes": (lambda: G1(H.to(torch.complex128)), r"z is torch\.complex128 .*convert"),
    "a list for codes": (lambda: G1([1.0, 2.0]), r"z is a list, .*use torch\.as_tensor"),
    "codes on another device": (lambda: G1(ones(2, device="meta")), r"z is on meta .*move one"),
    "images of another latent dimension": (lambda: load_generator("digits")(ones(3)), r"z has 3 .*100"),
    "a generator that is not shipped": (lambda: load_generator("faces"), r"name is 'faces', .*digits, .*distortions"),
    "two networks with different ends": (lambda: measurement_constant((2, 10), (2, 11)), r"G1 produces 10 .*the same l"),
    "a truncated layer without columns": (lambda: truncation_constant(0), r"columns is 0, .*give a larger"),
    # the objective
    "a short observation": (lambda: objective(G1, G2, H, M, Y[:-1]), r"y has shape \(11,\) .*flatten"),
    "disagreeing generators": (lambda: objective(G1, LONGER, H, M, Y), r"y has shape \(12,\) but G2 produces 13"),
    "an observation in another precision": (lambda: gradient(G1, G2, H, M, Y.float()), r"w, x, y are .*with \.to"),
    "a complex observation": (
        lambda: objective(G1, G2, H, M, Y.to(torch.complex128)),
        r"y is torch\.complex128, .*use \.double",
    ),
    "generators of two precisions": (lambda: objective(SINGLE, G2, H.float(), M, Y), r"w, x, y are .*with \.to"),
    "batches that do not broadcast": (
        lambda: objective(G1, G2, H.expand(4, 2), M.expand(3, 3), Y),
        r"w, x, y have .*expand one",
    ),
    "an array for an observation": (lambda: objective(G1, G2, H, M, Y.numpy()), r"y is a ndarray, .*use torch\.as_tensor"),
    "a short direction": (lambda: one_sided_gradient(G1, G2, H, M, Y, H), r"direction has shape \(2,\) .*torch\.cat"),
    # Algorithm 1
    "NaN in an observation": (lambda: run(Y * math.nan), r"y has entries that are NaN .*leave them out"),
    "an infinite observation": (lambda: run(Y * math.inf), r"y has entries .*infinite.*leave them out"),
    "an observation of zero": (lambda: run(0 * Y), r"y is zero .*leave it out"),
    "an observation in single precision": (lambda: run(Y.float()), r"y is torch\.float32 on cpu, but G1 .*convert"),
    "a start of zero": (lambda: run(h=0 * H), r"h is zero .*start elsewhere"),
    "the other start of zero": (lambda: run(m=0 * M), r"m is zero .*start elsewhere"),
    "a start of another length": (lambda: run(h=M), r"h is torch\.float64 \(3,\), .*one code for each problem"),
    "a negative step": (lambda: run(step_size=-1.0), r"step_size is -1\.0; required is a positive"),
    "a step of NaN": (lambda: run(step_size=math.nan), r"step_size is nan; required is a positive"),
    "a word for a step": (lambda: run(step_size="auto"), r"step_size is 'auto', .*or None"),
    "a momentum of 1": (lambda: run(momentum=1.0), r"momentum is 1\.0, .*\[0, 1\)"),
    "a negative number of iterations": (lambda: run(iterations=-1), r"iterations is -1, .*at least 0"),
    "half an iteration": (lambda: run(iterations=2.5), r"iterations is 2\.5, .*round it"),
    "half a period of the sign check": (lambda: run(reflect_every=0.5), r"reflect_every is 0\.5, .*round it"),
    "a negative tolerance": (lambda: run(tolerance=-1.0), r"tolerance is -1\.0, .*≥ 0"),
    "no start and no stream": (lambda: descend(G1, G2, Y), r"h is None and so is rng; give"),
    "a seed instead of a stream": (lambda: run(rng=3), r"rng is 3, .*manual_seed"),
    "no step for weights of unknown law": (
        lambda: descend(ReLUGenerator(G1.weights), G2, Y, rng=stream()),
        r"step_size is None, .*G1 is none: give step_size",
    ),
    # theory
    "an angle with zero": (lambda: angle(0 * M, M), r"x is zero somewhere.*leave such codes out"),
    "an angle with NaN": (lambda: angle(M, M * math.nan), r"y is zero somewhere, or not finite.*leave"),
    "Q of codes of two lengths": (lambda: expected_gram(H, M), r"x has 2 entries and y 3; give"),
    "Q of integers": (lambda: expected_gram(*torch.ones(2, 3, dtype=torch.int64)), r"x is torch\.int64, .*use \.double"),
    "no layers of depth": (lambda: contraction(0), r"depth is 0, .*at least 1"),
    "half a layer": (lambda: contraction(2.5), r"depth is 2\.5, .*round it"),
    "α of 0": (lambda: expected_gradient(H, M, H, M, **DEPTHS, ell=12, alpha=0.0), r"alpha = 0\.0; required .*≤ 1"),
    "α of NaN": (lambda: expected_gradient(H, M, H, M, **DEPTHS, ell=12, alpha=math.nan), r"alpha = nan; required .*≤ 1"),
    "no measurements": (lambda: population_objective(H, M, H, M, **DEPTHS, ell=0), r"ell = 0, .*required are ell ≥ 1"),
    "a truth of zero": (lambda: population_objective(H, M, 0 * H, M, **DEPTHS, ell=12), r"is zero somewhere.*leave"),
    "a hyperbola through zero": (lambda: hyperbola_distance(H, M, 0 * H, M), r"h0 or m0 is zero .*needs a base point"),
    "a distance of NaN": (lambda: hyperbola_distance(H * math.nan, M, H, M), r"h has entries that are NaN .*leave them out"),
    "a curve in another space": (lambda: hyperbola_distance(H, M, M, M), r"h has 2 entries and h0 3; give"),
    "a negative ε": (lambda: in_neighbourhood(H, M, H, M, -1.0), r"epsilon is -1\.0, .*≥ 0"),
    # conditions
    "the WDC of a vector": (lambda: wdc_residual(W[0], M, M), r"W is .*required is one .*matrix .*give one layer"),
    "the WDC of NaN": (lambda: estimate_wdc(W * math.nan, stream()), r"W is .*required is one finite"),
    "the WDC at other codes": (lambda: wdc_residual(W, H, H), r"x is .*\(2,\), .*codes of 3"),
    "a search from nowhere": (lambda: estimate_wdc(W, stream(), starts=0), r"starts is 0, .*at least 1"),
    "three columns for an exact constant": (lambda: exact_wdc(W), r"W has 3 columns, .*use estimate_wdc"),
    "two last layers onto two spaces": (lambda: joint_wdc_residual(W, W[1:], M, M, M, M), r"B has 20 rows and C 19"),
    # images
    "an unknown split": (lambda: load_mnist("validation"), r"split is 'validation', .*\"train\" and \"test\""),
    "HTML for an IDX file": (lambda: read_idx(b"<html>"), r"content starts with b'<html>', .*starts with"),
    "a bump without width": (lambda: distortion(np.zeros(1), np.zeros(1)), r"sigma .*not positive; see"),
    "a negative number of bumps": (lambda: random_distortions(-1, 0), r"count is -1, .*at least 0"),
    "a vector to be resized": (lambda: resize(np.zeros(28, np.uint8)), r"images has shape \(28,\), .*reshape"),
    "floats to be inverted": (lambda: invert(np.ones((28, 28))), r"images is float64, .*1 - images"),
    "an image of another size": (lambda: recover(IMAGE[:28, :28]), r"y has shape \(28, 28\), .*resize"),
    "an image out of range": (lambda: recover(4 * IMAGE), r"y is torch\.float32 in \[2, 2\], .*divide by the peak"),
    "an image of NaN": (lambda: recover(IMAGE * math.nan), r"y is torch\.float32 in \[nan, nan\], .*divide"),
    "an image of bytes": (lambda: recover((255 * IMAGE).byte()), r"y is torch\.uint8 .*divide"),
    "an image as an array": (lambda: recover(IMAGE.numpy()), r"y is a ndarray, .*use torch\.as_tensor"),
    "scores of two sizes": (lambda: score(IMAGE, IMAGE[:32]), r"estimate has shape \(64, 64\) and truth \(32, 64\), .*crop"),
    "a negative number of problems": (lambda: drawn_problems(-1), r"count is -1, .*at least 0"),
    "digits before the first": (lambda: mnist_problems(-1, 2), r"first is -1, .*at least 0"),
    # studies
    "a cell without trials": (
        lambda: recover_problems({"n": 1, "p": 1, "ell": 9, "trials": 0}, stream()),
        r"trials is 0, .*at least 1",
    ),
    "a task without sizes": (lambda: recover_problems({"n": 1}, stream()), r"task has no p, ell, trials, .*add"),
    "more successes than trials": (lambda: half_point([1, 2], [0, 30], 10), r"successes is \[0, 30\], .*count again"),
    "no successes": (lambda: half_point([1, 2], [0, 0], 10), r"\[0, 0\] of 10 .*must give"),
    "a slope through errors of zero": (lambda: exponent([1, 2], [1, 2], [0, 0]), r"sizes, values and errors .*all positive"),
    "lists of two lengths": (lambda: exponent([1, 2], [1, 2, 3], [1, 1]), r"have 2, 3 and 2 entries"),
    "a claim without its value": (lambda: judge(LEDGER["L6"], {}), r"L6 was given no slope; .*measure all"),
    "a claim of NaN": (lambda: judge(LEDGER["L6"], {"slope": math.nan}), r"slope is nan; .*look at"),
    # methods of the related work
    "a known factor of another shape": (
        lambda: inversion.solve(G1, Y[:-1], Y, rng=stream()),
        r"modulator has shape \(11,\), .*expand_as",
    ),
    "a negative square": (lambda: phase_retrieval.solve(G1, -Y, rng=stream()), r"y has 12 negative entries, .*clamp"),
    "subspaces onto two spaces": (lambda: lifted.solve(W, W[1:], Y), r"(B|C) has shape .*one problem at a time"),
    "no start for an inversion": (lambda: csgm.solve(G1, Y, Y, rng=None), r"rng is None, .*manual_seed"),
    # chapters and files
    "an unknown profile": (lambda: start(profile="fast"), r"profile is 'fast', .*\"quick\" or \"full\""),
    "an unknown device": (lambda: start(device="tpu"), r"device is 'tpu', .*\"cpu\""),
    "a word for a seed": (lambda: start(seed="a"), r"seed is 'a', .*round it"),
    "a negative seed": (lambda: start(seed=-1), r"seed is -1, .*at least 0"),
    "objects to be stored": (
        lambda: save_arrays("x.npz", {"a": np.array([None])}, {}),
        r"arrays a hold Python objects; give",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_by_name_with_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, said = WRONG[name]
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    message = str(error.value)
    assert re.search(said, message, re.DOTALL), message
    assert len(message) <= 400
    assert len(re.findall(r"[.;:] \w", message)) <= 3  # one or two sentences, the remedy after a semicolon or a colon
    assert list(tmp_path.iterdir()) == []
