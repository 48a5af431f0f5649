"""Trained DCGAN generators as `Generator`s onto 64 × 64 images, with pullback and Jacobian by hand.

With batch normalisation in eval mode folded into the transposed convolutions T_i, the layers are

    x_0 = z,   x_i = relu(T_i x_{i-1} + b_i),   G(z) = 1/2 (1 + tanh(T_k x_{k-1} + b_k)),

and with v = tanh(…), D_i = diag(x_i > 0) the derivative, transposed, is

    J(z)ᵀ u = T_1ᵀ D_1 T_2ᵀ D_2 ⋯ T_kᵀ (1 - v²) ⊙ u / 2,

where T_iᵀ is the convolution with the same weights. T_1 sees one pixel and T_k makes one channel: both are matrix products.
Nothing is kept for the weights' sake, and one layer's outputs are all that its pullback needs.
"""

from copy import deepcopy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, fold
from torch.nn.utils.fusion import fuse_conv_bn_eval

from demod.arguments import (
    check_batch,
    check_counts,
    check_finite,
    check_floats,
    check_generator,
    check_place,
    check_seed,
    check_stream,
    told,
)
from demod.data import SIDE
from demod.gauss_newton import solve
from demod.generators import CentredGenerator, Constant, Generator, Pullback, ReLUGenerator, networks
from demod.generators.differentiation import automatic_jacobian, automatic_vjp, keepable, recording
from demod.torch_state import in_full_precision, multiplies_bfloat16

TANGENTS = 64  # images that are pushed through the layers at a time


class ImageGenerator:
    """A trained network as a `Generator`: (*B, latent) -> (*B, 4096), images in [0, 1] row by row.

    `homogeneous` is False: G(c z) is not c G(z), the scaling ambiguity of (1) does not hold between codes. The layers are
    computed in the type of the network's weights, the codes and images keep the type of z: with weights in bfloat16 an
    evaluation costs about half, and is right to about three digits.
    """

    homogeneous = False

    @torch.inference_mode(False)  # what is made here is to serve outside of it, too
    def __init__(self, network: nn.Sequential) -> None:
        _check_layers(network, nn.BatchNorm2d)
        self.network = _fold_batch_norm(network)
        convolutions = cast(list[nn.ConvTranspose2d], list(self.network)[::2])
        self.first, self.inner, self.last = convolutions[0], convolutions[1:-1], convolutions[-1]
        self.widths: tuple[int, ...] = (self.first.in_channels, SIDE * SIDE)
        self.into = self.first.weight.permute(0, 2, 3, 1).flatten(1)  # (latent, height · width · channels)
        bias, self.shift = cast(Tensor, self.first.bias), cast(Tensor, self.last.bias)
        self.into_bias = bias.repeat(self.into.shape[1] // len(bias))
        self.out_of = self.last.weight.flatten(1)  # (channels, height · width) of the kernel
        _check_trial(self, self.into)

    @in_full_precision
    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z), shape (*B, 4096), in [0, 1]."""
        _check_codes(self, z, self.into.device)
        return ((self._forward(z)[-1] + 1) / 2).view(*z.shape[:-1], self.widths[1])

    @in_full_precision
    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback), pullback: (*B, 4096) -> (*B, latent)."""
        _check_codes(self, z, self.into.device)
        with torch.no_grad():
            layers = self._forward(z)
        value = ((layers[-1] + 1) / 2).view(*z.shape[:-1], self.widths[1])
        return value, lambda cotangent: self._pull(layers, cotangent)

    def _forward(self, z: Tensor) -> list[Tensor]:
        """Return x_1, …, x_{k-1} in the type of the weights and v = tanh(…) in that of z, (B, channels, height, width)."""
        codes = z.reshape(-1, z.shape[-1]).to(self.into.dtype)
        x = torch.addmm(self.into_bias, codes, self.into).relu_()
        layers = [x.view(len(x), *self.first.kernel_size, self.first.out_channels).permute(0, 3, 1, 2)]
        for T in self.inner:
            layers.append(conv_transpose2d(layers[-1], T.weight, T.bias, T.stride, _padding(T)).relu_())
        return [*layers, self._fold(layers[-1], z.dtype).add_(self.shift).tanh_()]

    @in_full_precision
    @torch.no_grad()
    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (G(z), J(z)), shapes (*B, 4096) and (*B, 4096, latent): some unit vectors at a time through the layers."""
        _check_codes(self, z, self.into.device)
        layers = self._forward(z)
        v = layers[-1].flatten(1)
        J, slope = v.new_empty(*v.shape, self.widths[0]), ((1 - v.square()) / 2)[:, None]
        size = max(1, TANGENTS // max(1, len(v)))
        for k in range(0, self.widths[0] if len(v) else 0, size):
            pushed = self._push(layers, self.into[k : k + size]).to(v.dtype).view(len(v), -1, v.shape[1])
            J[..., k : k + size] = pushed.mul_(slope).mT
        return ((v + 1) / 2).view(*z.shape[:-1], self.widths[1]), J.view(*z.shape[:-1], *J.shape[1:])

    def _push(self, layers: list[Tensor], rows: Tensor) -> Tensor:
        """Return T_k D_{k-1} ⋯ D_1 applied to rows of T_1 (c, height · width · channels), (B c, 1, 64, 64)."""
        first, *others = layers[:-1]
        t = rows.view(1, len(rows), *self.first.kernel_size, self.first.out_channels).permute(0, 1, 4, 2, 3)
        t = (t * (first > 0)[:, None]).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        for T, x in zip(self.inner, others, strict=True):
            t = conv_transpose2d(t, T.weight, None, T.stride, _padding(T))
            t.unflatten(0, (len(x), len(rows))).mul_((x > 0)[:, None])
        return self._fold(t, layers[-1].dtype)

    def _fold(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return T_k x without its bias, (B, 1, 64, 64) in this type."""
        patches = self.out_of.mT @ x.permute(0, 2, 3, 1).flatten(1, 2).mT  # (B, kernel, pixels)
        size, stride = self.last.kernel_size, self.last.stride
        return fold(patches.to(dtype), (SIDE, SIDE), size, padding=_padding(self.last), stride=stride)

    @in_full_precision
    @torch.no_grad()
    def _pull(self, layers: list[Tensor], cotangent: Tensor) -> Tensor:
        *hidden, v = layers
        u = torch.addcmul(cotangent.reshape(v.shape), cotangent.reshape(v.shape), v.square(), value=-1) / 2
        u = u.to(self.into.dtype)
        for T, x in zip((self.last, *reversed(self.inner)), reversed(hidden), strict=True):
            u = conv2d(u, T.weight, None, T.stride, T.padding)
            torch.ops.aten.threshold_backward.grad_input(u, x, 0, grad_input=u)  # u where the unit is on
        pulled = u.permute(0, 2, 3, 1).flatten(1) @ self.into.mT
        return pulled.to(cotangent.dtype).view(*cotangent.shape[:-1], self.widths[0])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "ImageGenerator":
        """Return this generator with its weights on `device` and in `dtype`; None leaves them as they are."""
        check_place(dtype, device)
        with recording():
            return ImageGenerator(deepcopy(self.network).to(device, dtype))


def _check_layers(network: nn.Sequential, *normalisations: type[nn.Module]) -> None:
    """Raise unless the layers are those of `demod.dcgan.generator_network`, with or without these normalisations."""
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"network is {told(network)}, but an nn.Sequential is required; see demod.generators.as_generator.")
    kinds = [type(layer) for layer in network]
    bare = [kind for kind in kinds if kind not in normalisations]
    required = [nn.ConvTranspose2d, nn.ReLU] * (len(bare) // 2 - 1) + [nn.ConvTranspose2d, nn.Tanh]
    normalised = {before for before, kind in pairwise([None, *kinds]) if kind in normalisations}
    if bare != required or normalised - {nn.ConvTranspose2d}:
        raise ValueError(
            f"network has the layers {', '.join(kind.__name__ for kind in kinds)[:80]}, but transposed convolutions with "
            "ReLUs between them and a Tanh at the end are required; for others use demod.generators.as_generator."
        )


def _check_trial(G: Generator, weights: Tensor) -> None:
    """Raise unless G makes one image of 64 × 64 pixels for each code."""
    try:
        with torch.no_grad():
            G(torch.zeros(2, G.widths[0], dtype=weights.dtype, device=weights.device))
    except RuntimeError as error:
        raise ValueError(
            f"network makes no images of {SIDE} × {SIDE} pixels and one channel of codes with {G.widths[0]} entries; for "
            "others use demod.generators.as_generator."
        ) from error


def _check_codes(G: Generator, z: Tensor, device: torch.device) -> None:
    check_floats(z=z)
    if z.device != device:
        raise ValueError(f"z is on {z.device} but the weights on {device}; move one with .to(…).")
    if z.shape[-1:] != G.widths[:1]:
        entries = z.shape[-1] if z.ndim else "no"
        raise ValueError(f"z has {entries} entries but the latent dimension is {G.widths[0]}; give codes (*B, n).")


def draw_codes(G: Generator, batch: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Return random codes (*batch, n), float32, as the images that G was trained on have them.

    They are N(0, I), or, for a prior with a `centre` c, N(c, (1 - ‖c‖²/n) I): of the same mean square.
    """
    check_generator(G=G)
    check_batch(batch)
    check_stream(rng)
    z = torch.randn(*batch, G.widths[0], generator=rng, dtype=torch.float32, device="cpu")
    if not isinstance(G, CentredGenerator):
        return z
    c = G.centre.cpu()
    return c + (1 - c.square().mean()).sqrt() * z


def in_bfloat16(G1: Generator, G2: Generator) -> tuple[Generator, Generator]:
    """Return the same networks with such weights, for Jacobians that need not be exact.

    That is so for DCGANs, whose codes keep their type, and for two ReLU networks; others are returned as they are.
    """
    linear = isinstance(G1, ReLUGenerator) and isinstance(G2, ReLUGenerator)
    kinds = ReLUGenerator if linear else ImageGenerator
    first, second = (G.to(dtype=torch.bfloat16) if isinstance(G, kinds) and not networks(G) else G for G in (G1, G2))
    return first, second


@in_full_precision
def closest_in_range(
    G: Generator, images: Tensor, *, starts: int = 3, iterations: int = 40, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the images of G closest to `images`, (N, 64, 64) in [0, 1], and min_z ‖G(z) - x‖² / 4096, shape (N,).

    The best of `starts` runs of damped Gauss–Newton steps: the error is an upper bound on the true minimum. 10 log10 of its
    inverse is the PSNR that the prior allows.
    """
    check_generator(G=G)
    check_images(G, images)
    check_counts(starts=starts, iterations=iterations)
    rng = torch.Generator("cpu").manual_seed(check_seed(seed))
    with recording():  # so that a module computes the same inside of inference mode
        targets = keepable(images).detach().flatten(1).to(torch.float32)
        z = draw_codes(G, (starts, len(targets)), rng).to(targets.device)
        known, codeless = Constant(torch.ones_like(targets[0])), z.new_zeros(*z.shape[:-1], 1)
        found = solve(
            G,
            known,
            targets,
            h=z if starts > 1 else z[0],
            m=codeless if starts > 1 else codeless[0],
            starts=starts,
            iterations=iterations,
            tolerance=0.0,
            linearise_every=4,
            dampings=3,
            jacobians_of=in_bfloat16(G, known) if multiplies_bfloat16(targets.device) else None,
        )
    return found.signal.reshape(images.shape), found.objective[-1] * 2 / targets.shape[1]


def check_images(G: Generator, images: Tensor) -> None:
    """Raise unless images is a batch (N, height, width), finite, of as many pixels as G makes."""
    check_finite(images=images)
    if images.ndim < 2 or images.shape[1:].numel() != G.widths[-1]:
        raise ValueError(
            f"images has shape {tuple(images.shape)}, but (N, height, width) of {G.widths[-1]} pixels are required; "
            "write image[None] for one, and resize others with demod.data.resize."
        )
    if not images.flatten(1).any(1).all():
        raise ValueError(
            "images has an image that is black everywhere, but errors are counted in units of its norm; leave it out."
        )


def representation_error(G: Generator, images: Tensor, *, starts: int = 3, iterations: int = 40, seed: int = 0) -> Tensor:
    """Return the mean-squared distance of images (N, 64, 64) to the range of G, (N,), as `closest_in_range` finds it."""
    return closest_in_range(G, images, starts=starts, iterations=iterations, seed=seed)[1]


class InstanceGenerator:
    """A trained network with batch normalisation left in train mode at batch size 1, as the authors' notebook runs it.

    Every image is normalised by its own statistics. The first layer is linear in z but for its bias, which the normalisation
    removes, so that G(c z) = G(z) for c > 0: codes have no scale. The pullback is automatic differentiation.
    """

    homogeneous = False

    @torch.inference_mode(False)  # what is made here is to serve outside of it, too
    def __init__(self, network: nn.Sequential) -> None:
        _check_layers(network, nn.BatchNorm2d, nn.InstanceNorm2d)
        self.network = _instance_normalised(network)
        first = cast(nn.ConvTranspose2d, network[0])
        self.widths: tuple[int, ...] = (first.in_channels, SIDE * SIDE)
        _check_trial(self, first.weight)

    @in_full_precision
    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z), shape (*B, 4096), in [0, 1]."""
        weight = next(self.network.parameters())
        _check_codes(self, z, weight.device)
        if z.dtype != weight.dtype:
            raise ValueError(f"z is {z.dtype} but the weights are {weight.dtype}; convert one with .to(dtype=…).")
        if not z.numel():
            return z.new_zeros(*z.shape[:-1], self.widths[1])
        images = self.network(keepable(z).reshape(-1, z.shape[-1], 1, 1))
        return ((images + 1) / 2).reshape(*z.shape[:-1], self.widths[1])

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback), pullback: (*B, 4096) -> (*B, latent)."""
        if not z.numel():
            return self(z), lambda u: torch.zeros_like(z)
        return automatic_vjp(self, z)

    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (G(z), J_G(z)), shapes (*B, 4096) and (*B, 4096, latent)."""
        return automatic_jacobian(self, z)

    def to(self, device: torch.device | str) -> "InstanceGenerator":
        """Return this generator with its weights on `device`."""
        check_place(device=device)
        with recording():
            return InstanceGenerator(deepcopy(self.network).to(device))


def _instance_normalised(network: nn.Sequential) -> nn.Sequential:
    """Return a frozen copy in which every image is normalised by its own statistics."""
    layers = [_by_instance(layer) if isinstance(layer, nn.BatchNorm2d) else layer for layer in deepcopy(network)]
    frozen = nn.Sequential(*layers).requires_grad_(False)
    return frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format


def _by_instance(norm: nn.BatchNorm2d) -> nn.InstanceNorm2d:
    instance = nn.InstanceNorm2d(
        norm.num_features, eps=norm.eps, affine=True, device=norm.weight.device, dtype=norm.weight.dtype
    )
    instance.load_state_dict({"weight": norm.weight, "bias": norm.bias})
    return instance


def _padding(T: nn.ConvTranspose2d) -> tuple[int, ...]:
    return cast(tuple[int, ...], T.padding)


def _fold_batch_norm(network: nn.Sequential) -> nn.Sequential:
    """Return a frozen copy with batch normalisation in eval mode folded into the convolutions: the same function."""
    layers: list[nn.Module] = []
    for layer in deepcopy(network).eval().requires_grad_(False):
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(cast(nn.ConvTranspose2d, layers[-1]), layer, transpose=True)
        else:
            layers.append(layer)
    frozen = nn.Sequential(*layers).requires_grad_(False)
    return frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format
