"""The same signal with two priors: how many terms of a basis it needs for the quality that a trained generator reaches.

A shipped prior with latent dimension n represents the median held-out image with the mean squared error e that its card
states. An image has the sparsity k, at that quality, in a basis if k terms leave the error e; then k/n > 1 means that the
generator describes it with fewer numbers.
"""

import numpy as np
import torch
from torch import Tensor

from demod.baselines.bases import BASES, terms_needed
from demod.data import invert, load_mnist, mnist_available, random_distortions, resize
from demod.demodulation import drawn_problems
from demod.priors.weights import load_card

PAIRS = {"relu": ("relu-digits", "relu-bump"), "dcgan": ("digits", "distortions")}  # of priors, digit and modulator
LATENT = (100, 50)  # n and p of both pairs
FIRST_DIGIT = 5000  # of the test digits; those before served to choose settings


def factors(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return unseen digits and modulators, (count, 64, 64): inverted MNIST digits, or drawn ones where MNIST is absent."""
    modulators = resize(random_distortions(count, seed))
    if not mnist_available():
        return drawn_problems(count, seed)[0], modulators
    return resize(invert(load_mnist("test")[0][FIRST_DIGIT : FIRST_DIGIT + count])), modulators


def quality(prior: str) -> float:
    """Return the mean squared error with which a shipped prior represents the median held-out image."""
    return load_card(prior)["representation_error"]["median"]


def sparsities(images: Tensor, prior: str) -> dict[str, np.ndarray]:
    """Return the terms that each image needs for the quality of a prior, shape (N,), by basis."""
    error = quality(prior)
    return {name: terms_needed(images.to(torch.float64), name, error).numpy() for name in BASES}
