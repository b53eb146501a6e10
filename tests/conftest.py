"""Every test starts from the same random numbers, ours and PyTorch's, whatever ran before it in the same process."""

from __future__ import annotations

import sys

import pytest

import minigrad

# What PyTorch's generator starts with: the test that imports it gets the same numbers as those after it.
PYTORCH_DEFAULT = 67280421310721


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    minigrad.manual_seed(0)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(PYTORCH_DEFAULT)
