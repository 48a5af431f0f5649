"""Wrong input to public functions: each is refused in one or two sentences that name the argument and what to do."""

import math
import re

import numpy as np
import pytest
import torch
from fixture_calls import G1, G2, IMAGE, H, M, Y, refusal, stream
from torch import nn

from demod.artifacts import save_arrays
from demod.baselines import csgm, inversion, lifted, phase_retrieval
from demod.data import distortion, invert, load_mnist, random_distortions, read_idx, resize
from demod.dcgan import generator_network, load_generator
from demod.demodulation import drawn_problems, infer, mnist_problems, recover, score
from demod.descent import descend
from demod.expectation import (
    angle,
    angle_map,
    contraction,
    expected_cosine,
    expected_gradient,
    expected_gram,
    population_objective,
    population_profile,
)
from demod.generators import (
    Constant,
    Magnitude,
    Measured,
    ReLUGenerator,
    Restricted,
    as_generator,
    expansion_constants,
    jacobian,
    measurement_constant,
    restrict,
    truncation_constant,
)
from demod.hyperbolas import curve_distances, curves, hyperbola_distance, in_neighbourhood, orbit_distance
from demod.landscape import (
    Endpoints,
    branches,
    codes_at_kinks,
    codes_near_curves,
    deviations,
    directions_off_K,
    expected_branches,
    hessian,
    linear_rate,
    objective_grid,
    over_networks,
    polish,
    radius,
    ripples,
    rounded,
    spurious_share,
    survey,
    survey_networks,
    valley_grid,
)
from demod.objective import gradient, half_squared_norm, objective, one_sided_gradient
from demod.priors.encoder import Encoder, encoder_network, load_encoder
from demod.priors.image import ImageGenerator, InstanceGenerator, closest_in_range, draw_codes, representation_error
from demod.priors.relu import ReLUPrior, load_prior
from demod.studies.identifiability import count_solutions
from demod.studies.random_problems import recover_problems
from demod.studies.statistics import exponent, half_point, limit, ratio_of_means
from demod.wdc import (
    bound_wdc,
    estimate_joint_wdc,
    estimate_wdc,
    exact_wdc,
    fit_alpha,
    joint_wdc_residual,
    wdc_residual,
)
from demod.wdc.ensembles import draw_network
from demod.wdc.theorem import guaranteed_probability, required_epsilon
from demod_book.chapter import begin
from demod_book.claims.judge import judge
from demod_book.claims.ledger import LEDGER


def ones(*shape: int, **kind) -> torch.Tensor:
    return torch.ones(*shape, **({"dtype": torch.float64} | kind))


GAUSSIAN = ReLUGenerator.gaussian
LINEAR = nn.Linear(2, 12)
LONGER = GAUSSIAN((3, 6, 13), stream())
SINGLE = G1.to(dtype=torch.float32)
W = torch.randn(20, 3, generator=stream(), dtype=torch.float64)
SCALAR = tuple(GAUSSIAN((1, 6, 12), stream()) for _ in range(2))
TOY, NOTEBOOK = ImageGenerator(generator_network(5, 2)), InstanceGenerator(generator_network(5, 2))
ENDS = Endpoints(ones(2, 2), ones(2, 2), *(0 * ones(2) for _ in range(3)), ones(2, 4), ones(2), ones(2))
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
    "α above 1": (lambda: ReLUGenerator([ones(3, 2)], alpha=1.5), r"alpha is 1\.5, .*\(0, 1\]; 1 is"),
    "codes of another length": (lambda: G1(M), r"z has shape \(3,\) .*takes codes of 2 entries"),
    "codes in another precision": (lambda: G1(H.float()), r"z is torch\.float32 .*convert"),
    "integers for codes": (lambda: G1(torch.ones(2, dtype=torch.int64)), r"z is torch\.int64 .*convert"),
    "complex codes": (lambda: G1(H.to(torch.complex128)), r"z is torch\.complex128 .*convert"),
    "a list for codes": (lambda: G1([1.0, 2.0]), r"z is a list, .*use torch\.as_tensor"),
    "codes on another device": (lambda: G1(ones(2, device="meta")), r"z is on meta .*move one"),
    "images of another latent dimension": (lambda: load_generator("digits")(ones(3)), r"z has 3 .*100; give"),
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
    "half an iteration": (lambda: run(iterations=2.5), r"iterations is 2\.5, .*give an int"),
    "half a period of the sign check": (lambda: run(reflect_every=0.5), r"reflect_every is 0\.5, .*give an int"),
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
    "half a layer": (lambda: contraction(2.5), r"depth is 2\.5, .*give an int"),
    "α of 0": (lambda: expected_gradient(H, M, H, M, **DEPTHS, ell=12, alpha=0.0), r"alpha is 0\.0, .*\(0, 1\]; 1 is"),
    "α of NaN": (lambda: expected_gradient(H, M, H, M, **DEPTHS, ell=12, alpha=math.nan), r"alpha is nan, .*give another"),
    "no measurements": (lambda: population_objective(H, M, H, M, **DEPTHS, ell=0), r"ell is 0, .*at least 1"),
    "a truth of zero": (lambda: population_objective(H, M, 0 * H, M, **DEPTHS, ell=12), r"is zero somewhere.*leave"),
    "a hyperbola through zero": (lambda: hyperbola_distance(H, M, 0 * H, M), r"h0 or m0 is zero .*needs a base point"),
    "a distance of NaN": (lambda: hyperbola_distance(H * math.nan, M, H, M), r"h has entries that are NaN .*leave them out"),
    "a curve in another space": (lambda: hyperbola_distance(H, M, M, M), r"h has 2 entries and h0 3; give"),
    "a negative ε": (lambda: in_neighbourhood(H, M, H, M, -1.0), r"epsilon is -1\.0, .*≥ 0"),
    # conditions
    "the WDC of a vector": (lambda: wdc_residual(W[0], M, M), r"W is .*required is one .*matrix .*give one layer"),
    "the WDC of NaN": (lambda: estimate_wdc(W * math.nan, stream()), r"W is .*required is one finite"),
    "the WDC at other codes": (lambda: wdc_residual(W, H, H), r"x is .*\(2,\) on cpu, .*codes of 3"),
    "a search from nowhere": (lambda: estimate_wdc(W, stream(), starts=0), r"starts is 0, .*at least 1"),
    "three columns for an exact constant": (lambda: exact_wdc(W), r"W has 3 columns, .*use estimate_wdc"),
    "two last layers onto two spaces": (lambda: joint_wdc_residual(W, W[1:], M, M, M, M), r"B has 20 rows and C 19"),
    # generators: types, and what is no generator
    "True for a width": (lambda: GAUSSIAN((True, 3), stream()), r"widths is \(True, 3\), .*positive integers"),
    "True for a batch": (lambda: GAUSSIAN((2, 3), stream(), batch=(True,)), r"batch is \(True,\), .*write \(5,\)"),
    "NumPy's stream": (lambda: GAUSSIAN((2, 3), np.random.default_rng(1)), r"rng is a Generator, .*torch\.Generator\(\)"),
    "the class of streams": (lambda: GAUSSIAN((2, 3), torch.Generator), r"rng is the class Generator, .*manual_seed"),
    "a word for a type": (lambda: GAUSSIAN((2, 3), stream(), dtype="float32"), r"dtype is float32, .*use torch\.float64"),
    "a device that is not there": (lambda: GAUSSIAN((2, 3), stream(), device="tpu"), r"device is 'tpu', .*use \"cpu\""),
    "weights on meta": (lambda: ReLUGenerator([ones(3, 2, device="meta")]), r"weights\[0\] is on meta, .*\"cpu\""),
    "a matrix for the list of weights": (lambda: ReLUGenerator(ones(3, 2)), r"weights is a Tensor, .*write \[W\]"),
    "sparse weights": (lambda: ReLUGenerator([ones(3, 2).to_sparse()]), r"weights\[0\] is torch\.sparse_coo, .*to_dense"),
    "a layer without rows": (lambda: ReLUGenerator([ones(0, 2)]), r"weights\[0\] has shape \(0, 2\), .*reshape"),
    "a word for α": (lambda: ReLUGenerator([ones(3, 2)], alpha="1"), r"alpha is '1', .*use float"),
    "True for α": (lambda: ReLUGenerator([ones(3, 2)], alpha=True), r"alpha is True, .*use float"),
    "sparse codes": (lambda: G1(H.to_sparse()), r"z is torch\.sparse_coo, .*to_dense"),
    "a negative tolerance of kinks": (lambda: G1.kinks(H, tolerance=-1.0), r"tolerance is -1\.0, .*at least 0"),
    "an array for a known factor": (lambda: Constant(np.ones(3)), r"value is a ndarray, .*use torch\.as_tensor"),
    "a known factor without entries": (lambda: Constant(torch.tensor(1.0)), r"value has shape \(\), .*reshape\(1\)"),
    "a module to be measured": (lambda: Measured(LINEAR, ones(3, 12)), r"G is a Linear, .*as_generator\(module, latent\)"),
    "a matrix that does not fit": (lambda: Measured(G1, ones(3, 5)), r"A has shape \(3, 5\), .*produces 12 entries; give"),
    "measurements in another precision": (lambda: Measured(G1, ones(3, 12).float())(H), r"G\(z\), A are .*with \.to"),
    "no generator to take the magnitude of": (lambda: Magnitude(None), r"G is None, .*see demod\.generators\.Generator"),
    "no generator to be linearised": (lambda: jacobian(None, H), r"G is None, .*see demod\.generators\.Generator"),
    "codes as an array to be linearised at": (lambda: jacobian(G1, H.numpy()), r"z is a ndarray, .*as_tensor"),
    "codes of another length to be linearised at": (lambda: G1.jacobian(M), r"z has shape \(3,\) .*codes of 2 entries"),
    "codes of another length for the Jacobian of a module": (
        lambda: as_generator(LINEAR, 2).jacobian(M),
        r"z has shape \(3,\), .*codes",
    ),
    "a mask of another length": (lambda: restrict(G1, ones(5)), r"observed has shape \(5,\), .*flatten it"),
    "a mask of Booleans": (lambda: restrict(G1, ones(12).bool()), r"observed is torch\.bool, .*use \.double"),
    # networks of one's own
    "no module": (lambda: as_generator(G1, 2), r"module is a ReLUGenerator, .*see demod\.generators\.Generator"),
    "the class of a module": (lambda: as_generator(nn.Linear, 2), r"module is the class Linear, .*torch\.nn\.Module"),
    "another latent dimension": (lambda: as_generator(LINEAR, 5), r"module does not take codes \(2, 5\): .*Unflatten"),
    "half a latent dimension": (lambda: as_generator(LINEAR, 2.5), r"latent is 2\.5, .*give an int"),
    "a module that returns two": (
        lambda: as_generator(nn.LSTM(2, 3), 2),
        r"module returns \(tensor.*wrap its forward",
    ),
    "a module without a batch": (lambda: as_generator(nn.Flatten(0), 2), r"module makes \(4,\) .*keep the batch dimension"),
    "a module of two precisions": (
        lambda: as_generator(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4).double()), 2),
        r"module has weights torch\.float32 on cpu and torch\.float64 on cpu; .*with \.to",
    ),
    "a module on meta": (lambda: as_generator(nn.Linear(2, 3, device="meta"), 2), r"module is on meta, .*\"cpu\""),
    "codes in another precision than a module": (
        lambda: as_generator(LINEAR, 2)(H),
        r"z is torch\.float64 on cpu, .*are torch\.float32 on cpu; use \.to",
    ),
    "codes of another length for a module": (
        lambda: as_generator(LINEAR, 2)(M.float()),
        r"z has shape \(3,\), .*\(\*B, 2\)",
    ),
    "a guess for homogeneous": (lambda: as_generator(LINEAR, 2, homogeneous=1), r"homogeneous is 1, .*give False"),
    # what is no generator
    "a module for a generator": (
        lambda: objective(LINEAR, G2, H, M, Y),
        r"G1 is a Linear, .*as_generator\(module, latent\)",
    ),
    "a word for a generator": (lambda: gradient(G1, "digits", H, M, Y), r"G2 is 'digits', .*load_generator\(name\)"),
    "a class for a generator": (lambda: objective(ReLUGenerator, G2, H, M, Y), r"G1 is the class ReLUGenerator, .*instance"),
    "a function for a generator": (lambda: gradient(lambda z: z, G2, H, M, Y), r"G1 is a function, .*see demod\.generators"),
    "no generator": (lambda: branches(G1, None, Y), r"G2 is None, .*see demod\.generators\.Generator"),
    "a module whose pieces are asked for": (
        lambda: one_sided_gradient(LINEAR, G2, H, M, Y, ones(5)),
        r"G1 is a Linear, .*give the weights",
    ),
    "a Hessian of unknown pieces": (lambda: hessian(Magnitude(G1), G2, H, M, Y), r"G1 is a Magnitude, .*ReLUGenerator"),
    # the objective: types and devices
    "an observation on meta": (lambda: objective(G1, G2, H, M, ones(12, device="meta")), r"y is on meta, .*\"cpu\""),
    "a sparse observation": (lambda: gradient(G1, G2, H, M, Y.to_sparse()), r"y is torch\.sparse_coo, .*to_dense"),
    "integers for an observation": (lambda: objective(G1, G2, H, M, Y.long()), r"y is torch\.int64, .*use \.double"),
    "a list for a direction": (lambda: one_sided_gradient(G1, G2, H, M, Y, [1.0]), r"direction is a list, .*as_tensor"),
    "an array for a residual": (lambda: half_squared_norm(np.ones(3)), r"r is a ndarray, .*use torch\.as_tensor"),
    # theory: types, batches, α
    "a number for a code": (lambda: angle(M[0], M), r"x has shape \(\), .*reshape\(1\)"),
    "codes without entries": (lambda: expected_gram(ones(2, 0), ones(2, 0)), r"x has shape \(2, 0\), .*has entries"),
    "a number for an angle": (lambda: angle_map(1.0), r"theta is a float, .*use torch\.as_tensor"),
    "True for a depth": (lambda: contraction(True), r"depth is True, .*give an int"),
    "an array of angles": (lambda: expected_cosine(np.ones(3), 2), r"theta is a ndarray, .*use torch\.as_tensor"),
    "codes of two precisions": (
        lambda: expected_gradient(H, M.float(), H, M.float(), **DEPTHS, ell=12),
        r"h, m, h0, m0 are .*with \.to",
    ),
    "half a measurement": (lambda: population_objective(H, M, H, M, **DEPTHS, ell=2.5), r"ell is 2\.5, .*give an int"),
    "a word for α in the landscape": (
        lambda: population_objective(H, M, H, M, **DEPTHS, ell=12, alpha="one"),
        r"alpha is 'one', .*use float",
    ),
    "batches of codes that do not broadcast": (
        lambda: expected_gradient(H.expand(4, 2), M.expand(3, 3), H, M, **DEPTHS, ell=12),
        r"h, m, h0, m0 have .*expand one",
    ),
    "a number for a profile": (lambda: population_profile(1.0, H, H, d=2, s=2), r"product is a float, .*as_tensor"),
    "a word for ε": (lambda: in_neighbourhood(H, M, H, M, "0.1"), r"epsilon is '0\.1', .*use float"),
    "True for ε": (lambda: in_neighbourhood(H, M, H, M, True), r"epsilon is True, .*use float"),
    "a list for a base point": (lambda: curves([1.0], M, d=2, s=2), r"h0 is a list, .*use torch\.as_tensor"),
    "curves without depth": (lambda: curves(H, M, d=0, s=2), r"depth is 0, .*at least 1"),
    "a list of codes far from the curves": (lambda: curve_distances([1.0], M, H, M, d=2, s=2), r"h is a list, .*as_tensor"),
    # conditions: types and α
    "the WDC with α of 0": (lambda: wdc_residual(W, M, M, 0.0), r"alpha is 0\.0, .*\(0, 1\]; 1 is"),
    "the WDC with α of NaN": (lambda: wdc_residual(W, M, M, alpha=math.nan), r"alpha is nan, .*give another"),
    "the WDC with α of 2": (lambda: wdc_residual(W, M, M, alpha=2), r"alpha is 2, .*\(0, 1\]; 1 is"),
    "the joint-WDC with α of 0": (lambda: joint_wdc_residual(W, W, M, M, M, M, 0.0), r"alpha is 0\.0, .*\(0, 1\]"),
    "a search with α above 1": (lambda: estimate_wdc(W, stream(), alpha=1.5), r"alpha is 1\.5, .*\(0, 1\]"),
    "the exact WDC with α infinite": (lambda: exact_wdc(W[:, :2], math.inf), r"alpha is inf, .*finite number"),
    "a bracket with α of 0": (lambda: bound_wdc(W, stream(), alpha=0), r"alpha is 0, .*\(0, 1\]"),
    "a joint search with no α": (lambda: estimate_joint_wdc(W, W, stream(), alpha=None), r"alpha is None, .*use float"),
    "an array for a matrix": (lambda: wdc_residual(W.numpy(), M, M), r"W is a ndarray, .*use torch\.as_tensor"),
    "a matrix of half precision": (lambda: exact_wdc(W[:, :2].half()), r"W is torch\.float16 .*float64 or float32: give"),
    "a list of codes": (lambda: wdc_residual(W, [1.0, 2.0, 3.0], M), r"x is a list, .*use torch\.as_tensor"),
    "codes that do not broadcast": (lambda: wdc_residual(W, ones(4, 3), ones(5, 3)), r"x, y have .*expand one"),
    "last layers of two precisions": (lambda: joint_wdc_residual(W, W.float(), M, M, M, M), r"B, C are .*with \.to"),
    "a seed for a search": (lambda: estimate_wdc(W, 2019), r"rng is 2019, .*manual_seed"),
    "a search by True": (lambda: estimate_wdc(W, stream(), starts=True), r"starts is True, .*give an int"),
    "a bracket of width 0": (lambda: bound_wdc(W, stream(), gap=0.0), r"gap is 0\.0, .*must be positive"),
    "a bracket of half a step": (lambda: bound_wdc(W, stream(), evaluations=0.5), r"evaluations is 0\.5, .*give an int"),
    "the best α by a seed": (lambda: fit_alpha(W, 3), r"rng is 3, .*manual_seed"),
    "the best α to a negative tolerance": (lambda: fit_alpha(W, stream(), tolerance=-1), r"tolerance is -1, .*at least 0"),
    "a law that is no word": (lambda: draw_network(5, (2, 3), stream()), r"ensemble is 5, .*one of uniform"),
    "a law without widths": (lambda: draw_network("student", (2,), stream()), r"widths is \(2,\), .*two or more"),
    "a law by a seed": (lambda: draw_network("student", (2, 3), 7), r"rng is 7, .*manual_seed"),
    "half a width in A2": (lambda: expansion_constants((2, 3.5, 9)), r"widths is \(2, 3\.5, 9\), .*positive integers"),
    "no widths in A3": (lambda: measurement_constant((), (2, 9)), r"widths1 is \(\), .*two or more"),
    "a theorem for half a layer": (lambda: required_epsilon(2.5, 2), r"d is 2\.5, .*give an int"),
    "a theorem without a constant": (lambda: required_epsilon(2, 2, K1=math.nan), r"K1 is nan, .*give another"),
    "a probability of no network": (lambda: guaranteed_probability((3,), (3, 9)), r"widths1 is \(3,\), .*two or more"),
    # the landscape
    "a grid of a list": (lambda: objective_grid(*SCALAR, [1.0], ones(3), Y), r"h is a list, .*use torch\.as_tensor"),
    "a grid of codes": (lambda: objective_grid(*SCALAR, ones(3, 1), ones(3), Y), r"h has shape \(3, 1\), .*flatten"),
    "valleys of one code": (lambda: valley_grid(G1, G2, H, M, Y), r"h has shape \(2,\), .*two dimensions"),
    "branches of another observation": (lambda: branches(*SCALAR, Y[:-1]), r"y has shape \(11,\) .*flatten"),
    "branches without depth": (lambda: expected_branches(0, 2), r"depth is 0, .*at least 1"),
    "a rate for a number": (
        lambda: linear_rate(G1, G2, ones(1, 2), ones(1, 3), Y[None], 0.1),
        r"step_size is a float, .*use torch\.as_tensor",
    ),
    "directions from zero": (lambda: directions_off_K(0 * H, M, 4, stream()), r"h0 has shape \(2,\), .*nonzero code"),
    "a negative number of directions": (lambda: directions_off_K(H, M, -1, stream()), r"count is -1, .*at least 0"),
    "directions by a seed": (lambda: directions_off_K(H, M, 4, 7), r"rng is 7, .*manual_seed"),
    "a survey of words": (
        lambda: survey("digits", G2, H, M, starts=2, iterations=2, rng=stream()),
        r"G1 is 'digits', .*load_generator",
    ),
    "a survey without starts": (
        lambda: survey(G1, G2, H, M, starts=0, iterations=2, rng=stream()),
        r"starts is 0, .*at least 1",
    ),
    "a survey of many truths": (
        lambda: survey(G1, G2, ones(4, 2), M, starts=2, iterations=2, rng=stream()),
        r"h0 and m0 make \(4, 12\) .*give codes",
    ),
    "a survey of half a network": (
        lambda: survey_networks((2, 6), stream(), networks=0.5, starts=2, iterations=2),
        r"networks is 0\.5, .*give an int",
    ),
    "a polish of one point": (lambda: polish(G1, G2, H, M, Y, stream()), r"h, m, y have shapes .*use \.reshape"),
    "a share of no endpoints": (lambda: spurious_share([1, 2]), r"ends is \[1, 2\], .*survey"),
    "a statistic by a seed": (lambda: over_networks(spurious_share, ENDS, 3), r"rng is 3, .*manual_seed"),
    "a share above 1": (lambda: radius(ENDS, share=1.5), r"share is 1\.5, .*0\.95"),
    "a fifth curve": (lambda: radius(ENDS, curve=4), r"curve is 4, .*0 to 3"),
    "codes at kinks of pairs": (lambda: codes_at_kinks(G1, ones(4, 2), stream()), r"G takes codes of 2 .*3 entries"),
    "a spread below zero": (
        lambda: codes_near_curves(H, M, 4, stream(), spread=-0.1, **DEPTHS),
        r"spread is -0\.1, .*at least 0",
    ),
    "no codes near curves": (
        lambda: codes_near_curves(H, M, 0, stream(), spread=0.1, **DEPTHS),
        r"count is 0, .*at least 1",
    ),
    "a circle of two points": (lambda: ripples(ones(2)), r"floor has shape \(2,\), .*three points"),
    "deviations of other codes": (lambda: deviations(G1, G2, M, M, H, M), r"h has 3 entries and h0 2; give"),
    "deviations of networks without a limit": (
        lambda: deviations(ReLUGenerator([W]), ReLUGenerator([W]), M, M, M, M),
        r"G1 or G2 has no alpha, .*gaussian",
    ),
    "words at a kink": (lambda: rounded("digits"), r"G is 'digits', .*weights of one"),
    "an orbit in another space": (lambda: orbit_distance(M, M, H, M, **DEPTHS), r"h has 3 entries and h0 2; give"),
    "solutions without networks": (
        lambda: count_solutions((2, 6, 12), stream(), networks=0, starts=2),
        r"networks is 0, .*at least 1",
    ),
    "a limit of one value": (lambda: limit([5], [1.0], [0.1]), r"sizes, values and errors have 1, 1 and 1 .*two or more"),
    "a ratio of one pair": (lambda: ratio_of_means([1.0], [1.0]), r"above and below have 1 and 1 .*measure more"),
    "a radius of nothing spurious": (lambda: radius(ENDS), r"ends holds no spurious .*survey more"),
    # priors
    "a seed below zero": (lambda: closest_in_range(TOY, IMAGE[None], seed=-1), r"seed is -1, .*at least 0"),
    "a seed of 20 digits": (lambda: closest_in_range(TOY, IMAGE[None], seed=10**19), r"seed is 10+, .*less than 2\*\*63"),
    "True for a seed": (lambda: representation_error(TOY, IMAGE[None], seed=True), r"seed is True, .*give an int"),
    "one image": (lambda: closest_in_range(TOY, IMAGE), r"images has shape \(64, 64\), .*image\[None\]"),
    "images of another size": (lambda: closest_in_range(TOY, IMAGE[None, :32]), r"images has shape \(1, 32, 64\), .*resize"),
    "images of NaN": (lambda: closest_in_range(TOY, IMAGE[None] * math.nan), r"images has entries .*leave them out"),
    "an array of images": (lambda: closest_in_range(TOY, np.ones((1, 64, 64))), r"images is a ndarray, .*as_tensor"),
    "no starts": (lambda: closest_in_range(TOY, IMAGE[None], starts=0), r"starts is 0, .*at least 1"),
    "a word for a prior": (lambda: closest_in_range("digits", IMAGE[None]), r"G is 'digits', .*load_generator"),
    "codes of a word": (lambda: draw_codes("digits", (2,), stream()), r"G is 'digits', .*load_generator"),
    "codes by a seed": (lambda: draw_codes(TOY, (2,), 2019), r"rng is 2019, .*manual_seed"),
    "codes for a number": (lambda: draw_codes(TOY, 2, stream()), r"batch is 2, .*write \(5,\)"),
    "a list for an image's code": (lambda: TOY([1.0] * 5), r"z is a list, .*use torch\.as_tensor"),
    "integers for an image's code": (lambda: TOY(torch.ones(5, dtype=torch.int64)), r"z is torch\.int64, .*use \.double"),
    "a short code of the notebook": (lambda: NOTEBOOK(ones(3).float()), r"z has 3 entries .*give codes"),
    "a code in another precision of the notebook": (lambda: NOTEBOOK(ones(5)), r"z is torch\.float64 but .*convert"),
    "a network of other layers": (lambda: InstanceGenerator(nn.Sequential(nn.Linear(2, 3))), r"network has .*as_generator"),
    "a module that is no sequence": (lambda: ImageGenerator(LINEAR), r"network is a Linear, .*as_generator"),
    "a network onto 8 × 8 pixels": (
        lambda: ImageGenerator(nn.Sequential(*generator_network(5, 2)[:3], nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh())),
        r"network makes no images of 64 .*as_generator",
    ),
    "a number for the name of a generator": (lambda: load_generator(3), r"name is 3, .*digits, .*distortions"),
    "integers for a trained network": (
        lambda: load_generator("digits", dtype=torch.int8),
        r"dtype is torch\.int8, .*use torch\.float64",
    ),
    "a trained network on no device": (lambda: load_generator("digits", device="tpu"), r"device is 'tpu', .*\"cpu\""),
    "a prior that is not shipped": (lambda: load_prior("faces"), r"name is 'relu-faces', .*relu-digits"),
    "a prior for an encoder": (lambda: load_encoder("digits"), r"name is 'digits', .*relu-encoder"),
    "an encoder of no channels": (lambda: encoder_network((), 4, 5), r"channels has 0 entries, .*give as many"),
    "an encoder of half a channel": (lambda: encoder_network((0.5,), 4, 5), r"channels\[0\] is 0\.5, .*give an int"),
    "an encoder of other codes": (
        lambda: Encoder(encoder_network((2,), 4, 5), (3, 3)),
        r"network makes \(1, 5\) of one picture, .*n \+ p of \(3, 3\)",
    ),
    "an encoder that is a word": (
        lambda: infer(IMAGE, encoder="encoder", signal_prior=TOY, modulator_prior=TOY),
        r"encoder is 'encoder', .*load_encoder",
    ),
    "priors without their encoder": (
        lambda: infer(IMAGE, signal_prior=TOY),
        r"encoder, modulator_prior is None, .*give all",
    ),
    "a centre of another length": (lambda: ReLUPrior([ones(9, 2)], M), r"centre has shape \(3,\), .*flatten it"),
    "half a channel": (lambda: generator_network(5, 0.5), r"d is 0\.5, .*give an int"),
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
    "a word for a seed": (lambda: start(seed="a"), r"seed is 'a', .*give an int"),
    "a negative seed": (lambda: start(seed=-1), r"seed is -1, .*at least 0"),
    "objects to be stored": (
        lambda: save_arrays("x.npz", {"a": np.array([None])}, {}),
        r"arrays a hold Python objects; give",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_by_name_with_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal(*WRONG[name])
    assert len(re.findall(r"[.;:] \w", message)) <= 3  # one or two sentences, the remedy after a semicolon or a colon
    assert list(tmp_path.iterdir()) == []


# Numbers of networks, what is pulled back, and angles

BATCHES = {
    "ReLUGenerator": lambda: ReLUGenerator.gaussian((2, 5), torch.Generator(), batch=(3,)),
    "Constant": lambda: Constant(torch.ones(3, 5)),
    "Restricted": lambda: Restricted(ReLUGenerator.gaussian((2, 5), torch.Generator()), torch.ones(3, 5).double()),
    "Measured": lambda: Measured(BATCHES["ReLUGenerator"](), torch.ones(4, 5).double()),
}


@pytest.mark.parametrize(
    "numbers", [torch.tensor([3]), torch.tensor(-1), torch.ones(2), torch.ones(1, 1).long(), "x", None, 3]
)
@pytest.mark.parametrize("make", BATCHES.values(), ids=BATCHES)
def test_numbers_of_networks_that_are_not_there_are_refused(make, numbers):
    with pytest.raises((ValueError, TypeError), match=r"^numbers (is|has)"):
        make().pick(numbers)


@pytest.mark.parametrize("u", [torch.ones(4, 5), torch.ones(7).double(), torch.ones(9, 5).double(), None, [1.0] * 5])
def test_what_cannot_be_pulled_back_is_refused(u):
    z = torch.ones(4, 2, dtype=torch.float64)
    for G in (ReLUGenerator.gaussian((2, 5), torch.Generator()), as_generator(torch.nn.Linear(2, 5).double(), 2)):
        pull = G.vjp(z)[1]
        with pytest.raises((ValueError, TypeError), match=r"^u (is|has)"):
            pull(u)


@pytest.mark.parametrize("theta", [-0.1, 3.2, float("nan")])
def test_angles_outside_of_zero_to_pi_are_refused(theta):
    with pytest.raises(ValueError, match=r"theta has entries outside \[0, π\]"):
        angle_map(torch.tensor([1.0, theta], dtype=torch.float64))


def test_codes_that_do_not_fit_a_batch_of_networks_and_directions_that_do_not_fit_codes_are_refused():
    G, one = BATCHES["ReLUGenerator"](), ReLUGenerator.gaussian((2, 5), torch.Generator())
    with pytest.raises(ValueError, match="does not fit the"):
        G(torch.ones(4, 2, dtype=torch.float64))
    for call in (one.one_sided_vjp, one.next_kink):
        with pytest.raises(ValueError, match="z, direction have shapes"):
            call(torch.ones(4, 2, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64))
