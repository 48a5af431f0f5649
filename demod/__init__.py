"""Blind demodulation with generative priors: the companion to Hand & Joshi (NeurIPS 2019)."""


def __getattr__(name: str) -> str:
    """Look `__version__` up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module 'demod' has no attribute {name!r}")
    from importlib.metadata import version

    return version("demod")
