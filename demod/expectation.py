"""What infinitely wide random networks do: the angle map and the contraction ρ.

A random ReLU layer turns the angle θ between two codes into the angle g(θ) between its outputs,

    g(θ) = arccos( ((π - θ) cos θ + sin θ) / π ),

in expectation. Iterated from opposite codes, θ̌_0 = π and θ̌_i = g(θ̌_{i-1}), it gives the constant of Theorems 1 to 3,

    ρ_d = Σ_{i<d} (sin θ̌_i / π) Π_{j=i+1}^{d-1} (π - θ̌_j)/π  =  cos θ̌_d.
"""

from math import acos, cos, pi, sin

import torch
from torch import Tensor


def angle_map(theta: Tensor) -> Tensor:
    """Return g(θ), same shape; angles in radians, in [0, π]."""
    return torch.arccos((((torch.pi - theta) * theta.cos() + theta.sin()) / torch.pi).clamp(-1, 1))


def contraction(depth: int) -> float:
    """Return ρ_d of Theorem 3 for a network of `depth` layers: 0 at d = 1, 1/π at d = 2, towards 1 with depth.

    Raises
    ------
    ValueError
        If `depth` is less than 1.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}, but a network has at least one layer.")
    rho, theta = 0.0, pi
    for _ in range(depth):  # Horner's scheme: the sum over i, innermost factor first
        rho = rho * (pi - theta) / pi + sin(theta) / pi
        theta = acos(min(1.0, ((pi - theta) * cos(theta) + sin(theta)) / pi))
    return rho
