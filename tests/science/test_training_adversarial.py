import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from demod.artifacts import load_tensors, save_tensors, sha256, write_json
from demod.data import distortion_images, random_distortions, resize
from demod.dcgan import discriminator_network, generator_network, load_generator
from demod.priors import weights as shipped
from demod.priors.image import ImageGenerator
from demod.priors.weights import load_card
from demod.training import adversarial, recipes
from demod.training.adversarial import Training, TrainingSettings
from demod.training.loop import train
from demod.training.recipes import RECIPES, ship, training_images

SETTINGS = {name: RECIPES[name].settings for name in ("digits", "distortions")}
SMALL = TrainingSettings(latent=5, base_width=2, steps=6, batch_size=4)


@pytest.fixture(scope="module")
def images():
    return random_distortions(16, seed=1)


def state(run):
    """Every number that a run consists of, by name."""
    networks = {
        f"{name}.{key}": value for name in ("G", "D", "average") for key, value in getattr(run, name).state_dict().items()
    }
    moments = {
        f"{name}.{i}.{key}": value
        for name in ("adam_G", "adam_D")
        for i, moment in getattr(run, name).state_dict()["state"].items()
        for key, value in moment.items()
    }
    return networks | moments | {"rng": run.rng.get_state(), "step": torch.tensor(run.step)}


def assert_bit_identical(run, other):
    expected, found = state(run), state(other)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []


@pytest.fixture(scope="module")
def uninterrupted(images):
    run = Training(images, SMALL)
    for _ in range(SMALL.steps):
        run.advance()
    return run


@pytest.fixture
def generator(uninterrupted):
    return ImageGenerator(uninterrupted.average)


# Training


@pytest.mark.parametrize("k", [1, 3])
def test_a_run_that_stops_and_goes_on_is_bit_identical_to_one_that_does_not(images, uninterrupted, tmp_path, k):
    first = Training(images, SMALL)
    for _ in range(k):
        first.advance()
    first.save(tmp_path / "run.safetensors")
    second = Training(images, SMALL)
    second.restore(tmp_path / "run.safetensors")
    assert_bit_identical(first, second)
    for _ in range(SMALL.steps - k):
        second.advance()
    assert_bit_identical(uninterrupted, second)


@pytest.mark.processes
def test_a_killed_training_goes_on_to_the_same_bits(images, tmp_path):
    settings, folder = replace(SMALL, steps=25), tmp_path / "run"
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys; from pathlib import Path; import numpy as np, torch\n"
        "from demod.training.adversarial import Training, TrainingSettings\n"
        "from demod.training.loop import train\n"
        "torch.set_num_threads(1)\n"
        f"train(Training(np.load(sys.argv[1]), TrainingSettings(**{asdict(settings)})), Path(sys.argv[2]),"
        " checkpoint_every=3, progress=False)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "images.npy", folder])
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert load_tensors(folder / "checkpoint.safetensors")[1]["step"] < settings.steps
    continued = train(Training(images, settings), folder, checkpoint_every=3, progress=False)
    assert_bit_identical(train(Training(images, settings), tmp_path / "other", progress=False), continued)


def test_a_finished_training_is_not_trained_further(images, uninterrupted, tmp_path):
    train(Training(images, SMALL), tmp_path, progress=False)
    written = sha256(tmp_path / "checkpoint.safetensors")
    assert_bit_identical(uninterrupted, train(Training(images, SMALL), tmp_path, progress=False))
    assert sha256(tmp_path / "checkpoint.safetensors") == written


def test_a_run_that_ended_can_be_continued_as_the_longer_one_that_it_began(images, uninterrupted, tmp_path):
    train(Training(images, replace(SMALL, steps=2)), tmp_path, progress=False)
    assert_bit_identical(uninterrupted, train(Training(images, SMALL), tmp_path, progress=False))


def test_training_shows_its_samples(images, tmp_path):
    train(Training(images, replace(SMALL, steps=2)), tmp_path, samples_every=1, progress=False)
    assert {path.name for path in tmp_path.glob("*.png")} == {"samples-000001.png", "samples-000002.png"}
    with Image.open(tmp_path / "samples-000002.png") as image:
        assert image.size == (8 * 64, 8 * 64)


def test_the_seed_decides_the_run(images, uninterrupted):
    same, other = Training(images, SMALL), Training(images, replace(SMALL, seed=7))
    torch.rand(3)  # the global stream plays no part
    for run in (same, other):
        for _ in range(SMALL.steps):
            run.advance()
    assert_bit_identical(uninterrupted, same)
    assert not torch.equal(other.G[0].weight, same.G[0].weight)


def test_a_new_run_leaves_the_global_stream_alone(images):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    Training(images, SMALL)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("change", [{"latent": 6}, {"lr": 1e-3}, {"noise_steps": 7}, {"seed": 1}])
def test_a_run_with_other_settings_is_refused(images, tmp_path, change):
    Training(images, SMALL).save(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match=r"run\.safetensors was written with other settings; train in another folder"):
        Training(images, replace(SMALL, **change)).restore(tmp_path / "run.safetensors")


def test_a_run_on_other_images_is_refused(images, tmp_path):
    Training(images, SMALL).save(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="was written with other data_sha256"):
        Training(images[::-1], SMALL).restore(tmp_path / "run.safetensors")


@pytest.mark.parametrize("wrong", [np.zeros((28, 28), np.uint8), np.zeros((3, 28, 28)), np.zeros((0, 28, 28), np.uint8)])
def test_what_is_no_stack_of_8_bit_images_is_refused(wrong):
    with pytest.raises(ValueError, match=r"but training needs uint8 \(N, height, width\) with N ≥ 1"):
        Training(wrong, SMALL)


def test_a_step_trains_both_networks_and_moves_the_average(images):
    run, before = Training(images, SMALL), Training(images, SMALL)
    losses = run.advance()
    assert losses.keys() == {"loss_D", "loss_G"}
    for name in ("G", "D", "average"):
        moved = zip(getattr(run, name).parameters(), getattr(before, name).parameters(), strict=True)
        assert any(not torch.equal(new, old) for new, old in moved)


def test_the_average_is_that_of_the_weights_along_the_run(images):
    run = Training(images, SMALL)
    expected = run.G[0].weight.detach().clone()
    for step in range(4):
        run.advance()
        decay = min(SMALL.average, (1 + step) / (10 + step))  # short memory at first, when the weights are still noise
        expected = decay * expected + (1 - decay) * run.G[0].weight.detach()
        torch.testing.assert_close(run.average[0].weight, expected)


def test_the_losses_fall_for_a_discriminator_that_tells_the_classes_apart():
    real, fake = torch.ones(4, 1), -torch.ones(4, 1)  # logits
    torch.testing.assert_close(adversarial._loss(real, 1.0), torch.tensor(0.3133), rtol=0, atol=1e-4)  # log(1 + e⁻¹)
    torch.testing.assert_close(adversarial._loss(fake, 0.0), torch.tensor(0.3133), rtol=0, atol=1e-4)
    torch.testing.assert_close(adversarial._loss(fake, 1.0), torch.tensor(1.3133), rtol=0, atol=1e-4)  # log(1 + e)


@pytest.mark.parametrize(("step", "sigma"), [(0, 0.5), (200, 0.255), (400, 0.01), (450, 0.01), (500, 0.01)])
def test_instance_noise_falls_linearly_to_its_floor(images, step, sigma):
    run = Training(images, replace(SMALL, noise_steps=400))
    run.step, before = step, run.rng.get_state()
    unit = run._normal(1, 64, 64)
    run.rng.set_state(before)
    torch.testing.assert_close(run._noisy(torch.ones(4, 1, 64, 64)) - 1, sigma * unit, rtol=1e-5, atol=1e-6)


def test_real_images_are_resized_training_images_between_minus_one_and_one(images):
    batch = Training(images, SMALL)._real()
    assert batch.shape == (4, 1, 64, 64)
    pool = 2 * resize(images) - 1
    assert all((pool == image[0]).all((-1, -2)).any() for image in batch)


def test_the_shipped_settings_are_those_of_the_paper_where_it_states_them():
    assert (SETTINGS["digits"].latent, SETTINGS["distortions"].latent) == (100, 50)
    assert {settings.lr for settings in SETTINGS.values()} == {2e-4}
    assert np.array_equal(RECIPES["distortions"].images(), distortion_images())


def test_digits_are_trained_on_with_a_white_background(monkeypatch):
    ink = np.zeros((2, 28, 28), np.uint8)
    ink[:, 14] = 255
    monkeypatch.setattr(recipes, "load_mnist", lambda split: {"train": (ink, np.zeros(2, np.uint8))}[split])
    assert np.array_equal(training_images("digits"), 255 - ink)


def test_there_are_no_training_images_of_another_name():
    with pytest.raises(ValueError, match="family is 'letters', but modulators are drawn from one of"):
        training_images("letters")


def test_a_step_of_compiled_networks_is_that_of_the_others(images, monkeypatch):
    compile_module = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda network: compile_module(network, backend="aot_eager"))  # no C++
    plain, compiled = Training(images, SMALL), Training(images, SMALL, compiled=True)
    for _ in range(2):
        expected, found = plain.advance(), compiled.advance()
    assert found == pytest.approx(expected, rel=1e-2)  # bfloat16
    assert state(compiled).keys() == state(plain).keys()


def test_losses_that_are_not_read_change_nothing(images, uninterrupted):
    run = Training(images, SMALL)
    assert [run.advance(read_losses=False) for _ in range(SMALL.steps)] == [{}] * SMALL.steps
    assert_bit_identical(uninterrupted, run)


def test_a_stream_on_the_device_is_seeded_by_the_one_that_is_kept(images, tmp_path):
    first, second = Training(images, SMALL), Training(images, SMALL)
    first.stream, second.stream = torch.Generator(), torch.Generator()  # as on a GPU
    first.advance()
    first.save(tmp_path / "run.safetensors")
    second.restore(tmp_path / "run.safetensors")
    first.advance(), second.advance()
    assert_bit_identical(first, second)


# Networks


def test_the_networks_have_the_layers_of_a_dcgan():
    G, D = generator_network(7, 4), discriminator_network(4)
    assert [layer.out_channels for layer in G if isinstance(layer, nn.ConvTranspose2d)] == [32, 16, 8, 4, 1]
    assert [layer.out_channels for layer in D if isinstance(layer, nn.Conv2d)] == [4, 8, 16, 32, 1]
    images = G(torch.randn(3, 7, 1, 1))
    assert images.shape == (3, 1, 64, 64)
    assert images.abs().max() <= 1
    assert D(images).shape == (3, 1, 1, 1)


def test_weights_start_as_a_dcgan_prescribes(images):
    run = Training(images, replace(SMALL, latent=50, base_width=16))
    convolution, norm = run.G[0].weight, run.G[1].weight
    assert convolution.std().item() == pytest.approx(0.02, rel=0.05)
    assert convolution.mean().abs() < 1e-3
    assert norm.mean().item() == pytest.approx(1, abs=0.01)
    assert norm.std().item() == pytest.approx(0.02, rel=0.3)  # 128 numbers


# Trained generators


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)])
def test_an_image_generator_gives_rows_of_4096_pixels_between_zero_and_one(generator, batch, rng):
    z = 3 * torch.randn(*batch, 5, generator=rng)
    value, pullback = generator.vjp(z)
    assert generator.widths == (5, 4096)
    assert not generator.homogeneous
    assert generator(z).shape == value.shape == (*batch, 4096)
    assert pullback(value).shape == (*batch, 5)
    assert ((value >= 0) & (value <= 1)).all()
    assert not value.requires_grad


def test_folding_batch_normalisation_leaves_the_network_in_eval_mode_what_it_is(uninterrupted, generator, rng):
    z = torch.randn(10, 5, generator=rng)
    unfolded = deepcopy(uninterrupted.average).eval()
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in unfolded) == 4
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in generator.network)
    expected = (unfolded(z[..., None, None]).flatten(1) + 1) / 2
    torch.testing.assert_close(generator(z), expected, rtol=1e-5, atol=1e-6)


def test_an_image_does_not_depend_on_those_beside_it(generator, rng):
    z = torch.randn(4, 5, generator=rng)
    torch.testing.assert_close(generator(z)[2], generator(z[2]), rtol=1e-5, atol=1e-6)


def test_the_pullback_is_the_derivative(generator, rng):
    double = ImageGenerator(generator.network.double())
    z, u = torch.randn(3, 5, generator=rng).double(), torch.randn(3, 4096, generator=rng).double()
    value, pullback = double.vjp(z)
    pulled = pullback(u)
    torch.testing.assert_close(value, double(z))
    torch.testing.assert_close(pullback(2 * u), 2 * pulled)
    direction, step = torch.randn(3, 5, generator=rng).double(), 1e-6
    difference = (double(z + step * direction) - double(z - step * direction)) / (2 * step)
    torch.testing.assert_close((pulled * direction).sum(-1), (u * difference).sum(-1), rtol=1e-6, atol=1e-8)


def test_a_pullback_leaves_no_gradients_behind(generator):
    z = torch.ones(2, 5)
    with torch.no_grad():
        _, pullback = generator.vjp(z)
    pullback(torch.ones(2, 4096))
    assert z.grad is None
    assert not z.requires_grad
    assert all(parameter.grad is None for parameter in generator.network.parameters())


def test_a_generator_on_a_device_is_a_copy(generator, rng):
    z = torch.randn(2, 5, generator=rng)
    copy = generator.to("cpu")
    assert torch.equal(copy(z), generator(z))
    assert copy.network is not generator.network


def test_the_pullback_is_that_of_automatic_differentiation(generator, rng):
    z, u = torch.randn(6, 5, generator=rng), torch.randn(6, 4096, generator=rng)
    z.requires_grad_()
    value, pullback = generator.vjp(z)
    reference = ((generator.network(z[..., None, None]).flatten(1) + 1) / 2).float()
    torch.testing.assert_close(value, reference.detach(), rtol=1e-5, atol=1e-6)
    (expected,) = torch.autograd.grad(reference, z, u, retain_graph=True)
    torch.testing.assert_close(pullback(u), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(generator(z), z, u)[0], expected, rtol=1e-4, atol=1e-6)


def test_a_generator_in_bfloat16_keeps_three_digits_and_single_codes_and_images(rng):
    exact, rounded = load_generator("distortions"), load_generator("distortions", dtype=torch.bfloat16)
    z, u = torch.randn(8, 50, generator=rng), torch.randn(8, 4096, generator=rng)
    (value, pullback), (reference, exact_pullback) = rounded.vjp(z), exact.vjp(z)
    pulled, expected = pullback(u), exact_pullback(u)
    assert value.dtype == pulled.dtype == torch.float32
    assert (value - reference).square().mean().sqrt() < 5e-3
    assert (pulled - expected).norm() < 0.05 * expected.norm()
    assert not torch.equal(value, reference)


def test_a_network_of_other_layers_is_refused():
    with pytest.raises(ValueError, match="network has the layers Linear, ReLU, but transposed convolutions"):
        ImageGenerator(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


def test_a_code_of_another_length_is_refused(generator):
    with pytest.raises(ValueError, match="z has 4 entries but the latent dimension is 5"):
        generator(torch.zeros(2, 4))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_shipped_generator_is_the_one_of_its_card(name, rng):
    G, card = load_generator(name), load_card(name)
    assert G.widths == (SETTINGS[name].latent, 4096)
    assert card["settings"] == asdict(SETTINGS[name])
    assert card["steps"] == SETTINGS[name].steps
    assert card["sha256"] == sha256(shipped.WEIGHTS / f"{name}.safetensors")
    sample = G(torch.randn(4, G.widths[0], generator=rng))
    assert ((sample >= 0) & (sample <= 1)).all()
    assert sample.std(0).max() > 0.01  # the images differ


def test_the_distortion_generator_was_trained_on_the_distortions_of_this_package():
    assert load_card("distortions")["data_sha256"] == sha256(distortion_images())


def test_a_generator_that_is_not_shipped_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"name is 'nope', but the shipped generators are: .*distortions"):
        load_generator("nope")


# Shipping


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_shipped_file_is_the_average_rounded(uninterrupted, images, weights, rng, dtype):
    card = ship("toy", uninterrupted, resize(images[:1]), dtype=dtype)
    assert card == load_card("toy")
    assert card["settings"] == asdict(SMALL)
    assert (card["steps"], card["training_images"], card["held_out_images"]) == (6, 16, 1)
    assert card["dtype"] == str(dtype).removeprefix("torch.")
    z = torch.randn(3, 5, generator=rng)
    exact = ImageGenerator(uninterrupted.average)(z)
    digits = {torch.float16: 1e-3, torch.float32: 1e-6}[dtype]
    torch.testing.assert_close(load_generator("toy")(z), exact, rtol=0, atol=digits)
    tensors, _ = load_tensors(weights / "toy.safetensors")
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {dtype}


def test_weights_of_another_shape_are_refused_by_name(uninterrupted, images, weights):
    card, path = ship("toy", uninterrupted, resize(images[:1])), weights / "toy.safetensors"
    tensors, _ = load_tensors(path)
    save_tensors(path, tensors | {"0.weight": tensors["0.weight"][:, 1:]}, {})
    write_json(weights / "toy.json", card | {"sha256": sha256(path)})
    with pytest.raises(ValueError, match=r"toy\.safetensors holds no DCGAN onto 64 × 64 pixels; `make weights`"):
        load_generator("toy")
