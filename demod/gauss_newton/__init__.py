from demod.gauss_newton.algorithm import solve

__all__ = ["solve"]
