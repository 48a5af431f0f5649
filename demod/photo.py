"""Any picture as an observation: read it, cut it to 64 × 64 pixels, recover, and write what was found into one folder.

A result is doubted for three reasons, each with a bound that held-out images of the kind that was trained on keep: the
residual, the ink, the black level. If w0 and x0 have images in the ranges of the generators at mean-squared distances e₁ and
e₂, all pixels lying in [0, 1], then their product is within

    ‖w ⊙ x - w0 ⊙ x0‖² / 4096 ≤ (√e₁ + √e₂)²

of y. The cards of the generators state the largest distances among held-out images: that is the bound on the residual. But a
digit that is small or lies under little light leaves a small residual even where it is recovered wrong. So the ink of the
picture under the recovered light, 1 - y/x, is compared with that of the signal, 1 - w. And ink is dark: where no pixel is,
black is not 0, or there is no ink.

Beyond a bound the picture is out of the range of the priors, or the descent found a poor minimum. Within the bounds nothing
is proved: many pairs explain one product.
"""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor

from demod.arguments import check_seed
from demod.artifacts import sha256, versions, write_json
from demod.demodulation import MODULATOR_PRIOR, SIGNAL_PRIOR, GaussNewtonSetting, Recovery, Setting, recover
from demod.pixels import (
    Picture,
    PictureError,
    grey,
    is_deep_png,
    notes_on_colour,
    read_pillow,
    read_png,
    read_tiff,
    tiff_header,
)
from demod.priors.weights import load_card
from demod.tiles import brighten, cut, join, shrink

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
MOST_PIXELS = 80_000_000
TILES_AT_ONCE = 16
LONGEST_NAME = 255  # bytes, of a file on common systems
PANEL, GUTTER, CAPTION = 256, 12, 28  # pixels of the figure
WARNING = "out of range of the priors"
LEAST_AGREEMENT = 0.975  # the least of 192 products of test digits and distortions is 0.986
LARGEST_DARKNESS = 0.05  # of 10,000 such products, 999 in 1,000 are below 0.046


# --- reading ------------------------------------------------------------------------------------------------------------


def read_picture(path: Path) -> Picture:
    """Return the picture of a PNG, JPEG, TIFF, GIF, BMP or WebP file in grey, at the depth that the file holds.

    Raises
    ------
    PictureError
        If the file is none of these, damaged, animated, too large, or has pixels that are not numbers in its range.
    """
    name = spelled(path)
    _check_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused below, and of odd metadata, which are not used
        try:
            return _read(path, name)
        except UnidentifiedImageError as error:
            raise PictureError(f"{name} is no picture of a known kind; save it as PNG, JPEG or TIFF.") from error
        except Image.DecompressionBombError as error:
            raise PictureError(f"{name} has too many pixels ({error}); shrink it or cut out a part.") from error
        except PermissionError as error:
            raise PictureError(f"{name} may not be read; change its permissions.") from error
        except PictureError:
            raise
        except Exception as error:  # decoders raise whatever it is that damaged bytes lead them to
            said = shorten(f"{type(error).__name__}: {error}", 100, placeholder=" …")
            raise PictureError(f"{name} is cut off or damaged ({said}); save the picture again.") from error


def spelled(path: Path) -> str:
    """Return a path as text that can be written anywhere: a byte of it that is no character is spelled in hexadecimals."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _check_file(path: Path) -> None:
    name = spelled(path)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise PictureError(f"{name} does not exist; check the name.") from error
    except (OSError, ValueError) as error:  # too long, a loop of links, a folder that may not be searched
        raise PictureError(f"{shorten(name, 200)} cannot be opened ({_reason(error)}); check the name.") from error
    if S_ISDIR(status.st_mode):
        raise PictureError(f"{name} is a folder; name one picture in it.")
    if not S_ISREG(status.st_mode):
        raise PictureError(f"{name} is no file but a device or a pipe; save the picture to a file.")
    if not status.st_size:
        raise PictureError(f"{name} is empty; save the picture again.")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _read(path: Path, name: str) -> Picture:
    if header := tiff_header(path):
        _check_header(name, *header)
        return grey(read_tiff(path))
    with (
        path.open("rb") as file,
        Image.open(file, formats=FORMATS) as image,
    ):  # of a path, Pillow maps TIFFs, and turns them wrong
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a telephone's JPEG with a preview
        _check_header(name, image.width, image.height, frames)
        notes = notes_on_colour(image)
        picture = grey(read_png(path, image)) if is_deep_png(path) else read_pillow(image)
        return Picture(picture.pixels, (*picture.notes, *notes))


def _check_header(name: str, width: int, height: int, frames: int) -> None:
    """Refuse, before any pixel is decoded, what is too large or has several frames."""
    if width * height > MOST_PIXELS:
        raise PictureError(
            f"{name} has {width} × {height} pixels, but {MOST_PIXELS:,} are the most; shrink it or cut out a part."
        )
    if frames > 1:
        raise PictureError(f"{name} has {frames} frames or pages; save one of them as a picture of its own.")


# --- recovering ---------------------------------------------------------------------------------------------------------


def largest_expected_residual() -> float:
    """Return the module's bound, with the largest distances of held-out images on the cards of the shipped generators."""
    distances = [load_card(name)["representation_error"]["worst"] for name in (SIGNAL_PRIOR, MODULATOR_PRIOR)]
    return float(np.sqrt(distances).sum() ** 2)


def ink_agreement(signal: Tensor, modulator: Tensor, y: Tensor) -> Tensor:
    """Return how alike the ink of the picture and of the signal are, images (*B, 64, 64) to (*B,): 1 for the same ink.

    Under the recovered light x the ink of the picture is 1 - y/x, and that of the signal w is 1 - w. The agreement is the
    cosine between the two, every pixel weighted by its light; on paper without ink it is near 0.
    """
    seen = (modulator - y).clamp(min=0)  # light times ink
    drawn = modulator * (1 - signal).clamp(min=0)
    light = modulator.clamp(min=torch.finfo(modulator.dtype).eps)
    products = [(a * b / light).sum((-2, -1)) for a, b in ((seen, drawn), (seen, seen), (drawn, drawn))]
    scale = (products[1] * products[2]).sqrt()
    return products[0] / scale.clamp(min=torch.finfo(scale.dtype).tiny)


def darkness(y: Tensor) -> Tensor:
    """Return the darkest pixel over the brightest, images (*B, 64, 64) to (*B,)."""
    return y.amin((-2, -1)) / y.amax((-2, -1))


def doubts(signal: Tensor, modulator: Tensor, y: Tensor, residual: Tensor) -> list[str]:
    """Return why a recovery of tiles is not to be trusted and what to do, a sentence each.

    signal, modulator and y are images (rows, columns, 64, 64), residual is relative to the squared peak, (rows, columns).
    """
    found, bound = [], largest_expected_residual()
    agreement = ink_agreement(signal, modulator, y)
    dark = darkness(y)
    if (wrong := agreement < LEAST_AGREEMENT).any():
        found.append(
            f"{_where(wrong)}the ink of picture and signal agree to {agreement.min():.2f}, but digits like the training "
            f"images leave {LEAST_AGREEMENT:.2f}: cut the picture so that one digit fills its middle, or try more --starts"
        )
    if (wrong := residual > bound).any():
        what = "" if (agreement[wrong] < LEAST_AGREEMENT).any() else "the ink agrees, but the light is none that is known: "
        found.append(
            f"{_where(wrong)}{what}the residual is {residual.max():.1e} of the squared peak, where such images leave at "
            f"most {bound:.1e}: take the picture under one soft spot of light"
        )
    if (wrong := dark > LARGEST_DARKNESS).any():
        found.append(
            f"{_where(wrong)}the darkest pixel has {dark.max():.0%} of the brightest, but ink leaves at most "
            f"{LARGEST_DARKNESS:.0%}: subtract the black level, or choose a part with ink"
        )
    return found


def _where(wrong: Tensor) -> str:
    return "" if wrong.numel() == 1 else f"in {int(wrong.sum())} of {wrong.numel()} tiles "


@dataclass(frozen=True)
class Tiles:
    """What was found.

    signal, modulator, y : (rows, columns, 64, 64)
    mean_squared_residual, relative_residual : as `recover` returns them, (rows, columns)
    seconds : of the descents
    """

    signal: Tensor
    modulator: Tensor
    y: Tensor
    mean_squared_residual: Tensor
    relative_residual: Tensor
    seconds: float


def recover_picture(
    path: Path,
    output: Path,
    *,
    setting: Setting | GaussNewtonSetting,
    tiles: bool = False,
    device: str = "cpu",
    seed: int = 2019,
    track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> dict:
    """Recover signal and modulator from a picture and write them into a new folder, complete or not at all.

    Parameters
    ----------
    path : Path
        The picture.
    output : Path
        The folder for signal.png, modulator.png, figure.png and recovery.json; it must not exist, or be empty.
    setting : Setting or GaussNewtonSetting
        Of `recover`.
    tiles : bool
        Cut into tiles of 64 × 64 pixels, each recovered by itself, instead of resizing.
    device : str
        As torch names it.
    seed : int
        Of the starting codes, in [0, 2⁶³).
    track : callable
        Yields the batches of tiles that it is given, and may show how far it is.

    Returns
    -------
    dict
        The content of recovery.json.

    Raises
    ------
    PictureError
        If the picture or the output folder cannot be used; the folder is looked at before the work.
    FloatingPointError
        If the descent diverged.
    """
    check_seed(seed)
    check_output(output)
    picture = read_picture(path)
    picture = brighten(picture if tiles else shrink(picture))
    y = cut(picture.pixels)
    parts = y.flatten(0, 1).split(TILES_AT_ONCE)
    found = _joined([recover(part.to(device), setting=setting, seed=seed) for part in track(parts)], y)
    height, width = picture.pixels.shape
    told = {"name": spelled(Path(path.name)), "sha256": sha256(path), "width": width, "height": height}
    report = {
        "picture": told | {"notes": list(picture.notes)},
        **_measures(found),
        "tiles": found.mean_squared_residual.tolist() if tiles else None,
        "setting": asdict(setting) | {"seed": seed, "device": device},
        "weights": {name: load_card(name)["sha256"] for name in (SIGNAL_PRIOR, MODULATOR_PRIOR)},
        "seconds": found.seconds,
        "versions": versions(),
    }
    signal, modulator = join(found.signal, height, width), join(found.modulator, height, width)
    panels = {"picture": picture.pixels, "signal": signal, "modulator": modulator, "product": signal * modulator}
    _write(output, report, panels)
    return report


def _joined(runs: Sequence[Recovery], y: Tensor) -> Tiles:
    """Return the results of all batches of tiles, on the CPU."""
    residuals, relative = (
        torch.cat([getattr(run, name) for run in runs]).cpu().reshape(y.shape[:2])
        for name in ("mean_squared_residual", "relative_residual")
    )
    if not residuals.isfinite().all():
        raise FloatingPointError("the descent diverged; try another --seed.")
    return Tiles(
        torch.cat([run.signal for run in runs]).cpu().reshape(y.shape),
        torch.cat([run.modulator for run in runs]).cpu().reshape(y.shape),
        y,
        residuals,
        relative,
        sum(run.seconds for run in runs),
    )


def _measures(found: Tiles) -> dict[str, Any]:
    """Return what was measured, the worst tile's where there are several, and why it is to be doubted."""
    images = found.signal, found.modulator, found.y
    reasons = doubts(*images, found.relative_residual)
    return {
        "mean_squared_residual": found.mean_squared_residual.mean().item(),
        "relative_residual": found.relative_residual.max().item(),
        "largest_expected_residual": largest_expected_residual(),
        "ink_agreement": ink_agreement(*images).min().item(),
        "warning": WARNING if reasons else None,
        "doubts": reasons,
    }


# --- writing ------------------------------------------------------------------------------------------------------------


def default_output(path: Path) -> Path:
    """Return the folder for the results of a picture, beside nothing but the current folder: NAME-recovered."""
    stem, ending = path.stem, "-recovered"
    while len(os.fsencode(stem + ending)) > LONGEST_NAME:
        stem = stem[:-1]
    return Path(stem + ending)


def check_output(output: Path) -> None:
    """Refuse a folder for results that is there already or cannot be made.

    Raises
    ------
    PictureError
        If it exists and is not empty, is a file, has no name, or lies where nothing can be written.
    """
    name, remedy = spelled(output), "name another folder with --output."
    if not output.name.strip() or output.name == "..":
        raise PictureError(f"{name!r} names no new folder; {remedy}")
    try:
        existing = next(place for place in (output, *output.absolute().parents) if _is_there(place))
        if existing == output and (output.is_symlink() or not output.is_dir()):
            raise PictureError(f"{name} exists already and is no folder; {remedy}")
        if existing == output and any(output.iterdir()):
            raise PictureError(f"{name} exists already; remove it, or {remedy}")
        if not existing.is_dir():
            raise PictureError(f"{name} cannot be made, because {spelled(existing)} is no folder; {remedy}")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise PictureError(f"{name} cannot be made, because {spelled(existing)} may not be written; {remedy}")
    except OSError as error:  # too long a name, a folder that may not be searched
        raise PictureError(f"{shorten(name, 200)} cannot be made ({_reason(error)}); {remedy}") from error


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _write(output: Path, report: dict, panels: dict[str, np.ndarray]) -> None:
    """Fill a folder beside the output and rename it when it is complete."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".recovered-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "complete"
        folder.mkdir()
        for factor in ("signal", "modulator"):
            _grey_image(panels[factor]).save(folder / f"{factor}.png")
        side_by_side(panels).save(folder / "figure.png")
        write_json(folder / "recovery.json", report)
        folder.replace(output)


def _grey_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.round(255 * pixels.clip(0, 1)).astype(np.uint8))


def side_by_side(panels: dict[str, np.ndarray]) -> Image.Image:
    """Return pictures of one size (height, width) in a row on white, each over its name."""
    height, width = next(iter(panels.values())).shape
    scale = max(PANEL / max(height, width), 1)
    size = (round(width * scale), round(height * scale))
    step = size[0] + GUTTER
    figure = Image.new("L", (len(panels) * step + GUTTER, size[1] + 2 * GUTTER + CAPTION), 255)
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(size=18)
    for k, (label, pixels) in enumerate(panels.items()):
        left = GUTTER + k * step
        figure.paste(_grey_image(pixels).resize(size, Image.Resampling.NEAREST), (left, GUTTER))
        draw.text((left + size[0] / 2, size[1] + 2 * GUTTER), label, fill=0, font=font, anchor="mt")
    return figure
