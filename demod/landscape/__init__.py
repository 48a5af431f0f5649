"""The landscape of (2): `grids` of f and its branches, its `pieces` and kinks, `surveys` of where descents end.

`samples` has points at kinks and near the curves, `concentration` says how far finite networks are from their limit, and
around the global hyperbola lies the `tube` in which the gradient points home.
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
from demod.landscape.pieces import (
    Slopes,
    hessian,
    linear_rate,
    noise_gain,
    slopes_down,
    without_fall_off_K,
    without_way_down,
)
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
    "Deviations",
    "Endpoints",
    "OnePoint",
    "Slopes",
    "around",
    "branches",
    "certified_strength",
    "codes_at_kinks",
    "codes_near_curves",
    "curvature",
    "deviations",
    "directions_off_K",
    "expected_branches",
    "expected_one_point",
    "hessian",
    "linear_rate",
    "noise_gain",
    "objective_grid",
    "on_grid",
    "one_point",
    "over_networks",
    "polish",
    "proved_strength",
    "radius",
    "random_directions",
    "ripples",
    "rounded",
    "scaled_gradient",
    "slopes_down",
    "spurious_share",
    "survey",
    "survey_networks",
    "valley_grid",
    "weakest",
    "without_fall_off_K",
    "without_way_down",
]
