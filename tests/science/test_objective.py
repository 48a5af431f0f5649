from itertools import pairwise

import pytest
import torch

from demod.generators import ReLUGenerator
from demod.objective import directional_derivative, gradient, half_squared_norm, objective, one_sided_gradient

DEPTHS = range(1, 6)
INNER = (8, 12, 16, 20)


def widths(n: int, depth: int) -> tuple[int, ...]:
    return (n, *INNER[: depth - 1], 30)


@pytest.fixture(params=DEPTHS, ids=lambda depth: f"depth {depth}")
def problem(request, rng):
    """200 random networks on each side, one problem each: G1, G2, h, m, and y planted by other codes."""
    G1 = ReLUGenerator.gaussian(widths(4, request.param), rng, batch=(200,))
    G2 = ReLUGenerator.gaussian(widths(3, 6 - request.param), rng, batch=(200,))
    h, h0 = torch.randn(2, 200, 4, generator=rng, dtype=torch.float64)
    m, m0 = torch.randn(2, 200, 3, generator=rng, dtype=torch.float64)
    return G1, G2, h, m, G1(h0) * G2(m0)


@pytest.fixture(params=DEPTHS, ids=lambda depth: f"depth {depth}")
def kinked_problem(request, rng):
    """200 networks with small integers for weights and codes: many inputs of a ReLU are exactly zero."""

    def integers(*shape):
        return torch.randint(-1, 2, shape, generator=rng).double()

    def network(widths):
        return ReLUGenerator([integers(200, rows, columns) for columns, rows in pairwise(widths)])

    G1, G2 = network(widths(4, request.param)), network(widths(3, 6 - request.param))
    h, m = integers(200, 4), integers(200, 3)
    h[:5], m[3:8] = 0, 0
    return G1, G2, h, m, integers(200, 30)


def autograd_gradient(G1, G2, h, m, y):
    h, m = h.clone().requires_grad_(), m.clone().requires_grad_()
    f = (G1(h) * G2(m) - y).square().sum() / 2
    return torch.autograd.grad(f, (h, m))


def assert_equal_to_twelve_digits(by_hand, expected):
    for a, b in zip(by_hand, expected, strict=True):
        assert ((a - b).norm(dim=-1) <= 1e-12 * b.norm(dim=-1)).all()


def test_the_gradient_by_hand_is_that_of_automatic_differentiation(problem):
    expected = autograd_gradient(*problem)
    assert (expected[0].norm(dim=-1) > 0).sum() > 150
    assert_equal_to_twelve_digits(gradient(*problem), expected)


def test_at_kinks_too_the_gradient_by_hand_is_that_of_automatic_differentiation(kinked_problem):
    G1, G2, h, m, _ = kinked_problem
    for G, z in ((G1, h), (G2, m)):
        first = (G.weights[0] @ z[..., None]).squeeze(-1)
        assert ((first == 0) & z.any(-1, keepdim=True)).any(-1).sum() > 100  # most networks stand at a kink
    assert_equal_to_twelve_digits(gradient(*kinked_problem), autograd_gradient(*kinked_problem))


def test_the_gradient_is_the_papers_with_the_squares_read_as_of_values(problem, rng):
    G1, G2, h, m, _ = problem
    h0, m0 = (torch.randn(z.shape, generator=rng, dtype=torch.float64) for z in (h, m))
    Lh, Lm, Lh0, Lm0 = G1.active_map(h), G2.active_map(m), G1.active_map(h0), G2.active_map(m0)

    def product(*factors):
        *matrices, vector = factors
        for matrix in reversed(matrices):
            vector = (matrix @ vector[..., None]).squeeze(-1) if matrix.ndim == 3 else matrix * vector
        return vector

    w, x, w0, x0 = product(Lh, h), product(Lm, m), product(Lh0, h0), product(Lm0, m0)
    paper = (
        product(Lh.mT, x**2, Lh, h) - product(Lh.mT, x * x0, Lh0, h0),
        product(Lm.mT, w**2, Lm, m) - product(Lm.mT, w * w0, Lm0, m0),
    )
    # Here the two terms are subtracted after the product with Λᵀ, which cancels digits.
    for a, b in zip(gradient(G1, G2, h, m, G1(h0) * G2(m0)), paper, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


def test_central_differences_approach_the_gradient_with_order_two(problem, rng):
    G1, G2, h, m, y = problem
    u, v = (torch.randn(z.shape, generator=rng, dtype=torch.float64) for z in (h, m))
    grad_h, grad_m = gradient(G1, G2, h, m, y)
    slope = (grad_h * u).sum(-1) + (grad_m * v).sum(-1)

    def error(step):
        ahead = objective(G1, G2, h + step * u, m + step * v, y)
        behind = objective(G1, G2, h - step * u, m - step * v, y)
        return (ahead - behind) / (2 * step) - slope

    def same_piece(G, z, direction, step):
        ends = torch.stack([z - step * direction, z + step * direction])
        linear = (G.active_map(z) @ ends[..., None]).squeeze(-1)
        return ((G(ends) - linear).abs() < 1e-14).all(-1).all(0)

    step = 2e-3
    coarse, fine = error(step), error(step / 2)
    smooth = same_piece(G1, h, u, step) & same_piece(G2, m, v, step)
    seen = smooth & (coarse.abs() > 1e-9)  # elsewhere the error is rounding, about 1e-16/step
    assert seen.sum() > 50
    assert (fine[smooth & ~seen].abs() < 1e-9).all()
    # f is a quartic along a line in one piece, so that the error is step² f'''/6 with nothing behind it
    torch.testing.assert_close(coarse[seen] / fine[seen], torch.full_like(coarse[seen], 4.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("c", [1e-3, 0.1, 7.0, 1e3])
def test_the_objective_is_constant_along_the_hyperbola(problem, c):
    G1, G2, h, m, y = problem
    torch.testing.assert_close(objective(G1, G2, c * h, m / c, y), objective(G1, G2, h, m, y), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("c", [1e-3, 0.1, 7.0, 1e3])
def test_gradients_scale_against_their_codes_along_the_hyperbola(problem, c):
    G1, G2, h, m, y = problem
    grad_h, grad_m = gradient(G1, G2, h, m, y)
    scaled_h, scaled_m = gradient(G1, G2, c * h, m / c, y)
    assert_equal_to_twelve_digits((c * scaled_h, scaled_m / c), (grad_h, grad_m))


def test_the_codes_weigh_their_gradients_alike(problem):
    # Euler's identity for a function that is constant along (c h, m/c)
    G1, G2, h, m, y = problem
    grad_h, grad_m = gradient(G1, G2, h, m, y)
    torch.testing.assert_close((h * grad_h).sum(-1), (m * grad_m).sum(-1), rtol=1e-11, atol=1e-14)


def test_the_objective_is_half_the_energy_of_y_where_a_code_is_zero(problem):
    G1, G2, h, m, y = problem
    energy = y.square().sum(-1) / 2
    for point in ((h, 0 * m), (0 * h, m), (0 * h, 0 * m)):
        torch.testing.assert_close(objective(G1, G2, *point, y), energy)


def test_objective_and_gradient_vanish_at_the_planted_codes(problem):
    G1, G2, h, m, _ = problem
    y = G1(h) * G2(m)
    assert not objective(G1, G2, h, m, y).any()
    assert not any(part.any() for part in gradient(G1, G2, h, m, y))


def test_the_objective_is_a_sum_not_a_mean():
    ones = ReLUGenerator([torch.ones(12, 1)])
    z, y = torch.ones(1), torch.full((12,), 3.0)
    assert objective(ones, ones, z, z, y).item() == pytest.approx(12 * (1 - 3) ** 2 / 2, rel=1e-6)  # single precision
    assert half_squared_norm(y).item() == pytest.approx(54, rel=1e-6)


def test_codes_and_observations_broadcast(rng):
    G1, G2 = (ReLUGenerator.gaussian((n, 10, 30), rng) for n in (4, 3))
    h = torch.randn(5, 1, 4, generator=rng, dtype=torch.float64)
    m = torch.randn(6, 3, generator=rng, dtype=torch.float64)
    y = torch.rand(30, generator=rng, dtype=torch.float64)
    table = objective(G1, G2, h, m, y)
    assert table.shape == (5, 6)
    torch.testing.assert_close(table[2, 4], objective(G1, G2, h[2, 0], m[4], y))
    torch.testing.assert_close(table.new_tensor([objective(G1, G2, h[0, 0], m_k, y) for m_k in m]), table[0])


@pytest.mark.parametrize("function", [objective, gradient])
def test_an_observation_that_does_not_fit_is_refused(function, rng):
    G1, G2 = (ReLUGenerator.gaussian((n, 10, ell), rng) for n, ell in ((4, 30), (3, 31)))
    h, m = torch.ones(4, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"y has shape \(30,\) but G2 produces 31 entries; flatten images"):
        function(G1, G2, h, m, torch.ones(30, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"y has shape \(31,\) but G1 produces 30 entries; flatten images"):
        function(G1, G2, h, m, torch.ones(31, dtype=torch.float64))


# One-sided limits


def directions(h, m, rng):
    return torch.randint(-2, 3, (*h.shape[:-1], h.shape[-1] + m.shape[-1]), generator=rng).double()


def limit_at_zero(function, step=2.0**-20):
    """The limit of a polynomial as its argument falls to zero, up to a remainder of the order step².

    At multiples of the step by integers of few bits the inputs of all units are exact, and with them the piece.
    """
    return 2 * function(step / 2) - function(step)


def test_one_sided_gradients_are_the_limits_of_gradients_ahead(kinked_problem, rng):
    G1, G2, h, m, y = kinked_problem
    v = directions(h, m, rng)
    behind = gradient(G1, G2, h, m, y)
    for k, limit in enumerate(one_sided_gradient(G1, G2, h, m, y, v)):
        ahead = limit_at_zero(lambda t, k=k: gradient(G1, G2, h + t * v[:, :4], m + t * v[:, 4:], y)[k])
        torch.testing.assert_close(limit, ahead, rtol=1e-6, atol=1e-6)
        assert ((limit - behind[k]).norm(dim=-1) > 0).sum() > 20  # at many kinks it is not the gradient


def test_the_one_sided_derivative_is_the_limit_of_difference_quotients(kinked_problem, rng):
    G1, G2, h, m, y = kinked_problem
    v = directions(h, m, rng)
    f = objective(G1, G2, h, m, y)
    quotient = limit_at_zero(lambda t: (objective(G1, G2, h + t * v[:, :4], m + t * v[:, 4:], y) - f) / t)
    # differences of f carry its rounding, 1e-16 f, divided by the step
    torch.testing.assert_close(directional_derivative(G1, G2, h, m, y, v), quotient, rtol=1e-6, atol=1e-5)


def test_away_from_kinks_the_one_sided_gradient_is_the_gradient_in_every_direction(problem, rng):
    G1, G2, h, m, y = problem
    v = torch.randn(3, 200, 7, generator=rng, dtype=torch.float64)
    for limit, at in zip(one_sided_gradient(G1, G2, h, m, y, v), gradient(G1, G2, h, m, y), strict=True):
        assert torch.equal(limit, at.expand_as(limit))


def test_towards_nowhere_a_kink_counts_as_switched_off(kinked_problem):
    G1, G2, h, m, y = kinked_problem
    nowhere = torch.zeros(200, 7, dtype=torch.float64)
    for limit, at in zip(one_sided_gradient(G1, G2, h, m, y, nowhere), gradient(G1, G2, h, m, y), strict=True):
        assert torch.equal(limit, at)


def test_away_from_kinks_the_derivative_down_the_gradient_is_minus_its_square(problem):
    grads = torch.cat(gradient(*problem), -1)
    torch.testing.assert_close(directional_derivative(*problem, -grads), -grads.square().sum(-1))


def test_at_a_kink_of_a_known_function_both_sides_are_seen():
    # f(h, m) = 1/2 (relu(h) - 1)² + 1/2 (relu(-h) - 1)² at m = 1: slope -1 to the right of zero and -1 to the left
    G1, G2 = ReLUGenerator([torch.tensor([[1.0], [-1.0]])]), ReLUGenerator([torch.ones(2, 1)])
    h, m, y = torch.zeros(1), torch.ones(1), torch.ones(2)
    for v, slope in ((1.0, -1.0), (-1.0, 1.0)):
        direction = torch.tensor([v, 0.0])
        assert one_sided_gradient(G1, G2, h, m, y, direction)[0] == slope
        assert directional_derivative(G1, G2, h, m, y, direction) == -1


def test_along_a_kink_f_has_no_gradient_however_near_one_stays():
    # f = 1/2 (relu(h_1) m - 1)² has a kink at h_1 = 0; to both sides of (0, h_2 + δ) the slopes in h_1 differ by one
    G1, G2 = ReLUGenerator([torch.tensor([[1.0, 0.0]])]), ReLUGenerator([torch.ones(1, 1)])
    m, y = torch.ones(1), torch.ones(1)
    right, left = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([-1.0, 0.0, 0.0])
    for delta in (1.0, 1e-3, 1e-9):
        h = torch.tensor([0.0, 1.0 + delta])  # a step δ along the kink from (0, 1)
        assert directional_derivative(G1, G2, h, m, y, right) == -1
        assert directional_derivative(G1, G2, h, m, y, left) == 0
    along = torch.tensor([0.0, 1.0, 0.0])
    assert not one_sided_gradient(G1, G2, torch.tensor([0.0, 1.0]), m, y, along)[0].any()  # counts as switched off


def test_a_direction_that_does_not_fit_is_refused(rng):
    G1, G2 = (ReLUGenerator.gaussian((n, 10, 30), rng) for n in (4, 3))
    h, m, y = (torch.ones(n, dtype=torch.float64) for n in (4, 3, 30))
    with pytest.raises(ValueError, match=r"direction has shape \(4,\) but needs n \+ p = 7 entries"):
        one_sided_gradient(G1, G2, h, m, y, h)


def test_generators_whose_pieces_are_unknown_have_no_one_sided_gradient(rng):
    class Squares:
        widths, homogeneous = (3, 30), False

    G1, y = ReLUGenerator.gaussian((4, 10, 30), rng), torch.ones(30, dtype=torch.float64)
    h, m = torch.ones(4, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="G2 is a Squares, whose pieces are not known"):
        one_sided_gradient(G1, Squares(), h, m, y, torch.cat([h, m]))
