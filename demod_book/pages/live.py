"""The weights of the page that computes, as a script: pages that are opened as files may load nothing else.

They are those of the shipped ReLU priors of digits and of the paper's bumps, each row of a matrix rounded to 8 bits:

    W_ij ≈ s_i q_ij,        q_ij ∈ {-127, …, 127}

`rounded_prior` is the network of the page, for comparisons.
"""

import base64
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from demod.priors.relu import ReLUPrior, gain, image_prior, load_prior, load_weights

PRIORS = {"signal": "digits", "modulator": "bump"}  # the two factors of the page
LEVELS = 127


def rounded(W: Tensor) -> tuple[Tensor, Tensor]:
    """Return s (rows, 1), float32, and q, int8, of a matrix W; a row of zeros has s = 1."""
    scale = W.abs().amax(1, keepdim=True) / LEVELS
    scale = torch.where(scale > 0, scale, 1.0)
    return scale, (W / scale).round().to(torch.int8)


def rounded_prior(name: str) -> ReLUPrior:
    """Return the shipped ReLU prior `name` with the weights that the page has, in double precision, as there."""
    parts = [rounded(W) for W in load_weights(name)]
    return image_prior([scale.double() * q for scale, q in parts], load_prior(name).centre.double())


def weights_script() -> str:
    """Return the script that gives the page its priors, `demodWeights.signal` and `demodWeights.modulator`."""
    priors = {factor: _described(name) for factor, name in PRIORS.items()}
    return f"const demodWeights = {json.dumps(priors, separators=(',', ':'))};\n"


def _described(name: str) -> dict[str, Any]:
    weights = load_weights(name)
    (first_scale, first), (last_scale, last) = (rounded(W) for W in weights)
    return {
        "size": first.shape[1],
        "hidden": first.shape[0],
        "first": _encoded(first.numpy()),
        "firstScale": _encoded(first_scale.flatten().numpy()),
        "gain": gain(weights),
        "last": _encoded(last.T.contiguous().numpy()),  # by columns, which the page adds up
        "lastScale": _encoded(last_scale.flatten().numpy()),
        "centre": _encoded(load_prior(name).centre.numpy()),
    }


def _encoded(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
