import pytest
import torch
from torch import nn

from demod.training.checkpoints import restore_run, save_run

IDENTITY = {"settings": {"seed": 1}, "data_sha256": "f00"}


def parts(seed):
    """A network, its Adam after one step, and a stream that has been used."""
    rng = torch.Generator().manual_seed(seed)
    network = nn.Linear(3, 2)
    nn.init.normal_(network.weight, generator=rng)
    adam = torch.optim.Adam(network.parameters())
    network(torch.ones(3)).sum().backward()
    adam.step()
    return {"net": network}, {"adam": adam}, rng


def test_what_is_restored_is_what_was_saved_to_the_bit(tmp_path):
    networks, optimisers, rng = parts(1)
    save_run(tmp_path / "run.safetensors", networks, optimisers, rng, IDENTITY | {"step": 7})
    others, their_optimisers, their_rng = parts(2)
    assert restore_run(tmp_path / "run.safetensors", others, their_optimisers, their_rng, IDENTITY)["step"] == 7
    for mine, theirs in zip(networks["net"].parameters(), others["net"].parameters(), strict=True):
        assert torch.equal(mine, theirs)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(optimisers["adam"].state[mine][moment], their_optimisers["adam"].state[theirs][moment])
    assert torch.equal(torch.randn(5, generator=rng), torch.randn(5, generator=their_rng))


@pytest.mark.parametrize("key", IDENTITY)
def test_a_run_that_is_another_is_refused_and_nothing_is_touched(tmp_path, key):
    save_run(tmp_path / "run.safetensors", *parts(1), IDENTITY)
    networks, optimisers, rng = parts(2)
    before = networks["net"].weight.clone()
    with pytest.raises(ValueError, match=rf"was written with other {key}; train in another folder or delete it"):
        restore_run(tmp_path / "run.safetensors", networks, optimisers, rng, IDENTITY | {key: "another"})
    assert torch.equal(networks["net"].weight, before)


def test_a_checkpoint_is_not_code(tmp_path):
    save_run(tmp_path / "run.safetensors", *parts(1), IDENTITY)
    assert (tmp_path / "run.safetensors").read_bytes()[8:9] == b"{"  # a length, then JSON; a pickle would begin otherwise
