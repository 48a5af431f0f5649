"""The landscape of (2): `grids` of f, its `pieces`, `surveys` of where descents end, the `tube` around the hyperbola."""

from demod.landscape.grids import QUADRANTS, Branches, branches, expected_branches, objective_grid, valley_grid
from demod.landscape.pieces import Slopes, directions_off_K, hessian, linear_rate, noise_gain, slopes_down
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
from demod.landscape.tube import (
    OnePoint,
    around,
    certified_strength,
    curvature,
    expected_one_point,
    one_point,
    proved_strength,
    random_directions,
    weakest,
)

__all__ = [
    "QUADRANTS",
    "Branches",
    "Endpoints",
    "OnePoint",
    "Slopes",
    "around",
    "branches",
    "certified_strength",
    "curvature",
    "directions_off_K",
    "expected_branches",
    "expected_one_point",
    "hessian",
    "linear_rate",
    "noise_gain",
    "objective_grid",
    "one_point",
    "over_networks",
    "polish",
    "proved_strength",
    "radius",
    "random_directions",
    "scaled_gradient",
    "slopes_down",
    "spurious_share",
    "survey",
    "survey_networks",
    "valley_grid",
    "weakest",
]
