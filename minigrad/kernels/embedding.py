"""The gradient of a table: rows added to the rows that indices name.

One after the other in the order of the indices, so that the sums have the same bits in every run.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.jit import kernel

__all__ = ["add_rows"]


@kernel
def add_rows(index: np.ndarray, g: np.ndarray, skip: int, z: np.ndarray) -> None:
    """z[index[i]] += g[i] for every i, but where index[i] is `skip`."""
    for i in range(g.shape[0]):
        row = index[i]
        if row != skip:
            for k in range(g.shape[1]):
                z[row, k] += g[i, k]
