"""The landscape of (2): `grids` of f and its branches, its `pieces` and kinks, and `surveys` of where descents end."""

from demod.landscape.grids import QUADRANTS, Branches, branches, expected_branches, objective_grid, valley_grid
from demod.landscape.pieces import Slopes, directions_off_K, hessian, linear_rate, slopes_down
from demod.landscape.surveys import (
    Endpoints,
    over_networks,
    polish,
    radius,
    scaled_gradient,
    spurious_share,
    survey,
    survey_networks,
)

__all__ = [
    "QUADRANTS",
    "Branches",
    "Endpoints",
    "Slopes",
    "branches",
    "directions_off_K",
    "expected_branches",
    "hessian",
    "linear_rate",
    "objective_grid",
    "over_networks",
    "polish",
    "radius",
    "scaled_gradient",
    "slopes_down",
    "spurious_share",
    "survey",
    "survey_networks",
    "valley_grid",
]
