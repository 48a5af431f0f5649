"""Generators: the networks G1, G2 that the paper takes as priors.

`protocol` says what a generator is, `relu` holds the random networks of Theorem 2, `composed` generators made of others,
`assumptions` the constants α, A2 and A3.
"""

from demod.generators.assumptions import expansion_constants, measurement_constant, truncation_constant
from demod.generators.composed import Constant, Magnitude, Measured, restrict
from demod.generators.protocol import BatchedGenerator, Generator, Pullback
from demod.generators.relu import ReLUGenerator

__all__ = [
    "BatchedGenerator",
    "Constant",
    "Generator",
    "Magnitude",
    "Measured",
    "Pullback",
    "ReLUGenerator",
    "expansion_constants",
    "measurement_constant",
    "restrict",
    "truncation_constant",
]
