"""Grey levels of a picture file as numbers in [0, 1]: 0 is black, 1 is white, at the depth that the file holds.

A stored value v between the file's black level b and white level a stands for (v - b)/(a - b), or for (a - v)/(a - b) where
the smallest value is white. Colour becomes grey by luma (ITU-R 601), 0.299 R + 0.587 G + 0.114 B, and a pixel of opacity o
is laid on white, o·c + 1 - o. Gamma and colour profiles are not undone: levels are meant as on a screen.

Pillow reads what has up to 8 bits a channel. It would cut deeper colour to 8 bits, forget which end of deep grey is white,
and knows no float64; so tifffile and imagecodecs, which return what is stored, read everything deeper.
"""

import struct
from dataclasses import dataclass
from logging import NullHandler, getLogger
from pathlib import Path

import numpy as np
from PIL import Image
from tifffile import TiffFile, TiffFileError, TiffPage

ORIENTATION = 0x0112
UPRIGHT = {  # what undoes each EXIF orientation
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
GREY_IS_WHITE_FIRST, GREY, COLOUR = 0, 1, 2  # TIFF's photometric interpretations that are read at any depth
PREMULTIPLIED, STRAIGHT = 1, 2  # TIFF's extra samples that are opacities
SCREEN_GAMMA = 1 / 2.2
TURNED = "turned upright as its EXIF data say"
ON_WHITE = "transparent parts laid on white"

getLogger("tifffile").addHandler(NullHandler())  # what it logs of damaged files is an error here


class PictureError(ValueError):
    """The picture, or the place for the results, is not one that the command can use; the message says what to do."""


@dataclass(frozen=True)
class Picture:
    """A grey picture.

    pixels : (height, width), float32 in [0, 1]
    notes : what was done to it, a sentence each
    """

    pixels: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """What a file holds.

    values : (height, width, channels), integers or floats; 1 or 3 channels and, with an opacity, one more
    black, white : the values that stand for 0 and 1; black is the larger one where the smallest value is white
    opacity : None, or whether the last channel is an opacity by which the others are "premultiplied" or not ("straight")
    full : the value of full opacity
    orientation : as in EXIF
    notes : sentences
    """

    values: np.ndarray
    black: float
    white: float
    opacity: str | None
    full: float
    orientation: int
    notes: tuple[str, ...]


def grey(stored: Stored) -> Picture:
    """Return the stored picture in grey and upright.

    Raises
    ------
    PictureError
        If a value is not finite, or outside of the levels.
    """
    values, notes = stored.values, list(stored.notes)
    levels = sorted((stored.black, stored.white))
    colour = values[..., : 1 if values.shape[-1] < 3 else 3]
    if not np.isfinite(values).all():
        raise PictureError("the picture has pixels that are NaN or infinite; replace them with numbers.")
    if colour.min() < levels[0] or colour.max() > levels[1]:
        raise PictureError(
            f"the picture has pixels from {colour.min():.6g} to {colour.max():.6g}, but in such files {stored.white:.6g} is "
            f"white and {stored.black:.6g} black; scale them to [{levels[0]:.6g}, {levels[1]:.6g}]."
        )
    if (colour != colour[..., :1]).any():
        notes.append("colour turned to grey by luma (ITU-R 601)")
        red, green, blue = (colour[..., k].astype(np.float64) for k in range(3))
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
    else:
        luma = colour[..., 0].astype(np.float64)
    level = (luma - stored.black) / (stored.white - stored.black)
    if stored.opacity is not None:
        opacity = values[..., -1] / stored.full
        notes.append(ON_WHITE)
        level = (level if stored.opacity == "premultiplied" else opacity * level) + 1 - opacity
    return upright(Picture(level.clip(0, 1).astype(np.float32), tuple(notes)), stored.orientation)


def upright(picture: Picture, orientation: int) -> Picture:
    """Return the picture as its EXIF orientation, 1 to 8, says that it is to be seen."""
    if orientation not in UPRIGHT:
        return picture
    return Picture(np.ascontiguousarray(UPRIGHT[orientation](picture.pixels)), (TURNED, *picture.notes))


# --- TIFF ---------------------------------------------------------------------------------------------------------------


def is_tiff(path: Path) -> bool:
    """Return whether a file begins as a TIFF or BigTIFF of either byte order does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_header(path: Path) -> tuple[int, int, int] | None:
    """Return width, height and number of pages of a TIFF that Pillow would not read in full, None for any other file."""
    if not is_tiff(path):
        return None
    try:
        with TiffFile(path) as file:
            page = file.pages.first
            return None if _fits_pillow(page) else (page.imagewidth, page.imagelength, len(file.pages))
    except TiffFileError:
        return None  # Pillow says what is wrong with it


def read_tiff(path: Path) -> Stored:
    """Return what a TIFF of one page holds, of any depth.

    Raises
    ------
    PictureError
        If it is neither grey nor RGB, is cut off, or holds complex numbers.
    """
    with TiffFile(path) as file:
        page = file.pages.first
        if page.photometric not in (GREY_IS_WHITE_FIRST, GREY, COLOUR):
            kind = getattr(page.photometric, "name", page.photometric)
            raise PictureError(f"the picture holds {kind} pixels of {page.bitspersample} bits; save it as grey or RGB.")
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not all(page.databytecounts) or max(ends) > path.stat().st_size:
            raise PictureError("the picture is cut off or damaged; save the picture again.")
        values = page.asarray()
        channels = 3 if page.photometric == COLOUR else 1
        values = np.moveaxis(values, 0, -1) if page.planarconfig == 2 and page.samplesperpixel > 1 else values
        values = values.reshape(*values.shape[:2], -1)
        if values.dtype.kind not in "uif" or values.ndim != 3 or values.shape[-1] < channels:
            raise PictureError(f"the picture holds {values.dtype} pixels of shape {values.shape}; save it as grey or RGB.")
        black, white, notes = _tiff_levels(page, values[..., :channels])
        extra = int(page.extrasamples[0]) if page.extrasamples else None
        opacity = {PREMULTIPLIED: "premultiplied", STRAIGHT: "straight"}.get(extra or 0)
        if values.shape[-1] > channels and opacity is None:
            notes.append("a channel of no stated meaning left out")
        if page.photometric == GREY_IS_WHITE_FIRST:
            black, white = white, black
        tag = page.tags.get(ORIENTATION)
        kept = values[..., : channels + (opacity is not None)]
        full = 1 if values.dtype.kind == "f" else 2**page.bitspersample - 1
        return Stored(kept, black, white, opacity, full, 1 if tag is None else int(tag.value), tuple(notes))


def _fits_pillow(page: TiffPage) -> bool:
    """Return whether a page has 8 bits a channel at most, all of them between levels that need not be looked up."""
    plain = page.bitspersample <= 8 and page.sampleformat == 1
    return plain and not (page.photometric in (GREY_IS_WHITE_FIRST, GREY, COLOUR) and _stated(page, "SMaxSampleValue"))


def _stated(page: TiffPage, name: str) -> float | None:
    """Return the value of a tag where it is there and the same for all channels."""
    tag = page.tags.get(name)
    found = set(np.ravel(tag.value).tolist()) if tag is not None else set()
    return found.pop() if len(found) == 1 else None


def _tiff_levels(page: TiffPage, values: np.ndarray) -> tuple[float, float, list[str]]:
    """Return the black and the white level, and a note where they are not the ends of the type of the pixels.

    SMinSampleValue and SMaxSampleValue state them. MaxSampleValue is kept for statistics, and is a white level only where
    it ends a depth, as 4095 does 12 bits. Integers of 32 bits that all fit into 16 are taken for those.
    """
    bits, least, most = page.bitspersample, values.min(), values.max()
    depth = {"u": 2.0**bits - 1, "i": 2.0 ** (bits - 1) - 1, "f": 1.0}[values.dtype.kind]
    low, high = _stated(page, "SMinSampleValue"), _stated(page, "SMaxSampleValue")
    if high is None and (ends := _stated(page, "MaxSampleValue")) and np.log2(ends + 1) % 1 == 0:
        high = ends
    black, white = 0.0 if low is None else float(low), depth if high is None else float(high)
    if (black, white) != (0.0, depth) and black <= least and most <= white and black < white:
        return black, white, [f"{black:.6g} is black and {white:.6g} white, as its tags say"]
    if bits == 32 and values.dtype.kind in "ui" and least >= 0 and most <= 65535:
        return 0.0, 65535.0, ["65535 taken for white: no pixel of its 32-bit integers is larger"]
    return 0.0, depth, []


# --- PNG ----------------------------------------------------------------------------------------------------------------


def is_deep_png(path: Path) -> bool:
    """Return whether a file is a PNG of 16 bits a channel, or of fewer that are significant than are stored."""
    with path.open("rb") as file:
        head = file.read(26)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 26 or head[25] not in (0, 2, 4, 6):
        return False
    return head[24] == 16 or (head[24] == 8 and _significant_bits(path, 8) < 8)


def read_png(path: Path, image: Image.Image) -> Stored:
    """Return what a PNG of 8 or 16 bits a channel holds, which Pillow opened, its transparent colour as an opacity."""
    from imagecodecs import png_decode

    values = png_decode(path.read_bytes())
    values = values.reshape(*values.shape[:2], -1)
    opaque = values.shape[-1] in (1, 3)
    white, notes = _png_white(path, values if opaque else values[..., :-1])
    full = float(np.iinfo(values.dtype).max)
    return Stored(values, 0.0, white, None if opaque else "straight", full, image.getexif().get(ORIENTATION, 1), notes)


def _png_white(path: Path, values: np.ndarray) -> tuple[float, tuple[str, ...]]:
    """Return the white level: the whole depth, as the format asks, unless a writer stored significant bits unscaled.

    Of k significant bits, the format wants them spread over the depth: shifted up, or with their high bits repeated below.
    """
    depth = np.iinfo(values.dtype).bits
    significant = _significant_bits(path, depth)
    shift, top = depth - significant, values >> (depth - significant)
    repeated = top << shift | (top >> (2 * significant - depth) if 2 * significant >= depth else 0)
    spread = (top << shift == values).all() or (repeated == values).all()
    if not shift or spread or values.max() >= 1 << significant:
        return float(2**depth - 1), ()
    return float(2**significant - 1), (f"{2**significant - 1} taken for white: {significant} bits are significant",)


def _significant_bits(path: Path, depth: int) -> int:
    """Return the largest number in the chunk sBIT, which states the significant bits of each channel, or the depth."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"sBIT":
                return min(max(file.read(min(length, 4)), default=depth) or depth, depth)
            if kind == b"IDAT":
                break
            file.seek(length + 4, 1)
    return depth


# --- what Pillow reads --------------------------------------------------------------------------------------------------


def read_pillow(image: Image.Image) -> Picture:
    """Return a picture of up to 8 bits a channel, opened but not decoded, in grey and upright."""
    orientation = image.getexif().get(ORIENTATION, 1)
    image.load()
    turned_by_pillow = image.format == "TIFF"
    notes = [TURNED] if turned_by_pillow and orientation in UPRIGHT else []
    opaque = image
    if image.has_transparency_data:
        notes.append(ON_WHITE)
        layers = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    if opaque.mode not in ("1", "L", "LA"):
        opaque = opaque.convert("RGB")
        channels = np.asarray(opaque)
        if (channels != channels[..., :1]).any():
            notes.append(f"colour ({image.mode}) turned to grey by luma (ITU-R 601)")
    picture = Picture(np.asarray(opaque.convert("L"), np.float32) / 255, tuple(notes))
    return picture if turned_by_pillow else upright(picture, orientation)


def notes_on_colour(image: Image.Image) -> tuple[str, ...]:
    """Return what a file says of its levels that is not undone: a gamma, a profile, an unmarked CMYK."""
    notes = []
    if abs(image.info.get("gamma", SCREEN_GAMMA) - SCREEN_GAMMA) > 0.01:
        notes.append(f"its gamma of {image.info['gamma']:.3g} is not undone: grey levels are taken as stored")
    if image.info.get("icc_profile"):
        notes.append("its colour profile is not applied: grey levels are taken as stored")
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        notes.append("CMYK without Adobe's mark read as Adobe writes it: 255 is no ink")
    return tuple(notes)
