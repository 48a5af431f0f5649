"""Any picture as an observation: read it, cut it to 64 × 64 pixels, recover, and write what was found into one folder.

A result is suspect when its residual is larger than images like the training images leave. If w0 and x0 have images in the
ranges of the generators at mean-squared distances e₁ and e₂, all pixels lying in [0, 1], then their product is within

    ‖w ⊙ x - w0 ⊙ x0‖² / 4096 ≤ (√e₁ + √e₂)²

of y. The cards of the generators state the largest distances among held-out images; beyond the bound made of these the
picture is out of the range of the priors, or the descent found a poor minimum. A small residual proves nothing: many
pairs explain one product.
"""

import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from textwrap import shorten

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor

from demod.artifacts import sha256, versions, write_json
from demod.data import SIDE
from demod.demodulation import MODULATOR_PRIOR, SIGNAL_PRIOR, Setting, recover
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

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
LEAST_SIDE = 28  # of MNIST: less shows no digit
MOST_PIXELS = 80_000_000
MOST_TILES = 256
TILES_AT_ONCE = 16
PANEL, GUTTER, CAPTION = 256, 12, 28  # pixels of the figure
WARNING = "out of range of the priors"


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


# --- cutting ------------------------------------------------------------------------------------------------------------


def shrink(picture: Picture) -> Picture:
    """Return the whole picture on 64 × 64 pixels: mean of areas where it is larger, bilinear where it is smaller.

    Raises
    ------
    PictureError
        If it is not square, or its sides have less than 28 pixels.
    """
    height, width = picture.pixels.shape
    if min(height, width) < LEAST_SIDE:
        raise PictureError(
            f"the picture has {width} × {height} pixels, but {LEAST_SIDE} × {LEAST_SIDE} are the least; take a larger one."
        )
    if height != width:
        raise PictureError(f"the picture has {width} × {height} pixels; cut out a square, or use --tiles.")
    if height == SIDE:
        return picture
    method = Image.Resampling.BOX if height > SIDE else Image.Resampling.BILINEAR
    resized = np.asarray(Image.fromarray(picture.pixels).resize((SIDE, SIDE), method)).clip(0, 1)
    return Picture(resized, (*picture.notes, f"resized from {width} × {height} to {SIDE} × {SIDE} pixels"))


def cut(pixels: np.ndarray) -> Tensor:
    """Return the tiles (rows, columns, 64, 64) of pixels (height, width), mirrored beyond the right and the lower edge.

    Raises
    ------
    PictureError
        If the picture is smaller than a tile, has more than 256 tiles, or a tile of it is black.
    """
    height, width = pixels.shape
    if min(height, width) < SIDE:
        raise PictureError(
            f"the picture has {width} × {height} pixels, less than a tile of {SIDE} × {SIDE}; leave out --tiles."
        )
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    if rows * columns > MOST_TILES:
        raise PictureError(
            f"the picture makes {rows * columns} tiles, but {MOST_TILES} are the most; shrink it, cut out a part, "
            "or leave out --tiles."
        )
    padded = np.pad(pixels, ((0, rows * SIDE - height), (0, columns * SIDE - width)), mode="symmetric")
    tiles = torch.from_numpy(padded.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2).copy())
    if not tiles.flatten(-2).any(-1).all():
        what = "the picture is black" if rows * columns == 1 else "a tile of the picture is black"
        raise PictureError(f"{what}, and a product of zero shows nothing; take a brighter picture or part.")
    return tiles


def join(tiles: Tensor, height: int, width: int) -> np.ndarray:
    """Return the picture (height, width) whose tiles were cut by `cut`."""
    rows, columns = tiles.shape[:2]
    whole = tiles.cpu().numpy().swapaxes(1, 2).reshape(rows * SIDE, columns * SIDE)
    return whole[:height, :width]


# --- recovering ---------------------------------------------------------------------------------------------------------


def largest_expected_residual() -> float:
    """Return the module's bound, with the largest distances of held-out images on the cards of the shipped generators."""
    distances = [load_card(name)["representation_error"]["worst"] for name in (SIGNAL_PRIOR, MODULATOR_PRIOR)]
    return float(np.sqrt(distances).sum() ** 2)


def recover_picture(
    path: Path, output: Path, *, setting: Setting, tiles: bool = False, device: str = "cpu", seed: int = 2019
) -> dict:
    """Recover signal and modulator from a picture and write them into a new folder, complete or not at all.

    Parameters
    ----------
    path : Path
        The picture.
    output : Path
        The folder for signal.png, modulator.png, figure.png and recovery.json; it must not exist, or be empty.
    setting : Setting
        Of `recover`.
    tiles : bool
        Cut into tiles of 64 × 64 pixels, each recovered by itself, instead of resizing.
    device : str
        As torch names it.
    seed : int
        Of the starting codes.

    Returns
    -------
    dict
        The content of recovery.json.

    Raises
    ------
    PictureError
        If the picture or the output folder cannot be used.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise PictureError(f"{output} exists already; remove it, or name another folder with --output.")
    picture = read_picture(path)
    if not tiles:
        picture = shrink(picture)
    height, width = picture.pixels.shape
    y = cut(picture.pixels)
    runs = [recover(part.to(device), setting=setting, seed=seed) for part in y.flatten(0, 1).split(TILES_AT_ONCE)]
    signal, modulator = (join(torch.cat(parts).reshape(y.shape), height, width) for parts in _images(runs))
    residuals = torch.cat([run.mean_squared_residual for run in runs]).reshape(y.shape[:2])
    if not residuals.isfinite().all():
        raise FloatingPointError("the descent diverged; try another --seed.")
    report = {
        "picture": {
            "name": path.name,
            "sha256": sha256(path),
            "width": width,
            "height": height,
            "notes": list(picture.notes),
        },
        "mean_squared_residual": residuals.mean().item(),
        "largest_expected_residual": (bound := largest_expected_residual()),
        "warning": WARNING if residuals.max() > bound else None,
        "tiles": residuals.tolist() if tiles else None,
        "setting": asdict(setting) | {"seed": seed, "device": device},
        "weights": {name: load_card(name)["sha256"] for name in (SIGNAL_PRIOR, MODULATOR_PRIOR)},
        "seconds": sum(run.seconds for run in runs),
        "versions": versions(),
    }
    panels = {"picture": picture.pixels, "signal": signal, "modulator": modulator, "product": signal * modulator}
    _write(output, report, panels)
    return report


def _images(runs: list) -> tuple[list[Tensor], list[Tensor]]:
    return [run.signal for run in runs], [run.modulator for run in runs]


# --- writing ------------------------------------------------------------------------------------------------------------


def _write(output: Path, report: dict, panels: dict[str, np.ndarray]) -> None:
    """Fill a folder beside the output and rename it when it is complete."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / output.name
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
