"""Encoders: trained networks that map a picture y = G1(h) ⊙ G2(m) to the codes (h, m), in one pass.

An encoder is amortised inference. It learned, through two generators that stood still, to make the residual of (2) small on
pictures of the kinds that it was shown. Nothing is guaranteed: the residual judges its answer, which is as well a start for
the descent. How encoders are trained stands in `demod.training.encoder`.
"""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from demod.arguments import check_counts, check_place, check_precision, told
from demod.data import SIDE
from demod.generators.differentiation import recording
from demod.priors.weights import load_shipped
from demod.torch_state import by_itself, in_full_precision

AT_ONCE = 256  # pictures in one pass: the layers of more leave the cache


@by_itself
def encoder_network(channels: Sequence[int], hidden: int, entries: int) -> nn.Sequential:
    """Return (B, 1, 64, 64) -> (B, entries): convolutions of stride 2, normalised over the batch, and a hidden layer.

    channels are those after each convolution, which halves the side; up to six.
    """
    check_counts(**{f"channels[{i}]": count for i, count in enumerate(channels)}, hidden=hidden, entries=entries)
    if not 1 <= len(channels) <= 6:
        raise ValueError(f"channels has {len(channels)} entries, but a side of 64 is halved one to six times; give as many.")
    layers: list[nn.Module] = []
    for inner, outer in pairwise((1, *channels)):
        layers += [nn.Conv2d(inner, outer, 4, 2, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
    flat = channels[-1] * (SIDE >> len(channels)) ** 2
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, entries))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format


def at_full_brightness(y: Tensor) -> Tensor:
    """Return pictures (*B, 64, 64), each divided by its peak."""
    return y / y.amax((-2, -1), keepdim=True)


@in_full_precision
@torch.no_grad()
def filled(y: Tensor, mask: Tensor) -> Tensor:
    """Return pictures (*B, 64, 64) with each pixel that was not seen replaced by the mean of those seen around it.

    mask is Boolean, (64, 64) or (*B, 64, 64), true where y was seen; the neighbourhood is the smallest square with sides of
    3, 5, 9, … pixels in which one was. What stands in the other pixels of y does not matter, NaN included.
    """
    known = mask.expand(y.shape).reshape(-1, 1, SIDE, SIDE)
    seen = torch.where(known, y.reshape(known.shape), 0.0)
    weight, result, missing, reach = known.to(y.dtype), seen, ~known, 1
    while missing.any() and reach < 2 * SIDE:
        share, light = (avg_pool2d(part, 2 * reach + 1, 1, reach) for part in (weight, seen))
        result = torch.where(missing & (share > 0), light / share, result)
        missing, reach = missing & (share == 0), 2 * reach
    return result.reshape(y.shape)


class Encoder:
    """Pictures (*B, 64, 64) -> codes h (*B, n) and m (*B, p) of y divided by its peak: c y has the codes of y.

    network maps (B, 1, 64, 64) to (B, n + p); latents is (n, p). The network is computed in the type of its weights; codes
    have the type of y, and do not depend on the other pictures of the batch.
    """

    @torch.inference_mode(False)  # what is made here is to serve outside of it, too
    def __init__(self, network: nn.Module, latents: tuple[int, int]) -> None:
        n, p = latents
        check_counts(n=n, p=p)
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.latents = n, p
        self.weight = next(self.network.parameters())
        self._check_trial()

    def _check_trial(self) -> None:
        """Raise unless the network makes n + p entries of a picture."""
        required = (1, sum(self.latents))
        try:
            with torch.no_grad():
                shape = tuple(self.network(self.weight.new_zeros(1, 1, SIDE, SIDE)).shape)
        except RuntimeError as error:
            raise ValueError(
                f"network takes no pictures (B, 1, {SIDE}, {SIDE}); see demod.priors.encoder.encoder_network."
            ) from error
        if shape != required:
            raise ValueError(f"network makes {shape} of one picture, but {required} is required: n + p of {self.latents}.")

    @in_full_precision
    @torch.no_grad()
    def __call__(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (h, m), shapes (*B, n) and (*B, p)."""
        check_pictures(y)
        pictures = y.reshape(-1, 1, SIDE, SIDE).split(AT_ONCE)
        codes = torch.cat([self.network(at_full_brightness(some).to(self.weight.dtype)) for some in pictures])
        h, m = codes.to(y.dtype).reshape(*y.shape[:-2], sum(self.latents)).split(self.latents, -1)
        return h.contiguous(), m.contiguous()

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Encoder":
        """Return this encoder with its weights on `device` and in `dtype`; None leaves them as they are."""
        check_place(dtype, device)
        with recording():
            return Encoder(deepcopy(self.network).to(device, dtype), self.latents)


def check_side(y: Tensor) -> None:
    """Raise unless y is images (*B, 64, 64)."""
    if y.shape[-2:] != (SIDE, SIDE):
        raise ValueError(f"y has shape {tuple(y.shape)}, but images of 64 × 64 pixels are required; use demod.data.resize.")


def check_pictures(y: Tensor) -> None:
    """Raise unless y is pictures (*B, 64, 64), finite, each with a positive peak."""
    check_precision(y=y)
    check_side(y)
    if not (y.amax((-2, -1)) > 0).all():
        raise ValueError("y has a picture without a positive pixel, but each needs one to be seen by; leave it out.")


def load_encoder(name: str, *, device: torch.device | str = "cpu") -> Encoder:
    """Return a shipped encoder, float32: "encoder", through the DCGANs, or "relu-encoder", through the ReLU priors.

    Its codes are those of the generators that its card names: `settings` has the signal's and the modulator's.

    Raises
    ------
    ValueError
        If no encoder of this name is shipped, or its file is not the one its card was written for.
    """
    check_place(device=device)
    card, tensors = load_shipped(name)
    if "latents" not in card:
        raise ValueError(f"name is {told(name)}, but the encoders are encoder and relu-encoder; the others are generators.")
    settings, (n, p) = card["settings"], card["latents"]
    network = encoder_network(settings["channels"], settings["hidden"], n + p)
    network.load_state_dict(tensors)  # copies, so half precision becomes single
    return Encoder(network, (n, p)).to(device)
