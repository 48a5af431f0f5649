"""The experiment of Section 4: remove a modulator from an image with two trained generators.

An observation is y = w0 ⊙ x0 on 64 × 64 pixels, all in [0, 1]. Algorithm 1, or Gauss–Newton, runs on the trained generators,
as a setting of `demod.settings` says.

Recovered images are known up to a factor. Scores are taken after aligning the estimate x̂ by a* = ⟨x̂, x⟩/‖x̂‖²,

    PSNR = 10 log10( 4096 / ‖a* x̂ - x‖² ),

the peak being 1, and structural similarity on the aligned estimate.
"""

import time
from dataclasses import asdict, dataclass
from math import nan

import numpy as np
import torch
from torch import Tensor

from demod.arguments import (
    check_alike,
    check_counts,
    check_generator,
    check_precision,
    check_seed,
    check_tensors,
    told,
)
from demod.data import SIDE, invert, load_mnist, mnist_available, random_distortions, resize
from demod.dcgan import load_generator
from demod.descent import descend
from demod.descent.units import unit_of
from demod.gauss_newton import solve
from demod.generators import CentredGenerator, Generator, restrict
from demod.priors.encoder import Encoder, check_side, filled, load_encoder
from demod.priors.image import ImageGenerator, draw_codes, in_bfloat16
from demod.settings import BEST_SETTING as BEST_SETTING
from demod.settings import FAST_SETTING as FAST_SETTING
from demod.settings import FIRST_ORDER_SETTING as FIRST_ORDER_SETTING
from demod.settings import NOTEBOOK_SETTING as NOTEBOOK_SETTING
from demod.settings import PAPER_SETTING as PAPER_SETTING
from demod.settings import RELU_SETTING as RELU_SETTING
from demod.settings import GaussNewtonSetting as GaussNewtonSetting
from demod.settings import Setting as Setting
from demod.torch_state import multiplies_bfloat16

PIXELS = SIDE * SIDE
DRAWN_STREAM = 1
SIGNAL_PRIOR, MODULATOR_PRIOR = "digits-tuned", "distortions"  # of the best setting
ENCODER = "encoder"  # to the codes of these
AT_ONCE = 64  # images that `infer` decodes at once
MNIST_DIGITS = "MNIST test digits"
DRAWN_DIGITS = "digits drawn from the shipped generator: MNIST was not at hand (`demod data` fetches it)"


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
    setting: Setting | GaussNewtonSetting = BEST_SETTING,
    signal_prior: Generator | None = None,
    modulator_prior: Generator | None = None,
    encoder: Encoder | None = None,
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
    setting : Setting or GaussNewtonSetting
        The best setting found here, unless another is given: of Algorithm 1, or of Gauss–Newton.
    signal_prior, modulator_prior : Generator, optional
        Onto R^4096; the shipped "digits-tuned" and "distortions" where None.
    encoder : Encoder, optional
        To the codes of the two priors, for a setting that is amortised; as in `infer`.
    mask : Tensor, optional
        Boolean, (64, 64) or (*B, 64, 64), true where y was observed. The objective and the residual leave the other pixels
        out, whatever stands there, NaN included.
    seed : int
        Of the starting codes, drawn on the CPU: around the centre of a prior that has one, else as `descend` does.

    Raises
    ------
    ValueError
        If y is not (*B, 64, 64), not finite, outside [0, 1], or zero for some image, the mask is no Boolean (64, 64) or
        (*B, 64, 64) or leaves nothing of an image, a prior does not produce 64 × 64 pixels, or encoder, priors and setting
        do not fit.
    TypeError
        If y or the mask is no tensor, a prior no generator, the encoder no `Encoder`, or the seed no whole number.
    """
    _check_images(y, mask)
    if not isinstance(setting, Setting | GaussNewtonSetting):
        raise TypeError(
            f"setting is {told(setting)}, but a setting is required: BEST_SETTING, FIRST_ORDER_SETTING, PAPER_SETTING, "
            "NOTEBOOK_SETTING, RELU_SETTING or FAST_SETTING, changed with dataclasses.replace."
        )
    rng = torch.Generator("cpu").manual_seed(check_seed(seed))
    E, G1, G2 = _chosen(setting, encoder, signal_prior, modulator_prior, y.device)
    started = time.perf_counter()
    seen = y.detach() if mask is None else torch.where(mask, y.detach(), 0.0)
    rows = seen.reshape(-1, PIXELS)
    observed = None if mask is None else (mask.flatten() if mask.ndim == 2 else mask.reshape(-1, PIXELS))
    peaks = rows.amax(-1)
    brightness = torch.where((peaks > 0) & (peaks < setting.brightened_below), peaks, 1.0)
    images = rows / brightness[:, None]
    h, m = _starting_codes(E, G1, G2, images, observed, setting.starts, rng)
    if isinstance(setting, Setting):
        signal, modulator, history = _descended(G1, G2, images, h, m, observed, setting, rng)
    else:
        signal, modulator, history = _solved(G1, G2, images, h, m, observed, setting, rng)
    modulator = modulator * brightness[:, None]
    count = PIXELS if mask is None else mask.sum((-2, -1)).expand(y.shape[:-2]).reshape(-1)
    history = history * 2 / count
    relative = history[-1] / (peaks / brightness).square()
    history = history * brightness * brightness
    return Recovery(
        signal.reshape(y.shape),
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
    quick = _quick(E, G1, G2, y.device)
    answers = zip(*(_answer(E, (G1, G2), quick, some, seen) for some, seen in blocks), strict=True)
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
def _answer(
    E: Encoder, priors: tuple[Generator, Generator], quick: tuple[Generator, Generator], y: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return signal, modulator, the mean-squared residual over what is known, and the peak, of images (N, 64, 64).

    The refinement sees the images of the priors `quick`, which are near the priors.
    """
    y = filled(y, known)
    h, m = E.answer(y, *quick)
    peak, (G1, G2) = y.amax((-2, -1)), priors
    signal, modulator = G1(h).view(y.shape), G2(m).view(y.shape) * peak[:, None, None]
    error = torch.where(known, signal * modulator - y, 0.0).square().sum((-2, -1))
    return signal, modulator, error / known.sum((-2, -1)), peak


def _chosen(
    setting: Setting | GaussNewtonSetting,
    encoder: Encoder | None,
    signal_prior: Generator | None,
    modulator_prior: Generator | None,
    device: torch.device,
) -> tuple[Encoder | None, Generator, Generator]:
    """Return the encoder, where the setting asks for one, and the priors: what was given, or the shipped ones."""
    if setting.amortised:
        return _encoder_and_priors(encoder, signal_prior, modulator_prior, device)
    if encoder is not None:
        raise ValueError("encoder is given, but the setting starts from random codes; give FAST_SETTING, or leave it out.")
    G1 = load_generator(SIGNAL_PRIOR, device=device) if signal_prior is None else signal_prior
    G2 = load_generator(MODULATOR_PRIOR, device=device) if modulator_prior is None else modulator_prior
    _check_priors(signal_prior=G1, modulator_prior=G2)
    return None, G1, G2


def _starting_codes(
    E: Encoder | None,
    G1: Generator,
    G2: Generator,
    images: Tensor,
    observed: Tensor | None,
    starts: int,
    rng: torch.Generator,
) -> tuple[Tensor | None, Tensor | None]:
    """Return codes (starts, N, n) and (starts, N, p): E's answer first, the others drawn, around a centre if there is one.

    None is for starts that are all to be drawn as `descend` draws them.
    """
    batch = starts, len(images)
    if E is None:
        h, m = (draw_codes(G, batch, rng).to(images) if isinstance(G, CentredGenerator) else None for G in (G1, G2))
        return h, m
    pictures = images.view(-1, SIDE, SIDE)
    known = torch.ones_like(images, dtype=torch.bool) if observed is None else observed.expand(images.shape)
    h, m = (draw_codes(G, batch, rng).to(images) for G in (G1, G2))
    h[0], m[0] = E.answer(filled(pictures, known.view(pictures.shape)), *_quick(E, G1, G2, images.device))
    return h, m


def _quick(E: Encoder | None, G1: Generator, G2: Generator, device: torch.device) -> tuple[Generator, Generator]:
    """Return the priors, DCGANs in half precision where that is quicker: what a refinement sees need not be exact."""
    if E is None or E.refinement is None or not multiplies_bfloat16(device):
        return G1, G2
    both = isinstance(G1, ImageGenerator) and isinstance(G2, ImageGenerator)
    return in_bfloat16(G1, G2) if both else (G1, G2)


def _descended(
    G1: Generator,
    G2: Generator,
    images: Tensor,
    h: Tensor | None,
    m: Tensor | None,
    observed: Tensor | None,
    setting: Setting,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return signals, modulators and objectives, (iterations + 1, N), by Algorithm 1, of images (N, 4096)."""
    solution = descend(
        G1 if observed is None else restrict(G1, observed.to(images)),
        G2,
        images.expand(setting.starts, -1, -1),
        h=h,
        m=m,
        step_size=setting.step * 2 / PIXELS,
        rng=rng,
        **asdict(setting.rule()),
    )
    signal = solution.signal if observed is None else G1(solution.h).detach()
    kept = solution.objective[-1].argmin(0)
    best = kept, torch.arange(len(kept), device=images.device)
    return signal[best], solution.modulator[best], solution.objective[:, *best]


def _solved(
    G1: Generator,
    G2: Generator,
    images: Tensor,
    h: Tensor | None,
    m: Tensor | None,
    observed: Tensor | None,
    setting: GaussNewtonSetting,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return signals, modulators and objectives, (iterations + 1, N), by Gauss–Newton, of images (N, 4096)."""
    single = setting.starts == 1
    half = setting.half and multiplies_bfloat16(images.device)
    solution = solve(
        G1,
        G2,
        images,
        h=h[0] if single and h is not None else h,
        m=m[0] if single and m is not None else m,
        starts=setting.starts,
        iterations=setting.iterations,
        tolerance=0.0,
        mask=observed,
        rng=rng,
        linearise_every=setting.linearise_every,
        dampings=setting.dampings,
        jacobians_of=in_bfloat16(G1, G2) if half else None,
    )
    return solution.signal, solution.modulator, solution.objective


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
