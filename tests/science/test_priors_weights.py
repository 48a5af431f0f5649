from dataclasses import dataclass, field

import pytest
import torch

from demod.artifacts import sha256
from demod.priors import weights as shipped
from demod.priors.weights import load_card, load_shipped, prior_hashes, rounded, weight_hashes, write_shipped


@dataclass
class Settings:
    steps: int = 3


@dataclass
class Run:
    """What a card tells of a run of training."""

    step: int = 3
    settings: Settings = field(default_factory=Settings)
    images: torch.Tensor = field(default_factory=lambda: torch.zeros(5, 28, 28))
    data_sha256: str = "f00"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seconds: float = 1.6


STATE = {"weight": torch.tensor([1 / 3, 1e-3]), "count": torch.tensor(4)}


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    return tmp_path


def test_numbers_are_rounded_and_counts_are_not():
    tensors = rounded("toy", Run(), STATE)
    assert tensors["weight"].dtype == torch.float16
    assert torch.equal(tensors["count"], STATE["count"])


def test_a_run_that_is_not_over_is_refused():
    with pytest.raises(ValueError, match="toy stands at step 2 of 3; let the training end first"):
        rounded("toy", Run(step=2), STATE)


def test_what_is_shipped_is_loaded_with_the_card_it_was_written_with(weights):
    tensors = rounded("toy", Run(), STATE)
    written = write_shipped("toy", Run(), tensors, "a vector", 3, {"nearest": 0.5})
    card, found = load_shipped("toy")
    assert card == written == load_card("toy")
    assert {key: (value.dtype, value.tolist()) for key, value in found.items()} == {
        key: (value.dtype, value.tolist()) for key, value in tensors.items()
    }
    assert (card["held_out_images"], card["training_images"], card["seconds"], card["nearest"]) == (3, 5, 2, 0.5)
    assert (card["settings"], card["dtype"]) == ({"steps": 3}, "float16")
    assert weight_hashes() == {"toy": sha256(weights / "toy.safetensors")}


def test_a_file_that_was_damaged_is_refused(weights):
    write_shipped("toy", Run(), rounded("toy", Run(), STATE), "a vector", 1, {})
    path = weights / "toy.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # one bit
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"toy.safetensors does not match its card; `make weights` trains it again"):
        load_shipped("toy")


def test_a_name_that_is_not_shipped_is_refused_with_those_that_are(weights):
    with pytest.raises(ValueError, match="name is 'toy', but the shipped generators are: none"):
        load_card("toy")


def test_the_priors_are_the_weights_that_represent_images(weights):
    write_shipped("prior", Run(), rounded("prior", Run(), STATE), "a vector", 1, {"representation_error": {"median": 0.5}})
    write_shipped("other", Run(), rounded("other", Run(), STATE), "a vector", 1, {})
    assert prior_hashes() == {"prior": weight_hashes()["prior"]}
    assert set(weight_hashes()) == {"prior", "other"}
