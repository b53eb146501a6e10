"""minigrad: reverse-mode automatic differentiation and training, from scratch."""

from minigrad.creation import (
    arange,
    as_tensor,
    empty,
    full,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.graph import enable_grad, inference_mode, is_grad_enabled, no_grad
from minigrad.random import Generator, manual_seed, rand, randint, randn, randperm
from minigrad.tensor import Tensor, from_numpy
