"""The methods of the study of Section 4, in one table: Algorithm 1 with its priors, classical ones, trivial ones.

Methods with a prior are given one for the family of modulators, learned from the same training images:

    algorithm_1   the tuned DCGAN for the digit, the best setting found; for families other than "bump" the modulator's prior
                  is a ReLU network
    untuned       the same with the DCGAN as adversarial training left it
    relu          ReLU networks for both factors, Algorithm 1 to the letter
    paper, notebook   the DCGANs with the paper's setting, and with that of the authors' published notebook; only "bump"
    oracle        the modulator known, Adam over the digit's code alone
    log_quadratic, log_subspace, homomorphic, bias_field, pca_als   classical, see `demod.baselines`
    input, constant, nearest   trivial: y itself, white, the nearest training digit
    seeds         as relu with smaller networks, trained anew from the task's training seed
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from demod.baselines import Estimate, csgm, homomorphic, log_quadratic, log_subspace, pca_als, trivial
from demod.baselines.subspaces import Subspace, principal_subspace
from demod.data import resize
from demod.dcgan import load_generator, load_notebook_generator
from demod.demodulation import (
    FIRST_ORDER_SETTING,
    NOTEBOOK_SETTING,
    PAPER_SETTING,
    RELU_SETTING,
    SIGNAL_PRIOR,
    Setting,
    recover,
)
from demod.generators import ReLUGenerator
from demod.priors.image import ImageGenerator, InstanceGenerator
from demod.priors.relu import image_prior, load_prior
from demod.training.autoencoder import AutoencoderSettings, Autoencoding, ReLUDecoder
from demod.training.loop import train
from demod.training.recipes import RECIPES, training_images

SMALL_WIDTH, SMALL_STEPS = 250, 3000  # of the priors that are trained anew
SIGNAL_DIMENSIONS, MODULATOR_DIMENSIONS = 100, 50
EXAMPLES = 5000  # training images that a subspace is computed from

Kind = Literal["learned", "classical", "trivial"]
Factors = tuple[Tensor, Tensor]
Prior = ImageGenerator | InstanceGenerator | ReLUGenerator


@dataclass(frozen=True)
class Observation:
    """What a method is given.

    y : (B, 64, 64), on the device that the work is to run on.
    family : of the modulators that its prior is to know.
    noise, mask : σ, and True where a pixel is observed, (64, 64) or None.
    modulator : the true one, at which only the oracle looks.
    rng : the stream; seed, drawn from it, that of a descent's starts.
    iterations, starts : of a descent, where they differ from its setting.
    training_seed : of priors that are trained anew.
    """

    y: Tensor
    family: str
    noise: float
    mask: Tensor | None
    modulator: Tensor
    rng: torch.Generator
    seed: int
    iterations: int | None
    starts: int | None
    training_seed: int


Run = Callable[[Observation], Factors]
Choice = Callable[[Observation], Prior]


@dataclass(frozen=True)
class Method:
    """A method by its name, how the book calls it, what kind it is, and how it finds signal and modulator.

    A slow one sees a quarter of the images.
    """

    name: str
    label: str
    kind: Kind
    run: Run
    slow: bool = False


# --- priors, each loaded or trained once --------------------------------------------------------------------------------

dcgan, relu, by_instance = cache(load_generator), cache(load_prior), cache(load_notebook_generator)


@cache
def _small(name: str, seed: int) -> ReLUGenerator:
    """Return a ReLU prior of "digits" or of a family of modulators that is smaller than the shipped one, trained here."""
    recipe = RECIPES[f"relu-{name}"]
    shipped = cast(AutoencoderSettings, recipe.settings)
    settings = replace(shipped, widths=(shipped.widths[0], SMALL_WIDTH), steps=SMALL_STEPS, seed=seed)
    run = train(Autoencoding(recipe.images(), settings), progress=False)
    return image_prior([W.detach() for W in cast(ReLUDecoder, run.decoder).weights], run.centre())


def _modulators(given: Observation) -> Prior:
    return dcgan("distortions") if given.family == "bump" else relu(given.family)


@cache
def _examples(name: str, count: int | None = EXAMPLES) -> Tensor:
    """Return training images of the prior `name`, (count, 64, 64): evenly spread over the training set, None for all."""
    images = training_images(name)
    return resize(images if count is None else images[np.linspace(0, len(images) - 1, count).astype(int)])


@cache
def components(name: str, dimension: int) -> Subspace:
    """Return the principal subspace of 5,000 training images of the digits or of a family of modulators."""
    return principal_subspace(_examples(name), dimension)


@cache
def logarithms(family: str) -> Subspace:
    """Return the principal subspace of the logarithms of 5,000 training modulators, darker pixels taken for 1/255."""
    return principal_subspace(_examples(family).clamp(min=1 / 255).log(), MODULATOR_DIMENSIONS)


# --- methods ------------------------------------------------------------------------------------------------------------


def _descent(setting: Setting, signal: Choice, modulator: Choice) -> Run:
    """Return Algorithm 1 with a setting, and with the priors that are chosen for what it is given."""

    def run(given: Observation) -> Factors:
        G1, G2 = (prior(given).to(device=given.y.device) for prior in (signal, modulator))
        mask = None if given.mask is None else given.mask.to(given.y.device)
        changed = replace(setting, iterations=given.iterations or setting.iterations, starts=given.starts or setting.starts)
        found = recover(given.y, setting=changed, mask=mask, seed=given.seed, signal_prior=G1, modulator_prior=G2)
        return found.signal, found.modulator

    return run


def _estimate(solve: Callable[[Observation], Estimate]) -> Run:
    """Return a method that is no descent, and runs on the CPU."""

    def run(given: Observation) -> Factors:
        _refuse_changes(given)
        found = solve(replace(given, y=given.y.cpu()))
        return found.signal, found.modulator

    return run


def _oracle(given: Observation) -> Factors:
    """Return the digit that Adam finds over the DCGAN's codes with the modulator known, from as many starts as the best."""
    _refuse_changes(given)
    y = given.y
    G1 = dcgan(SIGNAL_PRIOR).to(device=y.device)
    observed = 1.0 if given.mask is None else given.mask.to(y)
    known = (given.modulator.to(y) * observed).flatten(1)
    found = csgm.solve(G1, known, (y * observed).flatten(1), restarts=STUDIED.starts, rng=given.rng)
    return G1(cast(Tensor, found.h)).reshape(y.shape), given.modulator  # csgm always returns its code


def _principal_subspaces(given: Observation) -> Estimate:
    signals, modulators = components("digits", SIGNAL_DIMENSIONS), components(given.family, MODULATOR_DIMENSIONS)
    starts = STUDIED.starts
    return pca_als.solve(signals, modulators, given.y, noise=given.noise, mask=given.mask, starts=starts, rng=given.rng)


def _nearest(given: Observation) -> Estimate:
    shade = _examples(given.family).mean(0)
    return trivial.nearest(_examples("digits", None), given.y, modulator=shade, mask=given.mask)


def _log_quadratic(given: Observation) -> Estimate:
    return log_quadratic.solve(given.y, noise=given.noise, mask=given.mask)


def _log_subspace(given: Observation) -> Estimate:
    return log_subspace.solve(logarithms(given.family), given.y, noise=given.noise, mask=given.mask)


def _homomorphic(given: Observation) -> Estimate:
    return homomorphic.solve(given.y, mask=given.mask)


def _bias_field(given: Observation) -> Estimate:
    from demod.baselines import bias_field  # SimpleITK is an extra

    return bias_field.solve(given.y, mask=given.mask)


def _refuse_changes(given: Observation) -> None:
    if given.iterations is not None or given.starts is not None:
        raise ValueError("iterations and starts are of a descent, and the method is none; leave them out.")


STUDIED = replace(FIRST_ORDER_SETTING, brightened_below=PAPER_SETTING.brightened_below)  # as the stored study was made
_tuned = _descent(STUDIED, lambda _: dcgan(SIGNAL_PRIOR), _modulators)
_untuned = _descent(STUDIED, lambda _: dcgan("digits"), _modulators)
_paper = _descent(PAPER_SETTING, lambda _: dcgan("digits"), _modulators)
_notebook = _descent(NOTEBOOK_SETTING, lambda _: by_instance("digits"), lambda _: by_instance("distortions"))
_relu = _descent(RELU_SETTING, lambda _: relu("digits"), lambda given: relu(given.family))
_seeds = _descent(
    RELU_SETTING,
    lambda given: _small("digits", given.training_seed),
    lambda given: _small(given.family, given.training_seed),
)

_TABLE = (
    Method("algorithm_1", "Algorithm 1, tuned", "learned", _tuned),
    Method("untuned", "untuned", "learned", _untuned, slow=True),
    Method("relu", "ReLU priors", "learned", _relu),
    Method("paper", "paper", "learned", _paper),
    Method("notebook", "notebook", "learned", _notebook, slow=True),
    Method("oracle", "modulator known", "learned", _oracle, slow=True),
    Method("log_quadratic", "log-quadratic", "classical", _estimate(_log_quadratic)),
    Method("log_subspace", "log-subspace", "classical", _estimate(_log_subspace)),
    Method("homomorphic", "homomorphic", "classical", _estimate(_homomorphic)),
    Method("bias_field", "N4", "classical", _estimate(_bias_field), slow=True),
    Method("pca_als", "principal subspaces", "classical", _estimate(_principal_subspaces)),
    Method("input", "observation", "trivial", _estimate(lambda given: trivial.unchanged(given.y))),
    Method("constant", "constant", "trivial", _estimate(lambda given: trivial.constant(given.y))),
    Method("nearest", "nearest digit", "trivial", _estimate(_nearest), slow=True),
)
METHODS = {method.name: method for method in _TABLE}
CLASSICAL = tuple(method.name for method in _TABLE if method.kind == "classical")
SEEDS = Method("seeds", "small ReLU priors", "learned", _seeds)  # asks how far the seed of the training matters
