"""Line 5 of Algorithm 1: of all pairs (h/c, c m), which give the same product, the one with equal norms.

c = √(‖h‖/‖m‖)
"""

import torch
from torch import Tensor


def imbalance(h: Tensor, m: Tensor) -> Tensor:
    """Return c, shape (*B, 1), for codes (*B, n) and (*B, p); 1 where a code is zero."""
    h_norm, m_norm = h.norm(dim=-1, keepdim=True), m.norm(dim=-1, keepdim=True)
    return torch.where((h_norm > 0) & (m_norm > 0), (h_norm / m_norm).sqrt(), 1.0)


def balanced(h: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """Return (h/c, c m), shapes (*B, n) and (*B, p), whose norms agree; zero codes are left alone."""
    c = imbalance(h, m)
    return h / c, c * m
