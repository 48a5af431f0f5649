"""Trained DCGAN generators as `Generator`s onto 64 × 64 images, with the pullback by hand.

With batch normalisation in eval mode folded into the transposed convolutions T_i, the layers are

    x_0 = z,   x_i = relu(T_i x_{i-1} + b_i),   G(z) = 1/2 (1 + tanh(T_k x_{k-1} + b_k)),

and with v = tanh(…), D_i = diag(x_i > 0) the derivative, transposed, is

    J(z)ᵀ u = T_1ᵀ D_1 T_2ᵀ D_2 ⋯ T_kᵀ (1 - v²) ⊙ u / 2,

where T_iᵀ is the convolution with the same weights. T_1 sees one pixel and T_k makes one channel: both are matrix products.
Nothing is kept for the weights' sake, and one layer's outputs are all that its pullback needs.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, fold
from torch.nn.utils.fusion import fuse_conv_bn_eval

from demod.data import SIDE
from demod.generators import Generator


class ImageGenerator:
    """A trained network as a `Generator`: (*B, latent) -> (*B, 4096), images in [0, 1] row by row.

    `homogeneous` is False: G(c z) is not c G(z), the scaling ambiguity of (1) does not hold between codes. The layers are
    computed in the type of the network's weights, the codes and images keep the type of z: with weights in bfloat16 an
    evaluation costs about half, and is right to about three digits.
    """

    homogeneous = False

    def __init__(self, network: nn.Sequential) -> None:
        self.network = _fold_batch_norm(network)
        kinds = [type(layer) for layer in self.network]
        if kinds != [nn.ConvTranspose2d, nn.ReLU] * (len(kinds) // 2 - 1) + [nn.ConvTranspose2d, nn.Tanh]:
            raise ValueError(
                f"network has the layers {', '.join(kind.__name__ for kind in kinds)}, but transposed convolutions with "
                "ReLUs between them and a Tanh at the end are required; build it as `demod.dcgan.generator_network` does."
            )
        convolutions = cast(list[nn.ConvTranspose2d], list(self.network)[::2])
        self.first, self.inner, self.last = convolutions[0], convolutions[1:-1], convolutions[-1]
        self.widths: tuple[int, ...] = (self.first.in_channels, SIDE * SIDE)
        self.into = self.first.weight.permute(0, 2, 3, 1).flatten(1)  # (latent, height · width · channels)
        bias, self.shift = cast(Tensor, self.first.bias), cast(Tensor, self.last.bias)
        self.into_bias = bias.repeat(self.into.shape[1] // len(bias))
        self.out_of = self.last.weight.flatten(1)  # (channels, height · width) of the kernel

    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z), shape (*B, 4096), in [0, 1]."""
        if z.shape[-1] != self.widths[0]:
            raise ValueError(f"z has {z.shape[-1]} entries but the latent dimension is {self.widths[0]}.")
        return ((self._forward(z)[-1] + 1) / 2).view(*z.shape[:-1], self.widths[1])

    def vjp(self, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return (G(z), pullback), pullback: (*B, 4096) -> (*B, latent)."""
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
        patches = self.out_of.mT @ layers[-1].permute(0, 2, 3, 1).flatten(1, 2).mT  # (B, kernel, pixels)
        size, stride = self.last.kernel_size, self.last.stride
        image = fold(patches.to(z.dtype), (SIDE, SIDE), size, padding=_padding(self.last), stride=stride)
        return [*layers, image.add_(self.shift).tanh_()]

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
        return ImageGenerator(deepcopy(self.network).to(device, dtype))


def draw_codes(G: Generator, batch: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Return random codes (*batch, n), float32, as the images that G was trained on have them.

    They are N(0, I), or, for a prior with a `centre` c, N(c, (1 - ‖c‖²/n) I): of the same mean square.
    """
    n, centre = G.widths[0], getattr(G, "centre", None)
    z = torch.randn(*batch, n, generator=rng)
    if centre is None:
        return z
    c = centre.cpu()
    return c + (1 - c.square().mean()).sqrt() * z


def closest_in_range(
    G: Generator, images: Tensor, *, starts: int = 3, iterations: int = 300, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the images of G closest to `images`, (N, 64, 64) in [0, 1], and min_z ‖G(z) - x‖² / 4096, shape (N,).

    The best iterate of `starts` runs of Adam: the error is an upper bound on the true minimum. 10 log10 of its inverse is
    the PSNR that the prior allows.
    """
    target = images.flatten(1).expand(starts, -1, -1)
    z = draw_codes(G, (starts, len(images)), torch.Generator().manual_seed(seed)).to(images.device)
    best_z, best_error = z.clone(), torch.full(z.shape[:2], torch.inf, device=images.device)
    adam = torch.optim.Adam([z.requires_grad_()], lr=0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations)
    for _ in range(iterations):
        error = (G(z) - target).square().mean(-1)
        better = error.detach() < best_error
        best_error, best_z = (
            torch.where(better, error.detach(), best_error),
            torch.where(better[..., None], z.detach(), best_z),
        )
        adam.zero_grad()
        error.sum().backward()
        adam.step()
        schedule.step()
    error, start = best_error.min(0)
    return G(best_z[start, torch.arange(len(images))]).reshape(images.shape), error


def representation_error(G: Generator, images: Tensor, *, starts: int = 3, iterations: int = 300, seed: int = 0) -> Tensor:
    """Return the mean-squared distance of images (N, 64, 64) to the range of G, (N,), as `closest_in_range` finds it."""
    return closest_in_range(G, images, starts=starts, iterations=iterations, seed=seed)[1]


class InstanceGenerator:
    """A trained network with batch normalisation left in train mode at batch size 1, as the authors' notebook runs it.

    Every image is normalised by its own statistics. The first layer is linear in z but for its bias, which the normalisation
    removes, so that G(c z) = G(z) for c > 0: codes have no scale. The pullback is automatic differentiation.
    """

    homogeneous = False

    def __init__(self, network: nn.Sequential) -> None:
        layers = [_by_instance(layer) if isinstance(layer, nn.BatchNorm2d) else layer for layer in deepcopy(network)]
        frozen = nn.Sequential(*layers).requires_grad_(False)
        self.network = frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format
        self.widths: tuple[int, ...] = (cast(nn.ConvTranspose2d, network[0]).in_channels, SIDE * SIDE)

    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z), shape (*B, 4096), in [0, 1]."""
        images = self.network(z.reshape(-1, z.shape[-1], 1, 1))
        return ((images + 1) / 2).reshape(*z.shape[:-1], self.widths[1])

    def vjp(self, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return (G(z), pullback), pullback: (*B, 4096) -> (*B, latent)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            value = self(z)
        return value.detach(), lambda cotangent: torch.autograd.grad(value, z, cotangent, retain_graph=True)[0]

    def to(self, device: torch.device | str) -> "InstanceGenerator":
        """Return this generator with its weights on `device`."""
        return InstanceGenerator(deepcopy(self.network).to(device))


def _by_instance(norm: nn.BatchNorm2d) -> nn.InstanceNorm2d:
    instance = nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=True).to(norm.weight)
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
