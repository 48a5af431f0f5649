"""The same signal with two priors: how many terms of a basis it needs for the quality that a trained generator reaches.

A shipped prior with latent dimension n represents the median held-out image with the mean squared error e that its card
states. An image has the sparsity k, at that quality, in a basis if k terms leave the error e; then k/n > 1 means that the
generator describes it with fewer numbers.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from demod.baselines.bases import BASES, terms_needed
from demod.priors.weights import load_card
from demod.studies.statistics import median_interval

PAIRS = {"relu": ("relu-digits", "relu-bump"), "dcgan": ("digits", "distortions")}  # of priors, digit and modulator
LATENT = (100, 50)  # n and p of both pairs


def quality(prior: str) -> float:
    """Return the mean squared error with which a shipped prior represents the median held-out image."""
    return load_card(prior)["representation_error"]["median"]


def relative_sparsities(signals: Tensor, modulators: Tensor) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Return k/n of images (N, 64, 64), shape (N,), by basis, for ("digits" or "modulators", a name of PAIRS)."""
    images = (signals, modulators)
    return {
        (factor, kind): {
            basis: terms_needed(images[k].double(), basis, quality(pair[k])).numpy() / LATENT[k] for basis in BASES
        }
        for kind, pair in PAIRS.items()
        for k, factor in enumerate(("digits", "modulators"))
    }


def fewest(
    relative: dict[tuple[str, str], dict[str, np.ndarray]], factor: str, bases: Sequence[str]
) -> tuple[float, float, float]:
    """Return the median k/n over images and its interval, in the basis and for the prior for which it is smallest."""
    medians = [
        median_interval(values[basis].tolist())
        for (name, _), values in relative.items()
        if name == factor
        for basis in bases
    ]
    return min(medians)


def fewest_of_both(relative: dict[tuple[str, str], dict[str, np.ndarray]]) -> float:
    """Return the terms of a digit and a modulator, each in its best basis, over n + p: the smaller of both pairs' values."""
    (n, p), sums = LATENT, []
    for kind in PAIRS:
        digit, modulator = (
            min(np.median(values) for values in relative[factor, kind].values()) for factor in ("digits", "modulators")
        )
        sums.append(float((n * digit + p * modulator) / (n + p)))
    return min(sums)
