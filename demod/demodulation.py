"""The experiment of Section 4: remove a modulator from an image with two trained generators.

An observation is y = w0 ⊙ x0 on 64 × 64 pixels, all in [0, 1]. Algorithm 1 runs on the trained generators. A `Setting`
counts its step size in units of the mean-squared loss ‖w ⊙ x - y‖²/4096, as published: it is η · 4096/2 of (2).

Recovered images are known up to a factor. Scores are taken after aligning the estimate x̂ by a* = ⟨x̂, x⟩/‖x̂‖²,

    PSNR = 10 log10( 4096 / ‖a* x̂ - x‖² ),

the peak being 1, and structural similarity on the aligned estimate.
"""

import time
from dataclasses import asdict, dataclass
from math import inf, nan

import numpy as np
import torch
from torch import Tensor

from demod.arguments import (
    check_alike,
    check_counts,
    check_generator,
    check_numbers,
    check_precision,
    check_seed,
    check_tensors,
    told,
)
from demod.baselines.shading import LEAST_PEAK
from demod.data import SIDE, invert, load_mnist, mnist_available, random_distortions, resize
from demod.dcgan import load_generator
from demod.descent import Solution, descend
from demod.descent.rule import Rule
from demod.descent.units import unit_of
from demod.generators import CentredGenerator, Generator, restrict
from demod.priors.encoder import Encoder, check_side, filled, load_encoder
from demod.priors.image import draw_codes

PIXELS = SIDE * SIDE
DRAWN_STREAM = 1
SIGNAL_PRIOR, MODULATOR_PRIOR = "digits-tuned", "distortions"  # of the best setting
ENCODER = "encoder"  # to the codes of these
AT_ONCE = 64  # images that `infer` decodes at once
MNIST_DIGITS = "MNIST test digits"
DRAWN_DIGITS = "digits drawn from the shipped generator: MNIST was not at hand (`demod data` fetches it)"


@dataclass(frozen=True)
class Setting:
    """How Algorithm 1 runs on images.

    step : step size in units of the mean-squared loss
    momentum, iterations, reflect_every, balance, simultaneous : as in `descend`, whose rule they make
    starts : runs from independent starting codes, of which the one with the least residual is kept
    brightened_below : an image whose peak is below this is divided by its peak before the descent, in (0, 1]

    Raises
    ------
    ValueError, TypeError
        If a setting is out of its range or of another type.
    """

    step: float
    momentum: float
    iterations: int
    reflect_every: int
    balance: bool
    starts: int
    simultaneous: bool = False
    brightened_below: float = LEAST_PEAK

    def __post_init__(self) -> None:
        """Check the settings."""
        check_numbers(step=self.step, brightened_below=self.brightened_below)
        check_counts(starts=self.starts)
        if not 0 < self.step < inf:
            raise ValueError(f"step is {self.step}, but a step size is positive and finite; 1 is the paper's.")
        if not 0 < self.brightened_below <= 1:
            raise ValueError(f"brightened_below is {self.brightened_below}, but a peak is in (0, 1]; 1 is for all images.")
        self.rule()

    def rule(self) -> Rule:
        """Return the rule of the iteration; all iterations run, whatever the residual."""
        return Rule(self.momentum, self.iterations, 0.0, self.reflect_every, self.balance, self.simultaneous)


# The published settings see an image as it is unless it is dim; the best one sees every image at its full brightness.
PAPER_SETTING = Setting(step=1.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=1)
NOTEBOOK_SETTING = Setting(
    step=1.0, momentum=0.9, iterations=500, reflect_every=100, balance=True, starts=1, simultaneous=True
)
RELU_SETTING = Setting(step=6.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=2)
BEST_SETTING = Setting(
    step=32.0, momentum=0.9, iterations=500, reflect_every=25, balance=False, starts=1, brightened_below=1.0
)


@dataclass(frozen=True)
class Recovery:
    """What `recover` and `infer` return.

    signal, modulator : images (*B, 64, 64)
    mean_squared_residual : ‖signal ⊙ modulator - y‖²/4096, (*B,); with a mask, the mean over what was observed; NaN where
        the descent diverged, and the images are the last finite ones
    history : the mean-squared residual before and after each iteration of the start that was kept, (iterations + 1, *B);
        of `infer` that of its answer, (1, *B)
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

    Trained generators make images with a peak near 1. So an image is divided by its peak first, and the modulator multiplied
    by it afterwards: c y has the signal of y. `Setting.brightened_below` says up to which peak.

    Parameters
    ----------
    y : Tensor
        Single or double precision, on the device that the work is to run on.
    setting : Setting
        The best setting found here, unless another is given.
    signal_prior, modulator_prior : Generator, optional
        Onto R^4096; the shipped "digits-tuned" and "distortions" where None.
    mask : Tensor, optional
        Boolean, (64, 64) or (*B, 64, 64), true where y was observed. The objective and the residual leave the other pixels
        out, whatever stands there, NaN included.
    seed : int
        Of the starting codes, drawn on the CPU: around the centre of a prior that has one, else as `descend` does.

    Raises
    ------
    ValueError
        If y is not (*B, 64, 64), not finite, outside [0, 1], or zero for some image, the mask is no Boolean (64, 64) or
        (*B, 64, 64) or leaves nothing of an image, or a prior does not produce 64 × 64 pixels.
    TypeError
        If y or the mask is no tensor, a prior no generator, or the seed no whole number.
    """
    _check_images(y, mask)
    if not isinstance(setting, Setting):
        raise TypeError(
            f"setting is {told(setting)}, but a Setting is required: BEST_SETTING, PAPER_SETTING, NOTEBOOK_SETTING or "
            "RELU_SETTING, changed with dataclasses.replace."
        )
    rng = torch.Generator("cpu").manual_seed(check_seed(seed))
    G1 = load_generator(SIGNAL_PRIOR, device=y.device) if signal_prior is None else signal_prior
    G2 = load_generator(MODULATOR_PRIOR, device=y.device) if modulator_prior is None else modulator_prior
    _check_priors(signal_prior=G1, modulator_prior=G2)
    started = time.perf_counter()
    seen = y.detach() if mask is None else torch.where(mask, y.detach(), 0.0)
    rows, first = seen.reshape(-1, PIXELS), G1
    if mask is not None:
        first = restrict(G1, (mask.flatten() if mask.ndim == 2 else mask.reshape(-1, PIXELS)).to(y))
    peaks = rows.amax(-1)
    brightness = torch.where((peaks > 0) & (peaks < setting.brightened_below), peaks, 1.0)
    solution = _descend(first, G1, G2, rows / brightness[:, None], setting, rng)
    kept = solution.objective[-1].argmin(0)
    column = torch.arange(len(kept), device=y.device)
    signal = solution.signal if mask is None else G1(solution.h).detach()
    modulator = solution.modulator[kept, column] * brightness[:, None]
    observed = PIXELS if mask is None else mask.sum((-2, -1)).expand(y.shape[:-2]).reshape(-1)
    history = solution.objective[:, kept, column] * 2 / observed
    relative = history[-1] / (peaks / brightness).square()
    history = history * brightness * brightness
    return Recovery(
        signal[kept, column].reshape(y.shape),
        modulator.reshape(y.shape),
        history[-1].reshape(y.shape[:-2]),
        history.reshape(len(history), *y.shape[:-2]),
        time.perf_counter() - started,
        relative.reshape(y.shape[:-2]),
    )


def infer(
    y: Tensor,
    *,
    encoder: Encoder | None = None,
    signal_prior: Generator | None = None,
    modulator_prior: Generator | None = None,
    mask: Tensor | None = None,
) -> Recovery:
    """Return the answer of a trained encoder to observations y, (*B, 64, 64) in [0, 1]: one pass, and no descent.

    It is inference that was learned, on digits under the paper's distortions, and comes without any guarantee. The residual
    judges each answer; where it is large, `recover`. Memory grows by twice the size of the answer, and no more.

    Parameters
    ----------
    y : Tensor
        Single or double precision, on the device that the work is to run on.
    encoder : Encoder, optional
        To the codes of the two priors.
    signal_prior, modulator_prior : Generator, optional
        Onto R^4096. Where all three are None, the shipped "encoder", "digits-tuned" and "distortions".
    mask : Tensor, optional
        As in `recover`. The encoder sees the missing pixels as `demod.priors.encoder.filled` fills them.

    Raises
    ------
    ValueError
        If y or the mask is not as `recover` has it, y is zero for some image, or encoder and priors do not fit.
    TypeError
        If y or the mask is no tensor, the encoder no `Encoder`, or a prior no generator.
    """
    _check_images(y, mask)
    E, G1, G2 = _encoder_and_priors(encoder, signal_prior, modulator_prior, y.device)
    started = time.perf_counter()
    images = y.detach().reshape(-1, SIDE, SIDE)
    known = torch.ones_like(y, dtype=torch.bool) if mask is None else mask.expand(y.shape)
    blocks = zip(images.split(AT_ONCE), known.reshape(images.shape).split(AT_ONCE), strict=True)
    answers = zip(*(_answer(E, G1, G2, some, seen) for some, seen in blocks), strict=True)
    signal, modulator, residual, peak = (torch.cat(parts) for parts in answers)
    residual = residual.reshape(y.shape[:-2])
    return Recovery(
        signal.reshape(y.shape),
        modulator.reshape(y.shape),
        residual,
        residual[None],
        time.perf_counter() - started,
        residual / peak.reshape(residual.shape).square(),
    )


def _encoder_and_priors(
    encoder: Encoder | None, signal_prior: Generator | None, modulator_prior: Generator | None, device: torch.device
) -> tuple[Encoder, Generator, Generator]:
    """Return what was given, or the shipped ones; raise unless they belong together as far as can be seen."""
    if encoder is None and signal_prior is None and modulator_prior is None:
        G1, G2 = (load_generator(name, device=device) for name in (SIGNAL_PRIOR, MODULATOR_PRIOR))
        return load_encoder(ENCODER, device=device), G1, G2
    given = {"encoder": encoder, "signal_prior": signal_prior, "modulator_prior": modulator_prior}
    if encoder is None or signal_prior is None or modulator_prior is None:
        lacking = ", ".join(name for name, value in given.items() if value is None)
        raise ValueError(
            f"{lacking} is None, but codes mean nothing to other priors than the encoder's; give all three or none."
        )
    if not isinstance(encoder, Encoder):
        raise TypeError(f"encoder is {told(encoder)}, but an Encoder is required; see demod.priors.encoder.load_encoder.")
    _check_priors(signal_prior=signal_prior, modulator_prior=modulator_prior)
    if (latents := (signal_prior.widths[0], modulator_prior.widths[0])) != encoder.latents:
        raise ValueError(f"encoder makes codes of {encoder.latents} entries but the priors take {latents}; give its own.")
    return encoder, signal_prior, modulator_prior


@torch.no_grad()
def _answer(E: Encoder, G1: Generator, G2: Generator, y: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return signal, modulator, the mean-squared residual over what is known, and the peak, of images (N, 64, 64)."""
    y = filled(y, known)
    h, m = E(y)
    peak = y.amax((-2, -1))
    signal, modulator = G1(h).view(y.shape), G2(m).view(y.shape) * peak[:, None, None]
    error = torch.where(known, signal * modulator - y, 0.0).square().sum((-2, -1))
    return signal, modulator, error / known.sum((-2, -1)), peak


def _descend(
    first: Generator, G1: Generator, G2: Generator, rows: Tensor, setting: Setting, rng: torch.Generator
) -> Solution:
    """Return all starts, (starts, N, …), for images (N, 4096) whose signal is seen through `first`."""
    batch = (setting.starts, len(rows))
    h, m = (draw_codes(G, batch, rng).to(rows) if isinstance(G, CentredGenerator) else None for G in (G1, G2))
    return descend(
        first,
        G2,
        rows.expand(setting.starts, -1, -1),
        h=h,
        m=m,
        step_size=setting.step * 2 / PIXELS,
        rng=rng,
        **asdict(setting.rule()),
    )


def _check_images(y: Tensor, mask: Tensor | None) -> None:
    check_tensors(y=y)
    check_side(y)
    seen = y
    if mask is not None:
        check_tensors(mask=mask)
        if mask.dtype != torch.bool or mask.shape not in ((SIDE, SIDE), y.shape) or mask.device != y.device:
            raise ValueError(
                f"mask is {mask.dtype} {tuple(mask.shape)} on {mask.device}, "
                "but torch.bool (64, 64) is required: true where seen; "
                f"or one for each image, {tuple(y.shape)}; on {y.device}."
            )
        if not mask.flatten(-2).any(-1).all():
            raise ValueError("mask observes no pixel of some image; leave that image out, or set true where y was seen.")
        seen = y[..., mask] if mask.ndim == 2 else y[mask]
    if not y.is_floating_point() or not ((seen >= 0) & (seen <= 1)).all():
        least, most = (seen.min().item(), seen.max().item()) if seen.numel() and not y.is_complex() else (nan, nan)
        raise ValueError(
            f"y is {y.dtype} in [{least:.3g}, {most:.3g}], but floats in [0, 1] are required; divide by the peak, and clip "
            "noise below 0 with .clamp(min=0)."
        )
    check_precision(y=seen)


def _check_priors(**priors: Generator) -> None:
    check_generator(**priors)
    for name, G in priors.items():
        if G.widths[-1] != PIXELS:
            raise ValueError(
                f"{name} produces {G.widths[-1]} entries, but images of 64 × 64 = {PIXELS} pixels are required."
            )


def align(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return a* x̂ with a* = ⟨x̂, x⟩/‖x̂‖², images (*B, 64, 64); an estimate of zero stays zero."""
    check_precision(estimate=estimate, truth=truth)
    if estimate.shape[-2:] != truth.shape[-2:] or truth.ndim < 2 or truth.shape[-2] != truth.shape[-1]:
        raise ValueError(
            f"estimate has shape {tuple(estimate.shape)} and truth {tuple(truth.shape)}, but both are images (*B, 64, 64): "
            "resize or crop one, or reshape vectors."
        )
    check_alike(estimate=estimate[..., 0], truth=truth[..., 0])
    estimate = estimate / unit_of(estimate.flatten(-2))[..., None]
    energy = estimate.square().sum((-2, -1), keepdim=True)
    scale = (estimate * truth).sum((-2, -1), keepdim=True) / energy
    return torch.where(energy > 0, scale * estimate, 0.0)


def score(estimate: Tensor, truth: Tensor) -> Score:
    """Return the scale-aligned PSNR and structural similarity of `estimate`, images (*B, 64, 64) with peak 1."""
    from skimage.metrics import structural_similarity

    aligned, truth = torch.broadcast_tensors(align(estimate, truth), truth.detach())
    psnr = -10 * (aligned - truth).square().mean((-2, -1)).log10()
    pairs = zip(*(images.flatten(0, -3).numpy(force=True) for images in (aligned[None], truth[None])), strict=True)
    ssim = torch.from_numpy(np.array([structural_similarity(a, b, data_range=1.0) for a, b in pairs])).to(psnr.device)
    return Score(psnr.detach(), ssim.reshape(psnr.shape))


def mnist_problems(first: int, count: int, seed: int = 2019) -> tuple[Tensor, Tensor]:
    """Return (signals, modulators), (count, 64, 64) in [0, 1]: inverted test digits `first`, … and random distortions.

    The distortions have (c, σ) uniform in the paper's ranges, drawn from `seed`, so that none is a training image.
    """
    check_counts(0, first=first, count=count)
    digits = load_mnist("test")[0][first : first + count]
    return resize(invert(digits)), resize(random_distortions(count, check_seed(seed)))


def drawn_problems(count: int, seed: int = 2019) -> tuple[Tensor, Tensor]:
    """Return (signals, modulators), (count, 64, 64), both from the shipped generators: y is exactly in range.

    This is what the book uses where MNIST is not at hand; it is an easier problem than `mnist_problems`. The codes come
    from another stream than the starts of `recover` with the same seed, which would otherwise begin at the truth.
    """
    check_counts(0, count=count)
    entropy = check_seed(seed), DRAWN_STREAM
    rng = torch.Generator().manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
    images = []
    for name in ("digits", "distortions"):
        G = load_generator(name)
        images.append(
            G(torch.randn(count, G.widths[0], generator=rng, device="cpu", dtype=torch.float32)).reshape(count, SIDE, SIDE)
        )
    return images[0], images[1]


def image_problems(first: int, count: int, seed: int = 2019) -> tuple[Tensor, Tensor, str]:
    """Return (signals, modulators, what they are): `mnist_problems` where MNIST is at hand, else `drawn_problems`."""
    if mnist_available():
        return *mnist_problems(first, count, seed), MNIST_DIGITS
    return *drawn_problems(count, seed), DRAWN_DIGITS
