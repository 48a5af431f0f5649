"""What tests of calls share: a stream, a small problem of two ReLU networks, and how a wrong call is to be refused."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from demod.generators import ReLUGenerator


def stream(seed: int = 2019) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


G1, G2 = (ReLUGenerator.gaussian(widths, stream()) for widths in ((2, 6, 12), (3, 6, 12)))
H, M = torch.ones(2, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
Y = G1(H) * G2(M) + 0.1
IMAGE = torch.full((64, 64), 0.5)


def refusal(call: Callable[[], Any], said: str) -> str:
    """Return the message by which `call` is refused; it says what the pattern `said` asks for, and is short."""
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    message = str(error.value)
    assert re.search(said, message, re.DOTALL), message
    assert len(message) <= 400
    return message
