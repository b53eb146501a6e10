"""How a Tensor is printed."""

from __future__ import annotations

import numpy as np

from minigrad.graph import Variable
from minigrad.ops.promotion import default_dtype

__all__ = ["text_of"]


def text_of(tensor: Variable) -> str:
    """The values, the dtype if it is not the default of its kind, the shape when long, and what made the tensor."""
    data = tensor._data
    notes = [np.array2string(data, separator=", ", prefix="tensor(", precision=4, threshold=1000)]
    if data.size > 1000 or (data.size == 0 and data.shape != (0,)):
        notes.append(f"shape={data.shape}")
    if data.dtype not in (default_dtype, np.int64, np.bool_):
        notes.append(f"dtype={data.dtype.name}")
    if tensor.node is not None:
        notes.append(f"grad_fn=<{getattr(tensor.node, 'name', 'leaf')}>")
    elif tensor._requires_grad:
        notes.append("requires_grad=True")
    return f"tensor({', '.join(notes)})"
