"""Importing the science loads what it needs and nothing heavier."""

import subprocess
import sys

import pytest

HEAVY = ("cvxpy", "skimage", "pooch", "matplotlib", "scipy.stats", "scipy.optimize", "pandas", "joblib", "demod_book")
LIGHT = (
    *("demod.arguments", "demod.generators", "demod.objective", "demod.expectation", "demod.hyperbolas", "demod.descent"),
    *("demod.landscape", "demod.gauss_newton"),
)


@pytest.mark.processes
def test_importing_the_theory_loads_no_heavy_library():
    # torch itself may load some of these, where they are installed: only what comes on top is demod's
    code = (
        f"import sys, torch; before = set(sys.modules); import {', '.join(LIGHT)}; print(*sorted(set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = result.stdout.split()
    assert {*LIGHT} <= {*loaded}
    assert not [name for name in loaded if name.startswith(tuple(f"{heavy}." for heavy in HEAVY)) or name in HEAVY]
