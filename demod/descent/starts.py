"""Where Algorithm 1 begins and how far it steps: by what it is given, or by the data alone for Gaussian networks.

With Ĥ0 = √(ℓ 2^{d+s}/α) ‖y‖, an estimate of ‖h0‖‖m0‖,

    ‖h‖ = ‖m‖ = √Ĥ0 at the start,        η = θ ℓ (2^{d+s}/α) / Ĥ0.

Relative steps, which are divided by ‖m‖² or ‖h‖², need no Ĥ0: η = θ ℓ 2^{d+s}/α.
"""

from numbers import Real

import torch
from torch import Tensor

from demod.arguments import check_finite, check_generator, check_precision, check_stream
from demod.descent.problem import check_not_zero
from demod.descent.units import norm
from demod.generators import Generator, ReLUGenerator
from demod.objective import check_observation

THETA = 0.25


def code_scale(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return Ĥ0 = √(ℓ 2^{d+s}/α) ‖y‖, shape (*B,): an estimate of ‖h0‖‖m0‖ from the data alone, for Gaussian networks."""
    check_generator(G1=G1, G2=G2)
    gain = _gain(G1, G2)
    check_observation(G1, G2, y)
    check_precision(y=y)
    return (y.shape[-1] * gain) ** 0.5 * norm(y)


def default_step_size(G1: Generator, G2: Generator, y: Tensor, *, relative: bool = False) -> Tensor:
    """Return η = θ ℓ (2^{d+s}/α) / Ĥ0, shape (*B,), with θ = 1/4: a step that the curvature on the hyperbola allows.

    relative : whether it is for relative steps, and without Ĥ0
    """
    scale = code_scale(G1, G2, y)
    check_not_zero(y)
    scale = torch.ones_like(scale) if relative else scale
    step_size = THETA * y.shape[-1] * _gain(G1, G2) / scale
    if not step_size.isfinite().all():
        raise ValueError(f"y is so small for some problem that its step size is no {y.dtype}; multiply y by a power of two.")
    return step_size


def _gain(G1: Generator, G2: Generator) -> float:
    """Return 2^{d+s}/α, the inverse of what two Gaussian networks do to the squared norms of their codes."""
    depth = len(G1.widths) + len(G2.widths) - 2
    return 2**depth / (_alpha("G1", G1) * _alpha("G2", G2))


def _alpha(name: str, G: Generator) -> float:
    if not isinstance(G, ReLUGenerator) or G.alpha is None:
        raise ValueError(
            f"step_size is None, but its rule holds for networks drawn by ReLUGenerator.gaussian, and {name} is none: "
            "give step_size (it multiplies the gradient of the sum (2)), and h and m or rng."
        )
    return G.alpha


def is_gaussian(G: Generator) -> bool:
    """Return whether G was drawn by `ReLUGenerator.gaussian`, for which the rules hold."""
    return isinstance(G, ReLUGenerator) and G.alpha is not None


def step_sizes(step_size: float | Tensor, y: Tensor) -> Tensor:
    """Return the given η as one number for each problem y (*B, ℓ), shape (*B,)."""
    if isinstance(step_size, bool) or not isinstance(step_size, Real | Tensor):
        raise TypeError(f"step_size is {step_size!r}, but a positive number or a tensor of them is required; or None.")
    if isinstance(step_size, Tensor) and (step_size.is_complex() or step_size.is_meta):
        raise ValueError(f"step_size is {step_size.dtype} on {step_size.device}, but real numbers with values are required.")
    eta = torch.as_tensor(step_size, dtype=y.dtype, device=y.device)
    if eta.shape not in (torch.Size(), y.shape[:-1]) or not ((eta > 0) & eta.isfinite()).all():
        shown = step_size if eta.ndim == 0 else f"a tensor {tuple(eta.shape)}"
        raise ValueError(
            f"step_size is {shown}; required is a positive number, or a tensor of them, shape {tuple(y.shape[:-1])}: "
            "one for each problem."
        )
    return eta.detach().expand(y.shape[:-1])


def starting_code(
    name: str, G: Generator, z: Tensor | None, y: Tensor, unit: Tensor, scale: Tensor | None, rng: torch.Generator | None
) -> Tensor:
    """Return the starting code in its unit: the one given, or of norm √scale, or N(0, I) without a scale."""
    shape = (*y.shape[:-1], G.widths[0])
    if z is not None:
        check_finite(**{name: z})
        if z.shape != shape or z.dtype != y.dtype or z.device != y.device:
            raise ValueError(
                f"{name} is {z.dtype} {tuple(z.shape)}, but y asks for {y.dtype} {shape}: "
                f"one code for each problem, on {y.device}."
            )
        if G.homogeneous and not z.any(-1).all():
            raise ValueError(f"{name} is zero for some problem, where no descent begins: G(0) = 0 stays; start elsewhere.")
        return z.detach() / unit
    if rng is None:
        raise ValueError(f"{name} is None and so is rng; give a starting code, or a torch.Generator to draw one.")
    check_stream(rng)
    z = torch.randn(shape, generator=rng, dtype=torch.float64, device="cpu").to(y)
    return z / unit if scale is None else z * (scale.sqrt()[..., None] / z.norm(dim=-1, keepdim=True))
