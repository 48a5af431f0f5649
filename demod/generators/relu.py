"""The networks of the paper: fully connected, bias-free, ReLU after every layer, and drawn as in Theorem 2.

    G(z) = relu(W_d … relu(W_2 relu(W_1 z)) …),        W_i ∈ R^{n_i × n_{i-1}},  n = n_0 < n_1 < … < n_d = ℓ,

without biases. Such a network is piecewise linear and positively homogeneous, G(z) = Λ_z z with the active map

    Λ_z = W_{d,+,z} … W_{1,+,z},        W_{i,+,z} = diag(W_i Λ_{i-1,z} z > 0) W_i,

so its pullback u ↦ Λ_zᵀ u is a product of masked transposes. A unit whose input is exactly zero, a kink, counts as switched
off; seen from a direction v it is on if its input rises: its tangent, v sent through the same layers, is positive.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from demod.arguments import (
    check_alike,
    check_alpha,
    check_batch,
    check_finite,
    check_floats,
    check_not_negative,
    check_picks,
    check_place,
    check_stream,
    check_switches,
    check_widths,
    told,
)
from demod.generators.assumptions import truncation_constant
from demod.generators.differentiation import check_cotangent, keepable
from demod.generators.protocol import Pullback
from demod.torch_state import in_full_precision

PARALLEL = 1e-9  # the sine below which a direction counts as running along a wall


class ReLUGenerator:
    """A network of the paper's class: fully connected, ReLU after every layer, no biases.

    Values G(z) are differentiable by autograd, in the code and in the weights; what is made by hand, pullbacks, active maps
    and kinks, is not recorded.

    Parameters
    ----------
    weights : sequence of Tensor
        weights[i] is W_{i+1}, shape (n_{i+1}, n_i), or (*N, n_{i+1}, n_i) for a batch of networks: then a code
        z of shape (*B, n) is broadcast against N, and each network sees its own codes.
    alpha : float, optional
        The constant α of the last layer's WDC, known for networks drawn by `gaussian`; None for any others.

    Raises
    ------
    ValueError
        If there is no layer, neighbouring layers do not fit, an entry is not finite, or alpha is not in (0, 1].
    """

    homogeneous = True

    def __init__(self, weights: Sequence[Tensor], *, alpha: float | None = None) -> None:
        if isinstance(weights, Tensor) or not isinstance(weights, Iterable):
            raise TypeError(f"weights is {told(weights)}, but a list of one matrix per layer is required; write [W].")
        weights = tuple(weights)
        if not weights:
            raise ValueError("weights is empty; give one matrix per layer.")
        check_finite(**{f"weights[{i}]": W for i, W in enumerate(weights)})
        for i, W in enumerate(weights):
            if W.ndim < 2 or not W.shape[-1] or not W.shape[-2]:
                raise ValueError(f"weights[{i}] has shape {tuple(W.shape)}, but a layer is a matrix; reshape it.")
        for i, (W, V) in enumerate(pairwise(weights)):
            if W.shape[-2] != V.shape[-1]:
                raise ValueError(f"weights[{i}] produces {W.shape[-2]} entries but weights[{i + 1}] takes {V.shape[-1]}.")
        check_alike(**{f"weights[{i}]": W[..., 0] for i, W in enumerate(weights)})
        self.alpha = None if alpha is None else check_alpha(alpha)
        with torch.inference_mode(False):
            self.weights: tuple[Tensor, ...] = tuple(keepable(W) for W in weights)
        self.widths = (weights[0].shape[-1], *(W.shape[-2] for W in weights))

    @classmethod
    def gaussian(
        cls,
        widths: Sequence[int],
        rng: torch.Generator,
        *,
        batch: tuple[int, ...] = (),
        truncate_last: bool = True,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> "ReLUGenerator":
        """Draw a network as in Theorem 2: layer i has entries N(0, 1/n_i), rows of the last one are truncated.

        A row w of the last layer is set to zero as a whole where ‖w‖ > 3 √(n_{d-1}/ℓ).

        Parameters
        ----------
        widths : sequence of int
            (n, n_1, …, ℓ), at least two positive numbers.
        rng : torch.Generator
            On the CPU: numbers are drawn there and moved, so that every device sees the same networks.
        batch : tuple of int
            Shape N of a batch of independent networks.
        truncate_last : bool
            Whether to truncate the last layer.

        Raises
        ------
        ValueError
            If a width or a size of the batch is not a count, there are fewer than two widths, or dtype is not floating.
        """
        check_widths(widths=widths)
        check_batch(batch)
        check_switches(truncate_last=truncate_last)
        check_place(dtype, device)
        check_stream(rng)
        weights = [
            torch.randn(*batch, rows, columns, generator=rng, dtype=torch.float64, device="cpu") / rows**0.5
            for columns, rows in pairwise(widths)
        ]
        if truncate_last:
            W = weights[-1]
            weights[-1] = W * (W.norm(dim=-1, keepdim=True) <= 3 * (W.shape[-1] / W.shape[-2]) ** 0.5)
        alpha = truncation_constant(widths[-2]) if truncate_last else 1.0
        return cls([W.to(device=device, dtype=dtype) for W in weights], alpha=alpha)

    @property
    def batch(self) -> torch.Size:
        """The shape N of a batch of networks; () for a single one."""
        return torch.broadcast_shapes(*(W.shape[:-2] for W in self.weights))

    @property
    def _fixed(self) -> tuple[Tensor, ...]:
        """The weights as numbers that no gradient is asked of: matmul sums in another order for those that learn."""
        return tuple(W.detach() for W in self.weights)

    def pick(self, numbers: Tensor) -> "ReLUGenerator":
        """Return the networks of these numbers in the flattened batch, shape () or (K,); a single network stays as it is."""
        if not self.batch:
            return self
        chosen = _as_slice(check_picks(numbers, self.batch.numel()))
        picked = copy(self)  # whose weights have been checked
        with torch.inference_mode(False):
            stacked = [W.expand(*self.batch, *W.shape[-2:]).reshape(-1, *W.shape[-2:]) for W in self.weights]
            picked.weights = tuple(V[chosen] if W.ndim > 2 else W for V, W in zip(stacked, self.weights, strict=True))
        return picked

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> "ReLUGenerator":
        """Return the same network in another precision or on another device."""
        check_place(dtype, device)
        return ReLUGenerator([W.to(device=device, dtype=dtype) for W in self.weights], alpha=self.alpha)

    @in_full_precision
    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z), shape (*B, ℓ)."""
        self._check(z)
        z = keepable(z)
        for W in self.weights:
            z = _apply(W, z).relu()
        return z

    @in_full_precision
    @torch.no_grad()
    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback), pullback: (*B, ℓ) -> (*B, n), u ↦ Λ_zᵀ u."""
        self._check(z)
        masks = []
        for W in self._fixed:
            z = _apply(W, z)
            masks.append(z > 0)
            z = z.relu()
        return z, partial(self._pull, masks)

    @in_full_precision
    @torch.no_grad()
    def one_sided_vjp(self, z: Tensor, direction: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback) with u ↦ lim Λ_{z + δv}ᵀ u for δ → 0+ and v the direction, shape (*B, n).

        Exact: a unit is on if its input is positive, or zero with a positive tangent. Where no input is zero, and for
        v = 0, it is `vjp`.
        """
        self._check(z)
        self._check(direction)
        check_alike(z=z, direction=direction)
        masks = []
        for W in self._fixed:
            z, direction = _apply(W, z), _apply(W, direction)
            masks.append((z > 0) | ((z == 0) & (direction > 0)))
            z, direction = z.relu(), direction * masks[-1]
        return z, partial(self._pull, masks)

    @in_full_precision
    @torch.no_grad()
    def kinks(self, z: Tensor, *, tolerance: float = 0.0) -> tuple[Tensor, ...]:
        """Return for each layer which of its units stand at a kink at z, shapes (*B, n_i).

        A unit with row w and input a does if |w·a| ≤ tolerance ‖w‖ ‖a‖; rows that are zero never do: they switch nothing.
        """
        self._check(z)
        check_not_negative(tolerance=tolerance)
        at_kink = []
        for W in self._fixed:
            rows, length = W.norm(dim=-1), z.norm(dim=-1, keepdim=True)
            z = _apply(W, z)
            at_kink.append((z.abs() <= float(tolerance) * rows * length) & (rows > 0))
            z = z.relu()
        return tuple(at_kink)

    @in_full_precision
    @torch.no_grad()
    def next_kink(self, z: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far z moves along v, the direction, before a unit switches, and the unit normal of the wall it meets.

        The walls of a piece are hyperplanes through the origin. The first result is the least t > 0 with z + t v on one of
        them, shape (*B,), infinite if there is none; walls that v runs along, to within rounding, are not met.
        """
        self._check(z)
        self._check(direction)
        check_alike(z=z, direction=direction)
        first, normal = torch.full_like(z[..., 0], torch.inf), torch.zeros_like(z)
        Lambda = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        for W in self._fixed:
            rows = W @ Lambda
            inputs, slopes = _apply(rows, z), _apply(rows, direction)
            steep = slopes.abs() > PARALLEL * rows.norm(dim=-1) * direction.norm(dim=-1, keepdim=True)
            t = torch.where(steep & (inputs * slopes < 0), -inputs / slopes, torch.inf)
            t, unit = t.min(-1)
            row = rows.expand(*unit.shape, *rows.shape[-2:]).take_along_dim(unit[..., None, None], -2).squeeze(-2)
            normal = torch.where((t < first)[..., None], row / row.norm(dim=-1, keepdim=True), normal)
            first, Lambda = torch.minimum(t, first), rows * (inputs > 0)[..., None]
        return first, normal

    def active_map(self, z: Tensor) -> Tensor:
        """Return Λ_z, shape (*B, ℓ, n): the matrix of the linear piece that contains z."""
        return self.jacobian(z)[1]

    @in_full_precision
    @torch.no_grad()
    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (G(z), Λ_z), shapes (*B, ℓ) and (*B, ℓ, n); at a kink, Λ_z is that of `vjp`."""
        self._check(z)
        first, *others = self._fixed
        z = _apply(first, z)
        Lambda = first * (z > 0)[..., None]
        for W in others:
            z = _apply(W, z.relu())
            Lambda = W @ Lambda * (z > 0)[..., None]
        return z.relu(), Lambda

    @in_full_precision
    @torch.no_grad()
    def _pull(self, masks: list[Tensor], u: Tensor) -> Tensor:
        """Return the product of the masked transposes with u, (*B, ℓ) -> (*B, n)."""
        check_cotangent(u, masks[-1], self.weights[-1].dtype)
        for W, mask in zip(reversed(self._fixed), reversed(masks), strict=True):
            u = _apply(W.mT, u * mask)
        return u

    def _check(self, z: Tensor) -> None:
        if not isinstance(z, Tensor):
            raise TypeError(f"z is a {type(z).__name__}, but a torch.Tensor of codes is required; use torch.as_tensor.")
        if z.is_nested or z.layout != torch.strided:
            check_floats(z=z)
        if z.shape[-1:] != self.widths[:1]:
            raise ValueError(
                f"z has shape {tuple(z.shape)} but this network takes codes of {self.widths[0]} entries, (*B, n)."
            )
        if z.dtype != self.weights[0].dtype:
            raise ValueError(f"z is {z.dtype} but the weights are {self.weights[0].dtype}; convert one with .to(dtype=…).")
        if z.device != self.weights[0].device:
            raise ValueError(f"z is on {z.device} but the weights on {self.weights[0].device}; move one with .to(device=…).")
        if any(W.ndim > 2 for W in self.weights) and not _broadcasts(z.shape[:-1], self.batch):
            raise ValueError(f"z has the batch {tuple(z.shape[:-1])}, which does not fit the {tuple(self.batch)} networks.")


def _as_slice(numbers: Tensor) -> Tensor | slice:
    """Return numbers that follow one another as a slice, which copies no weights, and others as they are."""
    if not numbers.ndim or not len(numbers):
        return numbers
    first = int(numbers[0])
    run = torch.arange(first, first + len(numbers), device=numbers.device)
    return slice(first, first + len(numbers)) if torch.equal(numbers, run) else numbers


def _broadcasts(*shapes: torch.Size) -> bool:
    try:
        torch.broadcast_shapes(*shapes)
    except RuntimeError:
        return False
    return True


def _apply(W: Tensor, z: Tensor) -> Tensor:
    """Return W z for (*B, n) codes: one GEMM for one matrix; for a batch, matmul would copy a matrix for each code."""
    return z @ W.mT if W.ndim == 2 else torch.einsum("...ij,...j->...i", W, z)
