"""The classical methods for images, each on problems planted in its own class."""

import subprocess
import sys
from math import inf, nan

import pytest
import torch

from demod.baselines import bias_field, homomorphic, log_quadratic, log_subspace, pca_als, trivial
from demod.baselines.log_quadratic import polynomials
from demod.baselines.log_subspace import cut_off_mean
from demod.baselines.shading import pixel_variance, signal_given
from demod.baselines.subspaces import Subspace, principal_subspace
from demod.demodulation import align, score

SIDE = 64
refuse = pytest.raises


def bumps(count, seed, *, centre=0.6, curvature=(0.7, 1.3)):
    """Gaussian bumps whose logarithms are quadratic, with peak one: (count, 64, 64)."""
    rng = torch.Generator().manual_seed(seed)
    t = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    u, v = centre * (2 * torch.rand(2, count, 1, 1, generator=rng, dtype=torch.float64) - 1)
    low, high = curvature
    a = low + (high - low) * torch.rand(count, 1, 1, generator=rng, dtype=torch.float64)
    return torch.exp(-a * ((t - u) ** 2 + (t[:, None] - v) ** 2))


def strokes(count, seed):
    """White images with two dark bars each, a fifth of the pixels: (count, 64, 64)."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.ones(count, SIDE, SIDE, dtype=torch.float64)
    for image in images:
        row, column = torch.randint(4, 48, (2,), generator=rng).tolist()
        image[row : row + 7, 6:58] = 0.1
        image[6:58, column : column + 7] = 0.3
    return images


def noisy(images, sigma, seed=5):
    rng = torch.Generator().manual_seed(seed)
    return (images + sigma * torch.randn(images.shape, generator=rng, dtype=images.dtype)).clamp(0, 1)


@pytest.fixture
def planted():
    """(w, x): strokes under log-quadratic bumps."""
    return strokes(4, 0), bumps(4, 1)


# The signal under a known modulator


def test_the_signal_minimises_its_program(planted):
    w0, x = planted
    y = noisy(w0 * x, 0.05)
    w = signal_given(y, x, noise=0.05, iterations=10_000)  # dark corners converge slowly

    def value(w):
        u, v = w.diff(dim=-1), w.diff(dim=-2)
        length = torch.nn.functional.pad(u, (0, 1)).square() + torch.nn.functional.pad(v, (0, 0, 0, 1)).square()
        data = (w * x - y).square() / (2 * pixel_variance(x, 0.05))
        return (data + 6 * length.sqrt() - w).sum((-2, -1))

    best = value(w)
    rng = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1e-2, 1e-1):
        for direction in (torch.randn(w.shape, generator=rng, dtype=w.dtype), w0 - w, y - w, torch.ones_like(w)):
            assert (value((w + scale * direction).clamp(0, 1)) > best - 1e-2).all()  # values are of the order of 1e3


def test_missing_pixels_are_filled_from_their_neighbours(planted):
    w0, x = planted
    mask = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)) > 0.2
    w = signal_given(w0 * x * mask, x, mask=mask)
    assert ((w - w0)[:, ~mask].square().mean((-1,)) < 5e-3).all()


# Log-subspaces


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.2])
def test_the_cut_off_mean_is_that_of_draws(sigma, rng):
    x = torch.linspace(0, 1, 6, dtype=torch.float64)
    draws = (x + sigma * torch.randn(100_000, 1, generator=rng, dtype=torch.float64)).clamp(0, 1)
    mean, slope = cut_off_mean(x, sigma)
    assert ((draws.mean(0) - mean).abs() < 5 * sigma / 100_000**0.5).all()
    numeric = (cut_off_mean(x + 1e-6, sigma)[0] - cut_off_mean(x - 1e-6, sigma)[0]) / 2e-6
    torch.testing.assert_close(slope, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("sigma", "signal_db", "modulator_db"), [(0.0, 50, 60), (0.02, 33, 50), (0.05, 26, 42)])
def test_a_log_quadratic_modulator_is_found_under_strokes(planted, sigma, signal_db, modulator_db):
    w0, x0 = planted
    found = log_quadratic.solve(noisy(w0 * x0, sigma), noise=sigma)
    assert (score(found.signal, w0).psnr > signal_db).all()
    assert (score(found.modulator, x0).psnr > modulator_db).all()


def test_the_fit_needs_only_the_pixels_that_are_observed(planted):
    w0, x0 = planted
    mask = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(2)) > 0.5
    found = log_quadratic.solve(torch.where(mask, w0 * x0, 0.7), mask=mask)
    assert (score(found.modulator, x0).psnr > 60).all()


def test_images_of_a_batch_are_solved_as_if_alone(planted):
    w0, x0 = planted
    y = noisy(w0 * x0, 0.02).reshape(2, 2, SIDE, SIDE)
    together = log_quadratic.solve(y, noise=0.02)
    torch.testing.assert_close(together.modulator[1, 0], log_quadratic.solve(y[1, 0], noise=0.02).modulator)
    torch.testing.assert_close(together.signal[1, 0], log_quadratic.solve(y[1, 0], noise=0.02).signal)


def test_polynomials_contain_every_monomial_of_their_degree():
    assert polynomials(5, 7, 4).directions.shape == (35, 15)
    cubic = polynomials(8, 8, 3).directions
    assert torch.linalg.matrix_rank(cubic) == 10


def test_a_quartic_is_found_with_degree_four_and_not_with_degree_two():
    w0 = strokes(2, 3)
    shape = polynomials(SIDE, SIDE, 4)
    c = torch.zeros(2, 15, dtype=torch.float64)
    c[:, -5], c[:, -1], c[:, 1] = -1.5, -1.5, 0.2  # u⁴ and v⁴
    x0 = shape(c).exp().reshape(2, SIDE, SIDE).clamp(max=1)
    x0 = x0 / x0.amax((-2, -1), keepdim=True)
    quartic, quadratic = (log_quadratic.solve(w0 * x0, degree=degree) for degree in (4, 2))
    assert (score(quartic.signal, w0).psnr > score(quadratic.signal, w0).psnr + 3).all()


def test_a_learned_log_subspace_finds_modulators_like_its_training_images():
    training = bumps(400, 7).log()
    w0, x0 = strokes(3, 8), bumps(3, 9)
    found = log_subspace.solve(principal_subspace(training, 4), noisy(w0 * x0, 0.02), noise=0.02)
    assert (score(found.modulator, x0).psnr > 50).all()


# Principal subspaces


def test_principal_components_are_those_of_the_singular_value_decomposition(rng):
    images = torch.randn(60, 9, 8, generator=rng, dtype=torch.float64) * torch.linspace(3, 0.1, 72).double().reshape(9, 8)
    found = principal_subspace(images, 5)
    rows = images.flatten(1) - images.flatten(1).mean(0)
    _, values, directions = torch.linalg.svd(rows)
    torch.testing.assert_close(found.deviations, values[:5] / 60**0.5)
    overlap = (found.directions.mT @ directions[:5].mT).abs()
    torch.testing.assert_close(overlap, torch.eye(5, dtype=torch.float64), atol=1e-8, rtol=0)
    torch.testing.assert_close(found.mean, images.flatten(1).mean(0))


def test_a_ridge_regression_is_stationary(rng):
    basis = Subspace(*(torch.rand(*shape, generator=rng, dtype=torch.float64) + 0.1 for shape in ((30,), (30, 4), (4,))))
    weights, targets = torch.rand(2, 3, 30, generator=rng, dtype=torch.float64)
    c = basis.ridge(weights, weights * targets).requires_grad_()
    value = (weights * (c @ basis.directions.mT - targets).square()).sum() + (c / basis.deviations).square().sum()
    (slope,) = torch.autograd.grad(value, c)
    assert slope.abs().max() < 1e-10


@pytest.fixture
def linear(rng):
    """Two subspaces, positive images in each, and their product."""
    rows, columns = torch.meshgrid(*[torch.linspace(0, torch.pi, 16, dtype=torch.float64)] * 2, indexing="ij")
    B = torch.stack([(k * rows).cos() * (j * columns).cos() for k in range(3) for j in range(1, 3)], -1).flatten(0, 1) / 4
    C = torch.stack([(k * rows).sin() for k in (1, 2)], -1).flatten(0, 1) / 4
    bases = [Subspace(torch.full((256,), 0.5).double(), D, torch.full((D.shape[1],), 0.5).double()) for D in (B, C)]
    w, x = ((b(0.3 * torch.randn(4, b.directions.shape[1], generator=rng).double())).clamp(0, 1) for b in bases)
    return *bases, w.reshape(4, 16, 16), x.reshape(4, 16, 16)


def test_alternating_least_squares_finds_planted_codes(linear, rng):
    first, second, w, x = linear
    found = pca_als.solve(first, second, w * x, misfit=1e-4, iterations=300, rng=rng)
    for estimate, truth in ((found.signal, w), (found.modulator, x)):
        assert ((align(estimate, truth) - truth).square().mean((-2, -1)) < 1e-5).all()


def test_half_of_the_pixels_suffice_for_planted_codes(linear, rng):
    first, second, w, x = linear
    mask = torch.rand(16, 16, generator=rng) > 0.5
    found = pca_als.solve(first, second, torch.where(mask, w * x, 0.9), mask=mask, misfit=1e-4, iterations=300, rng=rng)
    assert ((align(found.signal, w) - w).square().mean((-2, -1)) < 1e-4).all()


def test_each_regression_lowers_the_objective_and_more_starts_never_raise_it(linear):
    first, second, w, x = linear
    y = noisy(w * x, 0.05)

    def value(iterations, starts):
        rng = torch.Generator().manual_seed(3)
        return pca_als.solve(first, second, y, noise=0.05, iterations=iterations, starts=starts, rng=rng).objective

    values = torch.stack([value(k, 1) for k in range(1, 9)])
    assert (values.diff(dim=0) < 1e-9).all()
    assert (value(5, 4) <= values[4] + 1e-9).all()


# Filters


def test_homomorphic_filtering_takes_a_slow_modulator_off_a_fast_signal(rng):
    x0 = bumps(3, 4, curvature=(0.2, 0.4))
    w0 = 0.9 + 0.1 * torch.rand(3, SIDE, SIDE, generator=rng, dtype=torch.float64)
    found = homomorphic.solve(w0 * x0, width=4.0)
    torch.testing.assert_close(homomorphic.solve(w0 * x0 * 0.5, width=4.0).signal, found.signal)
    inner = (slice(None), slice(12, -12), slice(12, -12))  # the filter is not linear in position at the border
    assert (score(found.modulator, x0).psnr > score(w0 * x0, x0).psnr).all()
    assert ((align(found.modulator, x0) - x0)[inner].abs() < 0.05).all()


def test_homomorphic_filtering_splits_the_observation_where_nothing_is_cut_off():
    y = bumps(2, 4).clamp(min=1 / 255)
    found = homomorphic.solve(y, width=5.0)
    untouched = found.signal < 1
    assert untouched.any()
    torch.testing.assert_close((found.signal * found.modulator)[untouched], y[untouched])


def test_missing_pixels_have_no_say_in_homomorphic_filtering(rng):
    y = bumps(1, 4)
    mask = torch.rand(SIDE, SIDE, generator=rng) > 0.3
    one, other = (homomorphic.solve(torch.where(mask, y, value), mask=mask) for value in (0.0, 1.0))
    assert torch.equal(one.signal, other.signal)
    assert torch.equal(one.modulator, other.modulator)
    assert (one.signal[:, ~mask] == 1).all()


def test_n4_removes_a_smooth_field_from_two_grey_levels():
    w0 = strokes(1, 5)
    x0 = bumps(1, 6, curvature=(0.3, 0.5))
    found = bias_field.solve(w0 * x0)
    assert (score(found.signal, w0).psnr > score(w0 * x0, w0).psnr + 6).all()
    assert ((found.signal >= 0) & (found.signal <= 1)).all()
    kept = found.signal < 1
    torch.testing.assert_close((found.signal * found.modulator)[kept], (w0 * x0)[kept])


def test_n4_leaves_missing_pixels_out():
    y = strokes(1, 5) * bumps(1, 6, curvature=(0.3, 0.5))
    mask = torch.ones(SIDE, SIDE, dtype=torch.bool)
    mask[10:20, 10:20] = False
    one, other = (bias_field.solve(torch.where(mask, y, v), mask=mask, levels=1).signal for v in (0.1, 0.9))
    assert (one[:, ~mask] == 1).all()
    assert one[:, mask].std() > 0.1
    assert torch.equal(one[:, ~mask], other[:, ~mask])


@pytest.mark.processes
def test_n4_without_its_library_says_how_to_get_it():
    code = "import sys; sys.modules['SimpleITK'] = None; import demod.baselines.bias_field"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'demod[rivals]'" in shown.stderr


# Null rows


def test_the_null_rows_explain_the_observation(planted):
    y = planted[0] * planted[1]
    for found in (trivial.unchanged(y), trivial.constant(y)):
        assert torch.equal(found.signal * found.modulator, y)
    assert (trivial.constant(y).signal == 1).all()


@pytest.mark.parametrize("chunk", [3, 4096])
def test_the_nearest_image_is_the_one_of_least_scaled_distance(monkeypatch, chunk, rng):
    monkeypatch.setattr(trivial, "CHUNK", chunk)
    candidates, y = torch.rand(2, 10, 6, 6, generator=rng, dtype=torch.float64)
    x, mask = torch.rand(6, 6, generator=rng, dtype=torch.float64), torch.rand(6, 6, generator=rng) > 0.3
    found = trivial.nearest(candidates, y, modulator=x, mask=mask)
    for image, signal in zip(y, found.signal, strict=True):
        distances = [(align(d * x * mask, image * mask) - image * mask).square().sum() for d in candidates]
        assert torch.equal(signal, candidates[torch.stack(distances).argmin()])


def test_a_training_image_under_the_given_modulator_is_its_own_nearest(planted):
    w0, x0 = planted
    found = trivial.nearest((255 * w0).round().byte(), 0.5 * w0 * x0[0], modulator=x0[0])
    assert (score(found.signal, w0).psnr > 45).all()


# Refusals


def good():
    return torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


BASIS = polynomials(8, 8)
SOLVERS = {
    "homomorphic": homomorphic.solve,
    "log_quadratic": log_quadratic.solve,
    "log_subspace": lambda y, **settings: log_subspace.solve(BASIS, y, **settings),
    "pca_als": lambda y, **settings: pca_als.solve(BASIS, BASIS, y, rng=torch.Generator(), **settings),
    "bias_field": lambda y, **settings: bias_field.solve(y, levels=1, iterations=10, **settings),
    "nearest": lambda y, **settings: trivial.nearest(good(), y, **settings),
}


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_what_is_no_image_is_refused(solve):
    y = good()
    for wrong in (y * 2, y - 1, y.log() / 0, (255 * y).byte(), y[0, 0]):
        with refuse(ValueError, match=r"required are finite floats in \[0, 1\]"):
            solve(wrong)
    with refuse(ValueError, match="y is black for some image"):
        solve(torch.stack([y[0], 0 * y[0]]))
    for mask in (torch.ones(8, 8), torch.ones(8, 7, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)):
        with refuse(ValueError, match="required are Booleans"):
            solve(y, mask=mask)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: homomorphic.solve(y, width=0.0), "width is 0.0"),
        (lambda y: log_quadratic.solve(y, degree=-1), "degree is -1"),
        (lambda y: log_quadratic.solve(y, noise=-0.1), "noise is -0.1"),
        (lambda y: log_subspace.solve(polynomials(8, 7), y), "log_modulators has 56 pixels"),
        (lambda y: pca_als.solve(BASIS, polynomials(8, 7), y, rng=torch.Generator()), "modulator_basis has 56 pixels"),
        (lambda y: pca_als.solve(BASIS, BASIS, y, misfit=0.0, rng=torch.Generator()), "required are"),
        (lambda y: bias_field.solve(y, control_points=3), "control_points = 3"),
        (lambda y: trivial.nearest(torch.rand(3, 8, 7), y), "resize them"),
        (lambda y: signal_given(y, -y), "negative entries"),
        (lambda y: principal_subspace(y, 2), "dimension is 2; 2 images"),
        (lambda y: principal_subspace((255 * y).byte(), 1), "required are finite floats"),
    ],
)
def test_settings_out_of_range_are_refused(call, message):
    with refuse(ValueError, match=message):
        call(good())


# Brightness, missing pixels, and what a caller may hand over


@pytest.mark.parametrize("c", [1e-30, 1e-3, 0.3])
@pytest.mark.parametrize("name", ["homomorphic", "log_quadratic", "bias_field", "nearest"])
def test_a_dim_image_has_the_signal_of_a_bright_one(planted, name, c):
    y = (planted[0] * planted[1])[:1]
    y = y / y.amax((-2, -1), keepdim=True)
    solve = {"nearest": lambda images: trivial.nearest(planted[0], images)}.get(name) or SOLVERS[name]
    bright, dim = solve(y), solve(c * y)
    torch.testing.assert_close(dim.signal, bright.signal, rtol=1e-4, atol=1e-6)  # c y / c is y up to rounding
    if name != "nearest":
        torch.testing.assert_close(dim.modulator / c, bright.modulator, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [nan, inf, -1.0, 7.0])
@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_what_stands_in_a_missing_pixel_need_not_be_a_number(solve, value):
    y, mask = good(), torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(5)) < 0.8
    found = solve(torch.where(mask, y, value), mask=mask)
    assert found.signal.isfinite().all()
    assert torch.equal(found.signal, solve(torch.where(mask, y, 0), mask=mask).signal)


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_images_that_ask_for_gradients_are_solved_like_others(solve):
    plain, asking = solve(good()), solve(good().requires_grad_())
    assert torch.equal(asking.signal, plain.signal)
    assert not asking.signal.requires_grad
    assert not asking.modulator.requires_grad
