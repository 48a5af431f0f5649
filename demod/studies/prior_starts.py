"""Where Algorithm 1 begins on trained ReLU priors, and what line 3 does there.

The codes of training images lie around a centre, and `recover` starts around it: on the right side of both networks, where
line 3 has nothing to do. Other starts take that knowledge away:

    centre      z ~ N(c, (1 - ‖c‖²/n) I)
    mirrored    minus that, for both codes: on the wrong side
    isotropic   uniform directions, of the norm √n that the codes of training images have
    fitted      the same directions, of the length at which the product fits the observation best
"""

from dataclasses import asdict, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from demod.arguments import told
from demod.baselines.starts import best_length
from demod.descent import Solution, descend
from demod.priors.image import draw_codes
from demod.priors.relu import ReLUPrior
from demod.settings import Setting

STARTS = ("centre", "mirrored", "isotropic", "fitted")


def starting_codes(name: str, G1: ReLUPrior, G2: ReLUPrior, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return starting codes (N, n) and (N, p) of a kind of STARTS for observations y (N, 4096).

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if name not in STARTS:
        raise ValueError(f"name is {told(name)}, but it must be one of {', '.join(STARTS)}.")
    if name in ("centre", "mirrored"):
        sign = 1 if name == "centre" else -1
        h, m = (sign * draw_codes(G, (len(y),), rng).to(y) for G in (G1, G2))
        return h, m
    h, m = (
        G.widths[0] ** 0.5
        * normalize(torch.randn(len(y), G.widths[0], generator=rng, device="cpu", dtype=torch.float64), dim=-1).to(y)
        for G in (G1, G2)
    )
    c = best_length(G1(h) * G2(m), y).sqrt() if name == "fitted" else 1.0
    return c * h, c * m


def descend_from(
    G1: ReLUPrior, G2: ReLUPrior, y: Tensor, codes: tuple[Tensor, Tensor], setting: Setting, *, check: bool = True
) -> Solution:
    """Run Algorithm 1 on observations y (N, 4096) from starting codes, as a setting says, with or without line 3."""
    rule = setting.rule() if check else replace(setting.rule(), reflect_every=0)
    return descend(G1, G2, y, h=codes[0], m=codes[1], step_size=setting.step * 2 / y.shape[-1], **asdict(rule))
