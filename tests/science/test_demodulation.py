import subprocess
import sys
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from demod import demodulation
from demod.data import invert, random_distortions, resize
from demod.dcgan import generator_network, load_generator
from demod.demodulation import (
    PAPER_SETTING,
    GaussNewtonSetting,
    Setting,
    align,
    drawn_problems,
    mnist_problems,
    recover,
    score,
)
from demod.descent import default_step_size, descend
from demod.generators import ReLUGenerator
from demod.objective import objective
from demod.priors.image import ImageGenerator


def rows(images):
    return images.flatten(-2)


def toy_prior(latent, seed):
    """A small convolutional generator whose images differ visibly from code to code."""
    rng = torch.Generator().manual_seed(seed)
    network = generator_network(latent, 4).eval()
    for layer in network[::3]:  # transposed convolutions; their variance keeps that of the signal from layer to layer
        torch.nn.init.normal_(layer.weight, 0, layer.in_channels**-0.5, generator=rng)
    return ImageGenerator(network)


# Scores


@pytest.fixture
def images(rng):
    """Estimates and truths, 5 images each."""
    return torch.rand(2, 5, 64, 64, generator=rng, dtype=torch.float64)


def test_no_scale_brings_an_estimate_closer_than_its_alignment(images):
    estimate, truth = images
    error = (align(estimate, truth) - truth).square().sum((-2, -1))
    scales = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None, None, None]
    scanned = (scales * estimate - truth).square().sum((-2, -1)).min(0).values
    assert (error <= scanned).all()
    # the scan has steps of 1e-2, so its best is within ‖x̂‖² (5e-3)² of the minimum
    assert (scanned - error <= 2.6e-5 * estimate.square().sum((-2, -1))).all()


def test_the_alignment_is_stationary_in_the_scale(images):
    estimate, truth = images
    remainder = align(estimate, truth) - truth
    derivative = (remainder * estimate).sum((-2, -1))
    assert (derivative.abs() < 1e-10).all()


def test_an_estimate_of_zero_stays_zero(images):
    _, truth = images
    assert not align(torch.zeros_like(truth), truth).any()
    expected = -10 * truth.square().mean((-2, -1)).log10()
    torch.testing.assert_close(score(torch.zeros_like(truth), truth).psnr, expected)


@pytest.mark.parametrize("c", [1e-3, 0.5, 40.0, -2.0])
def test_scores_do_not_depend_on_the_scale_of_the_estimate(images, c):
    estimate, truth = images
    plain, scaled = score(estimate, truth), score(c * estimate, truth)
    torch.testing.assert_close(scaled.psnr, plain.psnr)
    torch.testing.assert_close(scaled.ssim, plain.ssim)


@pytest.mark.parametrize("decibels", [10.0, 20.0, 37.5])
def test_an_error_of_known_energy_has_its_known_psnr(decibels):
    # The error is orthogonal to the estimate, so that alignment leaves it alone.
    estimate, error = torch.zeros(2, 64, 64, dtype=torch.float64)
    estimate[:, ::2] = 0.5
    error[:, 1::2] = 2**0.5 * 10 ** (-decibels / 20)
    assert score(estimate, estimate + error).psnr.item() == pytest.approx(decibels, abs=1e-10)


def test_a_constant_estimate_scores_the_variance_of_the_truth(images):
    _, truth = images
    variance = truth.var((-2, -1), correction=0)
    torch.testing.assert_close(score(torch.full_like(truth, 0.3), truth).psnr, -10 * variance.log10())


def test_a_perfect_estimate_up_to_scale_is_rated_as_such(images):
    _, truth = images
    perfect = score(3 * truth, truth)
    assert (perfect.psnr > 250).all()
    torch.testing.assert_close(perfect.ssim, torch.ones(5, dtype=torch.float64))


def test_scores_are_those_of_scikit_image_on_the_aligned_estimate(images):
    estimate, truth = images
    found = score(estimate, truth)
    for k in range(5):
        a, b = estimate[k].numpy(), truth[k].numpy()
        aligned = a * (a * b).sum() / (a * a).sum()
        assert found.psnr[k].item() == pytest.approx(peak_signal_noise_ratio(b, aligned, data_range=1.0), abs=1e-9)
        assert found.ssim[k].item() == pytest.approx(structural_similarity(b, aligned, data_range=1.0), abs=1e-9)


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)])
def test_scores_keep_any_batch_shape(batch):
    result = score(torch.rand(*batch, 64, 64), torch.rand(*batch, 64, 64))
    assert result.psnr.shape == result.ssim.shape == batch


# Settings


def test_the_papers_step_of_one_is_two_over_4096_on_the_sum(monkeypatch, toy):
    G1, G2, y, _, _ = toy
    seen = {}

    def spy(*args, **settings):
        seen.update(settings)
        return descend(*args, **settings)

    monkeypatch.setattr(demodulation, "descend", spy)
    setting = replace(PAPER_SETTING, iterations=2)
    recover(y, setting=setting, signal_prior=G1, modulator_prior=G2)
    assert seen["step_size"] == 2 / 4096
    assert (seen["momentum"], seen["reflect_every"], seen["balance"], seen["tolerance"]) == (0.9, 1, True, 0)
    assert not seen.get("simultaneous", False)


def test_the_papers_setting_is_the_one_it_states():
    stated = Setting(step=1.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=1)
    assert stated == PAPER_SETTING


def test_a_step_of_one_descends_the_mean_squared_loss(toy):
    G1, G2, y, _, _ = toy
    setting = Setting(step=1.0, momentum=0.0, iterations=1, reflect_every=0, balance=False, starts=1)
    found = recover(y, setting=setting, signal_prior=G1, modulator_prior=G2, seed=4)
    start = descend(G1, G2, rows(y)[None], step_size=1.0, iterations=0, rng=torch.Generator().manual_seed(4))
    h, m = start.h[0].requires_grad_(), start.m[0]
    loss = (G1(h) * G2(m) - rows(y)).square().mean(-1)
    (slope,) = torch.autograd.grad(loss.sum(), h)
    torch.testing.assert_close(rows(found.signal), G1(h.detach() - slope), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.history[0], loss.detach())


# Recovery


@pytest.fixture
def toy(rng):
    """An in-range problem for random networks: G1, G2, three observations with peak one, and their factors."""
    G1, G2 = (ReLUGenerator.gaussian((2, 16, 4096), rng) for _ in range(2))
    w, x = (G(torch.randn(3, 2, generator=rng, dtype=torch.float64)).reshape(3, 64, 64) for G in (G1, G2))
    y = w * x
    peak = y.amax((-2, -1), keepdim=True)
    return G1, G2, y / peak, w, x


@pytest.fixture
def setting(toy):
    """Steps that suit the random networks, in units of the mean-squared loss."""
    G1, G2, y, _, _ = toy
    step = default_step_size(G1, G2, rows(y)).min().item() * 4096 / 2
    return Setting(step=step, momentum=0.0, iterations=400, reflect_every=1, balance=True, starts=2)


def test_factors_in_the_range_of_the_priors_are_recovered(toy, setting):
    G1, G2, y, w, x = toy
    found = recover(y, setting=setting, signal_prior=G1, modulator_prior=G2)
    assert (found.mean_squared_residual < 1e-10).all()
    torch.testing.assert_close(found.signal * found.modulator, y, rtol=0, atol=1e-4)
    for estimate, truth in ((found.signal, w), (found.modulator, x)):
        assert ((align(estimate, truth) - truth).abs() < 1e-3 * truth.amax((-2, -1), keepdim=True)).all()


def test_the_history_ends_with_the_residual_of_the_images_returned(toy, setting):
    G1, G2, y, _, _ = toy
    found = recover(y, setting=replace(setting, iterations=9), signal_prior=G1, modulator_prior=G2)
    assert found.history.shape == (10, 3)
    assert torch.equal(found.history[-1], found.mean_squared_residual)
    torch.testing.assert_close(found.mean_squared_residual, (found.signal * found.modulator - y).square().mean((-2, -1)))
    assert found.seconds > 0


def test_of_several_starts_the_one_with_the_least_residual_is_kept_for_each_image(toy, setting):
    G1, G2, y, _, _ = toy
    setting = replace(setting, starts=4, iterations=5)
    found = recover(y, setting=setting, signal_prior=G1, modulator_prior=G2, seed=6)
    eta = setting.step * 2 / 4096
    begin = descend(G1, G2, rows(y).expand(4, -1, -1), iterations=0, step_size=eta, rng=torch.Generator().manual_seed(6))
    singles = [
        descend(G1, G2, rows(y), h=begin.h[k], m=begin.m[k], step_size=eta, iterations=5, tolerance=0) for k in range(4)
    ]
    residuals = torch.stack([objective(G1, G2, single.h, single.m, rows(y)) * 2 / 4096 for single in singles])
    kept = residuals.argmin(0)
    assert kept.unique().numel() > 1
    torch.testing.assert_close(found.mean_squared_residual, residuals.min(0).values)
    for image, k in enumerate(kept):
        torch.testing.assert_close(rows(found.signal)[image], singles[k].signal[image], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(rows(found.modulator)[image], singles[k].modulator[image], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.history[:, image], singles[k].objective[:, image] * 2 / 4096)


@pytest.mark.parametrize("shape", [(), (0,), (1, 3)])
def test_recovery_keeps_any_batch_shape(toy, setting, shape):
    G1, G2, y, _, _ = toy
    batch = {(): y[0], (0,): y[:0], (1, 3): y[None]}[shape]
    found = recover(batch, setting=replace(setting, iterations=3), signal_prior=G1, modulator_prior=G2)
    assert found.signal.shape == found.modulator.shape == (*shape, 64, 64)
    assert found.mean_squared_residual.shape == shape
    assert found.history.shape == (4, *shape)


def test_the_seed_decides_the_starts(toy, setting):
    G1, G2, y, _, _ = toy
    setting = replace(setting, iterations=2)
    runs = [recover(y, setting=setting, signal_prior=G1, modulator_prior=G2, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].signal, runs[1].signal)
    assert not torch.equal(runs[0].signal, runs[2].signal)


def test_convolutional_priors_lower_the_residual_without_leaving_the_range(rng):
    G1, G2 = toy_prior(5, seed=0), toy_prior(5, seed=1)
    y = (G1(torch.randn(2, 5, generator=rng)) * G2(torch.randn(2, 5, generator=rng))).reshape(2, 64, 64)
    setting = Setting(step=0.1, momentum=0.5, iterations=20, reflect_every=5, balance=False, starts=2)
    found = recover(y, setting=setting, signal_prior=G1, modulator_prior=G2)
    assert (found.history[-1] < found.history[0]).all()
    for image in (found.signal, found.modulator):
        assert ((image >= 0) & (image <= 1)).all()


@pytest.mark.parametrize("shape", [(28, 28), (2, 64, 63), (4096,)])
def test_images_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"but images of 64 × 64 pixels are required; use demod.data.resize"):
        recover(torch.rand(shape))


@pytest.mark.parametrize("value", [-0.1, 1.5, nan, inf])
def test_pixels_outside_zero_to_one_are_refused(value):
    y = torch.full((2, 64, 64), 0.5)
    y[1, 3, 4] = value
    with pytest.raises(ValueError, match=r"but floats in \[0, 1\] are required; divide by the peak"):
        recover(y)


def test_8_bit_images_are_refused():
    with pytest.raises(ValueError, match=r"y is torch.uint8 in \[0, 0\], but floats"):
        recover(torch.zeros(64, 64, dtype=torch.uint8))


def test_a_black_image_is_refused(toy, setting):
    G1, G2, y, _, _ = toy
    with pytest.raises(ValueError, match="y is zero for some problem"):
        recover(torch.cat([y, 0 * y[:1]]), setting=setting, signal_prior=G1, modulator_prior=G2)


# Problems


def test_mnist_problems_are_inverted_test_digits_and_random_distortions(monkeypatch):
    digits = np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8)
    monkeypatch.setattr(demodulation, "load_mnist", lambda split: {"test": (digits, None)}[split])
    w, x = mnist_problems(first=4, count=3, seed=11)
    assert torch.equal(w, resize(invert(digits[4:7])))
    assert torch.equal(x, resize(random_distortions(3, 11)))
    assert ((w * x >= 0) & (w * x <= 1)).all()


def test_drawn_problems_are_in_the_range_of_the_generators_and_follow_the_seed(monkeypatch):
    toys = {"digits": toy_prior(6, seed=2), "distortions": toy_prior(5, seed=3)}
    monkeypatch.setattr(demodulation, "load_generator", toys.__getitem__)
    w, x = drawn_problems(3, seed=8)
    rng = torch.Generator().manual_seed(int(np.random.SeedSequence((8, 1)).generate_state(1)[0]))
    for images, G in ((w, toys["digits"]), (x, toys["distortions"])):
        torch.testing.assert_close(rows(images), G(torch.randn(3, G.widths[0], generator=rng)))
    assert torch.equal(drawn_problems(3, seed=8)[0], w)
    assert not torch.equal(drawn_problems(3, seed=9)[0], w)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drawn_problems_do_not_begin_at_their_solution(dtype):
    signals, _ = drawn_problems(4, seed=2019)
    start = torch.randn(4, 100, generator=torch.Generator().manual_seed(2019), dtype=dtype).float()
    assert (load_generator("digits")(start).reshape(4, 64, 64) - signals).square().mean((-2, -1)).min() > 1e-2


# Missing pixels


@pytest.fixture
def half():
    return torch.rand(64, 64, generator=torch.Generator().manual_seed(3)) < 0.5


def test_a_mask_of_ones_changes_nothing(toy, setting):
    G1, G2, y, _, _ = toy
    G1, G2 = (ReLUGenerator(G.weights) for G in (G1, G2))  # not known to be Gaussian: the starts do not depend on that
    setting = replace(setting, iterations=5)
    plain, masked = (
        recover(y, setting=setting, signal_prior=G1, modulator_prior=G2, mask=mask)
        for mask in (None, torch.ones(64, 64, dtype=torch.bool))
    )
    torch.testing.assert_close(masked.signal, plain.signal)
    torch.testing.assert_close(masked.mean_squared_residual, plain.mean_squared_residual)


def test_pixels_that_are_missing_do_not_matter_and_are_filled_in(toy, setting, half):
    G1, G2, y, w, _ = toy
    spoiled = torch.where(half, y, torch.rand(y.shape, generator=torch.Generator().manual_seed(4), dtype=y.dtype))
    found = recover(spoiled, setting=replace(setting, iterations=1500), signal_prior=G1, modulator_prior=G2, mask=half)
    assert (found.mean_squared_residual < 1e-8).all()
    assert ((align(found.signal, w) - w).abs() < 1e-2 * w.amax((-2, -1), keepdim=True)).all()


def test_a_convolutional_prior_sees_the_mask_too(rng, half):
    G1, G2 = toy_prior(5, seed=0), toy_prior(5, seed=1)
    y = (G1(torch.randn(2, 5, generator=rng)) * G2(torch.randn(2, 5, generator=rng))).reshape(2, 64, 64)
    setting = Setting(step=0.1, momentum=0.5, iterations=10, reflect_every=5, balance=False, starts=2)
    runs = [
        recover(torch.where(half, y, fill), setting=setting, signal_prior=G1, modulator_prior=G2, mask=half)
        for fill in (0.0, 1.0)
    ]
    torch.testing.assert_close(runs[0].signal, runs[1].signal)
    product = (runs[0].signal * runs[0].modulator - y)[:, half]
    torch.testing.assert_close(runs[0].mean_squared_residual, product.square().mean(-1))


def test_a_mask_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"but torch.bool \(64, 64\) is required: true where seen"):
        recover(torch.rand(64, 64), mask=torch.ones(64, 64))


@pytest.mark.parametrize("convolutional", [True, False])
def test_each_image_may_have_its_own_mask(toy, setting, convolutional, rng):
    G1, G2, y, _, _ = toy
    if convolutional:
        G1, G2, y = toy_prior(5, seed=0), toy_prior(5, seed=1), y.float()
        setting = Setting(step=0.1, momentum=0.5, iterations=10, reflect_every=5, balance=False, starts=2)
    mask = torch.rand(3, 64, 64, generator=rng) < 0.5
    priors = {"setting": replace(setting, iterations=10), "signal_prior": G1, "modulator_prior": G2}
    together = recover(y, mask=mask, **priors)
    spoiled = recover(torch.where(mask, y, nan), mask=mask, **priors)
    assert torch.equal(together.signal, spoiled.signal)
    product = together.signal * together.modulator - y
    expected = torch.stack([p[m].square().mean() for p, m in zip(product, mask, strict=True)])
    torch.testing.assert_close(together.mean_squared_residual, expected)
    same = mask[0]
    one, many = recover(y, mask=same, **priors), recover(y, mask=same.expand(3, 64, 64), **priors)
    torch.testing.assert_close(one.signal, many.signal, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [nan, inf, -1.0, 7.0])
def test_what_stands_in_a_missing_pixel_does_not_matter(toy, setting, half, value):
    G1, G2, y, _, _ = toy
    priors = {"setting": replace(setting, iterations=3), "signal_prior": G1, "modulator_prior": G2, "mask": half}
    assert torch.equal(recover(torch.where(half, y, value), **priors).signal, recover(y, **priors).signal)


# Gauss–Newton

JUMPS = GaussNewtonSetting(iterations=30, starts=2, linearise_every=2, dampings=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gauss_newton_finds_both_images(toy, dtype):
    G1, G2, y, w, _ = toy
    G1, G2 = G1.to(dtype=dtype), G2.to(dtype=dtype)
    found = recover(y.to(dtype), setting=replace(JUMPS, starts=6), signal_prior=G1, modulator_prior=G2)
    assert (found.mean_squared_residual < 1e-8).all()
    assert ((align(found.signal, w.to(dtype)) - w).abs() < 1e-2 * w.amax((-2, -1), keepdim=True)).all()


def test_gauss_newton_returns_the_residual_of_its_images_and_of_each_iteration(rng, half):
    G1, G2 = toy_prior(5, seed=0), toy_prior(5, seed=1)
    y = 0.3 * (G1(torch.randn(3, 5, generator=rng)) * G2(torch.randn(3, 5, generator=rng))).reshape(3, 64, 64)
    for mask in (None, half, torch.rand(3, 64, 64, generator=rng) < 0.5):
        seen = torch.ones(3, 64, 64, dtype=torch.bool) if mask is None else mask.expand(3, 64, 64)
        found = recover(torch.where(seen, y, nan), setting=JUMPS, signal_prior=G1, modulator_prior=G2, mask=mask)
        error = torch.where(seen, found.signal * found.modulator - y, 0).square().sum((-2, -1))
        torch.testing.assert_close(found.mean_squared_residual, error / seen.sum((-2, -1)), rtol=1e-3, atol=1e-12)
        assert found.history.shape == (31, 3)
        assert torch.equal(found.history[-1], found.mean_squared_residual)
        assert (found.history.diff(dim=0) <= 0).all()


@pytest.mark.parametrize("quick", [True, False])
def test_half_precision_serves_where_the_processor_multiplies_it_and_nowhere_else(monkeypatch, rng, quick):
    monkeypatch.setattr(demodulation, "multiplies_bfloat16", lambda device: quick)
    used = []
    whole = demodulation.solve
    monkeypatch.setattr(
        demodulation, "solve", lambda *given, **settings: used.append(settings["jacobians_of"]) or whole(*given, **settings)
    )
    G1, G2 = toy_prior(5, seed=0), toy_prior(5, seed=1)
    y = (G1(torch.randn(5, generator=rng)) * G2(torch.randn(5, generator=rng))).reshape(64, 64)
    setting = replace(JUMPS, half=True, iterations=2)
    recover(y, setting=setting, signal_prior=G1, modulator_prior=G2)
    recover(y, setting=replace(setting, half=False), signal_prior=G1, modulator_prior=G2)
    kinds = [near and [G.into.dtype for G in near] for near in used]
    assert kinds == [[torch.bfloat16] * 2 if quick else None, None]


def test_half_precision_finds_what_single_precision_does(rng):
    G1, G2 = toy_prior(5, seed=0), toy_prior(5, seed=1)
    y = (G1(torch.randn(8, 5, generator=rng)) * G2(torch.randn(8, 5, generator=rng))).reshape(8, 64, 64)
    setting = replace(JUMPS, starts=6, iterations=60)
    found = [recover(y, setting=replace(setting, half=half), signal_prior=G1, modulator_prior=G2) for half in (True, False)]
    right = [run.mean_squared_residual < 1e-6 * y.square().mean((-2, -1)) for run in found]
    assert min(part.sum() for part in right) >= 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"iterations": -1}, r"iterations is -1, .*at least 0"),
        ({"starts": 0}, r"starts is 0, .*at least 1"),
        ({"dampings": 0}, r"dampings is 0, .*at least 1"),
        ({"linearise_every": 2.5}, r"linearise_every is 2\.5, .*give an int"),
        ({"half": 1}, r"half is 1, .*True or False"),
        ({"amortised": "yes"}, r"amortised is 'yes', .*True or False"),
        ({"brightened_below": 0.0}, r"brightened_below is 0\.0, .*\(0, 1\]"),
    ],
)
def test_a_setting_of_gauss_newton_that_cannot_be_meant_is_refused(change, said):
    with pytest.raises((ValueError, TypeError), match=said):
        replace(JUMPS, **change)


# Brightness


@pytest.mark.parametrize("c", [1e-30, 1e-6, 0.05, 0.5, 0.9])
def test_a_dim_image_has_the_signal_of_a_bright_one(toy, c):
    G1, G2 = toy_prior(5, seed=0), toy_prior(5, seed=1)
    _, _, y, _, _ = toy
    setting = Setting(step=0.1, momentum=0.5, iterations=20, reflect_every=5, balance=False, starts=2)
    bright, dim = (recover(k * y.float(), setting=setting, signal_prior=G1, modulator_prior=G2) for k in (1, c))
    torch.testing.assert_close(dim.signal, bright.signal, rtol=1e-4, atol=1e-5)  # c y / c is y up to rounding
    torch.testing.assert_close(dim.modulator / c, bright.modulator, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dim.relative_residual, bright.relative_residual, rtol=1e-3, atol=0)


def test_images_with_a_peak_near_one_are_taken_as_they_are(toy, setting):
    G1, G2, y, _, _ = toy
    setting = replace(setting, iterations=4, starts=1)
    found = recover(0.93 * y, setting=setting, signal_prior=G1, modulator_prior=G2)
    eta = setting.step * 2 / 4096
    expected = descend(
        *(G1, G2, rows(0.93 * y)[None]), step_size=eta, iterations=4, tolerance=0, rng=torch.Generator().manual_seed(2019)
    )
    assert torch.equal(rows(found.modulator), expected.modulator[0])


@pytest.mark.parametrize("c", [1.0, 0.93, 0.25])
def test_the_relative_residual_is_in_units_of_the_squared_peak(toy, setting, half, c):
    G1, G2, y, _, _ = toy
    setting = replace(setting, iterations=9)
    for mask in (None, half):
        found = recover(c * y, setting=setting, signal_prior=G1, modulator_prior=G2, mask=mask)
        seen = c * (y if mask is None else y * mask)
        torch.testing.assert_close(
            found.relative_residual, found.mean_squared_residual / seen.amax((-2, -1)).square(), rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("c", [1e-30, 1e30])
def test_scores_of_tiny_and_huge_estimates_are_those_of_the_picture(images, c):
    estimate, truth = (image.float() for image in images)
    torch.testing.assert_close(score(c * estimate, truth).psnr, score(estimate, truth).psnr)


# What a caller may hand over


def test_images_that_ask_for_gradients_are_recovered_and_scored_like_others(toy, setting):
    G1, G2, y, w, _ = toy
    priors = {"setting": replace(setting, iterations=3), "signal_prior": G1, "modulator_prior": G2}
    plain, asking = recover(y, **priors), recover(y.clone().requires_grad_(), **priors)
    assert torch.equal(asking.signal, plain.signal)
    assert not asking.signal.requires_grad
    assert torch.equal(score(asking.signal.requires_grad_(), w).ssim, score(plain.signal, w).ssim)


def test_inference_mode_changes_no_image(toy, setting):
    G1, G2, y, _, _ = toy
    priors = {"setting": replace(setting, iterations=3), "signal_prior": G1, "modulator_prior": G2}
    with torch.inference_mode():
        inferred = recover(y, **priors)
    assert torch.equal(inferred.signal, recover(y, **priors).signal)


@pytest.mark.processes
def test_importing_the_module_loads_no_library_for_scores_or_downloads():
    code = "import sys, demod.demodulation; print(sorted({'skimage', 'pooch', 'cvxpy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


class Overflowing:
    """A prior whose values are not finite for codes whose first entry exceeds a bound in size."""

    homogeneous = False

    def __init__(self, G, bound):
        self.G, self.bound, self.widths = G, bound, G.widths

    def spoil(self, code, value):
        return torch.where(code[..., :1].abs() > self.bound, nan, value)

    def __call__(self, code):
        return self.spoil(code, self.G(code))

    def vjp(self, code):
        value, pullback = self.G.vjp(code)
        return self.spoil(code, value), pullback


def test_a_start_that_diverged_is_not_kept_where_another_did_not(toy, setting):
    G1, G2, y, _, _ = toy
    setting = replace(setting, iterations=1, starts=6)
    start = descend(G1, G2, rows(y).expand(6, -1, -1), step_size=1e-9, iterations=0, rng=torch.Generator().manual_seed(4))
    sizes = start.h[..., 0].abs()  # (6, 3)
    bound = (sizes.amin(0).max() + sizes.amax(0).min()) / 2
    assert ((sizes < bound).any(0) & (sizes > bound).any(0)).all()
    found = recover(y, setting=setting, signal_prior=Overflowing(G1, bound), modulator_prior=G2, seed=4)
    assert found.mean_squared_residual.isfinite().all()
    assert found.signal.isfinite().all()
