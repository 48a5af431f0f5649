"""The rule of the iteration: what stays the same for all problems and all iterations of Algorithm 1."""

from dataclasses import dataclass

from demod.arguments import check_counts, check_numbers, check_switches


@dataclass(frozen=True)
class Rule:
    """How Algorithm 1 runs; the fields are those arguments of `demod.descent.descend`, balance being decided.

    Raises
    ------
    ValueError
        If a setting is out of its range.
    TypeError
        If a setting is no number, no whole number or no Boolean where one is required.
    """

    momentum: float = 0.0
    iterations: int = 500
    tolerance: float = 1e-12
    reflect_every: int = 1
    balance: bool = True
    simultaneous: bool = False
    relative_steps: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        check_counts(0, iterations=self.iterations, reflect_every=self.reflect_every)
        check_numbers(momentum=self.momentum, tolerance=self.tolerance)
        check_switches(balance=self.balance, simultaneous=self.simultaneous, relative_steps=self.relative_steps)
        if not 0 <= self.momentum < 1:
            raise ValueError(
                f"momentum is {self.momentum}, but it must be in [0, 1), or the iterates run away; 0 is as printed."
            )
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance is {self.tolerance}, but it bounds a norm and must be ≥ 0; 0 runs all iterations.")

    def reflects_at(self, i: int) -> bool:
        """Return whether line 3 runs at iteration i."""
        return self.reflect_every > 0 and i % self.reflect_every == 0
