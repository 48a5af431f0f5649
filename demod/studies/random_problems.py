"""Random problems of Theorem 2, drawn and solved by Algorithm 1: what the sweeps of the book run."""

import torch

from demod.arguments import check_counts
from demod.descent import THETA, code_scale, default_step_size, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.studies.sweeps import Cell, Result

SUCCESS = 1e-3  # outer-product error at which a problem counts as recovered
TOGETHER = 16  # problems drawn and solved at once: what memory holds of them, whatever the number of trials


def recover_cell(cell: Cell, rng: torch.Generator) -> Result:
    """Run Algorithm 1 on fresh problems with networks of their own.

    Parameters
    ----------
    cell : mapping
        n, p, ell, trials; optionally inner1 and inner2, the inner widths, [10 n] and [10 p] by default; noise, the ratio
        ‖noise‖/‖y0‖ of Gaussian noise, 0; starts, 1, the best of which by residual counts; theta, the step size in units of
        2^{d+s} ℓ/(α Ĥ0); start_norm, that of the starting codes in units of √Ĥ0, 1; and settings of `descend`.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the outer-product error, residual, ‖w ⊙ x - y‖/‖y‖, and iterations: shape (trials,) each. Where y0 is zero,
        because a narrow network switches off, the error is 1.
    """
    if missing := [name for name in ("n", "p", "ell", "trials") if name not in cell]:
        raise ValueError(f"cell has no {', '.join(missing)}, but n, p, ell and trials are required; add what is missing.")
    check_counts(n=cell["n"], p=cell["p"], ell=cell["ell"], trials=cell["trials"])
    cell = dict(cell)
    n, p, ell, trials = (cell.pop(name) for name in ("n", "p", "ell", "trials"))
    inner1, inner2 = cell.pop("inner1", [10 * n]), cell.pop("inner2", [10 * p])
    noise, starts = cell.pop("noise", 0.0), cell.pop("starts", 1)
    theta, start_norm = cell.pop("theta", THETA), cell.pop("start_norm", 1.0)
    parts = []
    for done in range(0, trials, TOGETHER):
        count = min(TOGETHER, trials - done)
        G1 = ReLUGenerator.gaussian((n, *inner1, ell), rng, batch=(count, 1))
        G2 = ReLUGenerator.gaussian((p, *inner2, ell), rng, batch=(count, 1))
        h0 = torch.randn(count, 1, n, generator=rng, dtype=torch.float64)
        m0 = torch.randn(count, 1, p, generator=rng, dtype=torch.float64)
        y = G1(h0) * G2(m0)
        e = torch.randn(y.shape, generator=rng, dtype=torch.float64)
        y = y + noise * y.norm(dim=-1, keepdim=True) / e.norm(dim=-1, keepdim=True) * e
        dead = (y == 0).all(-1, keepdim=True)  # narrow networks may switch off; any other y will do, as nothing is recovered
        z = (y + dead).expand(-1, starts, -1)
        codes = torch.randn(2, count, starts, max(n, p), generator=rng, dtype=torch.float64)
        norm = start_norm * code_scale(G1, G2, z).sqrt()[..., None]
        h, m = (norm * torch.nn.functional.normalize(code[..., :k], dim=-1) for code, k in zip(codes, (n, p), strict=True))
        eta = theta / THETA * default_step_size(G1, G2, z)
        solution = descend(G1, G2, z, h=h, m=m, step_size=eta, **cell)
        residual = (solution.signal * solution.modulator - y).norm(dim=-1) / (y + dead).norm(dim=-1)
        error = torch.where(dead[..., 0], 1.0, outer_product_error(solution.h, solution.m, h0, m0))
        best = residual.argmin(-1, keepdim=True)
        found = {"error": error, "residual": residual, "iterations": solution.iterations}
        parts.append({name: values.gather(-1, best)[:, 0] for name, values in found.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
