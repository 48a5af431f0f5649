"""Encoders: trained networks that map a picture y = G1(h) ⊙ G2(m) to the codes (h, m), in one pass.

An encoder is amortised inference. It learned, through two generators that stood still, to make the residual of (2) small on
pictures of the kinds that it was shown. Nothing is guaranteed: the residual judges its answer, which is as well a start for
the descent. An encoder may have a refinement: a second network that sees y, both images of the first answer and what they
leave, and corrects the codes. How they are trained stands in `demod.training.encoder`.
"""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from demod.arguments import check_counts, check_place, check_precision, check_switches, told
from demod.data import SIDE
from demod.generators import Generator
from demod.generators.differentiation import recording
from demod.priors.weights import load_shipped
from demod.torch_state import by_itself, in_full_precision

AT_ONCE = 32  # pictures in one pass: the layers of more leave the cache
SEEN = 4  # images that a refinement sees of each picture
RESIDUAL_GAIN = 10.0  # of the residual among them, which is small
REFINEMENTS = {"encoder": "encoder-refinement"}  # of shipped encoders


@by_itself
def encoder_network(channels: Sequence[int], hidden: int, entries: int, *, seen: int = 1) -> nn.Sequential:
    """Return (B, seen, 64, 64) -> (B, entries): convolutions of stride 2, normalised over the batch, and a hidden layer.

    channels are those after each convolution, which halves the side; up to six.
    """
    counts = {f"channels[{i}]": count for i, count in enumerate(channels)}
    check_counts(**counts, hidden=hidden, entries=entries, seen=seen)
    if not 1 <= len(channels) <= 6:
        raise ValueError(f"channels has {len(channels)} entries, but a side of 64 is halved one to six times; give as many.")
    layers: list[nn.Module] = []
    for inner, outer in pairwise((seen, *channels)):
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


def seen_by_refinement(y: Tensor, w: Tensor, x: Tensor) -> Tensor:
    """Return what a refinement sees of pictures y and the images w, x of an answer, all (B, 64, 64): (B, 4, 64, 64)."""
    return torch.stack([y, w, x, RESIDUAL_GAIN * (w * x - y)], 1)


class Encoder:
    """Pictures (*B, 64, 64) -> codes h (*B, n) and m (*B, p) of y divided by its peak: c y has the codes of y.

    network maps (B, 1, 64, 64) to (B, n + p), refinement, if there is one, (B, 4, 64, 64); latents is (n, p). Networks are
    computed in the type of their weights; codes have the type of y, and do not depend on the other pictures of the batch.
    """

    @torch.inference_mode(False)  # what is made here is to serve outside of it, too
    def __init__(self, network: nn.Module, latents: tuple[int, int], *, refinement: nn.Module | None = None) -> None:
        n, p = latents
        check_counts(n=n, p=p)
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.refinement = None if refinement is None else deepcopy(refinement).eval().requires_grad_(False)
        self.latents = n, p
        self.weight = next(self.network.parameters())
        self._check_trial("network", self.network, 1)
        if self.refinement is not None:
            self._check_trial("refinement", self.refinement, SEEN)

    def _check_trial(self, name: str, network: nn.Module, seen: int) -> None:
        """Raise unless the network makes n + p entries of so many images of a picture."""
        required = (1, sum(self.latents))
        try:
            with torch.no_grad():
                shape = tuple(network(self.weight.new_zeros(1, seen, SIDE, SIDE)).shape)
        except RuntimeError as error:
            raise ValueError(
                f"{name} takes no pictures (B, {seen}, {SIDE}, {SIDE}); see demod.priors.encoder.encoder_network."
            ) from error
        if shape != required:
            raise ValueError(f"{name} makes {shape} of one picture, but {required} is required: n + p of {self.latents}.")

    @in_full_precision
    @torch.no_grad()
    def __call__(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (h, m), shapes (*B, n) and (*B, p), of the first network."""
        check_pictures(y)
        pictures = y.reshape(-1, 1, SIDE, SIDE).split(AT_ONCE)
        codes = torch.cat([self.network(at_full_brightness(some).to(self.weight.dtype)) for some in pictures])
        return self._divided(codes, y)

    @in_full_precision
    @torch.no_grad()
    def answer(self, y: Tensor, G1: Generator, G2: Generator) -> tuple[Tensor, Tensor]:
        """Return (h, m) after the refinement, if there is one, which sees what G1 and G2 make of the first codes."""
        h, m = self(y)
        if self.refinement is None or not y.numel():
            return h, m
        pictures, codes = at_full_brightness(y.reshape(-1, SIDE, SIDE)), []
        first, second = (z.reshape(-1, z.shape[-1]).split(AT_ONCE) for z in (h, m))
        for some, a, b in zip(pictures.split(AT_ONCE), first, second, strict=True):
            seen = seen_by_refinement(some, G1(a).view_as(some), G2(b).view_as(some))
            codes.append(torch.cat([a, b], 1) + self.refinement(seen.to(self.weight.dtype)).to(y.dtype))
        return self._divided(torch.cat(codes), y)

    def _divided(self, codes: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes (B, n + p) as h and m for y (*B, 64, 64), in its type."""
        h, m = codes.to(y.dtype).reshape(*y.shape[:-2], sum(self.latents)).split(self.latents, -1)
        return h.contiguous(), m.contiguous()

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Encoder":
        """Return this encoder with its weights on `device` and in `dtype`; None leaves them as they are."""
        check_place(dtype, device)
        with recording():
            network, refinement = (
                None if part is None else deepcopy(part).to(device, dtype) for part in (self.network, self.refinement)
            )
            return Encoder(cast(nn.Module, network), self.latents, refinement=refinement)


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


def load_encoder(name: str, *, device: torch.device | str = "cpu", refined: bool = True) -> Encoder:
    """Return a shipped encoder, float32: "encoder", through the DCGANs, or "relu-encoder", through the ReLU priors.

    Its codes are those of the generators that its card names: `settings` has the signal's and the modulator's. It comes with
    its refinement, if one is shipped, unless refined is False.

    Raises
    ------
    ValueError
        If no encoder of this name is shipped, or its file is not the one its card was written for.
    """
    check_place(device=device)
    check_switches(refined=refined)
    network, latents = _shipped_network(name, seen=1)
    refinement = _shipped_network(REFINEMENTS[name], seen=SEEN)[0] if refined and name in REFINEMENTS else None
    return Encoder(network, latents, refinement=refinement).to(device)


def _shipped_network(name: str, *, seen: int) -> tuple[nn.Module, tuple[int, int]]:
    """Return a shipped network that sees so many images of each picture, and the entries (n, p) of the codes."""
    card, tensors = load_shipped(name)
    if "latents" not in card or (card["settings"]["refines"] is None) != (seen == 1):
        raise ValueError(f"name is {told(name)}, but the encoders are encoder and relu-encoder; the others are generators.")
    settings, (n, p) = card["settings"], card["latents"]
    network = encoder_network(settings["channels"], settings["hidden"], n + p, seen=seen)
    network.load_state_dict(tensors)  # copies, so half precision becomes single
    return network, (n, p)
