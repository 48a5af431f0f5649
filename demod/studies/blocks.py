"""Blocks of images for the study of Section 4.

    y = min(max(w ⊙ x + σ n, 0), 1),        n ~ N(0, I),

w an inverted MNIST test digit, x a modulator of a family of `demod.data.FAMILIES` that no method was trained on. A block
depends on its number alone, so all methods meet the same images.
"""

import math
import string

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from demod.arguments import check_counts
from demod.data import CENTRES, SIDE, distortion, invert, load_mnist, mnist_available, modulator_images, resize
from demod.demodulation import drawn_problems

FIRST_DIGIT = 5000  # of the MNIST test digits; those before served to choose settings
STUDY_SEED = 3
WIDE = 49.5  # σ


def image_block(
    family: str, number: int, count: int, *, noise: float = 0.0, missing: float = 0.0, glyphs: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return (signals, modulators, y), each (count, 64, 64), and the mask (64, 64) or None, of block `number`.

    Parameters
    ----------
    family : str
        Of `demod.data.FAMILIES`, or "wide": the paper's bumps with σ = 49.5, out of the range that priors learn.
    number, count : int
        The block holds the test digits 5000 + number · count, …; digits drawn from the DCGAN where MNIST is absent.
    noise : float
        σ, in units of the peak.
    missing : float
        Share of the pixels that are not observed.
    glyphs : bool
        Whether the signals are letters instead of digits.

    Raises
    ------
    ValueError
        If there is no such family or block, noise is negative, or missing is not in [0, 1).
    """
    check_counts(count=count)
    if not 0 <= noise < math.inf or not 0 <= missing < 1:
        raise ValueError(f"noise is {noise} and missing {missing}, but noise ≥ 0 and 0 ≤ missing < 1 are required.")
    seed = STUDY_SEED + 1000 * (number + 1)
    w = letters(number * count, count) if glyphs else _signals(number, count, seed)
    if family == "wide":
        x = resize(distortion(np.random.default_rng(seed).uniform(*CENTRES, count), WIDE))
    else:
        x = resize(modulator_images(family, count, seed))
    rng = torch.Generator().manual_seed(STUDY_SEED + number)
    y = (w * x + noise * torch.randn(w.shape, generator=rng)).clamp(0, 1)
    mask = torch.rand(SIDE, SIDE, generator=rng) >= missing if missing else None
    return w, x, y, mask


def _signals(number: int, count: int, seed: int) -> Tensor:
    if not mnist_available():
        return drawn_problems(count, seed)[0]
    first = FIRST_DIGIT + number * count
    digits = load_mnist("test")[0][first : first + count]
    if number < 0 or len(digits) < count:
        raise ValueError(f"number is {number} and count {count}, but the digits are 5,000 to 9,999; take an earlier block.")
    return resize(invert(digits))


def letters(first: int, count: int) -> Tensor:
    """Return letters of the alphabet from number `first` on, black on white, (count, 64, 64): no prior has seen one."""
    images = []
    for k in range(first, first + count):
        canvas = Image.new("L", (SIDE, SIDE), 255)
        font = ImageFont.load_default(size=44)
        ImageDraw.Draw(canvas).text((SIDE / 2, SIDE / 2), string.ascii_uppercase[k % 26], fill=0, font=font, anchor="mm")
        images.append(np.asarray(canvas))
    return resize(np.stack(images))
