"""The study of Section 4: every method on the same images, over families of modulators, noise and missing pixels.

    y = min(max(w ⊙ x + σ n, 0), 1),        n ~ N(0, I),

w an inverted MNIST test digit, x a modulator of a family of `demod.data.FAMILIES` that no method was trained on. A block of
images depends on its number alone, so all methods meet the same images. Methods with a prior are given one for the
family, learned from the same training images:

    algorithm_1   the tuned DCGAN for the digit, the best setting found; for families other than "bump" the modulator's prior
                  is a ReLU network
    untuned       the same with the DCGAN as adversarial training left it
    relu          ReLU networks for both factors, Algorithm 1 to the letter
    paper, notebook   the DCGANs with the paper's setting, and with that of the authors' published notebook; only "bump"
    seeds         the same with smaller ReLU networks, trained anew from the seed `again`
    oracle        the modulator known, Adam over the digit's code alone
    log_quadratic, log_subspace, homomorphic, bias_field, pca_als   classical, see `demod.baselines`
    input, constant, nearest   what is had for nothing: y itself, white, the nearest training digit
"""

import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from demod.artifacts import load_arrays, save_arrays
from demod.baselines import bias_field, csgm, homomorphic, log_quadratic, log_subspace, pca_als, trivial
from demod.baselines.subspaces import Subspace, principal_subspace
from demod.data import CENTRES, FAMILIES, SIDE, distortion, invert, load_mnist, mnist_available, modulator_images, resize
from demod.dcgan import load_generator, load_notebook_generator
from demod.demodulation import (
    BEST_SETTING,
    NOTEBOOK_SETTING,
    PAPER_SETTING,
    RELU_SETTING,
    SIGNAL_PRIOR,
    Setting,
    drawn_problems,
    recover,
    score,
)
from demod.generators import ReLUGenerator
from demod.priors.image import ImageGenerator, InstanceGenerator
from demod.priors.relu import image_prior, load_prior
from demod.studies.sweeps import Cell, Result, sweep
from demod.training.autoencoder import SETTINGS as AUTOENCODERS
from demod.training.autoencoder import ReLUDecoder, train, training_images

Prior = ImageGenerator | InstanceGenerator | ReLUGenerator

METHODS = (
    *("algorithm_1", "untuned", "relu", "paper", "notebook", "oracle"),
    *("log_quadratic", "log_subspace", "homomorphic", "bias_field", "pca_als"),
    *("input", "constant", "nearest"),
)
CLASSICAL = METHODS[6:11]
FIRST_DIGIT = 5000  # of the MNIST test digits; those before served to choose settings
STUDY_SEED = 3
WIDE = 49.5  # σ
SMALL_WIDTH, SMALL_STEPS = 250, 3000
NOISES = (0.0, 0.02, 0.05)
FAMILY_METHODS = ("algorithm_1", "relu", *CLASSICAL, "input", "constant")
FAMILY_BLOCK, STARTS_BLOCK = 200, 800  # test digits 7,400 … and 9,000 …, which the blocks of the paper's family do not reach
OPTIONS = ("noise", "missing", "glyphs", "iterations", "starts", "again")
DEFAULTS = {"noise": 0.0, "missing": 0.0, "glyphs": False}
PRIOR_OF = {"wide": "bump"}
SIGNAL_DIMENSIONS, MODULATOR_DIMENSIONS = 100, 50


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
        If there is no such family or block.
    """
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


def study_cell(cell: Cell, rng: torch.Generator) -> Result:
    """Run a method on one block of images.

    Parameters
    ----------
    cell : mapping
        method, family, number, count; optionally noise, missing, glyphs; iterations and starts of a descent, where they
        differ from its setting; again, a number that only changes the starts; and device ("cpu").
    rng : torch.Generator
        On the CPU; for the starts.

    Returns
    -------
    dict
        psnr and ssim of the signal, psnr_modulator and ssim_modulator, residual, the mean-squared one over the observed
        pixels, and seconds an image, each (count,).

    Raises
    ------
    ValueError
        If there is no such method, family or block.
    """
    cell = dict(cell)
    method, device = cell.pop("method"), cell.pop("device", "cpu")
    changes = {name: cell.pop(name) for name in ("iterations", "starts") if name in cell}
    again = cell.pop("again", 0)
    if method not in (*METHODS, "seeds"):
        raise ValueError(f"method is {method!r}, but the study has {', '.join(METHODS)} and seeds.")
    w, x, y, mask = image_block(**cell)
    started = time.perf_counter()
    noise = cell.get("noise", 0.0)
    family = PRIOR_OF.get(cell["family"], cell["family"])
    signal, modulator = solve(
        method, family, y.to(device), noise=noise, mask=mask, modulator=x, rng=rng, again=again, **changes
    )
    seconds = time.perf_counter() - started
    signal, modulator = signal.cpu(), modulator.cpu()
    digit, shade = score(signal, w), score(modulator, x)
    kept = torch.ones(SIDE, SIDE, dtype=torch.bool) if mask is None else mask
    residual = (signal * modulator - y)[:, kept].square().mean(-1)
    scores = {"psnr": digit.psnr, "ssim": digit.ssim, "psnr_modulator": shade.psnr, "ssim_modulator": shade.ssim}
    return {**scores, "residual": residual, "seconds": torch.full_like(residual, seconds / len(y))}


def solve(
    method: str,
    family: str,
    y: Tensor,
    *,
    noise: float,
    mask: Tensor | None,
    modulator: Tensor,
    rng: torch.Generator,
    again: int = 0,
    **changes: Any,
) -> tuple[Tensor, Tensor]:
    """Return what `method` finds for y (B, 64, 64): signal and modulator. Only the oracle looks at the true modulator.

    changes are fields of the `Setting` of a descent that differ.
    """
    seed = int(torch.randint(2**31, (), generator=rng))
    if method in DESCENTS:
        setting, priors = DESCENTS[method](family, again)
        G1, G2 = (prior.to(device=y.device) for prior in priors)
        setting, mask = replace(setting, **changes), None if mask is None else mask.to(y.device)
        found = recover(y, setting=setting, mask=mask, seed=seed, signal_prior=G1, modulator_prior=G2)
        return found.signal, found.modulator
    if method == "oracle":
        return _oracle(y, modulator, mask, rng), modulator
    found = _classical(method, family)(y.cpu(), noise=noise, mask=mask, rng=rng)
    return found.signal, found.modulator


def _with_dcgan(setting: Setting, name: str) -> Callable:
    """Return the descent with the DCGAN `name` for the digit, and for modulators other than bumps a ReLU network."""

    def descent(family: str, again: int) -> tuple[Setting, tuple[Prior, Prior]]:
        return setting, (load_generator(name), load_generator("distortions") if family == "bump" else load_prior(family))

    return descent


def _small_prior(name: str, seed: int) -> ReLUGenerator:
    settings = replace(AUTOENCODERS[f"relu-{name}"], steps=SMALL_STEPS, seed=seed)
    settings = replace(settings, widths=(settings.widths[0], SMALL_WIDTH))
    run = train(training_images(name), settings, progress=False)
    return image_prior([W.detach() for W in cast(ReLUDecoder, run.decoder).weights], run.centre())


DESCENTS: dict[str, Callable[[str, int], tuple[Setting, tuple[Prior, Prior]]]] = {
    "algorithm_1": _with_dcgan(BEST_SETTING, SIGNAL_PRIOR),
    "untuned": _with_dcgan(BEST_SETTING, "digits"),
    "paper": _with_dcgan(PAPER_SETTING, "digits"),
    "notebook": lambda family, again: (
        NOTEBOOK_SETTING,
        (load_notebook_generator("digits"), load_notebook_generator("distortions")),
    ),
    "relu": lambda family, again: (RELU_SETTING, (load_prior("digits"), load_prior(family))),
    "seeds": lambda family, again: (RELU_SETTING, (_small_prior("digits", again), _small_prior(family, again))),
}


def _oracle(y: Tensor, modulator: Tensor, mask: Tensor | None, rng: torch.Generator) -> Tensor:
    """Return the digit that Adam finds over the DCGAN's codes with the modulator known, from as many starts as the best."""
    G1 = load_generator(SIGNAL_PRIOR, device=y.device)
    observed = 1.0 if mask is None else mask.to(y)
    known = (modulator.to(y) * observed).flatten(1)
    found = csgm.solve(G1, known, (y * observed).flatten(1), restarts=BEST_SETTING.starts, rng=rng)
    return G1(cast(Tensor, found.h)).reshape(y.shape)  # csgm always returns its code


def _classical(method: str, family: str) -> Callable:
    """Return the method as a function of y, noise, mask and rng."""
    return {
        "input": lambda y, noise, mask, rng: trivial.unchanged(y),
        "constant": lambda y, noise, mask, rng: trivial.constant(y),
        "log_quadratic": lambda y, noise, mask, rng: log_quadratic.solve(y, noise=noise, mask=mask),
        "log_subspace": lambda y, noise, mask, rng: log_subspace.solve(logarithms(family), y, noise=noise, mask=mask),
        "homomorphic": lambda y, noise, mask, rng: homomorphic.solve(y, mask=mask),
        "bias_field": lambda y, noise, mask, rng: bias_field.solve(y, mask=mask),
        "pca_als": lambda y, noise, mask, rng: pca_als.solve(
            components("digits", SIGNAL_DIMENSIONS),
            components(family, MODULATOR_DIMENSIONS),
            y,
            noise=noise,
            mask=mask,
            starts=BEST_SETTING.starts,
            rng=rng,
        ),
        "nearest": lambda y, noise, mask, rng: trivial.nearest(
            _examples("digits", None), y, modulator=_examples(family).mean(0), mask=mask
        ),
    }[method]


@cache
def _examples(name: str, count: int | None = 5000) -> Tensor:
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


def study_cells(blocks: int) -> list[Cell]:
    """Return the cells of the whole study; the paper's family has `blocks` of 32 digits, everything else fewer.

    paper's family      every method on the same digits; those that take long on a quarter of the blocks
    all families        12 digits for each of three noise levels, and with half of the pixels missing
    one start           5 digits, 20 starts
    iterations          5 digits, 10 times as many
    seeds               12 digits, three ReLU priors smaller than the shipped ones
    out of range        letters, and bumps that are wider than any that a prior has seen
    """
    shares = dict.fromkeys(("untuned", "notebook", "oracle", "bias_field", "nearest"), 4)
    cells: list[Cell] = [
        {"method": method, "family": "bump", "number": number, "count": 32}
        for method in METHODS
        for number in range(max(1, blocks // shares.get(method, 1)))
    ]
    conditions = [{"noise": noise} for noise in NOISES] + [{"missing": 0.5}]
    few = {"number": FAMILY_BLOCK, "count": 12}
    cells += [
        {"method": method, "family": family, **few, **condition}
        for family in FAMILIES
        for condition in conditions
        for method in FAMILY_METHODS
    ]
    five = {"family": "bump", "number": STARTS_BLOCK, "count": 5}
    cells += [{"method": "algorithm_1", **five, "starts": 1, "again": k} for k in range(20)]
    cells += [{"method": "seeds", "family": "bump", **few, "again": k} for k in range(1, 4)]
    cells += [{"method": "paper", **five, "iterations": iterations} for iterations in (500, 5000)]
    out: list[dict[str, Any]] = [{"family": "bump", "glyphs": True}, {"family": "wide"}]
    return cells + [{"method": "algorithm_1", **few, **condition} for condition in out]


def run_study(folder: Path, *, blocks: int, jobs: int | None = None, progress: bool = True) -> "Study":
    """Run the cells of the study that `folder` lacks, and return all results."""
    cells = study_cells(blocks)
    return Study(cells, sweep(study_cell, cells, folder, seed=STUDY_SEED, jobs=jobs, progress=progress))


@dataclass(frozen=True)
class Study:
    """Cells and their results, in the same order."""

    cells: list[Cell]
    results: list[Result]

    def select(self, name: str, **conditions: object) -> Tensor:
        """Return the values `name` of all cells that meet the conditions, one after the other; a key left out is absent.

        Raises
        ------
        ValueError
            If no cell does.
        """
        asked = ("method", "family", *OPTIONS)
        found = [
            result[name]
            for cell, result in zip(self.cells, self.results, strict=True)
            if all(cell.get(key, DEFAULTS.get(key)) == conditions.get(key, DEFAULTS.get(key)) for key in asked)
        ]
        if not found:
            raise ValueError(f"no cell of the study has {conditions}; see `study_cells` for what there is.")
        return torch.cat(found)

    def medians(self, name: str, methods: Sequence[str], families: Sequence[str], conditions: Sequence[Cell]) -> Tensor:
        """Return the median of `name`, shape (methods, families · conditions), the conditions of one family side by side."""
        columns = [{"family": family, **condition} for family in families for condition in conditions]
        rows = [[self.select(name, method=method, **column).quantile(0.5) for column in columns] for method in methods]
        return torch.tensor(rows)

    def save(self, path: Path, provenance: dict[str, Any]) -> None:
        """Write everything to `path` (.npz) and its card."""
        names = sorted(self.results[0])
        arrays = {name: np.concatenate([result[name].numpy() for result in self.results]) for name in names}
        cells = [dict(cell) for cell in self.cells]
        save_arrays(path, arrays, {"cells": cells, **provenance})

    @classmethod
    def load(cls, path: Path) -> "Study":
        """Read what `save` wrote."""
        arrays, card = load_arrays(path)
        ends = np.cumsum([cell["count"] for cell in card["cells"]])
        results = [
            {name: torch.from_numpy(values[end - cell["count"] : end]) for name, values in arrays.items()}
            for cell, end in zip(card["cells"], ends, strict=True)
        ]
        return cls(card["cells"], results)
