"""Training under torchrun: two gloo processes on the loopback."""

import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from demod.artifacts import load_tensors
from demod.data import random_distortions
from demod.training import adversarial, loop
from demod.training import distributed as processes
from demod.training.adversarial import Training, TrainingSettings
from demod.training.loop import train

SETTINGS = TrainingSettings(latent=5, base_width=2, steps=8, batch_size=4)
STILL = replace(SETTINGS, lr=1e-12)  # steps that no weight feels: the gradients of one step are those of one point
SCRIPT = f"""
import os, signal, sys
from pathlib import Path
import numpy as np, torch
from demod.artifacts import save_tensors
from demod.training.adversarial import Training, TrainingSettings
from demod.training.distributed import processes, rank
from demod.training.loop import train

images, folder, out, dies_at = np.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])

class Mortal(Training):
    def advance(self, **options):
        if self.step == dies_at and rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().advance(**options)

torch.set_num_threads(1)
with processes("cpu") as device:
    still = Training(images, TrainingSettings(**{asdict(STILL)}), device)
    still.advance()
    gradients = {{f"{{n}}.{{k}}": p.grad for n in "GD" for k, p in getattr(still, n).named_parameters()}}
    save_tensors(out / f"gradients-{{rank()}}.safetensors", gradients, {{}})
    where = folder / f"{{rank()}}" if dies_at == -2 else folder
    run = train(Mortal(images, TrainingSettings(**{asdict(SETTINGS)}), device), where, checkpoint_every=3, progress=False)
    run.save(out / f"run-{{rank()}}.safetensors")
"""


@pytest.fixture(scope="module")
def images():
    return random_distortions(16, seed=1)


@pytest.fixture(scope="module")
def torchrun(images, tmp_path_factory):
    """Run the script above in two processes, the second of which dies at a step; return the status and standard error."""
    room = tmp_path_factory.mktemp("script")
    np.save(room / "images.npy", images)
    (room / "script.py").write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}

    def run(folder, out, dies_at=-1):
        command = [*launcher, room / "script.py", room / "images.npy", folder, out, str(dies_at)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        return ended.returncode, ended.stderr

    return run


@pytest.fixture(scope="module")
def pair(torchrun, tmp_path_factory):
    """The folder of a run of two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("pair")
    assert torchrun(folder, folder) == (0, "")
    return folder


def assert_same_tensors(first, second):
    (expected, header), (found, other) = load_tensors(first), load_tensors(second)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    assert header["step"] == other["step"] == SETTINGS.steps


@pytest.mark.processes
def test_all_processes_end_with_the_same_numbers(pair):
    assert_same_tensors(pair / "run-0.safetensors", pair / "run-1.safetensors")
    assert_same_tensors(pair / "run-0.safetensors", pair / "checkpoint.safetensors")


@pytest.mark.nightly
def test_processes_that_were_killed_go_on_to_the_same_bits(torchrun, pair, tmp_path):
    status, message = torchrun(tmp_path, tmp_path, dies_at=5)
    assert status != 0
    assert "SIGKILL" in message
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == 3
    assert torchrun(tmp_path, tmp_path)[0] == 0
    for k in (0, 1):
        assert_same_tensors(pair / "run-0.safetensors", tmp_path / f"run-{k}.safetensors")


@pytest.mark.nightly
def test_processes_that_see_different_checkpoints_are_refused(torchrun, images, tmp_path):
    train(Training(images, replace(SETTINGS, steps=2)), tmp_path / "0", progress=False)
    status, message = torchrun(tmp_path, tmp_path, dies_at=-2)
    assert status != 0
    assert "is not the same for all processes; choose a folder that every machine can see" in message


def test_a_checkpoint_that_another_process_does_not_see_is_refused(images, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "agree", lambda *_: False)
    with pytest.raises(ValueError, match="is not the same for all processes; choose a folder that every machine can see"):
        train(Training(images, SETTINGS), tmp_path, progress=False)


def test_the_gradients_of_two_processes_are_the_means_over_their_shares(pair, images, monkeypatch):
    shares = []
    for k in (0, 1):
        monkeypatch.setattr(adversarial, "share", lambda batch, k=k: batch.chunk(2)[k])
        run = Training(images, STILL)
        run.advance()
        shares.append({f"{n}.{key}": p.grad for n in "GD" for key, p in getattr(run, n).named_parameters()})
    for k in (0, 1):
        averaged, _ = load_tensors(pair / f"gradients-{k}.safetensors")
        for key, gradient in averaged.items():
            assert not torch.equal(shares[0][key], shares[1][key])
            torch.testing.assert_close(gradient, (shares[0][key] + shares[1][key]) / 2, rtol=1e-5, atol=1e-7)


def test_shares_make_up_the_batch(monkeypatch):
    batch, shares = torch.arange(12).view(6, 2), []
    for k in range(3):
        monkeypatch.setattr(processes, "count", lambda: 3)
        monkeypatch.setattr(processes, "rank", lambda k=k: k)
        shares.append(processes.share(batch))
    assert torch.equal(torch.cat(shares), batch)
    assert {len(share) for share in shares} == {2}


def test_a_process_that_stands_alone_is_the_first_of_one():
    network = torch.nn.BatchNorm1d(2)
    with processes.processes("cpu") as device:
        assert device == torch.device("cpu")
        assert (processes.rank(), processes.count()) == (0, 1)
        assert processes.parallel(network) is network
        assert processes.agree(3, device)


def test_a_batch_that_cannot_be_shared_is_refused(images, monkeypatch):
    monkeypatch.setattr(adversarial, "count", lambda: 3)
    with pytest.raises(ValueError, match="batch_size is 4, but 3 processes need a multiple of 3"):
        Training(images, SETTINGS)


def test_only_the_first_process_writes(images, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "rank", lambda: 1)
    train(
        Training(images, replace(SETTINGS, steps=2)), tmp_path / "run", samples_every=1, checkpoint_every=1, progress=False
    )
    assert list(tmp_path.iterdir()) == []
