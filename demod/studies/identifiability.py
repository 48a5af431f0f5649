"""Which factorisations of y0 the ranges of two networks hold: points of zero residual, sought from many starts.

The structural ambiguity of (1) is that y0 has other factorisations than (w0, x0), as (1, y0). A prior resolves it if all
points (h, m) with G1(h) ⊙ G2(m) = y0 lie on the hyperbola of the planted codes.
"""

import torch

from demod.arguments import check_counts, check_stream, check_widths
from demod.descent import outer_product_error
from demod.gauss_newton import solve
from demod.generators import ReLUGenerator

ZERO = 1e-10  # the relative residual that counts as zero
OTHER = 1e-6  # the outer-product error above which a point of zero residual is another solution
ITERATIONS = 40


def count_solutions(widths: tuple[int, ...], rng: torch.Generator, *, networks: int, starts: int) -> tuple[int, int]:
    """Return how many points of zero residual are found, and how many of them are not the planted pair up to its scale.

    Parameters
    ----------
    widths : tuple of int
        Of both networks, (n, ..., ℓ).
    rng : torch.Generator
        Draws networks, planted codes and starts.
    networks : int
        Pairs of Gaussian networks, each with planted Gaussian codes.
    starts : int
        Of each pair.
    """
    check_widths(widths=widths)
    check_stream(rng)
    check_counts(networks=networks, starts=starts)
    G1, G2 = (ReLUGenerator.gaussian(widths, rng, batch=(networks,)) for _ in range(2))
    h0, m0 = torch.randn(2, networks, widths[0], generator=rng, dtype=torch.float64, device="cpu")
    y0, solutions, others = G1(h0) * G2(m0), 0, 0
    for _ in range(starts):
        found = solve(G1, G2, y0, iterations=ITERATIONS, tolerance=ZERO, rng=rng)
        error = outer_product_error(found.h, found.m, h0, m0)[found.converged]
        solutions, others = solutions + len(error), others + int((error > OTHER).sum())
    return solutions, others
