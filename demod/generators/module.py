"""Any `torch.nn.Module` as a generator, with pullback and Jacobian by automatic differentiation."""

from copy import deepcopy
from math import prod

import torch
from torch import Tensor, nn

from demod.arguments import check_counts, check_floats, check_place, told
from demod.generators.differentiation import automatic_jacobian, automatic_vjp, keepable, recording
from demod.generators.protocol import Pullback
from demod.torch_state import in_full_precision

TRIAL = 2  # codes of the trial call: one code alone would not show whether there is a batch dimension


class ModuleGenerator:
    """A module as a generator: (*B, latent) -> (*B, ℓ), its output flattened; `as_generator` makes one.

    shape : of one output of the module, with ℓ entries
    """

    def __init__(self, module: nn.Module, latent: int, *, homogeneous: bool = False) -> None:
        with recording():
            self.module = _frozen_copy(module)
        self.homogeneous = homogeneous
        state = [value for value in (*self.module.parameters(), *self.module.buffers()) if value.is_floating_point()]
        self.dtype = state[0].dtype if state else None  # None: a module without weights takes any codes
        self.device = state[0].device if state else None
        self.shape = self._trial(latent)
        self.widths: tuple[int, ...] = (latent, prod(self.shape))

    @in_full_precision
    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z): (*B, latent) -> (*B, ℓ)."""
        self._check(z)
        codes = keepable(z).reshape(-1, self.widths[0])
        if not len(codes):
            return z.new_zeros(*z.shape[:-1], self.widths[1])
        return self.module(codes).reshape(*z.shape[:-1], self.widths[1])

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback), pullback: (*B, ℓ) -> (*B, latent)."""
        self._check(z)
        if not z.numel():
            return self(z), lambda u: torch.zeros_like(z)
        return automatic_vjp(self, z)

    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (G(z), J_G(z)), shapes (*B, ℓ) and (*B, ℓ, latent)."""
        self._check(z)
        return automatic_jacobian(self, z)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "ModuleGenerator":
        """Return this generator with its weights on `device` and in `dtype`; None leaves them as they are."""
        check_place(dtype, device)
        with recording():
            moved = deepcopy(self.module).to(device, dtype)
        return ModuleGenerator(moved, self.widths[0], homogeneous=self.homogeneous)

    def _trial(self, latent: int) -> torch.Size:
        """Return the shape of one output, of a trial call."""
        z = torch.zeros(TRIAL, latent, dtype=self.dtype or torch.float32, device=self.device or "cpu")
        try:
            with torch.no_grad():
                values = self.module(z)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"module does not take codes ({TRIAL}, {latent}): {str(error).splitlines()[0][:160]}; give its latent "
                "dimension, and start an image network with nn.Unflatten(1, (latent, 1, 1))."
            ) from error
        if not isinstance(values, Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, Tensor) else told(values)
            raise TypeError(f"module returns {kind}, but a tensor of floating-point numbers is required; wrap its forward.")
        if values.ndim < 2 or len(values) != TRIAL or not values[0].numel():
            raise ValueError(
                f"module makes {tuple(values.shape)} of ({TRIAL}, {latent}) codes, but (B, …) is required: one output for "
                "each code; keep the batch dimension."
            )
        return values.shape[1:]

    def _check(self, z: Tensor) -> None:
        check_floats(z=z)
        if z.shape[-1:] != self.widths[:1]:
            raise ValueError(f"z has shape {tuple(z.shape)}, but the module takes codes (*B, {self.widths[0]}).")
        if self.dtype and (z.dtype, z.device) != (self.dtype, self.device):
            raise ValueError(
                f"z is {z.dtype} on {z.device}, but the module's weights are {self.dtype} on {self.device}; use .to(…)."
            )


def as_generator(module: nn.Module, latent: int, *, homogeneous: bool = False) -> ModuleGenerator:
    """Return a network as a generator: a frozen copy of it in eval mode, with its output flattened.

    Parameters
    ----------
    module : torch.nn.Module
        (B, latent) -> (B, …), for instance images (B, 3, 64, 64); it is neither changed nor trained.
    latent : int
        n, the entries of a code.
    homogeneous : bool
        Whether G(c z) = c G(z) for c > 0, as for ReLU layers without biases.

    Raises
    ------
    TypeError
        If this is no module, or it does not return a tensor of floats.
    ValueError
        If the module does not map (B, latent) to (B, …), as a trial call shows, or its weights are of several types or on
        several devices.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(20, 128), nn.ReLU(), nn.Linear(128, 3 * 32 * 32), nn.Unflatten(1, (3, 32, 32)))
    >>> G = as_generator(network, 20)
    >>> G.widths, tuple(G.shape)
    ((20, 3072), (3, 32, 32))
    >>> G(torch.zeros(5, 20)).unflatten(-1, G.shape).shape
    torch.Size([5, 3, 32, 32])
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module is {told(module)}, but a torch.nn.Module is required; see demod.generators.Generator.")
    check_counts(latent=latent)
    if not isinstance(homogeneous, bool):
        raise TypeError(f"homogeneous is {told(homogeneous)}, but True or False is required; give False if you do not know.")
    return ModuleGenerator(module, int(latent), homogeneous=homogeneous)


def _frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy in eval mode that does not learn, its weights of one type and on one device."""
    copy = deepcopy(module).eval().requires_grad_(False)
    state = [*copy.named_parameters(), *copy.named_buffers()]
    if kinds := {f"{value.dtype} on {value.device}" for _, value in state if value.is_floating_point()}:
        if len(kinds) > 1:
            raise ValueError(
                f"module has weights {' and '.join(sorted(kinds))}; give them one type and one device with .to(…)."
            )
        if any(value.is_meta for _, value in state):
            raise ValueError('module is on meta, where weights have no entries; make it on another device, as "cpu".')
    return copy
