import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from demod import dcgan
from demod.artifacts import read_json
from demod.data import FAMILIES, distortion_images, modulator_images, resize
from demod.generators import ReLUGenerator
from demod.priors import weights as shipped
from demod.priors.image import closest_in_range, draw_codes
from demod.priors.relu import image_prior, load_prior
from demod.training.autoencoder import AutoencoderSettings, Autoencoding, initial_weights
from demod.training.loop import train
from demod.training.recipes import RECIPES, ship, training_images

SMALL = AutoencoderSettings((6, 30), steps=60, encoder=20, batch_size=16, noise=0.1)


@pytest.fixture
def images():
    return distortion_images()[::60]


def test_a_prior_resizes_what_the_network_makes_of_28_pixels(rng):
    weights = initial_weights(SMALL)
    z = torch.randn(5, 6, generator=rng)
    small = ReLUGenerator(weights[:1])(z) @ weights[1].T
    pixels = small.reshape(5, 1, 28, 28)
    expected = torch.nn.functional.interpolate(pixels, (64, 64), mode="bilinear", align_corners=False).flatten(1).relu()
    found = image_prior(weights, torch.zeros(6))(z)
    torch.testing.assert_close(found / found.norm(), expected / expected.norm())


def test_a_prior_is_homogeneous_and_of_the_theorems_class(rng):
    G, z = image_prior(initial_weights(SMALL), torch.zeros(6)), torch.randn(4, 6, generator=rng)
    assert isinstance(G, ReLUGenerator)
    assert G.widths == (6, 30, 4096)
    torch.testing.assert_close(G(7 * z), 7 * G(z))


def test_codes_of_norm_root_n_start_with_images_of_mean_square_one(rng):
    settings = AutoencoderSettings((100, 1000), steps=1)
    run = Autoencoding(distortion_images()[:10], settings)
    z = torch.nn.functional.normalize(torch.randn(200, 100, generator=rng), dim=-1) * 10
    # half of the energy is cut off by each ReLU, of which the decoder leaves out the last
    assert run.decoder(z).square().mean().item() == pytest.approx(2, rel=0.1)


def test_training_lowers_the_error(images):
    run = Autoencoding(images, SMALL)
    errors = [run.advance()["error"] for _ in range(60)]
    assert np.mean(errors[-10:]) < 0.5 * np.mean(errors[:10])


def test_a_run_that_was_cut_off_goes_on_bit_for_bit(images, tmp_path):
    whole = train(Autoencoding(images, SMALL), progress=False)
    first = Autoencoding(images, SMALL)
    for _ in range(25):
        first.advance()
    first.save(tmp_path / "checkpoint.safetensors")
    continued = train(Autoencoding(images, SMALL), tmp_path, progress=False)
    assert_same(whole, continued)


def assert_same(one, two):
    for a, b in zip(one.decoder.state_dict().values(), two.decoder.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_other_settings_is_refused(images, tmp_path):
    Autoencoding(images, SMALL).save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ValueError, match="was written with other settings; train in another folder or delete it"):
        train(Autoencoding(images, replace(SMALL, seed=1)), tmp_path, progress=False)


def test_images_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"training needs uint8 \(N, 28, 28\)"):
        Autoencoding(np.zeros((3, 28, 28)), SMALL)


def test_an_unfinished_run_is_not_shipped(images):
    with pytest.raises(ValueError, match="stands at step 0 of 60"):
        ship("relu-bump", Autoencoding(images, SMALL), torch.rand(2, 64, 64))


def test_a_shipped_prior_is_that_of_the_run_in_half_precision(images, tmp_path, monkeypatch, rng):
    run = train(Autoencoding(images, SMALL), progress=False)
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    card = ship("relu-bump", run, resize(images[:3]))
    assert card["steps"] == 60
    assert 0 < card["representation_error"]["median"] <= card["representation_error"]["worst"]
    z = torch.randn(4, 6, generator=rng)
    exact = image_prior(list(run.decoder.weights), run.centre())(z)
    torch.testing.assert_close(load_prior("bump")(z), exact, rtol=0, atol=5e-3 * exact.max().item())


# Tuning a DCGAN


@pytest.fixture
def tuning():
    return AutoencoderSettings((50,), steps=12, dcgan="distortions", encoder=4, batch_size=4, decoder_lr=1e-4, warm_up=4)


def test_tuning_begins_as_the_shipped_network_and_leaves_its_normalisation_alone(images, tuning):
    run, shipped = Autoencoding(images, tuning), dcgan.shipped_network("distortions").state_dict()
    for _ in range(4):
        run.advance()
    warm = {key: value.clone() for key, value in run.decoder.network.state_dict().items()}
    assert all(torch.equal(warm[key], shipped[key]) for key in shipped)  # so far only the encoder has learned
    for _ in range(8):
        run.advance()
    tuned = run.decoder.network.state_dict()
    same = {key for key in shipped if torch.equal(tuned[key], shipped[key])}
    assert same == {key for key in shipped if "running" in key or "num_batches" in key}


def test_tuning_that_was_cut_off_goes_on_bit_for_bit(images, tuning, tmp_path):
    whole, first = train(Autoencoding(images, tuning), progress=False), Autoencoding(images, tuning)
    for _ in range(6):
        first.advance()
    first.save(tmp_path / "checkpoint.safetensors")
    assert_same(whole, train(Autoencoding(images, tuning), tmp_path, progress=False))


def test_a_tuned_dcgan_is_shipped_as_one(images, tuning, tmp_path, monkeypatch, rng):
    run = train(Autoencoding(images, tuning), progress=False)
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    ship("distortions-tuned", run, resize(images[:2]))
    z = torch.randn(3, 50, generator=rng)
    with torch.no_grad():
        exact = run.decoder(z)
    torch.testing.assert_close(dcgan.load_generator("distortions-tuned")(z), exact, rtol=0, atol=5e-3)


# Shipped priors


def test_everything_with_settings_is_shipped_as_they_say_and_no_other():
    cards = {path.stem: read_json(path) for path in shipped.WEIGHTS.glob("*.json")}
    assert set(cards) == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert cards[name]["settings"] == json.loads(json.dumps(asdict(recipe.settings)))
        assert cards[name]["steps"] == recipe.settings.steps
        assert cards[name]["held_out_images"] == recipe.held_out
        assert 0 < cards[name].get("nearest_training_image", 0.5) < 1  # of encoders and adversarially trained DCGANs, none


def test_codes_are_drawn_around_the_centre_with_mean_square_one(rng):
    G = load_prior("digits")
    z = draw_codes(G, (4000,), rng)
    torch.testing.assert_close(z.mean(0), G.centre, rtol=0, atol=0.08)  # five standard errors
    assert z.square().mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["digits", *FAMILIES])
def test_random_codes_of_a_shipped_prior_have_the_brightness_of_images(name, rng):
    G = load_prior(name)
    images = G(draw_codes(G, (100,), rng))
    assert G.widths[-1] == 4096
    assert 0.3 < images.median() < 1.5
    assert images.amax(1).median() < 2


@pytest.mark.parametrize("family", FAMILIES[:4])
def test_a_shipped_prior_represents_modulators_that_it_never_saw(family):
    held_out = resize(modulator_images(family, 8, seed=77))
    error = closest_in_range(load_prior(family), held_out, starts=2, iterations=200)[1]
    constant = held_out.flatten(1).var(1, correction=0)
    assert (error < constant).all()
    assert error.median() < 0.2 * constant.median()


def test_there_is_no_prior_of_another_name():
    with pytest.raises(ValueError, match="name is 'relu-faces', but the shipped generators are"):
        load_prior("faces")
    with pytest.raises(ValueError, match="family is 'faces', but modulators are drawn from one of"):
        training_images("faces")
