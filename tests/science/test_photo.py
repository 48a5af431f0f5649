"""Pictures of any kind: each a result or one line that says what to do, and nothing half-written."""

import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageDraw, ImageFont
from typer.testing import CliRunner

from demod import photo
from demod.demodulation import BEST_SETTING, FIRST_ORDER_SETTING, drawn_problems, recover, score
from demod.photo import (
    Picture,
    PictureError,
    cut,
    doubts,
    ink_agreement,
    join,
    largest_expected_residual,
    read_picture,
    recover_picture,
    shrink,
)
from demod.priors.weights import load_card
from demod.tiles import brighten
from demod_book.cli import app

FEW = replace(BEST_SETTING, iterations=2, starts=1)
WRITTEN = {"signal.png", "modulator.png", "figure.png", "recovery.json"}


def demod(*arguments):
    return CliRunner().invoke(
        app, ["recover", "--iterations", "1", "--starts", "1", "--device", "cpu", *map(str, arguments)]
    )


def ramp(height, width):
    """Grey levels from 40 to 239, uint8 (height, width)."""
    return np.linspace(40, 239, height * width).round().astype(np.uint8).reshape(height, width)


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


# The ten odd files


def empty(folder):
    (folder / "a.png").touch()
    return folder / "a.png"


def truncated(folder):
    whole = save(folder / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    whole.write_bytes(whole.read_bytes()[:2000])
    return whole


def animated(folder):
    frames = [Image.fromarray(ramp(64, 64) // k) for k in (1, 2, 3)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    return folder / "a.gif"


def not_a_number(folder):
    pixels = ramp(64, 64).astype(np.float32) / 255
    pixels[3, 4] = np.nan
    return save(folder / "a.tif", pixels)


def renamed_text(folder):
    (folder / "a.png").write_text("This is no picture.\n" * 100)
    return folder / "a.png"


REFUSED = {
    "empty": (empty, "is empty; save the picture again"),
    "truncated": (truncated, "is cut off or damaged"),
    "animated GIF": (animated, "has 3 frames or pages; save one of them"),
    "1 x 1": (lambda folder: save(folder / "a.png", ramp(1, 1)), "has 1 × 1 pixels, but 28 × 28 are the least"),
    "NaN TIFF": (not_a_number, "NaN or infinite; replace them"),
    "renamed text": (renamed_text, "save it as PNG, JPEG or TIFF"),
    "folder": (lambda folder: folder, "is a folder; name one picture in it"),
    "missing": (lambda folder: folder / "a.png", "does not exist; check the name"),
    "black": (lambda folder: save(folder / "a.png", 0 * ramp(64, 64)), "is black"),
    "not square": (lambda folder: save(folder / "a.png", ramp(64, 65)), "cut out a square, or use --tiles"),
    "out of range": (lambda folder: save(folder / "a.tif", np.full((64, 64), 7.0, np.float32)), r"scale them to [0, 1]"),
}
ACCEPTED = {
    "CMYK": (lambda folder: save(folder / "a.jpg", ramp(64, 64), "CMYK"), 64),
    "16-bit": (lambda folder: save(folder / "a.png", ramp(64, 64).astype(np.uint16) * 257), 64),
    "8000 x 8000": (lambda folder: save(folder / "a.png", np.full((8000, 8000), 200, np.uint8), compress_level=1), 8000),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line_with_the_remedy(tmp_path, make, message):
    source = tmp_path / "source"
    source.mkdir()
    path = make(source)
    shown = demod(path, "--output", tmp_path / "found")
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert shown.stderr.startswith("demod: ")
    assert shown.stderr.count("\n") == 1
    assert shown.stdout == ""
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(("make", "side"), ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_pictures_are_read(tmp_path, make, side):
    path = make(tmp_path)
    shown = demod(path, "--output", tmp_path / "found")
    assert shown.exit_code == 0, shown.output
    assert {file.name for file in (tmp_path / "found").iterdir()} == WRITTEN
    report = json.loads((tmp_path / "found/recovery.json").read_text())
    assert any("resized" in note for note in report["picture"]["notes"]) == (side != 64)
    assert (tmp_path / "found").stat().st_mode & 0o777 == 0o755


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", ramp(64, 64))
    monkeypatch.setattr(photo, "MOST_PIXELS", 64 * 63)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="shrink it or cut out a part"):
        read_picture(path)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", ramp(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PictureError, match="shrink it or cut out a part"):
        read_picture(path)


# Reading

DEEP = ramp(30, 40).astype(np.uint16) * 257 + 3  # not what 8 bits hold
DIM = DEEP // 300
COLOURS = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], -1)


def tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, **options)
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(path, pixels, depth, colour, *chunks):
    """Write integers (height, width[, channels]) as a PNG of colour type 0 (grey), 2 (RGB), 4 (grey, opacity) or 6."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*each) for each in chunks) + body)
    return path


def grey3(pixels):
    return np.repeat(pixels[..., None], 3, -1)


def opaque(pixels, full=65535):
    return np.dstack([pixels, np.full(pixels.shape[:2], full, pixels.dtype)])


def bilevel(pixels):
    return np.where(pixels > 32768, 65535, 0).astype(np.uint16)


TWELVE, TEN, EIGHT, BITS = DEEP >> 4, DEEP >> 6, ramp(30, 40), bilevel(DEEP) > 0
SBIT = (b"sBIT", b"\x0c")  # 12 significant bits
# what was stored, as numbers in [0, 1]; the file; half a grey level of its depth
SAME = {
    "8-bit TIFF": (EIGHT / 255, lambda path: tiff(path, EIGHT), 8),
    "8-bit TIFF, min is white": (EIGHT / 255, lambda path: tiff(path, 255 - EIGHT, photometric="miniswhite"), 8),
    "16-bit TIFF": (DEEP / 65535, lambda path: tiff(path, DEEP), 16),
    "16-bit TIFF, min is white": (DEEP / 65535, lambda path: tiff(path, 65535 - DEEP, photometric="miniswhite"), 16),
    "16-bit TIFF, LZW": (DEEP / 65535, lambda path: tiff(path, DEEP, compression="lzw", predictor=True), 16),
    "16-bit TIFF, deflate": (DEEP / 65535, lambda path: tiff(path, DEEP, compression="deflate"), 16),
    "16-bit TIFF, big-endian": (DEEP / 65535, lambda path: tiff(path, DEEP, byteorder=">"), 16),
    "16-bit BigTIFF": (DEEP / 65535, lambda path: tiff(path, DEEP, bigtiff=True), 16),
    "16-bit TIFF in tiles": (DEEP / 65535, lambda path: tiff(path, DEEP, tile=(16, 16)), 16),
    "32-bit TIFF": (DEEP / 65535, lambda path: tiff(path, DEEP * np.uint32(65537)), 16),
    "float16 TIFF": (EIGHT / 255, lambda path: tiff(path, (EIGHT / 255).astype(np.float16)), 11),
    "float32 TIFF": (DEEP / 65535, lambda path: tiff(path, (DEEP / 65535).astype(np.float32)), 20),
    "float64 TIFF": (DEEP / 65535, lambda path: tiff(path, DEEP / 65535), 20),
    "float64 TIFF, min is white": (DEEP / 65535, lambda path: tiff(path, 1 - DEEP / 65535, photometric="miniswhite"), 20),
    "12-bit TIFF": (TWELVE / 4095, lambda path: tiff(path, TWELVE, bitspersample=12), 12),
    "12 bits in 16, SMaxSampleValue": (TWELVE / 4095, lambda path: tiff(path, TWELVE, extratags=[(341, 3, 1, 4095)]), 12),
    "10 bits in 16, MaxSampleValue": (
        DEEP // 64 / 1023,
        lambda path: tiff(path, DEEP // 64, extratags=[(281, 3, 1, 1023)]),
        10,
    ),
    "SMin and SMaxSampleValue": (
        DEEP / 65535,
        lambda path: tiff(path, 100 + 50 * (DEEP / 65535), extratags=[(340, 12, 1, 100.0), (341, 12, 1, 150.0)]),
        20,
    ),
    "1-bit fax, min is white": (
        bilevel(DEEP) / 65535,
        lambda path: save(path, BITS, compression="group4", tiffinfo={262: 0}),
        16,
    ),
    "1-bit fax, min is black": (bilevel(DEEP) / 65535, lambda path: save(path, BITS, compression="group4"), 16),
    "16-bit RGB TIFF": (DIM / 65535, lambda path: tiff(path, grey3(DIM), photometric="rgb"), 16),
    "16-bit RGB TIFF, planes": (
        DIM / 65535,
        lambda path: tiff(path, np.moveaxis(grey3(DIM), -1, 0), photometric="rgb", planarconfig="separate"),
        16,
    ),
    "16-bit RGBA TIFF": (DIM / 65535, lambda path: tiff(path, opaque(grey3(DIM)), photometric="rgb", extrasamples=[2]), 16),
    "16-bit RGBA TIFF, premultiplied": (
        DIM / 65535,
        lambda path: tiff(path, opaque(grey3(DIM)), photometric="rgb", extrasamples=[1]),
        16,
    ),
    "16-bit grey and opacity TIFF": (
        DIM / 65535,
        lambda path: tiff(path, opaque(DIM), photometric="minisblack", extrasamples=[2], planarconfig="contig"),
        16,
    ),
    "8-bit grey and premultiplied opacity TIFF": (
        EIGHT / 255,
        lambda path: tiff(path, opaque(EIGHT, 255), photometric="minisblack", extrasamples=[1], planarconfig="contig"),
        8,
    ),
    "YCbCr JPEG in a TIFF": (
        np.full((32, 32), 120 / 255),
        lambda path: save(path, np.full((32, 32, 3), 120, np.uint8), compression="jpeg"),
        8,
    ),
    "Lab TIFF": (EIGHT / 255, lambda path: lab(path, EIGHT), 6),
    "CMYK TIFF": (EIGHT / 255, lambda path: save(path, EIGHT, "CMYK"), 8),
    "16-bit PNG": (DIM / 65535, lambda path: png(path, DIM, 16, 0), 16),
    "16-bit RGB PNG": (DIM / 65535, lambda path: png(path, grey3(DIM), 16, 2), 16),
    "16-bit grey and opacity PNG": (DIM / 65535, lambda path: png(path, opaque(DIM), 16, 4), 16),
    "16-bit RGBA PNG": (DIM / 65535, lambda path: png(path, opaque(grey3(DIM)), 16, 6), 16),
    "grey and opacity PNG": (EIGHT / 255, lambda path: png(path, opaque(EIGHT, 255), 8, 4), 8),
    "12 bits shifted up, sBIT": (TWELVE * 16 / 65535, lambda path: png(path, TWELVE * 16, 16, 0, SBIT), 16),
    "12 bits repeated, sBIT": (
        TWELVE / 4095,
        lambda path: png(path, TWELVE << 4 | TWELVE >> 8, 16, 0, (b"sBIT", b"\x0c")),
        12,
    ),
    "12 bits not scaled, sBIT": (TWELVE / 4095, lambda path: png(path, TWELVE, 16, 0, SBIT), 12),
    "5 bits not scaled, sBIT": ((EIGHT >> 3) / 31, lambda path: png(path, EIGHT >> 3, 8, 0, (b"sBIT", b"\x05")), 8),
    "palette PNG": (EIGHT / 255, lambda path: save(path, EIGHT, "P"), 8),
    "CMYK JPEG": (np.full((32, 32), 120 / 255), lambda path: save(path, np.full((32, 32), 120, np.uint8), "CMYK"), 7),
}


def lab(path, pixels):
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(pixels).convert("RGB"), transform).save(path)
    return path


@pytest.mark.parametrize("stored", SAME)
def test_the_same_picture_reads_the_same_however_it_is_stored(tmp_path, stored):
    picture, write, bits = SAME[stored]
    kind = "png" if "PNG" in stored or "sBIT" in stored else "jpg" if stored.endswith("JPEG") else "tif"
    read = read_picture(write(tmp_path / f"a.{kind}"))
    np.testing.assert_allclose(read.pixels, picture, rtol=0, atol=0.5 / (2**bits - 1) + 1e-7)


ORIENTED = {  # the EXIF orientation of a picture whose row 0 and column 0 lie as the standard says
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["8-bit PNG", "16-bit PNG", "JPEG", "WebP", "8-bit TIFF", "LZW TIFF", "16-bit TIFF"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_a_picture_is_turned_as_its_exif_data_say(tmp_path, kind, orientation):
    pixels = np.repeat(np.repeat(ramp(4, 5), 8, 0), 8, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind.split()[-1].lower()}"
    if kind == "16-bit TIFF":
        tiff(path, pixels.astype(np.uint16) * 257, extratags=[(0x0112, 3, 1, orientation)])
    else:
        stored = pixels.astype(np.uint16) * 257 if kind == "16-bit PNG" else pixels
        options = {"JPEG": {"quality": 100}, "WebP": {"lossless": True}, "LZW TIFF": {"compression": "tiff_lzw"}}
        save(path, stored, exif=exif, **options.get(kind, {}))
    read = read_picture(path)
    np.testing.assert_allclose(read.pixels, ORIENTED[orientation](pixels) / 255, atol=0.02 if kind == "JPEG" else 1e-7)
    assert [note for note in read.notes if "upright" in note] == ["turned upright as its EXIF data say"] * (orientation > 1)


def test_deep_colour_becomes_grey_by_luma_at_its_depth(tmp_path):
    luma = COLOURS / 65535 @ [0.299, 0.587, 0.114]
    for path in (png(tmp_path / "a.png", COLOURS, 16, 2), tiff(tmp_path / "a.tif", COLOURS, photometric="rgb")):
        read = read_picture(path)
        np.testing.assert_allclose(read.pixels, luma, atol=1e-7)
        assert read.notes == ("colour turned to grey by luma (ITU-R 601)",)


@pytest.mark.parametrize("kind", ["straight", "premultiplied", "PNG"])
def test_half_transparent_deep_pixels_lie_on_white(tmp_path, kind):
    level, opacity = DIM / 65535, 16384 / 65535
    stored = np.round(DIM * opacity).astype(np.uint16) if kind == "premultiplied" else DIM
    layers = np.dstack([stored, np.full_like(stored, 16384)])
    if kind == "PNG":
        path = png(tmp_path / "a.png", layers, 16, 4)
    else:
        sample = {"straight": 2, "premultiplied": 1}[kind]
        path = tiff(tmp_path / "a.tif", layers, photometric="minisblack", extrasamples=[sample], planarconfig="contig")
    np.testing.assert_allclose(read_picture(path).pixels, opacity * level + 1 - opacity, atol=0.6 / 65535)


def test_the_transparent_colour_of_a_png_lies_on_white(tmp_path):
    where = DEEP[3, 4] == DEEP
    colour = struct.pack(">H", DEEP[3, 4])
    paths = {
        "16-bit grey": png(tmp_path / "a.png", DEEP, 16, 0, (b"tRNS", colour)),
        "16-bit RGB": png(tmp_path / "b.png", grey3(DEEP), 16, 2, (b"tRNS", 3 * colour)),
    }
    for path in paths.values():
        np.testing.assert_allclose(read_picture(path).pixels, np.where(where, 1, DEEP / 65535), atol=1e-7)
    index = save(tmp_path / "c.png", EIGHT, "P", transparency=int(np.asarray(Image.fromarray(EIGHT).convert("P"))[3, 4]))
    np.testing.assert_allclose(read_picture(index).pixels, np.where(EIGHT[3, 4] == EIGHT, 1, EIGHT / 255), atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photometric": "cielab"}, "CIELAB pixels of 16 bits; save it as grey or RGB"),
        ({"photometric": "separated", "planarconfig": "contig"}, "SEPARATED pixels of 16 bits; save it as grey or RGB"),
    ],
)
def test_deep_pixels_of_other_colour_spaces_are_refused(tmp_path, options, message):
    channels = grey3(DEEP) if options["photometric"] == "cielab" else opaque(grey3(DEEP))
    with pytest.raises(PictureError, match=message):
        read_picture(tiff(tmp_path / "a.tif", channels, **options))


def test_complex_pixels_are_refused(tmp_path):
    with pytest.raises(PictureError, match="complex64 pixels"):
        read_picture(tiff(tmp_path / "a.tif", DEEP.astype(np.complex64)))


@pytest.mark.parametrize("kind", ["16-bit PNG", "float64 TIFF", "16-bit TIFF, LZW"])
@pytest.mark.parametrize("left", [0.3, 0.6, 0.95])
def test_a_deep_picture_that_is_cut_off_is_refused(tmp_path, kind, left):
    path = SAME[kind][1](tmp_path / ("a.png" if "PNG" in kind else "a.tif"))
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    with pytest.raises(PictureError, match=r"save the picture again|of a known kind"):
        read_picture(path)


def test_deep_pictures_of_several_pages_and_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    with pytest.raises(PictureError, match="has 3 frames or pages"):
        read_picture(tiff(tmp_path / "a.tif", np.stack([DEEP] * 3), photometric="minisblack", metadata=None))
    monkeypatch.setattr(photo, "MOST_PIXELS", 100)
    with pytest.raises(PictureError, match="shrink it or cut out a part"):
        read_picture(SAME["float64 TIFF"][1](tmp_path / "b.tif"))


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_a_float_picture_on_another_scale_is_refused_with_the_right_one(tmp_path, white):
    with pytest.raises(PictureError, match=r"scale them to \[0, 1\]"):
        read_picture(tiff(tmp_path / "a.tif", white * (DEEP / 65535)))


def test_levels_that_are_not_a_screens_are_noted(tmp_path):
    linear = png(tmp_path / "a.png", DEEP, 16, 0, (b"gAMA", struct.pack(">I", 100000)))
    assert read_picture(linear).notes == ("its gamma of 1 is not undone: grey levels are taken as stored",)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert "colour profile is not applied" in read_picture(save(tmp_path / "b.png", EIGHT, icc_profile=profile)).notes[0]


def test_damaged_bytes_are_refused_or_read_but_never_a_traceback(tmp_path):
    numbers = np.random.default_rng(0)
    path = tmp_path / "a"
    for kind in ("16-bit PNG", "palette PNG", "16-bit TIFF, LZW", "float64 TIFF", "CMYK TIFF", "1-bit fax, min is white"):
        content = SAME[kind][1](tmp_path / ("a.png" if "PNG" in kind else "a.tif")).read_bytes()
        for _ in range(40):
            damaged = bytearray(content)
            for place in numbers.integers(0, min(len(content), 400), 3):
                damaged[place] = numbers.integers(256)
            path.write_bytes(damaged)
            with contextlib.suppress(PictureError):
                assert read_picture(path).pixels.dtype == np.float32


def test_colour_becomes_grey_and_is_said(tmp_path):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 1] = 200
    read = read_picture(save(tmp_path / "a.png", pixels))
    np.testing.assert_allclose(read.pixels, 0.587 * 200 / 255, atol=1 / 255)
    assert "turned to grey" in read.notes[0]


def test_transparent_parts_lie_on_white(tmp_path):
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32, 3] = 255
    read = read_picture(save(tmp_path / "a.png", pixels))
    assert (read.pixels[:, :32] == 0).all()
    assert (read.pixels[:, 32:] == 1).all()
    assert "laid on white" in read.notes[0]


# Cutting


def test_shrinking_takes_the_mean_of_areas():
    pixels = np.random.default_rng(0).random((256, 256), np.float32)
    found = shrink(Picture(pixels, ("old",)))
    np.testing.assert_allclose(found.pixels, pixels.reshape(64, 4, 64, 4).mean((1, 3)), atol=1e-6)
    assert found.notes == ("old", "resized from 256 × 256 to 64 × 64 pixels")


@pytest.mark.parametrize("size", [(64, 64), (64, 130), (200, 65)])
def test_tiles_join_to_the_picture_that_was_cut(size):
    pixels = np.random.default_rng(0).random(size, np.float32) + 0.1
    tiles = cut(pixels)
    assert tiles.shape == (-(-size[0] // 64), -(-size[1] // 64), 64, 64)
    np.testing.assert_array_equal(tiles[0, -1, :, : size[1] % 64 or 64], pixels[:64, (size[1] - 1) // 64 * 64 :])
    np.testing.assert_array_equal(join(tiles, *size), pixels)


@pytest.mark.parametrize(
    ("size", "message"), [((63, 100), "leave out --tiles"), ((1100, 1024), "288 tiles, but 256 are the most")]
)
def test_pictures_of_no_tile_or_of_too_many_are_refused(size, message):
    with pytest.raises(PictureError, match=message):
        cut(np.ones(size, np.float32))


@pytest.mark.parametrize(
    ("size", "tiles"), [((2000, 3000), False), ((2000, 3000), True), ((63, 100), False), ((40, 90), False)]
)
def test_no_advice_is_given_that_another_message_takes_back(tmp_path, size, tiles):
    path = save(tmp_path / "a.png", np.full(size, 200, np.uint8))
    shown = demod(path, "--output", tmp_path / "found", *(["--tiles"] if tiles else []))
    assert shown.exit_code == 2
    assert "--tiles" not in shown.stderr
    assert "cut out a" in shown.stderr


def test_a_dim_picture_is_brightened_and_a_bright_one_left_alone():
    pixels = ramp(64, 64).astype(np.float32) / 255
    for c in (1e-30, 1e-6, 0.4):
        found = brighten(Picture(np.float32(c) * pixels, ()))
        np.testing.assert_allclose(found.pixels, pixels / pixels.max(), rtol=1e-6)
        assert found.notes[0].startswith("brightened ")
    bright = Picture(0.6 * pixels, ("old",))
    assert brighten(bright) is bright


# Recovering


@pytest.mark.parametrize("setting", [FIRST_ORDER_SETTING, BEST_SETTING])
@pytest.mark.parametrize("c", [1e-6, 1e-3, 0.04, 0.3])
def test_a_dim_picture_gives_what_the_bright_one_gives(tmp_path, c, setting):
    pixels = ramp(64, 64) / 239
    found = {}
    for name, scale in (("bright", 1.0), ("dim", c)):
        path = tiff(tmp_path / f"{name}.tif", scale * pixels)
        # two roundings of one picture: steps that jump tell them apart sooner than steps along the gradient
        iterations = 20 if setting is FIRST_ORDER_SETTING else 3
        report = recover_picture(path, tmp_path / name, setting=replace(setting, iterations=iterations))
        found[name] = (
            report["relative_residual"],
            report["warning"],
            np.asarray(Image.open(tmp_path / name / "figure.png"), int),
        )
    assert found["dim"][0] == pytest.approx(found["bright"][0], rel=1e-3)
    assert found["dim"][1] == found["bright"][1]
    assert np.abs(found["dim"][2] - found["bright"][2]).max() <= 1


def test_a_dim_image_is_recovered_as_well_as_a_bright_one():
    signals, modulators = drawn_problems(4)
    bright, dim = (score(recover(c * signals * modulators).signal, signals).psnr for c in (1.0, 0.04))
    assert (dim - bright).abs().max() < 0.3  # measured on 16 images and four factors: 0.11


def paper(text, size=44, at=(32, 32)):
    """Dark text on white paper, (64, 64) in [0, 1]."""
    image = Image.new("L", (256, 256), 255)
    font = ImageFont.load_default(size=4 * size)
    ImageDraw.Draw(image).text((4 * at[0], 4 * at[1]), text, fill=0, font=font, anchor="mm", stroke_width=4)
    return np.asarray(image.resize((64, 64), Image.Resampling.BOX)) / 255


def spot(centre=1.5, spread=25.0):
    """A bump of light as the modulators are, (64, 64)."""
    bump = np.exp(-((np.linspace(-5, 5, 64) - centre) ** 2) / spread)
    return bump[:, None] * bump


# Measured on 74 such pictures: of 30 printed digits under spots none is doubted. Of 44 with small, displaced, several or no
# digits the agreement of the ink finds 37; the other seven, four small digits, "11", "17" and "77", are recovered to 24.9 dB
# or more, and what is doubted to 26.5 dB at most.
PICTURES = {
    "a printed 0": (paper("0") * spot(), set()),
    "a printed 4": (paper("4") * spot(-2.0, 28.0), set()),
    "a small 2 off the middle": (paper("2", 18, (16, 16)) * spot(), {"ink"}),
    "1970": (paper("1970", 24) * spot(), {"ink", "residual"}),
    "42": (paper("42", 36) * spot(), {"ink", "residual"}),
    "empty paper under a spot": (spot(), {"ink"}),
    "empty paper under a wide spot": (spot(0.0, 34.0), {"ink", "black level"}),
    "a dark offset": (0.9 * paper("5") * spot() + 0.1, {"black level"}),
    "a 0 on evenly lit paper": (paper("0"), {"residual"}),
}
SAID = {"ink": "the ink of picture and signal agree", "residual": "the residual is", "black level": "the darkest pixel has"}


@pytest.fixture(scope="module")
def recovered():
    """Signal and modulator of all pictures, as 8 bits hold them."""
    y = torch.from_numpy(np.stack([picture for picture, _ in PICTURES.values()])).float().mul(255).round() / 255
    found = recover(y)
    return found.signal, found.modulator, y


def relative(recovered):
    """The mean-squared residual in units of the squared peak, of (signal, modulator, y)."""
    w, x, y = recovered
    return (w * x - y).square().mean((-2, -1)) / y.amax((-2, -1)).square()


@pytest.mark.parametrize("name", PICTURES)
def test_what_the_priors_do_not_know_is_doubted_and_what_they_know_is_not(recovered, name):
    k = list(PICTURES).index(name)
    found = doubts(*(images[k][None, None] for images in recovered), relative(recovered)[k][None, None])
    assert {reason for reason, words in SAID.items() if any(words in doubt for doubt in found)} == PICTURES[name][1]
    assert all(": " in doubt for doubt in found)  # what is seen, and what to do


def test_of_evenly_lit_paper_it_is_said_that_the_ink_agrees(recovered):
    k = list(PICTURES).index("a 0 on evenly lit paper")
    (doubt,) = doubts(*(images[k][None, None] for images in recovered), relative(recovered)[k][None, None])
    assert doubt.startswith("the ink agrees, but the light is none that is known")


def test_doubts_say_how_many_tiles_they_mean(recovered):
    (ink, *_) = doubts(*(images[None, :3] for images in recovered), relative(recovered)[None, :3])
    assert ink.startswith("in 1 of 3 tiles the ink of picture and signal agree")


def test_products_in_the_range_of_the_priors_leave_no_doubt_that_their_ink_agrees():
    w, x = (images.double() for images in drawn_problems(6))
    torch.testing.assert_close(ink_agreement(w, x, w * x), torch.ones(6, dtype=torch.float64), atol=1e-6, rtol=0)
    assert (ink_agreement(w, x, x) < 1e-6).all()  # the paper alone
    scaled = ink_agreement(w, 1e-3 * x, 1e-3 * x * w.flip(-1))
    torch.testing.assert_close(scaled, ink_agreement(w, x, x * w.flip(-1)))
    assert (scaled < 0.95).all()


def test_the_folder_holds_what_the_report_says(tmp_path):
    path = save(tmp_path / "a.png", ramp(100, 150))
    report = recover_picture(path, tmp_path / "found", setting=FEW, tiles=True, seed=3)
    signal, modulator = (np.asarray(Image.open(tmp_path / f"found/{name}.png")) / 255 for name in ("signal", "modulator"))
    assert signal.shape == modulator.shape == (100, 150)
    assert json.loads((tmp_path / "found/recovery.json").read_text()) == report
    assert np.shape(report["tiles"]) == (2, 3)
    assert report["mean_squared_residual"] == pytest.approx(np.mean(report["tiles"]), rel=1e-5)
    whole_tile = (signal * modulator - ramp(100, 150) / 255)[:64, :64]
    assert np.mean(whole_tile**2) == pytest.approx(report["tiles"][0][0], rel=0.05)  # 8 bits of each factor
    assert report["setting"]["seed"] == 3
    assert report["weights"]["digits-tuned"] == load_card("digits-tuned")["sha256"]
    with Image.open(tmp_path / "found/figure.png") as figure:
        assert figure.width > 4 * 256


def test_a_product_in_the_range_of_the_priors_raises_no_warning_and_noise_does(tmp_path):
    w, x = drawn_problems(1)
    product = (255 * (w * x)[0].numpy()).round().astype(np.uint8)
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (64, 64))
    setting = replace(BEST_SETTING, iterations=150, starts=1)
    warnings = []
    for name, pixels in (("product", product), ("noise", noise)):
        path = save(tmp_path / f"{name}.png", pixels)
        warnings.append(recover_picture(path, tmp_path / name, setting=setting)["warning"])
    assert warnings == [None, "out of range of the priors"]


def test_the_largest_expected_residual_bounds_products_of_images_near_the_ranges(monkeypatch, rng):
    distances = {"digits-tuned": 0.004, "distortions": 0.001}
    monkeypatch.setattr(photo, "load_card", lambda name: {"representation_error": {"worst": distances[name]}})
    assert largest_expected_residual() == pytest.approx((0.004**0.5 + 0.001**0.5) ** 2)
    w, x = torch.rand(2, 500, 4096, generator=rng, dtype=torch.float64)
    v, u = torch.rand(2, 500, 4096, generator=rng, dtype=torch.float64)
    error = (w * x - v * u).square().mean(-1).sqrt()
    assert (error <= (w - v).square().mean(-1).sqrt() + (x - u).square().mean(-1).sqrt()).all()


def test_the_warning_is_said_on_stderr_and_the_exit_status_is_zero(tmp_path):
    path = save(tmp_path / "a.png", np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (64, 64)))
    shown = demod(path, "--output", tmp_path / "found")
    assert shown.exit_code == 0
    assert "out of range of the priors" in shown.stderr
    assert "mean-squared residual" in shown.stdout


def test_a_folder_that_exists_is_left_alone(tmp_path):
    path = save(tmp_path / "a.png", ramp(64, 64))
    (tmp_path / "found").mkdir()
    (tmp_path / "found/mine").write_text("precious")
    shown = demod(path, "--output", tmp_path / "found")
    assert shown.exit_code == 2
    assert "name another folder with --output" in shown.stderr
    assert [file.name for file in (tmp_path / "found").iterdir()] == ["mine"]


def existing_file(folder):
    (folder / "found").touch()
    return folder / "found"


def under_a_file(folder):
    (folder / "file").touch()
    return folder / "file" / "deep" / "found"


def dangling_link(folder):
    (folder / "found").symlink_to(folder / "nowhere")
    return folder / "found"


OUTPUTS = {
    "a file": (existing_file, "exists already and is no folder"),
    "under a file": (under_a_file, "is no folder; name another folder with --output"),
    "a link": (dangling_link, "exists already and is no folder"),
    "blank": (lambda folder: " ", "names no new folder"),
    "empty": (lambda folder: "", "names no new folder"),
    "the folder above": (lambda folder: "..", "names no new folder"),
    "too long": (lambda folder: folder / ("x" * 300), "cannot be made (File name too long)"),
    "not to be written": (lambda folder: "/proc/found", "name another folder with --output"),
}


@pytest.mark.parametrize(("make", "message"), OUTPUTS.values(), ids=OUTPUTS)
def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path, monkeypatch, make, message):
    path = save(tmp_path / "a.png", ramp(64, 64))
    monkeypatch.setattr(photo, "recover", lambda *_, **__: pytest.fail("worked"))
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: str(place) != "/proc" and access(place, mode))  # as for no root
    shown = demod(path, "--output", make(tmp_path))
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("demod: ")
    assert message in shown.stderr
    assert shown.stderr.count("\n") == 1


PLAIN_NAMES = [
    "ü.png",
    "日本.png",
    "a b.png",
    "a#b%20c.png",
    "-x.png",
    "[red]x.png",
    ".png",
    "x" * 251 + ".png",
    "'$(x)'.png",
]


@pytest.mark.parametrize("name", [b"\xfc.png", *PLAIN_NAMES])
def test_a_picture_of_any_name_is_read_reported_and_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    with path.open("wb") as file:
        Image.fromarray(ramp(80, 80)).save(file, "PNG")
    shown = demod("--", path)
    assert shown.exit_code == 0, shown.output
    (folder,) = (found for found in tmp_path.iterdir() if found.is_dir())
    assert {file.name for file in folder.iterdir()} == WRITTEN
    assert folder.name.endswith("-recovered")
    assert folder.name.startswith(path.stem[:200])
    told = json.loads((folder / "recovery.json").read_bytes().decode("utf-8"))["picture"]["name"]
    assert told == (r"\xfc.png" if isinstance(name, bytes) else name)
    assert f"{told}: resized from 80 × 80" in shown.stdout


@pytest.mark.parametrize("name", [b"\xfc.png", b"\xff\xfe", "x" * 300])
def test_a_name_that_no_picture_has_is_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shown = demod("--", os.fsdecode(name))
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("demod: ")
    assert shown.stderr.count("\n") == 1
    assert len(shown.stderr) < 400


@pytest.mark.processes
def test_bytes_that_are_no_characters_reach_a_terminal_without_a_traceback(tmp_path):
    name = b"\xfc.png"
    shutil.copy(save(tmp_path / "a.png", ramp(64, 64)), tmp_path / os.fsdecode(name))
    few = ["--iterations", "1", "--starts", "1", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "demod_book", "recover", *few, name], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert rb"\xfc-recovered: mean-squared residual" in done.stdout
    assert (tmp_path / os.fsdecode(b"\xfc-recovered") / "recovery.json").is_file()


def test_tiles_tell_how_far_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(photo, "TILES_AT_ONCE", 2)
    path = save(tmp_path / "a.png", np.tile(ramp(64, 64), (2, 3)))
    shown = demod(path, "--output", tmp_path / "found", "--tiles")
    assert shown.exit_code == 0, shown.output
    assert re.findall(r"tiles: (\d of \d), about \d+ s left", shown.stderr) == ["2 of 6", "4 of 6"]


@pytest.mark.parametrize("seed", [-1, 2**63, 10**20])
def test_a_seed_out_of_range_is_refused(tmp_path, seed):
    path = save(tmp_path / "a.png", ramp(64, 64))
    with pytest.raises(ValueError, match="seed is "):
        recover_picture(path, tmp_path / "found", setting=FEW, seed=seed)


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", ramp(64, 64))

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(photo, "write_json", fail)
    shown = demod(path, "--output", tmp_path / "found")
    assert shown.exit_code == 1
    assert "No space left on device" in shown.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_help_reads_like_a_manual():
    shown = CliRunner().invoke(app, ["recover", "--help"])
    assert shown.exit_code == 0
    for word in ("--tiles", "--iterations", "--starts", "--seed", "--device", "--output", "Exit status"):
        assert word in shown.output
