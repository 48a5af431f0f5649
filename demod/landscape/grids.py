"""f on grids: the branches of scalar codes, and the floors of the valleys for codes of any dimension.

For n = p = 1 the objective sees only signs and the product t = |h m|: in each quadrant, with w = G1(±1) and x = G2(±1),

    f = 1/2 ‖y‖² - t ⟨y, w ⊙ x⟩ + t²/2 ‖w ⊙ x‖²,

a parabola in t. Its minimum is a hyperbolic branch |h m| = ⟨y, w ⊙ x⟩ / ‖w ⊙ x‖² of constant value. For wide networks of
depth d and s the theory puts the branches at |h0 m0| times 1, ρ_d, ρ_s and ρ_d ρ_s, with values 1/2 ‖y‖² times 0,
1 - ρ_d², 1 - ρ_s² and 1 - ρ_d² ρ_s². For codes of more entries f is such a parabola in every pair of directions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.arguments import check_alike, check_floats, check_generator
from demod.expectation import contraction
from demod.generators import Generator
from demod.objective import check_observation, half_squared_norm
from demod.torch_state import in_full_precision

QUADRANTS = ((1, 1), (-1, 1), (1, -1), (-1, -1))


@dataclass(frozen=True)
class Branches:
    """The four branches, in the order of QUADRANTS (signs of h and m), last dimension 4.

    product : |h m| on the branch, in units of |h0 m0|
    value : f on the branch, in units of 1/2 ‖y‖², the value on the axes
    """

    product: Tensor
    value: Tensor


@in_full_precision
def objective_grid(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return f on the grid h × m for n = p = 1, shape (len(m), len(h)): rows run along m, as matplotlib draws them.

    Raises
    ------
    ValueError
        If a generator takes codes of more than one entry.
    """
    _check_scalar(G1, G2)
    check_observation(G1, G2, y)
    for name, z in (("h", h), ("m", m), ("y", y)):
        _check_shape(name, z, 1)
    w, x = G1(h[:, None]), G2(m[:, None])
    check_alike(w=w[..., :1, :], x=x[..., :1, :], y=y)
    return torch.stack([half_squared_norm(w * x_k - y) for x_k in x])


@in_full_precision
def valley_grid(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return the least f over all multiples of (h_j, m_k), in units of 1/2 ‖y‖², shape (len(m), len(h)).

    With w = G1(h_j) and x = G2(m_k) it is 1 - max(⟨y, w ⊙ x⟩, 0)²/(‖y‖² ‖w ⊙ x‖²): only the directions of the codes count.

    Parameters
    ----------
    G1, G2 : Generator
        Homogeneous ones onto R^ℓ.
    h, m, y : Tensor
        Shapes (J, n), (K, p), (ℓ,).
    """
    check_observation(G1, G2, y)
    for name, z, dimensions in (("h", h, 2), ("m", m, 2), ("y", y, 1)):
        _check_shape(name, z, dimensions)
    w, x = G1(h), G2(m)
    check_alike(w=w[:1], x=x[:1], y=y)
    overlap = ((y * x) @ w.T).clamp(min=0)
    return 1 - overlap.square() / (x.square() @ w.square().T * y.square().sum())


def ripples(floor: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of a circle from which f does not fall to its lowest point, and the turn at which it ends instead.

    Parameters
    ----------
    floor : Tensor
        f at K points around the circle, (*B, K), the first one the planted direction; from each point f is followed to the
        lower one of its neighbours, as long as one is lower.

    Returns
    -------
    share : Tensor
        Of the points, those that drain to another local minimum, shape (*B,).
    turn : Tensor
        The turn of that minimum from the point opposite of the first, in radians, times 1 where a point drains there and 0
        elsewhere, in the mean over all points, shape (*B,): over `share` it is the mean turn.
    """
    check_floats(floor=floor)
    if floor.ndim < 1 or floor.shape[-1] < 3:
        raise ValueError(f"floor has shape {tuple(floor.shape)}, but a circle needs three points or more; give (*B, K).")
    around = torch.stack([floor, floor.roll(1, -1), floor.roll(-1, -1)])
    steps = torch.tensor([0, -1, 1], device=floor.device)[around.argmin(0)]
    count = floor.shape[-1]
    drain = (torch.arange(count, device=floor.device) + steps) % count
    for _ in range(count.bit_length()):  # twice as many steps each time
        drain = drain.gather(-1, drain)
    held = floor.gather(-1, drain) > floor.amin(-1, keepdim=True)
    turn = (2 * drain.to(floor.dtype) / count - 1).abs() * torch.pi
    return held.to(floor.dtype).mean(-1), (turn * held).mean(-1)


def branches(G1: Generator, G2: Generator, y: Tensor) -> Branches:
    """Return the exact branches of f for n = p = 1 and h0 m0 = 1; batched over networks where the generators are.

    Raises
    ------
    ValueError
        If a generator takes codes of more than one entry.
    """
    _check_scalar(G1, G2)
    check_observation(G1, G2, y)
    ones = torch.ones(*y.shape[:-1], 1, dtype=y.dtype, device=y.device)
    products = [G1(sign_h * ones) * G2(sign_m * ones) for sign_h, sign_m in QUADRANTS]
    t = torch.stack([(y * z).sum(-1) / z.square().sum(-1) for z in products], -1)
    f = torch.stack([half_squared_norm(y - t[..., k, None] * z) for k, z in enumerate(products)], -1)
    return Branches(t, f / half_squared_norm(y)[..., None])


def expected_branches(d: int, s: int) -> Branches:
    """Return where the theory of infinitely wide networks of depths d and s puts the branches, and their values."""
    rho_d, rho_s = contraction(d), contraction(s)
    rho = torch.tensor([1.0, rho_d, rho_s, rho_d * rho_s], dtype=torch.float64, device="cpu")
    return Branches(rho, 1 - rho**2)


def _check_scalar(G1: Generator, G2: Generator) -> None:
    check_generator(G1=G1, G2=G2)
    if (G1.widths[0], G2.widths[0]) != (1, 1):
        raise ValueError(f"G1 and G2 take codes of {G1.widths[0]} and {G2.widths[0]} entries, but a grid needs n = p = 1.")


def _check_shape(name: str, z: Tensor, dimensions: int) -> None:
    check_floats(**{name: z})
    if z.ndim != dimensions:
        shape = {1: "one dimension", 2: "two dimensions"}[dimensions]
        raise ValueError(f"{name} has shape {tuple(z.shape)}, but a grid needs {shape}; use .flatten() or .reshape(…).")
