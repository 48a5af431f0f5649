"""The rule of the steps: what stays the same for all problems and all iterations."""

from dataclasses import dataclass

from demod.arguments import check_counts
from demod.descent.rule import Rule


@dataclass(frozen=True)
class StepRule(Rule):
    """How Gauss–Newton runs; the fields are those arguments of `demod.gauss_newton.solve`, balance being decided.

    Raises
    ------
    ValueError, TypeError
        If a setting is out of its range or of another type.
    """

    linearise_every: int = 1
    dampings: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        check_counts(linearise_every=self.linearise_every, dampings=self.dampings)

    @property
    def returns(self) -> bool:
        """Whether the product is to go back from what was tried to where the problems stand, for what follows needs it."""
        return self.linearise_every > 1 or self.dampings > 1
