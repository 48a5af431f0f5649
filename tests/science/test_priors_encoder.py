import re
from dataclasses import replace
from math import nan

import pytest
import torch
from torch import nn

from demod.data import random_distortions, resize
from demod.dcgan import load_generator
from demod.demodulation import FAST_SETTING, PAPER_SETTING, infer, recover
from demod.generators import ReLUGenerator
from demod.priors import weights as shipped
from demod.priors.encoder import REFINEMENTS, Encoder, encoder_network, filled, load_encoder
from demod.priors.relu import load_prior
from demod.priors.weights import load_card, weight_hashes

LATENTS = 3, 2


@pytest.fixture
def encoder(rng):
    """A small encoder whose normalisation is not the identity."""
    network = encoder_network((4, 8), 16, sum(LATENTS))
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.1 + torch.rand(value.shape, generator=rng) / 4)
    return Encoder(network, LATENTS)


@pytest.fixture
def pictures(rng):
    return resize(random_distortions(5, seed=3)) * (0.5 + 0.5 * torch.rand(5, 64, 64, generator=rng))


@pytest.fixture
def priors(rng):
    return [ReLUGenerator.gaussian((n, 8, 4096), rng, dtype=torch.float32) for n in LATENTS]


# The network


@pytest.mark.parametrize("channels", [(2,), (2, 3, 4, 5, 6, 7)])
def test_each_convolution_halves_the_side(channels):
    network = encoder_network(channels, 4, 5)
    sides = []
    picture = torch.zeros(2, 1, 64, 64)
    for layer in network:
        picture = layer(picture)
        sides += [picture.shape[-1]] if isinstance(layer, nn.Conv2d) else []
    assert sides == [64 >> (i + 1) for i in range(len(channels))]
    assert picture.shape == (2, 5)


@pytest.mark.parametrize("channels", [(), (1,) * 7])
def test_a_side_is_halved_one_to_six_times(channels):
    with pytest.raises(
        ValueError, match=f"channels has {len(channels)} entries, but a side of 64 is halved one to six times"
    ):
        encoder_network(channels, 4, 5)


# The encoder


@pytest.mark.parametrize("batch", [(), (5,), (0,), (1, 5)])
def test_codes_keep_any_batch_shape(encoder, pictures, batch):
    h, m = encoder(pictures[0] if batch == () else pictures[: batch[-1]].reshape(*batch, 64, 64))
    assert (h.shape, m.shape) == ((*batch, 3), (*batch, 2))


@pytest.mark.parametrize("c", [1e-6, 0.3, 7.0])
def test_a_dim_picture_has_the_codes_of_a_bright_one(encoder, pictures, c):
    for dim, bright in zip(encoder(c * pictures), encoder(pictures), strict=True):
        torch.testing.assert_close(dim, bright, rtol=1e-5, atol=1e-5)
    assert encoder(pictures)[0].std(0).min() > 1e-3  # the pictures do not all have the same codes


def test_a_picture_has_the_same_codes_in_any_company(encoder, pictures):
    together = torch.cat(encoder(pictures), -1)
    alone = torch.stack([torch.cat(encoder(picture), -1) for picture in pictures])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_pictures_beyond_one_pass_have_the_codes_of_their_own(encoder, pictures):
    many = pictures.repeat(60, 1, 1)  # 300: more than one pass takes
    torch.testing.assert_close(encoder(many)[0][-5:], encoder(pictures)[0], rtol=1e-5, atol=1e-5)


def test_codes_have_the_type_of_the_pictures(encoder, pictures):
    assert {codes.dtype for codes in encoder(pictures.double())} == {torch.float64}
    half = encoder.to(dtype=torch.bfloat16)(pictures)
    assert {codes.dtype for codes in half} == {torch.float32}
    torch.testing.assert_close(half[0], encoder(pictures)[0], rtol=0.05, atol=0.05)


def test_an_encoder_does_not_follow_the_network_that_it_was_made_of(pictures):
    network = encoder_network((4, 8), 16, 5)
    E = Encoder(network, LATENTS)
    before = E(pictures)[0]
    nn.init.zeros_(network[-1].weight)
    assert torch.equal(E(pictures)[0], before)
    assert network.training
    assert network[-1].weight.requires_grad


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: y[:, :28, :28], "y has shape (5, 28, 28), but images of 64 × 64 pixels are required"),
        (lambda y: 0 * y, "y has a picture without a positive pixel"),
        (lambda y: nan * y, "y has entries that are NaN or infinite"),
        (lambda y: (255 * y).byte(), "y is torch.uint8, but real floating-point numbers are required"),
        (lambda y: y.half(), "y is torch.float16, but single or double precision is required"),
    ],
)
def test_what_is_no_picture_is_refused(encoder, pictures, change, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        encoder(change(pictures))


def test_a_network_that_makes_other_codes_is_refused():
    network = encoder_network((4, 8), 16, 5)
    with pytest.raises(ValueError, match=r"network makes \(1, 5\) of one picture, but \(1, 6\) is required"):
        Encoder(network, (3, 3))
    with pytest.raises(ValueError, match="network takes no pictures"):
        Encoder(nn.Linear(3, 5), LATENTS)


# A refinement


@pytest.fixture
def refined(encoder, rng):
    """The same encoder with a refinement that corrects what it can be seen to correct."""
    refinement = encoder_network((4, 8), 16, sum(LATENTS), seen=4)
    for value in refinement.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.1 + torch.rand(value.shape, generator=rng) / 4)
    return Encoder(encoder.network, LATENTS, refinement=refinement)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_refinement_corrects_the_codes_by_what_the_first_answer_leaves(refined, priors, pictures, dtype):
    y = 0.5 * pictures.to(dtype)
    G1, G2 = (G.to(dtype=dtype) for G in priors)
    h, m = refined(y)
    w, x, bright = G1(h).view_as(y), G2(m).view_as(y), y / y.amax((1, 2), keepdim=True)
    seen = torch.stack([bright, w, x, 10 * (w * x - bright)], 1)
    expected = torch.cat([h, m], 1) + refined.refinement(seen.float()).to(dtype)
    found = refined.answer(y, G1, G2)
    torch.testing.assert_close(torch.cat(found, 1), expected)
    assert {codes.dtype for codes in found} == {dtype}


@pytest.mark.parametrize("batch", [(), (0,), (1, 5)])
def test_a_refined_answer_keeps_any_batch_shape(refined, priors, pictures, batch):
    y = pictures[0] if batch == () else pictures[: batch[-1]].reshape(*batch, 64, 64)
    h, m = refined.answer(y, *priors)
    assert (h.shape, m.shape) == ((*batch, 3), (*batch, 2))


def test_a_refined_answer_does_not_depend_on_the_other_pictures(refined, priors, pictures):
    many = refined.answer(pictures.repeat(60, 1, 1), *priors)
    torch.testing.assert_close(many[0][-5:], refined.answer(pictures, *priors)[0], rtol=1e-4, atol=1e-4)


def test_without_a_refinement_the_answer_is_the_first(encoder, priors, pictures):
    for found, first in zip(encoder.answer(pictures, *priors), encoder(pictures), strict=True):
        assert torch.equal(found, first)


def test_the_answer_of_infer_is_the_refined_one(refined, priors, pictures):
    found = infer(pictures, encoder=refined, signal_prior=priors[0], modulator_prior=priors[1])
    h, _ = refined.answer(pictures, *priors)
    torch.testing.assert_close(found.signal.flatten(1), priors[0](h))


def test_a_moved_encoder_takes_its_refinement_along(refined):
    moved = refined.to(dtype=torch.float64)
    assert {value.dtype for value in moved.refinement.parameters()} == {torch.float64}


def test_a_refinement_that_sees_something_else_is_refused(encoder):
    with pytest.raises(ValueError, match=r"refinement takes no pictures \(B, 4, 64, 64\)"):
        Encoder(encoder.network, LATENTS, refinement=encoder_network((4, 8), 16, 5))
    with pytest.raises(ValueError, match=r"refinement makes \(1, 6\) of one picture, but \(1, 5\) is required"):
        Encoder(encoder.network, LATENTS, refinement=encoder_network((4, 8), 16, 6, seen=4))


# Pixels that are missing


def test_a_missing_pixel_is_the_mean_of_the_nearest_square_in_which_one_was_seen(rng):
    y = torch.rand(2, 64, 64, generator=rng, dtype=torch.float64)
    mask = torch.rand(2, 64, 64, generator=rng) < 0.3
    mask[0, :20] = False  # a hole
    found = filled(torch.where(mask, y, nan), mask)
    assert torch.equal(found[mask], y[mask])
    for k, i, j in [(1, 5, 6), (0, 3, 40), (0, 15, 0), (1, 63, 63), (0, 0, 0)]:
        if mask[k, i, j]:
            continue
        for reach in (1, 2, 4, 8, 16, 32, 64):
            square = slice(max(i - reach, 0), i + reach + 1), slice(max(j - reach, 0), j + reach + 1)
            if mask[k][square].any():
                break
        assert found[k, i, j].item() == pytest.approx(y[k][square][mask[k][square]].mean().item(), rel=1e-12)


def test_one_seen_pixel_fills_a_picture():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[0, 0] = True
    y = torch.full((3, 64, 64), 0.5)
    assert torch.equal(filled(y, mask), y)


def test_what_stands_in_a_missing_pixel_does_not_matter(encoder, priors, pictures, rng):
    mask = torch.rand(64, 64, generator=rng) < 0.6
    given = {"encoder": encoder, "signal_prior": priors[0], "modulator_prior": priors[1], "mask": mask}
    found, other = infer(pictures, **given), infer(torch.where(mask, pictures, nan), **given)
    assert torch.equal(found.signal, other.signal)
    error = (found.signal * found.modulator - pictures).square()
    torch.testing.assert_close(found.mean_squared_residual, error[:, mask].mean(1))
    torch.testing.assert_close(found.relative_residual, error[:, mask].mean(1) / pictures[:, mask].amax(1).square())


def test_a_mask_of_ones_changes_nothing(encoder, priors, pictures):
    given = {"encoder": encoder, "signal_prior": priors[0], "modulator_prior": priors[1]}
    found = infer(pictures, mask=torch.ones(5, 64, 64, dtype=torch.bool), **given)
    assert torch.equal(found.signal, infer(pictures, **given).signal)


# What it answers


def test_the_answer_is_what_the_priors_make_of_the_codes(encoder, priors, pictures):
    y = 0.5 * pictures
    found = infer(y, encoder=encoder, signal_prior=priors[0], modulator_prior=priors[1])
    h, m = encoder(y)
    torch.testing.assert_close(found.signal.flatten(1), priors[0](h))
    torch.testing.assert_close(found.modulator.flatten(1), y.amax((1, 2))[:, None] * priors[1](m))


def test_the_residual_is_that_of_the_images_returned(encoder, priors, pictures):
    y = (0.5 * pictures)[None]
    found = infer(y, encoder=encoder, signal_prior=priors[0], modulator_prior=priors[1])
    residual = (found.signal * found.modulator - y).square().mean((-2, -1))
    torch.testing.assert_close(found.mean_squared_residual, residual)
    torch.testing.assert_close(found.relative_residual, residual / y.amax((-2, -1)).square())
    assert found.mean_squared_residual.shape == (1, 5)
    assert torch.equal(found.history, found.mean_squared_residual[None])


def test_images_beyond_one_block_are_answered_like_the_others(encoder, priors, pictures):
    answers = [
        infer(y, encoder=encoder, signal_prior=priors[0], modulator_prior=priors[1])
        for y in (pictures.repeat(20, 1, 1), pictures)
    ]
    torch.testing.assert_close(answers[0].modulator[-5:], answers[1].modulator, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answers[0].mean_squared_residual[-5:], answers[1].mean_squared_residual, rtol=1e-4, atol=0)


def test_an_encoder_for_other_priors_is_refused(encoder, priors, pictures):
    with pytest.raises(ValueError, match=r"encoder makes codes of \(3, 2\) entries but the priors take \(2, 3\)"):
        infer(pictures, encoder=encoder, signal_prior=priors[1], modulator_prior=priors[0])
    with pytest.raises(TypeError, match=r"encoder is .encoder., but an Encoder is required; see demod\.priors\.encoder"):
        infer(pictures, encoder="encoder", signal_prior=priors[0], modulator_prior=priors[1])
    with pytest.raises(ValueError, match="signal_prior, modulator_prior is None, but codes mean nothing to other priors"):
        infer(pictures, encoder=encoder)
    with pytest.raises(ValueError, match=r"encoder, modulator_prior is None, .*give all three or none"):
        infer(pictures, signal_prior=priors[0])
    with pytest.raises(ValueError, match="divide by the peak"):
        infer(4 * pictures, encoder=encoder, signal_prior=priors[0], modulator_prior=priors[1])


# As a start

AMORTISED = replace(FAST_SETTING, iterations=3)


@pytest.mark.parametrize("setting", [AMORTISED, replace(PAPER_SETTING, iterations=3, amortised=True)])
@pytest.mark.parametrize("starts", [1, 3])
def test_an_amortised_setting_begins_at_the_answer_of_the_encoder(encoder, priors, pictures, setting, starts):
    given = {"encoder": encoder, "signal_prior": priors[0], "modulator_prior": priors[1]}
    answer = infer(pictures, **given)
    found = recover(pictures, setting=replace(setting, iterations=0, brightened_below=1.0), **given)
    torch.testing.assert_close(found.signal, answer.signal)
    torch.testing.assert_close(found.modulator, answer.modulator)
    best = recover(pictures, setting=replace(setting, starts=starts, brightened_below=1.0), **given)
    assert (best.mean_squared_residual <= answer.mean_squared_residual).all()


def test_a_masked_start_is_the_answer_to_what_was_seen(encoder, priors, pictures, rng):
    mask = torch.rand(64, 64, generator=rng) < 0.6
    given = {"encoder": encoder, "signal_prior": priors[0], "modulator_prior": priors[1], "mask": mask}
    found = recover(torch.where(mask, pictures, nan), setting=replace(AMORTISED, iterations=0), **given)
    torch.testing.assert_close(found.signal, infer(pictures, **given).signal)


def test_encoder_and_setting_ask_for_each_other(encoder, priors, pictures):
    given = {"signal_prior": priors[0], "modulator_prior": priors[1]}
    with pytest.raises(ValueError, match=r"encoder is given, but the setting starts from random codes; give FAST_SETTING"):
        recover(pictures, encoder=encoder, **given)
    with pytest.raises(ValueError, match=r"encoder is None, but codes mean nothing to other priors"):
        recover(pictures, setting=AMORTISED, **given)


# Shipped encoders

SHIPPED = ["encoder", "relu-encoder"]


def generators(name):
    settings = load_card(name)["settings"]
    return [
        load_prior(prior.removeprefix("relu-")) if prior.startswith("relu-") else load_generator(prior)
        for prior in (settings["signal"], settings["modulator"])
    ]


def test_the_encoders_and_their_refinements_are_the_weights_that_have_codes_for_two_priors():
    known = {name for name in weight_hashes() if "latents" in load_card(name)}
    assert known == {*SHIPPED, *REFINEMENTS.values()}
    assert all(load_card(refinement)["settings"]["refines"] == name for name, refinement in REFINEMENTS.items())


def test_an_encoder_comes_with_its_refinement_unless_it_is_not_wanted():
    assert load_encoder("encoder").refinement is not None
    assert load_encoder("encoder", refined=False).refinement is None
    assert load_encoder("relu-encoder").refinement is None


@pytest.mark.parametrize("name", [*SHIPPED, *REFINEMENTS.values()])
def test_a_shipped_encoder_was_trained_through_the_generators_that_are_shipped(name):
    card = load_card(name)
    assert card["through"] == {prior: weight_hashes()[prior] for prior in card["through"]}
    settings = card["settings"]
    assert set(card["through"]) == {settings["signal"], settings["modulator"], settings["refines"]} - {None}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_encoder_returns_to_images_in_the_range_of_its_priors(name, rng):
    G1, G2 = generators(name)
    E = load_encoder(name)
    assert E.latents == (G1.widths[0], G2.widths[0])
    y = resize(random_distortions(8, seed=5))  # white signals, which every one of the digits mostly is
    found = infer(y, encoder=E, signal_prior=G1, modulator_prior=G2)
    assert found.mean_squared_residual.median() < 0.2 * y.flatten(1).var(1).median()


def test_the_default_answer_is_nearer_than_where_the_descent_begins():
    y = resize(random_distortions(4, seed=6))
    assert recover(y).history[0].min() > 3 * infer(y).mean_squared_residual.max()


def test_what_is_no_encoder_is_not_loaded_as_one():
    for name in ("digits", "encoder-refinement"):
        with pytest.raises(ValueError, match=f"name is '{name}', but the encoders are encoder and relu-encoder"):
            load_encoder(name)


def test_all_weights_together_stay_below_48_megabytes():
    assert sum(path.stat().st_size for path in shipped.WEIGHTS.iterdir()) < 48e6
