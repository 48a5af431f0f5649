"""How images are demodulated: the settings of Algorithm 1, published and best, and that of Gauss–Newton.

A `Setting` counts its step size in units of the mean-squared loss ‖w ⊙ x - y‖²/4096, as published: it is η · 4096/2 of (2).
"""

from dataclasses import dataclass, replace
from math import inf

from demod.arguments import check_counts, check_numbers, check_switches
from demod.baselines.shading import LEAST_PEAK
from demod.descent.rule import Rule
from demod.gauss_newton.rule import StepRule


@dataclass(frozen=True)
class Setting:
    """How Algorithm 1 runs on images.

    step : step size in units of the mean-squared loss
    momentum, iterations, reflect_every, balance, simultaneous : as in `descend`, whose rule they make
    starts : runs from independent starting codes, of which the one with the least residual is kept
    brightened_below : an image whose peak is below this is divided by its peak before the descent, in (0, 1]
    amortised : whether the first start is the answer of an encoder, see `demod.demodulation.infer`

    Raises
    ------
    ValueError, TypeError
        If a setting is out of its range or of another type.
    """

    step: float
    momentum: float
    iterations: int
    reflect_every: int
    balance: bool
    starts: int
    simultaneous: bool = False
    brightened_below: float = LEAST_PEAK
    amortised: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        check_numbers(step=self.step)
        check_counts(starts=self.starts)
        check_switches(amortised=self.amortised)
        if not 0 < self.step < inf:
            raise ValueError(f"step is {self.step}, but a step size is positive and finite; 1 is the paper's.")
        check_brightness(self.brightened_below)
        self.rule()

    def rule(self) -> Rule:
        """Return the rule of the iteration; all iterations run, whatever the residual."""
        return Rule(self.momentum, self.iterations, 0.0, self.reflect_every, self.balance, self.simultaneous)


@dataclass(frozen=True)
class GaussNewtonSetting:
    """How `demod.gauss_newton.solve` runs on images.

    iterations, linearise_every, dampings : as in `solve`
    starts : runs from independent starting codes, of which the one with the least residual is kept
    half : whether JᵀJ is that of the priors in bfloat16, where the processor multiplies such numbers itself: that takes half
        the time, and the answers differ by less than from start to start
    brightened_below, amortised : as in `Setting`

    Raises
    ------
    ValueError, TypeError
        If a setting is out of its range or of another type.
    """

    iterations: int
    starts: int
    linearise_every: int = 1
    dampings: int = 1
    half: bool = False
    brightened_below: float = LEAST_PEAK
    amortised: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        check_counts(starts=self.starts)
        check_switches(half=self.half, amortised=self.amortised)
        check_brightness(self.brightened_below)
        StepRule(iterations=self.iterations, linearise_every=self.linearise_every, dampings=self.dampings)


def check_brightness(brightened_below: float) -> None:
    """Raise unless this is the peak of an image."""
    check_numbers(brightened_below=brightened_below)
    if not 0 < brightened_below <= 1:
        raise ValueError(f"brightened_below is {brightened_below}, but a peak is in (0, 1]; 1 is for all images.")


# The published settings see an image as it is unless it is dim; the best ones see every image at its full brightness.
PAPER_SETTING = Setting(step=1.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=1)
NOTEBOOK_SETTING = Setting(
    step=1.0, momentum=0.9, iterations=500, reflect_every=100, balance=True, starts=1, simultaneous=True
)
RELU_SETTING = Setting(step=6.0, momentum=0.9, iterations=500, reflect_every=1, balance=True, starts=2)
FIRST_ORDER_SETTING = Setting(
    step=32.0, momentum=0.9, iterations=500, reflect_every=25, balance=False, starts=1, brightened_below=1.0
)
BEST_SETTING = GaussNewtonSetting(iterations=40, starts=1, linearise_every=4, dampings=3, half=True, brightened_below=1.0)
FAST_SETTING = replace(BEST_SETTING, iterations=24, linearise_every=6, amortised=True)
