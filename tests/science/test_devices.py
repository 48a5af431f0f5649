"""No computation mixes devices, as far as a second device can tell that is pretended on the CPU."""

from dataclasses import replace

import pytest
import torch
from pretended_device import PretendedDevice

from demod.dcgan import load_generator, load_notebook_generator
from demod.demodulation import drawn_problems, infer, recover
from demod.descent import descend
from demod.gauss_newton import solve
from demod.generators import ReLUGenerator
from demod.priors.relu import load_prior
from demod.settings import BEST_SETTING, FAST_SETTING, PAPER_SETTING, RELU_SETTING


@pytest.fixture(autouse=True)
def second_device():
    """ "cuda" is a device, as long as a test runs."""
    with PretendedDevice():
        yield


def test_the_pretended_device_tells_where_tensors_are_and_refuses_to_mix_them():
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    assert [x.device.type for x in (here, there, there + there, torch.zeros_like(there), there.cpu(), here.to(there))] == [
        "cpu", "cuda", "cuda", "cuda", "cpu", "cuda",
    ]  # fmt: skip
    assert torch.nn.Linear(3, 2).to("cuda").weight.device.type == "cuda"
    with pytest.raises(RuntimeError, match="add got tensors on cpu and on cuda:0"):
        here + there


def problems():
    rng = torch.Generator().manual_seed(0)
    G1, G2 = (ReLUGenerator.gaussian((3, 30, 120), rng, device="cuda") for _ in range(2))
    h0, m0 = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64).to("cuda")
    return G1, G2, G1(h0) * G2(m0), rng


SOLVERS = {
    "descend": lambda G1, G2, y, rng: descend(G1, G2, y, rng=rng, iterations=30, momentum=0.5),
    "solve": lambda G1, G2, y, rng: solve(G1, G2, y, rng=rng, iterations=6),
    "solve, starts": lambda G1, G2, y, rng: solve(G1, G2, y, rng=rng, iterations=4, starts=3, dampings=3),
    "solve, masked": lambda G1, G2, y, rng: solve(G1, G2, y, rng=rng, iterations=4, mask=y >= 0),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_stays_on_the_device_of_its_observation_and_finds_the_same(name):
    G1, G2, y, rng = problems()
    found = SOLVERS[name](G1, G2, y, rng)
    assert {value.device.type for value in found.tensors().values()} == {"cuda"}
    G1, G2 = (ReLUGenerator([W.cpu() for W in G.weights], alpha=G.alpha) for G in (G1, G2))
    _, _, y, rng = problems()
    here = SOLVERS[name](G1, G2, y.cpu(), rng)
    assert torch.equal(here.objective, found.objective.cpu())


@pytest.mark.parametrize("setting", [PAPER_SETTING, BEST_SETTING, FAST_SETTING], ids=["paper", "best", "fast"])
def test_a_picture_stays_on_its_device(setting):
    w, x = drawn_problems(1)
    found = recover((w * x).to("cuda"), setting=replace(setting, iterations=1))
    assert {found.signal.device.type, found.modulator.device.type, found.history.device.type} == {"cuda"}


@pytest.mark.parametrize("setting", [RELU_SETTING, BEST_SETTING], ids=["Algorithm 1", "Gauss–Newton"])
def test_a_picture_with_relu_priors_stays_on_its_device(setting):
    w, x = drawn_problems(1)
    G1, G2 = (load_prior(name, device="cuda") for name in ("digits", "bump"))
    y, mask = (w * x).to("cuda"), torch.ones(64, 64, dtype=torch.bool, device="cuda")
    found = recover(y, setting=replace(setting, iterations=1), signal_prior=G1, modulator_prior=G2, mask=mask)
    assert found.signal.device.type == "cuda"


def test_an_encoder_answers_on_the_device_of_its_pictures():
    w, x = drawn_problems(2)
    assert infer((w * x).to("cuda")).signal.device.type == "cuda"


def test_a_generator_on_another_device_than_its_codes_is_refused_in_words():
    for G in (load_generator("distortions", device="cuda"), load_notebook_generator("distortions", device="cuda")):
        with pytest.raises(ValueError, match="z is on cpu but the weights on cuda:0; move one"):
            G(torch.zeros(50))
