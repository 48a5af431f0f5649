"""Sparsity of images: orthonormal bases, the terms that an image needs, and the lasso."""

import pytest
import torch

from demod.baselines import lasso
from demod.baselines.bases import BASES, WAVELETS, basis, terms_needed


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("name", BASES)
def test_a_basis_is_orthonormal(name, rng):
    x, c = normal(rng, 3, 32, 32), normal(rng, 3, 32, 32)
    of = basis(name)
    torch.testing.assert_close(of.synthesise(of.analyse(x)), x)
    torch.testing.assert_close((of.analyse(x) * c).sum(), (x * of.synthesise(c)).sum())


@pytest.mark.parametrize("name", BASES)
def test_a_constant_image_is_one_term(name):
    assert terms_needed(torch.full((2, 16, 16), 0.7, dtype=torch.float64), name, 1e-12).tolist() == [1, 1]


def test_a_linear_ramp_has_no_details_of_daubechies_but_at_its_seam():
    x = torch.arange(32, dtype=torch.float64).expand(32, 32)
    details = {name: (basis(name).analyse(x)[:, 16:].abs() > 1e-9).any(0).sum() for name in WAVELETS}
    assert details == {"haar": 16, "daubechies": 1}  # two moments of the four taps vanish


@pytest.mark.parametrize("name", BASES)
def test_the_terms_that_are_needed_leave_the_error_and_one_less_does_not(name, rng):
    x, error = normal(rng, 16, 16).cumsum(0).cumsum(1), 0.5
    of = basis(name)
    c = of.analyse(x)
    k = int(terms_needed(x, name, error))
    for kept, enough in ((k, True), (k - 1, False)):
        least = c.abs().flatten().sort(descending=True).values[kept - 1]
        rest = of.synthesise(torch.where(c.abs() >= least, c, 0.0)) - x
        assert bool(rest.square().mean() <= error) is enough


def test_the_lasso_recovers_a_sparse_image_from_a_quarter_of_its_pixels(rng):
    of, c = basis("haar"), torch.zeros(2, 16, 16, dtype=torch.float64)
    c[:, :2, :3] = normal(rng, 2, 2, 3)
    x, A = of.synthesise(c), normal(rng, 64, 256) / 8
    found = lasso.solve(A, x.flatten(1) @ A.mT, of, weights=(0.1, 0.01, 1e-3, 1e-4), iterations=400)
    assert found.shape == (4, 2, 16, 16)
    assert ((found[-1] - x).flatten(1).norm(dim=1) < 1e-2 * x.flatten(1).norm(dim=1)).all()
    assert ((found[0] - x).flatten(1).norm(dim=1) > 1e-1 * x.flatten(1).norm(dim=1)).all()


def test_a_minimiser_of_the_lasso_satisfies_its_optimality_conditions(rng):
    of, A, y = basis("cosine"), normal(rng, 20, 64) / 20**0.5, normal(rng, 20)
    (image,) = lasso.solve(A, y, of, weights=(0.1,), iterations=3000)
    c = of.analyse(image)
    pull = of.analyse(((y - A @ image.flatten()) @ A).reshape(8, 8))
    weight = 0.1 * of.analyse((y @ A).reshape(8, 8)).abs().max()
    assert (pull.abs() <= weight * (1 + 1e-6)).all()
    on = c.abs() > 1e-6
    assert on.any()
    torch.testing.assert_close(pull[on], weight * c[on].sign(), rtol=1e-4, atol=0)  # a first-order method


def test_what_bases_and_lasso_cannot_do_is_refused_with_the_remedy(rng):
    x, A = normal(rng, 8, 8), normal(rng, 20, 64)
    with pytest.raises(ValueError, match="'dct', but the bases are cosine"):
        basis("dct")
    with pytest.raises(ValueError, match=r"\(8, 7\).*power of two"):
        terms_needed(x[:, :7], "haar", 0.1)
    with pytest.raises(ValueError, match=r"error is 0.*every term"):
        terms_needed(x, "haar", 0)
    with pytest.raises(ValueError, match=r"A has shape \(20, 63\).*flatten"):
        lasso.solve(A[:, :63], normal(rng, 20), basis("haar"))
    with pytest.raises(ValueError, match=r"weights is .*positive"):
        lasso.solve(A, normal(rng, 20), basis("haar"), weights=(0.1, 0.0))
