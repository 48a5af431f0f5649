"""Pictures of any kind: each a result or one line that says what to do, and nothing half-written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from demod import photo
from demod.demodulation import BEST_SETTING, drawn_problems
from demod.photo import Picture, PictureError, cut, join, largest_expected_residual, read_picture, recover_picture, shrink
from demod.priors.weights import load_card
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


@pytest.mark.parametrize(("bits", "name"), [(8, "a.png"), (16, "a.png"), (16, "a.tif"), (32, "a.tif")])
def test_the_same_picture_reads_the_same_at_every_depth(tmp_path, bits, name):
    pixels = ramp(30, 40)
    stored = {8: pixels, 16: pixels.astype(np.uint16) * 257, 32: pixels.astype(np.float32) / 255}[bits]
    read = read_picture(save(tmp_path / name, stored))
    np.testing.assert_allclose(read.pixels, pixels / 255, atol=1e-7)
    assert read.notes == ()


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


def test_a_picture_lying_on_its_side_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright
    image = Image.fromarray(ramp(64, 40))
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_allclose(read_picture(tmp_path / "a.png").pixels, np.rot90(ramp(64, 40), -1) / 255, atol=1e-7)


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


# Recovering


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
