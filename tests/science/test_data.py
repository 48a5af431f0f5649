import gzip
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from math import exp
from pathlib import Path

import numpy as np
import pytest
import torch

from demod import data
from demod.artifacts import sha256
from demod.data import (
    CENTRES,
    FAMILIES,
    SPREADS,
    MNISTUnavailableError,
    distortion,
    distortion_images,
    invert,
    load_mnist,
    mnist_available,
    modulator_images,
    random_distortions,
    read_idx,
    resize,
)
from demod.demodulation import drawn_problems, mnist_problems

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


# Files


@pytest.mark.parametrize("shape", [(5,), (3, 28, 28), (0, 28, 28), (2, 1, 3, 1)])
def test_an_idx_file_gives_its_array(shape):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert np.array_equal(read_idx(idx(array)), array)
    assert read_idx(idx(array)).dtype == np.uint8


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x08", b"\x00\x00\x0d\x01\x00\x00\x00\x00", b"<html>", b"\x00\x00\x08\x03\x00"]
)
def test_content_without_the_header_of_unsigned_bytes_is_refused(content):
    with pytest.raises(ValueError, match="but an IDX file of unsigned bytes starts with"):
        read_idx(content)


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"\x00"])
def test_a_length_that_does_not_fit_the_header_is_refused(change):
    content = idx(np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"entries but its header says \(2, 3\); the file is cut off or damaged"):
        read_idx(change(content))


# MNIST


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A test split of seven images under MNIST's names, in place of MNIST; no folder, cache or mirror holds it yet."""
    numbers = np.random.default_rng(2)
    images = numbers.integers(0, 256, (7, 28, 28), np.uint8)
    labels = numbers.integers(0, 10, 7, np.uint8)
    contents = {IMAGES: idx(images), LABELS: idx(labels)}
    monkeypatch.setattr(data, "MNIST_SHA256", {name: sha256(content) for name, content in contents.items()})
    monkeypatch.setattr(data, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(data, "MIRRORS", ())
    monkeypatch.delenv("DEMOD_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return contents


@contextmanager
def serving(folder):
    """Serve `folder` on the loopback; yield the address and the list of the paths that were asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def closed_address():
    """The address of a loopback port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def put(folder, contents, *, packed):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content)) if packed else (folder / name).write_bytes(content)
    return folder


def damaged(content, damage):
    """A .gz file of `content` that is not as it should be."""
    packed = gzip.compress(content)
    return {
        "another file": gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
        "cut off": packed[:-20],
        "not gzip": b"<html>no such file</html>",
        "invalid block": packed[:10] + b"\xff" + packed[11:],  # the first byte after the header tells the block type
        "flipped bits": packed[:-100] + bytes(byte ^ 1 for byte in packed[-100:-50]) + packed[-50:],
    }[damage]


DAMAGES = ["another file", "cut off", "not gzip", "invalid block", "flipped bits"]


def assert_loaded(loaded, contents):
    images, labels = loaded
    assert np.array_equal(images, read_idx(contents[IMAGES]))
    assert np.array_equal(labels, read_idx(contents[LABELS]))


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_the_folder_that_the_environment_names(files, tmp_path, monkeypatch, packed):
    monkeypatch.setenv("DEMOD_DATA_DIR", str(put(tmp_path / "mine", files, packed=packed)))
    assert_loaded(load_mnist("test"), files)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_the_cache(files, tmp_path, packed):
    put(tmp_path / "cache", files, packed=packed)
    assert_loaded(load_mnist("test"), files)


def test_what_the_folder_lacks_is_read_from_the_cache(files, tmp_path, monkeypatch):
    monkeypatch.setenv("DEMOD_DATA_DIR", str(put(tmp_path / "mine", {LABELS: files[LABELS]}, packed=False)))
    put(tmp_path / "cache", {IMAGES: files[IMAGES]}, packed=True)
    assert_loaded(load_mnist("test"), files)


def test_a_file_with_another_hash_is_refused_by_name(files, tmp_path, monkeypatch):
    content = files[IMAGES]
    folder = put(tmp_path / "mine", files | {IMAGES: content[:-1] + bytes([content[-1] ^ 1])}, packed=False)
    monkeypatch.setenv("DEMOD_DATA_DIR", str(folder))
    with pytest.raises(ValueError, match=rf"mine/{IMAGES}.* has SHA-256 .* but MNIST's file has .*delete it"):
        load_mnist("test")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_gzip_file_is_refused_by_name(files, tmp_path, damage):
    folder = put(tmp_path / "cache", files, packed=True)
    (folder / f"{IMAGES}.gz").write_bytes(damaged(files[IMAGES], damage))
    with pytest.raises(ValueError, match=rf"cache/{IMAGES}\.gz (is not a complete gzip file|has SHA-256).*delete it"):
        load_mnist("test")


def test_mnist_that_is_nowhere_is_an_error_that_says_what_to_do(files, monkeypatch):
    closed = closed_address()
    monkeypatch.setattr(data, "MIRRORS", (closed,))
    remedy = rf"{IMAGES} was not found.*{closed}: ConnectionError.*set DEMOD_DATA_DIR"
    with pytest.raises(MNISTUnavailableError, match=remedy):
        load_mnist("test")
    assert not mnist_available()


def test_a_mirror_is_asked_once_verified_and_cached(files, tmp_path, monkeypatch):
    with serving(put(tmp_path / "mirror", files, packed=True)) as (address, asked):
        monkeypatch.setattr(data, "MIRRORS", (address,))
        assert_loaded(load_mnist("test"), files)
        assert_loaded(load_mnist("test"), files)
    assert len(asked) == 2  # one request for each of the two files
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {f"{name}.gz" for name in files}
    monkeypatch.setattr(data, "MIRRORS", ())
    assert mnist_available()


@pytest.mark.parametrize("damage", [*DAMAGES, "missing", "closed port"])
def test_a_mirror_that_fails_is_passed_over_and_leaves_nothing_behind(files, tmp_path, monkeypatch, damage):
    first, second = put(tmp_path / "first", files, packed=True), put(tmp_path / "second", files, packed=True)
    bad = first / f"{IMAGES}.gz"
    if damage == "missing":
        bad.unlink()
    elif damage in DAMAGES:
        bad.write_bytes(damaged(files[IMAGES], damage))
    with serving(first) as (bad_address, asked), serving(second) as (good_address, _):
        if damage == "closed port":
            bad_address = closed_address()
        monkeypatch.setattr(data, "MIRRORS", (bad_address, good_address))
        assert_loaded(load_mnist("test"), files)
        monkeypatch.setattr(data, "MIRRORS", (bad_address,))
        (tmp_path / "cache" / f"{IMAGES}.gz").unlink()
        with pytest.raises(MNISTUnavailableError, match=f"no mirror gave it.*{bad_address}"):
            load_mnist("test")
    assert damage == "closed port" or f"/{IMAGES}.gz" in " ".join(asked)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {f"{LABELS}.gz"}


@pytest.mark.parametrize("folder", ["with blanks", "Übung", "a#b%20c"])
@pytest.mark.parametrize("spelled", ["{folder}", "~/{folder}", "{tmp_path}/{folder}", "./{folder}/"])
def test_the_folder_of_the_environment_may_be_spelled_in_any_way(files, tmp_path, monkeypatch, folder, spelled):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / folder, files, packed=True)
    monkeypatch.setenv("DEMOD_DATA_DIR", spelled.format(folder=folder, tmp_path=tmp_path))
    assert_loaded(load_mnist("test"), files)


@pytest.mark.parametrize(
    ("named", "told"), [("nowhere", "nowhere, which does not exist"), ("file", "file, which is no folder")]
)
def test_a_folder_of_the_environment_that_is_none_is_told(files, tmp_path, monkeypatch, named, told):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEMOD_DATA_DIR", str(tmp_path / named))
    with pytest.raises(MNISTUnavailableError, match=rf"DEMOD_DATA_DIR \({tmp_path}/{told}\)"):
        load_mnist("test")


def test_a_file_that_may_not_be_read_is_told(files, tmp_path, monkeypatch):
    put(tmp_path / "cache", files, packed=False)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ValueError, match=rf"cache/{IMAGES} cannot be read \(Permission denied\); change its permissions"):
        load_mnist("test")


def test_where_the_cache_cannot_be_written_a_download_is_kept_elsewhere_and_it_is_said(files, tmp_path, monkeypatch):
    (tmp_path / "home").touch()  # a file, under which no folder can be made, not even by root
    monkeypatch.setattr(data, "_cache", lambda: tmp_path / "home/.cache/demod/mnist")
    monkeypatch.setattr(data, "_spare_cache", lambda: tmp_path / "spare")
    with serving(put(tmp_path / "mirror", files, packed=True)) as (address, asked):
        monkeypatch.setattr(data, "MIRRORS", (address,))
        with pytest.warns(
            UserWarning, match="is kept in .*spare, because .*home.* cannot be written; name a folder with DEM"
        ):
            assert_loaded(load_mnist("test"), files)
    assert len(asked) == 2
    monkeypatch.setattr(data, "MIRRORS", ())
    assert_loaded(load_mnist("test"), files)


def test_a_cache_that_can_only_be_read_is_read(files, tmp_path, monkeypatch):
    put(tmp_path / "cache", files, packed=True)
    monkeypatch.setattr(data, "_can_be_written", lambda folder: False)
    assert_loaded(load_mnist("test"), files)


@pytest.mark.parametrize("home", [None, "", "/dev/null", "/nowhere/at all", "relative"])
def test_without_a_home_mnist_is_absent_and_nothing_worse(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME", "DEMOD_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(data, "MIRRORS", ())
    monkeypatch.setattr(data, "MNIST_SHA256", {name: "0" for name in data.MNIST_SHA256})
    monkeypatch.setattr(data, "_spare_cache", lambda: tmp_path / "spare")
    monkeypatch.setattr(data, "_read_verified", lambda folder, name: None)
    with pytest.raises(MNISTUnavailableError, match="Put the four MNIST files into a folder and set DEMOD_DATA_DIR"):
        load_mnist("test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_the_module_loads_nothing_that_downloads():
    code = "import sys, demod.data; sys.exit(any(name in sys.modules for name in ('pooch', 'requests')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_training_split_is_under_its_own_names(files, tmp_path, monkeypatch):
    train = {name.replace("t10k", "train"): content for name, content in files.items()}
    monkeypatch.setattr(data, "MNIST_SHA256", {name: sha256(content) for name, content in train.items()})
    put(tmp_path / "cache", train, packed=True)
    assert_loaded(load_mnist("train"), files)


def test_there_are_two_splits():
    with pytest.raises(ValueError, match='split is \'validation\', but MNIST has "train" and "test"'):
        load_mnist("validation")


def test_the_mirrors_are_asked_by_https_only():
    assert data.MIRRORS
    assert all(mirror.startswith("https://") for mirror in data.MIRRORS)


def test_the_hashes_are_those_of_the_decompressed_files_of_mnist():
    assert {name: digest[:8] for name, digest in data.MNIST_SHA256.items()} == {
        "train-images-idx3-ubyte": "ba891046",
        "train-labels-idx1-ubyte": "65a50cbb",
        "t10k-images-idx3-ubyte": "0fa7898d",
        "t10k-labels-idx1-ubyte": "ff7bcfd4",
    }


# Distortions


@pytest.fixture(scope="module")
def distortions():
    return distortion_images()


def test_the_distortions_are_8100_images_no_two_of_them_alike(distortions):
    assert distortions.shape == (8100, 28, 28)
    assert distortions.dtype == np.uint8
    assert len({image.tobytes() for image in distortions}) == 8100


@pytest.mark.parametrize(
    ("i", "j", "row", "column"), [(0, 0, 0, 0), (0, 89, 5, 20), (37, 12, 27, 3), (89, 0, 9, 9), (89, 89, 27, 27)]
)
def test_a_pixel_is_the_rounded_gaussian_of_its_formula(distortions, i, j, row, column):
    c, sigma = -3 + 6 * i / 89, 20 + 15 * j / 89
    x, y = -5 + 10 * column / 27, -5 + 10 * row / 27
    value = 255 * exp(-((x - c) ** 2 + (y - c) ** 2) / sigma)
    assert distortions[90 * i + j, row, column] == round(value)


def test_all_pixels_are_those_of_the_two_dimensional_formula(distortions):
    c = np.linspace(-3, 3, 90)[:, None, None, None]
    sigma = np.linspace(20, 35, 90)[None, :, None, None]
    y, x = np.meshgrid(np.linspace(-5, 5, 28), np.linspace(-5, 5, 28), indexing="ij")
    formula = 255 * np.exp(-((x - c) ** 2 + (y - c) ** 2) / sigma)
    assert np.array_equal(distortions.reshape(90, 90, 28, 28), np.round(formula))


def test_distortions_are_symmetric_because_both_axes_share_one_centre(distortions):
    assert np.array_equal(distortions, distortions.transpose(0, 2, 1))


def test_centres_and_spreads_broadcast():
    table = distortion(np.array([[-1.0], [2.0]]), np.array([20.0, 30.0, 35.0]))
    assert table.shape == (2, 3, 28, 28)
    assert np.array_equal(table[1, 2], distortion(np.array(2.0), np.array(35.0)))


def test_random_distortions_follow_their_seed_and_are_not_in_the_training_set(distortions):
    drawn = random_distortions(200, seed=5)
    assert drawn.shape == (200, 28, 28)
    assert np.array_equal(drawn, random_distortions(200, seed=5))
    assert not np.array_equal(drawn, random_distortions(200, seed=6))
    training = {image.tobytes() for image in distortions}
    assert not any(image.tobytes() in training for image in drawn)


def test_random_distortions_stay_in_the_ranges_of_the_paper():
    # At the pixel nearest to the centre the bump is 255 up to a factor; its place tells c, its fall tells σ.
    t = np.linspace(-5, 5, 28)
    for image in random_distortions(100, seed=8):
        logs = np.log(image[14].astype(float) / 255)
        curvature, slope, _ = np.polyfit(t, logs, 2)
        assert SPREADS[0] - 1 < -1 / curvature < SPREADS[1] + 1  # 8-bit rounding moves the fit by a few percent
        assert CENTRES[0] - 0.2 < -slope / (2 * curvature) < CENTRES[1] + 0.2


# Sizes and signs


def bilinear(image, row, column):
    """Pixel (row, column) of a 28 × 28 image resized to 64 × 64, from the definition with half-pixel centres."""

    def place(k):
        position = min(max((k + 0.5) * 28 / 64 - 0.5, 0), 27)
        below = min(int(position), 26)
        return below, position - below

    (i, a), (j, b) = place(row), place(column)
    top = (1 - b) * image[i, j] + b * image[i, j + 1]
    bottom = (1 - b) * image[i + 1, j] + b * image[i + 1, j + 1]
    return ((1 - a) * top + a * bottom) / 255


def test_resizing_is_bilinear_with_half_pixel_centres():
    images = np.random.default_rng(3).integers(0, 256, (2, 28, 28), np.uint8)
    resized = resize(images)
    assert resized.shape == (2, 64, 64)
    assert resized.dtype == torch.float32
    for k, row, column in np.ndindex(2, 64, 64):
        assert resized[k, row, column].item() == pytest.approx(bilinear(images[k].astype(float), row, column), abs=1e-6)


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)])
def test_resizing_keeps_any_batch_shape_and_the_range(batch):
    white = np.full((*batch, 28, 28), 255, np.uint8)
    assert torch.equal(resize(white), torch.ones(*batch, 64, 64))
    assert torch.equal(resize(torch.from_numpy(white)), resize(white))


def test_resizing_does_not_depend_on_the_defaults_of_torch():
    images = np.random.default_rng(4).integers(0, 256, (3, 28, 28), np.uint8)
    plain = resize(images)
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        changed = resize(images), resize(images[:, ::-1]), resize(torch.from_numpy(images))
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(changed[0], plain)
    assert torch.equal(changed[1], resize(images[:, ::-1].copy()))
    assert torch.equal(changed[2], plain)


@pytest.mark.parametrize("images", [np.ones((28, 28), np.float32), torch.ones(2, 28, 28), np.ones((28, 28), np.int64)])
def test_only_8_bit_images_are_resized(images):
    with pytest.raises(ValueError, match="but 8-bit images are required"):
        resize(images)


def test_images_of_the_networks_size_are_only_scaled():
    image = np.arange(4096, dtype=np.int64).reshape(64, 64).astype(np.uint8)
    torch.testing.assert_close(resize(image), torch.from_numpy(image / np.float32(255)))


def test_inverting_turns_ink_dark_and_can_be_undone():
    image = np.array([[0, 1, 255]], np.uint8)
    assert invert(image).tolist() == [[255, 254, 0]]
    assert np.array_equal(invert(invert(image)), image)
    assert invert(image).dtype == np.uint8


# Families of modulators


@pytest.mark.parametrize("family", FAMILIES[:4])
def test_modulators_are_bright_somewhere_and_dark_nowhere_to_zero(family):
    images = modulator_images(family, 50, seed=0)
    assert images.shape == (50, 28, 28)
    assert images.dtype == np.uint8
    assert (images.max((1, 2)) > 190).all()
    assert images.min() > 0
    assert images.std((1, 2)).mean() > 10


@pytest.mark.parametrize("family", FAMILIES[:4])
def test_the_seed_decides_the_modulators(family):
    first, again, other = (modulator_images(family, 5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def log_quadratic_misfit(images):
    """Root-mean-square of what the best quadratic polynomial leaves of the logarithm."""
    v, u = np.mgrid[-1:1:28j, -1:1:28j]
    powers = np.stack([u**i * v**j for i in range(3) for j in range(3 - i)], -1).reshape(-1, 6)
    logs = np.log(images.reshape(len(images), -1) / 255).T
    return np.sqrt(np.mean((powers @ np.linalg.lstsq(powers, logs, rcond=None)[0] - logs) ** 2))


def test_only_the_papers_family_is_log_quadratic():
    misfit = {family: log_quadratic_misfit(modulator_images(family, 40, seed=3)) for family in FAMILIES[:4]}
    assert misfit["bump"] < 0.03  # 8 bits
    assert min(misfit[family] for family in FAMILIES[1:4]) > 3 * misfit["bump"]


def test_a_family_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="family is 'rain', but modulators are drawn from one of bump, bumps"):
        modulator_images("rain", 3, seed=0)


DRAWN_FROM_A_SEED = {
    "random_distortions": lambda seed: random_distortions(1, seed),
    "bump": lambda seed: modulator_images("bump", 1, seed),
    "edge": lambda seed: modulator_images("edge", 1, seed),
    "drawn_problems": lambda seed: drawn_problems(1, seed)[0].numpy(),
}


@pytest.mark.parametrize("draw", [*DRAWN_FROM_A_SEED.values(), lambda seed: mnist_problems(0, 1, seed)])
@pytest.mark.parametrize("seed", [-1, 2**63, 10**20])
def test_a_seed_out_of_range_is_refused(files, tmp_path, draw, seed):
    put(tmp_path / "cache", files, packed=False)
    with pytest.raises(ValueError, match=rf"seed is {seed}, but it must be"):
        draw(seed)


@pytest.mark.parametrize("draw", DRAWN_FROM_A_SEED.values(), ids=DRAWN_FROM_A_SEED)
def test_the_whole_range_of_seeds_is_taken(draw):
    assert not np.array_equal(draw(2**63 - 1), draw(0))
