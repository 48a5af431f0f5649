"""What all tests share: one thread, so that sums run in the same order on every machine, and a seeded random stream."""

import matplotlib as mpl
import pytest
import torch

mpl.use("agg")  # figures are drawn, never shown, also where there is a display
torch.set_num_threads(1)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(2019)
