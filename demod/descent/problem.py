"""Whether two generators and observations make a problem of (2) that a descent can work on."""

import torch
from torch import Tensor

from demod.arguments import check_generator, check_precision
from demod.descent.units import has_squares
from demod.generators import Generator, ReLUGenerator, networks, pick
from demod.objective import check_observation


def check_problem(G1: Generator, G2: Generator, y: Tensor) -> None:
    """Raise unless G1, G2 and y make a problem whose objective can be computed."""
    check_generator(G1=G1, G2=G2)
    check_observation(G1, G2, y)
    check_precision(y=y)
    check_not_zero(y)
    check_networks(y, G1=G1, G2=G2)
    if not (G1.homogeneous and G2.homogeneous) and not has_squares(y).all():
        raise ValueError(
            f"y has its largest entries at {y.abs().amax(-1).min():.3g} to {y.abs().amax():.3g}, whose squares {y.dtype} "
            "cannot hold, and y has its own scale where G1 or G2 is not homogeneous: use .double(), or scale y and G2 alike."
        )


def check_not_zero(y: Tensor) -> None:
    """Raise where y (*B, ℓ) is zero for some problem."""
    if not y.any(-1).all():
        raise ValueError("y is zero for some problem; nothing can be recovered from a product that vanishes: leave it out.")


def check_networks(y: Tensor, **generators: Generator) -> None:
    """Raise unless generators make values of y's type of codes of y's type, and as many networks as there are problems y."""
    for name, G in generators.items():
        if isinstance(G, ReLUGenerator) and (G.weights[0].dtype, G.weights[0].device) != (y.dtype, y.device):
            kind = f"{G.weights[0].dtype} on {G.weights[0].device}"
            raise ValueError(f"y is {y.dtype} on {y.device}, but {name} is {kind}; convert one with .to(…).")
        _check_batch(name, networks(G), y)
        if not isinstance(G, ReLUGenerator) and y.shape[:-1].numel():
            _check_values(name, G, y)


def _check_batch(name: str, batch: torch.Size, y: Tensor) -> None:
    try:
        fits = torch.broadcast_shapes(batch, y.shape[:-1]) == y.shape[:-1]
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} is a batch {tuple(batch)} of networks, but y has the batch {tuple(y.shape[:-1])}; "
            "give one observation for each network, or expand y."
        )


def _check_values(name: str, G: Generator, y: Tensor) -> None:
    """Raise unless a generator of unknown kind maps a code of y's type to values of y's type."""
    z = y.new_zeros(G.widths[0])
    try:
        value = pick(G, torch.zeros((), dtype=torch.long, device=y.device))(z)
    except (RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0][:120]
        raise ValueError(
            f"{name} does not take a code of shape ({len(z)},), {z.dtype} on {z.device} like y ({reason}); "
            "convert the generator or y with .to(…)."
        ) from error
    if (value.dtype, value.device, value.shape) != (y.dtype, y.device, y.shape[-1:]):
        raise ValueError(
            f"y is {y.dtype} on {y.device}, but {name} maps a code to {value.dtype} {tuple(value.shape)} on {value.device}, "
            f"and ({y.shape[-1]},) of y's type are required; convert one with .to(…)."
        )
