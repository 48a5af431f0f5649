"""The loop, with a run that only counts; and what of torch's state must not reach a training."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from demod.data import distortion_images
from demod.training.adversarial import Training, TrainingSettings
from demod.training.autoencoder import AutoencoderSettings, Autoencoding
from demod.training.encoder import EncoderSettings, Encoding
from demod.training.loop import CHECKPOINT, check_images, train
from demod.training.recipes import RECIPES, find_recipe


@dataclass
class Steps:
    steps: int


@dataclass
class Counting:
    """A run whose whole state is the step that it has reached."""

    settings: Steps
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    step: int = 0
    read: list = field(default_factory=list)

    def advance(self, *, read_losses=True):
        self.step += 1
        if read_losses:
            self.read.append(self.step)
        return {}

    def save(self, path):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(self.step))

    def restore(self, path):
        self.step = int(path.read_text())


class Shown(Counting):
    def samples(self):
        return torch.zeros(8, 8)


def test_a_run_is_trained_to_its_end_and_its_losses_are_read_now_and_then():
    run = train(Counting(Steps(25)), progress=False)
    assert (run.step, run.read) == (25, [10, 20])


def test_a_run_goes_on_from_its_checkpoint_and_keeps_its_last_step(tmp_path):
    train(Counting(Steps(7)), tmp_path, checkpoint_every=5, progress=False)
    assert (tmp_path / CHECKPOINT).read_text() == "7"
    run = train(Counting(Steps(12)), tmp_path, progress=False)
    assert (run.step, run.read) == (12, [10])


def test_a_run_that_is_past_its_end_is_refused(tmp_path):
    train(Counting(Steps(7)), tmp_path, progress=False)
    with pytest.raises(ValueError, match="holds a run at step 7, past the 5 of the settings; use another folder"):
        train(Counting(Steps(5)), tmp_path, progress=False)


def test_only_a_run_with_samples_leaves_pictures(tmp_path):
    train(Counting(Steps(4)), tmp_path / "mute", samples_every=2, progress=False)
    train(Shown(Steps(5)), tmp_path / "shown", samples_every=2, progress=False)
    assert list((tmp_path / "mute").glob("*.png")) == []
    names = sorted(path.name for path in (tmp_path / "shown").glob("*.png"))
    assert names == ["samples-000002.png", "samples-000004.png", "samples-000005.png"]


@pytest.mark.parametrize("name", ["checkpoint_every", "samples_every"])
def test_intervals_of_no_steps_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0, but it must be at least 1"):
        train(Counting(Steps(1)), progress=False, **{name: 0})


def test_images_that_are_none_are_refused_by_what_they_are():
    with pytest.raises(ValueError, match=r"images are a list, but training needs uint8 \(N, height, width\)"):
        check_images([[1]])
    with pytest.raises(ValueError, match=r"images are uint8 \(2, 28, 27\), but training needs uint8 \(N, 28, 28\)"):
        check_images(np.zeros((2, 28, 27), np.uint8), (28, 28))


# Settings


@pytest.mark.parametrize("seed", [-1, 2**63])
@pytest.mark.parametrize("name", ["digits", "relu-edge", "encoder"])
def test_seeds_have_one_range(name, seed):
    with pytest.raises(ValueError, match=rf"seed is {seed}, but it must be"):
        RECIPES[name].changed(seed=seed)
    assert RECIPES[name].changed(seed=2**63 - 1).settings.seed == 2**63 - 1


@pytest.mark.parametrize("name", ["steps", "batch_size"])
@pytest.mark.parametrize("recipe", ["distortions", "digits-tuned", "relu-encoder"])
def test_settings_that_cannot_be_are_refused(recipe, name):
    with pytest.raises(ValueError, match=f"{name} is 0, but it must be at least"):
        RECIPES[recipe].changed(**{name: 0})


def test_an_encoder_has_steps_after_its_rise():
    with pytest.raises(ValueError, match="steps is 200, but it must be at least 201"):
        RECIPES["encoder"].changed(steps=200)


def test_an_autoencoder_has_steps_after_its_warm_up():
    with pytest.raises(ValueError, match="steps is 200, but it must be at least 201"):
        RECIPES["digits-tuned"].changed(steps=200)


def test_settings_of_another_kind_of_training_are_refused():
    with pytest.raises(ValueError, match="base_width: only the training of a DCGAN has this setting; leave it out"):
        RECIPES["relu-edge"].changed(base_width=8)
    with pytest.raises(ValueError, match="compiled is True, but only the adversarial training compiles"):
        RECIPES["relu-edge"].start(compiled=True)


def test_what_cannot_be_trained_is_refused_with_what_can():
    with pytest.raises(ValueError, match="name is 'faces', but the priors that can be trained are digits, distortions, "):
        find_recipe("faces")


def test_a_recipe_that_is_not_changed_is_the_same():
    assert RECIPES["digits"].changed(steps=None, seed=None) == RECIPES["digits"]


# Torch's state


def dcgan():
    run = Training(distortion_images()[:8], TrainingSettings(latent=3, base_width=1, steps=2, batch_size=2))
    return run, [run.G, run.D, run.average]


def relu():
    run = Autoencoding(distortion_images()[:8], AutoencoderSettings((3, 5), steps=2, encoder=4, batch_size=2))
    return run, [run.encoder, run.decoder]


def encoding():
    settings = EncoderSettings("relu-bump", "relu-edge", steps=2, channels=(2,), hidden=3, batch_size=2, warm_up=1)
    run = Encoding(distortion_images()[:8], settings)
    return run, [run.network]


@pytest.fixture
def usual():
    """Torch as it was, after the test."""
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def state(build, path):
    run, networks = build()
    run.advance()
    run.save(path)
    run.restore(path)
    run.advance()
    return [value.clone() for network in networks for value in network.state_dict().values()]


@pytest.mark.parametrize("build", [dcgan, relu, encoding])
@pytest.mark.parametrize("change", ["float64", "meta", "inference", "no_grad"])
def test_the_state_of_torch_changes_no_bit_of_a_training(build, change, usual, tmp_path):
    expected = state(build, tmp_path / "expected.safetensors")
    if change == "float64":
        torch.set_default_dtype(torch.float64)
    if change == "meta":
        torch.set_default_device("meta")
    with torch.inference_mode(change == "inference"), torch.set_grad_enabled(change != "no_grad"):
        found = state(build, tmp_path / "found.safetensors")
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(expected, found, strict=True))
    assert torch.get_default_dtype() == (torch.float64 if change == "float64" else torch.float32)
