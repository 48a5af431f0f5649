from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from demod.data import distortion_images, invert, random_distortions, resize
from demod.generators import ReLUGenerator
from demod.objective import objective
from demod.priors import weights as shipped
from demod.priors.encoder import load_encoder
from demod.priors.weights import weight_hashes
from demod.training.encoder import EncoderSettings, Encoding
from demod.training.loop import train
from demod.training.recipes import ship, shipped_as

SMALL = EncoderSettings("relu-bump", "relu-edge", steps=30, channels=(4, 8), hidden=16, batch_size=8, warm_up=5)


@pytest.fixture
def images():
    return invert(255 - distortion_images()[::200])


def network(run):
    return run.network.state_dict().values()


def test_training_lowers_the_residual(images):
    run = Encoding(images, replace(SMALL, steps=80))
    residuals = [run.advance()["residual"] for _ in range(80)]
    assert np.mean(residuals[-10:]) < 0.5 * np.mean(residuals[:10])


def test_a_run_that_was_cut_off_goes_on_bit_for_bit(images, tmp_path):
    whole = train(Encoding(images, SMALL), progress=False)
    first = Encoding(images, SMALL)
    for _ in range(12):
        first.advance()
    first.save(tmp_path / "checkpoint.safetensors")
    continued = train(Encoding(images, SMALL), tmp_path, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(network(whole), network(continued), strict=True))
    assert whole.step == continued.step == 30


def test_the_weights_follow_the_gradient_of_the_mean_objective(images, monkeypatch):
    run, twin = Encoding(images, SMALL), Encoding(images, SMALL)
    run.advance()
    y = twin._pictures()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = twin.network(y[:, None]).float()
    n = twin.G1.widths[0]
    objective(twin.G1, twin.G2, codes[:, :n], codes[:, n:], y.flatten(1)).mean().backward()  # by automatic differentiation
    for found, expected in zip(run.network.parameters(), twin.network.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5 * expected.grad.abs().max().item() + 1e-9)


def test_an_encoder_begins_at_the_centres_of_its_priors(images):
    run = Encoding(images, SMALL)
    torch.testing.assert_close(run.network[-1].bias.detach(), torch.cat([run.G1.centre, run.G2.centre]))


def test_the_pictures_are_products_with_distortions_of_the_papers_ranges_at_full_brightness():
    run = Encoding(np.full((3, 28, 28), 255, np.uint8), replace(SMALL, batch_size=200))
    pictures = run._pictures()  # of white images: the distortions themselves
    assert torch.equal(pictures.amax((1, 2)), torch.ones(200))
    known = resize(random_distortions(2000, seed=1))
    distance = torch.cdist(pictures.flatten(1), (known / known.amax((1, 2), keepdim=True)).flatten(1)).amin(1)
    assert distance.max() < 0.05 * pictures.flatten(1).norm(dim=1).median()
    assert len(pictures.flatten(1).unique(dim=0)) > 190


def test_the_step_size_rises_and_falls_along_straight_lines(images):
    run, seen = Encoding(images, SMALL), []
    for _ in range(30):
        run.advance(read_losses=False)
        seen.append(run.adam.param_groups[0]["lr"] / SMALL.lr)
    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert seen[5:] == pytest.approx([(30 - step) / 25 for step in range(5, 30)])


# Refinements

REFINING = replace(SMALL, signal="digits-tuned", modulator="distortions", refines="encoder", batch_size=4, lr=1e-4)


@pytest.fixture(scope="module")
def refining():
    """A run after a few steps, and the mean-squared residual of each."""
    run = Encoding(invert(255 - distortion_images()[::200]), REFINING)
    return run, [run.advance()["residual"] for _ in range(3)]


def test_a_refinement_begins_by_leaving_the_answer_nearly_as_it_is():
    run = Encoding(invert(255 - distortion_images()[::200]), REFINING)
    y = run._pictures()
    first = torch.cat(run.refined(y), 1)
    correction = run._codes(y) - first
    assert 0 < correction.norm() < 0.1 * first.norm()


def test_a_refinement_is_trained_on_the_residual_after_it_and_the_encoder_stands_still(refining):
    run, residuals = refining
    assert np.isfinite(residuals).all()
    shipped_first = load_encoder("encoder", refined=False)
    pairs = zip(run.refined.network.parameters(), shipped_first.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert run.parts().networks.keys() == {"network"}


def test_a_trained_refinement_answers_as_the_run_that_trained_it(refining):
    run, _ = refining
    run.network.eval()
    y = run._pictures()
    E = run.encoder(run.trained())
    h, m = E.answer(y, run.G1, run.G2)
    with torch.autocast("cpu", enabled=False):
        expected = run._codes(y)
    torch.testing.assert_close(torch.cat([h, m], 1), expected, rtol=0.02, atol=0.02)
    assert not torch.equal(h, E(y)[0])
    run.network.train()


def test_a_checkpoint_of_other_settings_is_refused(images, tmp_path):
    Encoding(images, SMALL).save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ValueError, match="was written with other settings; train in another folder or delete it"):
        train(Encoding(images, replace(SMALL, steps=31)), tmp_path, progress=False)


def test_images_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"training needs uint8 \(N, 28, 28\)"):
        Encoding(np.zeros((3, 28, 28)), SMALL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 5}, "steps is 5, but it must be at least 6"),
        ({"batch_size": 1}, "batch_size is 1, but it must be at least 2"),
        ({"lr": 0.0}, "lr is 0.0, but it must be positive"),
        ({"seed": -1}, "seed is -1, but it must be at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **change)


def test_a_shipped_encoder_is_that_of_the_run_in_half_precision_and_its_card_has_its_scores(images, tmp_path, monkeypatch):
    run = train(Encoding(images, SMALL), progress=False)
    for name in ("relu-bump", "relu-edge"):
        for kind in ("json", "safetensors"):
            (tmp_path / f"{name}.{kind}").write_bytes((shipped.WEIGHTS / f"{name}.{kind}").read_bytes())
    through = {name: weight_hashes()[name] for name in ("relu-bump", "relu-edge")}
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    held_out = torch.stack([resize(random_distortions(6, seed=seed)) for seed in (3, 4)])
    card = ship("toy", run, held_out)
    assert card["settings"] == asdict(SMALL) | {"channels": [4, 8]}
    assert (card["through"], card["latents"], card["held_out_images"]) == (through, [50, 50], 6)
    assert card["signal_psnr"]["one_in_ten"] <= card["signal_psnr"]["median"]
    assert card["mean_squared_residual"]["median"] <= card["mean_squared_residual"]["one_in_ten"]
    assert shipped_as(card).startswith(f"median PSNR of the signal {card['signal_psnr']['median']:.1f} dB")
    y = held_out[0]
    exact, found = run.encoder(run.trained())(y), load_encoder("toy")(y)
    for a, b in zip(found, exact, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=5e-3 * b.abs().max().item())


def test_the_generators_stand_still(images):
    run = Encoding(images, SMALL)
    before = [W.clone() for W in run.G1.weights]
    run.advance()
    assert isinstance(run.G1, ReLUGenerator)
    assert all(torch.equal(a, b) for a, b in zip(before, run.G1.weights, strict=True))
