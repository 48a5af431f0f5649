"""The methods of the related work for vectors in subspaces or sparse ones, on problems planted in their class."""

import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from math import nan

import pytest
import torch

from demod.baselines import bilinear_gradient, branchhull, lifted, phasemax, power_factorization
from demod.descent import outer_product_error
from demod.descent.balancing import balanced

SUCCESS = 1e-3  # relative error of h mᵀ


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


@dataclass(frozen=True)
class Problem:
    """Gaussian B, C with variance 1/ℓ, planted codes h0 and m0, and y = B h0 ⊙ C m0."""

    B: torch.Tensor
    C: torch.Tensor
    h0: torch.Tensor
    m0: torch.Tensor

    @property
    def y(self):
        return (self.B @ self.h0) * (self.C @ self.m0)

    @property
    def signs(self):
        return (self.B @ self.h0).sign()

    @property
    def data(self):
        return self.B, self.C, self.y

    def error(self, estimate):
        return outer_product_error(estimate.h, estimate.m, self.h0, self.m0)

    def rescaled(self, b, c, scale):
        """The same problem in other units: B, C and y multiplied by b, c and scale."""
        return Problem(b * self.B, c * self.C, self.h0, scale / (b * c) * self.m0)


def draw(seed, n, ell, nonzero=None):
    rng = torch.Generator().manual_seed(seed)
    B, C = torch.randn(2, ell, n, generator=rng, dtype=torch.float64) / ell**0.5
    codes = torch.randn(2, n, generator=rng, dtype=torch.float64)
    if nonzero is not None:
        for code in codes:
            code[torch.randperm(n, generator=rng)[nonzero:]] = 0
    return Problem(B, C, *codes)


# Each method with problems that are easy for it

EASY = {
    "lifted": (lambda p: lifted.solve(*p.data), {"n": 5, "ell": 24}),
    "lifted, SCS": (lambda p: lifted.solve(*p.data, solver="SCS"), {"n": 5, "ell": 24}),
    "lifted, determined": (lambda p: lifted.solve(*p.data), {"n": 5, "ell": 30}),
    "branchhull": (lambda p: branchhull.solve(*p.data, p.signs), {"n": 5, "ell": 60}),
    "l1-branchhull": (lambda p: branchhull.solve(*p.data, p.signs, "l1"), {"n": 30, "ell": 100, "nonzero": 2}),
    "power factorisation": (lambda p: power_factorization.solve(*p.data, (3, 3)), {"n": 40, "ell": 200, "nonzero": 3}),
    "alternating least squares": (lambda p: power_factorization.solve(*p.data, (8, 8)), {"n": 8, "ell": 120}),
    "gradient": (lambda p: bilinear_gradient.solve(*p.data), {"n": 8, "ell": 120}),
    "gradient, incoherent": (lambda p: bilinear_gradient.solve(*p.data, incoherence=2.0), {"n": 8, "ell": 120}),
}


@pytest.fixture(params=EASY)
def easy(request):
    """(solve, draw): a method, and its easy problem of a given seed."""
    solve, size = EASY[request.param]
    return solve, lambda seed: draw(seed, **size)


def test_planted_codes_are_recovered_in_19_of_20_easy_problems(easy):
    solve, planted = easy
    errors = []
    for seed in range(20):
        problem = planted(seed)
        errors.append(problem.error(solve(problem)))
    assert sum(error < SUCCESS for error in errors) >= 19


def test_an_estimate_is_balanced_and_of_the_stated_sign(easy):
    solve, planted = easy
    for seed in range(4):
        problem = planted(seed)
        estimate = solve(problem)
        assert estimate.converged
        torch.testing.assert_close(estimate.h.norm(), estimate.m.norm())
        torch.testing.assert_close(estimate.signal, problem.B @ estimate.h)
        torch.testing.assert_close(estimate.modulator, problem.C @ estimate.m)
        if solve in (EASY["branchhull"][0], EASY["l1-branchhull"][0]):
            assert torch.equal(estimate.signal.sign(), problem.signs)
        else:
            assert estimate.h[estimate.h.abs().argmax()] > 0


def test_recovery_does_not_depend_on_units(easy):
    solve, planted = easy
    for b, c, scale in product((1e-3, 1e3), (1e-3, 1e3), (1e-6, 1e6)):
        problem = planted(0).rescaled(b, c, scale)
        assert problem.error(solve(problem)) < SUCCESS


def test_zero_observations_do_no_harm(easy):
    solve, planted = easy
    problem = planted(0)
    C = problem.C.clone()
    C[:2] = 0
    blank = Problem(problem.B, C, problem.h0, problem.m0)
    assert blank.error(solve(blank)) < SUCCESS


# Lifting


def nuclear_norm(h, m):
    return (h.norm() * m.norm()).item()


def test_the_nuclear_norm_of_a_recovered_product_is_that_of_the_planted_one():
    problem = draw(0, 5, 24)
    assert lifted.solve(*problem.data).objective.item() == pytest.approx(nuclear_norm(problem.h0, problem.m0), rel=1e-5)


def test_where_lifting_fails_another_matrix_has_the_smaller_norm():
    problem = draw(0, 8, 16)  # as many observations as unknowns
    estimate = lifted.solve(*problem.data)
    assert estimate.converged
    assert problem.error(estimate) > 0.1
    assert estimate.objective < 0.99 * nuclear_norm(problem.h0, problem.m0)


def test_from_np_observations_on_least_squares_is_the_answer_of_the_program():
    problem = draw(0, 4, 16)
    direct = lifted.solve(*problem.data)
    program = lifted.solve(*problem.data, noise=1e-9 * problem.y.norm().item())
    # the solver stops at a relative gap of 1e-7; h and m lose a little of it
    torch.testing.assert_close(program.h, direct.h, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(program.m, direct.m, rtol=1e-4, atol=1e-5)


def test_repeated_observations_count_once():
    problem = draw(0, 5, 15)
    B, C, y = (value.repeat(3, *[1] * (value.ndim - 1)) for value in problem.data)
    once, thrice = lifted.solve(*problem.data), lifted.solve(B, C, y)
    assert thrice.converged
    torch.testing.assert_close(thrice.h, once.h, rtol=1e-4, atol=1e-5)  # the solver stops at 1e-7


def test_lifting_allows_for_noise_of_the_given_size_and_no_more():
    problem = draw(0, 5, 40)
    noise = torch.randn(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise = 0.05 * problem.y.norm() * noise / noise.norm()
    y = problem.y + noise
    estimate = lifted.solve(problem.B, problem.C, y, noise=noise.norm().item())
    assert problem.error(estimate) < 0.2
    assert estimate.objective < nuclear_norm(problem.h0, problem.m0)  # h0 m0ᵀ is admissible
    assert not lifted.solve(problem.B, problem.C, y).converged  # y has no exact X


# BranchHull


def hull_gap(problem, estimate):
    """Return min (u v - |y|), not negative where (h, m) is in every hull."""
    u = problem.signs * estimate.signal
    v = problem.y.sign() * problem.signs * estimate.modulator
    assert u.min() > -1e-6  # the solver stops at 1e-7
    return (u * v - problem.y.abs()).min()


@pytest.mark.parametrize(("penalty", "degree"), [("l2", 2), ("l1", 1)])
def test_branchhull_returns_the_smallest_point_of_the_hulls(penalty, degree):
    problem = draw(1, 10, 30)  # too few to recover the planted codes
    estimate = branchhull.solve(*problem.data, problem.signs, penalty)
    assert estimate.converged
    assert problem.error(estimate) > 0.01
    assert hull_gap(problem, estimate) > -1e-6 * problem.y.abs().max()
    h, m = (z.norm(p=degree) for z in (problem.h0, problem.m0))
    assert estimate.objective < 2 * (h * m) ** (degree / 2)  # P at the planted codes, scaled to ‖h‖ = ‖m‖


def test_sparse_vectors_need_the_l1_penalty():
    problem = draw(0, 30, 60, nonzero=2)
    by_l1 = branchhull.solve(*problem.data, problem.signs, "l1")
    by_l2 = branchhull.solve(*problem.data, problem.signs, "l2")
    assert problem.error(by_l1) < SUCCESS
    assert problem.error(by_l2) > 0.1


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_slack_forgives_outliers_and_a_dear_one_changes_nothing(penalty):
    problem = draw(0, 5, 100).rescaled(2.0, 3.0, 10.0)
    B, C, y = problem.data
    exact = branchhull.solve(B, C, y, problem.signs, penalty)
    dear = branchhull.solve(B, C, y, problem.signs, penalty, slack_weight=1e4)
    assert problem.error(exact) < SUCCESS
    assert problem.error(dear) < SUCCESS
    outliers = y.clone()
    outliers[::20] *= 100
    rigid = branchhull.solve(B, C, outliers, problem.signs, penalty)
    forgiving = branchhull.solve(B, C, outliers, problem.signs, penalty, slack_weight=1.0)
    assert problem.error(rigid) > 0.5
    assert problem.error(forgiving) < 0.2 * problem.error(rigid)


def test_the_slack_weight_counts_in_the_units_of_the_problem():
    problem = draw(0, 5, 30)
    y = problem.y.clone()
    y[:3] *= 30
    for penalty, degree in (("l2", 2), ("l1", 1)):
        one = branchhull.solve(problem.B, problem.C, y, problem.signs, penalty, slack_weight=0.5)
        # h' = 2h, m' = 2m and ξ' = 2·3ξ solve the problem with B, 3C and 12y: P grows by 2^degree, ‖ξ‖₁ by 6
        other = branchhull.solve(problem.B, 3 * problem.C, 12 * y, problem.signs, penalty, slack_weight=0.5 * 2**degree / 6)
        torch.testing.assert_close(other.objective, 2**degree * one.objective, rtol=1e-5, atol=0)
        torch.testing.assert_close(other.h, 2 * one.h, rtol=1e-3, atol=1e-3)  # a flat minimum, found to 1e-7 in value


# Gradients


@pytest.mark.parametrize("incoherence", [None, 0.1, 10.0])
@pytest.mark.parametrize("length", [0.1, 3.0])
def test_the_gradients_are_those_of_the_regularised_objective(incoherence, length, rng):
    problem = draw(0, 4, 30)
    program = bilinear_gradient.normalised(*problem.data, incoherence)
    h, m = ((length * program.d.sqrt() * normal(rng, 4)).requires_grad_() for _ in "hm")
    F, g_h, g_m = program.gradient(h, m)
    for ours, theirs in zip((g_h, g_m), torch.autograd.grad(F, (h, m)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_long_codes_and_peaks_are_penalised_and_the_truth_is_not():
    problem = draw(0, 5, 400)
    program = bilinear_gradient.normalised(*problem.data, incoherence=4.0)
    h, m = balanced(problem.h0, problem.m0)
    assert program.gradient(h, m)[0] < 1e-20 * program.y.square().sum()
    (F, *_), r = program.gradient(10 * h, m / 10), program.residual(10 * h, m / 10)
    assert r.norm() < 1e-12 * program.y.norm()
    assert program.d.square() < F
    free = bilinear_gradient.normalised(*problem.data)
    tight = bilinear_gradient.normalised(*problem.data, incoherence=0.3)
    assert tight.gradient(h, m)[0] > free.gradient(h, m)[0] + 0.1 * program.d.square()


def test_the_spectral_start_points_to_the_planted_codes_at_their_length():
    problem = draw(0, 5, 4000)
    program = bilinear_gradient.normalised(*problem.data)
    h, m = bilinear_gradient.spectral_start(program)
    assert outer_product_error(h, m, problem.h0, problem.m0) < 0.3
    torch.testing.assert_close(h.norm(), m.norm())


def test_the_projection_is_the_closest_point_without_peaks(rng):
    B, h = normal(rng, 30, 4), normal(rng, 4)
    peak = 0.6 * (B @ h).abs().max()
    z = bilinear_gradient.projected(h, B, peak)
    assert (B @ z).abs().max() <= peak * (1 + 1e-9)
    assert (z - h).norm() > 0.1
    others = z + 0.1 * normal(rng, 500, 4)
    others = others[((others @ B.T).abs() <= peak).all(-1)]
    assert len(others) > 50
    assert ((others - z) @ (h - z) <= 1e-9).all()  # what characterises the projection onto a convex set
    assert torch.equal(bilinear_gradient.projected(h, B, 2 * peak), h)


def test_a_start_is_where_the_descent_begins():
    problem = draw(0, 5, 60)
    start = (problem.h0, problem.m0)
    assert bilinear_gradient.solve(*problem.data, start=start).iterations == 0
    with refuse(r"start\[1\] has shape \(4,\)"):
        bilinear_gradient.solve(*problem.data, start=(problem.h0, problem.m0[:4]))
    with refuse(r"m has shape \(4,\)"):
        power_factorization.solve(*problem.data, (5, 5), m=problem.m0[:4])


# Sparse power factorisation


def test_the_codes_have_the_given_numbers_of_nonzero_entries():
    problem = draw(0, 30, 40, nonzero=8)  # too few observations for recovery
    estimate = power_factorization.solve(*problem.data, (5, 7))
    assert (estimate.h != 0).sum() <= 5
    assert (estimate.m != 0).sum() <= 7
    assert not estimate.converged


def test_hard_thresholding_pursuit_finds_the_sparse_solution_of_a_linear_system(rng):
    for k in (1, 3, 5):
        F = torch.randn(60, 100, generator=rng, dtype=torch.float64)
        u = torch.zeros(100, dtype=torch.float64)
        u[torch.randperm(100, generator=rng)[:k]] = torch.randn(k, generator=rng, dtype=torch.float64)
        torch.testing.assert_close(power_factorization.hard_thresholding_pursuit(F, F @ u, k), u)


def test_the_thresholded_start_of_a_product_is_its_right_factor():
    h, m = torch.zeros(2, 9, dtype=torch.float64)
    h[[1, 4]], m[[0, 2, 8]] = torch.tensor([3.0, -1.0]).double(), torch.tensor([2.0, 1.0, -2.0]).double()
    start = power_factorization.thresholded_start(h[:, None] * m, 2, 3)
    torch.testing.assert_close(start * start[0].sign(), m / 3)


def test_the_thresholded_start_judges_a_row_by_its_k2_largest_entries():
    M = torch.tensor([[4.0, 0, 0, 0], [3, 3, 0, 0], [0, 2, 2, 2]], dtype=torch.float64)
    start = power_factorization.thresholded_start(M, 1, 2)  # rows of 16, 18 and 8 in their two largest squares
    torch.testing.assert_close(start.abs(), torch.tensor([0.5, 0.5, 0, 0], dtype=torch.float64).sqrt())


# PhaseMax


def squares(seed, p, ell):
    rng = torch.Generator().manual_seed(seed)
    C = torch.randn(ell, p, generator=rng, dtype=torch.float64)
    m0 = torch.randn(p, generator=rng, dtype=torch.float64)
    return C, m0, (C @ m0) ** 2


def test_phasemax_recovers_19_of_20_vectors_up_to_their_sign_from_the_spectral_anchor():
    count = 0
    for seed in range(20):
        C, m0, y = squares(seed, 8, 80)
        anchor = phasemax.spectral_anchor(C, y)
        m = phasemax.solve(C, y, anchor).m
        assert anchor @ m > 0
        m = m * (m @ m0).sign()
        count += (m - m0).norm() < SUCCESS * m0.norm()
    assert count >= 19


def test_phasemax_goes_farthest_along_the_anchor_within_the_slabs():
    C, m0, y = squares(0, 8, 12)  # too few to recover m0
    anchor = m0 + 1.0
    estimate = phasemax.solve(C, y, anchor)
    assert ((C @ estimate.m).abs() <= y.sqrt() + 1e-7).all()  # HiGHS is feasible to 1e-7
    assert estimate.objective > anchor @ m0 + 1e-3
    torch.testing.assert_close(estimate.objective, anchor @ estimate.m)
    assert torch.equal(estimate.signal, estimate.modulator)


def test_the_anchor_decides_the_sign():
    C, m0, y = squares(0, 8, 80)
    torch.testing.assert_close(phasemax.solve(C, y, m0).m, m0, rtol=1e-6, atol=1e-6)  # HiGHS is exact to 1e-7
    torch.testing.assert_close(phasemax.solve(C, y, -m0).m, -m0, rtol=1e-6, atol=1e-6)


# Refusals


def refuse(match):
    return pytest.raises(ValueError, match=match)


def test_what_does_not_fit_is_refused_by_every_method(easy):
    solve, planted = easy
    problem = planted(0)
    B, h0 = problem.B, problem.h0
    with refuse(r"B has shape \(.*one problem at a time"):
        solve(Problem(B[None], problem.C, h0, problem.m0))
    with refuse("B has entries that are NaN or infinite"):
        solve(Problem(B * nan, problem.C, h0, problem.m0))
    with refuse("types.*convert"):
        solve(Problem(B.float(), problem.C, h0.float(), problem.m0))
    with refuse("y is zero; nothing can be recovered"):
        solve(Problem(B, problem.C, 0 * h0, problem.m0))


def test_inconsistent_observations_are_refused_or_reported():
    problem = draw(0, 5, 12)
    B, C, y = (torch.cat([value, value[:1]]) for value in problem.data)
    y[-1] += 1
    with refuse("No point satisfies the constraints.*noise"):
        lifted.solve(B, C, y, noise=0.1)
    assert not lifted.solve(B, C, y).converged
    problem = draw(0, 5, 60)
    signs = torch.randn(60, generator=torch.Generator().manual_seed(3)).sign()
    with refuse("No point satisfies the constraints.*signs"):
        branchhull.solve(*problem.data, signs.double())


def test_settings_out_of_range_are_refused_with_the_remedy():
    problem = draw(0, 5, 12)
    with refuse("noise is -1"):
        lifted.solve(*problem.data, noise=-1.0)
    with refuse("solver is 'MOSEK'; required is one of CLARABEL, SCS"):
        lifted.solve(*problem.data, solver="MOSEK")
    with refuse(r"required are \(12,\) entries ±1.*use lifted"):
        branchhull.solve(*problem.data, torch.zeros(12).double())
    with refuse("penalty is 'l0'; required is one of l2, l1"):
        branchhull.solve(*problem.data, problem.signs, "l0")
    with refuse("slack_weight is 0.*None"):
        branchhull.solve(*problem.data, problem.signs, slack_weight=0.0)
    with refuse("incoherence is -1"):
        bilinear_gradient.solve(*problem.data, incoherence=-1.0)
    for sparsity in ((6, 1), (1, 6), (0, 1)):
        with refuse(r"h has 5 entries and m has 5.*\(n, p\) for codes"):
            power_factorization.solve(*problem.data, sparsity)


def test_what_phasemax_cannot_do_is_refused_with_the_remedy():
    C, m0, y = squares(0, 8, 80)
    with refuse("80 negative entries.*another method"):
        phasemax.solve(C, -y, m0)
    with refuse(r"anchor has shape \(7,\).*spectral_anchor"):
        phasemax.solve(C, y, m0[:7])
    with refuse("do not bound.*ℓ ≥ p"):
        phasemax.solve(C[:5], y[:5], m0)


# Sizes, types, and libraries that are absent


@pytest.mark.parametrize("c", [1e-200, 1e200])
def test_a_product_whose_squares_are_lost_is_refused_with_the_remedy(easy, c):
    solve, planted = easy
    problem = planted(0)
    with refuse("has largest entries .*bring them near 1"):
        solve(Problem(problem.B, problem.C, c * problem.h0, problem.m0))


def test_tensors_that_ask_for_gradients_are_solved_like_others():
    problem = draw(0, 5, 60)
    asking = [tensor.clone().requires_grad_() for tensor in problem.data]
    for solve in (lifted.solve, bilinear_gradient.solve, lambda *data: power_factorization.solve(*data, (5, 5))):
        found = solve(*asking)
        assert torch.equal(found.h, solve(*problem.data).h)
        assert not found.signal.requires_grad


WITHOUT = """
import importlib, sys
sys.modules["cvxpy"] = None
for name in ("lifted", "branchhull", "convex"):
    try:
        importlib.import_module(f"demod.baselines.{name}")
    except ModuleNotFoundError as error:
        print(error)
import demod.studies.comparison
"""


@pytest.mark.processes
def test_convex_programs_without_their_library_say_how_to_get_it_and_the_comparison_imports():
    shown = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert shown.stdout.count("pip install 'demod[convex]'") == 3
