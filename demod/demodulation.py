"""The experiment of Section 4: remove a modulator from an image with two trained generators.

An observation is y = w0 ⊙ x0 on 64 × 64 pixels, all in [0, 1]. Algorithm 1 runs on the trained generators. A `Setting`
counts its step size in units of the mean-squared loss ‖w ⊙ x - y‖²/4096, as published: it is η · 4096/2 of (2).

Recovered images are known up to a factor. Scores are taken after aligning the estimate x̂ by a* = ⟨x̂, x⟩/‖x̂‖²,

    PSNR = 10 log10( 4096 / ‖a* x̂ - x‖² ),

the peak being 1, and structural similarity on the aligned estimate.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from demod.arguments import check_alike, check_counts
from demod.data import SIDE, invert, load_mnist, mnist_available, random_distortions, resize
from demod.dcgan import load_generator
from demod.descent import descend
from demod.generators import Generator, restrict
from demod.priors.image import draw_codes

PIXELS = SIDE * SIDE
DRAWN_STREAM = 1
SIGNAL_PRIOR, MODULATOR_PRIOR = "digits-tuned", "distortions"  # of the best setting
MNIST_DIGITS = "MNIST test digits"
DRAWN_DIGITS = "digits drawn from the shipped generator: MNIST was not at hand (`demod data` fetches it)"


@dataclass(frozen=True)
class Setting:
    """How Algorithm 1 runs on images.

    step : step size in units of the mean-squared loss; momentum, iterations, reflect_every, balance and simultaneous as in
        `descend`.
    starts : runs from independent starting codes, of which the one with the least residual is kept.
    """

    step: float
    momentum: float
    iterations: int
    reflect_every: int
    balance: bool
    starts: int
    simultaneous: bool = False


PAPER_SETTING = Setting(step=1.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=1)
NOTEBOOK_SETTING = Setting(
    step=1.0, momentum=0.9, iterations=500, reflect_every=100, balance=True, starts=1, simultaneous=True
)
RELU_SETTING = Setting(step=6.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=2)
BEST_SETTING = Setting(step=32.0, momentum=0.9, iterations=500, reflect_every=25, balance=False, starts=1)


@dataclass(frozen=True)
class Recovery:
    """What `recover` returns.

    signal, modulator : images (*B, 64, 64)
    mean_squared_residual : ‖signal ⊙ modulator - y‖²/4096, (*B,); with a mask, the mean over what was observed
    history : the mean-squared residual before and after each iteration of the start that was kept, (iterations + 1, *B)
    seconds : wall-clock time of all starts together
    relative_residual : mean_squared_residual in units of the squared peak of y among the observed pixels, (*B,): the number
        to judge by, as it does not depend on the brightness
    """

    signal: Tensor
    modulator: Tensor
    mean_squared_residual: Tensor
    history: Tensor
    seconds: float
    relative_residual: Tensor


@dataclass(frozen=True)
class Score:
    """Scale-aligned PSNR in dB and structural similarity of an estimate, each (*B,)."""

    psnr: Tensor
    ssim: Tensor


def recover(
    y: Tensor,
    *,
    setting: Setting = BEST_SETTING,
    signal_prior: Generator | None = None,
    modulator_prior: Generator | None = None,
    mask: Tensor | None = None,
    seed: int = 2019,
) -> Recovery:
    """Recover signal and modulator from observations y: (*B, 64, 64) in [0, 1].

    Parameters
    ----------
    y : Tensor
        Floating point, on the device that the work is to run on.
    setting : Setting
        The best setting found here, unless another is given.
    signal_prior, modulator_prior : Generator, optional
        Onto R^4096; the shipped "digits-tuned" and "distortions" where None.
    mask : Tensor, optional
        Boolean, (64, 64), true where y was observed; the objective and the residual leave the other pixels out.
    seed : int
        Of the starting codes, drawn on the CPU: around the centre of a prior that has one, else as `descend` does.

    Raises
    ------
    ValueError
        If y is not (*B, 64, 64), not finite, outside [0, 1], or zero for some image, or the mask is no Boolean (64, 64).
    """
    if not isinstance(y, Tensor):
        raise TypeError(f"y is a {type(y).__name__}, but a torch.Tensor is required; use torch.as_tensor.")
    if y.shape[-2:] != (SIDE, SIDE):
        raise ValueError(f"y has shape {tuple(y.shape)}, but images of 64 × 64 pixels are required; use demod.data.resize.")
    if not torch.is_floating_point(y) or not ((y >= 0) & (y <= 1)).all():
        raise ValueError(
            f"y is {y.dtype} in [{y.min():.3g}, {y.max():.3g}], but floats in [0, 1] are required; divide by the peak."
        )
    G1 = load_generator(SIGNAL_PRIOR, device=y.device) if signal_prior is None else signal_prior
    G2 = load_generator(MODULATOR_PRIOR, device=y.device) if modulator_prior is None else modulator_prior
    started = time.perf_counter()
    rows, first, rng = y.reshape(-1, PIXELS), G1, torch.Generator().manual_seed(seed)
    batch = (setting.starts, len(rows))
    h, m = (draw_codes(G, batch, rng).to(y) if hasattr(G, "centre") else None for G in (G1, G2))
    if mask is not None:
        if mask.dtype != torch.bool or mask.shape != (SIDE, SIDE):
            raise ValueError(
                f"mask is {mask.dtype} {tuple(mask.shape)}, but torch.bool (64, 64) is required: true where seen."
            )
        observed = mask.flatten().to(y)
        rows, first = rows * observed, restrict(G1, observed)
    solution = descend(
        first,
        G2,
        rows.expand(setting.starts, -1, -1),
        h=h,
        m=m,
        step_size=setting.step * 2 / PIXELS,
        momentum=setting.momentum,
        iterations=setting.iterations,
        tolerance=0,
        reflect_every=setting.reflect_every,
        balance=setting.balance,
        simultaneous=setting.simultaneous,
        rng=rng,
    )
    kept = solution.objective[-1].argmin(0)
    column = torch.arange(len(kept), device=y.device)
    history = solution.objective[:, kept, column] * 2 / (PIXELS if mask is None else mask.sum())
    signal = solution.signal if mask is None else G1(solution.h)
    return Recovery(
        signal[kept, column].reshape(y.shape),
        solution.modulator[kept, column].reshape(y.shape),
        history[-1].reshape(y.shape[:-2]),
        history.reshape(len(history), *y.shape[:-2]),
        time.perf_counter() - started,
        history[-1].reshape(y.shape[:-2]) / rows.amax(-1).square().reshape(y.shape[:-2]),
    )


def align(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return a* x̂ with a* = ⟨x̂, x⟩/‖x̂‖², images (*B, 64, 64); an estimate of zero stays zero."""
    if estimate.shape[-2:] != truth.shape[-2:] or truth.ndim < 2:
        raise ValueError(
            f"estimate has shape {tuple(estimate.shape)} and truth {tuple(truth.shape)}, but both are images (*B, 64, 64): "
            "resize or crop one."
        )
    check_alike(estimate=estimate, truth=truth)
    energy = estimate.square().sum((-2, -1), keepdim=True)
    scale = (estimate * truth).sum((-2, -1), keepdim=True) / energy
    return torch.where(energy > 0, scale * estimate, 0.0)


def score(estimate: Tensor, truth: Tensor) -> Score:
    """Return the scale-aligned PSNR and structural similarity of `estimate`, images (*B, 64, 64) with peak 1."""
    aligned = align(estimate, truth)
    psnr = -10 * (aligned - truth).square().mean((-2, -1)).log10()
    pairs = zip(aligned.reshape(-1, SIDE, SIDE).cpu().numpy(), truth.reshape(-1, SIDE, SIDE).cpu().numpy(), strict=True)
    ssim = torch.tensor([structural_similarity(a, b, data_range=1.0) for a, b in pairs])
    return Score(psnr, ssim.reshape(psnr.shape))


def mnist_problems(first: int, count: int, seed: int = 2019) -> tuple[Tensor, Tensor]:
    """Return (signals, modulators), (count, 64, 64) in [0, 1]: inverted test digits `first`, … and random distortions.

    The distortions have (c, σ) uniform in the paper's ranges, drawn from `seed`, so that none is a training image.
    """
    check_counts(0, first=first, count=count)
    digits = load_mnist("test")[0][first : first + count]
    return resize(invert(digits)), resize(random_distortions(count, seed))


def drawn_problems(count: int, seed: int = 2019) -> tuple[Tensor, Tensor]:
    """Return (signals, modulators), (count, 64, 64), both from the shipped generators: y is exactly in range.

    This is what the book uses where MNIST is not at hand; it is an easier problem than `mnist_problems`. The codes come
    from another stream than the starts of `recover` with the same seed, which would otherwise begin at the truth.
    """
    check_counts(0, count=count, seed=seed)
    rng = torch.Generator().manual_seed(int(np.random.SeedSequence((seed, DRAWN_STREAM)).generate_state(1)[0]))
    images = []
    for name in ("digits", "distortions"):
        G = load_generator(name)
        images.append(G(torch.randn(count, G.widths[0], generator=rng)).reshape(count, SIDE, SIDE))
    return images[0], images[1]


def image_problems(first: int, count: int, seed: int = 2019) -> tuple[Tensor, Tensor, str]:
    """Return (signals, modulators, what they are): `mnist_problems` where MNIST is at hand, else `drawn_problems`."""
    if mnist_available():
        return *mnist_problems(first, count, seed), MNIST_DIGITS
    return *drawn_problems(count, seed), DRAWN_DIGITS
