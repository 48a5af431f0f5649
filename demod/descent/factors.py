"""The two factors of the product while Algorithm 1 moves their codes: values, mirrored values and pullbacks, once each.

A factor keeps its code z, its velocity v and a multiple `gauge` · G(z), and the two gauges of a product multiply to one. So
the norm balancing of homogeneous networks, G(z/c) = G(z)/c, touches codes and gauges and no vector of length ℓ.

For ReLU networks both values that line 3 compares, G(z) and G(-z), come out of one matrix product per layer: the first layer
of -z is minus that of z, and relu(a), relu(-a) go on side by side. The reflection then only swaps them, and nothing is
computed twice. All vectors of length ℓ live in buffers that are allocated once.
"""

from typing import Protocol

import torch
from torch import Tensor

from demod.generators import Generator, ReLUGenerator, pick


class Mirrored(Protocol):
    """A factor w = G(z) of the product, for B problems, whose codes z (B, n) can be negated: what line 3 needs."""

    z: Tensor

    @property
    def value(self) -> Tensor:
        """The values w, shape (B, ℓ)."""
        ...

    def mirrored(self) -> Tensor:
        """Return the values at z and -z, shape (2, B, ℓ)."""
        ...

    def reflect(self, rows: Tensor) -> None:
        """Negate the codes of the problems where `rows` (B,) is true, and all that belongs to them."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` (B,) is true."""
        ...


class Factor(Mirrored, Protocol):
    """A factor that descends, with a velocity v (B, n): `value` (B, ℓ) is gauge · G(z), gauge (B, 1)."""

    v: Tensor
    gauge: Tensor
    homogeneous: bool

    def step(self, cotangent: Tensor, step_size: Tensor, momentum: float, *, mirror: bool) -> None:
        """Take a descent step: v ← μ v + Λ_zᵀ cotangent, z ← z - η v; the cotangent is that of `value`, and may be reused.

        mirror says that `mirrored` will be asked for next.
        """
        ...

    def scale(self, c: Tensor) -> None:
        """Multiply z and v by c > 0, shape (B, 1)."""
        ...

    def evaluated(self) -> Tensor:
        """Return G(z) computed anew, shape (B, ℓ)."""
        ...

    def rebase(self) -> None:
        """Set the gauge to 1 and compute the values anew."""
        ...


def factors_at(G1: Generator, G2: Generator, h: Tensor, m: Tensor) -> tuple[Factor, Factor]:
    """Return the two factors at rest at h and m, shapes (B, n) and (B, p)."""
    if isinstance(G1, ReLUGenerator) and isinstance(G2, ReLUGenerator) and G1.homogeneous and G2.homogeneous:
        return ReLUFactor(G1, h), ReLUFactor(G2, m)
    return PlainFactor(G1, h), PlainFactor(G2, m)


class PlainFactor:
    """A factor of any generator: evaluated anew whenever its code changes; its gauge is always 1."""

    def __init__(self, G: Generator, z: Tensor) -> None:
        self.G, self.z, self.v = G, z, torch.zeros_like(z)
        self.homogeneous = False
        self.gauge = torch.ones_like(z[:, :1])
        self._evaluate()

    def _evaluate(self) -> None:
        value, self.pullback = self.G.vjp(self.z)
        self.value = value.detach()  # of a generator that learns, say

    def mirrored(self) -> Tensor:
        """See `Mirrored`."""
        return torch.stack([self.value, self.G(-self.z).detach()])

    def step(self, cotangent: Tensor, step_size: Tensor, momentum: float, *, mirror: bool) -> None:
        """See `Factor`."""
        self.v = momentum * self.v + self.pullback(cotangent).detach()
        self.z = self.z - step_size * self.v
        self._evaluate()

    def reflect(self, rows: Tensor) -> None:
        """See `Factor`."""
        sign = 1 - 2 * rows[:, None].to(self.z.dtype)
        self.scale(sign)

    def scale(self, c: Tensor) -> None:
        """See `Factor`."""
        self.z, self.v = c * self.z, c * self.v
        self._evaluate()

    def evaluated(self) -> Tensor:
        """See `Factor`."""
        return self.value

    def rebase(self) -> None:
        """See `Factor`: the values are always new."""

    def keep(self, rows: Tensor) -> None:
        """See `Factor`."""
        self.z, self.v, self.gauge = self.z[rows], self.v[rows], self.gauge[rows]
        self.G = pick(self.G, rows.nonzero()[:, 0])
        self._evaluate()


class ReLUFactor:
    """A factor of a ReLU network; the weights are one matrix a layer, or one for each of the B problems."""

    def __init__(self, G: ReLUGenerator, z: Tensor) -> None:
        self.weights, self.homogeneous = tuple(W.detach() for W in G.weights), True
        self.z, self.v = z, torch.zeros_like(z)
        self.gauge = torch.ones_like(z[:, :1])
        self._allocate()
        self._evaluate(mirror=True)

    def _allocate(self) -> None:
        """Reserve, for each layer, the outputs for z and -z side by side, and what comes back through it."""
        B = len(self.z)
        self.layers, self.back = [], []
        for W in self.weights:
            shape = (2, B, W.shape[-2]) if W.ndim == 2 else (B, 2, W.shape[-2])
            self.layers.append(self.z.new_empty(shape))
            self.back.append(self.z.new_empty(B, W.shape[-1]))

    def _side(self, i: int, side: int) -> Tensor:
        """Return layer i's output for z (side 0) or for -z (side 1), a view of shape (B, n_i)."""
        return self.layers[i].select(0 if self.weights[i].ndim == 2 else 1, side)

    @property
    def value(self) -> Tensor:
        """See `Factor`."""
        return self._side(-1, 0)

    def _evaluate(self, *, mirror: bool) -> None:
        z = self.gauge * self.z
        W, plus = self.weights[0], self._side(0, 0)
        a = z @ W.mT if W.ndim == 2 else torch.bmm(z[:, None], W.mT)[:, 0]
        torch.clamp_min(a, 0, out=plus)
        if mirror:
            torch.sub(plus, a, out=self._side(0, 1))  # relu(-a) = relu(a) - a
        for i, W in enumerate(self.weights[1:], start=1):
            self._pass(i, W, both=mirror)
        self.has_mirror = mirror

    def _pass(self, i: int, W: Tensor, *, both: bool) -> None:
        """Fill layer i from layer i - 1, for z or for z and -z."""
        if W.ndim == 2:
            source, target = (layer if both else layer[0] for layer in self.layers[i - 1 : i + 1])
            torch.mm(source.flatten(0, -2), W.mT, out=target.flatten(0, -2)).relu_()  # contiguous: a view
        else:
            source, target = (layer if both else layer[:, :1] for layer in self.layers[i - 1 : i + 1])
            torch.bmm(source, W.mT, out=target).relu_()

    def mirrored(self) -> Tensor:
        """See `Factor`."""
        if not self.has_mirror:
            self._evaluate(mirror=True)
        return self.layers[-1] if self.weights[-1].ndim == 2 else self.layers[-1].transpose(0, 1)

    def step(self, cotangent: Tensor, step_size: Tensor, momentum: float, *, mirror: bool) -> None:
        """See `Factor`."""
        u = self._pull(cotangent)
        self.v = torch.addcmul(momentum * self.v, self.gauge, u) if momentum else self.gauge * u
        self.z = torch.addcmul(self.z, step_size, self.v, value=-1)
        self._evaluate(mirror=mirror)

    def _pull(self, u: Tensor) -> Tensor:
        """Return Λ_zᵀ u for u (B, ℓ), which is overwritten, in a buffer that the next call overwrites, (B, n)."""
        for i in reversed(range(len(self.weights))):
            W = self.weights[i]
            torch.ops.aten.threshold_backward.grad_input(u, self._side(i, 0), 0, grad_input=u)  # u where the unit is on
            if W.ndim == 2:
                u = torch.mm(u, W, out=self.back[i])
            else:
                u = torch.bmm(u[:, None], W, out=self.back[i][:, None])[:, 0]
        return u

    def reflect(self, rows: Tensor) -> None:
        """See `Factor`."""
        sign = 1 - 2 * rows[:, None].to(self.z.dtype)
        self.z, self.v = sign * self.z, sign * self.v
        for i in range(len(self.weights)):
            plus, minus = self._side(i, 0), self._side(i, 1)
            plus[rows], minus[rows] = minus[rows], plus[rows]

    def scale(self, c: Tensor) -> None:
        """See `Factor`."""
        self.z, self.v, self.gauge = c * self.z, c * self.v, self.gauge / c

    def evaluated(self) -> Tensor:
        """See `Factor`."""
        a = self.z
        for W in self.weights:
            a = (a @ W.mT if W.ndim == 2 else torch.bmm(a[:, None], W.mT)[:, 0]).relu_()
        return a

    def rebase(self) -> None:
        """See `Factor`."""
        self.gauge = torch.ones_like(self.gauge)
        self._evaluate(mirror=True)

    def keep(self, rows: Tensor) -> None:
        """See `Factor`."""
        self._select(rows)
        self._evaluate(mirror=True)

    def _select(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` is true, whose values are yet to be computed."""
        self.z, self.v, self.gauge = self.z[rows], self.v[rows], self.gauge[rows]
        self.weights = tuple(W if W.ndim == 2 else W[rows] for W in self.weights)
        self._allocate()
