"""The distribution conditions: the WDC (5) and the joint-WDC (6), (7) of given weight matrices.

A matrix W satisfies the WDC with constants ε and α if for all nonzero x and y

    ‖ Σ_i 1{w_i·x > 0} 1{w_i·y > 0} w_i w_iᵀ - α Q_{x,y} ‖ ≤ ε.

The smallest such ε is a supremum over all pairs of directions. `residuals` holds the norm for one pair, on all codes or
where a network sees it, `exact` the supremum for two columns, `search` a lower bound with its witness, `bound` an upper
bound with guarantee, `fit` the best α, and `joint` the search for (6) and (7).
"""

from demod.wdc.bound import WDCBracket, bound_wdc
from demod.wdc.exact import exact_wdc
from demod.wdc.fit import AlphaFit, fit_alpha
from demod.wdc.joint import JointWDCBound, estimate_joint_wdc
from demod.wdc.residuals import WDCBound, joint_wdc_residual, seen_wdc_residual, wdc_residual
from demod.wdc.search import estimate_wdc

__all__ = [
    "AlphaFit",
    "JointWDCBound",
    "WDCBound",
    "WDCBracket",
    "bound_wdc",
    "estimate_joint_wdc",
    "estimate_wdc",
    "exact_wdc",
    "fit_alpha",
    "joint_wdc_residual",
    "seen_wdc_residual",
    "wdc_residual",
]
