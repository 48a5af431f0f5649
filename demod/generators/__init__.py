"""Generators: the networks G1, G2 that the paper takes as priors.

`protocol` says what a generator is, `relu` holds the random networks of Theorem 2, `module` makes a generator of any
network, `composed` generators of other generators, `assumptions` the constants α, A2 and A3, and `differentiation`
pullbacks and Jacobians by automatic differentiation.
"""

from demod.generators.assumptions import expansion_constants, measurement_constant, truncation_constant
from demod.generators.composed import Constant, Magnitude, Measured, Restricted, restrict
from demod.generators.module import ModuleGenerator, as_generator
from demod.generators.protocol import (
    BatchedGenerator,
    CentredGenerator,
    Generator,
    LinearisedGenerator,
    Pullback,
    jacobian,
    networks,
    pick,
)
from demod.generators.relu import ReLUGenerator

__all__ = [
    "BatchedGenerator",
    "CentredGenerator",
    "Constant",
    "Generator",
    "LinearisedGenerator",
    "Magnitude",
    "Measured",
    "ModuleGenerator",
    "Pullback",
    "ReLUGenerator",
    "Restricted",
    "as_generator",
    "expansion_constants",
    "jacobian",
    "measurement_constant",
    "networks",
    "pick",
    "restrict",
    "truncation_constant",
]
