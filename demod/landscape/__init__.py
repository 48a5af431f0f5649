"""The landscape of (2): `grids` of f and its branches, its `pieces` and kinks, `surveys` of where descents end.

`samples` has points at kinks and near the curves, `concentration` says how far finite networks are from their limit.
"""

from demod.landscape.concentration import Deviations, deviations
from demod.landscape.grids import (
    QUADRANTS,
    Branches,
    branches,
    expected_branches,
    objective_grid,
    ripples,
    valley_grid,
)
from demod.landscape.pieces import Slopes, hessian, linear_rate, slopes_down, without_fall_off_K, without_way_down
from demod.landscape.samples import codes_at_kinks, codes_near_curves, directions_off_K, on_grid, rounded
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
    "Deviations",
    "Endpoints",
    "Slopes",
    "branches",
    "codes_at_kinks",
    "codes_near_curves",
    "deviations",
    "directions_off_K",
    "expected_branches",
    "hessian",
    "linear_rate",
    "objective_grid",
    "on_grid",
    "over_networks",
    "polish",
    "radius",
    "ripples",
    "rounded",
    "scaled_gradient",
    "slopes_down",
    "spurious_share",
    "survey",
    "survey_networks",
    "valley_grid",
    "without_fall_off_K",
    "without_way_down",
]
