from dataclasses import dataclass

import pytest
import torch
from torch import nn

from demod.training.checkpoints import Parts, restore_run, save_run

IDENTITY = {"settings": {"seed": 1}, "data_sha256": "f00"}


@dataclass
class Toy:
    """A network, its Adam after one step, and a stream that has been used."""

    seed: int
    known_by: dict
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self):
        self.rng = torch.Generator().manual_seed(self.seed)
        self.network = nn.Linear(3, 2)
        nn.init.normal_(self.network.weight, generator=self.rng)
        self.adam = torch.optim.Adam(self.network.parameters())
        self.network(torch.ones(3)).sum().backward()
        self.adam.step()

    def parts(self):
        return Parts({"net": self.network}, {"adam": self.adam}, self.rng)

    def identity(self):
        return self.known_by


def test_what_is_restored_is_what_was_saved_to_the_bit(tmp_path):
    run, other = Toy(1, IDENTITY, step=7, seconds=2.5), Toy(2, IDENTITY)
    save_run(run, tmp_path / "run.safetensors")
    restore_run(other, tmp_path / "run.safetensors")
    assert (other.step, other.seconds) == (7, 2.5)
    for mine, theirs in zip(run.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(run.adam.state[mine][moment], other.adam.state[theirs][moment])
    assert torch.equal(torch.randn(5, generator=run.rng), torch.randn(5, generator=other.rng))


@pytest.mark.parametrize("key", IDENTITY)
def test_a_run_that_is_another_is_refused_and_nothing_is_touched(tmp_path, key):
    save_run(Toy(1, IDENTITY, step=7), tmp_path / "run.safetensors")
    other = Toy(2, IDENTITY | {key: "another"})
    before = other.network.weight.clone()
    with pytest.raises(ValueError, match=rf"was written with other {key}; train in another folder or delete it"):
        restore_run(other, tmp_path / "run.safetensors")
    assert torch.equal(other.network.weight, before)
    assert other.step == 0


def test_a_checkpoint_is_not_code(tmp_path):
    save_run(Toy(1, IDENTITY), tmp_path / "run.safetensors")
    assert (tmp_path / "run.safetensors").read_bytes()[8:9] == b"{"  # a length, then JSON; a pickle would begin otherwise
