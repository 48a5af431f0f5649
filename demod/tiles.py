"""A picture as what the networks take: 64 × 64 pixels, as a whole or in tiles."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from demod.data import SIDE
from demod.pixels import Picture, PictureError

LEAST_SIDE = 28  # of MNIST: less shows no digit
MOST_TILES = 256
DIM = 0.5  # a brightest pixel below this


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
        rows, columns = _grid(height, width)
        advice = ", or use --tiles" if min(height, width) >= SIDE and rows * columns <= MOST_TILES else ""
        raise PictureError(f"the picture has {width} × {height} pixels; cut out a square{advice}.")
    if height == SIDE:
        return picture
    method = Image.Resampling.BOX if height > SIDE else Image.Resampling.BILINEAR
    resized = np.asarray(Image.fromarray(picture.pixels).resize((SIDE, SIDE), method)).clip(0, 1)
    return Picture(resized, (*picture.notes, f"resized from {width} × {height} to {SIDE} × {SIDE} pixels"))


def _grid(height: int, width: int) -> tuple[int, int]:
    """Return the rows and the columns of tiles that cover a picture."""
    return -(-height // SIDE), -(-width // SIDE)


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
            f"the picture has {width} × {height} pixels, less than a tile of {SIDE} × {SIDE}; take a larger one, or cut out "
            "a square and leave out --tiles."
        )
    rows, columns = _grid(height, width)
    if rows * columns > MOST_TILES:
        advice = ", or leave out --tiles" if height == width else ""
        raise PictureError(
            f"the picture makes {rows * columns} tiles, but {MOST_TILES} are the most; shrink it or cut out a part{advice}."
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


def brighten(picture: Picture) -> Picture:
    """Return a picture whose brightest pixel is below one half with that pixel white; the scale of a product is free."""
    peak = float(picture.pixels.max())
    if not 0 < peak < DIM:
        return picture
    note = f"brightened {1 / peak:.3g} times: its brightest pixel was at {peak:.2g} of white"
    return Picture((picture.pixels / np.float64(peak)).astype(np.float32), (*picture.notes, note))
